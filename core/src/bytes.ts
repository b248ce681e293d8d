/**
 * Reading from bytes that a stranger sent. lib0's own reads of byte strings check against the buffer below a view and not against the
 * view, so a declared length could reach into a neighbour's memory, and its numbers have no end; these check first. Nothing here copies.
 */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import { MeridianError } from './errors.js'

/**
 * A number of at most 2^53 - 1 in at most eight bytes. lib0's own read adds up floats for as long as the bytes go on: a number of 148 bytes
 * is an infinity, which takes for ever to write again, and one that is too large in its last byte passes. [hot]
 */
export function readVarUint(decoder: Decoder): number {
  const { arr } = decoder
  const start = decoder.pos
  let byte = arr[decoder.pos++]
  if (byte !== undefined && byte < 128) return byte
  let value = 0
  let factor = 1
  for (; byte !== undefined; byte = arr[decoder.pos++]) {
    value += (byte & 127) * factor
    factor *= 128
    if (byte < 128) {
      if (value > Number.MAX_SAFE_INTEGER) break
      return value
    }
    if (factor === 2 ** 56) break
  }
  const why = byte === undefined ? 'does not end' : 'is greater than 2^53 - 1, or longer than eight bytes'
  throw new MeridianError('FRAME_INVALID', { message: `The number at offset ${start} ${why}.` })
}

/** What `read` returns. What lib0 still reads (strings, 64 bits) throws plain errors where the bytes end or are no UTF-8. */
export function decoded<T>(read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    if (thrown instanceof MeridianError) throw thrown
    throw new MeridianError('FRAME_INVALID', { cause: thrown })
  }
}

/** Bytes with their length in front, as a view. */
export function readBytes(decoder: Decoder): Uint8Array {
  const length = readVarUint(decoder)
  const start = decoder.pos
  const end = start + length
  if (end > decoder.arr.length) {
    throw new MeridianError('FRAME_INVALID', {
      message: `At offset ${start} ${length} bytes are declared and ${decoder.arr.length - start} are there.`,
    })
  }
  decoder.pos = end
  return decoder.arr.subarray(start, end)
}

/** A string of at most `bytesMax` bytes of valid UTF-8. */
export function readString(decoder: Decoder, bytesMax: number): string {
  const start = decoder.pos
  const length = readVarUint(decoder)
  if (length > bytesMax || decoder.pos + length > decoder.arr.length) {
    throw new MeridianError('FRAME_INVALID', {
      message: `At offset ${start} a string of ${length} bytes; at most ${bytesMax}, and no more than are there.`,
    })
  }
  decoder.pos = start
  return decoding.readVarString(decoder)
}

/** A counter, size or number of the wire: a safe integer of at most `max`. */
export function readCount(decoder: Decoder, max: number, what: string): number {
  const count = readVarUint(decoder)
  if (count > max) throw new MeridianError('FRAME_INVALID', { message: `${what} is ${count}; at most ${max}.` })
  return count
}

/** Bytes that `writeVarUint` takes for a value. */
export function varUintLength(value: number): number {
  let length = 1
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) length++
  return length
}

/** Writes a varUint at `offset` and returns the offset after it. [hot] */
export function putVarUint(target: Uint8Array, offset: number, value: number): number {
  let rest = value
  let at = offset
  while (rest > 127) {
    target[at++] = 128 | (rest % 128)
    rest = Math.floor(rest / 128)
  }
  target[at++] = rest
  return at
}

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index])
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const result = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    result.set(part, offset)
    offset += part.length
  }
  return result
}
