/**
 * Frames that a node sends on the native wire (PROTOCOL.md, SERVER rules). A document goes by a handle and a replica by an index that
 * all sessions of the node share, so that an update is encoded once and the same bytes go to everybody.
 */

import type { Decoder } from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { putVarUint, readBytes, readCount, readString, readVarUint, varUintLength } from '../../bytes.js'
import type { Access, Redirect } from '../../effects.js'
import type { ErrorCode, Retry } from '../../errors.js'
import { errorCodeOf, errorTable, MeridianError } from '../../errors.js'
import type { GroupId, RegionId, ReplicaId } from '../../ids.js'
import { parseGroup, parseRegion, parseReplica } from '../../ids.js'
import type { Version } from '../../version.js'
import { readVersion, writeVersion } from '../../version.js'
import { encodeFrame } from './frame.js'

export interface Welcome {
  readonly type: 'welcome'
  readonly protocol: number
  readonly region: RegionId
  /** What the node calls this session; stands in presence. */
  readonly session: number
  readonly subject: string
  /** Bytes of one WebSocket message, of one update, and of all pushes that are not acked yet. */
  readonly messageBytesMax: number
  readonly updateBytesMax: number
  readonly unackedBytesMax: number
  /** A client that hears nothing for twice this long takes the socket for dead. */
  readonly heartbeatMs: number
}

/** Replica ids from index `first` on; sent before the first frame that uses one. */
export interface Replicas {
  readonly type: 'replicas'
  readonly first: number
  readonly ids: readonly ReplicaId[]
}

export interface GroupFrame {
  readonly type: 'group'
  readonly handle: number
  readonly group: GroupId
}

/** First answer to an attach. States and updates follow, then `current`. */
export interface Attached {
  readonly type: 'attached'
  readonly channel: number
  readonly handle: number
  readonly group: number
  readonly life: number
  readonly access: Access
  /** The node lacks something that the cursor or the session token claims: everything it has follows, and the client rescues (SES5). */
  readonly behind: boolean
}

export interface StateFrame {
  readonly type: 'state'
  readonly handle: number
  readonly payload: Uint8Array
}

export interface UpdateFrame {
  readonly type: 'update'
  readonly handle: number
  /** Index into the replica ids. */
  readonly replica: number
  readonly sequence: number
  readonly payload: Uint8Array
}

/** Everything of the document up to `version` has been sent on this session; the cursor moves there. */
export interface Current {
  readonly type: 'current'
  readonly handle: number
  readonly version: Version
}

/** All pushes of this group up to `counter` are saved. The newest of them became the dot (replica, sequence); a sequence of 0 names no dot. */
export interface Ack {
  readonly type: 'ack'
  readonly group: number
  readonly counter: number
  readonly replica: number
  readonly sequence: number
  /** Everything of the group before the dot has been sent for the attached documents: their cursors move to it. */
  readonly inStream: boolean
  /** Enough regions have it that the outbox may forget it (SES2). */
  readonly replicated: boolean
}

/** What enough regions have of a group (SES2). */
export interface Replicated {
  readonly type: 'replicated'
  readonly group: number
  readonly version: Version
}

/** Answer to `durable` and after it whenever it is more: what so many regions hold of a group, and how many hold the group at all (CLI2). */
export interface Durable {
  readonly type: 'durable'
  readonly group: number
  readonly regions: number
  /** Regions that hold the group. If it is less than `regions`, the version is empty, and no more is said. */
  readonly count: number
  readonly version: Version
}

/** One push was not admitted, and those behind it in its group are dropped until it, or a later edition of it, comes again. */
export interface Refused {
  readonly type: 'refused'
  readonly channel: number
  readonly counter: number
  readonly code: ErrorCode
  readonly retryAfterMs: number
  /** For NOT_YET_VISIBLE: what the region lacks. */
  readonly missing: Version
  readonly text: string
}

/** The attach failed. */
export interface Denied {
  readonly type: 'denied'
  readonly channel: number
  readonly code: ErrorCode
  readonly retryAfterMs: number
  readonly text: string
}

export interface RedirectFrame {
  readonly type: 'redirect'
  readonly channel: number
  readonly redirects: readonly Redirect[]
}

/** The life of the document ended (RES7): the client drops its copy. */
export interface Erased {
  readonly type: 'erased'
  readonly channel: number
  readonly life: number
}

export interface ServerPresence {
  readonly type: 'presence'
  readonly handle: number
  readonly session: number
  /** As the node knows it, whatever the payload says. */
  readonly subject: string
  /** Empty: gone. */
  readonly payload: Uint8Array
}

export interface Pong {
  readonly type: 'pong'
  readonly nonce: number
}

/** A token frame was good: the newer token holds from now on. */
export interface Granted {
  readonly type: 'granted'
  /** Milliseconds until it ends; 0 if it does not. */
  readonly expiresInMs: number
}

/** The last frame before the node closes the connection. */
export interface Goodbye {
  readonly type: 'goodbye'
  readonly code: ErrorCode
  readonly retry: Retry
  readonly retryAfterMs: number
  readonly text: string
}

export type ServerFrame =
  | Welcome
  | Replicas
  | GroupFrame
  | Attached
  | StateFrame
  | UpdateFrame
  | Current
  | Ack
  | Replicated
  | Refused
  | Denied
  | RedirectFrame
  | Erased
  | ServerPresence
  | Pong
  | Goodbye
  | Granted
  | Durable

const number = {
  welcome: 1,
  replicas: 2,
  group: 3,
  attached: 4,
  state: 5,
  update: 6,
  current: 7,
  ack: 8,
  replicated: 9,
  refused: 10,
  denied: 11,
  redirect: 12,
  erased: 13,
  presence: 14,
  pong: 15,
  goodbye: 16,
  granted: 17,
  durable: 18,
} as const

const retries: readonly Retry[] = ['now', 'backoff', 'never']
const handleMax = 2 ** 31
const textBytesMax = 1024
const behindFlag = 1
const writeFlag = 2
const inStreamFlag = 1
const replicatedFlag = 2

export function encodeServerFrame(frame: ServerFrame): Uint8Array {
  if (frame.type === 'update') return encodeUpdate(frame.handle, frame.replica, frame.sequence, frame.payload)
  if (frame.type === 'ack') return encodeAck(frame)
  if (frame.type === 'state') return encodeState(frame)
  return encodeFrame(number[frame.type], (body) => {
    switch (frame.type) {
      case 'welcome':
        encoding.writeVarUint(body, frame.protocol)
        encoding.writeVarString(body, frame.region)
        encoding.writeVarUint(body, frame.session)
        encoding.writeVarString(body, frame.subject)
        encoding.writeVarUint(body, frame.messageBytesMax)
        encoding.writeVarUint(body, frame.updateBytesMax)
        encoding.writeVarUint(body, frame.unackedBytesMax)
        encoding.writeVarUint(body, frame.heartbeatMs)
        return
      case 'replicas':
        encoding.writeVarUint(body, frame.first)
        encoding.writeVarUint(body, frame.ids.length)
        for (const id of frame.ids) encoding.writeVarString(body, id)
        return
      case 'group':
        encoding.writeVarUint(body, frame.handle)
        encoding.writeVarString(body, frame.group)
        return
      case 'attached':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint(body, frame.handle)
        encoding.writeVarUint(body, frame.group)
        encoding.writeVarUint(body, frame.life)
        encoding.writeVarUint(body, (frame.behind ? behindFlag : 0) | (frame.access === 'write' ? writeFlag : 0))
        return
      case 'current':
        encoding.writeVarUint(body, frame.handle)
        writeVersion(body, frame.version)
        return
      case 'replicated':
        encoding.writeVarUint(body, frame.group)
        writeVersion(body, frame.version)
        return
      case 'durable':
        encoding.writeVarUint(body, frame.group)
        encoding.writeVarUint(body, frame.regions)
        encoding.writeVarUint(body, frame.count)
        writeVersion(body, frame.version)
        return
      case 'refused':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint(body, frame.counter)
        encoding.writeVarUint(body, errorTable[frame.code].number)
        encoding.writeVarUint(body, frame.retryAfterMs)
        writeVersion(body, frame.missing)
        encoding.writeVarString(body, frame.text)
        return
      case 'denied':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint(body, errorTable[frame.code].number)
        encoding.writeVarUint(body, frame.retryAfterMs)
        encoding.writeVarString(body, frame.text)
        return
      case 'redirect':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint(body, frame.redirects.length)
        for (const redirect of frame.redirects) {
          encoding.writeVarString(body, redirect.region)
          encoding.writeVarString(body, redirect.url)
        }
        return
      case 'erased':
        encoding.writeVarUint(body, frame.channel)
        encoding.writeVarUint(body, frame.life)
        return
      case 'presence':
        encoding.writeVarUint(body, frame.handle)
        encoding.writeVarUint(body, frame.session)
        encoding.writeVarString(body, frame.subject)
        encoding.writeVarUint8Array(body, frame.payload)
        return
      case 'pong':
        encoding.writeVarUint(body, frame.nonce)
        return
      case 'granted':
        encoding.writeVarUint(body, frame.expiresInMs)
        return
      case 'goodbye':
        encoding.writeVarUint(body, errorTable[frame.code].number)
        encoding.writeVarUint(body, retries.indexOf(frame.retry))
        encoding.writeVarUint(body, frame.retryAfterMs)
        encoding.writeVarString(body, frame.text)
        return
    }
  })
}

/** Puts a pong behind what an encoder holds. */
export function writePong(encoder: encoding.Encoder, nonce: number): void {
  encoding.writeVarUint(encoder, number.pong)
  encoding.writeVarUint(encoder, varUintLength(nonce))
  encoding.writeVarUint(encoder, nonce)
}

/** The payload of an update is the rest of its frame. [hot] */
export function encodeUpdate(handle: number, replica: number, sequence: number, payload: Uint8Array): Uint8Array {
  const length = varUintLength(handle) + varUintLength(replica) + varUintLength(sequence) + payload.length
  const frame = new Uint8Array(1 + varUintLength(length) + length)
  let offset = putVarUint(frame, 0, number.update)
  offset = putVarUint(frame, offset, length)
  offset = putVarUint(frame, offset, handle)
  offset = putVarUint(frame, offset, replica)
  offset = putVarUint(frame, offset, sequence)
  frame.set(payload, offset)
  return frame
}

/** A state may be large, and is copied once. */
function encodeState({ handle, payload }: StateFrame): Uint8Array {
  const length = varUintLength(handle) + varUintLength(payload.length) + payload.length
  const frame = new Uint8Array(1 + varUintLength(length) + length)
  let offset = putVarUint(frame, 0, number.state)
  offset = putVarUint(frame, offset, length)
  offset = putVarUint(frame, offset, handle)
  offset = putVarUint(frame, offset, payload.length)
  frame.set(payload, offset)
  return frame
}

/** [hot] */
function encodeAck({ group, counter, replica, sequence, inStream, replicated }: Ack): Uint8Array {
  const length = varUintLength(group) + varUintLength(counter) + varUintLength(replica) + varUintLength(sequence) + 1
  const frame = new Uint8Array(2 + length)
  frame[0] = number.ack
  frame[1] = length
  let offset = putVarUint(frame, 2, group)
  offset = putVarUint(frame, offset, counter)
  offset = putVarUint(frame, offset, replica)
  offset = putVarUint(frame, offset, sequence)
  frame[offset] = (inStream ? inStreamFlag : 0) | (replicated ? replicatedFlag : 0)
  return frame
}

/** Undefined for a type that is not known here: a newer node's, which is skipped. */
export function decodeServerFrame(type: number, body: Decoder, end: number): ServerFrame | undefined {
  switch (type) {
    case number.update: {
      const handle = readCount(body, handleMax, 'A handle')
      const replica = readVarUint(body)
      const sequence = readVarUint(body)
      if (body.pos >= end) throw new MeridianError('FRAME_INVALID', { message: 'An update has no payload.' })
      const payload = body.arr.subarray(body.pos, end)
      body.pos = end
      return { type: 'update', handle, replica, sequence, payload }
    }
    case number.ack: {
      const group = readCount(body, handleMax, 'A handle')
      const counter = readVarUint(body)
      const replica = readVarUint(body)
      const sequence = readVarUint(body)
      const flags = readVarUint(body)
      return {
        type: 'ack',
        group,
        counter,
        replica,
        sequence,
        inStream: (flags & inStreamFlag) !== 0,
        replicated: (flags & replicatedFlag) !== 0,
      }
    }
    case number.welcome:
      return {
        type: 'welcome',
        protocol: readVarUint(body),
        region: parseRegion(readString(body, 63)),
        session: readVarUint(body),
        subject: readString(body, textBytesMax),
        messageBytesMax: readVarUint(body),
        updateBytesMax: readVarUint(body),
        unackedBytesMax: readVarUint(body),
        heartbeatMs: readVarUint(body),
      }
    case number.replicas: {
      const first = readVarUint(body)
      const count = readCount(body, 65_536, 'The number of replica ids')
      const ids: ReplicaId[] = []
      for (let index = 0; index < count; index++) ids.push(parseReplica(readString(body, 128)))
      return { type: 'replicas', first, ids }
    }
    case number.group:
      return { type: 'group', handle: readCount(body, handleMax, 'A handle'), group: parseGroup(readString(body, textBytesMax)) }
    case number.attached: {
      const channel = readVarUint(body)
      const handle = readCount(body, handleMax, 'A handle')
      const group = readCount(body, handleMax, 'A handle')
      const life = readVarUint(body)
      const flags = readVarUint(body)
      const access: Access = (flags & writeFlag) !== 0 ? 'write' : 'read'
      return { type: 'attached', channel, handle, group, life, access, behind: (flags & behindFlag) !== 0 }
    }
    case number.state:
      return { type: 'state', handle: readCount(body, handleMax, 'A handle'), payload: readBytes(body) }
    case number.current:
      return { type: 'current', handle: readCount(body, handleMax, 'A handle'), version: readVersion(body) }
    case number.replicated:
      return { type: 'replicated', group: readCount(body, handleMax, 'A handle'), version: readVersion(body) }
    case number.durable:
      return {
        type: 'durable',
        group: readCount(body, handleMax, 'A handle'),
        regions: readVarUint(body),
        count: readVarUint(body),
        version: readVersion(body),
      }
    case number.refused:
      return {
        type: 'refused',
        channel: readVarUint(body),
        counter: readVarUint(body),
        code: errorCodeOf(readVarUint(body)),
        retryAfterMs: readVarUint(body),
        missing: readVersion(body),
        text: readString(body, textBytesMax),
      }
    case number.denied:
      return {
        type: 'denied',
        channel: readVarUint(body),
        code: errorCodeOf(readVarUint(body)),
        retryAfterMs: readVarUint(body),
        text: readString(body, textBytesMax),
      }
    case number.redirect: {
      const channel = readVarUint(body)
      const count = readCount(body, 256, 'The number of redirects')
      const redirects: Redirect[] = []
      for (let index = 0; index < count; index++)
        redirects.push({ region: parseRegion(readString(body, 63)), url: readString(body, textBytesMax) })
      return { type: 'redirect', channel, redirects }
    }
    case number.erased:
      return { type: 'erased', channel: readVarUint(body), life: readVarUint(body) }
    case number.presence:
      return {
        type: 'presence',
        handle: readCount(body, handleMax, 'A handle'),
        session: readVarUint(body),
        subject: readString(body, textBytesMax),
        payload: readBytes(body),
      }
    case number.pong:
      return { type: 'pong', nonce: readVarUint(body) }
    case number.granted:
      return { type: 'granted', expiresInMs: readVarUint(body) }
    case number.goodbye:
      return {
        type: 'goodbye',
        code: errorCodeOf(readVarUint(body)),
        retry: retries[readVarUint(body)] ?? 'backoff',
        retryAfterMs: readVarUint(body),
        text: readString(body, textBytesMax),
      }
    default:
      body.pos = end
      return undefined
  }
}
