/**
 * The Yjs engine. Light half: updates (V1 only) are inspected and judged as bytes, see yjs-inspect.ts and yjs-index.ts. Heavy
 * half, for workers: one live document that all updates go into, garbage collected, and never edited.
 *
 * A live document of Yjs does two things by itself that a store must not do, and both hang on a transaction being remote: it deletes format
 * marks that it finds superfluous, and which ones depends on the order of updates; and it draws a new client id by chance, with a
 * message on the console, when it meets its own. So before observers run every transaction is called local here.
 */

import * as encoding from 'lib0/encoding'
import { digest as sha256 } from 'lib0/hash/sha256'
import * as Y from 'yjs'
import type {
  Edit,
  Engine,
  EngineIndex,
  EngineState,
  IndexDecoding,
  InspectLimits,
  IsForeign,
  Inspection,
  Judgement,
  PackedInspection,
  Reading,
} from '../engine.js'
import { assert, MeridianError } from '../errors.js'
import { admissibleOf, type Basis } from './yjs-admissible.js'
import { writeContent } from './yjs-content.js'
import { Cursor, invalid } from './cursor.js'
import { YjsIndex, YjsIndexDecoding } from './yjs-index.js'
import { clientMax, clockMax, inspectAgain, inspectYjs, YjsInspection } from './yjs-inspect.js'
import { readYjs } from './yjs-json.js'
import { editYjs } from './yjs-patch.js'

export const yjsEngine: Engine = {
  name: 'yjs',
  isHeavy: false,

  inspect: (update: Uint8Array, limits: InspectLimits): Inspection => inspectYjs(update, limits),

  emptyIndex: (): EngineIndex => new YjsIndex(),

  judge: (index: EngineIndex, inspection: Inspection): Judgement => ownIndex(index).judge(ownInspection(inspection)),

  authorsWith: (index: EngineIndex, inspection: Inspection): number => ownIndex(index).clientsWith(ownInspection(inspection)),

  pack: (inspection: Inspection): PackedInspection => {
    const { bytes, structs, needs, deletes } = ownInspection(inspection)
    return { bytes, lists: [structs, needs, deletes].map((list) => Uint32Array.from(list)) }
  },

  unpack: ({ bytes, lists: [structs = none, needs = none, deletes = none] }: PackedInspection): Inspection =>
    new YjsInspection(bytes, structs, needs, deletes),

  /**
   * Yjs integrates the rest of a half held struct next to what it holds under the ids before, but in the parent of the incoming one. If
   * the two are different things (a client id used twice, or forged) that throws in the middle of a transaction, at once or when garbage
   * is collected, in every replica. Cut here, the rest follows what is held.
   */
  overlap(index: EngineIndex, inspection: Inspection): Uint8Array | undefined {
    const held = ownIndex(index)
    return overlapOf(ownInspection(inspection), (client) => held.next(client))
  },

  cut: (update: Uint8Array, overlap: Uint8Array): Uint8Array => Y.diffUpdate(update, overlap),

  basis: (index: EngineIndex, inspection: Inspection, isForeign: IsForeign = () => false): Uint8Array =>
    ownIndex(index).encodeBasisOf(ownInspection(inspection), isForeign),

  admissible: (update: Uint8Array, basis: Uint8Array): Uint8Array => admissibleOf(update, decodeBasis(basis)),

  foreign(index: EngineIndex, inspection: Inspection, isForeign: IsForeign): Inspection | undefined {
    const foreign = ownIndex(index).foreignOf(ownInspection(inspection), isForeign)
    return foreign === undefined ? undefined : new YjsInspection(0, [], foreign, [])
  },

  lacking(index: EngineIndex, inspection: Inspection): Inspection | undefined {
    const lack = ownIndex(index).lackOf(ownInspection(inspection))
    return lack === undefined ? undefined : new YjsInspection(0, [], lack, [])
  },

  include(index: EngineIndex, inspection: Inspection): void {
    ownIndex(index).include(ownInspection(inspection))
  },

  stateVector: (index: EngineIndex): Uint8Array => ownIndex(index).encodeStateVector(),

  encodeIndex: (index: EngineIndex): Uint8Array => ownIndex(index).encode(),

  decodeIndex: (bytes: Uint8Array): EngineIndex => YjsIndex.decode(bytes),

  beginIndex: (bytes: Uint8Array): IndexDecoding => new YjsIndexDecoding(bytes),

  snapshot: (updates: readonly Uint8Array[]): EngineState =>
    materialise(updates, (doc) => ({ bytes: Y.encodeStateAsUpdate(doc), index: indexOf(doc).encode() })),

  /**
   * A state vector says nothing about deletions, so the whole delete set comes along whatever `known` is. Only if no struct is missing
   * and nothing was ever deleted is the difference empty.
   */
  diff(updates: readonly Uint8Array[], known: Uint8Array): Uint8Array {
    checkStateVector(known)
    return materialise(updates, (doc) => {
      const difference = Y.encodeStateAsUpdate(doc, known.length === 0 ? undefined : known)
      return difference.length === 2 && difference[0] === 0 && difference[1] === 0 ? new Uint8Array(0) : difference
    })
  },

  merge: (updates: readonly Uint8Array[]): Uint8Array => Y.mergeUpdates([...updates]),

  differences(updates: readonly Uint8Array[], known: Uint8Array): readonly Uint8Array[] {
    checkStateVector(known)
    if (known.length === 0) return updates
    const differences: Uint8Array[] = []
    for (const update of updates) {
      const difference = Y.diffUpdate(update, known)
      // No structs and no deletions.
      if (difference.length > 2) differences.push(difference)
    }
    return differences
  },

  read: (updates: readonly Uint8Array[], reading: Reading): string => materialise(updates, (doc) => readYjs(doc, reading)),

  /** What is formatted, or deleted by others, is not looked at again: only what the edit itself does becomes the update. */
  edit: (updates: readonly Uint8Array[], edit: Edit, author: number): Uint8Array =>
    materialise(updates, (doc) => {
      if (Y.getState(doc.store, author) > 0)
        throw new MeridianError('UPDATE_INVALID', { message: 'The author of an edit is new to its document.' })
      doc.clientID = author
      const made: Uint8Array[] = []
      doc.on('update', (update: Uint8Array) => made.push(update))
      doc.transact(() => editYjs(doc, edit))
      const [update] = made
      assert(made.length < 2, 'a transaction makes one update')
      return update ?? new Uint8Array(0)
    }),

  /** There are no other forms that are taken. */
  translate: (foreign: Uint8Array): Uint8Array => foreign,

  digest: (updates: readonly Uint8Array[]): string =>
    materialise(updates, (doc) => {
      const encoder = encoding.createEncoder()
      encoding.writeVarUint8Array(encoder, indexOf(doc).encode())
      writeContent(encoder, doc)
      return hex(sha256(encoding.toUint8Array(encoder)))
    }),
}

/** The client ids whose structs an update brings: who it was made by, and whose future edits it would swallow if it was forged. */
export function authorsOf(inspection: Inspection): readonly number[] {
  const { structs } = ownInspection(inspection)
  const authors: number[] = []
  for (let at = 0; at < structs.length; at += 3) {
    const client = structs[at] ?? 0
    if (client !== authors.at(-1)) authors.push(client)
  }
  return authors
}

const none = new Uint32Array(0)

/** Of the documents here, which never edit; set because Yjs would draw one by chance. */
const readerClientId = 0

/**
 * Updates that share one transaction. Yjs looks at the state of every client before and after each transaction and merges what stands
 * together at its end. One update each: 1.1 s for 260,000 keystrokes of one author, 1.8 s for 12,000 of 3,000 authors; 256: 0.6 s and
 * 0.04 s; thousands: slower again for the first, as lists of structs grow long before they are merged.
 */
const updatesPerTransaction = 256

/**
 * All of `updates` in one document. If Yjs throws, once more without collecting garbage: a list item that was put into the entries of
 * a map, which no bytes show, makes just that throw. Such a state is larger, but the document lives.
 */
function materialise<Result>(updates: readonly Uint8Array[], read: (doc: Y.Doc) => Result): Result {
  try {
    return read(load(updates, 'collect'))
  } catch (error) {
    if (error instanceof MeridianError) throw error
  }
  try {
    return read(load(updates, 'keep'))
  } catch (cause) {
    if (cause instanceof MeridianError) throw cause
    throw new MeridianError('UPDATE_INVALID', { message: 'Yjs cannot apply the updates.', cause })
  }
}

function load(updates: readonly Uint8Array[], garbage: 'collect' | 'keep'): Y.Doc {
  // The guid is given because Yjs would draw it by chance; it is in no update.
  const doc = new Y.Doc({ guid: 'materialised', gc: garbage === 'collect' })
  doc.clientID = readerClientId
  doc.on('beforeObserverCalls', (transaction) => {
    transaction.local = true
  })
  const next = (client: number): number => Y.getState(doc.store, client)
  for (let from = 0; from < updates.length; from += updatesPerTransaction) {
    doc.transact(() => {
      for (const update of updates.slice(from, from + updatesPerTransaction)) {
        const overlap = overlapOf(inspectAgain(update), next)
        Y.applyUpdate(doc, overlap === undefined ? update : Y.diffUpdate(update, overlap))
      }
    })
  }
  if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null) {
    throw new MeridianError('UPDATE_INVALID', { message: 'The updates build on something that is not among them.' })
  }
  return doc
}

/** What is held of the clients whose structs the update brings again, as a state vector; undefined if all that it brings is new. */
function overlapOf({ structs }: YjsInspection, next: (client: number) => number): Uint8Array | undefined {
  const overlapped = new Map<number, number>()
  let client = -1
  for (let at = 0; at < structs.length; at += 3) {
    // A client's ranges ascend: if the first is not held, none is.
    if (structs[at] === client) continue
    client = structs[at] ?? 0
    const held = next(client)
    if ((structs[at + 1] ?? 0) < held) overlapped.set(client, held)
  }
  return overlapped.size === 0 ? undefined : encodeStateVector(overlapped)
}

/** In the encoding of Yjs. */
function encodeStateVector(clocks: ReadonlyMap<number, number>): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, clocks.size)
  for (const [client, clock] of clocks) {
    encoding.writeVarUint(encoder, client)
    encoding.writeVarUint(encoder, clock)
  }
  return encoding.toUint8Array(encoder)
}

/** The index of all that the document holds, what it deleted by itself included. */
function indexOf(doc: Y.Doc): YjsIndex {
  const index = new YjsIndex()
  for (const [client, structs] of doc.store.clients) {
    const last = structs.at(-1)
    if (last === undefined) continue
    index.advance(client, 0, last.id.clock + last.length)
    for (const struct of structs) if (struct.deleted) index.delete(client, struct.id.clock, struct.id.clock + struct.length)
  }
  return index
}

/** @throws MeridianError UPDATE_INVALID unless the bytes are a state vector (V1) or none at all. */
function checkStateVector(known: Uint8Array): void {
  if (known.length > 0) decodeStateVector(known)
}

/** @throws MeridianError UPDATE_INVALID */
function decodeBasis(bytes: Uint8Array): Basis {
  const cursor = new Cursor(bytes)
  const held = readStateVector(cursor)
  const count = cursor.varUint('count of foreign clients in a basis', cursor.left)
  const foreign = new Set<number>()
  for (let index = 0; index < count; index++) foreign.add(cursor.varUint('foreign client of a basis', clientMax))
  refuseRest(cursor)
  return { held, foreign }
}

function decodeStateVector(bytes: Uint8Array): ReadonlyMap<number, number> {
  const cursor = new Cursor(bytes)
  const clocks = readStateVector(cursor)
  refuseRest(cursor)
  return clocks
}

function readStateVector(cursor: Cursor): ReadonlyMap<number, number> {
  const clocks = new Map<number, number>()
  const count = cursor.varUint('count of clients in a state vector', cursor.left >>> 1)
  for (let index = 0; index < count; index++) {
    const client = cursor.varUint('client of a state vector', clientMax)
    clocks.set(client, cursor.varUint('clock of a state vector', clockMax))
  }
  return clocks
}

function refuseRest(cursor: Cursor): void {
  if (cursor.left !== 0)
    throw invalid('end of the state vector', cursor.offset, `followed by ${cursor.left} bytes that belong to nothing`)
}

function ownInspection(inspection: Inspection): YjsInspection {
  assert(inspection instanceof YjsInspection, 'an inspection is used with the engine that made it')
  return inspection
}

function ownIndex(index: EngineIndex): YjsIndex {
  assert(index instanceof YjsIndex, 'an index is used with the engine that made it')
  return index
}

function hex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}
