/** The changes of several updates of one document, each once, as a graph. The updates were inspected when they came. */

import { MeridianError } from '../errors.js'
import { chunkEnds } from './automerge-chunks.js'
import { HashSet, hashWords } from './automerge-hashes.js'
import { inspectAgain, row } from './automerge-inspect.js'

export class Changes {
  readonly chunks: Uint8Array[] = []
  /** How many of `chunks` each update brought. */
  readonly counts: number[] = []
  readonly #hashes = new HashSet()
  /** What each builds on, as words. */
  readonly #deps: Uint32Array[] = []
  /** Of each: who made it and the how manieth of them it is. */
  readonly #dots: string[] = []
  readonly #actors = new Set<string>()

  constructor(updates: readonly Uint8Array[]) {
    for (const update of updates) {
      const { hashes, rows, deps, actors } = inspectAgain(update, 'heads')
      let from = 0
      let depFrom = 0
      const before = this.chunks.length
      for (const [change, to] of chunkEnds(update).entries()) {
        const at = change * row.size
        const depTo = depFrom + (rows[at + row.deps] ?? 0) * hashWords
        if (this.#hashes.add(hashes, change * hashWords)) {
          this.chunks.push(update.subarray(from, to))
          this.#deps.push(deps.subarray(depFrom, depTo))
          const actor = actors[rows[at + row.actor] ?? 0] ?? ''
          this.#actors.add(actor)
          this.#dots.push(`${actor}:${rows[at + row.seq] ?? 0}`)
        }
        from = to
        depFrom = depTo
      }
      this.counts.push(this.chunks.length - before)
    }
  }

  isAuthor(actor: string): boolean {
    return this.#actors.has(actor)
  }

  find(words: Uint32Array, at: number): number {
    return this.#hashes.find(words, at)
  }

  /** Their places in an order in which each follows what it builds on. @throws MeridianError UPDATE_INVALID if something of that is missing */
  order(): number[] {
    const order = this.orderFrom(() => false)
    if (order.length < this.chunks.length)
      throw new MeridianError('UPDATE_INVALID', { message: 'The updates build on something that is not among them.' })
    return order
  }

  /** The same for those that build on nothing but one another and what `isHeld`, which is told of hashes that are none of these. */
  orderFrom(isHeld: (words: Uint32Array, at: number) => boolean): number[] {
    const order: number[] = []
    const lacking = new Uint32Array(this.chunks.length)
    const dependents = new Map<number, number[]>()
    for (const [place, deps] of this.#deps.entries()) {
      for (let at = 0; at < deps.length; at += hashWords) {
        const dep = this.find(deps, at)
        if (dep < 0 ? isHeld(deps, at) : dep < place && lacking[dep] === 0) continue
        lacking[place] = (lacking[place] ?? 0) + 1
        if (dep < 0) continue
        const waiting = dependents.get(dep)
        if (waiting === undefined) dependents.set(dep, [place])
        else waiting.push(place)
      }
      if (lacking[place] === 0) order.push(place)
    }
    // Whoever waits for something that came later, or that waited itself.
    for (const place of order) {
      for (const dependent of dependents.get(place) ?? []) {
        lacking[dependent] = (lacking[dependent] ?? 0) - 1
        if (lacking[dependent] === 0) order.push(dependent)
      }
    }
    return order
  }

  /** For each place 1 if one of `known` is it or builds on it; what of `known` is none of these is nothing. */
  heldBy(known: Uint32Array): Uint8Array {
    const isHeld = new Uint8Array(this.chunks.length)
    const waiting: number[] = []
    const hold = (words: Uint32Array, at: number): void => {
      const place = this.find(words, at)
      if (place < 0 || isHeld[place] === 1) return
      isHeld[place] = 1
      waiting.push(place)
    }
    for (let at = 0; at < known.length; at += hashWords) hold(known, at)
    for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
      const deps = this.#deps[place] ?? new Uint32Array(0)
      for (let at = 0; at < deps.length; at += hashWords) hold(deps, at)
    }
    return isHeld
  }

  /**
   * The chunks that make the document, in order: all of them, unless an author made two changes of one number. Then the one with the least name
   * counts, here and in every other replica, and what builds on another does not.
   */
  effective(): Uint8Array[] {
    const order = this.order()
    const { words } = this.#hashes
    const first = new Map<string, number>()
    for (const place of order) {
      const dot = this.#dots[place] ?? ''
      const other = first.get(dot)
      if (other === undefined || isLess(words, place, other)) first.set(dot, place)
    }
    if (first.size === order.length) return order.map((place) => this.chunks[place] ?? new Uint8Array(0))
    const isOut = new Uint8Array(order.length)
    const chunks: Uint8Array[] = []
    for (const place of order) {
      const deps = this.#deps[place] ?? new Uint32Array(0)
      let out = first.get(this.#dots[place] ?? '') !== place
      for (let at = 0; at < deps.length && !out; at += hashWords) out = isOut[this.find(deps, at)] === 1
      if (out) isOut[place] = 1
      else chunks.push(this.chunks[place] ?? new Uint8Array(0))
    }
    return chunks
  }
}

function isLess(words: Uint32Array, one: number, other: number): boolean {
  for (let index = 0; index < hashWords; index++) {
    const difference = (words[one * hashWords + index] ?? 0) - (words[other * hashWords + index] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}
