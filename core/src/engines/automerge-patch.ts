/**
 * Edits of people and programs that know no CRDT, on the draft of an Automerge document: JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396). A
 * string becomes a text that several can edit; one that replaces a text changes only what differs. `move` is `copy` and `remove`.
 */

import type { Edit, PatchOperation } from '../engine.js'
import { unreachable } from '../errors.js'
import { equal, fitting, indexOf, isObject, partsOf, sorted, Unfit } from './json-edit.js'

export type Root = Record<string, unknown>

/** What only Automerge can do. */
export interface DraftTools {
  jsonOf(value: unknown): unknown
  /** Turns the text at `path` into `text`. */
  retype(draft: Root, path: readonly (string | number)[], text: string): void
}

type Container = Record<string, unknown> | unknown[]

/** @throws MeridianError UPDATE_INVALID that names the operation that does not fit; the draft may be half edited then */
export function editAutomerge(draft: Root, edit: Edit, tools: DraftTools): void {
  const editor = new Editor(draft, tools)
  fitting(edit, {
    operate: (operation) => editor.operate(operation),
    merge: (value) => editor.merge([], draft, value),
  })
}

class Editor {
  readonly #draft: Root
  readonly #tools: DraftTools

  constructor(draft: Root, tools: DraftTools) {
    this.#draft = draft
    this.#tools = tools
  }

  operate(operation: PatchOperation): void {
    switch (operation.op) {
      case 'add':
        return this.#put(partsOf(operation.path), operation.value, 'add')
      case 'replace':
        return this.#put(partsOf(operation.path), operation.value, 'replace')
      case 'remove':
        return this.#remove(partsOf(operation.path))
      case 'test':
        if (!equal(this.#get(partsOf(operation.path)), operation.value)) throw new Unfit('the value is another')
        return
      case 'copy':
        return this.#put(partsOf(operation.path), this.#get(partsOf(operation.from)), 'add')
      case 'move': {
        const from = partsOf(operation.from)
        if (operation.path.startsWith(`${operation.from}/`)) throw new Unfit('nothing can be moved into itself')
        const value = this.#get(from)
        if (operation.path === operation.from) return
        this.#remove(from)
        return this.#put(partsOf(operation.path), value, 'add')
      }
      default:
        return unreachable(operation)
    }
  }

  merge(path: readonly (string | number)[], target: Record<string, unknown>, patch: Record<string, unknown>): void {
    for (const [key, value] of entriesOf(patch)) {
      const held = Object.hasOwn(target, key) ? target[key] : undefined
      if (value === null) {
        if (held !== undefined) delete target[key]
      } else if (isObject(value) && isPlain(held)) this.merge([...path, key], held, value)
      else this.#set([...path, key], target, key, isObject(value) ? withoutNulls(value) : value)
    }
  }

  #get(parts: readonly string[]): unknown {
    let value: unknown = this.#draft
    for (const part of parts) {
      if (Array.isArray(value)) value = value[indexOf(part, value.length - 1)]
      else if (isPlain(value) && Object.hasOwn(value, part)) value = value[part]
      else throw new Unfit('there is nothing at this path')
    }
    return this.#tools.jsonOf(value)
  }

  #put(parts: readonly string[], value: unknown, how: 'add' | 'replace'): void {
    const last = parts.at(-1)
    if (last === undefined) {
      if (!isObject(value)) throw new Unfit('the document as a whole is an object')
      for (const key of Object.keys(this.#draft)) if (!Object.hasOwn(value, key)) delete this.#draft[key]
      for (const [key, one] of entriesOf(value)) this.#set([key], this.#draft, key, one)
      return
    }
    const { container, path } = this.#walk(parts.slice(0, -1))
    if (Array.isArray(container)) {
      const isNew = how === 'add'
      const index = last === '-' && isNew ? container.length : indexOf(last, container.length - (isNew ? 0 : 1))
      if (isNew) container.splice(index, 0, copyOf(value))
      else this.#set([...path, index], container, index, value)
      return
    }
    if (how === 'replace' && !Object.hasOwn(container, last)) throw new Unfit('there is nothing at this path')
    this.#set([...path, last], container, last, value)
  }

  #remove(parts: readonly string[]): void {
    const last = parts.at(-1)
    if (last === undefined) {
      for (const key of Object.keys(this.#draft)) delete this.#draft[key]
      return
    }
    const { container } = this.#walk(parts.slice(0, -1))
    if (Array.isArray(container)) container.splice(indexOf(last, container.length - 1), 1)
    else if (Object.hasOwn(container, last)) delete container[last]
    else throw new Unfit('there is nothing at this path')
  }

  /** Nothing is done where nothing changes. */
  #set(path: readonly (string | number)[], container: Container, key: string | number, value: unknown): void {
    if (key === '__proto__' || key === '') throw new Unfit('this is no key')
    const target = container as Record<string | number, unknown>
    const held = Object.hasOwn(target, key) || typeof key === 'number' ? target[key] : undefined
    if (held !== undefined && equal(this.#tools.jsonOf(held), value)) return
    if (typeof held === 'string' && typeof value === 'string') this.#tools.retype(this.#draft, path, value)
    else target[key] = copyOf(value)
  }

  #walk(parts: readonly string[]): { readonly container: Container; readonly path: readonly (string | number)[] } {
    let container: Container = this.#draft
    const path: (string | number)[] = []
    for (const part of parts) {
      const key: string | number = Array.isArray(container) ? indexOf(part, container.length - 1) : part
      const next: unknown =
        typeof key === 'number' || Object.hasOwn(container, key)
          ? (container as Record<string | number, unknown>)[key]
          : undefined
      if (!Array.isArray(next) && !isPlain(next)) throw new Unfit('there is no object and no array at this path')
      path.push(key)
      container = next
    }
    return { container, path }
  }
}

/** A map of the document, and nothing that Automerge shows as an object: bytes, times, counters. */
function isPlain(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Automerge has no empty keys. */
function entriesOf(value: Record<string, unknown>): [string, unknown][] {
  if (Object.hasOwn(value, '')) throw new Unfit('this is no key')
  return sorted(value)
}

/** In the order of keys, and nothing of the document itself, which Automerge refuses to hold twice. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf)
  return isObject(value) ? Object.fromEntries(entriesOf(value).map(([key, one]) => [key, copyOf(one)])) : value
}

/** What RFC 7396 makes of a patch where nothing was. */
function withoutNulls(value: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(value).filter(([, one]) => one !== null)
  return Object.fromEntries(kept.map(([key, one]) => [key, isObject(one) ? withoutNulls(one) : one]))
}
