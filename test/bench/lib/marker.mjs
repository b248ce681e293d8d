// Updates that carry their own number. A marker is eight ASCII characters, `~`, five digits of the sequence number and two of a
// check, each digit one of 64 characters: it can be found in any frame, merged update, stored state or text without decoding it.

import { writeVarUint } from './varint.mjs'

const DIGITS = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
const TILDE = 0x7e
const valueOf = new Int16Array(256).fill(-1)
for (let i = 0; i < 64; i++) valueOf[DIGITS[i]] = i

export const MARKER_LENGTH = 8

/** 12 bits that a chance run of bytes will not match. */
const check = (/** @type {number} */ sequence) => Math.imul(sequence + 1, 2654435761) >>> 20

/**
 * [hot] @param {Uint8Array} buffer @param {number} at @param {number} sequence below 2^30
 */
export function writeMarker(buffer, at, sequence) {
  buffer[at] = TILDE
  buffer[at + 1] = DIGITS[sequence & 63]
  buffer[at + 2] = DIGITS[(sequence >>> 6) & 63]
  buffer[at + 3] = DIGITS[(sequence >>> 12) & 63]
  buffer[at + 4] = DIGITS[(sequence >>> 18) & 63]
  buffer[at + 5] = DIGITS[(sequence >>> 24) & 63]
  const sum = check(sequence)
  buffer[at + 6] = DIGITS[sum & 63]
  buffer[at + 7] = DIGITS[sum >>> 6]
}

/**
 * [hot] Calls `found` with the number of each marker in `buffer[start, end)`.
 * @param {Uint8Array} buffer
 * @param {number} start
 * @param {number} end
 * @param {(sequence: number) => void} found
 */
export function eachMarker(buffer, start, end, found) {
  const last = end - MARKER_LENGTH
  let at = start
  while (at <= last) {
    if (buffer[at] !== TILDE) {
      at++
      continue
    }
    const a = valueOf[buffer[at + 1]]
    const b = valueOf[buffer[at + 2]]
    const c = valueOf[buffer[at + 3]]
    const d = valueOf[buffer[at + 4]]
    const e = valueOf[buffer[at + 5]]
    const f = valueOf[buffer[at + 6]]
    const g = valueOf[buffer[at + 7]]
    const sequence = a | (b << 6) | (c << 12) | (d << 18) | (e << 24)
    if ((a | b | c | d | e | f | g) < 0 || check(sequence) !== (f | (g << 6))) {
      at++
      continue
    }
    found(sequence)
    at += MARKER_LENGTH
  }
}

/**
 * One author who types markers at the end of the text `t` of one document: each update is one Yjs item of eight characters whose
 * origin is the character typed before, as an editor sends it (25 bytes or so).
 */
export class Author {
  #clock = 0
  #scratch = Buffer.alloc(64)

  /** @param {number} client the Yjs clientID */
  constructor(client) {
    this.client = client
  }

  /**
   * [hot] @param {number} sequence
   * @returns {Uint8Array} a Yjs update (v1), valid until the next call.
   */
  type(sequence) {
    const buffer = this.#scratch
    buffer[0] = 1 // one client
    buffer[1] = 1 // one struct
    let at = writeVarUint(buffer, 2, this.client)
    at = writeVarUint(buffer, at, this.#clock)
    if (this.#clock === 0) {
      buffer[at++] = 0x04 // a string without origin
      buffer[at++] = 1 // its parent is a root type,
      buffer[at++] = 1
      buffer[at++] = 0x74 // named "t"
    } else {
      buffer[at++] = 0x84 // a string with a left origin
      at = writeVarUint(buffer, at, this.client)
      at = writeVarUint(buffer, at, this.#clock - 1)
    }
    buffer[at++] = MARKER_LENGTH
    writeMarker(buffer, at, sequence)
    at += MARKER_LENGTH
    buffer[at++] = 0 // no deletions
    this.#clock += MARKER_LENGTH
    return buffer.subarray(0, at)
  }

  /**
   * The same with text behind the marker, for streams of bytes.
   * @param {number} sequence @param {string} padding ASCII @returns {Uint8Array} a Yjs update (v1).
   */
  typeLong(sequence, padding) {
    const length = MARKER_LENGTH + padding.length
    const buffer = Buffer.alloc(64 + length)
    buffer[0] = 1
    buffer[1] = 1
    let at = writeVarUint(buffer, 2, this.client)
    at = writeVarUint(buffer, at, this.#clock)
    if (this.#clock === 0) {
      buffer.set([0x04, 1, 1, 0x74], at)
      at += 4
    } else {
      buffer[at++] = 0x84
      at = writeVarUint(buffer, at, this.client)
      at = writeVarUint(buffer, at, this.#clock - 1)
    }
    at = writeVarUint(buffer, at, length)
    writeMarker(buffer, at, sequence)
    at += MARKER_LENGTH
    at += buffer.write(padding, at, 'latin1')
    buffer[at++] = 0
    this.#clock += length
    return buffer.subarray(0, at)
  }
}
