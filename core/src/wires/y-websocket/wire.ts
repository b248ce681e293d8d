/**
 * The wire of y-websocket, for `WebsocketProvider` 1.5, 2.1 and 3.1 as they are: one document a socket, named by the path, the token in the
 * query. What is said of the document is `y-protocols/conversation.ts`.
 *
 * SES3 Nothing is read before the token was checked: a client that says much at once waits in its own socket.
 */

import * as encoding from 'lib0/encoding'
import { advice } from '../../advice.js'
import { MeridianError } from '../../errors.js'
import { parseDocumentPath } from '../../ids.js'
import type { SessionLimits } from '../../limits.js'
import type { Materialiser } from '../../materialised.js'
import type { UpdateToEncode } from '../../shared-encoder.js'
import type { Conversation, Sizes, Wire, WireRequest, WireSession } from '../../wire.js'
import { SyncConversation } from '../y-protocols/conversation.js'
import { encodeSyncUpdate, messageType } from '../y-protocols/messages.js'
import { encodePresence } from '../y-protocols/presence.js'

/** Bytes of one message of a client: a whole document comes in one. */
const messageBytesMax = 16 * 1024 * 1024

/** Bytes of one write of several messages. */
const writeBytes = 256 * 1024

/** 1.5 and 2.1 know no final code and dial again after 100 ms, however often they were refused, as soon as the handshake was good. */
const refusalMs = 1_000

export function yWebsocketWire(materialiser: Materialiser): Wire {
  const wire: Wire = {
    name: 'y-websocket',
    refusalMs,
    packing: 'apart',
    storesParts: true,
    framesEndInPayload: true,
    encodeUpdate: ({ payload }: UpdateToEncode): Uint8Array => encodeSyncUpdate(payload),
    encodePresence,
    limits: (limits: SessionLimits): SessionLimits => ({ ...limits, messageBytesMax }),
    sizes: ({ bufferedBytesMax }: SessionLimits): Sizes => ({ batch: writeBytes, large: bufferedBytesMax, piece: writeBytes }),
    split: (frame: Uint8Array): readonly Uint8Array[] => [frame],
    open: (session: WireSession, request: WireRequest): Conversation =>
      new YWebsocketConversation(session, request, materialiser),
  }
  return wire
}

class YWebsocketConversation extends SyncConversation {
  readonly #request: WireRequest
  #toldReadOnly = false

  constructor(session: WireSession, request: WireRequest, materialiser: Materialiser) {
    super(session, materialiser)
    this.#request = request
  }

  begin(): void {
    this.session.holdUntilKnown()
    this.session.authenticate(this.#request.token)
  }

  welcome(): void {
    this.open(parseDocumentPath(this.#request.path))
  }

  granted(): void {
    // A connection has the token that it came with.
  }

  protected other(type: number): never {
    throw new MeridianError('FRAME_INVALID', { message: `Type ${type} is no message of y-websocket.` })
  }

  protected presenceRefused(reason: string): void {
    this.session.send(encodePermissionDenied(reason))
  }

  protected writeDenied(): void {
    this.writeRefused()
  }

  protected writeRefused(): void {
    if (this.#toldReadOnly) return
    this.#toldReadOnly = true
    this.session.send(encodePermissionDenied(advice.WRITE_DENIED))
  }
}

/** The client shows the reason on its console. */
function encodePermissionDenied(reason: string): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, messageType.auth)
  encoding.writeVarUint(encoder, 0)
  encoding.writeVarString(encoder, reason)
  return encoding.toUint8Array(encoder)
}
