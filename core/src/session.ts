/**
 * One connection of a client, whatever wire it speaks: the machine between a socket and the hub. [hot]
 *
 * ```
 *   greeting ──token──▶ authenticating ──principal──▶ open ──goodbye, close──▶ closed
 *      └──────────────── deadline, bad token, bad frame ─────────────────────────▲
 * ```
 *
 * - SES1 A document's answer is as of the head of the log; no live update of it goes out before.
 * - SES3 Every bound of `SessionLimits` holds here.
 * - SES4 When the socket's buffer passes its mark the session stops listening, keeps nothing, and reads on from the log later.
 * - SES6 Presence dies with its session.
 *
 * What bytes mean is the wire's `Conversation`, which calls what stands under "What a client wants" and is called with what came of it.
 * A session never throws on what a client sends: what is wrong ends the connection with a typed goodbye, and only that connection.
 */

import { Attachment } from './attachment.js'
import type { CatchUpSession } from './catch-up.js'
import { CatchUp } from './catch-up.js'
import type { Decision, Principal } from './effects.js'
import { attestedBy } from './effects.js'
import type { ErrorCode } from './errors.js'
import { advice } from './advice.js'
import { errorTable, MeridianError, toMeridianError, unreachable } from './errors.js'
import { accessOf } from './grants.js'
import type { Shared } from './delivery.js'
import type { Hub } from './hub.js'
import type { DeviceId, DocumentName, Position, RegionId, TenantId } from './ids.js'
import { documentParts } from './ids.js'
import type { LaneSession, RefusedPush } from './lane.js'
import { Lane } from './lane.js'
import type { SessionLimits } from './limits.js'
import type { LiveGroup } from './live-group.js'
import type { OutflowSocket } from './outflow.js'
import { Outflow } from './outflow.js'
import { Presence } from './presence.js'
import { PresenceRate } from './presence-rate.js'
import type { Subscription } from './subscription.js'
import type { Version } from './version.js'
import { emptyVersion, isEmpty } from './version.js'
import type { Conversation, Opening, Wire, WireRequest, WireSession } from './wire.js'
import { Writers } from './writers.js'

export interface SessionSocket extends OutflowSocket {
  close(code: number, reason: string): void
  /** Answered to `asking`, later. */
  authenticate(token: string, asking: Asking): void
}

/** Whom a token is checked for. */
export interface Asking {
  readonly state: State
  authenticated(principal: Principal): void
  fail(error: MeridianError): void
}

/** What the socket of a client tells: a session, or several of them behind one socket. */
export interface Connected {
  receive(message: Uint8Array): void
  heard(): void
  drained(): void
  tick(nowMs: number): void
  review(tenant?: TenantId): void
  shutdown(): void
  closed(): void
  fail(error: MeridianError): void
}

export interface SessionOptions {
  readonly region: RegionId
  readonly limits: SessionLimits
  /** What the connection was opened with; empty for wires that say all in their messages. */
  readonly request?: WireRequest
  /** The country that the connection comes from, as a trusted proxy attests; absent if none does. */
  readonly country?: string
  /** Counts what was refused, by code. */
  readonly onRefused?: (code: ErrorCode) => void
}

export type State = 'greeting' | 'authenticating' | 'open' | 'closed'

/** Milliseconds over which clients come back after a drain. */
const drainSpreadMs = 1_000

/** Milliseconds that an attach waits for what its client has seen elsewhere, at least; ticks come once a second. */
const visibleMs = 500

/** Milliseconds after which what was refused for a passing reason may be tried again. */
const retryAfterMs = 500

const retryOf = (code: ErrorCode): number => (errorTable[code].retry === 'backoff' ? retryAfterMs : 0)

export class Session implements LaneSession, CatchUpSession, WireSession, Connected, Asking {
  readonly hub: Hub
  readonly limits: SessionLimits
  readonly region: RegionId
  /** What the node calls this session; stands in presence. */
  readonly id: number
  readonly conversation: Conversation
  device: DeviceId | undefined
  readonly storesParts: boolean
  readonly #socket: SessionSocket
  readonly #outflow: Outflow
  readonly #options: SessionOptions
  #state: State = 'greeting'
  #principal: Principal | undefined
  #greetingBytes = 0
  readonly #startedAt: number
  #heardAt: number
  /** Bytes in the socket's buffer at the last tick. */
  #bufferedBefore = 0
  #tokenPending = false
  /** Nothing is read from the socket before the token was checked. */
  #held = false

  readonly #channels = new Map<number, Attachment>()
  /** Documents that were detached before the log had answered: it still works for them. */
  readonly #abandoned = new Set<Attachment>()
  /** Attaches that wait for what their clients have seen elsewhere. */
  readonly #expected = new Map<
    Attachment,
    { expected: 'yes' | 'no longer'; readonly untilMs: number; readonly answer: () => void }
  >()
  readonly #lanes = new Map<LiveGroup, Lane>()
  readonly #catchUp: CatchUp
  readonly #presence: PresenceRate

  constructor(hub: Hub, socket: SessionSocket, wire: Wire, options: SessionOptions) {
    this.hub = hub
    this.#socket = socket
    this.#options = options
    this.region = options.region
    this.limits = wire.limits(options.limits)
    this.storesParts = wire.storesParts
    this.#startedAt = hub.stopwatch.ms
    this.#heardAt = this.#startedAt
    this.id = hub.effects.random.uint32()
    this.#presence = new PresenceRate(this.limits.presencePerSecond, (attachment, presence) =>
      this.hub.presence.announce(attachment, presence),
    )
    this.#outflow = new Outflow({
      hub,
      socket,
      limits: this.limits,
      wire,
      conversation: () => this.conversation,
      isFull: () => this.#isFull,
    })
    this.#catchUp = new CatchUp(hub, this.#outflow, this, { wire, limits: this.limits })
    this.conversation = wire.open(this, options.request ?? { path: '', token: '' })
    hub.sessionCount++
    if (hub.sessionCount > hub.limits.sessionsMax) this.#end('LIMIT_SESSIONS')
    else this.conversation.begin()
  }

  get state(): State {
    return this.#state
  }

  get principal(): Principal | undefined {
    return this.#principal
  }

  get subject(): string | undefined {
    return this.#principal?.subject
  }

  get documentCount(): number {
    return this.#channels.size
  }

  // What the socket tells.

  /** One message of the client. Never throws. [hot] */
  receive(message: Uint8Array): void {
    if (this.#state === 'closed') return
    this.#heardAt = this.hub.stopwatch.ms
    try {
      if (this.#state !== 'open') {
        this.#greetingBytes += message.length
        if (this.#greetingBytes > this.limits.greetingBytesMax) throw new MeridianError('FRAME_TOO_LARGE')
      }
      this.conversation.receive(message)
    } catch (thrown) {
      this.fail(toMeridianError(thrown))
    }
    this.flush()
    this.#outflow.throttle()
  }

  /** A pong, or another sign of life that is no message. */
  heard(): void {
    this.#heardAt = this.hub.stopwatch.ms
  }

  authenticated(principal: Principal): void {
    if (this.#state === 'closed') return
    const first = this.#state === 'authenticating'
    this.#tokenPending = false
    if (!first && (principal.tenant !== this.#principal?.tenant || principal.subject !== this.#principal.subject)) {
      return this.fail(new MeridianError('TOKEN_INVALID', { message: 'A new token is for the same subject and tenant.' }))
    }
    this.#principal = principal
    if (first) {
      this.#state = 'open'
      this.#readOn()
      try {
        this.conversation.welcome(principal)
      } catch (thrown) {
        this.fail(toMeridianError(thrown))
      }
    } else {
      this.conversation.granted(principal)
      this.#regrant(principal)
    }
    this.flush()
  }

  /** Ends the connection with a typed goodbye: the token is no good, or the transport found something wrong. */
  fail(error: MeridianError, reason: string = error.code): void {
    this.#goodbye(error.code, error, reason)
  }

  /** The socket's buffer is empty again. */
  drained(): void {
    if (this.#state !== 'open') return
    this.#heardAt = this.hub.stopwatch.ms
    this.#outflow.drained()
    this.#catchUp.run()
  }

  /** About once a second. @param nowMs by the wall clock, by which tokens end */
  tick(nowMs: number): void {
    const atMs = this.hub.stopwatch.ms
    switch (this.#state) {
      case 'closed':
        return
      case 'greeting':
      case 'authenticating':
        if (atMs - this.#startedAt >= this.limits.greetingMs) this.#end('HELLO_TIMEOUT')
        return
      case 'open':
        break
      default:
        unreachable(this.#state)
    }
    if (this.#principal !== undefined && nowMs >= this.#principal.expiresAt) return this.#end('TOKEN_EXPIRED')
    this.#outflow.throttle()
    // What leaves the buffer is a sign of life, too; and a client that is not read from for the node's sake cannot give one.
    const { bufferedBytes } = this.#socket
    if (bufferedBytes < this.#bufferedBefore || (this.#outflow.paused && !this.#outflow.congested)) this.#heardAt = atMs
    this.#bufferedBefore = bufferedBytes
    if (atMs - this.#heardAt >= this.limits.silenceMs) return this.#end('TIMEOUT')
    this.#presence.tick()
    for (const expected of [...this.#expected.values()]) {
      if (atMs < expected.untilMs) continue
      expected.expected = 'no longer'
      expected.answer()
    }
    for (const lane of this.#lanes.values()) lane.tick()
    this.conversation.tick(nowMs)
    this.flush()
  }

  /** The node stops: the client is told to come again. */
  shutdown(): void {
    if (this.#state === 'closed') return
    this.flush()
    this.#end('DRAINING')
  }

  /** The socket is gone. */
  closed(): void {
    if (this.#state === 'closed') return
    this.#leave()
  }

  /** RES3: the policy of the tenant was edited, or time has changed what it says. Whoever may no longer be served here is sent where it may. */
  review(tenant?: TenantId): void {
    if (this.#state !== 'open') return
    for (const attachment of [...this.#channels.values()]) {
      const { channel, document } = attachment
      if (tenant !== undefined && documentParts(document.name).tenant !== tenant) continue
      const decision = this.#admit(document.name)
      if (decision.kind === 'yes' && decision.group === document.group.id) continue
      this.detach(attachment)
      this.#redirect(channel, decision)
      // A wire of one document a connection has ended it.
      if (this.state !== 'open') return
    }
    this.flush()
  }

  // What a client wants, as its conversation understood it.

  /** The first token, or a newer one of the same subject and tenant. */
  authenticate(token: string): void {
    if (this.#state === 'greeting') this.#state = 'authenticating'
    else {
      if (this.#tokenPending) throw new MeridianError('FRAME_INVALID', { message: 'One token at a time.' })
      this.#tokenPending = true
    }
    this.#socket.authenticate(token, this)
  }

  /** For a wire whose token came with the request: nothing more is read until it was checked, so that nothing has to be kept. */
  holdUntilKnown(): void {
    this.#held = true
    this.#socket.pause()
  }

  attachment(channel: number): Attachment | undefined {
    return this.#channels.get(channel)
  }

  attach(opening: Opening): void {
    const { channel } = opening
    if (this.#channels.has(channel)) throw new MeridianError('FRAME_INVALID', { message: 'A channel is attached twice.' })
    const refuse = (code: ErrorCode): void => this.#refuseAttach(channel, code)
    const principal = this.#principal
    if (principal === undefined) return refuse('ACCESS_DENIED')
    const access = accessOf(principal, opening.document)
    // RES5, and the same answer for what is missing and what is forbidden: decided from the name, before anything is read.
    if (access === 'none') return refuse('ACCESS_DENIED')
    if (this.#channels.size + this.#abandoned.size >= this.limits.documentsMax) return refuse('LIMIT_DOCUMENTS')
    const decision = this.#admit(opening.document)
    if (decision.kind === 'no') return this.#redirect(channel, decision)
    if (this.hub.effects.engines[opening.engine] === undefined) return refuse('ENGINE_MISMATCH')
    const document = this.hub.open(opening.document, decision.group)
    // RES0: open by an earlier policy. Its entries are of that group, and no move has been made.
    if (document.group.id !== decision.group) return refuse('NOT_PLACED_HERE')
    const attachment = new Attachment(this, document, { channel, engine: opening.engine, access, cursor: opening.cursor })
    this.#channels.set(channel, attachment)
    this.hub.join(attachment)
    const proceed = (): void => {
      this.#abandoned.delete(attachment)
      if (this.#channels.get(channel) !== attachment) return
      this.#answer(attachment, opening)
      this.flush()
    }
    if (document.state === 'loading') document.waiting.push(proceed)
    else this.#answer(attachment, opening)
  }

  /** A wire that found out by itself what the client lacked has told it everything up to `position`. */
  catchUpFrom(attachment: Attachment, position: Position): void {
    if (!this.holds(attachment)) return
    this.#catchUp.openFrom(attachment, position)
  }

  detach(attachment: Attachment): void {
    if (this.#channels.get(attachment.channel) !== attachment) return
    this.#channels.delete(attachment.channel)
    this.#catchUp.forget(attachment)
    this.#expectNothing(attachment)
    this.#presence.forget(attachment)
    if (attachment.document.state === 'loading') this.#abandoned.add(attachment)
    const { presence } = attachment
    if (presence !== undefined) {
      attachment.presence = undefined
      this.#presence.leave(attachment, this.#presenceOf(attachment, gone, presence.payload))
    }
    attachment.document.writers?.release(attachment, this.hub.effects.clock.now())
    this.conversation.detached(attachment)
    this.hub.leave(attachment)
  }

  /** [hot] */
  push(attachment: Attachment, counter: number, payload: Uint8Array): void {
    this.#lane(attachment.document.group).receive(attachment, counter, payload)
  }

  /** The client goes on after a refusal. */
  resume(attachment: Attachment, counter: number): void {
    this.#lane(attachment.document.group).resume(counter)
  }

  /** Replaces what the client's pushes build on (SES5). */
  require(attachment: Attachment, seen: Version): void {
    const lane = this.#lane(attachment.document.group)
    lane.require(seen)
    lane.work()
  }

  /** The client edits the document under this id, as it says itself. */
  claim(attachment: Attachment, author: number): void {
    const { document, access } = attachment
    const { subject } = this
    if (access !== 'write' || subject === undefined || !this.holds(attachment)) return
    document.writers ??= new Writers()
    document.writers.claim(author, attachment, subject, this.hub.effects.clock.now())
  }

  /** What the client shows of itself; empty: nothing more. */
  show(attachment: Attachment, payload: Uint8Array): void {
    if (payload.length > this.limits.presenceBytesMax) {
      throw new MeridianError('LIMIT_PRESENCE', {
        message: `A presence state of ${payload.length} bytes; at most ${this.limits.presenceBytesMax}.`,
      })
    }
    const before = this.#presence.lateBefore(attachment) ?? attachment.presence?.payload ?? gone
    const presence = this.#presenceOf(attachment, payload, before)
    attachment.presence = payload.length === 0 ? undefined : presence
    this.#presence.announce(attachment, presence)
  }

  /** What is still shown here once another session shows the rest. Others hear of it from that one, so they are told nothing. */
  handOver(attachment: Attachment, payload: Uint8Array): void {
    this.#presence.forget(attachment)
    const presence = this.#presenceOf(attachment, payload, gone)
    attachment.presence = payload.length === 0 ? undefined : presence
    this.hub.presence.handedOver(attachment, presence)
  }

  send(frame: Uint8Array): void {
    this.#outflow.send(frame)
  }

  stream(frame: Uint8Array): void {
    this.#outflow.stream(frame)
  }

  get stalled(): boolean {
    return this.#outflow.stalled
  }

  // What the hub, the lanes and the catch-up tell.

  /** [hot] */
  deliver(shared: Shared): 'taken' | 'stalled' {
    return this.#catchUp.isBehind ? 'stalled' : this.#outflow.deliver(shared)
  }

  /** [hot] */
  flush(): void {
    this.#outflow.flush()
  }

  holdBack(): void {
    this.#catchUp.holdBack()
  }

  wake(): void {
    if (this.#state === 'open') this.#catchUp.run()
  }

  acked(lane: Lane): void {
    this.conversation.acked(lane)
  }

  saved(counter: number): void {
    this.conversation.saved?.(counter)
  }

  refused(push: RefusedPush): void {
    this.#options.onRefused?.(push.code)
    this.conversation.refused(push, retryOf(push.code))
  }

  failed(subscription: Subscription, code: ErrorCode): void {
    for (const attachment of this.#channels.values()) if (attachment === subscription) this.deny(attachment, code)
    this.flush()
  }

  erased(subscription: Subscription): void {
    for (const attachment of this.#channels.values()) if (attachment === subscription) this.#erase(attachment)
  }

  holds(attachment: Attachment): boolean {
    return this.#state === 'open' && this.#channels.get(attachment.channel) === attachment
  }

  attachments(): Iterable<Attachment> {
    return this.#channels.values()
  }

  deny(attachment: Attachment, code: ErrorCode): void {
    this.detach(attachment)
    this.#refuseAttach(attachment.channel, code)
  }

  /** True if none of the group's documents that the client takes for current has missed something. */
  isAtHead(group: LiveGroup): boolean {
    return this.#catchUp.isAtHead(group)
  }

  // Inside.

  get #isFull(): boolean {
    for (const lane of this.#lanes.values()) if (lane.isFull) return true
    return false
  }

  /** Also before a close, whose answer has to be read. */
  #readOn(): void {
    if (!this.#held) return
    this.#held = false
    this.#socket.resume()
  }

  #regrant(principal: Principal): void {
    for (const attachment of [...this.#channels.values()]) {
      const access = accessOf(principal, attachment.document.name)
      if (access === 'none') this.deny(attachment, 'ACCESS_DENIED')
      else attachment.access = access
    }
    // A newer token may be of another place.
    this.review()
  }

  #admit(document: DocumentName): Decision {
    return this.hub.effects.admit('access', document, attestedBy(this.#principal, this.#options.country))
  }

  /** RES5: where it may be, or that it is nowhere for this client. */
  #redirect(channel: number, decision: Decision): void {
    if (decision.kind === 'yes' || decision.redirects.length === 0) return this.#refuseAttach(channel, 'NOT_PLACED_HERE')
    this.#options.onRefused?.('NOT_PLACED_HERE')
    this.conversation.redirected(channel, decision.redirects)
  }

  #lane(group: LiveGroup): Lane {
    let lane = this.#lanes.get(group)
    if (lane === undefined) {
      lane = new Lane(this.hub, this, group, this.limits)
      this.#lanes.set(group, lane)
    }
    return lane
  }

  #refuseAttach(channel: number, code: ErrorCode): void {
    this.#options.onRefused?.(code)
    this.conversation.denied(channel, code, retryOf(code))
  }

  #answer(attachment: Attachment, opening: Opening): void {
    const { document } = attachment
    if (document.state !== 'ready')
      return this.deny(attachment, document.state === 'loading' ? 'LOG_UNAVAILABLE' : document.state)
    if (document.ended || (opening.life !== 0 && opening.life < document.life)) return this.#erase(attachment)
    if (document.engine !== undefined && document.engine !== opening.engine) return this.deny(attachment, 'ENGINE_MISMATCH')
    const lacking = document.group.lacks(opening.cursor) ?? document.group.lacks(opening.seen)
    if (!isEmpty(opening.seen)) this.#lane(document.group).require(opening.seen)
    const { expected } = this.#expected.get(attachment) ?? {}
    if (lacking !== undefined && expected !== 'no longer' && this.hub.mayCome(lacking)) return this.#expect(attachment, opening)
    this.#expectNothing(attachment)
    const behind = lacking !== undefined
    const next = this.conversation.attached(attachment, { behind })
    if (behind) attachment.cursor = emptyVersion
    if (next === 'catch up') this.#catchUp.open(attachment)
  }

  /** SES5: what the client has seen elsewhere may be on its way here, and then it is waited for, not long. */
  #expect(attachment: Attachment, opening: Opening): void {
    if (this.#expected.has(attachment)) return
    const { watchers } = attachment.document.group
    const answer = (): void => {
      if (this.holds(attachment)) this.#answer(attachment, opening)
      this.flush()
    }
    watchers.add(answer)
    const untilMs = this.hub.stopwatch.ms + visibleMs
    this.#expected.set(attachment, { expected: 'yes', untilMs, answer })
  }

  #expectNothing(attachment: Attachment): void {
    const expected = this.#expected.get(attachment)
    if (expected === undefined) return
    this.#expected.delete(attachment)
    attachment.document.group.watchers.delete(expected.answer)
  }

  #erase(attachment: Attachment): void {
    this.detach(attachment)
    this.conversation.erased(attachment)
  }

  #presenceOf(attachment: Attachment, payload: Uint8Array, before: Uint8Array): Presence {
    const { handle } = attachment.document
    return new Presence({ handle, session: this.id, subject: this.#principal?.subject ?? '', payload, before })
  }

  #end(code: ErrorCode): void {
    this.#goodbye(code, undefined, code)
  }

  #goodbye(code: ErrorCode, error: MeridianError | undefined, reason: string): void {
    if (this.#state === 'closed') return
    const row = errorTable[code]
    this.#options.onRefused?.(code)
    this.conversation.goodbye({
      code,
      retry: error?.retry ?? row.retry,
      // Spread, so that not all clients of a node come back in one instant.
      retryAfterMs: code === 'DRAINING' ? this.hub.effects.random.uint32() % drainSpreadMs : (error?.retryAfterMs ?? 0),
      // The text is ours and fixed, or a sentence of a MeridianError, which holds no names, content or tokens.
      text: (error?.message ?? `[${code}] ${advice[code]}`).slice(0, 500),
    })
    this.flush()
    this.#readOn()
    this.#socket.close(row.close, reason)
    this.#leave()
  }

  #leave(): void {
    // A socket may say at once that it is gone when it is told to close.
    if (this.#state === 'closed') return
    for (const attachment of [...this.#channels.values()]) this.detach(attachment)
    for (const lane of this.#lanes.values()) lane.close()
    this.#lanes.clear()
    for (const attachment of [...this.#expected.keys()]) this.#expectNothing(attachment)
    this.conversation.closed?.()
    this.#outflow.close()
    this.#state = 'closed'
    this.hub.sessionCount--
  }
}

const gone = new Uint8Array(0)
