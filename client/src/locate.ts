/**
 * Which region a client talks to, and which is next. Pure: it is told what is asked and answered, and says whom to dial (CLI3).
 *
 * ```
 *   at a place ──lost──▶ race: every place is asked at once ──▶ the nearest that answers, soon
 *        ▲  └──look, now and then: every place is measured ──▶ another one is nearer, twice in a row ──┐
 *        └─────────────────────────────────────────────────────────────────────────────────────────────┘
 * ```
 *
 * - A client that knows one place only never asks another, and behaves as if there were no choice.
 * - *Nearer* is by measured round trip. The place that the app named first is worth `preferenceMs`, so that among equals it is the one, and a
 *   client goes back to it when it is there again. A place that was lost is not gone back to for a while, with jitter, and one that is found and
 *   does not hold is avoided for longer each time: nobody flaps, and the clients of a region that came back do not come back in one instant.
 */

import type { Random } from '@meridian/core/effects'
import type { RegionId } from '@meridian/core/ids'
import type { Place, Places } from './places.js'

export interface LocatorEffects {
  monotonicMs(): number
  readonly random: Random
  /** Asks a place for its list of regions, with this time-out in milliseconds. Answered by `answered`, later, once. */
  ask(place: Place, timeoutMs: number): void
  /** True while the user pays for what is sent: then nothing is measured that need not be. */
  isMetered(): boolean
  /** The place is another one, or a wait is over: dial it now. */
  move(): void
}

/** Milliseconds that a place has to answer. */
export const answerMs = 3_000
/** Milliseconds after which the nearest of those that have answered is taken, though a nearer one may still do so. */
const patienceMs = 400
/** Milliseconds of a dial after which others are asked. */
const dialMs = 4_000
/** What the place that the app named first is worth, in milliseconds of round trip. */
const preferenceMs = 20
/** Another place has to be nearer by this, and by this share of the round trip to the one in use. */
const gainMs = 5
const gainShare = 0.2
/** A connection that lasted less did not hold. */
const heldMs = 10_000
/** A connection that lasted so long says that nobody is slow; and the most that silence is borne longer because of that. */
const steadyMs = 60_000
const slownessMax = 8
/** Milliseconds that a place is avoided after it did not hold, doubled each time, at most. */
const avoidMs = 15_000
const avoidMsMax = 600_000
/** Milliseconds after a loss before it is gone back to. */
const returnMs = 20_000
/** Milliseconds between looks while all is well, and while it is not. */
const lookMs = 300_000
const lookSoonMs = 20_000
/** Milliseconds to the first look on a connection, and to one that is to confirm what the last one found. */
const lookFirstMs = 1_000
const lookAgainMs = 5_000

interface Round {
  /** `doubt`: a dial takes long, and goes on until another place answers. */
  readonly why: 'race' | 'doubt' | 'look'
  readonly startedMs: number
  readonly pending: Set<Place>
  readonly answered: Place[]
}

export class Locator {
  readonly places: Places
  readonly #all: () => readonly Place[]
  readonly #effects: LocatorEffects
  #current: Place
  #round: Round | undefined
  #lookMs: number | undefined
  #dialledMs: number | undefined
  #enteredMs: number | undefined
  /** The one that served last. */
  #served: Place | undefined
  /** What the last look found to be nearer. */
  #nearer: Place | undefined
  /** Connections that were lost soon and dials that took long, one after the other, doubled each: all may be slow, and then nothing is gained by going on. */
  slowness = 1
  readonly #returnMs = new Map<Place, number>()

  /** @param all those that are allowed, the best liked first; never none. */
  constructor(places: Places, all: () => readonly Place[], effects: LocatorEffects) {
    this.places = places
    this.#all = all
    this.#effects = effects
    const [first] = all()
    if (first === undefined) throw new RangeError('there is a place')
    this.#current = first
  }

  get all(): readonly Place[] {
    return this.#all()
  }

  get current(): Place {
    return this.#current
  }

  /** Whether the place that is dialled or in use is another one than served before. */
  get isElsewhere(): boolean {
    return this.#served !== undefined && this.#served !== this.#current
  }

  /** Whether there is a choice. */
  get isFree(): boolean {
    return this.all.length > 1
  }

  /** When `time` is to come next, in monotonic milliseconds. */
  get dueMs(): number | undefined {
    let dueMs = this.#lookMs
    const dialDueMs = this.#dialledMs === undefined ? undefined : this.#dialledMs + dialMs * this.slowness
    if (this.#round !== undefined) {
      const { why, startedMs, answered } = this.#round
      const roundDueMs = startedMs + (why !== 'look' && answered.length > 0 ? patienceMs : answerMs)
      dueMs = dueMs === undefined ? roundDueMs : Math.min(dueMs, roundDueMs)
    } else if (dialDueMs !== undefined && this.isFree) dueMs = dueMs === undefined ? dialDueMs : Math.min(dueMs, dialDueMs)
    return dueMs
  }

  /** What the device kept was read: the place that served last is the first to be dialled. */
  remember(): void {
    if (this.#enteredMs !== undefined || this.#dialledMs !== undefined) return
    const last = this.all.find(({ url }) => url === this.places.last)
    if (last !== undefined) this.#current = last
  }

  dialled(): void {
    this.#dialledMs = this.#effects.monotonicMs()
    this.#lookMs = undefined
    if (this.#round?.why === 'look') this.#round = undefined
  }

  /** A node has answered. */
  entered(region: RegionId): void {
    const now = this.#effects.monotonicMs()
    this.#dialledMs = undefined
    this.#round = undefined
    this.#enteredMs = now
    this.#served = this.#current
    this.places.name(this.#current, region)
    this.#lookMs = now + this.#spread(lookFirstMs)
  }

  /** Stopped, or on the way to another place: nobody was lost. */
  left(): void {
    this.#dialledMs = undefined
    this.#enteredMs = undefined
    this.#lookMs = undefined
    this.#round = undefined
    this.#nearer = undefined
  }

  /**
   * The connection is lost, or did not come about: all are asked.
   *
   * @returns milliseconds that the next dial is to wait at least, unless `move` comes first.
   */
  lost(): number {
    const now = this.#effects.monotonicMs()
    const { current } = this
    const lastedMs = this.#enteredMs === undefined ? 0 : now - this.#enteredMs
    const held = lastedMs >= heldMs
    this.slowness = lastedMs >= steadyMs ? 1 : Math.min(slownessMax, this.slowness * 2)
    this.left()
    if (!this.isFree) return 0
    if (held) current.failureCount = 0
    else {
      // Once may be the network of the device.
      if (current.failureCount > 0)
        current.avoidUntilMs = now + Math.min(avoidMsMax, this.#spread(avoidMs) * 2 ** (current.failureCount - 1))
      current.failureCount++
    }
    this.#returnMs.set(current, now + this.#spread(returnMs))
    this.#begin('race', this.all)
    return answerMs
  }

  answered(place: Place, roundTripMs: number | undefined, text: string): void {
    const isList = roundTripMs !== undefined && this.places.learn(place, text)
    // Now and then a quick answer is slow; a slow one is never quick by chance.
    if (isList) place.roundTripMs = Math.min(roundTripMs, (place.roundTripMs ?? Number.POSITIVE_INFINITY) * 1.5)
    const round = this.#round
    if (round?.pending.delete(place) !== true) return
    if (isList) round.answered.push(place)
    this.#judge(round)
  }

  time(): void {
    const now = this.#effects.monotonicMs()
    if (this.#round !== undefined) this.#judge(this.#round)
    else if (this.#dialledMs !== undefined && this.isFree && now >= this.#dialledMs + dialMs * this.slowness) {
      // It may still come about: until another one answers the dial goes on.
      this.#dialledMs = undefined
      this.slowness = Math.min(slownessMax, this.slowness * 2)
      this.#returnMs.set(this.#current, now + this.#spread(returnMs))
      this.#begin(
        'doubt',
        this.all.filter((one) => one !== this.#current),
      )
    }
    if (this.#lookMs !== undefined && now >= this.#lookMs) this.#look()
  }

  // Inside.

  #look(): void {
    const metered = this.#effects.isMetered()
    this.#lookMs = this.#effects.monotonicMs() + this.#spread(lookMs)
    if (metered && this.isFree) return
    this.#begin('look', metered ? [this.#current] : this.all)
  }

  #begin(why: Round['why'], places: readonly Place[]): void {
    this.#round = { why, startedMs: this.#effects.monotonicMs(), pending: new Set(places), answered: [] }
    for (const place of places) this.#effects.ask(place, answerMs)
  }

  #judge(round: Round): void {
    const now = this.#effects.monotonicMs()
    if (round.why !== 'look') this.#judgeRace(round, now)
    else if (round.pending.size === 0 || now >= round.startedMs + answerMs) this.#judgeLook(round, now)
  }

  #judgeRace(round: Round, now: number): void {
    const best = this.#best(round.answered, now)
    const isOver = round.pending.size === 0 || now >= round.startedMs + answerMs
    if (best === undefined) {
      if (!isOver) return
      this.#round = undefined
      if (round.why === 'doubt') return
      // Nobody answers: who blocks such questions may let a connection through. In turn, so that each is tried.
      const { all } = this
      const next = all[(all.indexOf(this.#current) + 1) % all.length]
      if (next !== undefined) this.#current = next
      return
    }
    const isNearest = [...round.pending].every((one) => this.#cost(one, now) >= this.#cost(best, now))
    if (!isOver && !isNearest && now < round.startedMs + patienceMs) return
    this.#round = undefined
    this.#go(best)
  }

  #judgeLook(round: Round, now: number): void {
    this.#round = undefined
    const isWhole = round.pending.size === 0 && round.answered.length === this.all.length
    const best = this.#best(
      round.answered.filter((one) => one === this.#current || (this.#returnMs.get(one) ?? now) <= now),
      now,
    )
    const isNearer =
      best !== undefined && best !== this.#current && this.#gain(best, now) > 0 && best.avoidUntilMs <= now && this.isFree
    this.#lookMs = now + this.#spread(isNearer ? lookAgainMs : isWhole && this.#returnMs.size === 0 ? lookMs : lookSoonMs)
    for (const [place, untilMs] of this.#returnMs) if (untilMs <= now) this.#returnMs.delete(place)
    if (!isNearer) this.#nearer = undefined
    else if (this.#nearer === best) {
      this.#nearer = undefined
      this.#go(best)
    } else this.#nearer = best
  }

  #go(place: Place): void {
    this.#current = place
    this.#enteredMs = undefined
    this.#lookMs = undefined
    this.#effects.move()
  }

  /** What a place is nearer than the one in use, beyond what makes it worth to go there; in milliseconds. */
  #gain(place: Place, now: number): number {
    const here = this.#cost(this.#current, now)
    return here - this.#cost(place, now) - Math.max(gainMs, here * gainShare)
  }

  #best(places: readonly Place[], now: number): Place | undefined {
    let best: Place | undefined
    for (const place of places) if (best === undefined || this.#cost(place, now) < this.#cost(best, now)) best = place
    return best
  }

  #cost(place: Place, now: number): number {
    const roundTripMs = place.roundTripMs ?? 0
    const dislike = place === this.all[0] ? 0 : preferenceMs
    const isBad = place.avoidUntilMs > now || (place.isLeaving && place !== this.#current)
    return roundTripMs + dislike + (isBad ? answerMs * 10 : 0)
  }

  /** Half to one and a half of it. */
  #spread(ms: number): number {
    return ms * (0.5 + this.#effects.random.uint32() / 2 ** 32)
  }
}
