/**
 * What Hocuspocus adds to the messages of y-protocols: behind an address each, `varString address · varUint type · body`. The address is the
 * name of the document, and behind a zero byte the provider's own id if several on one socket have the same document open.
 */

import * as encoding from 'lib0/encoding'
import { concat } from '../../bytes.js'

/** Beyond those that all of these wires have. */
export const hocuspocusType = { stateless: 5, close: 7, syncStatus: 8, ping: 9, pong: 10 } as const
export const authType = { token: 0, permissionDenied: 1, authenticated: 2 } as const
const auth = 2

/** Bytes of an address: a name, and an id of the provider. */
export const addressBytesMax = 1_024

/** The provider is to send its token again. */
export const askForToken = new Uint8Array([auth, authType.token])

/** [hot] One update or step 2 is durable. */
export const applied = new Uint8Array([hocuspocusType.syncStatus, 1])
export const refusedStatus = new Uint8Array([hocuspocusType.syncStatus, 0])

/** Ends what the provider does with the document until it sends another token; apps get the reason. */
export const encodePermissionDenied = (reason: string): Uint8Array => authMessage(authType.permissionDenied, reason)

export const encodeAuthenticated = (scope: 'read-write' | 'readonly'): Uint8Array => authMessage(authType.authenticated, scope)

function authMessage(type: number, text: string): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, auth)
  encoding.writeVarUint(encoder, type)
  encoding.writeVarString(encoder, text)
  return encoding.toUint8Array(encoder)
}

export function encodeAddress(address: string): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeVarString(encoder, address)
  return encoding.toUint8Array(encoder)
}

/** [hot] */
export const addressed = (address: Uint8Array, message: Uint8Array): Uint8Array => concat([address, message])

/** What stands in front of the id of the provider. */
export function nameOf(address: string): string {
  const end = address.indexOf('\0')
  return end < 0 ? address : address.slice(0, end)
}
