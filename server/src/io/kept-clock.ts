/**
 * What the clock of a node has shown at most, in a small file beside its log: so that an exception that has ended stays so when the wall clock is set
 * back and the node started again. Losing the file loses no more than that.
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '@meridian/core/effects'
import { type ForwardClock, forwardClock } from '@meridian/regions/policy/forward-clock'

const fileName = 'clock'

/** Milliseconds between two writes. */
const keepMs = 60_000

export class KeptClock implements Clock {
  readonly #path: string
  readonly #clock: ForwardClock
  #keptMs: number

  constructor(clock: Clock, directory: string) {
    this.#path = join(directory, fileName)
    this.#keptMs = readKept(this.#path)
    this.#clock = forwardClock(clock, this.#keptMs)
  }

  now(): number {
    return this.#clock.now()
  }

  /** About once a second. @param force now, whenever it was last written */
  keep(force = false): void {
    const latest = this.#clock.latest
    if (latest === this.#keptMs || (!force && latest - this.#keptMs < keepMs)) return
    try {
      writeFileSync(`${this.#path}.new`, String(latest))
      renameSync(`${this.#path}.new`, this.#path)
      this.#keptMs = latest
    } catch {
      // A full disk: what was kept before still counts, and the log says that the disk is full.
    }
  }
}

function readKept(path: string): number {
  try {
    const text = readFileSync(path, 'utf8')
    return /^[0-9]{1,15}$/.test(text) ? Number(text) : 0
  } catch {
    return 0
  }
}
