/**
 * [hot] What a node keeps of an Automerge document to judge updates: the names of all changes, where each one's counters end, which of them nothing
 * builds on yet (the heads), and how far each author is.
 */

import * as encoding from 'lib0/encoding'
import type { EngineIndex, IndexDecoding, Judgement } from '../engine.js'
import { bytesOfHex, counterMax, hashBytes, hexOf } from './automerge-chunks.js'
import { bytesOf, HashSet, hashWords, wordsOf } from './automerge-hashes.js'
import { AutomergeInspection, none, row } from './automerge-inspect.js'
import { Cursor, invalid } from './cursor.js'

interface Author {
  /** Sequence number of its last change. */
  seq: number
  /** Counter after its last operation. */
  nextOp: number
}

/** How far counters may leap beyond all that is held: an author may hold what is not here yet, and one that leaps to the end locks the document. */
const leapMax = 0x0100_0000

export class AutomergeIndex implements EngineIndex {
  readonly engine = 'automerge'
  readonly #hashes = new HashSet()
  /** For each change the counter after its last operation. */
  readonly #nextOps: number[] = []
  readonly #heads = new Set<number>()
  readonly #authors = new Map<string, Author>()
  #nextOp = 1

  judge(inspection: AutomergeInspection): Judgement {
    const { needs, hashes, count } = inspection
    for (let at = 0; at < needs.length; at += hashWords) if (!this.#hashes.has(needs, at)) return 'premature'
    let fresh = 0
    for (let change = 0; change < count; change++) if (!this.#hashes.has(hashes, change * hashWords)) fresh++
    if (fresh === 0) return 'nothing'
    return this.#contradicts(inspection) ? 'contradiction' : 'new'
  }

  /**
   * Whether a change that is not held claims a place in its author's row that another has, or leaves one free, or counts its operations from where
   * others are. Automerge takes one of two such changes and fails at the other, so each replica would be another document.
   */
  #contradicts({ rows, hashes, deps, actors, count }: AutomergeInspection): boolean {
    const brought = new Map<number, number[]>()
    let depAt = 0
    for (let change = 0; change < count; change++) {
      const at = change * row.size
      const depEnd = depAt + (rows[at + row.deps] ?? 0) * hashWords
      if (this.#hashes.has(hashes, change * hashWords)) {
        depAt = depEnd
        continue
      }
      const startOp = rows[at + row.startOp] ?? 0
      for (; depAt < depEnd; depAt += hashWords) {
        const held = this.#hashes.find(deps, depAt)
        if (held >= 0 && startOp < (this.#nextOps[held] ?? 0)) return true
      }
      const actor = rows[at + row.actor] ?? 0
      const author = this.#authors.get(actors[actor] ?? '')
      const seqs = brought.get(actor) ?? []
      if (seqs.length === 0) brought.set(actor, seqs)
      seqs.push(rows[at + row.seq] ?? 0)
      if (startOp < (author?.nextOp ?? 1) || startOp > this.#nextOp + leapMax) return true
    }
    for (const [actor, seqs] of brought) {
      let next = (this.#authors.get(actors[actor] ?? '')?.seq ?? 0) + 1
      for (const seq of seqs.length > 1 ? seqs.sort((one, other) => one - other) : seqs) if (seq !== next++) return true
    }
    return false
  }

  /** What of the `needs` is not held, one of them. */
  lackOf({ needs }: AutomergeInspection): AutomergeInspection | undefined {
    for (let at = 0; at < needs.length; at += hashWords) {
      if (this.#hashes.has(needs, at)) continue
      const lack = needs.slice(at, at + hashWords)
      return new AutomergeInspection({ bytes: 0, hashes: none, rows: none, deps: none, needs: lack, actors: [] })
    }
    return undefined
  }

  has(words: Uint32Array, at: number): boolean {
    return this.#hashes.has(words, at)
  }

  authorsWith({ actors }: AutomergeInspection): number {
    let count = this.#authors.size
    for (const actor of actors) if (!this.#authors.has(actor)) count++
    return count
  }

  include({ hashes, rows, deps, actors, count }: AutomergeInspection): void {
    for (let change = 0; change < count; change++) {
      if (!this.#hashes.add(hashes, change * hashWords)) continue
      const at = change * row.size
      const nextOp = rows[at + row.nextOp] ?? 0
      this.#nextOps.push(nextOp)
      this.#heads.add(this.#hashes.count - 1)
      const name = actors[rows[at + row.actor] ?? 0] ?? ''
      const seq = rows[at + row.seq] ?? 0
      const author = this.#authors.get(name)
      if (author === undefined) this.#authors.set(name, { seq, nextOp })
      else {
        author.seq = Math.max(author.seq, seq)
        author.nextOp = Math.max(author.nextOp, nextOp)
      }
      this.#nextOp = Math.max(this.#nextOp, nextOp)
    }
    for (let at = 0; at < deps.length; at += hashWords) this.#heads.delete(this.#hashes.find(deps, at))
  }

  /** The heads, one after the other, in ascending order. */
  encodeHeads(): Uint8Array {
    const { words } = this.#hashes
    const heads = [...this.#heads].map((place) => hexOf(bytesOf(words.subarray(place * hashWords, (place + 1) * hashWords))))
    return bytesOfHex(heads.sort().join(''))
  }

  encode(): Uint8Array {
    const encoder = encoding.createEncoder()
    encoding.writeVarUint(encoder, this.#hashes.count)
    encoding.writeUint8Array(encoder, bytesOf(this.#hashes.words))
    for (const nextOp of this.#nextOps) encoding.writeVarUint(encoder, nextOp)
    encoding.writeVarUint(encoder, this.#heads.size)
    for (const head of this.#heads) encoding.writeVarUint(encoder, head)
    encoding.writeVarUint(encoder, this.#authors.size)
    for (const [name, { seq, nextOp }] of this.#authors) {
      encoding.writeVarUint8Array(encoder, bytesOfHex(name))
      encoding.writeVarUint(encoder, seq)
      encoding.writeVarUint(encoder, nextOp)
    }
    return encoding.toUint8Array(encoder)
  }

  /** @throws MeridianError UPDATE_INVALID if the bytes are no index */
  static decode(bytes: Uint8Array): AutomergeIndex {
    const decoding = new AutomergeIndexDecoding(bytes)
    for (;;) {
      const index = decoding.step()
      if (index !== 'more') return index
    }
  }

  /** Part of `encode`: names from `bytes`. @returns how many of them were there already */
  addHashes(bytes: Uint8Array): number {
    const words = wordsOf(bytes)
    let twice = 0
    for (let at = 0; at < words.length; at += hashWords) if (!this.#hashes.add(words, at)) twice++
    return twice
  }

  addNextOp(nextOp: number): void {
    this.#nextOps.push(nextOp)
    this.#nextOp = Math.max(this.#nextOp, nextOp)
  }

  addHead(place: number): void {
    this.#heads.add(place)
  }

  /** @returns false if there is one of this name */
  addAuthor(name: string, author: Author): boolean {
    if (this.#authors.has(name)) return false
    this.#authors.set(name, author)
    this.#nextOp = Math.max(this.#nextOp, author.nextOp)
    return true
  }
}

/** Of what is decoded in one step: well below a millisecond. */
const perStep = 2_048

export class AutomergeIndexDecoding implements IndexDecoding {
  readonly #cursor: Cursor
  readonly #index = new AutomergeIndex()
  readonly #count: number
  #part: 'hashes' | 'counters' | 'heads' | 'authors' = 'hashes'
  #left: number
  #lastHead = -1

  constructor(bytes: Uint8Array) {
    this.#cursor = new Cursor(bytes)
    this.#count = this.#cursor.varUint('count of changes', Math.floor(this.#cursor.left / hashBytes))
    this.#left = this.#count
  }

  step(): AutomergeIndex | 'more' {
    const cursor = this.#cursor
    const count = Math.min(this.#left, perStep)
    switch (this.#part) {
      case 'hashes': {
        const from = cursor.offset
        cursor.skip('names of changes', count * hashBytes)
        if (this.#index.addHashes(cursor.bytes.subarray(from, cursor.offset)) > 0)
          throw invalid('name of a change', from, 'there twice')
        return this.#next(count, 'counters', () => this.#count)
      }
      case 'counters':
        for (let index = 0; index < count; index++) this.#index.addNextOp(cursor.varUint('counter', counterMax + 1))
        return this.#next(count, 'heads', () => cursor.varUint('count of heads', this.#count))
      case 'heads':
        for (let index = 0; index < count; index++) {
          const head = cursor.varUint('head', this.#count - 1)
          if (head <= this.#lastHead) throw invalid('heads', cursor.offset, 'out of order')
          this.#lastHead = head
          this.#index.addHead(head)
        }
        return this.#next(count, 'authors', () => cursor.varUint('count of authors', cursor.left))
      case 'authors':
        for (let index = 0; index < count; index++) this.#author()
        this.#left -= count
        if (this.#left > 0) return 'more'
        if (cursor.left > 0)
          throw invalid('end of the index', cursor.offset, `followed by ${cursor.left} bytes that belong to nothing`)
        return this.#index
    }
  }

  #next(done: number, part: 'counters' | 'heads' | 'authors', count: () => number): 'more' {
    this.#left -= done
    if (this.#left > 0) return 'more'
    this.#part = part
    this.#left = count()
    return 'more'
  }

  #author(): void {
    const cursor = this.#cursor
    const length = cursor.varUint('length of an author', cursor.left)
    const from = cursor.offset
    cursor.skip('author', length)
    const name = hexOf(cursor.bytes.subarray(from, cursor.offset))
    const seq = cursor.varUint('sequence number', counterMax)
    if (!this.#index.addAuthor(name, { seq, nextOp: cursor.varUint('counter', counterMax + 1) }))
      throw invalid('author', from, 'there twice')
  }
}
