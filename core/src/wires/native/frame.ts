/**
 * Framing of the native wire (PROTOCOL.md, FRAME rules): a WebSocket message is a batch of frames, each with its type and length in
 * front, so that a reader can skip what it does not know. A frame larger than a message travels as fragments, one frame at a time a
 * direction; other frames may stand between them.
 */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import { putVarUint, readBytes, readVarUint, varUintLength } from '../../bytes.js'
import { MeridianError } from '../../errors.js'

/**
 * Bumped with every change that an older peer would misread.
 * 1: first.
 * 2: a token frame is answered by `granted`, a push on a channel that is not attached by `refused` NOT_ATTACHED. Peers of 1 skip and ignore both.
 * 3: `durable` in both directions; a node of 2 skips the question.
 */
export const protocolVersion = 3
/** The oldest version that is still spoken. */
export const protocolFloor = 1

/** Type of a fragment, in both directions. */
export const fragmentType = 63

/** Bytes of one fragment's piece: small enough that acks pass between pieces, large enough that framing costs nothing. */
export const fragmentBytes = 256 * 1024

export interface FrameLimits {
  /** Bytes of one WebSocket message. */
  readonly messageBytesMax: number
  /** Bytes of one frame put together from fragments. */
  readonly frameBytesMax: number
}

export function encodeFrame(type: number, write: (body: Encoder) => void): Uint8Array {
  const body = encoding.createEncoder()
  write(body)
  const bytes = encoding.toUint8Array(body)
  const frame = new Uint8Array(varUintLength(type) + varUintLength(bytes.length) + bytes.length)
  frame.set(bytes, putVarUint(frame, putVarUint(frame, 0, type), bytes.length))
  return frame
}

/** More than type, length, total, offset and length of a piece take. */
const fragmentHeadBytes = 32

/** Bytes of a piece that fits a message. */
export const pieceBytesOf = (messageBytesMax: number): number => Math.min(fragmentBytes, messageBytesMax - fragmentHeadBytes)

/** A frame as one or, if it is larger than `fragmentBytes` or than one message may be, as several that fit. */
export function fragments(frame: Uint8Array, messageBytesMax: number = Number.POSITIVE_INFINITY): Uint8Array[] {
  const pieceBytes = pieceBytesOf(messageBytesMax)
  if (frame.length <= pieceBytes) return [frame]
  const result: Uint8Array[] = []
  for (let offset = 0; offset < frame.length; offset += pieceBytes) {
    const piece = frame.subarray(offset, offset + pieceBytes)
    result.push(
      encodeFrame(fragmentType, (body) => {
        encoding.writeVarUint(body, frame.length)
        encoding.writeVarUint(body, offset)
        encoding.writeVarUint8Array(body, piece)
      }),
    )
  }
  return result
}

const nothing = new Uint8Array(0)

/** Called for each frame; must read exactly up to `end` or skip to it. */
export type FrameVisitor = (type: number, body: Decoder, end: number) => void

/**
 * Splits messages into frames and puts fragments together. Holds at most `frameBytesMax` of an unfinished frame, and no more than
 * what has really arrived.
 */
export class FrameReader {
  readonly #limits: FrameLimits
  readonly #visit: FrameVisitor
  /** What has arrived of an unfinished frame, in a buffer of at most twice its size: a list would cost more than pieces of a byte. */
  #held: Uint8Array = nothing
  #expected = 0
  #received = 0

  constructor(limits: FrameLimits, visit: FrameVisitor) {
    this.#limits = limits
    this.#visit = visit
  }

  /** Bytes that an unfinished frame holds. */
  get heldBytes(): number {
    return this.#held.length
  }

  /** @throws MeridianError FRAME_INVALID, FRAME_TOO_LARGE, or what the visitor throws. [hot] */
  receive(message: Uint8Array): void {
    if (message.length > this.#limits.messageBytesMax) {
      throw new MeridianError('FRAME_TOO_LARGE', {
        message: `A message of ${message.length} bytes; at most ${this.#limits.messageBytesMax}.`,
      })
    }
    try {
      this.#read(message)
    } catch (thrown) {
      if (thrown instanceof MeridianError) throw thrown
      // lib0 throws plain errors at the end of the bytes and for numbers that are no safe integers.
      throw new MeridianError('FRAME_INVALID', { cause: thrown })
    }
  }

  #read(message: Uint8Array): void {
    const decoder = decoding.createDecoder(message)
    while (decoder.pos < message.length) {
      const type = readVarUint(decoder)
      const length = readVarUint(decoder)
      const end = decoder.pos + length
      if (end > message.length) {
        throw new MeridianError('FRAME_INVALID', {
          message: `A frame of ${length} bytes ends beyond its message of ${message.length}.`,
        })
      }
      if (type === fragmentType) this.#fragment(decoder)
      else this.#visit(type, decoder, end)
      if (decoder.pos !== end)
        throw new MeridianError('FRAME_INVALID', {
          message: `A frame of type ${type} holds ${end - decoder.pos} bytes too many.`,
        })
    }
  }

  #fragment(decoder: Decoder): void {
    const total = readVarUint(decoder)
    const offset = readVarUint(decoder)
    const piece = readBytes(decoder)
    if (total > this.#limits.frameBytesMax) {
      throw new MeridianError('FRAME_TOO_LARGE', { message: `A frame of ${total} bytes; at most ${this.#limits.frameBytesMax}.` })
    }
    if (offset === 0 && this.#expected === 0) this.#expected = total
    if (total !== this.#expected || offset !== this.#received || piece.length === 0 || offset + piece.length > total) {
      throw new MeridianError('FRAME_INVALID', { message: 'A fragment does not continue the one before it.' })
    }
    // Copied: the piece is a view of a socket's buffer, which must not be held for the length of an upload.
    const needed = this.#received + piece.length
    if (needed > this.#held.length) {
      const larger = new Uint8Array(Math.min(total, Math.max(needed, 2 * this.#held.length)))
      larger.set(this.#held.subarray(0, this.#received))
      this.#held = larger
    }
    this.#held.set(piece, this.#received)
    this.#received = needed
    if (this.#received < this.#expected) return
    const frame = this.#held
    this.#held = nothing
    this.#expected = 0
    this.#received = 0
    const inner = decoding.createDecoder(frame)
    const type = readVarUint(inner)
    const length = readVarUint(inner)
    if (type === fragmentType || inner.pos + length !== frame.length) {
      throw new MeridianError('FRAME_INVALID', { message: 'Fragments do not make one frame.' })
    }
    this.#visit(type, inner, frame.length)
    if (inner.pos !== frame.length)
      throw new MeridianError('FRAME_INVALID', { message: `A frame of type ${type} holds bytes too many.` })
  }
}
