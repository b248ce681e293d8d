/**
 * Differential fuzzing of the Yjs engine: what inspection accepts and judging calls new has to apply to a document of Yjs without a throw, be saved and
 * loaded again, and give one digest; what it refuses is refused with a code. Everything is drawn from a seed.
 *
 * Not held against inspection, because it shows in no bytes but only in the document: an item whose origin and right origin stand in
 * the wrong order or in different lists (Yjs takes it, and the order of such a list then depends on who loads it), and a list
 * item among the entries of a map (Yjs throws when it collects it). The engine has to survive both.
 */

import { type Inspection, inspectLimits } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { YjsIndex } from '@meridian/core/engines/yjs-index'
import { MeridianError } from '@meridian/core/errors'
import * as Y from 'yjs'
import { makeHistory, randomOf, shuffled } from '../core/engines/yjs-edits.js'
import { encode, modelOf, rules } from './broken.js'

export interface FuzzOptions {
  readonly seed: number
  readonly count: number
  readonly isOver?: () => boolean
}

export interface MutatedReport {
  count: number
  refused: number
  premature: number
  nothing: number
  new: number
  /** Premature ones of which a part was admissible and new, which is then held to the same. */
  parts: number
  trimmed: number
  /** New ones and parts whose digests were compared, too. */
  digested: number
  crossed: number
}

export interface HonestReport {
  count: number
  histories: number
}

const runsPerHistory = 1_000

/** One in so many of those that are applied: it takes several times as long as that. */
const digestedOf = 4

/** @throws Error with seed, run and the bytes at the first finding */
export function fuzzMutated({ seed: first, count, isOver = () => false }: FuzzOptions): MutatedReport {
  const seen: MutatedReport = {
    count: 0,
    refused: 0,
    premature: 0,
    nothing: 0,
    new: 0,
    parts: 0,
    trimmed: 0,
    digested: 0,
    crossed: 0,
  }
  for (let seed = first; seen.count < count && !isOver(); seed++) {
    const random = randomOf(seed)
    const { updates } = makeHistory(seed, { authorCount: 1 + (seed % 3), stepCount: 6 + random(40) })
    if (updates.length < 2) continue
    const cut = random(updates.length)
    const base = updates.slice(0, cut)
    const held = indexOf(base)
    const encoded = held.encode()
    // The same structs, read faster.
    const merged = base.length === 0 ? [] : [Y.mergeUpdates(base)]
    const sources = [
      updates[cut],
      updates[random(updates.length)],
      yjsEngine.snapshot(updates).bytes,
      Y.mergeUpdates(updates.slice(cut, cut + 4)),
    ]
    for (let run = 0; run < runsPerHistory; run++, seen.count++) {
      const source = sources[random(sources.length)] ?? new Uint8Array()
      const mutated = mutate(source, updates[random(updates.length)] ?? source, random)
      try {
        // Now and then as they came, one by one.
        const before = random(8) === 0 ? base : merged
        tryOne(seen, { before, held, encoded }, mutated, random(2) === 0)
      } catch (cause) {
        throw new Error(`seed ${seed}, run ${run}, after ${base.length} updates: ${Buffer.from(mutated).toString('hex')}`, {
          cause,
        })
      }
    }
  }
  return seen
}

/** Each update of honest histories, and what is merged, cut off and answered from them: none is refused. @throws Error at the first finding */
export function fuzzHonest({ seed: first, count, isOver = () => false }: FuzzOptions): HonestReport {
  const report: HonestReport = { count: 0, histories: 0 }
  for (let seed = first; report.count < count && !isOver(); seed++) {
    const random = randomOf(seed)
    const { updates, docs } = makeHistory(seed, { authorCount: 1 + (seed % 5), stepCount: 20 + random(100) })
    const index = new YjsIndex()
    try {
      for (const update of updates) {
        const inspection = yjsEngine.inspect(update, inspectLimits)
        check(yjsEngine.judge(index, inspection) !== 'premature', 'an honest update in order is premature')
        yjsEngine.include(index, inspection)
      }
      const derived = [Y.mergeUpdates([...updates])]
      for (const doc of docs) {
        const peer = docs[random(docs.length)] ?? doc
        derived.push(Y.encodeStateAsUpdate(doc), Y.encodeStateAsUpdate(doc, Y.encodeStateVector(peer)))
      }
      for (let part = 0; part < 8 && updates.length > 0; part++) {
        const from = random(updates.length)
        const merged = Y.mergeUpdates(updates.slice(from, from + 1 + random(12)))
        const known = docs[random(docs.length)]
        derived.push(merged)
        if (known !== undefined) derived.push(Y.diffUpdate(merged, Y.encodeStateVector(known)))
      }
      for (const update of derived) {
        const judgement = yjsEngine.judge(index, yjsEngine.inspect(update, inspectLimits))
        check(judgement !== 'premature', 'what was made of honest updates is premature')
      }
      report.count += updates.length + derived.length
      report.histories++
    } catch (cause) {
      throw new Error(`honest, seed ${seed}`, { cause })
    }
  }
  return report
}

interface Held {
  readonly before: readonly Uint8Array[]
  readonly held: YjsIndex
  readonly encoded: Uint8Array
}

function tryOne(seen: MutatedReport, { before, held, encoded }: Held, mutated: Uint8Array, gc: boolean): void {
  let inspection: Inspection
  try {
    inspection = yjsEngine.inspect(mutated, inspectLimits)
  } catch (thrown) {
    if (!(thrown instanceof MeridianError) || thrown.code !== 'UPDATE_INVALID') throw thrown
    seen.refused++
    return
  }
  const judgement = yjsEngine.judge(held, inspection)
  if (judgement === 'contradiction') throw new Error('Yjs knows no contradiction')
  seen[judgement]++
  if (judgement === 'nothing') return
  if (judgement === 'new') return tryNew(seen, { before, held, encoded }, { mutated, inspection, gc })
  const part = yjsEngine.admissible(mutated, yjsEngine.basis(held, inspection))
  if (part.length === 0) return
  const inspected = yjsEngine.inspect(part, inspectLimits)
  const verdict = yjsEngine.judge(held, inspected)
  check(verdict !== 'premature', 'what is admissible is premature')
  if (verdict !== 'new') return
  seen.parts++
  tryNew(seen, { before, held, encoded }, { mutated: part, inspection: inspected, gc })
}

function tryNew(
  seen: MutatedReport,
  { before, held, encoded }: Held,
  { mutated, inspection, gc }: Pick<Accepted, 'mutated' | 'inspection' | 'gc'>,
): void {
  const overlap = yjsEngine.overlap(held, inspection)
  const trimmed = overlap === undefined ? mutated : yjsEngine.cut(mutated, overlap)
  if (overlap !== undefined) seen.trimmed++
  const accepted: Accepted = { mutated, trimmed, inspection, gc }
  const doc = checkApplied(before, YjsIndex.decode(encoded), accepted)
  if ((seen.new + seen.parts) % digestedOf !== 0) return
  seen.digested++
  if (checkDigest(before, YjsIndex.decode(encoded), accepted, doc) === 'crossed') seen.crossed++
}

interface Accepted {
  readonly mutated: Uint8Array
  readonly trimmed: Uint8Array
  readonly inspection: Inspection
  readonly gc: boolean
}

/** Applies what was judged new to a plain document of Yjs, which has to be where the index is, to be saved and to be loaded again. */
function checkApplied(base: readonly Uint8Array[], held: YjsIndex, { trimmed, inspection, gc }: Accepted): Y.Doc {
  const doc = applied([...base, trimmed], gc) ?? applied([...base, trimmed], false)
  if (doc === undefined) throw new Error('Yjs throws')
  checkNothingWaits(doc)
  yjsEngine.include(held, inspection)
  for (const [client, clock] of Y.decodeStateVector(Y.encodeStateVector(doc)))
    check(held.next(client) === clock, 'the index is not where the document is')
  const saved = Y.encodeStateAsUpdate(doc)
  yjsEngine.inspect(saved, inspectLimits)
  const loaded = new Y.Doc({ guid: 'loaded' })
  loaded.clientID = 0xffff_fff1
  Y.applyUpdate(loaded, saved)
  checkNothingWaits(loaded)
  return doc
}

/** Goes through the engine's own documents: the snapshot holds the update and has the digest of what it was made of. */
function checkDigest(
  base: readonly Uint8Array[],
  held: YjsIndex,
  { mutated, trimmed, inspection }: Accepted,
  doc: Y.Doc,
): 'sound' | 'crossed' {
  yjsEngine.include(held, inspection)
  const state = yjsEngine.snapshot([...base, mutated])
  check(yjsEngine.judge(yjsEngine.decodeIndex(state.index), inspection) === 'nothing', 'the snapshot does not hold the update')
  check(yjsEngine.judge(held, yjsEngine.inspect(state.bytes, inspectLimits)) !== 'premature', 'the snapshot is premature')
  if (yjsEngine.digest([state.bytes]) === yjsEngine.digest([...base, mutated])) return 'sound'
  check(isCrossed(doc, trimmed), 'the snapshot has another digest than its updates')
  return 'crossed'
}

function checkNothingWaits(doc: Y.Doc): void {
  check(doc.store.pendingStructs === null && doc.store.pendingDs === null, 'Yjs keeps something waiting')
}

function check(condition: boolean, finding: string): void {
  if (!condition) throw new Error(finding)
}

function indexOf(updates: readonly Uint8Array[]): YjsIndex {
  const index = new YjsIndex()
  for (const update of updates) yjsEngine.include(index, yjsEngine.inspect(update, inspectLimits))
  return index
}

/** Nothing if Yjs throws what it throws when it finds garbage that is none. */
function applied(updates: readonly Uint8Array[], gc: boolean): Y.Doc | undefined {
  const doc = new Y.Doc({ gc, guid: 'applied' })
  doc.clientID = 0xffff_fff0
  try {
    for (const update of updates) Y.applyUpdate(doc, update)
    return doc
  } catch (error) {
    if (gc && error instanceof Error && error.message === 'Unexpected case') return undefined
    throw error
  }
}

/** Whether an item of the update has neighbours that are in different lists or in the wrong order. */
function isCrossed(doc: Y.Doc, update: Uint8Array): boolean {
  return Y.decodeUpdate(update).structs.some((struct) => {
    if (!(struct instanceof Y.Item) || struct.origin === null) return false
    const left: unknown = Y.getItem(doc.store, struct.origin)
    if (left instanceof Y.Item && left.parentSub !== null && struct.length > 1) return true
    if (struct.rightOrigin === null) return false
    const right: unknown = Y.getItem(doc.store, struct.rightOrigin)
    if (!(left instanceof Y.Item) || !(right instanceof Y.Item)) return left instanceof Y.Item || right instanceof Y.Item
    if (left.parent !== right.parent || left.parentSub !== right.parentSub) return true
    if (left === right) return struct.origin.clock >= struct.rightOrigin.clock
    for (let item = left.right; item !== null; item = item.right) if (item === right) return false
    return true
  })
}

/** Bytes that mean something in this format: kinds with and without flags, counts, and the ends of ranges. */
const telling = [0, 1, 2, 3, 4, 6, 7, 8, 10, 0x27, 0x7f, 0x80, 0x81, 0x84, 0x87, 0xc4, 0xff, 117, 118]

/** Bytes that one mutation may add. */
const addedMax = 64

function mutate(update: Uint8Array, other: Uint8Array, random: (below: number) => number): Uint8Array {
  const bytes = new Uint8Array(update.length + addedMax)
  bytes.set(update)
  let length = update.length
  /** `removed` bytes at `at` give way to `added`. */
  const splice = (at: number, removed: number, added: Uint8Array): void => {
    const from = Math.min(at + removed, length)
    bytes.copyWithin(at + added.length, from, length)
    bytes.set(added, at)
    length += added.length - (from - at)
  }
  const put = (at: number, byte: number): void => {
    bytes[at] = byte
    length = Math.max(length, at + 1)
  }
  for (let edits = 1 + random(3); edits > 0; edits--) {
    const at = random(length + 1)
    switch (random(8)) {
      case 0:
        put(at, random(256))
        break
      case 1:
        put(at, (at < length ? (bytes[at] ?? 0) : 0) ^ (1 << random(8)))
        break
      case 2:
        splice(at, 0, Uint8Array.of(random(256)))
        break
      case 3:
        splice(at, 1, none)
        break
      case 4:
        put(at, telling[random(telling.length)] ?? 0)
        break
      case 5:
        put(at, ((at < length ? (bytes[at] ?? 0) : 0) + (random(2) === 0 ? 1 : 255)) & 0xff)
        break
      case 6: {
        const from = random(other.length + 1)
        splice(at, random(4), other.subarray(from, from + random(12)))
        break
      }
      default: {
        const from = random(length + 1)
        splice(at, 0, bytes.slice(from, Math.min(length, from + 1 + random(12))))
      }
    }
  }
  return bytes.slice(0, length)
}

const none = new Uint8Array(0)

export interface BrokenReport {
  count: number
  /** Sound updates that were taken, one for each broken one. */
  sound: number
  readonly rules: number
}

/** Updates that break one rule each, beside what they were made of, which breaks none. @throws Error at the first finding */
export function fuzzBroken({ seed: first, count, isOver = () => false }: FuzzOptions): BrokenReport {
  const report: BrokenReport = { count: 0, sound: 0, rules: rules.length }
  for (let seed = first; report.count < count && !isOver(); seed++) {
    for (const { name, says, make } of rules) {
      const random = randomOf(seed)
      const model = modelOf(random)
      try {
        yjsEngine.inspect(encode(model), inspectLimits)
        report.sound++
        const why = refusalOf(make(model, random))
        check(why !== undefined, 'it is not refused')
        check(says.test(why ?? ''), `it is refused because of something else: ${why ?? ''}`)
        report.count++
      } catch (cause) {
        throw new Error(`broken, seed ${seed}, ${name}`, { cause })
      }
    }
  }
  return report
}

function refusalOf(update: Uint8Array): string | undefined {
  try {
    yjsEngine.inspect(update, inspectLimits)
    return undefined
  } catch (thrown) {
    if (thrown instanceof MeridianError && thrown.code === 'UPDATE_INVALID') return thrown.sentence
    throw thrown
  }
}

export interface ReorderedReport {
  count: number
  histories: number
  premature: number
  parts: number
}

/**
 * Honest updates in any order, as a lane takes them in: what is premature waits, its admissible part goes first, and each that is stored lets others
 * in. In the end nothing waits, and what was stored has the digest of the history. @throws Error at the first finding
 */
export function fuzzReordered({ seed: first, count, isOver = () => false }: FuzzOptions): ReorderedReport {
  const report: ReorderedReport = { count: 0, histories: 0, premature: 0, parts: 0 }
  for (let seed = first; report.count < count && !isOver(); seed++) {
    const random = randomOf(seed)
    const { updates, docs } = makeHistory(seed, { authorCount: 1 + (seed % 4), stepCount: 20 + random(60) })
    try {
      // Several of one client in one update, with gaps between them, are what a provider sends that waits itself.
      const merged = Array.from({ length: 4 }, () =>
        Y.mergeUpdates(updates.filter(() => random(3) === 0).concat(updates.slice(0, 1))),
      )
      const states = docs.map((doc) => Y.encodeStateAsUpdate(doc))
      takeAll(report, shuffled([...updates, ...merged, ...states], random), updates)
      report.count += updates.length + merged.length + states.length
      report.histories++
    } catch (cause) {
      throw new Error(`reordered, seed ${seed}`, { cause })
    }
  }
  return report
}

function takeAll(report: ReorderedReport, sent: readonly Uint8Array[], history: readonly Uint8Array[]): void {
  const index = new YjsIndex()
  const stored: Uint8Array[] = []
  const take = (update: Uint8Array): 'premature' | 'taken' => {
    const inspection = yjsEngine.inspect(update, inspectLimits)
    const judgement = yjsEngine.judge(index, inspection)
    if (judgement === 'premature') return 'premature'
    if (judgement === 'nothing') return 'taken'
    const overlap = yjsEngine.overlap(index, inspection)
    stored.push(overlap === undefined ? update : yjsEngine.cut(update, overlap))
    yjsEngine.include(index, inspection)
    return 'taken'
  }
  let waiting: Uint8Array[] = []
  for (const update of sent) {
    if (take(update) === 'taken') {
      for (let before = -1; before !== waiting.length; ) {
        before = waiting.length
        waiting = waiting.filter((one) => take(one) === 'premature')
      }
      continue
    }
    report.premature++
    waiting.push(update)
    const part = yjsEngine.admissible(update, yjsEngine.basis(index, yjsEngine.inspect(update, inspectLimits)))
    if (part.length === 0) continue
    report.parts++
    check(take(part) === 'taken', 'what is admissible is premature')
  }
  check(waiting.length === 0, 'something waits though all of it came')
  for (const update of history)
    check(
      yjsEngine.judge(index, yjsEngine.inspect(update, inspectLimits)) === 'nothing',
      'something is not held though all of it came',
    )
  check(yjsEngine.digest(stored) === yjsEngine.digest([...history]), 'what was stored is not what was sent')
}
