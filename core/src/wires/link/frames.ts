/**
 * Frames between two regions. A socket message is a batch of frames in the framing of the native wire (`wires/native/frame.ts`), the same in both
 * directions. Each stream is one group in one direction; its receiver begins it, numbers it (`handle`), and counts its beginnings (`run`), so that
 * what an earlier beginning still had on its way is told apart and dropped (LINK3).
 *
 * | frame | from | says |
 * |---|---|---|
 * | hello | both | the protocol; the first frame, and nothing before it |
 * | digest | both | a digest over the versions of the groups that the two regions share (LINK5) |
 * | start | receiver | begin, or begin again, at what I hold; with the payloads of these regions beside your own |
 * | forward | receiver | from now on only the payloads of these regions beside your own |
 * | batch | sender | entries, with marks in front of them (LINK1) |
 * | heartbeat | sender | what the streams have shown up to here, for the groups that changed (LINK5); empty: I am here |
 * | ack | receiver | what I hold durably, and how far you may send |
 * | stop | both | this group stands still on this link, and why |
 * | watch | both | somebody has this document open here, or nobody any more: what is shown in it is to be told (SES6) |
 * | presence | both | what a session of this region shows in a document that the other one watches (SES6) |
 *
 * The frames of a transfer to a region that joins are in join-frames.ts (LINK6).
 *
 * Versions that travel carry the chain value of each sequence (LOG2).
 */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import { readBytes, readCount, readString, readVarUint } from '../../bytes.js'
import { MeridianError } from '../../errors.js'
import type { DocumentName, GroupId, RegionId } from '../../ids.js'
import { parseDocument, parseGroup, parseRegion } from '../../ids.js'
import type { FarPresence } from '../../presence-board.js'
import type { Version } from '../../version.js'
import { readVersion, versionRegionsMax, writeVersion } from '../../version.js'
import { encodeFrame } from '../native/frame.js'
import { type Held, readHeld, writeHeld } from './held.js'
import { type Item, readItems, writeItems } from './items.js'
import { type JoinFrame, readJoinBody, writeJoinBody } from './join-frames.js'

/** 1: first. Bumped with every change that an older region would misread. */
export const linkProtocolVersion = 1

export interface Hello {
  readonly type: 'hello'
  readonly protocol: number
}

export interface DigestFrame {
  readonly type: 'digest'
  readonly groupCount: number
  readonly digest: bigint
}

export interface Start {
  readonly type: 'start'
  readonly handle: number
  readonly group: GroupId
  readonly run: number
  readonly held: Held
  /** Regions whose entries come as payloads too, and not only as marks. */
  readonly via: readonly RegionId[]
  /** Cost that may be on its way or waiting at the receiver, at most; see `costOf`. */
  readonly windowBytes: number
  /** The receiver's policy of the tenant: epoch, and a name of its heads; two regions may have the same epoch and other heads. */
  readonly epoch: number
  readonly heads: bigint
}

export interface Forward {
  readonly type: 'forward'
  readonly handle: number
  readonly run: number
  readonly via: readonly RegionId[]
}

export interface Batch {
  readonly type: 'batch'
  readonly handle: number
  readonly run: number
  readonly items: readonly Item[]
}

export interface Ack {
  readonly type: 'ack'
  readonly handle: number
  readonly run: number
  /** Cost that the sender may have sent since the start of the run, at most. */
  readonly creditBytes: number
  /** What has come to be held since the last ack of the run; chain values are compared elsewhere. */
  readonly version: Version
}

/** Everything of the group up to here has been sent in this run, or stands at the receiver already. A run of 0: no stream runs, begin one. */
export interface Claim {
  readonly group: GroupId
  readonly run: number
  readonly held: Held
}

export interface Heartbeat {
  readonly type: 'heartbeat'
  readonly claims: readonly Claim[]
}

/**
 * `residency`: the policy says no at one of the two doors (LINK8). `fork`: the same dot with two chain values (LOG2). `behind`: the receiver lacks what
 * is trimmed, and has to join. `unshared`: the other region does not have the group, or not yet. `invalid`: what came breaks the protocol.
 */
export type StopReason = 'residency' | 'fork' | 'behind' | 'unshared' | 'invalid'

export interface Stop {
  readonly type: 'stop'
  readonly group: GroupId
  readonly reason: StopReason
}

export interface Watch {
  readonly type: 'watch'
  readonly group: GroupId
  readonly document: DocumentName
  readonly isWatched: boolean
}

export interface PresenceFrame {
  readonly type: 'presence'
  readonly group: GroupId
  readonly document: DocumentName
  readonly state: FarPresence
}

/** Bytes of one state, and of the subject that the node of the other region knows its session by. */
export const farPresenceBytesMax = 64 * 1024
const subjectBytesMax = 4_096

export type LinkFrame = Hello | DigestFrame | Start | Forward | Batch | Ack | Heartbeat | Stop | Watch | PresenceFrame | JoinFrame

/** What an entry counts as against credit, in bytes: its payload, and at least what its head takes. Both ends count the same. */
export const costOf = (entry: { readonly payload: Uint8Array }): number => entry.payload.length + 128

/** Types on the wire; never renumbered. */
const typeNumber: Readonly<Record<LinkFrame['type'], number>> = {
  hello: 1,
  digest: 2,
  start: 3,
  forward: 4,
  batch: 5,
  ack: 6,
  heartbeat: 7,
  stop: 8,
  join: 9,
  offer: 10,
  expand: 11,
  sums: 12,
  want: 13,
  pour: 14,
  credit: 15,
  poured: 16,
  watch: 17,
  presence: 18,
}
const typeOf = new Map(Object.entries(typeNumber).map(([type, number]) => [number, type as LinkFrame['type']]))

const reasonNumber: Readonly<Record<StopReason, number>> = { residency: 1, fork: 2, behind: 3, unshared: 4, invalid: 5 }
const reasonOf = new Map(Object.entries(reasonNumber).map(([reason, number]) => [number, reason as StopReason]))

/** Claims of one heartbeat, at most; a decoder refuses more. */
export const claimsMax = 8192

export function encodeLinkFrame(frame: LinkFrame): Uint8Array {
  return encodeFrame(typeNumber[frame.type], (body) => writeBody(body, frame))
}

function writeBody(body: Encoder, frame: LinkFrame): void {
  switch (frame.type) {
    case 'hello':
      encoding.writeVarUint(body, frame.protocol)
      break
    case 'digest':
      encoding.writeVarUint(body, frame.groupCount)
      encoding.writeBigUint64(body, frame.digest)
      break
    case 'start':
      encoding.writeVarUint(body, frame.handle)
      encoding.writeVarString(body, frame.group)
      encoding.writeVarUint(body, frame.run)
      writeHeld(body, frame.held)
      writeRegions(body, frame.via)
      encoding.writeVarUint(body, frame.windowBytes)
      encoding.writeVarUint(body, frame.epoch)
      encoding.writeBigUint64(body, frame.heads)
      break
    case 'forward':
      encoding.writeVarUint(body, frame.handle)
      encoding.writeVarUint(body, frame.run)
      writeRegions(body, frame.via)
      break
    case 'batch':
      encoding.writeVarUint(body, frame.handle)
      encoding.writeVarUint(body, frame.run)
      writeItems(body, frame.items)
      break
    case 'ack':
      encoding.writeVarUint(body, frame.handle)
      encoding.writeVarUint(body, frame.run)
      encoding.writeVarUint(body, frame.creditBytes)
      writeVersion(body, frame.version)
      break
    case 'heartbeat':
      encoding.writeVarUint(body, frame.claims.length)
      for (const claim of frame.claims) {
        encoding.writeVarString(body, claim.group)
        encoding.writeVarUint(body, claim.run)
        writeHeld(body, claim.held)
      }
      break
    case 'stop':
      encoding.writeVarString(body, frame.group)
      encoding.writeVarUint(body, reasonNumber[frame.reason])
      break
    case 'watch':
      encoding.writeVarString(body, frame.group)
      encoding.writeVarString(body, frame.document)
      encoding.writeVarUint(body, frame.isWatched ? 1 : 0)
      break
    case 'presence': {
      const { session, subject, payload, isHandedOver } = frame.state
      encoding.writeVarString(body, frame.group)
      encoding.writeVarString(body, frame.document)
      encoding.writeVarUint(body, session)
      encoding.writeVarString(body, subject)
      encoding.writeVarUint(body, isHandedOver ? 1 : 0)
      encoding.writeVarUint8Array(body, payload)
      break
    }
    default:
      writeJoinBody(body, frame)
  }
}

/** For a `FrameReader`. A frame of a newer type is skipped. @throws MeridianError FRAME_INVALID */
export function decodeLinkFrame(
  type: number,
  body: Decoder,
  end: number,
  group: (handle: number) => GroupId | undefined,
): LinkFrame | undefined {
  const name = typeOf.get(type)
  switch (name) {
    case 'hello': {
      const protocol = readVarUint(body)
      // A newer region may say more in its hello.
      body.pos = end
      return { type: 'hello', protocol }
    }
    case 'digest':
      return { type: 'digest', groupCount: readVarUint(body), digest: decoding.readBigUint64(body) }
    case 'start':
      return {
        type: 'start',
        handle: readVarUint(body),
        group: readGroupId(body),
        run: readVarUint(body),
        held: readHeld(body),
        via: readRegions(body),
        windowBytes: readVarUint(body),
        epoch: readVarUint(body),
        heads: decoding.readBigUint64(body),
      }
    case 'forward':
      return { type: 'forward', handle: readVarUint(body), run: readVarUint(body), via: readRegions(body) }
    case 'batch': {
      const handle = readVarUint(body)
      const run = readVarUint(body)
      const of = group(handle)
      if (of === undefined) throw new MeridianError('FRAME_INVALID', { message: 'A batch is of a stream that nobody began.' })
      return { type: 'batch', handle, run, items: readItems(body, of) }
    }
    case 'ack':
      return {
        type: 'ack',
        handle: readVarUint(body),
        run: readVarUint(body),
        creditBytes: readVarUint(body),
        version: readVersion(body),
      }
    case 'heartbeat': {
      const count = readCount(body, claimsMax, 'The number of claims of a heartbeat')
      const claims: Claim[] = []
      for (let index = 0; index < count; index++)
        claims.push({ group: readGroupId(body), run: readVarUint(body), held: readHeld(body) })
      return { type: 'heartbeat', claims }
    }
    case 'stop': {
      const of = readGroupId(body)
      // A reason that a newer region gives is one that this one cannot act on.
      return { type: 'stop', group: of, reason: reasonOf.get(readVarUint(body)) ?? 'invalid' }
    }
    case 'watch':
      return { type: 'watch', group: readGroupId(body), document: readDocument(body), isWatched: readVarUint(body) === 1 }
    case 'presence':
      return { type: 'presence', group: readGroupId(body), document: readDocument(body), state: readPresence(body) }
    case undefined:
      body.pos = end
      return undefined
    default:
      return readJoinBody(name, body)
  }
}

const readDocument = (body: Decoder): DocumentName => parseDocument(readString(body, 1_024))

function readPresence(body: Decoder): FarPresence {
  const session = readVarUint(body)
  const subject = readString(body, subjectBytesMax)
  const isHandedOver = readVarUint(body) === 1
  const payload = readBytes(body)
  if (payload.length > farPresenceBytesMax)
    throw new MeridianError('FRAME_INVALID', { message: `A presence state has at most ${farPresenceBytesMax} bytes.` })
  return { session, subject, isHandedOver, payload }
}

const readGroupId = (body: Decoder): GroupId => parseGroup(readString(body, 4096))

function writeRegions(body: Encoder, regions: readonly RegionId[]): void {
  encoding.writeVarUint(body, regions.length)
  for (const region of regions) encoding.writeVarString(body, region)
}

function readRegions(body: Decoder): RegionId[] {
  const count = readCount(body, versionRegionsMax, 'The number of regions to forward')
  return Array.from({ length: count }, () => parseRegion(readString(body, 63)))
}
