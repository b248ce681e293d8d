/**
 * The three messages by which two regions prove themselves before a link begins (regions/src/link/handshake.ts), and what each of them signs.
 *
 * | message | from | holds |
 * |---|---|---|
 * | greeting | dialer | `varUint(protocol) • varString(region that is wanted) • self` |
 * | answer | acceptor | `self • signature` |
 * | proof | dialer | `signature` |
 *
 * `self := varString(region) • varString(jurisdiction) • 32 random bytes`; a signature is Ed25519 over `varString("meridian link 1 " role) • self of
 * the dialer • self of the acceptor`, with the role `accept` in the answer and `dial` in the proof.
 */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import { decoded, readString, readVarUint } from '../../bytes.js'
import { MeridianError } from '../../errors.js'
import type { RegionId } from '../../ids.js'
import { parseRegion } from '../../ids.js'
import { linkProtocolVersion } from './frames.js'

export const nonceBytes = 32
export const signatureBytes = 64
/** Bytes of one message of the handshake, at most. */
export const handshakeBytesMax = 1024

/** What one side says of itself. */
export interface Self {
  readonly region: RegionId
  readonly jurisdiction: string
  /** Random, and never used again. */
  readonly nonce: Uint8Array
}

export interface Greeting {
  readonly protocol: number
  readonly wanted: RegionId
  readonly self: Self
}

export interface Answer {
  readonly self: Self
  readonly signature: Uint8Array
}

export const encodeGreeting = (wanted: RegionId, self: Self): Uint8Array =>
  encoded((encoder) => {
    encoding.writeVarUint(encoder, linkProtocolVersion)
    encoding.writeVarString(encoder, wanted)
    writeSelf(encoder, self)
  })

/** @throws MeridianError FRAME_INVALID, FRAME_TOO_LARGE; so do the other two */
export const decodeGreeting = (message: Uint8Array): Greeting =>
  read(message, (decoder) => ({
    protocol: readVarUint(decoder),
    wanted: parseRegion(readString(decoder, 63)),
    self: readSelf(decoder),
  }))

export const encodeAnswer = ({ self, signature }: Answer): Uint8Array =>
  encoded((encoder) => {
    writeSelf(encoder, self)
    encoding.writeUint8Array(encoder, signature)
  })

export const decodeAnswer = (message: Uint8Array): Answer =>
  read(message, (decoder) => ({ self: readSelf(decoder), signature: readFixed(decoder, signatureBytes) }))

export const decodeProof = (message: Uint8Array): Uint8Array => read(message, (decoder) => readFixed(decoder, signatureBytes))

/** What is signed: each side under a role of its own, so that no signature can be sent back as another one. */
export const transcript = (role: 'accept' | 'dial', dialer: Self, acceptor: Self): Uint8Array =>
  encoded((encoder) => {
    encoding.writeVarString(encoder, `meridian link 1 ${role}`)
    writeSelf(encoder, dialer)
    writeSelf(encoder, acceptor)
  })

function encoded(write: (encoder: Encoder) => void): Uint8Array {
  const encoder = encoding.createEncoder()
  write(encoder)
  return encoding.toUint8Array(encoder)
}

function read<T>(message: Uint8Array, from: (decoder: Decoder) => T): T {
  if (message.length > handshakeBytesMax)
    throw new MeridianError('FRAME_TOO_LARGE', { message: 'Too much before the other region is known.' })
  const decoder = decoding.createDecoder(message)
  const value = decoded(() => from(decoder))
  if (decoding.hasContent(decoder)) throw new MeridianError('FRAME_INVALID', { message: 'Bytes follow a handshake.' })
  return value
}

/** lib0 would read on into what lies behind the message. */
function readFixed(decoder: Decoder, bytes: number): Uint8Array {
  const end = decoder.pos + bytes
  if (end > decoder.arr.length) throw new MeridianError('FRAME_INVALID', { message: 'A handshake is too short.' })
  const value = decoder.arr.slice(decoder.pos, end)
  decoder.pos = end
  return value
}

function writeSelf(encoder: Encoder, { region, jurisdiction, nonce }: Self): void {
  encoding.writeVarString(encoder, region)
  encoding.writeVarString(encoder, jurisdiction)
  encoding.writeUint8Array(encoder, nonce)
}

function readSelf(decoder: Decoder): Self {
  const region = parseRegion(readString(decoder, 63))
  const jurisdiction = readString(decoder, 2)
  return { region, jurisdiction, nonce: readFixed(decoder, nonceBytes) }
}
