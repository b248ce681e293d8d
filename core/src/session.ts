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
import { concat } from './bytes.js'
import type { Principal } from './effects.js'
import type { Entry } from './entry.js'
import type { ErrorCode } from './errors.js'
import { errorTable, MeridianError, toMeridianError, unreachable } from './errors.js'
import { accessOf } from './grants.js'
import type { Hub } from './hub.js'
import type { DeviceId, Position, RegionId } from './ids.js'
import { groupTenant, parseDevice, toPosition } from './ids.js'
import type { LaneSession, RefusedPush } from './lane.js'
import { Lane } from './lane.js'
import type { SessionLimits } from './limits.js'
import { sessionLimits } from './limits.js'
import type { LiveDocument } from './live-document.js'
import type { LiveGroup } from './live-group.js'
import type { Done, LogErrorCode, Read } from './log.js'
import type { Outgoing } from './outgoing.js'
import { outgoing } from './outgoing.js'
import type { Subscription } from './subscription.js'
import { covers, emptyVersion, includes, isEmpty } from './version.js'
import type { Attach, ClientFrame, ClientPresence } from './wires/native/client-frames.js'
import { decodeClientFrame } from './wires/native/client-frames.js'
import { FrameReader, fragments, protocolFloor, protocolVersion } from './wires/native/frame.js'
import type { ServerFrame } from './wires/native/server-frames.js'
import { encodeServerFrame, encodeUpdate } from './wires/native/server-frames.js'

export interface SessionSocket {
  /** Sends one binary message. */
  send(message: Outgoing): void
  /** Bytes that were sent and that the kernel has not taken yet. */
  readonly bufferedBytes: number
  close(code: number, reason: string): void
  /** Answered by `authenticated` or `notAuthenticated`, later. */
  authenticate(token: string): void
  /** Stops and resumes reading from the socket, so that a client that does not read cannot make the node remember for it. */
  pause(): void
  resume(): void
}

export interface SessionOptions {
  readonly region: RegionId
  readonly limits: SessionLimits
  /** Counts what was refused, by code. */
  readonly onRefused?: (code: ErrorCode) => void
}

type State = 'greeting' | 'authenticating' | 'open' | 'closed'

export class Session implements LaneSession {
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
  #tokenPending = false

  readonly #channels = new Map<number, Attachment>()
  readonly #lanes = new Map<LiveGroup, Lane>()
  /** Groups whose handle the client has been told, and how many replica ids. */
  readonly #toldGroups = new Set<LiveGroup>()
  #toldReplicas = 0

  #out: Outgoing[] = []
  #acks: Lane[] = []
  /** Fragments of a large frame that wait for room in the socket's buffer. While there are any, nothing else of size is sent. */
  #transfer: Outgoing[] = []
  #congested = false
  #paused = false
  readonly #opening: Attachment[] = []
  #reads = 0
  #catchingUp = false
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
    const frameBytesMax = this.#limits.updateBytesMax + 1024
    this.#reader = new FrameReader({ messageBytesMax: this.#limits.messageBytesMax, frameBytesMax }, (type, body, end) => {
      const frame = decodeClientFrame(type, body, end)
      if (frame !== undefined) this.#receive(frame)
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
      this.#fail(toMeridianError(thrown))
    }
    this.flush()
  }

  authenticated(principal: Principal): void {
    if (this.#state === 'closed') return
    const first = this.#state === 'authenticating'
    this.#tokenPending = false
    if (!first && (principal.tenant !== this.#principal?.tenant || principal.subject !== this.#principal.subject)) {
      return this.#fail(new MeridianError('TOKEN_INVALID', { message: 'A new token is for the same subject and tenant.' }))
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
        this.#fail(toMeridianError(thrown))
      }
    }
    this.flush()
  }

  notAuthenticated(error: MeridianError): void {
    if (this.#state !== 'closed') this.#fail(error)
  }

  /** The socket's buffer is empty again. */
  drained(): void {
    if (this.#state !== 'open') return
    this.#congested = false
    this.#pump()
    this.flush()
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
    if (nowMs - this.#heardAt >= this.#limits.silenceMs && !this.#paused) return this.#end('TIMEOUT')
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
    if (this.#stalled) return 'stalled'
    if (this.#toldReplicas < this.#hub.replicas.length) this.#tellReplicas()
    if (message.bytes.length > this.#limits.messageBytesMax / 2) this.#stream(message.bytes)
    else this.#out.push(message)
    return 'taken'
  }

  wake(): void {
    this.#after()
  }

  acked(lane: Lane): void {
    if (!this.#acks.includes(lane)) this.#acks.push(lane)
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

  erased(subscription: Subscription): void {
    for (const attachment of this.#channels.values()) if (attachment === subscription) this.#erase(attachment)
  }

  #erase(attachment: Attachment): void {
    this.#detach(attachment)
    this.#send({ type: 'erased', channel: attachment.channel, life: attachment.document.life })
  }

  /** Sends what was collected as few messages. [hot] */
  flush(): void {
    if (this.#state === 'closed') return
    const only = this.#out[0]
    if (only !== undefined && this.#out.length === 1 && this.#acks.length === 0) {
      this.#out = []
      this.#write(only)
      return
    }
    if (only === undefined && this.#acks.length === 0) return
    if (this.#congested && only === undefined) return
    const parts: Uint8Array[] = []
    let length = 0
    const add = (bytes: Uint8Array): void => {
      if (length > 0 && length + bytes.length > this.#limits.messageBytesMax) {
        this.#write(outgoing(concat(parts.splice(0))))
        length = 0
      }
      parts.push(bytes)
      length += bytes.length
    }
    for (const message of this.#out) add(message.bytes)
    this.#out = []
    // Acks come last: one in the stream says that everything before it has been sent.
    for (const lane of this.#acks) {
      const ack = lane.takeAck()
      if (ack !== undefined) {
        this.#tellGroup(lane.group, add)
        if (this.#toldReplicas <= ack.replica) add(this.#newReplicas())
        add(
          encodeServerFrame({
            type: 'ack',
            group: lane.group.handle,
            ...ack,
            inStream: this.#atHead(lane.group),
            replicated: true,
          }),
        )
      }
    }
    this.#acks = []
    const [single] = parts
    if (single !== undefined) this.#write(outgoing(parts.length === 1 ? single : concat(parts)))
  }

  #write(message: Outgoing): void {
    this.#socket.send(message)
    if (this.#socket.bufferedBytes > this.#limits.bufferedBytesMax) this.#congested = true
    this.#throttle()
  }

  /** True while the client does not take what it was sent, or a large frame is under way. */
  get #stalled(): boolean {
    return this.#congested || this.#transfer.length > 0
  }

  /** Everything of the group that this session's documents hold has been sent. */
  #atHead(group: LiveGroup): boolean {
    if (this.#stalled) return false
    for (const attachment of this.#channels.values())
      if (attachment.document.group === group && attachment.state === 'behind') return false
    return true
  }

  /** Reads from the socket only while the client reads, too, and while the node is not behind with its log. */
  #throttle(): void {
    const pause = this.#congested || this.#hub.pendingBytes > this.#hub.limits.pendingBytesMax
    if (pause === this.#paused) return
    this.#paused = pause
    if (pause) this.#socket.pause()
    else this.#socket.resume()
  }

  #send(frame: ServerFrame): void {
    if (this.#state !== 'closed') this.#out.push(outgoing(encodeServerFrame(frame)))
  }

  /** Sends a frame of a document's stream: in order, behind a large one that is still under way, and in pieces if it is large itself. */
  #stream(frame: Uint8Array): void {
    const large = frame.length > this.#limits.messageBytesMax / 2
    if (!large && this.#transfer.length === 0) {
      this.#out.push(outgoing(frame))
      return
    }
    for (const piece of large ? fragments(frame) : [frame]) this.#transfer.push(outgoing(piece))
    if (!this.#pumping) this.#pump()
  }

  #tellReplicas(): void {
    if (this.#state !== 'closed') this.#out.push(outgoing(this.#newReplicas()))
  }

  #newReplicas(): Uint8Array {
    const first = this.#toldReplicas
    this.#toldReplicas = this.#hub.replicas.length
    return encodeServerFrame({ type: 'replicas', first, ids: this.#hub.replicas.slice(first) })
  }

  #tellGroup(group: LiveGroup, add: (bytes: Uint8Array) => void): void {
    if (this.#toldGroups.has(group)) return
    this.#toldGroups.add(group)
    add(encodeServerFrame({ type: 'group', handle: group.handle, group: group.id }))
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
        return this.#send({ type: 'pong', nonce: frame.nonce })
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
    this.#tellReplicas()
  }

  #regrant(principal: Principal): void {
    for (const attachment of [...this.#channels.values()]) {
      const access = accessOf(principal, attachment.document.name)
      if (access === 'none') this.#deny(attachment, 'ACCESS_DENIED')
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
    if (this.#channels.size >= this.#limits.documentsMax) return refuse('LIMIT_DOCUMENTS')
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

  #deny(attachment: Attachment, code: ErrorCode): void {
    this.#detach(attachment)
    this.#refuseAttach(attachment.channel, code)
  }

  #answer(attachment: Attachment, frame: Attach): void {
    const { document } = attachment
    if (document.state !== 'ready')
      return this.#deny(attachment, document.state === 'loading' ? 'LOG_UNAVAILABLE' : document.state)
    if (document.ended || (frame.life !== 0 && frame.life < document.life)) return this.#erase(attachment)
    if (document.engine !== undefined && document.engine !== frame.engine) return this.#deny(attachment, 'ENGINE_MISMATCH')
    const behind = document.group.lacks(frame.cursor) !== undefined || document.group.lacks(frame.seen) !== undefined
    if (!isEmpty(frame.seen)) this.#lane(document.group).require(frame.seen)
    this.#tellGroup(document.group, (bytes) => this.#out.push(outgoing(bytes)))
    this.#send({
      type: 'attached',
      channel: attachment.channel,
      handle: document.handle,
      group: document.group.handle,
      life: Math.max(1, document.life),
      access: attachment.access,
      behind,
    })
    if (behind) attachment.cursor = emptyVersion
    if (covers(attachment.cursor, document.version)) return this.#becomeLive(attachment)
    this.#opening.push(attachment)
    this.#pump()
  }

  /** Everything was sent up to the head of the log: from here on the hub delivers. */
  #becomeLive(attachment: Attachment): void {
    attachment.state = 'live'
    attachment.cursor = emptyVersion
    if (this.#toldReplicas < this.#hub.replicas.length) this.#tellReplicas()
    this.#stream(attachment.document.currentFrame)
    for (const other of attachment.document.subscriptions) {
      if (other.presence !== undefined && other !== attachment) this.#stream(other.presence)
    }
  }

  #pumping = false

  /** Goes on with whatever there is room for: a large frame, documents that open, documents that fell behind. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.#pumpOnce()
    this.#pumping = false
    this.#throttle()
  }

  #pumpOnce(): void {
    for (;;) {
      if (this.#state !== 'open') return
      const piece = this.#congested ? undefined : this.#transfer.shift()
      if (piece !== undefined) {
        this.#flushBefore()
        this.#write(piece)
        continue
      }
      if (this.#stalled) return
      const attachment = this.#reads < this.#limits.readsMax ? this.#opening.shift() : undefined
      if (attachment !== undefined) {
        if (this.#channels.get(attachment.channel) === attachment) this.#open(attachment)
        continue
      }
      if (this.#catchingUp || this.#catchUp() === 'waits') return
    }
  }

  /** What was collected goes before a piece of a large frame: order is what makes a cursor true. */
  #flushBefore(): void {
    if (this.#out.length === 0) return
    const parts = this.#out
    this.#out = []
    const bytes: Uint8Array[] = []
    for (const part of parts) bytes.push(part.bytes)
    this.#write(outgoing(concat(bytes)))
  }

  #open(attachment: Attachment): void {
    const { document } = attachment
    const { snapshot } = document
    // It had begun before the session stalled, and goes on where it stood.
    if (attachment.position > 0) return this.#readOn(attachment)
    if (snapshot !== undefined && !covers(attachment.cursor, snapshot.version)) return this.#readSnapshot(attachment)
    attachment.position = snapshot?.position ?? toPosition(0)
    this.#readOn(attachment)
  }

  #readSnapshot(attachment: Attachment): void {
    this.#reads++
    this.#hub.effects.log.readSnapshot(attachment.document.name, (outcome) => {
      this.#reads--
      if (this.#state !== 'open' || this.#channels.get(attachment.channel) !== attachment) return this.#after()
      if (outcome.kind === 'failed') this.#deny(attachment, outcome.code)
      else if (outcome.value === undefined) this.#deny(attachment, 'DOCUMENT_DAMAGED')
      else {
        attachment.position = outcome.value.position
        attachment.cursor = outcome.value.version
        this.#stream(encodeServerFrame({ type: 'state', handle: attachment.document.handle, payload: outcome.value.state.bytes }))
        this.#readOn(attachment)
      }
      this.#after()
    })
  }

  /** Reads entries beyond the attachment's position until the tail in memory reaches it. */
  #readOn(attachment: Attachment): void {
    if (this.#stalled) {
      this.#opening.push(attachment)
      return
    }
    const { document } = attachment
    if (attachment.position >= document.position || this.#hub.remembers(document, attachment.position))
      return this.#finish(attachment)
    const from = attachment.position
    this.#reads++
    this.#hub.effects.log.readDocument(document.name, from, { bytes: this.#limits.readBytes, entries: 4096 }, (outcome) => {
      this.#reads--
      if (this.#state !== 'open' || this.#channels.get(attachment.channel) !== attachment) return this.#after()
      if (outcome.kind === 'failed') this.#deny(attachment, outcome.code)
      else if (outcome.value.trimmed > from) this.#reopen(attachment)
      else {
        this.#sendEntries(outcome.value.entries, (entry) =>
          includes(attachment.cursor, entry.replica, entry.sequence) ? undefined : attachment,
        )
        attachment.position = outcome.value.asOf
        this.#readOn(attachment)
      }
      this.#after()
    })
  }

  /** A trim passed by: starts over at the newest snapshot. Whatever the client gets twice does no harm. */
  #reopen(attachment: Attachment): void {
    this.#reads++
    this.#hub.refresh(attachment.document, (code) => {
      this.#reads--
      if (this.#state === 'open' && this.#channels.get(attachment.channel) === attachment) {
        if (code !== undefined) this.#deny(attachment, code)
        else {
          attachment.state = 'opening'
          attachment.position = toPosition(0)
          this.#opening.push(attachment)
        }
      }
      this.#after()
    })
  }

  /** After an answer of the log: goes on with what waits and sends what came of it. */
  #after(): void {
    if (this.#state !== 'open') return
    this.#pump()
    this.flush()
  }

  #finish(attachment: Attachment): void {
    const { document } = attachment
    if (attachment.position < document.position) {
      if (this.#toldReplicas < this.#hub.replicas.length) this.#tellReplicas()
      this.#hub.tail.visit(attachment.position, (entry) => {
        if (
          entry.document === document &&
          entry.frame.length > 0 &&
          !includes(attachment.cursor, entry.replica, entry.sequence)
        ) {
          this.#stream(entry.frame)
        }
        return 'go on'
      })
    }
    this.#becomeLive(attachment)
  }

  // Reading on after having fallen behind (SES4).

  #catchUp(): 'waits' | 'went on' {
    const behind = this.#behind()
    const first = behind[0]
    if (first === undefined) return 'waits'
    let from: Position = first.position
    for (const attachment of behind) if (attachment.position < from) from = attachment.position
    if (!this.#hub.tail.reaches(from)) {
      this.#readBehind(behind, from)
      return 'waits'
    }
    const byDocument = new Map<LiveDocument, Attachment>()
    for (const attachment of behind) byDocument.set(attachment.document, attachment)
    const last = this.#hub.tail.visit(from, (entry) => {
      const attachment = entry.document === undefined ? undefined : byDocument.get(entry.document)
      if (attachment !== undefined && entry.position > attachment.position && entry.frame.length > 0) {
        if (this.#toldReplicas < this.#hub.replicas.length) this.#tellReplicas()
        this.#stream(entry.frame)
        if (this.#outBytes() > this.#limits.readBytes) this.flush()
      }
      return this.#stalled ? 'stop' : 'go on'
    })
    for (const attachment of behind) if (attachment.position < last) attachment.position = last
    if (last < this.#hub.tail.head) return 'went on'
    for (const attachment of behind) {
      attachment.state = 'live'
      this.#stream(attachment.document.currentFrame)
    }
    this.flush()
    return 'went on'
  }

  #behind(): Attachment[] {
    const result: Attachment[] = []
    for (const attachment of this.#channels.values()) if (attachment.state === 'behind') result.push(attachment)
    return result
  }

  #outBytes(): number {
    let bytes = 0
    for (const message of this.#out) bytes += message.bytes.length
    return bytes
  }

  /** One document reads its own entries; several of a group read the group's, in log order, so that causes come before effects. */
  #readBehind(behind: Attachment[], from: Position): void {
    const first = behind[0]
    if (first === undefined) return
    const { group } = first.document
    const mine = behind.filter((attachment) => attachment.document.group === group)
    this.#catchingUp = true
    const limit = { bytes: this.#limits.readBytes, entries: 4096 }
    const done: Done<Read> = (outcome) => {
      this.#catchingUp = false
      if (this.#state !== 'open') return
      if (outcome.kind === 'failed') for (const attachment of mine) this.#failBehind(attachment, outcome.code)
      else if (outcome.value.trimmed > from) {
        for (const attachment of mine) if (attachment.state === 'behind') this.#reopenBehind(attachment)
      } else {
        const byName = new Map(mine.map((attachment) => [attachment.document.name, attachment]))
        this.#sendEntries(outcome.value.entries, (entry) => {
          const attachment = entry.document === undefined ? undefined : byName.get(entry.document)
          return attachment !== undefined && attachment.state === 'behind' && entry.position > attachment.position
            ? attachment
            : undefined
        })
        for (const attachment of mine) if (attachment.position < outcome.value.asOf) attachment.position = outcome.value.asOf
      }
      this.#after()
    }
    const { log } = this.#hub.effects
    if (mine.length === 1) log.readDocument(first.document.name, from, limit, done)
    else log.readGroup(group.id, from, limit, done)
  }

  #failBehind(attachment: Attachment, code: LogErrorCode): void {
    if (this.#channels.get(attachment.channel) === attachment) this.#deny(attachment, code)
  }

  #reopenBehind(attachment: Attachment): void {
    attachment.state = 'opening'
    attachment.cursor = emptyVersion
    this.#reopen(attachment)
  }

  #sendEntries(entries: readonly Entry[], wanted: (entry: Entry) => Attachment | undefined): void {
    for (const entry of entries) {
      if (entry.kind !== 'update') continue
      const attachment = wanted(entry)
      if (attachment === undefined) continue
      const replica = this.#hub.replicaIndex(entry.replica)
      if (this.#toldReplicas <= replica) this.#tellReplicas()
      this.#stream(encodeUpdate(attachment.document.handle, replica, entry.sequence, entry.payload))
    }
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
    this.#presenceLate.delete(attachment)
    if (attachment.presence !== undefined) {
      attachment.presence = undefined
      this.#announce(attachment)
    }
    this.#hub.leave(attachment)
  }

  #fail(error: MeridianError): void {
    this.#goodbye(error.code, error)
  }

  #end(code: ErrorCode): void {
    this.#goodbye(code, undefined)
  }

  #goodbye(code: ErrorCode, error: MeridianError | undefined): void {
    if (this.#state === 'closed') return
    const row = errorTable[code]
    this.#options.onRefused?.(code)
    // The text is ours and fixed, or a sentence of a MeridianError, which holds no names, content or tokens.
    const text = (error?.message ?? `[${code}] ${row.advice}`).slice(0, 500)
    this.#send({ type: 'goodbye', code, retry: error?.retry ?? row.retry, retryAfterMs: error?.retryAfterMs ?? 0, text })
    this.flush()
    this.#socket.close(row.close, code)
    this.#leave()
  }

  #leave(): void {
    for (const attachment of [...this.#channels.values()]) this.#detach(attachment)
    for (const lane of this.#lanes.values()) lane.close()
    this.#lanes.clear()
    this.#early = []
    this.#out = []
    this.#acks = []
    this.#transfer = []
    this.#state = 'closed'
    this.#hub.sessionCount--
  }

  /** For tests and metrics. */
  get tenant(): string | undefined {
    const [group] = this.#toldGroups
    return group === undefined ? undefined : groupTenant(group.id)
  }
}
