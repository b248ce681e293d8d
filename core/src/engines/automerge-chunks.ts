/**
 * The chunks of an Automerge update: what is around a change, and its head. An update is one or more chunks behind one another, each of them one change
 * as it is stored: magic, checksum, type, length, body (https://automerge.org/automerge-binary-format-spec). The hash of a change, which is
 * its name, is the SHA-256 of the chunk from its type on; the checksum is the beginning of that.
 */

import { digest as sha256 } from 'lib0/hash/sha256'
import type { InspectLimits } from '../engine.js'
import { signed } from './automerge-columns.js'
import { Cursor, beyond, invalid } from './cursor.js'

const magic = [0x85, 0x6f, 0x4a, 0x83] as const
const changeType = 1
/** Magic, checksum, type. */
const headBytes = 9
export const hashBytes = 32

/** An actor is 16 bytes by custom; documents hold each once. */
const actorBytesMax = 128
/** Counters and sequence numbers of Automerge are 32 bits; the last bit is kept back. */
export const counterMax = 0x7fff_ffff

/** Where one chunk lies, and its name. */
export interface Chunk {
  readonly from: number
  readonly bodyFrom: number
  readonly to: number
  readonly hash: Uint8Array
}

export interface ChangeHead {
  /** Hashes of what it builds on, one after the other, in ascending order. */
  readonly deps: Uint8Array
  /** In lower-case hex. */
  readonly actor: string
  /** Which of its author's changes it is, from 1. */
  readonly seq: number
  /** Counter of its first operation. */
  readonly startOp: number
  /** Authors of operations that it names, besides its own. */
  readonly otherCount: number
}

/** The next chunk, whose checksum is right. @throws MeridianError UPDATE_INVALID */
export function readChunk(cursor: Cursor): Chunk {
  const from = cursor.offset
  for (const byte of magic) if (cursor.byte('magic of a chunk') !== byte) throw invalid('magic of a chunk', from, 'another')
  const checksum = cursor.offset
  cursor.skip('checksum of a chunk', 4)
  const typeFrom = cursor.offset
  if (cursor.byte('type of a chunk') !== changeType)
    throw invalid('type of a chunk', typeFrom, 'another than that of an uncompressed change')
  const length = cursor.varUint('length of a chunk', Number.MAX_SAFE_INTEGER)
  const bodyFrom = cursor.offset
  cursor.skip('body of a chunk', length)
  const { bytes, offset: to } = cursor
  const hash = sha256(bytes.subarray(typeFrom, to))
  for (let index = 0; index < 4; index++)
    if (hash[index] !== bytes[checksum + index]) throw invalid('checksum of a chunk', checksum, 'wrong')
  return { from, bodyFrom, to, hash }
}

/** Where the chunks of an update that was inspected lie. */
export function chunkEnds(update: Uint8Array): number[] {
  const cursor = new Cursor(update)
  const ends: number[] = []
  while (cursor.left > 0) {
    cursor.skip('head of a chunk', headBytes)
    cursor.skip('body of a chunk', cursor.varUint('length of a chunk', cursor.left))
    ends.push(cursor.offset)
  }
  return ends
}

/** The chunks of what peers of Automerge send one another, unchecked. @throws MeridianError UPDATE_INVALID */
export function foreignChunks(
  foreign: Uint8Array,
): { readonly bytes: Uint8Array; readonly type: 'change' | 'document' | 'compressed' }[] {
  const cursor = new Cursor(foreign)
  const chunks: ReturnType<typeof foreignChunks> = []
  while (cursor.left > 0) {
    const from = cursor.offset
    cursor.skip('head of a chunk', headBytes)
    const type = (['document', 'change', 'compressed'] as const)[foreign[from + headBytes - 1] ?? 0xff]
    if (type === undefined) throw invalid('type of a chunk', from, 'unknown')
    cursor.skip('body of a chunk', cursor.varUint('length of a chunk', cursor.left))
    chunks.push({ bytes: foreign.subarray(from, cursor.offset), type })
  }
  return chunks
}

/** The head of the change that `cursor` holds, which stands at its columns then. @throws MeridianError UPDATE_INVALID */
export function readHead(cursor: Cursor, limits: Pick<InspectLimits, 'clientsMax'>): ChangeHead {
  const depCount = cursor.varUint('count of dependencies', Math.floor(cursor.left / hashBytes))
  const depsFrom = cursor.offset
  cursor.skip('dependencies', depCount * hashBytes)
  const deps = cursor.bytes.subarray(depsFrom, cursor.offset)
  for (let at = hashBytes; at < deps.length; at += hashBytes)
    if (compare(deps.subarray(at - hashBytes, at), deps.subarray(at, at + hashBytes)) >= 0)
      throw invalid('dependencies', depsFrom + at, 'out of order')
  const actor = readActor(cursor)
  const seqAt = cursor.offset
  const seq = cursor.varUint('sequence number', counterMax)
  const startOp = cursor.varUint('counter of the first operation', counterMax)
  if (seq === 0 || startOp === 0) throw invalid('sequence number or counter', seqAt, 'zero')
  signed(cursor, 'time')
  cursor.text('message')
  const othersAt = cursor.offset
  const otherCount = cursor.varUint('count of other authors', cursor.left >>> 1)
  if (otherCount >= limits.clientsMax) throw beyond('count of other authors', othersAt, limits.clientsMax - 1)
  let before: Uint8Array | undefined
  for (let index = 0; index < otherCount; index++) {
    const other = readActor(cursor)
    if ((before !== undefined && compare(before, other) >= 0) || compare(other, actor) === 0)
      throw invalid('other authors', othersAt, 'out of order')
    before = other
  }
  return { deps, actor: hexOf(actor), seq, startOp, otherCount }
}

function readActor(cursor: Cursor): Uint8Array {
  const at = cursor.offset
  const length = cursor.varUint('length of an author', actorBytesMax)
  if (length === 0) throw invalid('author', at, 'empty')
  const from = cursor.offset
  cursor.skip('author', length)
  return cursor.bytes.subarray(from, cursor.offset)
}

/** Byte by byte, a shorter one before a longer one that begins with it. */
export function compare(one: Uint8Array, other: Uint8Array): number {
  const length = Math.min(one.length, other.length)
  for (let index = 0; index < length; index++) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0)
    if (difference !== 0) return difference
  }
  return one.length - other.length
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function hexOf(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at++) text += hexPairs[bytes[at] ?? 0] ?? ''
  return text
}

export function bytesOfHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2)
  for (let index = 0; index < bytes.length; index++) bytes[index] = Number.parseInt(text.slice(index * 2, index * 2 + 2), 16)
  return bytes
}
