/**
 * [hot] A reader of the primitive values of engines' encodings (lib0's of Yjs V1; LEB128 of Automerge) that trusts nothing: it checks and steps
 * over, and decodes only what has to be looked into. It is not a decoder; no value leaves it but numbers and short names.
 *
 * Strictness, all of it met by what Yjs (13.x, any content) and Automerge write:
 * - integers are in their shortest form and within the limit given; nothing is read past the end of the view;
 * - strings are valid UTF-8 (RFC 3629: no overlong forms, no surrogates);
 * - JSON text is what JSON.parse takes; values nest at most `depthMax` containers deep, because saving recurses;
 * - no object key is `__proto__`: `toJSON` and `toDelta` assign keys to plain objects, where that one changes the prototype.
 */

import { decodeUtf8 } from 'lib0/string'
import { MeridianError } from '../errors.js'

/** `__proto__` in bytes. */
const forbiddenKey = [95, 95, 112, 114, 111, 116, 111, 95, 95] as const

export class Cursor {
  readonly bytes: Uint8Array
  offset = 0
  /** Where the string that `text` stepped over last lies. */
  textFrom = 0
  textTo = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get left(): number {
    return this.bytes.length - this.offset
  }

  byte(field: string): number {
    const byte = this.bytes[this.offset]
    if (byte === undefined || this.offset >= this.bytes.length) throw ended(field, this.bytes.length)
    this.offset++
    return byte
  }

  /** An unsigned integer of at most `max`, which is at most 2^53 - 1. */
  varUint(field: string, max: number): number {
    const start = this.offset
    let byte = this.byte(field)
    let value = byte & 0x7f
    // Seven bytes more hold 56 bits, more than any limit.
    for (let factor = 128; byte > 0x7f; factor *= 128) {
      byte = this.byte(field)
      value += (byte & 0x7f) * factor
      if (byte === 0 || factor > 0x1_0000_0000_0000) throw invalid(field, start, 'an integer that is too long')
    }
    if (value > max) throw beyond(field, start, max)
    return value
  }

  /** A signed integer: the first byte holds a sign and six bits. lib0 knows -0, so a sign in front of zero is fine. */
  varInt(field: string): void {
    const start = this.offset
    let byte = this.byte(field)
    let value = byte & 0x3f
    for (let factor = 64; byte > 0x7f; factor *= 128) {
      byte = this.byte(field)
      value += (byte & 0x7f) * factor
      if (byte === 0 || factor > 0x2_0000_0000_0000) throw invalid(field, start, 'an integer that is too long')
    }
    if (value > Number.MAX_SAFE_INTEGER) throw beyond(field, start, Number.MAX_SAFE_INTEGER)
  }

  skip(field: string, count: number): void {
    if (count > this.left) throw ended(field, this.bytes.length)
    this.offset += count
  }

  /** Steps over bytes with their length in front. */
  blob(field: string): void {
    this.skip(field, this.varUint(field, this.left))
  }

  /**
   * Steps over a string and remembers where it lies.
   * @returns its length in UTF-16 units, which is how Yjs counts.
   */
  text(field: string): number {
    return this.utf8(field, this.varUint(field, this.left))
  }

  /** The same for a string whose length in bytes is told elsewhere. */
  utf8(field: string, length: number): number {
    const from = this.offset
    this.skip(field, length)
    this.textFrom = from
    this.textTo = this.offset
    const bytes = this.bytes
    const to = this.offset
    let at = from
    while (at < to && (bytes[at] ?? 0) < 0x80) at++
    return at === to ? length : at - from + this.wideUnits(field, at, to)
  }

  /** What `text` stepped over last, decoded. */
  textValue(): string {
    return decodeUtf8(this.bytes.subarray(this.textFrom, this.textTo))
  }

  /** A string that becomes the key of a plain object somewhere. */
  key(field: string): void {
    this.text(field)
    if (this.textTo - this.textFrom !== forbiddenKey.length) return
    for (let index = 0; index < forbiddenKey.length; index++) {
      if (this.bytes[this.textFrom + index] !== forbiddenKey[index]) return
    }
    throw invalid(field, this.textFrom, 'the name of the prototype')
  }

  /** Steps over one value of lib0's `any` encoding; `depthLeft` containers may still open. */
  any(field: string, depthLeft: number): void {
    const start = this.offset
    switch (this.byte(field)) {
      case 127: // undefined
      case 126: // null
      case 121: // false
      case 120: // true
        return
      case 125:
        this.varInt(field)
        return
      case 124: // float32
        this.skip(field, 4)
        return
      case 123: // float64
      case 122: // bigint
        this.skip(field, 8)
        return
      case 119:
        this.text(field)
        return
      case 118: {
        if (depthLeft <= 0) throw invalid(field, start, 'nested deeper than the limit of levels')
        // An entry takes two bytes or more, so a count beyond that is a lie, told early.
        const count = this.varUint(field, this.left >>> 1)
        for (let index = 0; index < count; index++) {
          this.key(field)
          this.any(field, depthLeft - 1)
        }
        return
      }
      case 117: {
        if (depthLeft <= 0) throw invalid(field, start, 'nested deeper than the limit of levels')
        const count = this.varUint(field, this.left)
        for (let index = 0; index < count; index++) this.any(field, depthLeft - 1)
        return
      }
      case 116:
        this.blob(field)
        return
      default:
        throw invalid(field, start, 'of no known kind')
    }
  }

  /** Steps over a string that holds one JSON value; where `undefined` is how Yjs wrote that, it is a value too. */
  json(field: string, depthMax: number, absent: 'undefined' | 'refused'): void {
    this.text(field)
    const start = this.textFrom
    const text = this.textValue()
    if (absent === 'undefined' && text === 'undefined') return
    if (deeper(text, depthMax)) throw invalid(field, start, 'nested deeper than the limit of levels')
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      throw invalid(field, start, 'no JSON')
    }
    // An escape can spell the key in other characters.
    if ((text.includes('__proto__') || text.includes('\\')) && holdsPrototypeKey(value)) {
      throw invalid(field, start, 'an object with the name of the prototype as a key')
    }
  }

  /** UTF-16 units of the string bytes in [from, to), the first of which is no ASCII; throws unless they are UTF-8. */
  private wideUnits(field: string, from: number, to: number): number {
    const bytes = this.bytes
    let units = 0
    for (let at = from; at < to; ) {
      const lead = bytes[at] ?? 0
      const following = lead < 0x80 ? 0 : lead < 0xc2 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : -1
      if (following < 0 || at + following >= to) throw invalid(field, at, 'no UTF-8')
      if (following > 0) {
        const second = bytes[at + 1] ?? 0
        // Overlong forms, surrogates and what is beyond U+10FFFF show in the second byte.
        const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
        const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
        if (second < low || second > high) throw invalid(field, at, 'no UTF-8')
        for (let rest = 2; rest <= following; rest++) {
          if (((bytes[at + rest] ?? 0) & 0xc0) !== 0x80) throw invalid(field, at, 'no UTF-8')
        }
      }
      at += following + 1
      units += following === 3 ? 2 : 1
    }
    return units
  }
}

/** A value of an update that is not what Yjs writes. The message holds no content. */
export function invalid(field: string, offset: number, what: string): MeridianError {
  return new MeridianError('UPDATE_INVALID', { message: `The ${field} at offset ${offset} is ${what}.` })
}

export function beyond(field: string, offset: number, limit: number): MeridianError {
  return new MeridianError('UPDATE_INVALID', { message: `The ${field} at offset ${offset} is beyond its limit of ${limit}.` })
}

function ended(field: string, length: number): MeridianError {
  return new MeridianError('UPDATE_INVALID', { message: `The ${field} goes past the end at offset ${length}.` })
}

/** Whether JSON text opens more than `depthMax` containers at once; before it is parsed, whatever else is wrong with it. */
function deeper(text: string, depthMax: number): boolean {
  let depth = 0
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (quoted) {
      if (unit === 0x5c) index++
      else if (unit === 0x22) quoted = false
    } else if (unit === 0x22) quoted = true
    else if (unit === 0x5b || unit === 0x7b) {
      if (++depth > depthMax) return true
    } else if (unit === 0x5d || unit === 0x7d) depth--
  }
  return false
}

/** Recursion is bounded by the depth that was checked before. */
function holdsPrototypeKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Object.hasOwn(value, '__proto__')) return true
  return Object.values(value).some(holdsPrototypeKey)
}
