/**
 * [hot] The inspection of Automerge updates: their chunks, checked to the last byte (automerge-chunks.ts, automerge-columns.ts), as names, what each
 * builds on, and who made it.
 */

import type { Inspection, InspectLimits, PackedInspection } from '../engine.js'
import { MeridianError } from '../errors.js'
import { counterMax, hexOf, bytesOfHex, readChunk, readHead } from './automerge-chunks.js'
import { freeDeletions, freeOperations, inspectColumns, operationsPerByte } from './automerge-columns.js'
import { HashSet, hashWords, wordsOf } from './automerge-hashes.js'
import { Cursor, beyond, invalid } from './cursor.js'

/** Numbers of one change in `rows`. */
export const row = { actor: 0, seq: 1, startOp: 2, nextOp: 3, deps: 4, size: 5 } as const

export class AutomergeInspection implements Inspection {
  readonly engine = 'automerge'
  readonly bytes: number
  /** The name of each change, once, as words. */
  readonly hashes: Uint32Array
  /** For each change the numbers that `row` names: place of its author in `actors`, sequence number, counters, how many it builds on. */
  readonly rows: Uint32Array
  /** What each builds on, one after the other, as words. */
  readonly deps: Uint32Array
  /** What they build on and do not bring themselves, as words; something twice if several build on it. */
  readonly needs: Uint32Array
  /** Authors in lower-case hex, each once. */
  readonly actors: readonly string[]

  constructor(parts: Omit<AutomergeInspection, 'engine' | 'count'>) {
    this.bytes = parts.bytes
    this.hashes = parts.hashes
    this.rows = parts.rows
    this.deps = parts.deps
    this.needs = parts.needs
    this.actors = parts.actors
  }

  get count(): number {
    return this.rows.length / row.size
  }
}

/** Of chunks that were inspected before: they come from the log, or from here. */
const trusted: InspectLimits = {
  updateBytesMax: Number.POSITIVE_INFINITY,
  depthMax: Number.POSITIVE_INFINITY,
  clientsMax: Number.POSITIVE_INFINITY,
  rangesMax: Number.POSITIVE_INFINITY,
}

/** @throws MeridianError UPDATE_INVALID, UPDATE_TOO_LARGE */
export function inspectAutomerge(update: Uint8Array, limits: InspectLimits): AutomergeInspection {
  if (update.length > limits.updateBytesMax) throw new MeridianError('UPDATE_TOO_LARGE')
  if (update.length === 0) throw invalid('update', 0, 'empty')
  return read(update, limits, 'columns')
}

/** The same for what was inspected before, without limits. Only `heads` are looked into if nobody asks where counters end. */
export const inspectAgain = (update: Uint8Array, what: 'columns' | 'heads'): AutomergeInspection => read(update, trusted, what)

function read(update: Uint8Array, limits: InspectLimits, what: 'columns' | 'heads'): AutomergeInspection {
  const cursor = new Cursor(update)
  const seen = new HashSet()
  const rows: number[] = []
  const deps: Uint32Array[] = []
  const actors = new Map<string, number>()
  const operationsMax = Math.min(limits.rangesMax, freeDeletions + update.length * operationsPerByte)
  const makingMax = Math.min(limits.rangesMax, freeOperations + update.length * operationsPerByte)
  let making = 0
  let operations = 0
  while (cursor.left > 0) {
    const chunk = readChunk(cursor)
    const body = new Cursor(update.subarray(chunk.bodyFrom, chunk.to))
    const head = readHead(body, limits)
    if (!seen.add(wordsOf(chunk.hash), 0)) throw invalid('change', chunk.from, 'there twice')
    let count = 0
    if (what === 'columns') {
      const { startOp, otherCount } = head
      const found = inspectColumns(body, {
        operationsMax: operationsMax - operations,
        makingMax: makingMax - making,
        actorCount: otherCount + 1,
        startOp,
        counterMax,
      })
      count = found.count
      making += found.making
      operations += count
    }
    const actor = actors.get(head.actor) ?? actors.size
    if (actor === actors.size) actors.set(head.actor, actor)
    if (actors.size > limits.clientsMax) throw beyond('count of authors', chunk.from, limits.clientsMax)
    rows.push(actor, head.seq, head.startOp, head.startOp + count, head.deps.length / (hashWords * 4))
    deps.push(wordsOf(head.deps))
  }
  const all = joined(deps)
  return new AutomergeInspection({
    bytes: update.length,
    hashes: seen.words,
    rows: Uint32Array.from(rows),
    deps: all,
    needs: without(all, seen),
    actors: [...actors.keys()],
  })
}

function joined(lists: readonly Uint32Array[]): Uint32Array {
  const [only] = lists
  if (only !== undefined && lists.length === 1) return only
  let length = 0
  for (const list of lists) length += list.length
  const all = new Uint32Array(length)
  let at = 0
  for (const list of lists) {
    all.set(list, at)
    at += list.length
  }
  return all
}

/** Those of `words` that are not among `known`. */
function without(words: Uint32Array, known: HashSet): Uint32Array {
  const rest: number[] = []
  for (let at = 0; at < words.length; at += hashWords)
    if (!known.has(words, at)) for (let index = at; index < at + hashWords; index++) rest.push(words[index] ?? 0)
  return Uint32Array.from(rest)
}

export function packAutomerge({ bytes, hashes, rows, deps, needs, actors }: AutomergeInspection): PackedInspection {
  const names: number[] = []
  for (const actor of actors) names.push(actor.length / 2, ...bytesOfHex(actor))
  return { bytes, lists: [hashes, rows, deps, needs, Uint32Array.from(names)].map((list) => Uint32Array.from(list)) }
}

export function unpackAutomerge({ bytes, lists }: PackedInspection): AutomergeInspection {
  const [hashes = none, rows = none, deps = none, needs = none, names = none] = lists
  const actors: string[] = []
  for (let at = 0; at < names.length; ) {
    const end = at + 1 + (names[at] ?? 0)
    actors.push(hexOf(Uint8Array.from(names.subarray(at + 1, end))))
    at = end
  }
  return new AutomergeInspection({ bytes, hashes, rows, deps, needs, actors })
}

export const none = new Uint32Array(0)
