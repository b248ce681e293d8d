/** What a region holds of a group, as frames of links carry it: a version with the chain value at each of its ends (LOG2). */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import type { ReplicaId } from '../../ids.js'
import type { Chain, Version } from '../../version.js'
import { readVersion, toChain, writeVersion } from '../../version.js'

/** A version with the chain value at the end of each of its sequences. */
export interface Held {
  readonly version: Version
  /** A replica is absent if its chain value is not known any more. */
  readonly chains: ReadonlyMap<ReplicaId, Chain>
}

/** `held := version • n × chain`, the chain values in the order of the version's replicas as written; 0 where one is not known. */
export function writeHeld(body: Encoder, { version, chains }: Held): void {
  writeVersion(body, version)
  for (const replica of [...version.sequences.keys()].sort()) encoding.writeBigUint64(body, chains.get(replica) ?? 0n)
}

export function readHeld(body: Decoder): Held {
  const version = readVersion(body)
  const chains = new Map<ReplicaId, Chain>()
  for (const replica of [...version.sequences.keys()].sort()) {
    const chain = toChain(decoding.readBigUint64(body))
    if (chain !== 0n) chains.set(replica, chain)
  }
  return { version, chains }
}
