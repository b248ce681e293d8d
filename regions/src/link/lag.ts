/**
 * How far the other end of a link is behind this region in one group: in entries, and in seconds since the oldest entry that it does not hold came
 * here. The time is that of the newest sample at or before that entry, so it is never too short by more than `sampleMs`.
 */

import type { Version } from '@meridian/core/version'
import type { HeldGroup } from './held-group.js'

/** Between two samples, at least. */
const sampleMs = 100
/** Samples at most; beyond it every second one is dropped, and the answer becomes coarser. */
const samplesMax = 64

export interface Lag {
  readonly entries: number
  readonly seconds: number
}

export class LagMeter {
  /** `count` entries had come at that time. */
  #samples: { readonly count: number; readonly atMs: number }[] = []

  /** About once a tick, and when somebody asks. */
  measure(held: HeldGroup, known: Version, nowMs: number): Lag {
    const entries = held.aheadOf(known)
    const arrived = held.entryCount - entries
    if (entries === 0) this.#samples = []
    else {
      while ((this.#samples[1]?.count ?? Infinity) <= arrived) this.#samples.shift()
      const last = this.#samples.at(-1)
      if (last === undefined || (held.entryCount > last.count && nowMs - last.atMs >= sampleMs))
        this.#samples.push({ count: last === undefined ? arrived : held.entryCount, atMs: nowMs })
      if (this.#samples.length > samplesMax) this.#samples = this.#samples.filter((_, index) => index % 2 === 0)
    }
    const oldest = this.#samples[0]
    return { entries, seconds: oldest === undefined ? 0 : (nowMs - oldest.atMs) / 1000 }
  }
}
