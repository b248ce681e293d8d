/** Chance that a seed repeats: the `Random` of the machines under test, and what simulations choose by. */

import type { Random } from '@meridian/core/effects'
import { assert } from '@meridian/core/errors'

export class SeededRandom implements Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** mulberry32. */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    const state = this.#state
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * below)
  }

  /** A whole number in [from, to]. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.uint32() / 2 ** 32 < probability
  }

  pick<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)]
    assert(list.length > 0, 'something to pick from')
    return item as T
  }

  /** A stream of its own, so that what one part draws changes nothing for another. */
  fork(): SeededRandom {
    return new SeededRandom(this.uint32())
  }
}
