/**
 * The message of Automerge's sync protocol: `type · heads · need · have · changes · capabilities`, lists with their count in front, byte
 * strings with their length, hashes of 32 bytes as they are. Written is version 1 without capabilities, so that peers answer with changes and
 * not with whole documents; read is version 2, too. No Bloom filter is written or looked at: an empty one holds nothing, so that all behind
 * `lastSync` is sent.
 */

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { decoded, readBytes, readVarUint } from '../../bytes.js'
import { chunkEnds, hashBytes } from '../../engines/automerge-chunks.js'
import { MeridianError } from '../../errors.js'

const versionOne = 0x42
const versionTwo = 0x43

/** Sets of heads are their hashes one after the other, as an engine's state vector is. */
export interface SyncMessage {
  readonly heads: Uint8Array
  readonly need: Uint8Array
  /** What the sender takes both for holding: of each element its `lastSync`. */
  readonly have: readonly Uint8Array[]
  /** Chunks, one or more in each. */
  readonly changes: readonly Uint8Array[]
}

/** @throws MeridianError FRAME_INVALID */
export function decodeSyncMessage(bytes: Uint8Array): SyncMessage {
  return decoded(() => {
    const decoder = decoding.createDecoder(bytes)
    const type = decoding.hasContent(decoder) ? decoding.readUint8(decoder) : 0
    if (type !== versionOne && type !== versionTwo) {
      throw new MeridianError('FRAME_INVALID', { message: `Type ${type} is no sync message of Automerge.` })
    }
    const heads = readHashes(decoder)
    const need = readHashes(decoder)
    const have = readMany(decoder, () => {
      const lastSync = readHashes(decoder)
      readBytes(decoder)
      return lastSync
    })
    // Capabilities stand behind, and what later versions have.
    return { heads, need, have, changes: readMany(decoder, () => readBytes(decoder)) }
  })
}

export function encodeSyncMessage({ heads, need, have, changes }: SyncMessage): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeUint8(encoder, versionOne)
  writeHashes(encoder, heads)
  writeHashes(encoder, need)
  encoding.writeVarUint(encoder, have.length)
  for (const lastSync of have) {
    writeHashes(encoder, lastSync)
    encoding.writeVarUint(encoder, 0)
  }
  encoding.writeVarUint(encoder, changes.length)
  for (const change of changes) encoding.writeVarUint8Array(encoder, change)
  return encoding.toUint8Array(encoder)
}

/** The chunks of an update that was inspected, each by itself. */
export function chunksOf(update: Uint8Array): Uint8Array[] {
  let from = 0
  return chunkEnds(update).map((to) => update.subarray(from, (from = to)))
}

function readMany<T>(decoder: decoding.Decoder, read: () => T): T[] {
  const count = readVarUint(decoder)
  // Each takes a byte at least.
  if (count > decoder.arr.length - decoder.pos)
    throw new MeridianError('FRAME_INVALID', { message: 'A list is longer than its bytes.' })
  return Array.from({ length: count }, read)
}

function readHashes(decoder: decoding.Decoder): Uint8Array {
  const count = readVarUint(decoder)
  const start = decoder.pos
  if (count > (decoder.arr.length - start) / hashBytes) {
    throw new MeridianError('FRAME_INVALID', { message: 'A list of hashes is longer than its bytes.' })
  }
  decoder.pos += count * hashBytes
  return decoder.arr.subarray(start, decoder.pos)
}

function writeHashes(encoder: encoding.Encoder, hashes: Uint8Array): void {
  encoding.writeVarUint(encoder, hashes.length / hashBytes)
  encoding.writeUint8Array(encoder, hashes)
}
