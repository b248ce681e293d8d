/** The network between regions: who can reach whom, and the wire of each pair that is connected. */

import type { SeededRandom } from '../random.js'
import type { Scheduler } from '../scheduler.js'
import type { Trace } from '../trace.js'
import { RegionWire, type WireProfile } from './region-wire.js'
import type { Site } from './site.js'

export interface BetweenWorld {
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  readonly trace: Trace
  readonly sites: readonly Site[]
  /** Milliseconds of one way, at most. */
  readonly delayMs: number
}

class Pair {
  readonly ends: readonly [Site, Site]
  readonly profile: WireProfile
  /** Reasons for which it cannot connect now. */
  cuts = 0
  /** Its wires are held from their beginning. */
  isHeld = false
  wire: RegionWire | undefined
  messageCount = 0

  constructor(ends: readonly [Site, Site], profile: WireProfile) {
    this.ends = ends
    this.profile = profile
  }

  get name(): string {
    return `${this.ends[0].index}-${this.ends[1].index}`
  }
}

/** Milliseconds between two tries to connect a pair. */
const dialMs = 150

export class Between {
  readonly pairs: readonly Pair[]
  readonly #world: BetweenWorld

  constructor(world: BetweenWorld) {
    this.#world = world
    const pairs: Pair[] = []
    for (const one of world.sites)
      for (const two of world.sites)
        if (one.index < two.index) {
          const delayMs = world.random.between(1, world.delayMs)
          pairs.push(new Pair([one, two], { delayMs, bytesPerMs: world.random.pick([100, 1_000, 10_000]) }))
        }
    this.pairs = pairs
    for (const pair of pairs) this.#dial(pair)
  }

  get messageCount(): number {
    return this.pairs.reduce((sum, pair) => sum + pair.messageCount, 0)
  }

  /** For so long the two do not reach one another. */
  cut(pair: Pair, forMs: number, how: 'heard' | 'unheard'): void {
    pair.cuts++
    if (how === 'heard') pair.wire?.cut()
    else for (const end of [0, 1] as const) pair.wire?.die(end)
    this.#world.scheduler.after(forMs, () => {
      pair.cuts--
    })
  }

  /** Everything waits, and comes at once. */
  clog(pair: Pair, forMs: number): void {
    pair.wire?.hold()
    pair.isHeld = true
    this.#world.scheduler.after(forMs, () => {
      pair.isHeld = false
      pair.wire?.release()
    })
  }

  /** Its process is gone: its machine resets its sockets, or is gone as well and says nothing. */
  died(site: Site): void {
    for (const pair of this.pairs) {
      if (!pair.ends.includes(site) || pair.wire === undefined) continue
      if (this.#world.random.chance(0.5)) pair.wire.cut()
      else {
        for (const end of [0, 1] as const) pair.wire.die(end)
        // Whoever is left finds out by silence; the dead end is nobody's.
        pair.wire.close(pair.ends[0] === site ? 0 : 1)
      }
    }
  }

  /** All cuts end; what is half open is found out by whoever waits. */
  heal(): void {
    for (const pair of this.pairs) {
      pair.isHeld = false
      pair.wire?.release()
    }
  }

  #dial(pair: Pair): void {
    const { scheduler, random } = this.#world
    scheduler.after(random.between(dialMs / 2, dialMs), () => {
      this.#connect(pair)
      this.#dial(pair)
    })
  }

  #connect(pair: Pair): void {
    const [one, two] = pair.ends
    if (pair.cuts > 0 || pair.wire !== undefined || !one.mayConnect || !two.mayConnect) return
    const { scheduler, random, trace } = this.#world
    const wire: RegionWire = new RegionWire(
      {
        ...{ scheduler, random },
        arrived: (from, message) => {
          pair.messageCount++
          const [sender, receiver] = from === 0 ? pair.ends : [two, one]
          trace.note('~', `${sender.index}>${receiver.index}`, '', message)
        },
      },
      pair.profile,
      () => {
        if (pair.wire === wire) pair.wire = undefined
      },
    )
    pair.wire = wire
    if (pair.isHeld) wire.hold()
    for (const end of [0, 1] as const) {
      const [here, there] = end === 0 ? pair.ends : [two, one]
      here.connect(there, wire, end)
    }
  }
}

export type { Pair }
