/**
 * What Automerge itself does for its engine: content as JSON and text, and edits. Imported in threads that end with their limits, because it
 * brings wasm along, whose memory never shrinks. Every document is freed.
 */

import * as A from '@automerge/automerge'
import { toBase64 } from 'lib0/buffer'
import type { Edit, Engine, Reading } from '../engine.js'
import { MeridianError } from '../errors.js'
import { automergeEngineWith } from './automerge.js'
import { editAutomerge, type Root } from './automerge-patch.js'

export const automergeWithContent: Engine = automergeEngineWith({
  read: (changes, reading) => using(changes, undefined, (doc) => readDoc(doc, reading)),
  edit: (changes, edit, actor) => using(changes, actor, (doc) => editDoc(doc, edit)),
})

/** Which every document here has that does not edit; set because Automerge would draw one by chance. */
const readerActor = '00'

function using<Result>(
  changes: readonly Uint8Array[],
  actor: string | undefined,
  run: (doc: A.Doc<Root>) => Result | { readonly result: Result; readonly doc: A.Doc<Root> },
): Result {
  let doc = A.init<Root>({ actor: actor ?? readerActor })
  try {
    try {
      ;[doc] = A.applyChanges(doc, [...changes])
    } catch (cause) {
      throw new MeridianError('UPDATE_INVALID', { message: 'Automerge cannot apply the changes.', cause })
    }
    return run(doc) as Result
  } finally {
    A.free(doc)
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
