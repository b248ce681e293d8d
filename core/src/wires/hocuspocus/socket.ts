/**
 * One socket of a client of Hocuspocus: several documents on it, each with an address, a token and an end of its own, so that each is a
 * `Session`. [hot]
 *
 * ```
 *   socket ─ address · message ─▶ Session of the address ─▶ … ─ message ─▶ address · message ─▶ socket
 *                 └─ none yet: begins one     └─ it fails for good: PermissionDenied, and the address is free for another token
 *                                             └─ it fails for now: the socket is closed, since only that makes a provider come again
 * ```
 *
 * - SES3 All that is kept for addresses that are not known yet is bounded for the socket, too, as are addresses.
 * - A provider that was refused goes on to send; nothing of that is read before its next token, and it is kept from dialing again, which
 *   would bring the same.
 */

import * as decoding from 'lib0/decoding'
import { decoded, readString } from '../../bytes.js'
import type { ErrorCode } from '../../errors.js'
import { errorTable, MeridianError, toMeridianError } from '../../errors.js'
import type { Hub } from '../../hub.js'
import type { TenantId } from '../../ids.js'
import type { SessionLimits } from '../../limits.js'
import { Outgoing, outgoing } from '../../outgoing.js'
import type { Door } from '../../door.js'
import { type Asking, type Connected, Session, type SessionOptions, type SessionSocket } from '../../session.js'
import type { Wire } from '../../wire.js'
import { messageType } from '../y-protocols/messages.js'
import { emptyAwareness } from '../y-protocols/presence.js'
import { addressBytesMax, addressed, encodeAddress, encodePermissionDenied, hocuspocusType } from './messages.js'

/** Greetings of how many sessions one socket may have waiting at once, by their bytes. */
const greetingsMax = 4

/** Ticks between two signs of life to a client that has no document open. */
const aliveTicks = 20

export function hocuspocusDoor(wire: Wire): Door {
  return { wire, connect: (hub, socket, options) => new HocuspocusSocket(hub, socket, wire, options) }
}

export class HocuspocusSocket implements Connected {
  readonly #hub: Hub
  readonly #socket: SessionSocket
  readonly #wire: Wire
  readonly #options: SessionOptions
  readonly #limits: SessionLimits
  readonly #documents = new Map<string, Document>()
  /** Addresses that were refused and sent no other token since. */
  readonly #refused = new Set<string>()
  readonly #pausing = new Set<Document>()
  readonly #startedAt: number
  #heardAt: number
  #greetingBytes = 0
  #quietTicks = 0
  #isClosed = false

  constructor(hub: Hub, socket: SessionSocket, wire: Wire, options: SessionOptions) {
    this.#hub = hub
    this.#socket = socket
    this.#wire = wire
    this.#options = options
    this.#limits = wire.limits(options.limits)
    this.#startedAt = hub.stopwatch.ms
    this.#heardAt = this.#startedAt
  }

  /** One message of the client. Never throws. [hot] */
  receive(message: Uint8Array): void {
    if (this.#isClosed) return
    this.heard()
    // Without an address.
    if (message.length === 1 && (message[0] === hocuspocusType.pong || message[0] === hocuspocusType.ping)) return
    try {
      const [address, length] = decoded(() => {
        const decoder = decoding.createDecoder(message)
        return [readString(decoder, addressBytesMax), decoder.pos] as const
      })
      this.#receive(address, message.subarray(length))
    } catch (thrown) {
      this.fail(toMeridianError(thrown))
    }
  }

  #receive(address: string, message: Uint8Array): void {
    if (message[0] === hocuspocusType.close) {
      this.#refused.delete(address)
      this.#end(address)
      return
    }
    const document = this.#documents.get(address) ?? this.#begin(address, message[0])
    if (document === undefined) return
    if (document.session.state !== 'open') {
      this.#greetingBytes += message.length
      if (this.#greetingBytes > greetingsMax * this.#limits.greetingBytesMax) throw new MeridianError('FRAME_TOO_LARGE')
    }
    document.session.receive(message)
  }

  #begin(address: string, type: number | undefined): Document | undefined {
    if (this.#refused.has(address)) {
      if (type !== messageType.auth) return undefined
      this.#refused.delete(address)
    }
    if (this.#documents.size + this.#refused.size >= this.#limits.documentsMax) {
      if (type === messageType.auth) this.#refuse(address, 'LIMIT_DOCUMENTS')
      return undefined
    }
    const document = new Document(this, address, (socket) => {
      const request = { path: address, token: '' }
      return new Session(this.#hub, socket, this.#wire, { ...this.#options, request })
    })
    this.#documents.set(address, document)
    // The node may be full.
    if (document.endedWith !== undefined) this.failed(document, document.endedWith)
    return this.#documents.get(address)
  }

  #end(address: string): void {
    const document = this.#documents.get(address)
    if (document === undefined) return
    this.#documents.delete(address)
    this.resume(document)
    document.session.closed()
  }

  #refuse(address: string, reason: string): void {
    if (this.#refused.size < this.#limits.documentsMax) this.#refused.add(address)
    this.#socket.send(outgoing(addressed(encodeAddress(address), encodePermissionDenied(reason))))
  }

  heard(): void {
    this.#heardAt = this.#hub.stopwatch.ms
    for (const { session } of this.#documents.values()) session.heard()
  }

  drained(): void {
    for (const { session } of [...this.#documents.values()]) session.drained()
  }

  /** About once a second. */
  tick(nowMs: number): void {
    if (this.#isClosed) return
    for (const { session } of [...this.#documents.values()]) session.tick(nowMs)
    if (this.#documents.size > 0) return
    const atMs = this.#hub.stopwatch.ms
    if (this.#refused.size === 0 && atMs - this.#startedAt >= this.#limits.greetingMs) return this.#close('HELLO_TIMEOUT')
    if (atMs - this.#heardAt >= this.#limits.silenceMs) return this.#close('TIMEOUT')
    const [refused] = this.#refused
    if (refused === undefined || ++this.#quietTicks < aliveTicks) return
    this.#quietTicks = 0
    this.#socket.send(outgoing(addressed(encodeAddress(refused), emptyAwareness)))
  }

  review(tenant?: TenantId): void {
    for (const { session } of [...this.#documents.values()]) session.review(tenant)
  }

  shutdown(): void {
    for (const { session } of [...this.#documents.values()]) session.flush()
    this.#close('DRAINING')
  }

  /** The socket is gone. */
  closed(): void {
    this.#isClosed = true
    for (const address of [...this.#documents.keys()]) this.#end(address)
  }

  /** Something is wrong with the socket itself, whatever document it is of. Apps are told why, as they would send the same again. */
  fail(error: MeridianError): void {
    if (this.#isClosed) return
    if (errorTable[error.code].retry === 'never') for (const address of this.#documents.keys()) this.#refuse(address, error.code)
    this.#close(error.code)
  }

  #close(code: ErrorCode, reason: string = code): void {
    if (this.#isClosed) return
    this.#options.onRefused?.(code)
    this.#socket.close(errorTable[code].close, reason)
    this.closed()
  }

  // What the sessions do with the socket.

  /** [hot] */
  send(message: Outgoing): void {
    this.#quietTicks = 0
    this.#socket.send(message)
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes
  }

  pause(document: Document): void {
    this.#pausing.add(document)
    this.#socket.pause()
  }

  resume(document: Document): void {
    if (this.#pausing.delete(document) && this.#pausing.size === 0) this.#socket.resume()
  }

  authenticate(token: string, asking: Asking): void {
    this.#socket.authenticate(token, {
      get state() {
        return asking.state
      },
      authenticated: (principal) => {
        asking.authenticated(principal)
        this.#greetingBytes = 0
      },
      fail: (error) => asking.fail(error),
    })
  }

  /** A session has ended, and is not to be told so. */
  failed(document: Document, reason: string): void {
    const { address } = document
    if (this.#documents.get(address) !== document) return
    const [word = ''] = reason.split(' ')
    const code = word in errorTable ? (word as ErrorCode) : 'INTERNAL'
    // It began, and no token came: what the provider sent without one is forgotten.
    const isForgotten = code === 'HELLO_TIMEOUT'
    const isFinal = errorTable[code].retry === 'never' || code === 'NOT_PLACED_HERE'
    if ((!isFinal && !isForgotten) || code === 'FRAME_INVALID' || code === 'FRAME_TOO_LARGE') {
      if (isFinal) this.#refuse(address, reason)
      this.#close(code, reason)
      return
    }
    this.#documents.delete(address)
    this.resume(document)
    if (!isForgotten) this.#refuse(address, reason)
  }
}

/** The socket as the session of one document has it. */
class Document implements SessionSocket {
  readonly address: string
  readonly session: Session
  /** The reason, once the session has ended by itself. */
  endedWith: string | undefined
  readonly #socket: HocuspocusSocket
  readonly #prefix: Uint8Array

  constructor(socket: HocuspocusSocket, address: string, begin: (socket: SessionSocket) => Session) {
    this.#socket = socket
    this.address = address
    this.#prefix = encodeAddress(address)
    this.session = begin(this)
  }

  /** [hot] */
  send(message: Outgoing): void {
    this.#socket.send(withAddress(this.address, this.#prefix, message))
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes
  }

  pause(): void {
    this.#socket.pause(this)
  }

  resume(): void {
    this.#socket.resume(this)
  }

  authenticate(token: string, asking: Asking): void {
    this.#socket.authenticate(token, asking)
  }

  close(_code: number, reason: string): void {
    this.endedWith = reason
    this.#socket.failed(this, reason)
  }
}

/** Made once for all receivers that have the same address, as all have that have no id of their own. */
const made = new WeakMap<Outgoing, { readonly address: string; readonly message: Outgoing }>()

/** [hot] */
function withAddress(address: string, prefix: Uint8Array, message: Outgoing): Outgoing {
  const held = made.get(message)
  if (held?.address === address) return held.message
  const result = new Outgoing(message.messages.map((each) => addressed(prefix, each)))
  made.set(message, { address, message: result })
  return result
}
