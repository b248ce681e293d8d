/** What a node has named on the running connection: its limits, replicas, groups, and the channels and handles of attached documents. */

import { MeridianError } from '@meridian/core/errors'
import type { GroupId, ReplicaId } from '@meridian/core/ids'
import type { Dot, MutableVersion, Version } from '@meridian/core/version'
import { mutableVersion } from '@meridian/core/version'
import type { Ack, Welcome } from '@meridian/core/wires/native/server-frames'
import type { ClientDocument } from './document.js'

/** A group on the running connection. */
export interface LiveGroup {
  readonly id: GroupId
  /** Nothing of the group is pushed before that. */
  blockedUntilMs: number | undefined
  attempt: number
  /** The node drops pushes of the group until it is told where they go on. */
  stopped: boolean
  /** What the region has shown that it holds. */
  readonly held: MutableVersion
  /** What so many regions hold, by their number; null: it was asked for. */
  readonly durable: Map<number, Version | null>
  /** The newest ack: it may come before the answer to the attach of what it acks. */
  acked: Ack | undefined
}

export class Session {
  welcome: Welcome | undefined
  readonly replicas: (ReplicaId | undefined)[] = []
  readonly groups = new Map<number, LiveGroup>()
  readonly byChannel = new Map<number, ClientDocument>()
  readonly byHandle = new Map<number, ClientDocument>()
  /** Of channels that are gone, too. */
  readonly channelGroups = new Map<number, number>()
  #channel = 0

  /** The connection is gone, and everything that was named on it. */
  clear(): void {
    this.welcome = undefined
    this.replicas.length = 0
    this.groups.clear()
    this.byChannel.clear()
    this.byHandle.clear()
    this.channelGroups.clear()
    this.#channel = 0
  }

  nextChannel(): number {
    return ++this.#channel
  }

  nameGroup(handle: number, id: GroupId): void {
    this.groups.set(handle, {
      id,
      blockedUntilMs: undefined,
      attempt: 0,
      stopped: false,
      held: mutableVersion(),
      durable: new Map(),
      acked: undefined,
    })
  }

  /** Of a document that is attached. */
  groupOf(document: ClientDocument | undefined): LiveGroup | undefined {
    return document?.attachment === undefined ? undefined : this.groups.get(document.attachment.group)
  }

  /** @throws MeridianError FRAME_INVALID for a replica that was not named before. */
  dot(replica: number, sequence: number): Dot {
    const id = this.replicas[replica]
    if (id === undefined) throw new MeridianError('FRAME_INVALID', { message: 'A replica is used before it was named.' })
    return { replica: id, sequence }
  }
}
