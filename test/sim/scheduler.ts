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
  /** A binary heap: each task comes before its two children. */
  readonly #tasks: Task[] = []

  get nowMs(): number {
    return this.#now
  }

  get taskCount(): number {
    return this.#tasks.length
  }

  /** Tasks that were ever asked for. */
  get askedCount(): number {
    return this.#number
  }

  after(delayMs: number, run: () => void): void {
    const tasks = this.#tasks
    const task = { at: this.#now + delayMs, number: this.#number++, run }
    let index = tasks.length
    tasks.push(task)
    while (index > 0) {
      const above = (index - 1) >>> 1
      const other = tasks[above]
      if (other === undefined || isBefore(other, task)) break
      tasks[index] = other
      tasks[above] = task
      index = above
    }
  }

  /** Runs the next task; false if there is none up to this time. */
  step(untilMs = Number.POSITIVE_INFINITY): boolean {
    const task = this.#tasks[0]
    if (task === undefined || task.at > untilMs) return false
    this.#take()
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

  /** The first task leaves, and the last one sinks from its place. */
  #take(): void {
    const tasks = this.#tasks
    const task = tasks.pop()
    if (task === undefined || tasks.length === 0) return
    let index = 0
    for (;;) {
      let below = index * 2 + 1
      let child = tasks[below]
      const right = tasks[below + 1]
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        child = right
        below++
      }
      if (child === undefined || isBefore(task, child)) break
      tasks[index] = child
      index = below
    }
    tasks[index] = task
  }
}

const isBefore = (one: Task, other: Task): boolean => one.at < other.at || (one.at === other.at && one.number < other.number)
