/**
 * Frames that a client sends on the native wire (PROTOCOL.md, CLIENT rules). A document goes by the channel number that its client
 * chose, so that an attach and the pushes behind it fit in one message, without waiting for an answer.
 */

import type { Decoder } from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { putVarUint, readBytes, readCount, readString, readVarUint, varUintLength } from '../../bytes.js'
import type { EngineName } from '../../engine.js'
import { engineNameOf, engineNumber } from '../../engine.js'
import { MeridianError } from '../../errors.js'
import type { DeviceId, DocumentName } from '../../ids.js'
import { parseDevice, parseDocument } from '../../ids.js'
import type { Version } from '../../version.js'
import { readVersion, versionRegionsMax, writeVersion } from '../../version.js'
import { encodeFrame } from './frame.js'

export interface Hello {
  readonly type: 'hello'
  readonly protocol: number
  readonly device: DeviceId
  /** Empty in development mode. */
  readonly token: string
}

/** A newer token for the same subject and tenant, while connected. */
export interface TokenFrame {
  readonly type: 'token'
  readonly token: string
}

export interface Attach {
  readonly type: 'attach'
  /** Chosen by the client, unique while attached, at most 2^31. */
  readonly channel: number
  readonly engine: EngineName
  readonly document: DocumentName
  /** The life that the client's copy belongs to; 0 if it has none. */
  readonly life: number
  /** What the client has received of this document (SES1). */
  readonly cursor: Version
  /** The client's session token for the document's group (SES5); empty if it has seen nothing. */
  readonly seen: Version
}

export interface Detach {
  readonly type: 'detach'
  readonly channel: number
}

/** Replaces the session token of the group of a channel, after a rescue (SES5). */
export interface Seen {
  readonly type: 'seen'
  readonly channel: number
  readonly seen: Version
}

export interface Push {
  readonly type: 'push'
  readonly channel: number
  /** Grows with every push of a device, over all documents; names the push together with the device. */
  readonly counter: number
  readonly payload: Uint8Array
}

/** After a `refused`: the next push in the channel's group is `counter`, the refused one or, if that was given up, a later one. */
export interface Resume {
  readonly type: 'resume'
  readonly channel: number
  readonly counter: number
}

export interface ClientPresence {
  readonly type: 'presence'
  readonly channel: number
  /** Empty: gone. */
  readonly payload: Uint8Array
}

/** Browsers cannot ping by WebSocket; the answer proves that the socket lives in both directions. */
export interface Ping {
  readonly type: 'ping'
  readonly nonce: number
}

/** Asks to be told, from now on, what so many regions hold of the group of a channel (CLI2). */
export interface AskDurable {
  readonly type: 'durable'
  readonly channel: number
  readonly regions: number
}

export type ClientFrame = Hello | TokenFrame | Attach | Detach | Seen | Push | Resume | ClientPresence | Ping | AskDurable

const number = {
  hello: 1,
  token: 2,
  attach: 3,
  detach: 4,
  seen: 5,
  push: 6,
  presence: 7,
  ping: 8,
  resume: 9,
  durable: 10,
} as const

export const channelMax = 2 ** 31
export const tokenBytesMax = 16 * 1024
/** Of a frame that is no push. Only updates are large; a version of megabytes would keep a node busy for seconds. */
export const otherBytesMax = 1024 * 1024

export function encodeClientFrame(frame: ClientFrame): Uint8Array {
  if (frame.type === 'push') return encodePush(frame.channel, frame.counter, frame.payload)
  return encodeFrame(number[frame.type], (body) => {
    switch (frame.type) {
      case 'hello':
        encoding.writeVarUint(body, frame.protocol)
        encoding.writeVarString(body, frame.device)
        encoding.writeVarString(body, frame.token)
        return
      case 'token':
        encoding.writeVarString(body, frame.token)
        return
      case 'attach':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint(body, engineNumber[frame.engine])
        encoding.writeVarString(body, frame.document)
        encoding.writeVarUint(body, frame.life)
        writeVersion(body, frame.cursor)
        writeVersion(body, frame.seen)
        return
      case 'detach':
        encoding.writeVarUint(body, frame.channel)
        return
      case 'seen':
        encoding.writeVarUint(body, frame.channel)
        writeVersion(body, frame.seen)
        return
      case 'resume':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint(body, frame.counter)
        return
      case 'presence':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint8Array(body, frame.payload)
        return
      case 'ping':
        encoding.writeVarUint(body, frame.nonce)
        return
      case 'durable':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint(body, frame.regions)
        return
    }
  })
}

/** The payload of a push is the rest of its frame, so that no length is spelled twice. [hot] */
export function encodePush(channel: number, counter: number, payload: Uint8Array): Uint8Array {
  const length = varUintLength(channel) + varUintLength(counter) + payload.length
  const frame = new Uint8Array(1 + varUintLength(length) + length)
  let offset = putVarUint(frame, 0, number.push)
  offset = putVarUint(frame, offset, length)
  offset = putVarUint(frame, offset, channel)
  offset = putVarUint(frame, offset, counter)
  frame.set(payload, offset)
  return frame
}

/** Undefined for a type that is not known here: a newer client's, which is skipped. [hot] */
export function decodeClientFrame(type: number, body: Decoder, end: number): ClientFrame | undefined {
  if (type !== number.push && end - body.pos > otherBytesMax)
    throw new MeridianError('FRAME_TOO_LARGE', {
      message: `A frame of type ${type} has ${end - body.pos} bytes; at most ${otherBytesMax}.`,
    })
  switch (type) {
    case number.push: {
      const channel = readCount(body, channelMax, 'A channel')
      const counter = readVarUint(body)
      if (counter === 0 || body.pos >= end)
        throw new MeridianError('FRAME_INVALID', { message: 'A push has counter 0 or no payload.' })
      const payload = body.arr.subarray(body.pos, end)
      body.pos = end
      return { type: 'push', channel, counter, payload }
    }
    case number.hello:
      return {
        type: 'hello',
        protocol: readVarUint(body),
        device: parseDevice(readString(body, 32)),
        token: readString(body, tokenBytesMax),
      }
    case number.token:
      return { type: 'token', token: readString(body, tokenBytesMax) }
    case number.attach: {
      const channel = readCount(body, channelMax, 'A channel')
      const engine = engineNameOf(readVarUint(body))
      if (engine === undefined)
        throw new MeridianError('FRAME_INVALID', { message: 'An attach names an engine that is not known here.' })
      const document = parseDocument(readString(body, 1024))
      const life = readVarUint(body)
      return { type: 'attach', channel, engine, document, life, cursor: readVersion(body), seen: readVersion(body) }
    }
    case number.detach:
      return { type: 'detach', channel: readCount(body, channelMax, 'A channel') }
    case number.seen:
      return { type: 'seen', channel: readCount(body, channelMax, 'A channel'), seen: readVersion(body) }
    case number.resume: {
      const channel = readCount(body, channelMax, 'A channel')
      const counter = readVarUint(body)
      if (counter === 0) throw new MeridianError('FRAME_INVALID', { message: 'A resume has counter 0.' })
      return { type: 'resume', channel, counter }
    }
    case number.presence:
      return { type: 'presence', channel: readCount(body, channelMax, 'A channel'), payload: readBytes(body) }
    case number.ping:
      return { type: 'ping', nonce: readVarUint(body) }
    case number.durable: {
      const channel = readCount(body, channelMax, 'A channel')
      const regions = readVarUint(body)
      if (regions === 0 || regions > versionRegionsMax)
        throw new MeridianError('FRAME_INVALID', { message: `What 1 to ${versionRegionsMax} regions hold can be asked for.` })
      return { type: 'durable', channel, regions }
    }
    default:
      body.pos = end
      return undefined
  }
}
