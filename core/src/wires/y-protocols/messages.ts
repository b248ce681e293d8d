/**
 * Messages of y-protocols as providers send and take them, behind the address if they have one: one a WebSocket message, no batches, no lengths in front. [hot]
 */

import { putVarUint, varUintLength } from '../../bytes.js'

export const messageType = { sync: 0, awareness: 1, auth: 2, queryAwareness: 3 } as const
export const syncType = { step1: 0, step2: 1, update: 2 } as const

/** What the node holds, so that the client sends what it does not. */
export const encodeStep1 = (stateVector: Uint8Array): Uint8Array => syncMessage(syncType.step1, stateVector)
/** The answer to a step 1: with it the client takes itself for in sync. */
export const encodeStep2 = (update: Uint8Array): Uint8Array => syncMessage(syncType.step2, update)
/** The payload is the end of the frame. [hot] */
export const encodeSyncUpdate = (update: Uint8Array): Uint8Array => syncMessage(syncType.update, update)

function syncMessage(type: number, bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(2 + varUintLength(bytes.length) + bytes.length)
  message[0] = messageType.sync
  message[1] = type
  message.set(bytes, putVarUint(message, 2, bytes.length))
  return message
}

export function encodeAwarenessMessage(update: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + varUintLength(update.length) + update.length)
  message[0] = messageType.awareness
  message.set(update, putVarUint(message, 1, update.length))
  return message
}

/** An update of nothing: no structs, no deletions. */
export const emptyUpdate = new Uint8Array([0, 0])
