/** Simulated time: what is to happen, in the order of its time and then of its being asked for. */

import { assert } from '@meridian/core/errors'

interface Task {
  readonly at: number
  readonly number: number
  readonly run: () => void
}

/** A number that any world's clock could show, so that stamps look like stamps. */
export const epochMs = 1_790_000_000_000

export class Scheduler {
  #now = epochMs
  #number = 0
  readonly #tasks: Task[] = []

  get nowMs(): number {
    return this.#now
  }

  get taskCount(): number {
    return this.#tasks.length
  }

  after(delayMs: number, run: () => void): void {
    const task = { at: this.#now + delayMs, number: this.#number++, run }
    let low = 0
    let high = this.#tasks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#tasks[middle]
      if (other !== undefined && other.at <= task.at) low = middle + 1
      else high = middle
    }
    this.#tasks.splice(low, 0, task)
  }

  /** Runs the next task; false if there is none up to this time. */
  step(untilMs = Number.POSITIVE_INFINITY): boolean {
    const task = this.#tasks[0]
    if (task === undefined || task.at > untilMs) return false
    this.#tasks.shift()
    this.#now = Math.max(this.#now, task.at)
    task.run()
    return true
  }

  /** Runs everything that is due now, and what comes of it at once. */
  settle(): void {
    for (let count = 0; this.step(this.#now); count++) assert(count < 1_000_000, 'a world that comes to rest')
  }

  advance(milliseconds: number): void {
    const until = this.#now + milliseconds
    for (let count = 0; this.step(until); count++) assert(count < 10_000_000, 'a world that comes to rest')
    this.#now = until
  }
}
