/**
 * The wire of y-websocket, for `WebsocketProvider` 1.5, 2.1 and 3.1 as they are: one document a socket, named by the path, the token in the
 * query.
 *
 * ```
 *   token good ─▶ attached ─▶ step 1 of the node (what it holds) ─▶ the client's step 2
 *                     └─ step 1 of the client ─▶ materialised ─▶ what it lacks, last of it as step 2 ─▶ the log behind it ─▶ live
 * ```
 *
 * - Nothing is answered before the log has been read, so that no client takes an empty document for the whole one.
 * - SES2 There are no names for pushes and no acks. What is refused for a passing reason is asked for again by another step 1; the client holds it.
 *   Of an update that is premature the admissible part is stored; the rest is asked for again when what it lacked has come.
 * - LOG1 A step 1 of the node names what is durable, so that a client does not keep to itself what a failed commit loses.
 * - SES3 Nothing is read before the token was checked: a client that says much at once waits in its own socket.
 */

import * as decoding from 'lib0/decoding'
import type { Attachment } from '../../attachment.js'
import { decoded, readBytes, readVarUint } from '../../bytes.js'
import type { Redirect } from '../../effects.js'
import type { Inspection } from '../../engine.js'
import type { ErrorCode } from '../../errors.js'
import { errorTable, MeridianError } from '../../errors.js'
import type { Receipt } from '../../hub.js'
import { parseDocumentPath } from '../../ids.js'
import type { RefusedPush } from '../../lane.js'
import type { SessionLimits } from '../../limits.js'
import type { Materialised, Materialiser } from '../../materialised.js'
import type { UpdateToEncode } from '../../shared-encoder.js'
import { emptyVersion } from '../../version.js'
import type { Conversation, Sizes, Wire, WireRequest, WireSession } from '../../wire.js'
import { isOfAnotherLife } from './copy.js'
import {
  emptyUpdate,
  encodePermissionDenied,
  encodeStep1,
  encodeStep2,
  encodeSyncUpdate,
  messageType,
  syncType,
} from './messages.js'
import { encodePresence, YWebsocketPresence } from './presence.js'

/** Bytes of one message of a client: a whole document comes in one. */
const messageBytesMax = 16 * 1024 * 1024

/** Bytes of one write of several messages. */
const writeBytes = 256 * 1024

/** 1.5 and 2.1 know no final code and dial again after 100 ms, however often they were refused, as soon as the handshake was good. */
const refusalMs = 1_000

/** The only one. */
const channel = 1

/** Ticks between two requests for what was refused, doubled each time up to the most. */
const askAgainTicks = { first: 1, most: 32 } as const

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

class YWebsocketConversation implements Conversation {
  readonly #session: WireSession
  readonly #request: WireRequest
  readonly #materialiser: Materialiser
  #early: Uint8Array[] = []
  #counter = 0
  #attached: Attachment | undefined
  /** The state vector of a step 1 that is to be answered. */
  #known: Uint8Array | undefined
  #answering = false
  /** Whether the client's copy is known to be of the life that the document has. */
  #life: 'unknown' | 'its own' = 'unknown'
  #toldReadOnly = false
  readonly #presence: YWebsocketPresence
  /** Ticks until what was refused is asked for again; undefined if nothing was. */
  #askIn: number | undefined
  #askTicks: number = askAgainTicks.first
  /** What a refused update lacked: it is asked for again as soon as that is held. */
  #lacking: Inspection | undefined

  readonly hasLast = false

  constructor(session: WireSession, request: WireRequest, materialiser: Materialiser) {
    this.#session = session
    this.#request = request
    this.#materialiser = materialiser
    this.#presence = new YWebsocketPresence(session)
  }

  begin(): void {
    this.#session.holdUntilKnown()
    this.#session.authenticate(this.#request.token)
  }

  welcome(): void {
    const document = parseDocumentPath(this.#request.path)
    this.#session.attach({ channel, engine: 'yjs', document, life: 0, cursor: emptyVersion, seen: emptyVersion })
    for (const message of this.#early.splice(0)) this.receive(message)
  }

  receive(message: Uint8Array): void {
    if (this.#session.state === 'closed') return
    if (this.#session.state !== 'open') {
      // What had left the socket before it was held; bounded by `greetingBytesMax`, which the session counts.
      this.#early.push(new Uint8Array(message))
      return
    }
    const attachment = this.#session.attachment(channel)
    if (attachment === undefined) return
    decoded(() => {
      const body = decoding.createDecoder(message)
      const type = readVarUint(body)
      if (type === messageType.sync) this.#sync(attachment, readVarUint(body), readBytes(body))
      else if (type === messageType.awareness) this.#presence.hear(attachment, readBytes(body))
      else if (type === messageType.queryAwareness) this.#presence.tellAll(attachment)
      else throw new MeridianError('FRAME_INVALID', { message: `Type ${type} is no message of y-websocket.` })
      if (body.pos !== message.length) throw new MeridianError('FRAME_INVALID', { message: 'Bytes follow the message.' })
    })
  }

  #sync(attachment: Attachment, type: number, bytes: Uint8Array): void {
    switch (type) {
      case syncType.step1:
        this.#known = new Uint8Array(bytes)
        if (this.#life === 'unknown') return this.#askForLife()
        return this.#answer()
      case syncType.step2:
      case syncType.update:
        if (bytes.length === 2 && bytes[0] === 0 && bytes[1] === 0) return
        // Asked for again once its life is known.
        if (this.#attached !== undefined && this.#life === 'unknown') return
        if (attachment.access === 'write') return this.#session.push(attachment, ++this.#counter, bytes)
        return this.#tellReadOnly()
      default:
        throw new MeridianError('FRAME_INVALID', { message: `Type ${type} is no message of the sync protocol of Yjs.` })
    }
  }

  attached(attachment: Attachment): 'later' {
    this.#attached = attachment
    if (attachment.document.life > 1) this.#askForLife()
    else this.#begin()
    return 'later'
  }

  #begin(): void {
    this.#life = 'its own'
    this.#askForRest()
    this.#answer()
  }

  /** RES7: a document that was erased and begun anew. Nothing is told or taken before the client's step 1 shows that its copy is of no earlier life. */
  #askForLife(): void {
    const attachment = this.#attached
    const known = this.#known
    if (attachment === undefined || known === undefined || !this.#session.holds(attachment)) return
    const loaded = this.#session.hub.index(attachment.document, attachment.engine, () => {
      this.#askForLife()
      this.#session.flush()
    })
    if (loaded === undefined) return
    if (typeof loaded === 'string') return this.#session.fail(new MeridianError(loaded))
    if (isOfAnotherLife(known, loaded.engine.stateVector(loaded.index))) this.#session.fail(new MeridianError('ERASED'))
    else if (this.#life === 'unknown') this.#begin()
  }

  /** The node's step 1. Who may only read is not asked. */
  #askForRest(): void {
    const attachment = this.#attached
    if (attachment === undefined || !this.#session.holds(attachment) || attachment.access !== 'write') return
    const loaded = this.#session.hub.index(attachment.document, attachment.engine, () => {
      this.#askForRest()
      this.#session.flush()
    })
    if (loaded === undefined) return
    if (typeof loaded === 'string') return this.#session.fail(new MeridianError(loaded))
    const step1 = encodeStep1(loaded.engine.stateVector(loaded.index))
    if (attachment.document.pendingCount === 0) return this.#session.send(step1)
    // The index has what is on its way into the log, too. If that fails, whoever was told of it would not send it again.
    const receipt: Receipt = {
      saved: () => {
        if (this.#session.holds(attachment)) this.#session.send(step1)
      },
      failed: () => this.#askLater(),
    }
    const { engine } = attachment
    this.#session.hub.barrier(attachment.document, { name: undefined, counter: 0, engine, bytes: 0, receipt, origin: attachment })
  }

  #holdsWhatLacked(): boolean {
    const index = this.#attached?.document.index
    const lacking = this.#lacking
    return index?.kind === 'loaded' && lacking !== undefined && index.engine.judge(index.index, lacking) !== 'premature'
  }

  #askLater(): void {
    if (this.#askIn !== undefined && this.#askIn <= this.#askTicks) return
    this.#askIn = this.#askTicks
    this.#askTicks = Math.min(2 * this.#askTicks, askAgainTicks.most)
  }

  #answer(): void {
    const attachment = this.#attached
    const known = this.#known
    if (attachment === undefined || known === undefined || this.#answering || !this.#session.holds(attachment)) return
    this.#known = undefined
    this.#answering = true
    this.#materialiser.materialise(attachment.document.name, (answer) => {
      if (!this.#session.holds(attachment)) return
      switch (answer.kind) {
        case 'done':
          return this.#tellDifference(attachment, answer.value, known)
        case 'absent':
          return this.#told(attachment, [], attachment.position)
        case 'ended':
          return this.#session.fail(new MeridianError('ERASED'))
        case 'failed':
          return this.#session.fail(new MeridianError(answer.code))
      }
    })
  }

  #tellDifference(attachment: Attachment, state: Materialised, known: Uint8Array): void {
    // Who has nothing gets everything as it is stored.
    if (known.length === 1 && known[0] === 0) return this.#told(attachment, state.updates, state.position)
    this.#materialiser.differences(state, known, (answer) => {
      if (!this.#session.holds(attachment)) return
      if (answer.kind === 'done') return this.#told(attachment, answer.value, state.position)
      if (answer.kind === 'refused') this.#session.fail(new MeridianError('FRAME_INVALID', { message: answer.message }))
      else this.#session.fail(new MeridianError('INTERNAL', { message: 'The difference could not be made now.' }))
    })
  }

  /** In the order of the log, the last of it as step 2, so that a client that takes itself for in sync is. */
  #told(attachment: Attachment, updates: readonly Uint8Array[], position: Attachment['position']): void {
    this.#answering = false
    for (const update of updates.slice(0, -1)) this.#session.stream(encodeSyncUpdate(update))
    this.#session.stream(encodeStep2(updates.at(-1) ?? emptyUpdate))
    if (attachment.state === 'opening' && !attachment.told) this.#session.catchUpFrom(attachment, position)
    this.#session.flush()
    this.#answer()
  }

  #tellReadOnly(): void {
    if (this.#toldReadOnly) return
    this.#toldReadOnly = true
    this.#session.send(encodePermissionDenied(errorTable.WRITE_DENIED.advice))
  }

  /** What was dropped behind a refusal is still with the client, so it is asked for what the node lacks. */
  refused({ channel: of, counter, code, lacking }: RefusedPush): void {
    const attachment = this.#session.attachment(of) ?? this.#session.attachment(channel)
    if (attachment === undefined) return
    if (code === 'WRITE_DENIED') {
      this.#tellReadOnly()
      return this.#session.resume(attachment, counter)
    }
    if (errorTable[code].retry === 'never') return this.#session.fail(new MeridianError(code))
    this.#session.resume(attachment, counter)
    if (code !== 'PREMATURE') return this.#askLater()
    // The client waits for it, too. Who is asked often for what cannot be stored sends all of that each time.
    this.#lacking ??= lacking
    this.#askIn ??= askAgainTicks.most
  }

  tick(): void {
    this.#presence.tick()
    if (this.#askIn === undefined || (--this.#askIn > 0 && !this.#holdsWhatLacked())) return
    this.#askIn = undefined
    this.#lacking = undefined
    this.#askForRest()
  }

  acked(): void {
    // This wire has no acks.
    this.#askTicks = askAgainTicks.first
  }

  last(): void {
    // Nothing waits for the end of a flush.
  }

  granted(): void {
    // A connection has the token that it came with.
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
    this.#session.fail(new MeridianError(code))
  }

  /** The close says where: the addresses behind the code, as many as a reason has room for. */
  redirected(_channel: number, redirects: readonly Redirect[]): void {
    let reason: string = 'NOT_PLACED_HERE'
    for (const { url } of redirects) {
      const longer = `${reason} ${url}`
      if (longer.length > reasonBytesMax) break
      reason = longer
    }
    this.#session.fail(new MeridianError('NOT_PLACED_HERE'), reason)
  }

  erased(): void {
    this.#session.fail(new MeridianError('ERASED'))
  }

  detached(attachment: Attachment): void {
    this.#presence.leave(attachment)
  }

  goodbye(): void {
    // The close code says it all.
    this.#early = []
  }
}

/** Bytes of the reason of a close (RFC 6455, section 5.5.1). Addresses are ASCII. */
const reasonBytesMax = 123
