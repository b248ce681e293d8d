/**
 * The Automerge engine. An update is one or more changes, each as the chunk that Automerge itself stores; a state is the same, all changes of
 * the document in an order in which each can be applied. So nothing but content needs Automerge: judging, cutting, folding, comparing and
 * digests are work on graphs of hashes, done in own code (automerge-inspect.ts, automerge-index.ts, automerge-changes.ts), and no
 * bytes of strangers reach wasm on the hot path. What is given away for that is size: a document chunk of Automerge is smaller,
 * but says its hashes only to who rebuilds every change from it.
 *
 * Content is read and edited by what `automergeEngineWith` is given: automerge-content.ts in threads; nothing where no wasm is wanted.
 */

import { digest as sha256 } from 'lib0/hash/sha256'
import type {
  Edit,
  Engine,
  EngineIndex,
  EngineState,
  IndexDecoding,
  InspectLimits,
  Inspection,
  Judgement,
  PackedInspection,
  Reading,
} from '../engine.js'
import { concat } from '../bytes.js'
import { assert } from '../errors.js'
import { Changes } from './automerge-changes.js'
import { chunkEnds, foreignChunks, hashBytes, hexOf } from './automerge-chunks.js'
import { bytesOf, HashSet, hashWords, wordsOf } from './automerge-hashes.js'
import { AutomergeIndex, AutomergeIndexDecoding } from './automerge-index.js'
import { AutomergeInspection, inspectAgain, inspectAutomerge, packAutomerge, unpackAutomerge } from './automerge-inspect.js'
import { invalid } from './cursor.js'

/** What needs Automerge itself. */
export interface AutomergeContent {
  /** @param changes chunks of one document, each after those that it builds on */
  read(changes: readonly Uint8Array[], reading: Reading): string
  /** The changes in a chunk of another kind. @throws MeridianError UPDATE_INVALID */
  changesIn(chunk: Uint8Array, type: 'document' | 'compressed'): readonly Uint8Array[]
  /** @returns one chunk, empty if nothing changes */
  edit(changes: readonly Uint8Array[], edit: Edit, actor: string): Uint8Array
}

/** For where content is neither read nor edited: beside sessions, in clients. */
export const automergeEngine: Engine = automergeEngineWith(undefined)

export function automergeEngineWith(content: AutomergeContent | undefined): Engine {
  return {
    name: 'automerge',
    isHeavy: true,

    inspect: (update: Uint8Array, limits: InspectLimits): Inspection => inspectAutomerge(update, limits),

    emptyIndex: (): EngineIndex => new AutomergeIndex(),

    judge: (index: EngineIndex, inspection: Inspection): Judgement => ownIndex(index).judge(ownInspection(inspection)),

    authorsWith: (index: EngineIndex, inspection: Inspection): number => ownIndex(index).authorsWith(ownInspection(inspection)),

    pack: (inspection: Inspection): PackedInspection => packAutomerge(ownInspection(inspection)),

    unpack: (packed: PackedInspection): Inspection => unpackAutomerge(packed),

    /** Which of its changes are held, a bit each. */
    overlap(index: EngineIndex, inspection: Inspection): Uint8Array | undefined {
      const { hashes, count } = ownInspection(inspection)
      const held = ownIndex(index)
      const bits = new Uint8Array((count + 7) >>> 3)
      let any = false
      for (let change = 0; change < count; change++) {
        if (!held.has(hashes, change * hashWords)) continue
        bits[change >>> 3] = (bits[change >>> 3] ?? 0) | (1 << (change & 7))
        any = true
      }
      return any ? bits : undefined
    },

    cut(update: Uint8Array, overlap: Uint8Array): Uint8Array {
      const kept: Uint8Array[] = []
      let from = 0
      for (const [change, to] of chunkEnds(update).entries()) {
        if (((overlap[change >>> 3] ?? 0) & (1 << (change & 7))) === 0) kept.push(update.subarray(from, to))
        from = to
      }
      return concat(kept)
    },

    /** What it builds on that is held: names. What it brings that is held builds on such as well. */
    basis(index: EngineIndex, inspection: Inspection): Uint8Array {
      const { needs } = ownInspection(inspection)
      const held = ownIndex(index)
      const words: number[] = []
      for (let at = 0; at < needs.length; at += hashWords)
        if (held.has(needs, at)) for (let index_ = at; index_ < at + hashWords; index_++) words.push(needs[index_] ?? 0)
      return bytesOf(Uint32Array.from(words))
    },

    admissible(update: Uint8Array, basis: Uint8Array): Uint8Array {
      const held = setOf(wordsOf(basis))
      const changes = new Changes([update])
      const order = changes.orderFrom((words, at) => held.has(words, at))
      return concat(order.map((place) => changes.chunks[place] ?? new Uint8Array(0)))
    },

    // Actors are bound to nobody.
    foreign: () => undefined,

    lacking: (index: EngineIndex, inspection: Inspection): Inspection | undefined =>
      ownIndex(index).lackOf(ownInspection(inspection)),

    include(index: EngineIndex, inspection: Inspection): void {
      ownIndex(index).include(ownInspection(inspection))
    },

    stateVector: (index: EngineIndex): Uint8Array => ownIndex(index).encodeHeads(),

    encodeIndex: (index: EngineIndex): Uint8Array => ownIndex(index).encode(),

    decodeIndex: (bytes: Uint8Array): EngineIndex => AutomergeIndex.decode(bytes),

    beginIndex: (bytes: Uint8Array): IndexDecoding => new AutomergeIndexDecoding(bytes),

    snapshot(updates: readonly Uint8Array[]): EngineState {
      const bytes = merged(updates)
      const index = new AutomergeIndex()
      if (bytes.length > 0) index.include(inspectAgain(bytes, 'columns'))
      return { bytes, index: index.encode() }
    },

    diff: (updates: readonly Uint8Array[], known: Uint8Array): Uint8Array => {
      const heads = headsOf(known)
      const changes = new Changes(updates)
      const isHeld = changes.heldBy(heads)
      const rest = changes.order().filter((place) => isHeld[place] === 0)
      return concat(rest.map((place) => changes.chunks[place] ?? new Uint8Array(0)))
    },

    merge: (updates: readonly Uint8Array[]): Uint8Array => concat(new Changes(updates).chunks),

    differences(updates: readonly Uint8Array[], known: Uint8Array): readonly Uint8Array[] {
      const heads = headsOf(known)
      if (heads.length === 0) return updates
      const changes = new Changes(updates)
      const isHeld = changes.heldBy(heads)
      const differences: Uint8Array[] = []
      let place = 0
      for (const count of changes.counts) {
        const kept: Uint8Array[] = []
        for (const chunk of changes.chunks.slice(place, place + count)) if (isHeld[place++] === 0) kept.push(chunk)
        if (kept.length > 0) differences.push(concat(kept))
      }
      return differences
    },

    read(updates: readonly Uint8Array[], reading: Reading): string {
      assert(content !== undefined, 'content is read where Automerge is')
      return content.read(new Changes(updates).effective(), reading)
    },

    edit(updates: readonly Uint8Array[], edit: Edit, author: number): Uint8Array {
      assert(content !== undefined, 'content is edited where Automerge is')
      const changes = new Changes(updates)
      const actor = actorOf(author)
      if (changes.isAuthor(actor)) throw invalid('author of an edit', 0, 'one of its document already')
      return content.edit(changes.effective(), edit, actor)
    },

    translate(foreign: Uint8Array): Uint8Array {
      assert(content !== undefined, 'documents are taken apart where Automerge is')
      const chunks = foreignChunks(foreign)
      return concat(chunks.flatMap(({ bytes, type }) => (type === 'change' ? [bytes] : content.changesIn(bytes, type))))
    },

    /** Over the heads: the name of a change covers all that it builds on. */
    digest(updates: readonly Uint8Array[]): string {
      const bytes = merged(updates)
      const index = new AutomergeIndex()
      if (bytes.length > 0) index.include(inspectAgain(bytes, 'heads'))
      return hexOf(sha256(index.encodeHeads()))
    },
  }
}

/** In order, each change once. @throws MeridianError UPDATE_INVALID if something is missing */
function merged(updates: readonly Uint8Array[]): Uint8Array {
  const changes = new Changes(updates.filter(({ length }) => length > 0))
  return concat(changes.order().map((place) => changes.chunks[place] ?? new Uint8Array(0)))
}

/** Authors of edits by HTTP are numbers; in 16 bytes as other actors are. */
const actorOf = (author: number): string => `6d65726964${author.toString(16).padStart(22, '0')}`

/** @throws MeridianError UPDATE_INVALID unless the bytes are heads, or nothing */
function headsOf(known: Uint8Array): Uint32Array {
  if (known.length % hashBytes !== 0) throw invalid('heads', known.length, 'no list of hashes')
  return wordsOf(known)
}

function setOf(words: Uint32Array): HashSet {
  const set = new HashSet()
  for (let at = 0; at < words.length; at += hashWords) set.add(words, at)
  return set
}

function ownInspection(inspection: Inspection): AutomergeInspection {
  assert(inspection instanceof AutomergeInspection, 'an inspection is used with the engine that made it')
  return inspection
}

function ownIndex(index: EngineIndex): AutomergeIndex {
  assert(index instanceof AutomergeIndex, 'an index is used with the engine that made it')
  return index
}
