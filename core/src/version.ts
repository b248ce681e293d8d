/**
 * Versions: which entries somebody holds, as replica id → highest sequence. Whoever holds n holds all earlier entries of that replica.
 *
 * Sealed incarnations of a region fold into its floor (LOG5): `floors.get(region).counter = 4` says that everything of the region's
 * incarnations 1 to 4 is held. A floor is named by the chain value of the entry that raised it, so that two histories of one store,
 * the real one and a restored copy, never pass for one another. The *document version* is made of the document's own dots only (SES1).
 *
 * Version vectors: Parker et al., "Detection of mutual inconsistency in distributed systems", 1983.
 */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import { decoded, readCount, readString, readVarUint } from './bytes.js'
import { MeridianError } from './errors.js'
import type { RegionId, ReplicaId } from './ids.js'
import { formatReplica, parseRegion, replicaParts } from './ids.js'

declare const brand: unique symbol
/** 64 bits that stand for an entry and all before it of the same replica and group; computed once, by the origin (LOG2). */
export type Chain = bigint & { readonly [brand]: 'Chain' }

export const emptyChain = 0n as Chain
export const toChain = (value: bigint): Chain => BigInt.asUintN(64, value) as Chain

/** The name of one entry: given when the origin region's log makes it durable, and never again (LOG1, LOG2). */
export interface Dot {
  readonly replica: ReplicaId
  /** 1, 2, 3 … per group and replica. */
  readonly sequence: number
}

export interface Floor {
  /** All incarnations of the region up to this counter are sealed and included. */
  readonly counter: number
  /** Chain value of the control entry that raised the floor. */
  readonly seal: Chain
}

export interface Version {
  readonly floors: ReadonlyMap<RegionId, Floor>
  readonly sequences: ReadonlyMap<ReplicaId, number>
}

export interface MutableVersion {
  readonly floors: Map<RegionId, Floor>
  readonly sequences: Map<ReplicaId, number>
}

/** Regions in one version and unsealed incarnations of one region, at most; a decoder refuses more. */
export const versionRegionsMax = 256
export const versionIncarnationsMax = 4096

export const emptyVersion: Version = { floors: new Map(), sequences: new Map() }

export function mutableVersion(from: Version = emptyVersion): MutableVersion {
  return { floors: new Map(from.floors), sequences: new Map(from.sequences) }
}

export const isEmpty = (version: Version): boolean => version.sequences.size === 0 && version.floors.size === 0

export function includes(version: Version, replica: ReplicaId, sequence: number): boolean {
  const held = version.sequences.get(replica)
  if (held !== undefined && held >= sequence) return true
  if (version.floors.size === 0) return false
  const parts = replicaParts(replica)
  const floor = version.floors.get(parts.region)
  return floor !== undefined && parts.counter <= floor.counter
}

/** True if everything that `inner` holds, `outer` holds too. */
export function covers(outer: Version, inner: Version): boolean {
  for (const [replica, sequence] of inner.sequences) if (!includes(outer, replica, sequence)) return false
  for (const [region, floor] of inner.floors) {
    const held = outer.floors.get(region)
    if (held === undefined || held.counter < floor.counter) return false
    if (held.counter === floor.counter && held.seal !== floor.seal) return false
  }
  return true
}

export function include(version: MutableVersion, replica: ReplicaId, sequence: number): void {
  const held = version.sequences.get(replica)
  if (held === undefined || held < sequence) version.sequences.set(replica, sequence)
}

/** Raises the floor of a region and drops the sequences that it now stands for. */
export function raiseFloor(version: MutableVersion, region: RegionId, floor: Floor): void {
  const held = version.floors.get(region)
  if (held !== undefined && held.counter >= floor.counter) return
  version.floors.set(region, floor)
  for (const replica of version.sequences.keys()) {
    const parts = replicaParts(replica)
    if (parts.region === region && parts.counter <= floor.counter) version.sequences.delete(replica)
  }
}

/** The join: everything that either holds. */
export function merge(target: MutableVersion, other: Version): void {
  for (const [region, floor] of other.floors) raiseFloor(target, region, floor)
  for (const [replica, sequence] of other.sequences)
    if (!includes(target, replica, sequence)) target.sequences.set(replica, sequence)
}

/** What `version` claims and `held` lacks; empty if covered. What a typed NOT_YET_VISIBLE names. */
export function missing(version: Version, held: Version): MutableVersion {
  const result = mutableVersion()
  for (const [replica, sequence] of version.sequences)
    if (!includes(held, replica, sequence)) result.sequences.set(replica, sequence)
  for (const [region, floor] of version.floors) {
    const other = held.floors.get(region)
    if (other === undefined || other.counter < floor.counter || (other.counter === floor.counter && other.seal !== floor.seal)) {
      result.floors.set(region, floor)
    }
  }
  return result
}

export const equal = (a: Version, b: Version): boolean => covers(a, b) && covers(b, a)

/** `version := varUint(regions) • region*`, `region := varString(id) • varUint(floor) • [seal] • varUint(n) • n × (varUint(counter) • random • varUint(sequence))` */
export function writeVersion(encoder: Encoder, version: Version): void {
  const byRegion = new Map<RegionId, { counter: number; random: string; sequence: number }[]>()
  for (const region of version.floors.keys()) byRegion.set(region, [])
  for (const [replica, sequence] of version.sequences) {
    const { region, counter, random } = replicaParts(replica)
    const list = byRegion.get(region)
    if (list === undefined) byRegion.set(region, [{ counter, random, sequence }])
    else list.push({ counter, random, sequence })
  }
  encoding.writeVarUint(encoder, byRegion.size)
  for (const [region, incarnations] of [...byRegion].sort(([a], [b]) => (a < b ? -1 : 1))) {
    encoding.writeVarString(encoder, region)
    const floor = version.floors.get(region)
    encoding.writeVarUint(encoder, floor?.counter ?? 0)
    if (floor !== undefined) encoding.writeBigUint64(encoder, floor.seal)
    encoding.writeVarUint(encoder, incarnations.length)
    for (const incarnation of incarnations.sort((a, b) => a.counter - b.counter || (a.random < b.random ? -1 : 1))) {
      encoding.writeVarUint(encoder, incarnation.counter)
      encoding.writeBigUint64(encoder, BigInt(`0x${incarnation.random}`))
      encoding.writeVarUint(encoder, incarnation.sequence)
    }
  }
}

export function readVersion(decoder: Decoder): MutableVersion {
  const version = mutableVersion()
  const regions = new Set<RegionId>()
  const regionCount = readCount(decoder, versionRegionsMax, 'The number of regions of a version')
  for (let r = 0; r < regionCount; r++) {
    const region = parseRegion(readString(decoder, 63))
    if (regions.has(region)) throw new MeridianError('FRAME_INVALID', { message: 'A version names a region twice.' })
    regions.add(region)
    const counter = readVarUint(decoder)
    if (counter > 0) version.floors.set(region, { counter, seal: toChain(decoding.readBigUint64(decoder)) })
    const incarnationCount = readCount(decoder, versionIncarnationsMax, 'The number of incarnations of a region')
    for (let i = 0; i < incarnationCount; i++) {
      const incarnation = readVarUint(decoder)
      const random = decoding.readBigUint64(decoder).toString(16).padStart(16, '0')
      const sequence = readVarUint(decoder)
      const replica = formatReplica({ region, counter: incarnation, random })
      if (sequence === 0 || version.sequences.has(replica)) {
        throw new MeridianError('FRAME_INVALID', { message: 'A version names an incarnation twice, or a sequence 0.' })
      }
      version.sequences.set(replica, sequence)
    }
  }
  return version
}

export function encodeVersion(version: Version): Uint8Array {
  const encoder = encoding.createEncoder()
  writeVersion(encoder, version)
  return encoding.toUint8Array(encoder)
}

/** @throws MeridianError FRAME_INVALID */
export function decodeVersion(bytes: Uint8Array): MutableVersion {
  const decoder = decoding.createDecoder(bytes)
  const version = decoded(() => readVersion(decoder))
  if (decoding.hasContent(decoder)) throw new MeridianError('FRAME_INVALID', { message: 'Bytes follow a version.' })
  return version
}
