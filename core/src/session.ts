/**
 * One client connection on the native wire: the machine between a socket and the hub. [hot]
 *
 * ```
 *   greeting ──hello──▶ authenticating ──principal──▶ open ──goodbye, close──▶ closed
 *      └──────────────── deadline, bad token, bad frame ─────────────────────────▲
 * ```
 *
 * - SES1 A document's answer is as of the head of the log; no live update of it goes out before.
 * - SES3 Every bound of `SessionLimits` holds here.
 * - SES4 When the socket's buffer passes its mark the session stops listening, keeps nothing, and reads on from the log later.
 *
 * It never throws on what a client sends: a bad frame ends the connection with a typed goodbye, and only that connection.
 */

import { Attachment } from './attachment.js'
import type { CatchUpSession } from './catch-up.js'
import { CatchUp } from './catch-up.js'
import type { Principal } from './effects.js'
import type { ErrorCode } from './errors.js'
import { errorTable, MeridianError, toMeridianError, unreachable } from './errors.js'
import { accessOf } from './grants.js'
import type { Hub } from './hub.js'
import type { DeviceId, RegionId } from './ids.js'
import { groupTenant, parseDevice } from './ids.js'
import type { LaneSession, RefusedPush } from './lane.js'
import { Lane } from './lane.js'
import type { SessionLimits } from './limits.js'
import { sessionLimits } from './limits.js'
import type { LiveGroup } from './live-group.js'
import type { Outgoing } from './outgoing.js'
import { outgoing } from './outgoing.js'
import type { OutflowSocket } from './outflow.js'
import { Outflow } from './outflow.js'
import type { Subscription } from './subscription.js'
import { emptyVersion, isEmpty } from './version.js'
import type { Attach, ClientFrame, ClientPresence } from './wires/native/client-frames.js'
import { decodeClientFrame } from './wires/native/client-frames.js'
import { FrameReader, protocolFloor, protocolVersion } from './wires/native/frame.js'
import type { ServerFrame } from './wires/native/server-frames.js'
import { encodeServerFrame } from './wires/native/server-frames.js'

export interface SessionSocket extends OutflowSocket {
  close(code: number, reason: string): void
  /** Answered by `authenticated`, or by `fail`, later. */
  authenticate(token: string): void
}

export interface SessionOptions {
  readonly region: RegionId
  readonly limits: SessionLimits
  /** Counts what was refused, by code. */
  readonly onRefused?: (code: ErrorCode) => void
}

type State = 'greeting' | 'authenticating' | 'open' | 'closed'

/** Frames that may come behind a hello while its token is checked; the bytes are bounded by `greetingBytesMax`. */
const earlyFramesMax = 4_096

/** Milliseconds over which clients come back after a drain. */
const drainSpreadMs = 1_000

export class Session implements LaneSession, CatchUpSession {
  device: DeviceId = parseDevice('0'.repeat(32))
  readonly #hub: Hub
  readonly #socket: SessionSocket
  readonly #options: SessionOptions
  readonly #limits: SessionLimits
  readonly #reader: FrameReader
  readonly #id: number
  #state: State = 'greeting'
  #principal: Principal | undefined
  /** Frames that came behind the hello, while the token is checked. */
  #early: ClientFrame[] = []
  #greetingBytes = 0
  readonly #startedAt: number
  #heardAt: number
  /** Bytes in the socket's buffer at the last tick. */
  #bufferedBefore = 0
  #tokenPending = false

  readonly #channels = new Map<number, Attachment>()
  /** Documents that were detached before the log had answered: it still works for them. */
  readonly #abandoned = new Set<Attachment>()
  readonly #lanes = new Map<LiveGroup, Lane>()
  readonly #outflow: Outflow
  readonly #catchUp: CatchUp
  #presenceTokens: number
  readonly #presenceLate = new Set<Attachment>()

  constructor(hub: Hub, socket: SessionSocket, options: SessionOptions) {
    this.#hub = hub
    this.#socket = socket
    this.#options = options
    this.#limits = options.limits ?? sessionLimits
    this.#startedAt = hub.effects.clock.now()
    this.#heardAt = this.#startedAt
    this.#id = hub.effects.random.uint32()
    this.#presenceTokens = this.#limits.presencePerSecond
    this.#outflow = new Outflow(hub, socket, this.#limits, (group) => this.#catchUp.isAtHead(group))
    this.#catchUp = new CatchUp(hub, this.#outflow, this, this.#limits)
    const frameBytesMax = this.#limits.updateBytesMax + 1024
    this.#reader = new FrameReader({ messageBytesMax: this.#limits.messageBytesMax, frameBytesMax }, (type, body, end) => {
      const frame = decodeClientFrame(type, body, end)
      if (frame === undefined) return
      try {
        this.#receive(frame)
      } catch (thrown) {
        // Whatever is wrong here, it is not the bytes.
        throw toMeridianError(thrown)
      }
    })
    hub.sessionCount++
    if (hub.sessionCount > hub.limits.sessionsMax) this.#end('LIMIT_SESSIONS')
  }

  get state(): State {
    return this.#state
  }

  get documentCount(): number {
    return this.#channels.size
  }

  /** One message of the client. Never throws. [hot] */
  receive(message: Uint8Array): void {
    if (this.#state === 'closed') return
    this.#heardAt = this.#hub.effects.clock.now()
    try {
      if (this.#state !== 'open') {
        this.#greetingBytes += message.length
        if (this.#greetingBytes > this.#limits.greetingBytesMax) throw new MeridianError('FRAME_TOO_LARGE')
      }
      this.#reader.receive(message)
    } catch (thrown) {
      this.fail(toMeridianError(thrown))
    }
    this.flush()
    this.#outflow.throttle()
  }

  authenticated(principal: Principal): void {
    if (this.#state === 'closed') return
    const first = this.#state === 'authenticating'
    this.#tokenPending = false
    if (!first && (principal.tenant !== this.#principal?.tenant || principal.subject !== this.#principal.subject)) {
      return this.fail(new MeridianError('TOKEN_INVALID', { message: 'A new token is for the same subject and tenant.' }))
    }
    this.#principal = principal
    if (!first) this.#regrant(principal)
    else {
      this.#state = 'open'
      this.#welcome(principal)
      const early = this.#early
      this.#early = []
      try {
        for (const frame of early) this.#receive(frame)
      } catch (thrown) {
        this.fail(toMeridianError(thrown))
      }
    }
    this.flush()
  }

  /** Ends the connection with a typed goodbye: the token is no good, or the transport found something wrong. */
  fail(error: MeridianError): void {
    this.#goodbye(error.code, error)
  }

  /** The socket's buffer is empty again. */
  drained(): void {
    if (this.#state !== 'open') return
    this.#heardAt = this.#hub.effects.clock.now()
    this.#outflow.drained()
    this.#catchUp.run()
  }

  /** About once a second. */
  tick(nowMs: number): void {
    switch (this.#state) {
      case 'closed':
        return
      case 'greeting':
      case 'authenticating':
        if (nowMs - this.#startedAt >= this.#limits.greetingMs) this.#end('HELLO_TIMEOUT')
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
    if (bufferedBytes < this.#bufferedBefore || (this.#outflow.paused && !this.#outflow.congested)) this.#heardAt = nowMs
    this.#bufferedBefore = bufferedBytes
    if (nowMs - this.#heardAt >= this.#limits.silenceMs) return this.#end('TIMEOUT')
    this.#presenceTokens = this.#limits.presencePerSecond
    for (const attachment of this.#presenceLate) this.#announce(attachment)
    this.#presenceLate.clear()
    for (const lane of this.#lanes.values()) lane.tick(nowMs)
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

  // What the hub and the lanes tell.

  /** [hot] */
  deliver(message: Outgoing): 'taken' | 'stalled' {
    return this.#catchUp.isReadingBehind ? 'stalled' : this.#outflow.deliver(message)
  }

  /** [hot] */
  flush(): void {
    this.#outflow.flush()
  }

  wake(): void {
    if (this.#state === 'open') this.#catchUp.run()
  }

  acked(lane: Lane): void {
    this.#outflow.ack(lane)
  }

  refused(push: RefusedPush): void {
    this.#options.onRefused?.(push.code)
    this.#send({
      ...push,
      type: 'refused',
      retryAfterMs: errorTable[push.code].retry === 'backoff' ? 500 : 0,
      text: errorTable[push.code].advice,
    })
  }

  failed(subscription: Subscription, code: ErrorCode): void {
    for (const attachment of this.#channels.values()) if (attachment === subscription) this.deny(attachment, code)
    this.flush()
  }

  erased(subscription: Subscription): void {
    for (const attachment of this.#channels.values()) if (attachment === subscription) this.#erase(attachment)
  }

  #erase(attachment: Attachment): void {
    this.#detach(attachment)
    this.#send({ type: 'erased', channel: attachment.channel, life: attachment.document.life })
  }

  // What the catch-up asks.

  holds(attachment: Attachment): boolean {
    return this.#state === 'open' && this.#channels.get(attachment.channel) === attachment
  }

  attachments(): Iterable<Attachment> {
    return this.#channels.values()
  }

  deny(attachment: Attachment, code: ErrorCode): void {
    this.#detach(attachment)
    this.#refuseAttach(attachment.channel, code)
  }

  #send(frame: ServerFrame): void {
    this.#outflow.send(frame)
  }

  // Frames of the client.

  #receive(frame: ClientFrame): void {
    if (this.#state === 'greeting') {
      if (frame.type !== 'hello') throw new MeridianError('FRAME_INVALID', { message: 'The first frame is a hello.' })
      if (frame.protocol < protocolFloor)
        throw new MeridianError('PROTOCOL_UNSUPPORTED', { message: `The node speaks ${protocolFloor} to ${protocolVersion}.` })
      this.#state = 'authenticating'
      this.device = frame.device
      this.#socket.authenticate(frame.token)
      return
    }
    if (this.#state === 'authenticating') {
      if (this.#early.length >= earlyFramesMax) throw new MeridianError('FRAME_TOO_LARGE')
      this.#early.push(frame)
      return
    }
    if (this.#state === 'closed') return
    switch (frame.type) {
      case 'push': {
        const attachment = this.#channels.get(frame.channel)
        // A channel that was denied, erased or redirected: its client has been told, or is about to read it.
        if (attachment !== undefined) this.#lane(attachment.document.group).receive(attachment, frame.counter, frame.payload)
        return
      }
      case 'attach':
        return this.#attach(frame)
      case 'detach': {
        const attachment = this.#channels.get(frame.channel)
        if (attachment !== undefined) this.#detach(attachment)
        return
      }
      case 'seen': {
        const attachment = this.#channels.get(frame.channel)
        if (attachment !== undefined) {
          const lane = this.#lane(attachment.document.group)
          lane.require(frame.seen)
          lane.work()
        }
        return
      }
      case 'resume': {
        const attachment = this.#channels.get(frame.channel)
        if (attachment !== undefined) this.#lane(attachment.document.group).resume(frame.counter)
        return
      }
      case 'presence':
        return this.#presence(frame)
      case 'ping':
        return this.#outflow.pong(frame.nonce)
      case 'token':
        if (this.#tokenPending) throw new MeridianError('FRAME_INVALID', { message: 'One token at a time.' })
        this.#tokenPending = true
        this.#socket.authenticate(frame.token)
        return
      case 'hello':
        throw new MeridianError('FRAME_INVALID', { message: 'One hello a connection.' })
      default:
        unreachable(frame)
    }
  }

  #welcome(principal: Principal): void {
    this.#send({
      type: 'welcome',
      protocol: protocolVersion,
      region: this.#options.region,
      session: this.#id,
      subject: principal.subject,
      messageBytesMax: this.#limits.messageBytesMax,
      updateBytesMax: this.#limits.updateBytesMax,
      unackedBytesMax: this.#limits.unackedBytesMax,
      heartbeatMs: Math.floor(this.#limits.silenceMs / 2),
    })
    this.#outflow.tellReplicas()
  }

  #regrant(principal: Principal): void {
    for (const attachment of [...this.#channels.values()]) {
      const access = accessOf(principal, attachment.document.name)
      if (access === 'none') this.deny(attachment, 'ACCESS_DENIED')
      else attachment.access = access
    }
  }

  #lane(group: LiveGroup): Lane {
    let lane = this.#lanes.get(group)
    if (lane === undefined) {
      lane = new Lane(this.#hub, this, group, this.#limits)
      this.#lanes.set(group, lane)
    }
    return lane
  }

  // Attaching: what a client lacks, then live.

  #attach(frame: Attach): void {
    const { channel } = frame
    if (this.#channels.has(channel)) throw new MeridianError('FRAME_INVALID', { message: 'A channel is attached twice.' })
    const refuse = (code: ErrorCode): void => this.#refuseAttach(channel, code)
    const principal = this.#principal
    if (principal === undefined) return refuse('ACCESS_DENIED')
    const access = accessOf(principal, frame.document)
    // RES5, and the same answer for what is missing and what is forbidden: decided from the name, before anything is read.
    if (access === 'none') return refuse('ACCESS_DENIED')
    if (this.#channels.size + this.#abandoned.size >= this.#limits.documentsMax) return refuse('LIMIT_DOCUMENTS')
    const decision = this.#hub.effects.admit('access', frame.document)
    if (decision.kind === 'no') {
      if (decision.redirects.length === 0) return refuse('NOT_PLACED_HERE')
      return this.#send({ type: 'redirect', channel, redirects: decision.redirects })
    }
    if (this.#hub.effects.engines[frame.engine] === undefined) return refuse('ENGINE_MISMATCH')
    const document = this.#hub.open(frame.document, decision.group)
    const attachment = new Attachment(this, document, { channel, engine: frame.engine, access, cursor: frame.cursor })
    this.#channels.set(channel, attachment)
    this.#hub.join(attachment)
    const proceed = (): void => {
      this.#abandoned.delete(attachment)
      if (this.#channels.get(channel) !== attachment) return
      this.#answer(attachment, frame)
      this.flush()
    }
    if (document.state === 'loading') document.waiting.push(proceed)
    else this.#answer(attachment, frame)
  }

  #refuseAttach(channel: number, code: ErrorCode): void {
    this.#options.onRefused?.(code)
    this.#send({
      type: 'denied',
      channel,
      code,
      retryAfterMs: errorTable[code].retry === 'backoff' ? 500 : 0,
      text: errorTable[code].advice,
    })
  }

  #answer(attachment: Attachment, frame: Attach): void {
    const { document } = attachment
    if (document.state !== 'ready')
      return this.deny(attachment, document.state === 'loading' ? 'LOG_UNAVAILABLE' : document.state)
    if (document.ended || (frame.life !== 0 && frame.life < document.life)) return this.#erase(attachment)
    if (document.engine !== undefined && document.engine !== frame.engine) return this.deny(attachment, 'ENGINE_MISMATCH')
    const behind = document.group.lacks(frame.cursor) !== undefined || document.group.lacks(frame.seen) !== undefined
    if (!isEmpty(frame.seen)) this.#lane(document.group).require(frame.seen)
    this.#outflow.tellGroup(document.group)
    // In the stream: behind what may be under way of an earlier attach of the same document, and so of the same handle.
    this.#outflow.stream(
      encodeServerFrame({
        type: 'attached',
        channel: attachment.channel,
        handle: document.handle,
        group: document.group.handle,
        life: Math.max(1, document.life),
        access: attachment.access,
        behind,
      }),
    )
    if (behind) attachment.cursor = emptyVersion
    this.#catchUp.open(attachment)
  }

  // Presence: never logged, dies with its session (SES6).

  #presence(frame: ClientPresence): void {
    const attachment = this.#channels.get(frame.channel)
    if (attachment === undefined) return
    if (frame.payload.length > this.#limits.presenceBytesMax) {
      throw new MeridianError('LIMIT_PRESENCE', {
        message: `A presence state of ${frame.payload.length} bytes; at most ${this.#limits.presenceBytesMax}.`,
      })
    }
    attachment.presence = frame.payload.length === 0 ? undefined : this.#presenceFrame(attachment, frame.payload)
    if (this.#presenceTokens > 0) {
      this.#presenceTokens--
      this.#announce(attachment)
    } else this.#presenceLate.add(attachment)
  }

  #presenceFrame(attachment: Attachment, payload: Uint8Array): Uint8Array {
    return encodeServerFrame({
      type: 'presence',
      handle: attachment.document.handle,
      session: this.#id,
      subject: this.#principal?.subject ?? '',
      payload,
    })
  }

  #announce(attachment: Attachment): void {
    const message = outgoing(attachment.presence ?? this.#presenceFrame(attachment, new Uint8Array(0)))
    for (const other of attachment.document.subscriptions) {
      if (other === attachment || other.state !== 'live') continue
      // A stalled session misses presence states: the next ones will come.
      if (other.subscriber.deliver(message) === 'taken') other.subscriber.flush()
    }
  }

  // The end.

  #detach(attachment: Attachment): void {
    if (this.#channels.get(attachment.channel) !== attachment) return
    this.#channels.delete(attachment.channel)
    this.#catchUp.forget(attachment)
    this.#presenceLate.delete(attachment)
    if (attachment.document.state === 'loading') this.#abandoned.add(attachment)
    if (attachment.presence !== undefined) {
      attachment.presence = undefined
      this.#announce(attachment)
    }
    this.#hub.leave(attachment)
  }

  #end(code: ErrorCode): void {
    this.#goodbye(code, undefined)
  }

  #goodbye(code: ErrorCode, error: MeridianError | undefined): void {
    if (this.#state === 'closed') return
    const row = errorTable[code]
    this.#options.onRefused?.(code)
    // Spread, so that not all clients of a node come back in one instant.
    const retryAfterMs = code === 'DRAINING' ? this.#hub.effects.random.uint32() % drainSpreadMs : (error?.retryAfterMs ?? 0)
    // The text is ours and fixed, or a sentence of a MeridianError, which holds no names, content or tokens.
    const text = (error?.message ?? `[${code}] ${row.advice}`).slice(0, 500)
    this.#send({ type: 'goodbye', code, retry: error?.retry ?? row.retry, retryAfterMs, text })
    this.flush()
    this.#socket.close(row.close, code)
    this.#leave()
  }

  #leave(): void {
    // A socket may say at once that it is gone when it is told to close.
    if (this.#state === 'closed') return
    for (const attachment of [...this.#channels.values()]) this.#detach(attachment)
    for (const lane of this.#lanes.values()) lane.close()
    this.#lanes.clear()
    this.#early = []
    this.#outflow.close()
    this.#state = 'closed'
    this.#hub.sessionCount--
  }

  /** For tests and metrics. */
  get tenant(): string | undefined {
    const group = this.#outflow.firstGroup
    return group === undefined ? undefined : groupTenant(group)
  }
}
