/** What a node has named on the running connection: its limits, replicas, groups, and the channels and handles of attached documents. */

import { MeridianError } from '@meridian/core/errors'
import type { GroupId, ReplicaId } from '@meridian/core/ids'
import type { Dot } from '@meridian/core/version'
import { mutableVersion } from '@meridian/core/version'
import type { Welcome } from '@meridian/core/wires/native/server-frames'
import type { ClientDocument } from './document.js'
import type { LiveGroup } from './live-group.js'

export class Session {
  welcome: Welcome | undefined
  readonly replicas: (ReplicaId | undefined)[] = []
  readonly groups = new Map<number, LiveGroup>()
  readonly byChannel = new Map<number, ClientDocument>()
  readonly byHandle = new Map<number, ClientDocument>()
  /** Of channels that are gone, too. */
  readonly channelGroups = new Map<number, LiveGroup>()
  /** The node refused a push before it had named the push's group: it may be any that it names from here on. */
  isStopped = false
  #channel = 0

  /** The connection is gone, and everything that was named on it. */
  clear(): void {
    this.welcome = undefined
    this.replicas.length = 0
    this.groups.clear()
    this.byChannel.clear()
    this.byHandle.clear()
    this.channelGroups.clear()
    this.isStopped = false
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
      code: undefined,
      stopped: this.isStopped,
      held: mutableVersion(),
      durable: new Map(),
      acked: undefined,
    })
  }

  /** @throws MeridianError FRAME_INVALID for a replica that was not named before. */
  dot(replica: number, sequence: number): Dot {
    const id = this.replicas[replica]
    if (id === undefined) throw new MeridianError('FRAME_INVALID', { message: 'A replica is used before it was named.' })
    return { replica: id, sequence }
  }
}
