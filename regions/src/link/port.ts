/** What the machines of one link ask of their surroundings: of the node by `LinkEffects`, of the link that carries them by `StreamPort`. */

import type { EngineName } from '@meridian/core/engine'
import type { MeridianError } from '@meridian/core/errors'
import type { DocumentName, GroupId, Position, RegionId } from '@meridian/core/ids'
import type { Done, Foreign, Included, LinkedLog, Read, ReadLimit, Sought } from '@meridian/core/log'
import type { FarPresence } from '@meridian/core/presence-board'
import type { Version } from '@meridian/core/version'
import type { LinkFrame, StopReason } from '@meridian/core/wires/link/frames'
import type { LinkOptions } from './options.js'

/** As `Residency.may` answers; the rule is for people. */
export type Permission = { readonly kind: 'yes' | 'no'; readonly rule: string }

/** What a region knows of the policy of a group's tenant: how many edits, and which heads, as a number that is equal only if they are. */
export interface PolicyState {
  readonly epoch: number
  /** 0 for a group that carries policies, which regions with different heads must exchange. */
  readonly heads: bigint
}

/** A group stands still on one link until somebody acts (LINK8). It names no document (RES6). */
export interface LinkAlarm {
  readonly group: GroupId
  readonly peer: RegionId
  readonly reason: Exclude<StopReason, 'unshared' | 'behind'>
  readonly door: 'egress' | 'ingress' | 'peer'
  /** For `residency` the rule that said no, else a sentence. */
  readonly detail: string
}

export interface LinkEffects {
  /** Milliseconds by a clock that never jumps; only differences are used. */
  nowMs(): number
  /** One message of the socket. */
  send(message: Uint8Array): void
  /** Bytes that the socket has taken and not yet given to the network. */
  bufferedBytes(): number
  /** The link is over; the machine does nothing any more. Undefined: it was closed by its owner. */
  close(error: MeridianError | undefined): void
  /** `readLinked` of the log: with stubs, and with what only a snapshot covers. */
  readGroup(group: GroupId, after: Position, limit: ReadLimit, done: Done<Read>): void
  seekGroup(group: GroupId, version: Version, done: Done<Sought>): void
  /** Several updates of one document as one (LINK7); undefined if they cannot be merged. */
  merge(engine: EngineName, updates: readonly Uint8Array[]): Uint8Array | undefined
  /** Into the log, and when it is durable, before `done`, into the `HeldGroup`. */
  include(entries: readonly Foreign[], done: Done<Included>): void
  /** RES1. Each of the two doors asks it on its own, and each alone is enough. */
  may(verb: 'transit' | 'store', document: DocumentName, region: RegionId): Permission
  policyOf(group: GroupId): PolicyState
  alarm(alarm: LinkAlarm): void
  /** The peer speaks of a group that is not shared on this link (yet). Whoever has it shares it then, and the streams begin. */
  wanted(group: GroupId): void
  /** The peer holds this of the group durably (LOG4, SES2). */
  acked(group: GroupId, version: Version): void
  /** The peer does not have what this region lacks as entries any more; the stream is tried again, and this is said each time (LINK6). */
  behind(group: GroupId): void
  /** What a transfer to a region that joins reads. */
  readonly log: Pick<LinkedLog, 'openGroup' | 'seekGroup' | 'listGroup' | 'readState'>
  /** 64 bits of a digest that nobody can steer. */
  digest(bytes: Uint8Array): bigint
  readonly presence: Omit<PresenceEffects, 'lost'> & {
    /** Documents of a group that somebody has open here. */
    watched(group: GroupId): Iterable<DocumentName>
  }
}

/** Where presence of this region is known, and where that of the peer goes (SES6). */
export interface PresenceEffects {
  /** What sessions here show in a document. */
  shown(document: DocumentName): Iterable<FarPresence>
  hear(region: RegionId, document: DocumentName, state: FarPresence): void
  /** The link to the peer ended. */
  suspect(region: RegionId): void
  /** A while has passed since: what was not shown again is gone. */
  lost(region: RegionId): void
}

export interface StreamPort {
  readonly here: RegionId
  readonly peer: RegionId
  readonly options: LinkOptions
  readonly effects: LinkEffects
  /** Room for a batch in the socket. */
  mayBatch(): boolean
  /** Now, or when the socket has room: `control` frames never wait for batches. */
  send(frame: LinkFrame): void
  /** Ends both directions of the group on this link. */
  stop(group: GroupId, reason: StopReason, door: LinkAlarm['door'], detail: string): void
}

/** The rule by which a document may not go to a region or through it; undefined if it may. */
export function refusalOf(
  effects: Pick<LinkEffects, 'may'>,
  document: DocumentName | undefined,
  region: RegionId,
): string | undefined {
  // Control entries and state blocks are of the group itself, which both regions have or they would not share it.
  if (document === undefined) return undefined
  for (const verb of ['transit', 'store'] as const) {
    const permission = effects.may(verb, document, region)
    if (permission.kind === 'no') return permission.rule
  }
  return undefined
}
