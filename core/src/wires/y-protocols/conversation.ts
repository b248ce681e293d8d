/**
 * What the wires whose messages are those of y-protocols share: one document of a session, from its attach to its end.
 *
 * ```
 *   attached ─▶ step 1 of the node (what it holds) ─▶ the client's step 2
 *       └─ step 1 of the client ─▶ materialised ─▶ what it lacks, last of it as step 2 ─▶ the log behind it ─▶ live
 * ```
 *
 * - Nothing is answered before the log has been read, so that no client takes an empty document for the whole one.
 * - SES2 There are no names for pushes. What is refused for a passing reason is asked for again by another step 1; the client holds it.
 *   Of an update that is premature the admissible part is stored; the rest is asked for again when what it lacked has come.
 * - LOG1 A step 1 of the node names what is durable, so that a client does not keep to itself what a failed commit loses.
 */

import * as decoding from 'lib0/decoding'
import type { Attachment } from '../../attachment.js'
import { decoded, readBytes, readVarUint } from '../../bytes.js'
import type { Inspection } from '../../engine.js'
import type { Principal, Redirect } from '../../effects.js'
import type { ErrorCode } from '../../errors.js'
import { errorTable, MeridianError } from '../../errors.js'
import type { Receipt } from '../../commit-queue.js'
import type { DocumentName } from '../../ids.js'
import type { RefusedPush } from '../../lane.js'
import type { Materialised, Materialiser } from '../../materialised.js'
import { emptyVersion } from '../../version.js'
import type { Conversation, WireSession } from '../../wire.js'
import { isOfAnotherLife } from './copy.js'
import { emptyUpdate, encodeStep1, encodeStep2, encodeSyncUpdate, messageType, syncType } from './messages.js'
import { ProvidersPresence } from './presence.js'

/** A session of these wires has one document. */
const channel = 1

/** Ticks between two requests for what was refused, doubled each time up to the most. */
const askAgainTicks = { first: 1, most: 32 } as const

export type SyncUpdateType = typeof syncType.step2 | typeof syncType.update

export abstract class SyncConversation implements Conversation {
  /** Whether those who may only read are asked for what they have, too. */
  protected readonly asksReaders: boolean = false
  protected readonly session: WireSession
  readonly #materialiser: Materialiser
  protected early: Uint8Array[] = []
  protected counter = 0
  protected attachedTo: Attachment | undefined
  /** The state vector of a step 1 that is to be answered. */
  protected known: Uint8Array | undefined
  #answering = false
  /** Whether the client's copy is known to be of the life that the document has. */
  #life: 'unknown' | 'its own' = 'unknown'
  protected readonly presence: ProvidersPresence
  /** Ticks until what was refused is asked for again; undefined if nothing was. */
  #askIn: number | undefined
  #askTicks: number = askAgainTicks.first
  /** What a refused update lacked: it is asked for again as soon as that is held. */
  #lacking: Inspection | undefined

  readonly hasLast = false

  constructor(session: WireSession, materialiser: Materialiser) {
    this.session = session
    this.#materialiser = materialiser
    this.presence = new ProvidersPresence(session, (reason) => this.presenceRefused(reason))
  }

  abstract begin(): void
  abstract welcome(principal: Principal): void
  abstract granted(principal: Principal): void
  /** Others do not see what the client shows. */
  protected abstract presenceRefused(reason: string): void
  /** An edit of a client that may only read. */
  protected abstract writeDenied(attachment: Attachment, type: SyncUpdateType, update: Uint8Array): void
  /** A message that not all of these wires have. @throws MeridianError FRAME_INVALID */
  protected abstract other(type: number, body: decoding.Decoder): void
  /** The client asks for what it lacks. */
  protected asked(): void {}
  /** An update, before it is pushed under this number, or found to be empty. */
  protected heard(_counter: number, _type: SyncUpdateType, _update: Uint8Array): void {}

  protected open(document: DocumentName): void {
    this.session.attach({ channel, engine: 'yjs', document, life: 0, cursor: emptyVersion, seen: emptyVersion })
    for (const message of this.early.splice(0)) this.receive(message)
  }

  receive(message: Uint8Array): void {
    if (this.session.state === 'closed') return
    if (this.session.state !== 'open') {
      // What had left the socket before it was held; bounded by `greetingBytesMax`, which the session counts.
      this.early.push(new Uint8Array(message))
      return
    }
    const attachment = this.session.attachment(channel)
    if (attachment === undefined) return
    decoded(() => {
      const body = decoding.createDecoder(message)
      const type = readVarUint(body)
      if (type === messageType.sync) this.#sync(attachment, readVarUint(body), readBytes(body))
      else if (type === messageType.awareness) this.presence.hear(attachment, readBytes(body))
      else if (type === messageType.queryAwareness) this.presence.tellAll(attachment)
      else this.other(type, body)
      if (body.pos !== message.length) throw new MeridianError('FRAME_INVALID', { message: 'Bytes follow the message.' })
    })
  }

  #sync(attachment: Attachment, type: number, bytes: Uint8Array): void {
    switch (type) {
      case syncType.step1:
        this.known = new Uint8Array(bytes)
        this.asked()
        if (this.#life === 'unknown') return this.#askForLife()
        return this.#answer()
      case syncType.step2:
      case syncType.update:
        this.heard(++this.counter, type, bytes)
        if (isEmptyUpdate(bytes)) return
        // Asked for again once its life is known.
        if (this.attachedTo !== undefined && this.#life === 'unknown') return
        if (attachment.access === 'write') return this.session.push(attachment, this.counter, bytes)
        return this.writeDenied(attachment, type, bytes)
      default:
        throw new MeridianError('FRAME_INVALID', { message: `Type ${type} is no message of the sync protocol of Yjs.` })
    }
  }

  attached(attachment: Attachment): 'later' {
    this.attachedTo = attachment
    if (attachment.document.life > 1) this.#askForLife()
    else this.#begin()
    return 'later'
  }

  #begin(): void {
    this.#life = 'its own'
    this.askForRest()
    this.#answer()
  }

  /** RES7: a document that was erased and begun anew. Nothing is told or taken before the client's step 1 shows that its copy is of no earlier life. */
  #askForLife(): void {
    const attachment = this.attachedTo
    const known = this.known
    if (attachment === undefined || known === undefined || !this.session.holds(attachment)) return
    const loaded = this.session.hub.index(attachment.document, attachment.engine, () => {
      this.#askForLife()
      this.session.flush()
    })
    if (loaded === undefined) return
    if (typeof loaded === 'string') return this.session.fail(new MeridianError(loaded))
    if (isOfAnotherLife(known, loaded.engine.stateVector(loaded.index))) this.session.fail(new MeridianError('ERASED'))
    else if (this.#life === 'unknown') this.#begin()
  }

  /** The node's step 1. Who may only read is not asked. */
  protected askForRest(): void {
    const attachment = this.attachedTo
    if (attachment === undefined || !this.session.holds(attachment)) return
    if (attachment.access !== 'write' && !this.asksReaders) return
    const loaded = this.session.hub.index(attachment.document, attachment.engine, () => {
      this.askForRest()
      this.session.flush()
    })
    if (loaded === undefined) return
    if (typeof loaded === 'string') return this.session.fail(new MeridianError(loaded))
    const step1 = encodeStep1(loaded.engine.stateVector(loaded.index))
    if (attachment.document.pendingCount === 0) return this.session.send(step1)
    // The index has what is on its way into the log, too. If that fails, whoever was told of it would not send it again.
    const receipt: Receipt = {
      saved: () => {
        if (this.session.holds(attachment)) this.session.send(step1)
      },
      failed: () => this.#askLater(),
    }
    const { engine } = attachment
    this.session.hub.barrier(attachment.document, { name: undefined, counter: 0, engine, bytes: 0, receipt, origin: attachment })
  }

  #holdsWhatLacked(): boolean {
    const index = this.attachedTo?.document.index
    const lacking = this.#lacking
    return index?.kind === 'loaded' && lacking !== undefined && index.engine.judge(index.index, lacking) !== 'premature'
  }

  #askLater(): void {
    if (this.#askIn !== undefined && this.#askIn <= this.#askTicks) return
    this.#askIn = this.#askTicks
    this.#askTicks = Math.min(2 * this.#askTicks, askAgainTicks.most)
  }

  #answer(): void {
    const attachment = this.attachedTo
    const known = this.known
    if (attachment === undefined || known === undefined || this.#answering || !this.session.holds(attachment)) return
    this.known = undefined
    this.#answering = true
    this.#materialiser.materialise(attachment.document.name, (answer) => {
      if (!this.session.holds(attachment)) return
      switch (answer.kind) {
        case 'done':
          return this.#tellDifference(attachment, answer.value, known)
        case 'absent':
          return this.#told(attachment, [], attachment.position)
        case 'ended':
          return this.session.fail(new MeridianError('ERASED'))
        case 'failed':
          return this.session.fail(new MeridianError(answer.code))
      }
    })
  }

  #tellDifference(attachment: Attachment, state: Materialised, known: Uint8Array): void {
    // Who has nothing gets everything as it is stored.
    if (known.length === 1 && known[0] === 0) return this.#told(attachment, state.updates, state.position)
    this.#materialiser.differences(state, known, (answer) => {
      if (!this.session.holds(attachment)) return
      if (answer.kind === 'done') return this.#told(attachment, answer.value, state.position)
      if (answer.kind === 'refused') this.session.fail(new MeridianError('FRAME_INVALID', { message: answer.message }))
      else this.session.fail(new MeridianError('INTERNAL', { message: 'The difference could not be made now.' }))
    })
  }

  /** In the order of the log, the last of it as step 2, so that a client that takes itself for in sync is. */
  #told(attachment: Attachment, updates: readonly Uint8Array[], position: Attachment['position']): void {
    this.#answering = false
    for (const update of updates.slice(0, -1)) this.session.stream(encodeSyncUpdate(update))
    this.session.stream(encodeStep2(updates.at(-1) ?? emptyUpdate))
    if (attachment.state === 'opening' && !attachment.told) this.session.catchUpFrom(attachment, position)
    this.session.flush()
    this.#answer()
  }

  /** Pushes that came before the client was told that it may not write any more. */
  protected abstract writeRefused(): void

  /** What was dropped behind a refusal is still with the client, so it is asked for what the node lacks. */
  refused({ channel: of, counter, code, lacking }: RefusedPush): void {
    const attachment = this.session.attachment(of) ?? this.session.attachment(channel)
    if (attachment === undefined) return
    if (code === 'WRITE_DENIED') {
      this.writeRefused()
      return this.session.resume(attachment, counter)
    }
    if (errorTable[code].retry === 'never') return this.session.fail(new MeridianError(code))
    this.session.resume(attachment, counter)
    if (code !== 'PREMATURE') return this.#askLater()
    // The client waits for it, too. Who is asked often for what cannot be stored sends all of that each time.
    this.#lacking ??= lacking
    this.#askIn ??= askAgainTicks.most
  }

  tick(_nowMs: number): void {
    this.presence.tick()
    if (this.#askIn === undefined || (--this.#askIn > 0 && !this.#holdsWhatLacked())) return
    this.#askIn = undefined
    this.#lacking = undefined
    this.askForRest()
  }

  acked(): void {
    this.#askTicks = askAgainTicks.first
  }

  last(): void {
    // Nothing waits for the end of a flush.
  }

  beforeUpdates(): void {
    // Frames of this wire refer to nothing.
  }

  stateFrame(_attachment: Attachment, state: Uint8Array): Uint8Array {
    return encodeSyncUpdate(state)
  }

  currentFrame(): undefined {
    return undefined
  }

  denied(_channel: number, code: ErrorCode): void {
    this.session.fail(new MeridianError(code))
  }

  /** The reason says where: the addresses behind the code, as many as a reason has room for. */
  redirected(_channel: number, redirects: readonly Redirect[]): void {
    let reason: string = 'NOT_PLACED_HERE'
    for (const { url } of redirects) {
      const longer = `${reason} ${url}`
      if (longer.length > reasonBytesMax) break
      reason = longer
    }
    this.session.fail(new MeridianError('NOT_PLACED_HERE'), reason)
  }

  erased(): void {
    this.session.fail(new MeridianError('ERASED'))
  }

  detached(attachment: Attachment): void {
    this.presence.leave(attachment)
  }

  goodbye(): void {
    // The close code says it all.
    this.early = []
  }
}

/** Bytes of the reason of a close (RFC 6455, section 5.5.1). Addresses are ASCII. */
const reasonBytesMax = 123

export const isEmptyUpdate = (update: Uint8Array): boolean => update.length === 2 && update[0] === 0 && update[1] === 0
