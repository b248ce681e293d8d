/**
 * [hot] The operations of one Automerge change, looked at in columns and run by run: nothing is expanded, so the cost follows the bytes and not the
 * count of operations that they claim. Nothing leaves this file but counts.
 *
 * Only what Automerge itself writes passes. It stores a change decoded and computes its hash anew when a document is loaded; a run in
 * another than its shortest form, a column that says nothing or an author that no operation names comes out as other bytes then,
 * and the saved document is refused for ever.
 */

import { type Cursor, beyond, invalid } from './cursor.js'

/** The columns of a change, by their specification: an id, and how they are encoded. */
const column = {
  objectActor: 0x01,
  objectCounter: 0x02,
  keyActor: 0x11,
  keyCounter: 0x13,
  keyText: 0x15,
  insert: 0x34,
  action: 0x42,
  valueMeta: 0x56,
  value: 0x57,
  predCount: 0x70,
  predActor: 0x71,
  predCounter: 0x73,
  expand: 0x94,
  markName: 0xa5,
} as const

const known: ReadonlySet<number> = new Set(Object.values(column))

const deflated = 0x08

const action = { delete: 3, increment: 5, mark: 7, last: 7 } as const

/** Types of a value, in the low four bits of its meta. */
const valueType = { null: 0, true: 2, uint: 3, int: 4, float: 5, text: 6, bytes: 7, counter: 8, time: 9 } as const

/** Deletions that an update may hold without bytes for each, as when a long text is deleted; beyond, one needs a sixteenth of a byte. */
export const freeDeletions = 262_144
/** The same of other operations, which make things: 80 bytes that make 262,144 maps take Automerge three seconds and 130 MB. */
export const freeOperations = 32_768
export const operationsPerByte = 16

export interface ColumnLimits {
  /** Operations of this change, and others that they replace. */
  readonly operationsMax: number
  /** Operations that are no deletions. */
  readonly makingMax: number
  /** Authors that the change names, itself included. */
  readonly actorCount: number
  /** Counter of the first operation. */
  readonly startOp: number
  /** The greatest that a counter may be. */
  readonly counterMax: number
}

/** How many operations a change has, and how many of them are no deletions. */
export interface Operations {
  readonly count: number
  readonly making: number
}

/** @returns how many operations there are. @throws MeridianError UPDATE_INVALID */
export function inspectColumns(
  cursor: Cursor,
  { operationsMax, makingMax, actorCount, startOp, counterMax }: ColumnLimits,
): Operations {
  const count = cursor.varUint('count of columns', known.size)
  const specifications: number[] = []
  const lengths: number[] = []
  for (let index = 0; index < count; index++) {
    const at = cursor.offset
    const specification = cursor.varUint('specification of a column', 0xffff)
    if ((specification & deflated) !== 0) throw invalid('column', at, 'compressed')
    if (!known.has(specification) || specification <= (specifications.at(-1) ?? -1))
      throw invalid('column', at, 'unknown or out of order')
    specifications.push(specification)
    lengths.push(cursor.varUint('length of a column', cursor.left))
    if (lengths[index] === 0 && specification !== column.value) throw invalid('column', at, 'empty')
  }
  const starts: number[] = []
  let start = cursor.offset
  for (const length of lengths) {
    starts.push(start)
    start += length
  }
  cursor.skip('columns', start - cursor.offset)
  const end = cursor.offset
  const find = (specification: number): readonly [number, number] => {
    const at = specifications.indexOf(specification)
    return at < 0 ? [0, 0] : [starts[at] ?? 0, (starts[at] ?? 0) + (lengths[at] ?? 0)]
  }
  const runs = (specification: number, kind: RunKind): Runs => new Runs(cursor, find(specification), kind, operationsMax)

  const actions = runs(column.action, 'uint')
  const objectActors = runs(column.objectActor, 'uint')
  const objectCounters = runs(column.objectCounter, 'uint')
  const keyActors = runs(column.keyActor, 'uint')
  const keyCounters = runs(column.keyCounter, 'delta')
  const keyTexts = runs(column.keyText, 'text')
  const inserts = runs(column.insert, 'boolean')
  const metas = runs(column.valueMeta, 'uint')
  const predCounts = runs(column.predCount, 'uint')
  const expands = runs(column.expand, 'boolean')
  const markNames = runs(column.markName, 'text')
  const rows = [
    ...[actions, objectActors, objectCounters, keyActors, keyCounters, keyTexts],
    ...[inserts, metas, predCounts, expands, markNames],
  ]
  const isUsed = new Uint8Array(actorCount)
  isUsed[0] = 1
  const use = (actor: number): void => {
    if (actor >= actorCount) throw beyond('author of an operation', cursor.offset, actorCount - 1)
    isUsed[actor] = 1
  }
  const values = new Values(cursor, find(column.value))
  let operations = 0
  let making = 0
  let preds = 0
  while (!actions.isAbsent && actions.load()) {
    let step = actions.left
    for (const row of rows) {
      if (row !== actions && !row.load() && !row.isAbsent) throw invalid('column', row.end, 'shorter than the others')
      if (row.left < step) step = row.left
    }
    const what = actions.value
    const at = actions.at
    if (what === none || what > action.last) throw invalid('action', at, 'of no known kind')
    if ((objectActors.value === none) !== (objectCounters.value === none)) throw invalid('object', at, 'half an id')
    if (objectActors.value !== none) use(objectActors.value)
    if (objectCounters.value === 0 || objectCounters.value > counterMax) throw invalid('object', at, 'out of range')
    const isInMap = keyTexts.value !== none
    if (isInMap === (keyCounters.value !== none)) throw invalid('key', at, 'both text and id, or neither')
    if (!isInMap && objectActors.value === none) throw invalid('key', at, 'an id in a map')
    if (isInMap && keyActors.value !== none) throw invalid('key', at, 'half an id')
    if (!isInMap && (keyCounters.value === 0) !== (keyActors.value === none)) throw invalid('key', at, 'half an id')
    if (keyActors.value !== none) use(keyActors.value)
    // A run of steps ends at this value; it began where the counter was checked before.
    if (keyCounters.value !== none) keyCounters.checkSteps(step, 0, counterMax, keyActors.value === none)
    if (inserts.value === 1 && isInMap) throw invalid('insertion', at, 'into a map')
    if (predCounts.value === none) throw invalid('count of what is replaced', at, 'missing')
    if (what === action.delete && (inserts.value === 1 || predCounts.value === 0)) throw invalid('deletion', at, 'of nothing')
    if (what !== action.mark && (expands.value === 1 || markNames.value !== none)) throw invalid('mark', at, 'no mark')
    if (metas.value === none) throw invalid('value', at, 'missing')
    if (what === action.delete && metas.value !== 0) throw invalid('deletion', at, 'one with a value')
    if (what === action.increment && !isInteger(metas.value % 16)) throw invalid('increment', at, 'no number')
    values.take(metas.value, step)
    operations += step
    if (what !== action.delete) making += step
    if (making > makingMax) throw beyond('count of operations that make something', at, makingMax)
    preds += predCounts.value * step
    if (operations > operationsMax || preds > operationsMax) throw beyond('count of operations', at, operationsMax)
    for (const row of rows) row.take(step)
  }
  for (const row of rows) if (row.load() && !row.isAbsent) throw invalid('column', row.at, 'longer than the others')
  values.finish()
  if (expands.isSilent) throw invalid('column', expands.end, 'one that says nothing')
  inspectPreds(runs(column.predActor, 'uint'), runs(column.predCounter, 'delta'), { preds, use, counterMax })
  if (isUsed.includes(0)) throw invalid('author', end, 'one that no operation names')
  cursor.offset = end
  if (operations > 0 && startOp + operations - 1 > counterMax) throw beyond('counter of an operation', end, counterMax)
  return { count: operations, making }
}

function inspectPreds(
  actors: Runs,
  counters: Runs,
  { preds, use, counterMax }: { preds: number; use: (actor: number) => void; counterMax: number },
): void {
  let seen = 0
  while (actors.load() && !actors.isAbsent) {
    if (!counters.load() || counters.isAbsent || actors.value === none || counters.value === none)
      throw invalid('operation that is replaced', actors.at, 'half an id')
    const step = Math.min(actors.left, counters.left)
    use(actors.value)
    counters.checkSteps(step, 1, counterMax, false)
    seen += step
    actors.take(step)
    counters.take(step)
  }
  if (seen !== preds || (counters.load() && !counters.isAbsent))
    throw invalid('count of what is replaced', actors.end, 'another than of their ids')
}

/** No value in this row. */
const none = -1

type RunKind = 'uint' | 'delta' | 'boolean' | 'text'

/** One column as runs of equal values; a literal value is a run of one. */
class Runs {
  /** Of each row of this run; `none` for null. Texts have no value but `0`. In a column of steps the counter of the first row that is left. */
  value = none
  /** Rows left in this run; endless if the column is not there. */
  left = 0
  readonly isAbsent: boolean
  readonly end: number
  at: number
  readonly #cursor: Cursor
  readonly #kind: RunKind
  readonly #countMax: number
  #literals = 0
  #delta = 0
  #counter = 0
  #state: 'start' | 'null' | 'run' | 'literal' = 'start'
  #last: number | undefined
  #lastText: readonly [number, number] | undefined
  #holdsValue = false

  constructor(cursor: Cursor, [from, to]: readonly [number, number], kind: RunKind, countMax: number) {
    this.#cursor = cursor
    this.#kind = kind
    this.#countMax = countMax
    this.at = from
    this.end = to
    this.isAbsent = from === to
    if (this.isAbsent) this.left = Number.POSITIVE_INFINITY
    if (this.isAbsent && kind === 'boolean') this.value = 0
  }

  /** Whether it is a column of booleans that are all false, or of nulls. */
  get isSilent(): boolean {
    return !this.isAbsent && !this.#holdsValue
  }

  /** @returns false at the end of the column */
  load(): boolean {
    if (this.left > 0) return true
    if (this.#literals > 0) return this.#literal()
    if (this.at >= this.end) {
      if (this.isSilent && this.#kind !== 'boolean') throw invalid('column', this.end, 'one that says nothing')
      return false
    }
    const cursor = this.#cursor
    cursor.offset = this.at
    if (this.#kind === 'boolean') {
      const isFirst = this.#state === 'start'
      this.left = this.#within(cursor.varUint('count of a run', this.#countMax))
      this.value = isFirst ? 0 : 1 - this.value
      this.#state = 'run'
      if (this.left === 0) {
        if (!isFirst || this.at >= this.end) throw invalid('run', this.at, 'empty')
        return this.load()
      }
      if (this.value === 1) this.#holdsValue = true
      return true
    }
    const count = signed(cursor, 'count of a run')
    const start = this.at
    this.#within(0)
    if (count === 0) {
      if (this.#state === 'null') throw invalid('run', start, 'two in place of one')
      this.left = this.#within(cursor.varUint('count of a run', this.#countMax))
      if (this.left === 0) throw invalid('run', start, 'empty')
      this.#state = 'null'
      this.value = none
      this.#last = undefined
      this.#lastText = undefined
      return true
    }
    if (count > this.#countMax || -count > this.#countMax) throw beyond('count of a run', start, this.#countMax)
    this.#holdsValue = true
    if (count < 0) {
      if (this.#state === 'literal') throw invalid('run', start, 'two in place of one')
      this.#state = 'literal'
      this.#literals = -count
      return this.#literal()
    }
    if (count === 1) throw invalid('run', start, 'no shortest form')
    this.#state = 'run'
    this.left = count
    this.#read()
    return true
  }

  take(count: number): void {
    this.left -= count
    if (this.#kind === 'delta' && this.value !== none) {
      this.#counter = this.value + this.#delta * (count - 1)
      this.value = this.#counter + this.#delta
      if (this.value < 0 && this.left > 0) throw invalid('counter of an id', this.at, 'out of range')
    }
  }

  /** Of the counters that the next `count` rows have, first and last, which bound the others. */
  checkSteps(count: number, min: number, max: number, isHead: boolean): void {
    const last = this.value + this.#delta * (count - 1)
    const least = isHead ? 0 : Math.max(min, 1)
    const most = isHead ? 0 : max
    if (this.value < least || this.value > most || last < least || last > most)
      throw invalid('counter of an id', this.at, 'out of range')
  }

  #literal(): boolean {
    if (this.at >= this.end) throw invalid('run', this.end, 'cut short')
    this.#literals--
    this.left = 1
    this.#cursor.offset = this.at
    this.#read()
    return true
  }

  /** One value, which is another than the one before it. */
  #read(): void {
    const cursor = this.#cursor
    const start = cursor.offset
    if (this.#kind === 'text') {
      cursor.key('text of a column')
      this.#within(0)
      const { textFrom: from, textTo: to } = cursor
      if (this.#lastText !== undefined && sameBytes(cursor.bytes, this.#lastText, [from, to]))
        throw invalid('run', start, 'no shortest form')
      this.#lastText = [from, to]
      this.value = 0
      return
    }
    const value =
      this.#kind === 'delta' ? signed(cursor, 'step of a column') : cursor.varUint('value of a column', Number.MAX_SAFE_INTEGER)
    this.#within(0)
    if (value === this.#last) throw invalid('run', start, 'no shortest form')
    this.#last = value
    if (this.#kind === 'delta') {
      this.#delta = value
      this.value = this.#counter + value
      if (this.value < 0) throw invalid('counter of an id', start, 'out of range')
    } else this.value = value
  }

  #within(count: number): number {
    if (this.#cursor.offset > this.end) throw invalid('column', this.at, 'cut short')
    this.at = this.#cursor.offset
    return count
  }
}

/** The bytes of the values, of which the metas say type and length. */
class Values {
  readonly #cursor: Cursor
  readonly #end: number
  #at: number

  constructor(cursor: Cursor, [from, to]: readonly [number, number]) {
    this.#cursor = cursor
    this.#at = from
    this.#end = to
  }

  take(meta: number, count: number): void {
    const type = meta % 16
    const length = Math.floor(meta / 16)
    if (length * count > this.#end - this.#at) throw invalid('value', this.#at, 'beyond its column')
    const isBare = type <= valueType.true
    if (isBare ? length !== 0 : type > valueType.time) throw invalid('value', this.#at, 'of no known kind')
    if (length === 0 && !isBare && type !== valueType.text && type !== valueType.bytes) throw invalid('value', this.#at, 'empty')
    if (length === 0) return
    for (let index = 0; index < count; index++) this.#one(type, length)
  }

  finish(): void {
    if (this.#at !== this.#end) throw invalid('value', this.#at, 'followed by bytes that belong to nothing')
  }

  #one(type: number, length: number): void {
    const cursor = this.#cursor
    const start = this.#at
    const end = start + length
    cursor.offset = start
    switch (type) {
      case valueType.uint:
        shortest(cursor.bytes, start, end, 'unsigned')
        break
      case valueType.int:
      case valueType.counter:
      case valueType.time:
        shortest(cursor.bytes, start, end, 'signed')
        break
      case valueType.float:
        if (length !== 8) throw invalid('value', start, 'no number')
        break
      case valueType.text:
        cursor.utf8('value', length)
        break
      default:
    }
    this.#at = end
  }
}

const isInteger = (type: number): boolean => type === valueType.uint || type === valueType.int

/** A LEB128 integer of 64 bits or fewer that fills its place in the shortest form. */
function shortest(bytes: Uint8Array, start: number, end: number, kind: 'signed' | 'unsigned'): void {
  const last = bytes[end - 1] ?? 0
  const before = bytes[end - 2] ?? 0
  for (let at = start; at < end - 1; at++) if ((bytes[at] ?? 0) < 0x80) throw invalid('value', start, 'no integer')
  const isLong = end - start > 1
  const padded =
    kind === 'unsigned' ? last === 0 : (last === 0 && (before & 0x40) === 0) || (last === 0x7f && (before & 0x40) !== 0)
  const tenth = kind === 'unsigned' ? last > 1 : last !== 0 && last !== 0x7f
  if (last > 0x7f || (isLong && padded) || end - start > 10 || (end - start === 10 && tenth))
    throw invalid('value', start, 'no integer in its shortest form')
}

/** A signed LEB128 integer within 53 bits, in its shortest form. */
export function signed(cursor: Cursor, field: string): number {
  const start = cursor.offset
  let value = 0
  let factor = 1
  let before = 0
  for (;;) {
    const byte = cursor.byte(field)
    value += (byte & 0x7f) * factor
    factor *= 128
    if (byte > 0x7f) {
      if (factor > 0x2_0000_0000_0000) throw invalid(field, start, 'an integer that is too long')
      before = byte
      continue
    }
    const isLong = cursor.offset - start > 1
    if (isLong && ((byte === 0 && (before & 0x40) === 0) || (byte === 0x7f && (before & 0x40) !== 0)))
      throw invalid(field, start, 'an integer that is too long')
    return (byte & 0x40) === 0 ? value : value - factor
  }
}

function sameBytes(bytes: Uint8Array, [from, to]: readonly [number, number], [start, end]: readonly [number, number]): boolean {
  if (to - from !== end - start) return false
  for (let index = 0; index < to - from; index++) if (bytes[from + index] !== bytes[start + index]) return false
  return true
}
