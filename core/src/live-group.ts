/**
 * One placement group as a running hub knows it: what its region holds of it, and whether a claim of a client is held (SES5).
 * Invariant: `version` never shrinks while the node runs, and claims nothing that is not durable (LOG1).
 */

import { Holders } from './holders.js'
import type { GroupId, ReplicaId } from './ids.js'
import { replicaParts } from './ids.js'
import type { GroupInfo } from './log.js'
import type { Chain, MutableVersion, Version } from './version.js'
import { merge, missing, mutableVersion, raiseFloor } from './version.js'

export class LiveGroup {
  readonly id: GroupId
  readonly handle: number
  readonly version: MutableVersion = mutableVersion()
  #closed: ReadonlyMap<ReplicaId, number> = new Map()
  #sealed: ReadonlyMap<ReplicaId, number> = new Map()
  #seals: ReadonlyMap<string, Chain> = new Map()
  /** True while the seal of the closed incarnations is on its way into the log. */
  sealing = false
  /** True while the log may hold more of it than is known here, because it could not be asked. */
  isStale = false
  /** Told after each commit that brought something for the group: it can be read in the log. They keep nothing and read on when they can. */
  readonly watchers = new Set<() => void>()
  readonly holders: Holders

  constructor(id: GroupId, handle: number, holders = new Holders()) {
    this.id = id
    this.handle = handle
    this.holders = holders
  }

  /** Adopts what the log says; also after a seal, and after the log had to reopen. */
  adopt(info: GroupInfo): void {
    this.#closed = info.closed
    this.#sealed = info.sealed
    this.#seals = info.seals
    this.sealing = false
    this.isStale = false
    for (const [region, floor] of info.version.floors) raiseFloor(this.version, region, floor)
    merge(this.version, info.version)
  }

  /** Closed incarnations that a floor could stand for (LOG5). */
  get closed(): ReadonlyMap<ReplicaId, number> {
    return this.#closed
  }

  /**
   * What `claimed` names and this region does not hold. Unlike a comparison of versions it knows where sealed incarnations ended, and
   * which entries raised its floors, so that a token from a history that this store never lived is found out (LOG2, LOG5): void beyond
   * the end of a sealed incarnation, and with a floor that was raised by another seal, however high this region's own has risen since.
   */
  lacks(claimed: Version): Version | undefined {
    const lacking = missing(claimed, this.version)
    for (const [replica, sequence] of claimed.sequences) {
      const { region, counter } = replicaParts(replica)
      const floor = this.version.floors.get(region)
      if (floor === undefined || counter > floor.counter) continue
      const last = this.#sealed.get(replica)
      if (last === undefined || sequence > last) lacking.sequences.set(replica, sequence)
    }
    for (const [region, floor] of claimed.floors) {
      if (this.#seals.get(`${region}#${floor.counter}`) !== floor.seal) lacking.floors.set(region, floor)
    }
    return lacking.sequences.size === 0 && lacking.floors.size === 0 ? undefined : lacking
  }
}
