/**
 * The visible content of a Yjs document in one canonical encoding, for digests only; nothing reads it back.
 *
 * A top-level type has no kind until an app asks for it as text, map or array, and two replicas may not have asked alike. So every type is
 * walked as what it is beneath: a list of items and a map of items. Not seen are what garbage collection, merging and splitting change:
 * deleted items, where one text item ends and the next begins, top-level types that hold nothing, the order of keys. Values are
 * written as they are after saving and loading: JSON has no -0 and no infinity.
 *
 * The walk keeps its own stack: types can nest deeper than calls can.
 */

import * as encoding from 'lib0/encoding'
import * as Y from 'yjs'

/** What all shared types are beneath. */
interface SharedType {
  readonly _start: Y.Item | null
  readonly _map: ReadonlyMap<string, Y.Item>
}

/** A type that is being written: first its list, then the keys of its map. */
interface Frame {
  readonly type: SharedType
  item: Y.Item | null
  keys: readonly string[]
  keyIndex: number
}

/** First byte of each thing written; the meaning of digests, so never renumbered. */
const mark = {
  end: 0,
  text: 1,
  binary: 2,
  json: 3,
  any: 4,
  embed: 5,
  format: 6,
  type: 7,
  subdocument: 8,
  key: 9,
  root: 10,
  map: 11,
} as const

/** Cost: O(items + visible content), plus sorting the keys of each map. */
export function writeContent(encoder: encoding.Encoder, doc: Y.Doc): void {
  for (const [name, type] of [...doc.share].sort(([one], [other]) => compare(one, other))) {
    if (isEmpty(type)) continue
    encoding.writeUint8(encoder, mark.root)
    encoding.writeVarString(encoder, name)
    writeType(encoder, type)
  }
  encoding.writeUint8(encoder, mark.end)
}

function writeType(encoder: encoding.Encoder, root: SharedType): void {
  const stack: Frame[] = [open(root)]
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const nested = frame.item !== null ? writeList(encoder, frame) : writeNextKey(encoder, frame)
    if (nested === 'done') {
      encoding.writeUint8(encoder, mark.end)
      stack.pop()
    } else if (nested !== undefined) stack.push(open(nested))
  }
}

const open = (type: SharedType): Frame => ({ type, item: type._start, keys: sortedKeys(type), keyIndex: -1 })

/** Writes the list up to its next nested type, which is returned, or to its end. */
function writeList(encoder: encoding.Encoder, frame: Frame): SharedType | undefined {
  const parts: string[] = []
  while (frame.item !== null) {
    const item: Y.Item = frame.item
    frame.item = item.right
    if (item.deleted) continue
    if (item.content instanceof Y.ContentString) parts.push(item.content.str)
    else {
      writeText(encoder, parts)
      const nested = writeItem(encoder, item)
      if (nested !== undefined) return nested
    }
  }
  writeText(encoder, parts)
  return undefined
}

function writeNextKey(encoder: encoding.Encoder, frame: Frame): SharedType | 'done' | undefined {
  if (frame.keyIndex < 0) {
    encoding.writeUint8(encoder, mark.map)
    frame.keyIndex = 0
  }
  const key = frame.keys[frame.keyIndex++]
  if (key === undefined) return 'done'
  const item = frame.type._map.get(key)
  if (item === undefined) return undefined
  encoding.writeUint8(encoder, mark.key)
  encoding.writeVarString(encoder, key)
  return writeItem(encoder, item)
}

/** All the text between two other things as one string, however many items hold it. */
function writeText(encoder: encoding.Encoder, parts: string[]): void {
  if (parts.length === 0) return
  encoding.writeUint8(encoder, mark.text)
  encoding.writeVarString(encoder, parts.join(''))
  parts.length = 0
}

/** Writes the content of one visible item; a nested type only up to its name, and returns it. */
function writeItem(encoder: encoding.Encoder, item: Y.Item): SharedType | undefined {
  const content = item.content
  if (content instanceof Y.ContentString) {
    encoding.writeUint8(encoder, mark.text)
    encoding.writeVarString(encoder, content.str)
  } else if (content instanceof Y.ContentAny) {
    // Each value by itself: items of values are merged and split too.
    for (const value of content.arr) writeValue(encoder, mark.any, value, 'any')
  } else if (content instanceof Y.ContentJSON) {
    for (const value of content.arr) writeValue(encoder, mark.json, value, 'json')
  } else if (content instanceof Y.ContentEmbed) {
    writeValue(encoder, mark.embed, content.embed, 'json')
  } else if (content instanceof Y.ContentFormat) {
    encoding.writeUint8(encoder, mark.format)
    encoding.writeVarString(encoder, content.key)
    encoding.writeAny(encoder, canonical(content.value, 'json'))
  } else if (content instanceof Y.ContentBinary) {
    encoding.writeUint8(encoder, mark.binary)
    encoding.writeVarUint8Array(encoder, content.content)
  } else if (content instanceof Y.ContentDoc) {
    encoding.writeUint8(encoder, mark.subdocument)
    encoding.writeVarString(encoder, content.doc.guid)
    encoding.writeAny(encoder, canonical(content.opts, 'any'))
  } else if (content instanceof Y.ContentType) {
    encoding.writeUint8(encoder, mark.type)
    // The kind of the type and the name that XML elements and hooks have.
    const kind = new Y.UpdateEncoderV1()
    content.write(kind, 0)
    encoding.writeVarUint8Array(encoder, kind.toUint8Array())
    return content.type
  }
  return undefined
}

function writeValue(encoder: encoding.Encoder, kind: number, value: unknown, form: Form): void {
  encoding.writeUint8(encoder, kind)
  encoding.writeAny(encoder, canonical(value, form))
}

/** How a value is saved: lib0's `any` keeps all numbers, undefined and bytes, JSON does not. */
type Form = 'any' | 'json'

type Canonical = undefined | null | number | bigint | boolean | string | Uint8Array | Canonical[] | { [key: string]: Canonical }

/** The value with its keys sorted and its numbers as they are after saving. Recursion is bounded: inspection refused deeper values. */
function canonical(value: unknown, form: Form): Canonical {
  switch (typeof value) {
    case 'number':
      return form === 'any' ? value : Number.isFinite(value) ? value + 0 : null
    case 'string':
    case 'boolean':
    case 'bigint':
    case 'undefined':
      return value
    case 'object': {
      if (value === null || value instanceof Uint8Array) return value
      if (Array.isArray(value)) return value.map((one) => canonical(one, form))
      const sorted: { [key: string]: Canonical } = {}
      for (const [key, one] of Object.entries(value).sort(([one], [other]) => compare(one, other)))
        sorted[key] = canonical(one, form)
      return sorted
    }
    default:
      // Functions and symbols are in no bytes.
      return undefined
  }
}

function isEmpty(type: SharedType): boolean {
  for (let item = type._start; item !== null; item = item.right) if (!item.deleted) return false
  return sortedKeys(type).length === 0
}

function sortedKeys(type: SharedType): readonly string[] {
  const keys: string[] = []
  for (const [key, item] of type._map) if (!item.deleted) keys.push(key)
  return keys.sort(compare)
}

/** By UTF-16 units, the same everywhere. */
const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)
