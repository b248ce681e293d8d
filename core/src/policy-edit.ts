/**
 * RES3: an edit of a tenant's placement policy as bytes, what a control entry carries. An edit names the edits that it replaces, its parents, and
 * has a name of its own, the SHA-256 of all that its author signs. It holds no key, only the id of the one that it is signed with.
 *
 * `policy := string(tenant) • varUint(epoch) • varUint(n) • n × parent(32 bytes) • string(author) • string(policy) • bytes(signature)`
 *
 * What is signed, and what the name is made of, is this without the signature. What the policy says is for `regions` to read; core carries it.
 */

import type { Decoder } from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import { digest } from 'lib0/hash/sha256'
import { readBytes, readCount, readString } from './bytes.js'
import { MeridianError } from './errors.js'
import type { EditId, TenantId } from './ids.js'
import { parseEdit, parseTenant } from './ids.js'

export interface PolicyEdit {
  readonly kind: 'policy'
  readonly tenant: TenantId
  /** How many edits its author knew, this one included: 1, 2, 3 … */
  readonly epoch: number
  /** The heads that it replaces; none for the first. */
  readonly parents: readonly EditId[]
  /** The id of the tenant's policy key. */
  readonly author: string
  /** The policy as JSON. */
  readonly policy: string
  /** Over `signedBytes`; empty where nothing is signed, in development. */
  readonly signature: Uint8Array
}

/** UTF-8 bytes of the JSON. */
export const policyBytesMax = 256 * 1024
export const parentsMax = 64
export const authorBytesMax = 128
export const signatureBytesMax = 512
/** Edits of one tenant; one a second for a hundred years stays below it. */
export const policyEpochMax = 2 ** 32 - 1
const idBytes = 32

export function writePolicyEdit(encoder: Encoder, edit: PolicyEdit): void {
  writeSigned(encoder, edit)
  encoding.writeVarUint8Array(encoder, edit.signature)
}

/** @throws MeridianError FRAME_INVALID, NAME_INVALID */
export function readPolicyEdit(decoder: Decoder): PolicyEdit {
  const tenant = parseTenant(readString(decoder, 63))
  const epoch = readCount(decoder, policyEpochMax, 'The epoch of a policy edit')
  const count = readCount(decoder, parentsMax, 'The number of parents of a policy edit')
  const parents: EditId[] = []
  for (let index = 0; index < count; index++) {
    const end = decoder.pos + idBytes
    if (end > decoder.arr.length) throw new MeridianError('FRAME_INVALID', { message: 'A parent of a policy edit is cut off.' })
    parents.push(idOf(decoder.arr.subarray(decoder.pos, end)))
    decoder.pos = end
  }
  const author = readString(decoder, authorBytesMax)
  const policy = readString(decoder, policyBytesMax)
  const signature = readBytes(decoder)
  if (signature.length > signatureBytesMax)
    throw new MeridianError('FRAME_INVALID', {
      message: `The signature of a policy edit is ${signature.length} bytes; at most ${signatureBytesMax}.`,
    })
  if (epoch === 0 || author === '' || new Set(parents).size !== parents.length) {
    throw new MeridianError('FRAME_INVALID', {
      message: 'A policy edit has an epoch from 1 on, an author, and each parent once.',
    })
  }
  return { kind: 'policy', tenant, epoch, parents, author, policy, signature }
}

/** What the author signs. */
export function signedBytes(edit: PolicyEdit): Uint8Array {
  const encoder = encoding.createEncoder()
  writeSigned(encoder, edit)
  return encoding.toUint8Array(encoder)
}

/** The name of an edit: parents name it, and two edits that say the same are one. */
export const editId = (edit: PolicyEdit): EditId => idOf(digest(signedBytes(edit)))

function writeSigned(encoder: Encoder, edit: PolicyEdit): void {
  encoding.writeVarString(encoder, edit.tenant)
  encoding.writeVarUint(encoder, edit.epoch)
  encoding.writeVarUint(encoder, edit.parents.length)
  for (const parent of edit.parents) {
    for (let index = 0; index < idBytes; index++)
      encoding.write(encoder, Number.parseInt(parent.slice(2 * index, 2 * index + 2), 16))
  }
  encoding.writeVarString(encoder, edit.author)
  encoding.writeVarString(encoder, edit.policy)
}

function idOf(bytes: Uint8Array): EditId {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return parseEdit(text)
}
