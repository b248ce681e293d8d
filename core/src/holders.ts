/**
 * Which regions are known to hold what of a group, beside this one, and so what a number of regions hold together (SES2, CLI2). What a region has
 * told by its acks on a link counts, also while it is out of reach: it was durable there. A region that no link leads to has told nothing.
 */

import type { RegionId, ReplicaId } from './ids.js'
import type { MutableVersion, Version } from './version.js'
import { covers, includes, merge, mutableVersion, raiseFloor } from './version.js'

export class Holders {
  readonly #others = new Map<RegionId, MutableVersion>()
  /** Told when a region holds more than was known. */
  readonly watchers = new Set<() => void>()

  /** A region has this much. */
  hold(region: RegionId, version: Version): void {
    const held = this.#others.get(region) ?? mutableVersion()
    if (covers(held, version)) return
    merge(held, version)
    this.#others.set(region, held)
    for (const run of [...this.watchers]) run()
  }

  /** Whether `count` regions hold an entry that this one does. */
  haveEntry(count: number, replica: ReplicaId, sequence: number): boolean {
    let holding = 1
    for (const held of this.#others.values()) if (includes(held, replica, sequence)) holding++
    return holding >= count
  }

  /**
   * What `count` regions hold. Each of its dots is held by that many, not always by the same ones.
   *
   * @param own what this region holds; nothing beyond it is claimed.
   */
  heldBy(count: number, own: Version): Version {
    if (count <= 1) return own
    const others = [...this.#others.values()]
    const result = mutableVersion()
    for (const [region, floor] of own.floors) {
      const holding = others.filter((held) => (held.floors.get(region)?.counter ?? 0) >= floor.counter)
      if (holding.length + 1 >= count) raiseFloor(result, region, floor)
    }
    for (const [replica, sequence] of own.sequences) {
      const sequences = others.map((held) => (includes(held, replica, sequence) ? sequence : (held.sequences.get(replica) ?? 0)))
      const held = sequences.sort((a, b) => b - a)[count - 2] ?? 0
      if (held > 0) result.sequences.set(replica, held)
    }
    return result
  }
}
