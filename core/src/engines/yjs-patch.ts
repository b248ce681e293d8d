/**
 * Edits of people and programs that know no CRDT: JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396), made on a live document in one
 * transaction, so that they become one update.
 *
 * The first part of a path names a root, the others lead into its maps and arrays. A new root is a text, an array or a map by the value
 * that it gets; below the roots objects become maps, arrays become arrays, and everything else, strings too, stays a plain value. A text gets
 * what changed between its first and its last difference, so that edits of others around it keep their place. `move` is `copy` and
 * `remove`: no CRDT operation moves things here.
 */

import * as Y from 'yjs'
import type { Edit, PatchOperation } from '../engine.js'
import { unreachable } from '../errors.js'
import { equal, fitting, indexOf, isObject, partsOf, sorted, Unfit } from './json-edit.js'
import { jsonOf, jsonOfRoot, rootKind } from './yjs-json.js'

type Container = Y.Map<unknown> | Y.Array<unknown>

/** @throws MeridianError UPDATE_INVALID that names the operation that does not fit; the document may be half edited then */
export function editYjs(doc: Y.Doc, edit: Edit): void {
  fitting(edit, {
    operate: (operation) => operate(doc, operation),
    merge: (roots) => {
      for (const [name, value] of sorted(roots)) mergeRoot(doc, name, value)
    },
  })
}

function operate(doc: Y.Doc, operation: PatchOperation): void {
  const path = pointer(operation.path)
  switch (operation.op) {
    case 'add':
      return put(doc, path, operation.value, 'insert')
    case 'replace':
      valueAt(doc, path)
      return put(doc, path, operation.value, 'replace')
    case 'remove':
      valueAt(doc, path)
      return remove(doc, path)
    case 'test':
      if (!equal(valueAt(doc, path), operation.value)) throw new Unfit('the value is another one')
      return
    case 'copy':
      return put(doc, path, valueAt(doc, pointer(operation.from)), 'insert')
    case 'move': {
      if (operation.path.startsWith(`${operation.from}/`)) throw new Unfit('nothing moves into itself')
      const from = pointer(operation.from)
      const value = valueAt(doc, from)
      remove(doc, from)
      return put(doc, path, value, 'insert')
    }
    default:
      return unreachable(operation)
  }
}

/** A JSON Pointer with at least one part: the whole document is no value that could be replaced. */
function pointer(text: string): readonly [string, ...string[]] {
  const [root = '', ...rest] = partsOf(text)
  if (root === '') throw new Unfit('a path begins with / and a root')
  if (rest.includes('__proto__')) throw new Unfit('__proto__ is no key')
  return [root, ...rest]
}

/** As JSON. */
function valueAt(doc: Y.Doc, [name, ...rest]: readonly [string, ...string[]]): unknown {
  let value = jsonOfRoot(doc, name)
  if (value === undefined) throw new Unfit('there is no such root')
  for (const part of rest) {
    if (Array.isArray(value)) value = value[indexOf(part, value.length - 1)]
    else if (isObject(value) && Object.hasOwn(value, part)) value = value[part]
    else throw new Unfit('there is nothing at this path')
  }
  return value
}

function put(doc: Y.Doc, [name, ...rest]: readonly [string, ...string[]], value: unknown, how: 'insert' | 'replace'): void {
  const last = rest.pop()
  if (last === undefined) return putRoot(doc, name, value)
  const { container, plain } = walk(doc, name, rest)
  if (plain.length > 0) return editPlain(container, [...plain, last], (target, part) => putPlain(target, part, value, how))
  if (container instanceof Y.Map) container.set(last, shared(value))
  else {
    const index =
      last === '-' && how === 'insert' ? container.length : indexOf(last, container.length - (how === 'insert' ? 0 : 1))
    if (how === 'replace') container.delete(index, 1)
    container.insert(index, [shared(value)])
  }
}

function remove(doc: Y.Doc, [name, ...rest]: readonly [string, ...string[]]): void {
  const last = rest.pop()
  if (last === undefined) return emptyRoot(doc, name)
  const { container, plain } = walk(doc, name, rest)
  if (plain.length > 0) editPlain(container, [...plain, last], removePlain)
  else if (container instanceof Y.Map) container.delete(last)
  else container.delete(indexOf(last, container.length - 1), 1)
}

/** The innermost shared type of a path, and the rest of the path if that leads into a plain value in it. */
function walk(doc: Y.Doc, name: string, parts: readonly string[]): { container: Container; plain: readonly string[] } {
  let container = rootContainer(doc, name)
  for (const [at, part] of parts.entries()) {
    const next: unknown = container instanceof Y.Map ? container.get(part) : container.get(indexOf(part, container.length - 1))
    if (next instanceof Y.Map || next instanceof Y.Array) container = next
    else if (typeof next === 'object' && next !== null && !(next instanceof Y.AbstractType)) {
      return { container, plain: parts.slice(at) }
    } else throw new Unfit('there is no object and no array at this path')
  }
  return { container, plain: [] }
}

function rootContainer(doc: Y.Doc, name: string): Container {
  const kind = rootKind(doc, name)
  if (kind === 'map') return doc.getMap(name)
  if (kind === 'array') return doc.getArray(name)
  throw new Unfit(kind === 'nothing' ? 'there is no such root' : 'this root is a text, and paths do not lead into texts')
}

function putRoot(doc: Y.Doc, name: string, value: unknown): void {
  const kind = rootKind(doc, name)
  const fits = (wanted: typeof kind): boolean => kind === wanted || kind === 'nothing'
  if (typeof value === 'string' && fits('text')) return retype(doc.getText(name), value)
  if (Array.isArray(value) && fits('array')) {
    const array = doc.getArray(name)
    array.delete(0, array.length)
    return array.push(value.map(shared))
  }
  if (isObject(value) && fits('map')) {
    const map = doc.getMap(name)
    for (const key of [...map.keys()]) if (!Object.hasOwn(value, key)) map.delete(key)
    for (const [key, one] of sorted(value)) map.set(key, shared(one))
    return
  }
  throw new Unfit(kind === 'nothing' ? 'a root is a text, an array or an object' : `this root is ${kind}, and stays so`)
}

function emptyRoot(doc: Y.Doc, name: string): void {
  const kind = rootKind(doc, name)
  if (kind === 'map') doc.getMap(name).clear()
  else if (kind === 'array') doc.getArray(name).delete(0, doc.getArray(name).length)
  else if (kind === 'text') doc.getText(name).delete(0, doc.getText(name).length)
  else if (kind === 'xml') doc.getXmlFragment(name).delete(0, doc.getXmlFragment(name).length)
}

/** Only what differs between the common beginning and the common end; never in the middle of a surrogate pair. */
function retype(text: Y.Text, wanted: string): void {
  const held = text.toString()
  // Embedded things have a place and no characters: then nothing can be counted on but the whole.
  if (held.length !== text.length) {
    text.delete(0, text.length)
    return text.insert(0, wanted)
  }
  const most = Math.min(held.length, wanted.length)
  let start = 0
  while (start < most && held[start] === wanted[start]) start++
  if (isHighSurrogate(held.charCodeAt(start - 1))) start--
  let end = 0
  while (end < most - start && held[held.length - 1 - end] === wanted[wanted.length - 1 - end]) end++
  if (isLowSurrogate(held.charCodeAt(held.length - end))) end--
  if (held.length - end > start) text.delete(start, held.length - end - start)
  if (wanted.length - end > start) text.insert(start, wanted.slice(start, wanted.length - end))
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00
const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

// JSON Merge Patch.

function mergeRoot(doc: Y.Doc, name: string, value: unknown): void {
  if (value === null) return emptyRoot(doc, name)
  if (!isObject(value)) return putRoot(doc, name, value)
  const kind = rootKind(doc, name)
  if (kind !== 'map' && kind !== 'nothing') throw new Unfit(`a root is ${kind}, and stays so`)
  mergeInto(doc.getMap(name), value)
}

function mergeInto(map: Y.Map<unknown>, patch: Record<string, unknown>): void {
  for (const [key, value] of sorted(patch)) {
    const held = map.get(key)
    if (value === null) map.delete(key)
    else if (isObject(value) && held instanceof Y.Map) mergeInto(held, value)
    else if (isObject(value)) map.set(key, shared(mergePlain(held instanceof Y.AbstractType ? undefined : held, value)))
    else if (!equal(jsonOf(held), value)) map.set(key, shared(value))
  }
}

function mergePlain(held: unknown, patch: Record<string, unknown>): Record<string, unknown> {
  const merged = new Map(isObject(held) ? Object.entries(held) : [])
  for (const [key, value] of sorted(patch)) {
    if (value === null) merged.delete(key)
    else merged.set(key, isObject(value) ? mergePlain(merged.get(key), value) : value)
  }
  return Object.fromEntries(merged)
}

// Plain values: what an app put into a map or an array as one value. An edit inside replaces the whole of it.

function editPlain(container: Container, path: readonly string[], change: (target: unknown, part: string) => void): void {
  const [first = '', ...rest] = path
  const last = rest.pop() ?? ''
  const key = container instanceof Y.Map ? first : indexOf(first, container.length - 1)
  const value: unknown = structuredCopy(
    typeof key === 'string' ? (container as Y.Map<unknown>).get(key) : (container as Y.Array<unknown>).get(key),
  )
  let target = value
  for (const part of rest) {
    if (Array.isArray(target)) target = target[indexOf(part, target.length - 1)]
    else if (isObject(target) && Object.hasOwn(target, part)) target = target[part]
    else throw new Unfit('there is nothing at this path')
  }
  change(target, last)
  if (container instanceof Y.Map) container.set(first, value)
  else {
    const index = indexOf(first, container.length - 1)
    container.delete(index, 1)
    container.insert(index, [value])
  }
}

function putPlain(target: unknown, part: string, value: unknown, how: 'insert' | 'replace'): void {
  if (Array.isArray(target)) {
    const index = part === '-' && how === 'insert' ? target.length : indexOf(part, target.length - (how === 'insert' ? 0 : 1))
    target.splice(index, how === 'insert' ? 0 : 1, value)
  } else if (isObject(target)) target[part] = value
  else throw new Unfit('there is no object and no array at this path')
}

function removePlain(target: unknown, part: string): void {
  if (Array.isArray(target)) target.splice(indexOf(part, target.length - 1), 1)
  else if (isObject(target)) delete target[part]
}

const structuredCopy = (value: unknown): unknown => JSON.parse(JSON.stringify(jsonOf(value)))

/** A JSON value as shared types, so that parts of it can be edited at once by several. */
function shared(value: unknown): unknown {
  if (Array.isArray(value)) {
    const array = new Y.Array<unknown>()
    array.push(value.map(shared))
    return array
  }
  if (!isObject(value)) return value
  const map = new Y.Map<unknown>()
  for (const [key, one] of sorted(value)) map.set(key, shared(one))
  return map
}
