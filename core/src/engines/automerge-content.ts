/**
 * What Automerge itself does for its engine: content as JSON and text, and edits. Imported in threads that end with their limits, because it
 * brings wasm along, whose memory never shrinks. Whoever imports it has initialised Automerge before (`io/automerge-wasm.ts`). Every document is freed.
 */

import * as A from '@automerge/automerge/slim'
import { toBase64 } from 'lib0/buffer'
import type { Edit, Engine, Reading } from '../engine.js'
import { MeridianError } from '../errors.js'
import { automergeEngineWith } from './automerge.js'
import { editAutomerge, type Root } from './automerge-patch.js'

export const automergeWithContent: Engine = automergeEngineWith({
  read: (changes, reading) => using(changes, undefined, (doc) => readDoc(doc, reading)),
  changesIn,
  edit: (changes, edit, actor) => using(changes, actor, (doc) => editDoc(doc, edit)),
})

/** A document is taken apart in a scratch copy; a compressed change is decoded and encoded, and is another one if that is not its only form. */
function changesIn(chunk: Uint8Array, type: 'document' | 'compressed'): readonly Uint8Array[] {
  try {
    if (type === 'compressed') {
      const decoded = A.decodeChange(chunk)
      const change = A.encodeChange(decoded)
      if (A.decodeChange(change).hash !== decoded.hash) throw unfit('A compressed change is not in its only form')
      return [change]
    }
    const doc = A.load<Root>(chunk, { actor: readerActor })
    try {
      return A.getAllChanges(doc)
    } finally {
      free(doc)
    }
  } catch (cause) {
    if (cause instanceof MeridianError) throw cause
    throw new MeridianError('UPDATE_INVALID', { message: 'Automerge cannot read a chunk.', cause })
  }
}

/** Which every document here has that does not edit; set because Automerge would draw one by chance. */
const readerActor = '00'

/** Changes of one document that Automerge fails at before the document is given up. */
const brokenMax = 16

function using<Result>(changes: readonly Uint8Array[], actor: string | undefined, run: (doc: A.Doc<Root>) => Result): Result {
  const doc = load(changes, actor ?? readerActor)
  try {
    return run(doc)
  } finally {
    free(doc)
  }
}

/**
 * All that Automerge can apply. A change can be in order by itself and speak of things that its document never had, at which Automerge
 * panics. It is left out then, and so is what builds on it, as its author alone could have made that honestly; the rest of the document lives.
 */
function load(changes: readonly Uint8Array[], actor: string): A.Doc<Root> {
  const whole = tryApply(A.init<Root>({ actor }), changes)
  if (whole !== undefined) return whole
  const good: Uint8Array[] = []
  let doc = A.init<Root>({ actor })
  let broken = 0
  for (const change of changes) {
    const next = tryApply(doc, [change])
    if (next !== undefined) {
      doc = next
      good.push(change)
      continue
    }
    broken++
    const again = broken > brokenMax ? undefined : tryApply(A.init<Root>({ actor }), good)
    if (again === undefined) throw new MeridianError('UPDATE_INVALID', { message: 'Automerge cannot apply the changes.' })
    doc = again
  }
  return doc
}

/** Undefined, and `doc` is freed, if Automerge throws. */
function tryApply(doc: A.Doc<Root>, changes: readonly Uint8Array[]): A.Doc<Root> | undefined {
  try {
    return A.applyChanges(doc, [...changes])[0]
  } catch {
    free(doc)
    return undefined
  }
}

/** What a panic left behind cannot be freed; it goes with the thread. */
function free(doc: A.Doc<Root>): void {
  try {
    A.free(doc)
  } catch {
    // Nothing of it is used any more.
  }
}

function readDoc(doc: A.Doc<Root>, reading: Reading): string {
  if (reading.kind === 'json') return JSON.stringify(jsonOf(doc))
  const name = reading.root ?? onlyText(doc)
  if (!Object.hasOwn(doc, name)) throw unfit('There is no root of this name')
  const value = doc[name]
  if (!isText(value)) throw unfit('This root is no text')
  return String(value)
}

function onlyText(doc: A.Doc<Root>): string {
  const names = Object.keys(doc).filter((name) => isText(doc[name]))
  const [only] = names
  if (only === undefined) throw unfit('No root of the document is text')
  if (names.length > 1) throw unfit(`${names.length} roots are text: name one of them`)
  return only
}

const isText = (value: unknown): boolean => typeof value === 'string' || value instanceof A.ImmutableString

/** What JSON has no word for becomes text: bytes in base64, times as ISO 8601, large integers in decimal. Keys are in ascending order. */
function jsonOf(value: unknown): unknown {
  if (value instanceof A.ImmutableString) return value.toString()
  if (value instanceof A.Counter) return value.value
  if (value instanceof Uint8Array) return toBase64(value)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (Array.isArray(value)) return value.map(jsonOf)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return value ?? null
  const entries = Object.entries(value).map(([key, one]): [string, unknown] => [key, jsonOf(one)])
  return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)))
}

/** The time is left out: equal edits of equal documents by one author are equal updates. */
function editDoc(doc: A.Doc<Root>, edit: Edit): Uint8Array {
  const before = A.getHeads(doc)
  const after = A.change(doc, { time: 0 }, (draft) => editAutomerge(draft, edit, { jsonOf, retype }))
  const [change, ...others] = A.getChangesSince(after, before)
  if (others.length > 0) throw unfit('An edit became more than one change')
  return change ?? new Uint8Array(0)
}

function retype(draft: Root, path: readonly (string | number)[], text: string): void {
  A.updateText(draft, [...path], text)
}

const unfit = (message: string): MeridianError => new MeridianError('UPDATE_INVALID', { message: `${message}.` })
