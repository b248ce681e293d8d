/**
 * Frames of a transfer (LINK6): a region that is joining a group asks, and one that holds it answers. The joiner numbers the transfer (`handle`, of
 * the same numbers as its streams) and begins each step, so that nothing is on its way that it has no room for.
 *
 * | frame | from | says |
 * |---|---|---|
 * | join | joiner | I join this group; the sum of what I hold of it, keyed by these random bytes |
 * | offer | giver | what I hold when the transfer begins, and the sums of the highest level, none if ours are equal |
 * | expand | joiner | the sums below these nodes |
 * | sums | giver | those, in the order asked for |
 * | want | joiner | documents of these leaves but for those whose digests I name; how much I take |
 * | pour | giver | the next bytes of the states, `length • state` one behind the other, cut anywhere |
 * | credit | joiner | bytes that may have been poured since the want |
 * | poured | giver | that was all that was wanted, and this is what I hold now |
 */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import { readBytes, readCount, readString, readVarUint } from '../../bytes.js'
import { MeridianError } from '../../errors.js'
import type { GroupId, ReplicaId } from '../../ids.js'
import { parseGroup, parseReplica } from '../../ids.js'
import type { Chain, Version } from '../../version.js'
import { readVersion, toChain, writeVersion } from '../../version.js'
import { type Held, readHeld, writeHeld } from './held.js'

/** Children of a node in the tree of sums, and levels below its root; a leaf is a number below `leafCount`. */
export const fanOut = 32
export const levelCount = 3
export const leafCount = fanOut ** levelCount

/** Random bytes that key the digests of one transfer. */
export const joinKeyBytes = 16
/** Nodes of one `expand`, and digests of one `want`, at most. */
export const expandMax = 1024
export const digestsMax = 65_536

export interface Join {
  readonly type: 'join'
  readonly handle: number
  readonly group: GroupId
  readonly key: Uint8Array
  readonly sum: bigint
}

export interface Offer {
  readonly type: 'offer'
  readonly handle: number
  readonly held: Held
  readonly sealed: ReadonlyMap<ReplicaId, number>
  readonly seals: ReadonlyMap<string, Chain>
  readonly sums: readonly bigint[]
}

export interface Expand {
  readonly type: 'expand'
  readonly handle: number
  /** Of the nodes, from 1. */
  readonly level: number
  /** Rising. */
  readonly nodes: readonly number[]
}

export interface Sums {
  readonly type: 'sums'
  readonly handle: number
  readonly sums: readonly bigint[]
}

export interface WantedLeaf {
  readonly leaf: number
  /** Of the documents that the joiner holds of this leaf. */
  readonly digests: readonly bigint[]
}

export interface Want {
  readonly type: 'want'
  readonly handle: number
  readonly windowBytes: number
  /** By rising leaf. */
  readonly leaves: 'all' | readonly WantedLeaf[]
}

export interface Pour {
  readonly type: 'pour'
  readonly handle: number
  readonly bytes: Uint8Array
}

export interface Credit {
  readonly type: 'credit'
  readonly handle: number
  readonly bytes: number
}

export interface Poured {
  readonly type: 'poured'
  readonly handle: number
  readonly version: Version
}

export type JoinFrame = Join | Offer | Expand | Sums | Want | Pour | Credit | Poured

export function writeJoinBody(body: Encoder, frame: JoinFrame): void {
  encoding.writeVarUint(body, frame.handle)
  switch (frame.type) {
    case 'join':
      encoding.writeVarString(body, frame.group)
      encoding.writeUint8Array(body, frame.key)
      encoding.writeBigUint64(body, frame.sum)
      break
    case 'offer':
      writeHeld(body, frame.held)
      encoding.writeVarUint(body, frame.sealed.size)
      for (const [replica, sequence] of frame.sealed) {
        encoding.writeVarString(body, replica)
        encoding.writeVarUint(body, sequence)
      }
      encoding.writeVarUint(body, frame.seals.size)
      for (const [name, seal] of frame.seals) {
        encoding.writeVarString(body, name)
        encoding.writeBigUint64(body, seal)
      }
      writeSums(body, frame.sums)
      break
    case 'expand':
      encoding.writeVarUint(body, frame.level)
      writeRising(body, frame.nodes)
      break
    case 'sums':
      writeSums(body, frame.sums)
      break
    case 'want':
      encoding.writeVarUint(body, frame.windowBytes)
      encoding.writeVarUint(body, frame.leaves === 'all' ? 0 : 1)
      if (frame.leaves === 'all') break
      writeRising(
        body,
        frame.leaves.map(({ leaf }) => leaf),
      )
      for (const { digests } of frame.leaves) writeSums(body, digests)
      break
    case 'pour':
      encoding.writeVarUint8Array(body, frame.bytes)
      break
    case 'credit':
      encoding.writeVarUint(body, frame.bytes)
      break
    case 'poured':
      writeVersion(body, frame.version)
      break
  }
}

/** @throws MeridianError FRAME_INVALID */
export function readJoinBody(type: JoinFrame['type'], body: Decoder): JoinFrame {
  const handle = readVarUint(body)
  switch (type) {
    case 'join':
      return { type, handle, group: parseGroup(readString(body, 4096)), key: readKey(body), sum: decoding.readBigUint64(body) }
    case 'offer': {
      const held = readHeld(body)
      const sealed = new Map<ReplicaId, number>()
      for (let left = readCount(body, sealedMax, 'The number of sealed incarnations'); left > 0; left--)
        sealed.set(parseReplica(readString(body, 128)), readVarUint(body))
      const seals = new Map<string, Chain>()
      for (let left = readCount(body, sealedMax, 'The number of seals'); left > 0; left--)
        seals.set(readString(body, 128), toChain(decoding.readBigUint64(body)))
      return { type, handle, held, sealed, seals, sums: readSums(body, fanOut) }
    }
    case 'expand': {
      const level = readCount(body, levelCount - 1, 'The level of a node')
      return { type, handle, level, nodes: readRising(body, expandMax, fanOut ** level) }
    }
    case 'sums':
      return { type, handle, sums: readSums(body, expandMax * fanOut) }
    case 'want': {
      const windowBytes = readVarUint(body)
      if (readCount(body, 1, 'What is wanted') === 0) return { type, handle, windowBytes, leaves: 'all' }
      const leaves: WantedLeaf[] = []
      let left = digestsMax
      for (const leaf of readRising(body, leafCount, leafCount)) {
        const digests = readSums(body, left)
        left -= digests.length
        leaves.push({ leaf, digests })
      }
      return { type, handle, windowBytes, leaves }
    }
    case 'pour':
      return { type, handle, bytes: readBytes(body) }
    case 'credit':
      return { type, handle, bytes: readVarUint(body) }
    case 'poured':
      return { type, handle, version: readVersion(body) }
  }
}

const sealedMax = 65_536

function readKey(body: Decoder): Uint8Array {
  const end = body.pos + joinKeyBytes
  if (end > body.arr.length) throw new MeridianError('FRAME_INVALID', { message: 'A join is too short.' })
  const key = body.arr.slice(body.pos, end)
  body.pos = end
  return key
}

function writeSums(body: Encoder, sums: readonly bigint[]): void {
  encoding.writeVarUint(body, sums.length)
  for (const sum of sums) encoding.writeBigUint64(body, sum)
}

function readSums(body: Decoder, max: number): bigint[] {
  const count = readCount(body, max, 'The number of sums')
  const sums: bigint[] = []
  for (let index = 0; index < count; index++) sums.push(decoding.readBigUint64(body))
  return sums
}

/** Rising numbers as their distances: one byte each where many differ. */
function writeRising(body: Encoder, numbers: readonly number[]): void {
  encoding.writeVarUint(body, numbers.length)
  let next = 0
  for (const number of numbers) {
    encoding.writeVarUint(body, number - next)
    next = number + 1
  }
}

function readRising(body: Decoder, max: number, below: number): number[] {
  const count = readCount(body, max, 'The number of nodes')
  const numbers: number[] = []
  let next = 0
  for (let index = 0; index < count; index++) {
    const number = next + readVarUint(body)
    if (number >= below) throw new MeridianError('FRAME_INVALID', { message: 'A transfer has no such node.' })
    numbers.push(number)
    next = number + 1
  }
  return numbers
}
