/**
 * The wire of Hocuspocus for one document of a socket, as `HocuspocusProvider` 3.4 and 4.8 have it; `socket.ts` has the addresses, and makes
 * a session of this wire for each. What is said of the document is `y-protocols/conversation.ts`.
 *
 * ```
 *   token ─▶ Authenticated ─▶ step 1 of the node ─▶ the client's step 2 ─▶ SyncStatus
 *     └── what came meanwhile ─▶ step 1 of the client ─▶ step 2
 * ```
 *
 * - SES3 What comes before the token was checked is kept, up to `greetingBytesMax`, and nothing more is read until it was.
 * - LOG1 A SyncStatus says 1 when the update is durable, and 0 if its client may not write. Of what is refused for a passing reason nothing
 *   is said before the client sent it again: a step 2 holds all that the node lacks, so that one says it of all updates before it.
 * - The client is asked for its next token before the one that it has ends.
 */

import * as decoding from 'lib0/decoding'
import type { Attachment } from '../../attachment.js'
import { decoded, readString, readVarUint } from '../../bytes.js'
import type { Principal } from '../../effects.js'
import { inspectLimits } from '../../engine.js'
import { MeridianError } from '../../errors.js'
import { accessOf } from '../../grants.js'
import type { DocumentName } from '../../ids.js'
import { parseDocument } from '../../ids.js'
import type { SessionLimits } from '../../limits.js'
import type { Materialiser } from '../../materialised.js'
import type { UpdateToEncode } from '../../shared-encoder.js'
import type { Conversation, Sizes, Wire, WireRequest, WireSession } from '../../wire.js'
import type { SyncUpdateType } from '../y-protocols/conversation.js'
import { isEmptyUpdate, SyncConversation } from '../y-protocols/conversation.js'
import { encodeSyncUpdate, messageType, syncType } from '../y-protocols/messages.js'
import { encodePresence } from '../y-protocols/presence.js'
import { applied, askForToken, authType, encodeAuthenticated, hocuspocusType, nameOf, refusedStatus } from './messages.js'

/** Bytes of a message beyond the update in it. */
const messageRoom = 4_096

/** Bytes of one write of several messages. */
const writeBytes = 256 * 1024

/** Providers dial again a second after any close. */
const refusalMs = 1_000

/** They also send again what was too large, whatever they are told. */
const tooLargeMs = 30_000

/** Bytes of a token. */
const tokenBytesMax = 16 * 1024

/** Messages that may come before the token was checked. */
const earlyMax = 4_096

/** Milliseconds before the end of a token in which its client is asked for the next one, at most half of its time. */
const renewMs = 30_000

/** Ticks after which a client that was let in and asks for nothing gets all: it sent a token after a refusal, and nothing else. */
const silentTicks = 3

export function hocuspocusWire(materialiser: Materialiser): Wire {
  const wire: Wire = {
    name: 'hocuspocus',
    refusalMs,
    tooLargeMs,
    packing: 'apart',
    storesParts: true,
    framesEndInPayload: true,
    encodeUpdate: ({ payload }: UpdateToEncode): Uint8Array => encodeSyncUpdate(payload),
    encodePresence,
    limits: (limits: SessionLimits): SessionLimits => ({ ...limits, messageBytesMax: limits.updateBytesMax + messageRoom }),
    sizes: ({ bufferedBytesMax }: SessionLimits): Sizes => ({ batch: writeBytes, large: bufferedBytesMax, piece: writeBytes }),
    split: (frame: Uint8Array): readonly Uint8Array[] => [frame],
    open: (session: WireSession, request: WireRequest): Conversation =>
      new HocuspocusConversation(session, request, materialiser),
  }
  return wire
}

interface Unanswered {
  readonly type: SyncUpdateType
  /** The provider counts it among what is not saved. */
  readonly isCounted: boolean
}

class HocuspocusConversation extends SyncConversation {
  /** As the provider has it: collection and key; the tenant is that of the token. */
  readonly #name: string
  #document: DocumentName | undefined
  protected override readonly asksReaders = true
  /** Updates that a SyncStatus is to answer, by their numbers. */
  readonly #unanswered = new Map<number, Unanswered>()
  /** Step 1s of the client whose step 2 is to come; only these are counted by it. */
  #step2Count = 0
  #askedCount = 0
  #checking = false
  #nextToken: string | undefined
  #renewAt = Number.POSITIVE_INFINITY
  #silentTicks = 0

  constructor(session: WireSession, { path }: WireRequest, materialiser: Materialiser) {
    super(session, materialiser)
    this.#name = nameOf(path)
  }

  begin(): void {
    // The client speaks first.
  }

  override receive(message: Uint8Array): void {
    if (this.session.state === 'open') return super.receive(message)
    if (this.session.state === 'closed') return
    if (this.session.state === 'greeting' && message[0] === messageType.auth) {
      decoded(() => this.#hearToken(decoding.createDecoder(message.subarray(1))))
      return
    }
    if (this.early.length >= earlyMax) throw new MeridianError('FRAME_TOO_LARGE')
    this.early.push(new Uint8Array(message))
  }

  welcome(principal: Principal): void {
    this.#document = parseDocument(`${principal.tenant}/${this.#name}`)
    this.#planRenewal(principal)
    this.open(this.#document)
  }

  granted(principal: Principal): void {
    this.#checking = false
    this.#planRenewal(principal)
    if (this.#document !== undefined && accessOf(principal, this.#document) !== 'none')
      this.#sendScope(accessOf(principal, this.#document) === 'write')
    const next = this.#nextToken
    this.#nextToken = undefined
    if (next !== undefined) this.#renew(next)
  }

  override attached(attachment: Attachment): 'later' {
    this.#sendScope(attachment.access === 'write')
    return super.attached(attachment)
  }

  #sendScope(writes: boolean): void {
    this.session.send(encodeAuthenticated(writes ? 'read-write' : 'readonly'))
  }

  #planRenewal({ expiresAt }: Principal): void {
    const leftMs = expiresAt - this.session.hub.effects.clock.now()
    // A provider whose token is a constant sends the same again, and is not asked for it any more.
    const isNewer = this.#renewAt === Number.POSITIVE_INFINITY || expiresAt > this.#expiresAt
    this.#expiresAt = expiresAt
    this.#renewAt = isNewer && Number.isFinite(expiresAt) ? expiresAt - Math.min(renewMs, leftMs / 2) : Number.MAX_VALUE
  }

  #expiresAt = 0

  #hearToken(body: decoding.Decoder): void {
    const type = readVarUint(body)
    if (type !== authType.token) throw new MeridianError('FRAME_INVALID', { message: `Type ${type} is no token.` })
    const token = readString(body, tokenBytesMax)
    // 4.8 says its version.
    if (decoding.hasContent(body)) readString(body, tokenBytesMax)
    if (this.session.state !== 'greeting') return this.#renew(token)
    this.session.holdUntilKnown()
    this.session.authenticate(token)
  }

  #renew(token: string): void {
    if (this.#checking) this.#nextToken = token
    else {
      this.#checking = true
      this.session.authenticate(token)
    }
  }

  protected other(type: number, body: decoding.Decoder): void {
    if (type === messageType.auth) return this.#hearToken(body)
    // A message of the app to the server's own code, which there is none of here.
    if (type === hocuspocusType.stateless) return void readString(body, body.arr.length)
    throw new MeridianError('FRAME_INVALID', { message: `Type ${type} is no message of a provider of Hocuspocus.` })
  }

  protected override asked(): void {
    this.#step2Count++
    // The first is answered with what the attach says anyway.
    if (++this.#askedCount > 1) this.askForRest()
  }

  protected override heard(counter: number, type: SyncUpdateType, update: Uint8Array): void {
    let isCounted = true
    if (type === syncType.step2) {
      isCounted = this.#step2Count > 0
      this.#step2Count = 0
    }
    this.#unanswered.set(counter, { type, isCounted })
    // Of a step 2 it says that the node holds all; of an update, that there was nothing in it.
    if (isEmptyUpdate(update)) this.saved(counter)
  }

  saved(counter: number): void {
    const saved = this.#unanswered.get(counter)
    if (saved === undefined) return
    if (saved.type === syncType.step2) {
      for (const [before, { isCounted }] of this.#unanswered) {
        if (before > counter) break
        this.#unanswered.delete(before)
        if (isCounted) this.session.send(applied)
      }
      return
    }
    this.#unanswered.delete(counter)
    this.session.send(applied)
  }

  /** Everything in it may be held already, which is all that there is to save. */
  protected writeDenied(attachment: Attachment, type: SyncUpdateType, update: Uint8Array): void {
    const { counter } = this
    if (type !== syncType.step2 || !this.#holds(attachment, update)) return this.writeRefused()
    this.saved(counter)
  }

  #holds({ document }: Attachment, update: Uint8Array): boolean {
    const { index } = document
    if (index?.kind !== 'loaded' || update.length > this.session.hub.limits.inlineBytesMax) return false
    try {
      return index.engine.judge(index.index, index.engine.inspect(update, inspectLimits)) === 'nothing'
    } catch (thrown) {
      if (thrown instanceof MeridianError) return false
      throw thrown
    }
  }

  protected writeRefused(): void {
    for (const { isCounted } of this.#unanswered.values()) if (isCounted) this.session.send(refusedStatus)
    this.#unanswered.clear()
  }

  protected presenceRefused(): void {
    // The protocol has no word for it: others go without.
  }

  override tick(nowMs: number): void {
    super.tick(nowMs)
    if (this.#askedCount === 0 && this.attachedTo !== undefined && ++this.#silentTicks === silentTicks) {
      super.receive(new Uint8Array([messageType.sync, syncType.step1, 1, 0]))
    }
    if (nowMs < this.#renewAt) return
    this.#renewAt = Number.MAX_VALUE
    this.session.send(askForToken)
  }
}
