/**
 * [hot] What a node keeps of an open Yjs document: for each client id the clock after its last struct (the state vector) and its deleted
 * ranges. Enough to tell what an update adds (SES7) and whether it comes too early (SES2), without any content.
 *
 * The delete set is that of the updates included. A document deletes some items by itself (the loser of two writes to one key, what is
 * inserted under a deleted parent); peers send those deletions too, and each is new to the index once. The index of a snapshot
 * holds them from the start.
 *
 * Encoded: version 1, count of clients, for each in ascending order its id (as the distance from the one before), next clock, count of
 * deleted ranges, for each the gap before it and its length. One index has one encoding.
 */

import * as encoding from 'lib0/encoding'
import type { EngineIndex, IndexDecoding, IsForeign, Judgement } from '../engine.js'
import { assert } from '../errors.js'
import { beyond, Cursor, invalid } from './cursor.js'
import { clientMax, clockMax, type Numbers, type YjsInspection } from './yjs-inspect.js'
import { ClockRanges } from './yjs-ranges.js'

const encodingVersion = 1

const premature = 'only updates that are not premature are included'

/** Ranges of one client above which it is faster to walk along all that are held than to search for each. */
const walkedMin = 64

/** Clients from which on an encoded state vector is kept. */
const rememberedMin = 256

interface ClientState {
  /** The clock of the next struct. */
  next: number
  /** All of them before `next`. */
  deletes: ClockRanges | undefined
}

export class YjsIndex implements EngineIndex {
  readonly engine = 'yjs'
  /** By client ids as signed integers: V8 keeps those of 2^31 and more on the heap, and finds them three times as slowly. */
  private readonly clients = new Map<number, ClientState>()
  /** Encoded, until a clock moves: everybody who comes is told it. */
  private stateVector: Uint8Array | undefined

  next(client: number): number {
    return this.clients.get(client | 0)?.next ?? 0
  }

  /**
   * The clocks that are held of the clients that an update brings structs of, deletes from or refers to, as a state vector; one may be there twice.
   * Whatever it deletes it brings itself, or needs. Behind it the clients, among those that it brings structs of, who are foreign.
   */
  encodeBasisOf({ structs, needs }: YjsInspection, isForeign: IsForeign): Uint8Array {
    const clients: number[] = []
    for (let at = 0; at < structs.length; at += 3) if (structs[at] !== structs[at - 3]) clients.push(structs[at] ?? 0)
    const brought = clients.length
    for (let at = 0; at < needs.length; at += 2) clients.push(needs[at] ?? 0)
    const encoder = encoding.createEncoder()
    encoding.writeVarUint(encoder, clients.length)
    for (const client of clients) {
      encoding.writeVarUint(encoder, client)
      encoding.writeVarUint(encoder, this.next(client))
    }
    const foreign = clients.slice(0, brought).filter(isForeign)
    encoding.writeVarUint(encoder, foreign.length)
    for (const client of foreign) encoding.writeVarUint(encoder, client)
    return encoding.toUint8Array(encoder)
  }

  /** The next struct of a client that is foreign, of which new ones are brought, in the form of `needs`. [hot] */
  foreignOf({ structs }: YjsInspection, isForeign: IsForeign): Numbers | undefined {
    for (let at = 0; at < structs.length; at += 3) {
      const client = structs[at] ?? 0
      const held = this.next(client)
      if ((structs[at + 2] ?? 0) > held && isForeign(client)) return [client, held + 1]
    }
    return undefined
  }

  judge({ structs, needs, deletes }: YjsInspection): Judgement {
    let addsStructs = false
    let client = -1
    let held = 0
    for (let at = 0; at < structs.length; at += 3) {
      if (structs[at] !== client) {
        client = structs[at] ?? 0
        held = this.next(client)
      }
      if ((structs[at + 1] ?? 0) > held) return 'premature'
      const to = structs[at + 2] ?? 0
      if (to > held) {
        addsStructs = true
        held = to
      }
    }
    for (let at = 0; at < needs.length; at += 2) {
      if (this.next(needs[at] ?? 0) < (needs[at + 1] ?? 0)) return 'premature'
    }
    return addsStructs || !this.holdsDeletes(deletes) ? 'new' : 'nothing'
  }

  /** The first thing that an update lacks, in the form of `needs`. */
  lackOf({ structs, needs }: YjsInspection): Numbers | undefined {
    let held = 0
    for (let at = 0; at < structs.length; at += 3) {
      const client = structs[at] ?? 0
      const from = structs[at + 1] ?? 0
      if (client !== structs[at - 3]) held = this.next(client)
      if (from > held) return [client, from]
      held = Math.max(held, structs[at + 2] ?? 0)
    }
    for (let at = 0; at < needs.length; at += 2) {
      const client = needs[at] ?? 0
      const clock = needs[at + 1] ?? 0
      if (this.next(client) < clock) return [client, clock]
    }
    return undefined
  }

  /** Structs of one client stand together. */
  clientsWith({ structs }: YjsInspection): number {
    let count = this.clients.size
    for (let at = 0; at < structs.length; at += 3) {
      const client = structs[at] ?? 0
      if (client !== structs[at - 3] && !this.clients.has(client | 0)) count++
    }
    return count
  }

  include({ structs, deletes }: YjsInspection): void {
    for (let at = 0; at < structs.length; ) {
      const client = structs[at] ?? 0
      const from = structs[at + 1] ?? 0
      const held = this.next(client)
      let to = 0
      for (; structs[at] === client; at += 3) {
        // What is between two ranges is held; only then is the later one not premature.
        assert(to === 0 || (structs[at + 1] ?? 0) <= Math.max(to, held), premature)
        to = structs[at + 2] ?? 0
      }
      this.advance(client, from, to)
    }
    for (let at = 0; at < deletes.length; ) {
      const client = deletes[at] ?? 0
      let count = 1
      while (deletes[at + count * 3] === client) count++
      const state = this.clients.get(client | 0)
      // Ranges ascend, so the last one ends last.
      assert(state !== undefined && (deletes[at + count * 3 - 1] ?? 0) <= state.next, premature)
      if (state.deletes === undefined && count === 1) state.deletes = ClockRanges.of(deletes[at + 1] ?? 0, deletes[at + 2] ?? 0)
      else {
        state.deletes ??= new ClockRanges()
        state.deletes.addAll(deletes, at, count)
      }
      at += count * 3
    }
  }

  /** Adds the structs [from, to) of a client. */
  advance(client: number, from: number, to: number): void {
    const state = this.clients.get(client | 0)
    assert(from <= (state?.next ?? 0), premature)
    if (state === undefined) this.clients.set(client | 0, { next: to, deletes: undefined })
    else if (to > state.next) state.next = to
    else return
    this.stateVector = undefined
  }

  /** Adds a deleted range of structs that the index holds. */
  delete(client: number, from: number, to: number): void {
    const state = this.clients.get(client | 0)
    assert(state !== undefined && to <= state.next, 'only structs that are held are deleted')
    state.deletes ??= new ClockRanges()
    state.deletes.add(from, to)
  }

  /** In the encoding of Yjs. */
  encodeStateVector(): Uint8Array {
    if (this.clients.size < rememberedMin) return this.makeStateVector()
    this.stateVector ??= this.makeStateVector()
    return this.stateVector
  }

  private makeStateVector(): Uint8Array {
    const encoder = encoding.createEncoder()
    encoding.writeVarUint(encoder, this.clients.size)
    for (const [client, { next }] of this.clients) {
      encoding.writeVarUint(encoder, client >>> 0)
      encoding.writeVarUint(encoder, next)
    }
    return encoding.toUint8Array(encoder)
  }

  encode(): Uint8Array {
    const encoder = encoding.createEncoder()
    encoding.writeUint8(encoder, encodingVersion)
    encoding.writeVarUint(encoder, this.clients.size)
    let before = 0
    const clients = [...this.clients].map(([client, state]) => [client >>> 0, state] as const)
    for (const [client, state] of clients.sort(([one], [other]) => one - other)) {
      encoding.writeVarUint(encoder, client - before)
      before = client
      encoding.writeVarUint(encoder, state.next)
      const count = state.deletes?.count ?? 0
      encoding.writeVarUint(encoder, count)
      let end = 0
      for (let index = 0; index < count; index++) {
        const from = state.deletes?.from(index) ?? 0
        const to = state.deletes?.to(index) ?? 0
        encoding.writeVarUint(encoder, from - end)
        encoding.writeVarUint(encoder, to - from)
        end = to
      }
    }
    return encoding.toUint8Array(encoder)
  }

  /** @throws MeridianError UPDATE_INVALID */
  static decode(bytes: Uint8Array): YjsIndex {
    const decoding = new YjsIndexDecoding(bytes)
    for (;;) {
      const index = decoding.step()
      if (index !== 'more') return index
    }
  }

  /** A client that the index does not have yet, as it was encoded. */
  adopt(client: number, next: number, deletes: ClockRanges | undefined): void {
    this.clients.set(client | 0, { next, deletes })
  }

  private holdsDeletes(deletes: Numbers): boolean {
    let client = -1
    let held: ClockRanges | undefined
    for (let at = 0; at < deletes.length; at += 3) {
      if (deletes[at] !== client) {
        client = deletes[at] ?? 0
        held = this.clients.get(client | 0)?.deletes
        let count = 1
        while (deletes[at + count * 3] === client) count++
        if (count > walkedMin) {
          if (held === undefined || !held.coversAll(deletes, at, count)) return false
          at += (count - 1) * 3
          continue
        }
      }
      if (held === undefined || !held.covers(deletes[at + 1] ?? 0, deletes[at + 2] ?? 0)) return false
    }
    return true
  }
}

/** Clients and ranges of one step: a millisecond or less. */
const decodedMax = 16_384

/** An encoded index on its way into memory, step by step: that of a document with very many deletions takes longer than anybody may be held up. */
export class YjsIndexDecoding implements IndexDecoding {
  readonly #cursor: Cursor
  readonly #index = new YjsIndex()
  #clientsLeft: number
  #client = -1
  #next = 0
  #rangesLeft = 0
  #deletes: ClockRanges | undefined
  /** Of the last range of the client. */
  #end = 0

  /** @throws MeridianError UPDATE_INVALID */
  constructor(bytes: Uint8Array) {
    const cursor = new Cursor(bytes)
    if (cursor.byte('version of an index') !== encodingVersion) throw invalid('version of an index', 0, 'unknown')
    // A client takes three bytes or more.
    this.#clientsLeft = cursor.varUint('count of clients', Math.floor(cursor.left / 3))
    this.#cursor = cursor
  }

  /** @throws MeridianError UPDATE_INVALID */
  step(): YjsIndex | 'more' {
    let left = decodedMax
    while (this.#rangesLeft > 0 || this.#clientsLeft > 0) {
      if (this.#rangesLeft === 0) this.#readClient()
      left--
      for (; this.#rangesLeft > 0 && left > 0; left--) this.#readRange()
      if (this.#rangesLeft === 0) this.#index.adopt(this.#client, this.#next, this.#deletes)
      if (left <= 0) return 'more'
    }
    const cursor = this.#cursor
    if (cursor.left !== 0)
      throw invalid('end of the index', cursor.offset, `followed by ${cursor.left} bytes that belong to nothing`)
    return this.#index
  }

  #readClient(): void {
    const cursor = this.#cursor
    const at = cursor.offset
    const distance = cursor.varUint('client of an index', clientMax)
    if (distance === 0 && this.#client >= 0) throw invalid('client of an index', at, 'there twice')
    this.#client = Math.max(0, this.#client) + distance
    if (this.#client > clientMax) throw beyond('client of an index', at, clientMax)
    this.#next = cursor.varUint('clock of an index', clockMax)
    if (this.#next === 0) throw invalid('clock of an index', at, 'zero')
    this.#clientsLeft--
    // A range takes two bytes or more.
    this.#rangesLeft = cursor.varUint('count of deletions', cursor.left >>> 1)
    this.#deletes = this.#rangesLeft === 0 ? undefined : new ClockRanges(this.#rangesLeft)
    this.#end = 0
  }

  #readRange(): void {
    const cursor = this.#cursor
    const at = cursor.offset
    const gap = cursor.varUint('gap before a deletion', clockMax)
    const length = cursor.varUint('length of a deletion', clockMax)
    if ((gap === 0 && this.#end > 0) || length === 0) throw invalid('deletion', at, 'joined to the one before, or empty')
    const from = this.#end + gap
    this.#end = from + length
    if (this.#end > this.#next) throw beyond('end of a deletion', at, this.#next)
    this.#deletes?.append(from, this.#end)
    this.#rangesLeft--
  }
}
