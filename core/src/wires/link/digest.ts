/**
 * A digest of what a region holds of several groups (LINK5): equal at both ends of a link if and, but for accidents of 64 bits, only if every shared
 * group has the same version with the same chain values: two histories of one store (LOG2) may well have equal versions. The order of the groups does not matter. It finds out what was lost by mistake, and proves nothing against an adversary.
 *
 * Two 32-bit FNV-1a (Fowler, Noll & Vo, 1991) with different beginnings, over the group's name and what is held of it, encoded, then mixed as in
 * MurmurHash3 (Appleby, 2011) and joined by exclusive or.
 */

import * as encoding from 'lib0/encoding'
import type { GroupId } from '../../ids.js'
import { type Held, writeHeld } from './held.js'

export const emptyDigest = 0n

export function addToDigest(digest: bigint, group: GroupId, held: Held): bigint {
  const encoder = encoding.createEncoder()
  encoding.writeVarString(encoder, group)
  writeHeld(encoder, held)
  let low = 0x811c9dc5
  let high = 0x01234567
  for (const byte of encoding.toUint8Array(encoder)) {
    low = Math.imul(low ^ byte, 0x01000193)
    high = Math.imul(high ^ byte ^ (low >>> 24), 0x01000193)
  }
  return digest ^ ((BigInt(mixed(high)) << 32n) | BigInt(mixed(low)))
}

function mixed(value: number): number {
  let state = value
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35)
  return (state ^ (state >>> 16)) >>> 0
}
