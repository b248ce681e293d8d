/**
 * How long something has taken, by a wall clock that may be set: what a clock is set back by is no time, and nobody waits for an hour because it was. One that
 * is set forward lets all that waits be over, as after a pause of the machine.
 */

import type { Clock } from './effects.js'

export class Stopwatch {
  readonly #clock: Clock
  #before: number
  #ms = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#before = clock.now()
  }

  /** Milliseconds since it was made; never fewer than before. [hot] */
  get ms(): number {
    const now = this.#clock.now()
    if (now > this.#before) this.#ms += now - this.#before
    this.#before = now
    return this.#ms
  }
}
