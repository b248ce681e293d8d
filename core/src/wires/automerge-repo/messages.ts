/** The messages of automerge-repo: one CBOR map a frame, of which only what is read here is trusted to be of its type. */

import bs58check from 'bs58check'
import { Encoder } from 'cbor-x'
import { MeridianError } from '../../errors.js'
import { type DocumentName, parseDocument, type TenantId } from '../../ids.js'

/** What every message may have; each field is checked where it is read. */
export type Message = Readonly<Record<string, unknown>>

// As automerge-repo writes: maps without records, byte strings without a tag.
const cbor = new Encoder({ useRecords: false, tagUint8Array: false })

export const protocolVersion = '1'

/** Bytes of a document id before base58check. */
const documentIdBytes = 16
/** Characters of an id of a document, a peer or a session. */
const idLengthMax = 256

export const encodeMessage = (message: Message): Uint8Array => new Uint8Array(cbor.encode(message))

/** @throws MeridianError FRAME_INVALID */
export function decodeMessage(bytes: Uint8Array): Message {
  let message: unknown
  try {
    message = cbor.decode(bytes)
  } catch (cause) {
    throw new MeridianError('FRAME_INVALID', { message: 'The message is no CBOR.', cause })
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    throw new MeridianError('FRAME_INVALID', { message: 'The message is no map.' })
  return message as Message
}

/** @throws MeridianError FRAME_INVALID */
export function textOf(message: Message, field: string): string {
  const value = message[field]
  if (typeof value === 'string' && value.length > 0 && value.length <= idLengthMax) return value
  throw new MeridianError('FRAME_INVALID', { message: `The field ${field} is no text of 1 to ${idLengthMax} characters.` })
}

/** @throws MeridianError FRAME_INVALID, also if there is nothing in it */
export function dataOf(message: Message): Uint8Array {
  const { data } = message
  if (data instanceof Uint8Array && data.length > 0) return data
  throw new MeridianError('FRAME_INVALID', { message: 'The data is absent or of zero length.' })
}

/** The name of a document by its id, `<tenant>/automerge/<documentId>`; undefined if no document can have the id. */
export function documentOf(tenant: TenantId, documentId: string): DocumentName | undefined {
  if (bs58check.decodeUnsafe(documentId)?.length !== documentIdBytes) return undefined
  return parseDocument(`${tenant}/automerge/${documentId}`)
}
