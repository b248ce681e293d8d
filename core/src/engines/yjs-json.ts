/**
 * The visible content of a Yjs document as JSON or text, for programs that know no CRDT.
 *
 * A top-level type has no kind in bytes: an app asks for it as text, map or array, and the bytes hold a list and a map of items. So its kind is
 * told from what it holds: keys make a map, characters and formats a text, XML a fragment, other items an array. One that holds nothing
 * any more has no kind, and is left out.
 */

import { toBase64 } from 'lib0/buffer'
import * as Y from 'yjs'
import type { Reading } from '../engine.js'
import { MeridianError } from '../errors.js'

export type RootKind = 'text' | 'map' | 'array' | 'xml' | 'nothing'

/** @throws MeridianError UPDATE_INVALID if there is no such text */
export function readYjs(doc: Y.Doc, reading: Reading): string {
  if (reading.kind === 'json') return JSON.stringify(jsonOfDoc(doc))
  const name = reading.root ?? onlyText(doc)
  if (!doc.share.has(name)) throw unfit('There is no root of this name')
  switch (rootKind(doc, name)) {
    case 'text':
      return doc.getText(name).toString()
    case 'xml':
      return doc.getXmlFragment(name).toString()
    case 'nothing':
      return ''
    default:
      throw unfit('This root is no text')
  }
}

export function rootKind(doc: Y.Doc, name: string): RootKind {
  const type = doc.share.get(name)
  if (type === undefined) return 'nothing'
  for (let item = type._start; item !== null; item = item.right) {
    if (item.deleted) continue
    const { content } = item
    if (content instanceof Y.ContentString || content instanceof Y.ContentFormat || content instanceof Y.ContentEmbed)
      return 'text'
    if (content instanceof Y.ContentType && isXml(content.type)) return 'xml'
    return 'array'
  }
  for (const item of type._map.values()) if (!item.deleted) return 'map'
  return 'nothing'
}

function onlyText(doc: Y.Doc): string {
  const names = [...doc.share.keys()].filter((name) => ['text', 'xml'].includes(rootKind(doc, name)))
  const [only] = names
  if (only === undefined) throw unfit('No root of the document is text')
  if (names.length > 1) throw unfit(`${names.length} roots are text: name one of them`)
  return only
}

function jsonOfDoc(doc: Y.Doc): unknown {
  const roots: [string, unknown][] = []
  for (const name of [...doc.share.keys()].sort()) {
    const value = jsonOfRoot(doc, name)
    if (value !== undefined) roots.push([name, value])
  }
  return Object.fromEntries(roots)
}

/** Undefined for a root that holds nothing. */
export function jsonOfRoot(doc: Y.Doc, name: string): unknown {
  switch (rootKind(doc, name)) {
    case 'text':
      return doc.getText(name).toString()
    case 'xml':
      return doc.getXmlFragment(name).toString()
    case 'map':
      return jsonOf(doc.getMap(name))
    case 'array':
      return jsonOf(doc.getArray(name))
    case 'nothing':
      return undefined
  }
}

/** What JSON has no word for becomes text (bytes in base64, large integers in decimal) or null. Depth is bounded: inspection refused more. */
export function jsonOf(value: unknown): unknown {
  if (value instanceof Y.Map) return Object.fromEntries([...value.entries()].map(([key, one]) => [key, jsonOf(one)]))
  if (value instanceof Y.Array) return value.toArray().map(jsonOf)
  // Texts as they read, XML elements and fragments as XML: strings both.
  if (value instanceof Y.AbstractType) return jsonOf(value.toJSON())
  if (value instanceof Uint8Array) return toBase64(value)
  if (value instanceof Y.Doc) return null
  if (Array.isArray(value)) return value.map(jsonOf)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, jsonOf(one)]))
  if (typeof value === 'bigint') return value.toString()
  return value ?? null
}

const isXml = (type: unknown): boolean =>
  type instanceof Y.XmlElement || type instanceof Y.XmlText || type instanceof Y.XmlHook || type instanceof Y.XmlFragment

const unfit = (message: string): MeridianError => new MeridianError('UPDATE_INVALID', { message: `${message}.` })
