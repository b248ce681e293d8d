/** A placement group on the running connection: whether it takes pushes, and what its region has shown that it holds. */

import type { ErrorCode } from '@meridian/core/errors'
import type { GroupId } from '@meridian/core/ids'
import type { MutableVersion, Version } from '@meridian/core/version'
import type { Ack } from '@meridian/core/wires/native/server-frames'

export interface LiveGroup {
  readonly id: GroupId
  /** Nothing of the group is pushed before that. */
  blockedUntilMs: number | undefined
  attempt: number
  /** Why the last push was not taken, until one is. */
  code: ErrorCode | undefined
  /** The node drops pushes of the group until it is told where they go on. */
  stopped: boolean
  /** What the region has shown that it holds. */
  readonly held: MutableVersion
  /** What so many regions hold, by their number; null: it was asked for. */
  readonly durable: Map<number, Version | null>
  /** The newest ack: it may come before the answer to the attach of what it acks. */
  acked: Ack | undefined
}
