/**
 * What a client of the native wire is told of other regions: that the outbox may forget what it pushed (SES2), and what so many regions hold, if it
 * asked (CLI2). A session that asked nothing and has nothing to hear of costs nothing.
 */

import type { ReplicaId } from '../../ids.js'
import type { LiveGroup } from '../../live-group.js'
import type { Dot, Version } from '../../version.js'
import { covers, emptyVersion } from '../../version.js'
import type { WireSession } from '../../wire.js'
import type { ServerFrame } from './server-frames.js'

/** Regions that have to hold a push before its client may forget it; all of them where there are fewer. */
const enoughRegions = 2
/** Numbers of regions that a client may ask about in one group. */
const asksMax = 8

interface Told {
  /** Acked, and not yet held by enough regions. */
  newest: Dot | undefined
  /** By number of regions: what was told last. */
  readonly asked: Map<number, Version>
  readonly watcher: () => void
}

export class Replication {
  readonly #session: WireSession
  readonly #send: (group: LiveGroup, frame: ServerFrame) => void
  readonly #groups = new Map<LiveGroup, Told>()

  constructor(session: WireSession, send: (group: LiveGroup, frame: ServerFrame) => void) {
    this.#session = session
    this.#send = send
  }

  /** A push is acked with this dot. @returns whether enough regions hold it by now. [hot] */
  acked(group: LiveGroup, replica: ReplicaId | undefined, sequence: number): boolean {
    const count = this.#session.hub.regionCount(group.id)
    if (count === 1 || replica === undefined || sequence === 0) return true
    const isHeld = group.holders.haveEntry(Math.min(count, enoughRegions), replica, sequence)
    if (!isHeld) this.#told(group).newest = { replica, sequence }
    return isHeld
  }

  /** One region ends all that was asked of the group. */
  ask(group: LiveGroup, regions: number): void {
    const count = this.#session.hub.regionCount(group.id)
    const told = this.#told(group)
    if (regions === 1) told.asked.clear()
    const isKept = regions > 1 && regions <= count && told.asked.size < asksMax
    const version = regions > count ? emptyVersion : group.holders.heldBy(regions, group.version)
    if (isKept) told.asked.set(regions, version)
    this.#send(group, { type: 'durable', group: group.handle, regions, count, version })
  }

  /** About once a second. */
  tick(): void {
    for (const [group, told] of this.#groups) {
      const { newest } = told
      if (newest === undefined) continue
      const count = Math.min(enoughRegions, this.#session.hub.regionCount(group.id))
      if (!group.holders.haveEntry(count, newest.replica, newest.sequence)) continue
      told.newest = undefined
      const version = group.holders.heldBy(count, group.version)
      this.#send(group, { type: 'replicated', group: group.handle, version })
    }
  }

  close(): void {
    for (const [group, { watcher }] of this.#groups) group.holders.watchers.delete(watcher)
    this.#groups.clear()
  }

  #told(group: LiveGroup): Told {
    let told = this.#groups.get(group)
    if (told === undefined) {
      const added: Told = { newest: undefined, asked: new Map(), watcher: () => this.#tell(group, added) }
      told = added
      this.#groups.set(group, told)
      group.holders.watchers.add(told.watcher)
    }
    return told
  }

  #tell(group: LiveGroup, told: Told): void {
    if (told.asked.size === 0) return
    const count = this.#session.hub.regionCount(group.id)
    for (const [regions, before] of told.asked) {
      const version = group.holders.heldBy(regions, group.version)
      if (covers(before, version)) continue
      told.asked.set(regions, version)
      this.#send(group, { type: 'durable', group: group.handle, regions, count, version })
    }
    this.#session.flush()
  }
}
