/**
 * A socket between two simulated regions: two directions, each in order, with a delay, a bandwidth and a buffer. It can be cut, so that both ends
 * hear of it, be half open in one direction or in both, or be held, so that everything arrives at once when it is released.
 */

import type { SeededRandom } from '../random.js'
import type { Scheduler } from '../scheduler.js'

/** What an owner of an end is told. */
export interface WireListener {
  receive(message: Uint8Array): void
  drained(): void
  /** The other end is gone. */
  lost(): void
}

export interface WireProfile {
  /** Milliseconds of one way; a fifth more or less, by chance. */
  readonly delayMs: number
  readonly bytesPerMs: number
}

export interface WireWorld {
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  readonly arrived: (from: 0 | 1, message: Uint8Array) => void
}

class Direction {
  bufferedBytes = 0
  freeAtMs = 0
  arrivesAtMs = 0
  isDead = false
}

const other = (end: 0 | 1): 0 | 1 => (end === 0 ? 1 : 0)

export class RegionWire {
  readonly #world: WireWorld
  readonly #profile: WireProfile
  readonly #listeners: [WireListener | undefined, WireListener | undefined] = [undefined, undefined]
  readonly #directions = [new Direction(), new Direction()] as const
  readonly #gone: () => void
  #held: (() => void)[] | undefined
  #isOver = false

  constructor(world: WireWorld, profile: WireProfile, gone: () => void) {
    this.#world = world
    this.#profile = profile
    this.#gone = gone
  }

  get isOver(): boolean {
    return this.#isOver
  }

  listen(end: 0 | 1, listener: WireListener): void {
    this.#listeners[end] = listener
  }

  bufferedBytes(end: 0 | 1): number {
    return this.#directions[end].bufferedBytes
  }

  send(end: 0 | 1, message: Uint8Array): void {
    if (this.#isOver) return
    const { scheduler, random } = this.#world
    const direction = this.#directions[end]
    const { nowMs } = scheduler
    const bytes = new Uint8Array(message)
    direction.bufferedBytes += bytes.length
    direction.freeAtMs = Math.max(nowMs, direction.freeAtMs) + Math.ceil(bytes.length / this.#profile.bytesPerMs)
    const delayMs = Math.ceil((this.#profile.delayMs * (80 + random.below(41))) / 100)
    direction.arrivesAtMs = Math.max(direction.arrivesAtMs, direction.freeAtMs + delayMs)
    scheduler.after(direction.freeAtMs - nowMs, () => {
      direction.bufferedBytes -= bytes.length
      if (!this.#isOver) this.#listeners[end]?.drained()
    })
    scheduler.after(direction.arrivesAtMs - nowMs, () =>
      this.#pass(() => {
        if (direction.isDead || this.#isOver) return
        this.#world.arrived(end, bytes)
        this.#listeners[other(end)]?.receive(bytes)
      }),
    )
  }

  /** One end closes: the other hears of it behind what was sent before. */
  close(end: 0 | 1): void {
    if (this.#isOver || this.#listeners[end] === undefined) return
    this.#listeners[end] = undefined
    const { scheduler } = this.#world
    const direction = this.#directions[end]
    const atMs = Math.max(direction.arrivesAtMs, scheduler.nowMs + this.#profile.delayMs)
    scheduler.after(atMs - scheduler.nowMs, () =>
      this.#pass(() => {
        if (!direction.isDead) this.#end()
        else if (this.#listeners[other(end)] === undefined) this.#end()
      }),
    )
  }

  /** Both ends hear of it; what is on its way is lost. */
  cut(): void {
    for (const direction of this.#directions) direction.isDead = true
    this.#world.scheduler.after(this.#world.random.below(200), () => this.#end())
  }

  /** Nothing passes that way any more, and nobody hears of it. */
  die(from: 0 | 1): void {
    this.#directions[from].isDead = true
  }

  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const run of held) run()
  }

  #pass(run: () => void): void {
    if (this.#held === undefined) run()
    else this.#held.push(run)
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#gone()
    for (const listener of this.#listeners) listener?.lost()
  }
}
