/**
 * Entries: what a region's log holds. A client's edit, an erasure, a policy change: each is one. A draft becomes an entry when the
 * log has made it durable and given it a dot and a chain value (LOG1).
 */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { decoded, readString, readVarUint } from './bytes.js'
import type { EngineName } from './engine.js'
import { MeridianError } from './errors.js'
import type { HybridTime } from './hybrid-time.js'
import type { DeviceId, DocumentName, GroupId, Position, ReplicaId } from './ids.js'
import { parseReplica } from './ids.js'
import { type PolicyEdit, readPolicyEdit, writePolicyEdit } from './policy-edit.js'
import type { Chain } from './version.js'

/** `stub`: what an erase left of an entry for links, its dot and chain value; it is of no document, and its payload names the life that was erased (RES7, stub.ts). */
export type EntryKind = 'update' | 'erase' | 'control' | 'state' | 'stub'

/** What a kind is in logs and on links. Never renumbered. */
export const kindNumber: Readonly<Record<EntryKind, number>> = { update: 1, erase: 2, control: 3, state: 4, stub: 5 }
const kinds: readonly (EntryKind | undefined)[] = [undefined, 'update', 'erase', 'control', 'state', 'stub']
export const kindOf = (number: number): EntryKind | undefined => kinds[number]

/** Names one push of one device, so that a resend is recognised (SES2). Counters grow per device and group; gaps are allowed. */
export interface PushName {
  readonly device: DeviceId
  readonly counter: number
}

export interface Draft {
  readonly group: GroupId
  /** Undefined for entries of the group itself: control and state blocks. */
  readonly document: DocumentName | undefined
  /** Engine of the document; undefined without one. */
  readonly engine: EngineName | undefined
  /** The document's life that the entry belongs to: 1, 2, … (RES7); 0 without a document. */
  readonly life: number
  readonly kind: EntryKind
  /** Policy epoch that it was admitted under; 0 before there is a policy (RES3). */
  readonly epoch: number
  readonly time: HybridTime
  readonly payload: Uint8Array
  /** Absent for what no client pushed. */
  readonly push?: PushName
}

export interface Entry extends Omit<Draft, 'push'> {
  readonly position: Position
  readonly replica: ReplicaId
  readonly sequence: number
  readonly chain: Chain
}

/**
 * What a control entry says. `seal`: all regions of the group hold these closed incarnations entirely, so that the region's floor
 * rises to `counter` (LOG5).
 */
export interface Seal {
  readonly kind: 'seal'
  readonly counter: number
  readonly last: ReadonlyMap<ReplicaId, number>
}

/** `policy`: an edit of the tenant's placement policy, in its control group (RES3). */
export type Control = Seal | PolicyEdit

const controlVersion = 1
/** What a kind of control is in its payload. Never renumbered. */
const controlNumber: Readonly<Record<Control['kind'], number>> = { seal: 1, policy: 2 }

/**
 * `control := varUint(version) • varUint(kind) • …`; `seal := varUint(counter) • varUint(n) • n × (varString(replica) • varUint(sequence))`;
 * `policy` is in policy-edit.ts.
 */
export function encodeControl(control: Control): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, controlVersion)
  encoding.writeVarUint(encoder, controlNumber[control.kind])
  switch (control.kind) {
    case 'seal':
      writeSeal(encoder, control)
      break
    case 'policy':
      writePolicyEdit(encoder, control)
      break
  }
  return encoding.toUint8Array(encoder)
}

function writeSeal(encoder: encoding.Encoder, seal: Seal): void {
  encoding.writeVarUint(encoder, seal.counter)
  encoding.writeVarUint(encoder, seal.last.size)
  for (const [replica, sequence] of seal.last) {
    encoding.writeVarString(encoder, replica)
    encoding.writeVarUint(encoder, sequence)
  }
}

/** @throws MeridianError FRAME_INVALID, PROTOCOL_UNSUPPORTED */
export function decodeControl(payload: Uint8Array): Control {
  return decoded(() => readControl(decoding.createDecoder(payload)))
}

function readControl(decoder: Decoder): Control {
  const version = readVarUint(decoder)
  const number = readVarUint(decoder)
  if (version === controlVersion && number === controlNumber.seal) return readSeal(decoder)
  if (version === controlVersion && number === controlNumber.policy) return readPolicyEdit(decoder)
  throw new MeridianError('PROTOCOL_UNSUPPORTED', { message: 'A control entry is of a newer kind.' })
}

function readSeal(decoder: Decoder): Seal {
  const counter = readVarUint(decoder)
  const count = readVarUint(decoder)
  const last = new Map<ReplicaId, number>()
  for (let index = 0; index < count; index++) {
    const replica = parseReplica(readString(decoder, 128))
    last.set(replica, readVarUint(decoder))
  }
  return { kind: 'seal', counter, last }
}
