/**
 * One connection to another region: the streams of all groups that the two share, in both directions, on one socket. It lives as long as the
 * connection; what outlives it is in the groups (`HeldGroup`) and in the log.
 *
 * - LINK2 Credit is per group, so that a group that is held up stops no other. Batches leave room in the socket for control frames, which are kept
 *   as one of a kind and group while even that is full, and never queue.
 * - LINK5 Heartbeats stand in the stream, because a socket keeps its order and claims are made when they are sent. Digests are compared at connect,
 *   where equal ones mean that no stream has to begin before something changes, and when nothing has changed for a while.
 * - LINK6 A stream that cannot begin because its receiver is behind stops nothing else. A group that is joining is not shared on any link; its transfer
 *   runs on one of them, beside the streams of other groups, for which it leaves half of the socket.
 * - SES6 Presence goes beside the streams, never logged and never queued.
 * - LINK8 A stop concerns one group on this link. Who stopped it begins it again: by `retry`, or when the policy that refused was edited.
 *
 * The owner calls `tick` every 10 ms or so, `receive` with each message, `drained` when the socket has room again.
 */

import { MeridianError, toMeridianError, unreachable } from '@meridian/core/errors'
import type { GroupId, RegionId, TenantId } from '@meridian/core/ids'
import { groupTenant } from '@meridian/core/ids'
import { addToDigest, emptyDigest } from '@meridian/core/wires/link/digest'
import {
  type Claim,
  claimsMax,
  decodeLinkFrame,
  encodeLinkFrame,
  type LinkFrame,
  linkProtocolVersion,
  type StopReason,
} from '@meridian/core/wires/link/frames'
import type { Version } from '@meridian/core/version'
import type { Join, JoinFrame } from '@meridian/core/wires/link/join-frames'
import { FrameReader, fragments } from '@meridian/core/wires/native/frame'
import type { HeldGroup } from './held-group.js'
import { type LinkOptions, linkOptions } from './options.js'
import { type LinkAlarm, type LinkEffects, refusalOf, type StreamPort } from './port.js'
import { Giver } from './giver.js'
import type { Joiner } from './joiner.js'
import { LinkPresence } from './link-presence.js'
import { Receiver } from './receiver.js'
import { Sender } from './sender.js'

/** Both directions of one group. */
interface Stream {
  readonly held: HeldGroup
  sender: Sender
  receiver: Receiver
  unwatch: () => void
  stopped: { readonly reason: StopReason; readonly by: 'here' | 'peer' } | undefined
  /** The peer said that it does not have the group. */
  isUnshared: boolean
  awakeUntilMs: number
}

/** How far the peer is with a group. */
export interface StreamStatus {
  readonly group: GroupId
  readonly held: HeldGroup
  /** What it holds durably, as far as it has said. */
  readonly known: Version
  readonly stopped: StopReason | undefined
}

export interface LinkConfig {
  readonly here: RegionId
  readonly peer: RegionId
  readonly effects: LinkEffects
  readonly options?: Partial<LinkOptions>
}

export class Link {
  readonly peer: RegionId
  readonly #effects: LinkEffects
  readonly #options: LinkOptions
  readonly #port: StreamPort
  readonly #reader: FrameReader
  readonly presence: LinkPresence
  readonly #streams = new Map<GroupId, Stream>()
  readonly #receivers = new Map<number, Stream>()
  /** By the peer's number of a stream. */
  readonly #senders = new Map<number, Stream>()
  /** Transfers to this region, by its number of them. */
  readonly #joiners = new Map<number, Joiner>()
  /** Transfers from this region, by the peer's number of them. */
  readonly #givers = new Map<number, Giver>()
  /** Streams on which something may be due. */
  readonly #awake = new Set<Stream>()
  /** Control frames that the socket had no room for, the newest of each kind and group. */
  readonly #pending = new Map<string, LinkFrame>()
  #handle = 0
  #state: 'new' | 'open' | 'closed' = 'new'
  #heardMs: number
  #sentMs: number
  #changedMs: number
  #ackedMs: number
  #claimedMs: number
  #isDigestDue = false
  #isFirstDigest = true
  messageCount = 0

  constructor(config: LinkConfig) {
    const { here, peer, effects } = config
    this.peer = peer
    this.#effects = effects
    this.#options = linkOptions(config.options)
    this.#port = {
      here,
      peer,
      effects,
      options: this.#options,
      mayBatch: () => this.#state === 'open' && effects.bufferedBytes() < this.#options.socketBytes,
      send: (frame) => this.#send(frame),
      stop: (group, reason, door, detail) => this.#stop(group, reason, door, detail),
    }
    this.presence = new LinkPresence({
      ...{ here, peer, effects },
      isShared: (group) => this.#streams.has(group),
      hasRoom: () => this.#state === 'open' && this.#hasControlRoom(),
      send: (frame) => this.#write(frame),
    })
    const { messageBytes, frameBytes } = this.#options
    this.#reader = new FrameReader({ messageBytesMax: messageBytes, frameBytesMax: frameBytes }, (type, body, end) => {
      const frame = decodeLinkFrame(type, body, end, (handle) => this.#receivers.get(handle)?.held.group)
      if (frame !== undefined && this.#state !== 'closed') this.#visit(frame)
    })
    const nowMs = effects.nowMs()
    this.#heardMs = this.#sentMs = this.#changedMs = this.#ackedMs = this.#claimedMs = nowMs
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** The groups that stand on this link. */
  *groups(): Iterable<StreamStatus> {
    for (const [group, { held, sender, stopped }] of this.#streams)
      yield { group, held, known: sender.known, stopped: stopped?.reason }
  }

  stream(
    group: GroupId,
  ): { readonly sender: Sender; readonly receiver: Receiver; readonly stopped: StopReason | undefined } | undefined {
    const stream = this.#streams.get(group)
    return stream && { sender: stream.sender, receiver: stream.receiver, stopped: stream.stopped?.reason }
  }

  /** Frames that wait for room in the socket. */
  get pendingCount(): number {
    return this.#pending.size
  }

  /** The socket is connected: the first frames go out. Groups that are shared already stand in the first digest. */
  open(): void {
    this.#send({ type: 'hello', protocol: linkProtocolVersion })
    this.#sendDigest()
  }

  /** The two regions store this group both. */
  share(held: HeldGroup): void {
    if (this.#streams.has(held.group) || this.#state === 'closed') return
    const stream = this.#make(held)
    this.#streams.set(held.group, stream)
    this.presence.shared(held.group)
    stream.unwatch = held.watch(() => this.#grow(stream))
    if (this.#state === 'open') stream.receiver.begin()
  }

  unshare(group: GroupId): void {
    const stream = this.#streams.get(group)
    if (stream === undefined) return
    this.#forget(stream)
    this.#send({ type: 'stop', group, reason: 'unshared' })
  }

  /** The transfer of a group that joins runs here, until this link or the other region ends it (LINK6). */
  join(joiner: Joiner): void {
    const handle = ++this.#handle
    this.#joiners.set(handle, joiner)
    joiner.begin({
      peer: this.peer,
      handle,
      windowBytes: this.#options.joinWindowBytes,
      send: (frame) => this.#send(frame),
      leave: () => this.#joiners.delete(handle),
    })
  }

  /** Begins a group again that stopped here, once its cause is gone. */
  retry(group: GroupId): void {
    const stream = this.#streams.get(group)
    if (stream?.stopped?.by !== 'here') return
    this.#revive(stream)
    stream.receiver.begin()
  }

  /** The policy of a tenant was edited here. */
  review(tenant: TenantId): void {
    for (const [group, stream] of this.#streams) {
      if (groupTenant(group) !== tenant) continue
      this.#wake(stream)
      if (stream.stopped?.reason === 'residency') this.retry(group)
      else {
        stream.sender.review()
        stream.receiver.review()
      }
    }
  }

  receive(message: Uint8Array): void {
    if (this.#state === 'closed') return
    this.#heardMs = this.#effects.nowMs()
    try {
      this.#reader.receive(message)
    } catch (thrown) {
      this.close(toMeridianError(thrown))
    }
  }

  /** The socket has room again. */
  drained(): void {
    this.#flush()
    this.presence.flush()
    for (const stream of this.#streams.values()) stream.sender.pump()
    for (const giver of this.#givers.values()) giver.pump()
  }

  tick(): void {
    if (this.#state === 'closed') return
    const nowMs = this.#effects.nowMs()
    const { silenceMs, heartbeatMs, ackMs, claimMs, quietMs } = this.#options
    if (nowMs - this.#heardMs >= silenceMs) {
      this.close(new MeridianError('TIMEOUT', { message: 'The other region was not heard for too long.' }))
      return
    }
    this.#flush()
    if (this.#state !== 'open') return
    this.presence.flush()
    for (const giver of this.#givers.values()) giver.pump()
    const isAckDue = nowMs - this.#ackedMs >= ackMs
    if (isAckDue) this.#ackedMs = nowMs
    const isClaimDue = nowMs - this.#claimedMs >= claimMs && this.#hasControlRoom()
    if (isClaimDue) this.#claimedMs = nowMs
    const claims: Claim[] = []
    for (const stream of this.#awake) {
      stream.sender.tick(nowMs)
      stream.receiver.tick(nowMs)
      if (isAckDue) this.#ack(stream)
      if (isClaimDue && claims.length < claimsMax) {
        const claim = stream.sender.claim()
        if (claim !== undefined) claims.push(claim)
      }
      if (nowMs > stream.awakeUntilMs && !stream.receiver.isBusy) this.#awake.delete(stream)
    }
    // What waits for room says as much as an empty heartbeat, and one with claims must not be replaced by it.
    const isSilent = this.#pending.size === 0 && nowMs - this.#sentMs >= heartbeatMs
    if (claims.length > 0 || isSilent) this.#send({ type: 'heartbeat', claims })
    if (this.#isDigestDue && nowMs - this.#changedMs >= quietMs) this.#sendDigest()
  }

  close(error: MeridianError | undefined): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const stream of [...this.#streams.values()]) {
      stream.held.disconnect(this.peer)
      this.#forget(stream)
    }
    for (const giver of this.#givers.values()) giver.stop()
    for (const joiner of this.#joiners.values()) joiner.lost()
    this.#givers.clear()
    this.#joiners.clear()
    this.#pending.clear()
    this.presence.close()
    this.#effects.close(error)
  }

  #visit(frame: LinkFrame): void {
    if (frame.type === 'hello') {
      if (this.#state !== 'new') throw new MeridianError('FRAME_INVALID', { message: 'A link says hello once.' })
      if (frame.protocol < 1)
        throw new MeridianError('PROTOCOL_UNSUPPORTED', { message: 'The other region speaks no version of links.' })
      this.#state = 'open'
      return
    }
    if (this.#state !== 'open') throw new MeridianError('FRAME_INVALID', { message: 'A link begins with a hello.' })
    switch (frame.type) {
      case 'digest':
        this.#compare(frame.groupCount, frame.digest)
        break
      case 'start': {
        const stream = this.#streams.get(frame.group)
        const other = this.#senders.get(frame.handle)
        if (other !== undefined && other !== stream)
          throw new MeridianError('FRAME_INVALID', { message: 'Two streams have one handle.' })
        if (stream === undefined) {
          this.#send({ type: 'stop', group: frame.group, reason: 'unshared' })
          this.#effects.wanted(frame.group)
          break
        }
        this.#senders.set(frame.handle, stream)
        this.#change(stream)
        if (stream.stopped?.by === 'peer') {
          this.#revive(stream)
          stream.receiver.begin()
        } else if (stream.isUnshared) {
          stream.isUnshared = false
          stream.receiver.begin()
        }
        stream.sender.begin(frame)
        break
      }
      case 'forward':
        this.#senders.get(frame.handle)?.sender.forward(frame)
        break
      case 'ack': {
        const stream = this.#senders.get(frame.handle)
        if (stream === undefined) break
        this.#wake(stream)
        stream.sender.ack(frame)
        break
      }
      case 'batch': {
        const stream = this.#receivers.get(frame.handle)
        if (stream === undefined) break
        this.#change(stream)
        stream.receiver.batch(frame)
        if (stream.receiver.isCreditUrgent) this.#ack(stream)
        break
      }
      case 'heartbeat':
        for (const claim of frame.claims) {
          const stream = this.#streams.get(claim.group)
          if (stream === undefined) {
            this.#effects.wanted(claim.group)
            continue
          }
          this.#change(stream)
          stream.isUnshared = false
          stream.receiver.claim(claim)
        }
        break
      case 'stop':
        this.#stopped(frame.group, frame.reason)
        break
      case 'watch':
      case 'presence':
        this.presence.receive(frame)
        break
      default:
        this.#visitJoin(frame)
    }
  }

  #visitJoin(frame: JoinFrame): void {
    switch (frame.type) {
      case 'join':
        this.#give(frame)
        break
      case 'expand':
        this.#givers.get(frame.handle)?.expand(frame)
        break
      case 'want':
        this.#givers.get(frame.handle)?.want(frame)
        break
      case 'credit':
        this.#givers.get(frame.handle)?.credit(frame.bytes)
        break
      case 'offer':
      case 'sums':
      case 'pour':
      case 'poured':
        this.#joiners.get(frame.handle)?.receive(frame)
        break
      default:
        unreachable(frame)
    }
  }

  /** The peer joins a group that is shared here. */
  #give(frame: Join): void {
    const { group, handle } = frame
    const refuse = (): void => {
      this.#endGiving(group)
      this.#send({ type: 'stop', group, reason: 'unshared' })
    }
    const stream = this.#streams.get(group)
    if (stream === undefined || stream.stopped !== undefined) {
      refuse()
      this.#effects.wanted(group)
      return
    }
    this.#endGiving(group)
    const giver = new Giver(frame, stream.held, {
      log: this.#effects.log,
      digest: (bytes) => this.#effects.digest(bytes),
      offered: (of, version) => this.#effects.acked(of, version),
      send: (answer) => this.#send(answer),
      mayPour: () => this.#state === 'open' && this.#effects.bufferedBytes() < this.#options.socketBytes / 2,
      refusalOf: (document) => refusalOf(this.#effects, document, this.peer),
      refused: (rule) => this.#stop(group, 'residency', 'egress', rule),
      refuse,
    })
    this.#givers.set(handle, giver)
  }

  #endGiving(group: GroupId): void {
    for (const [handle, giver] of this.#givers) {
      if (giver.group !== group) continue
      giver.stop()
      this.#givers.delete(handle)
    }
  }

  #make(held: HeldGroup): Stream {
    const receiver = new Receiver(++this.#handle, held, this.#port)
    const stream: Stream = {
      held,
      sender: new Sender(held, this.#port),
      receiver,
      unwatch: () => undefined,
      stopped: undefined,
      isUnshared: false,
      awakeUntilMs: 0,
    }
    this.#receivers.set(receiver.handle, stream)
    return stream
  }

  /** New machines in place of those that stopped, under a new handle. */
  #revive(stream: Stream): void {
    this.#receivers.delete(stream.receiver.handle)
    stream.receiver = new Receiver(++this.#handle, stream.held, this.#port)
    this.#receivers.set(stream.receiver.handle, stream)
    stream.sender = new Sender(stream.held, this.#port)
    stream.stopped = undefined
  }

  #forget(stream: Stream): void {
    this.#endGiving(stream.held.group)
    stream.unwatch()
    stream.sender.stop()
    stream.receiver.stop()
    this.#streams.delete(stream.held.group)
    this.#receivers.delete(stream.receiver.handle)
    for (const [handle, other] of this.#senders) if (other === stream) this.#senders.delete(handle)
    this.#awake.delete(stream)
  }

  #grow(stream: Stream): void {
    this.#change(stream)
    stream.sender.grow()
    stream.receiver.grow()
    if (stream.receiver.isCreditUrgent) this.#ack(stream)
  }

  #ack(stream: Stream): void {
    const ack = stream.receiver.ack()
    if (ack !== undefined) this.#send(ack)
  }

  #stop(group: GroupId, reason: StopReason, door: LinkAlarm['door'], detail: string): void {
    const stream = this.#streams.get(group)
    if (stream === undefined || stream.stopped !== undefined || reason === 'unshared') return
    if (reason === 'behind') {
      stream.sender.idle()
      this.#send({ type: 'stop', group, reason })
      return
    }
    this.#endGiving(group)
    stream.stopped = { reason, by: 'here' }
    stream.sender.stop()
    stream.receiver.stop()
    this.#send({ type: 'stop', group, reason })
    this.#effects.alarm({ group, peer: this.peer, reason, door, detail })
  }

  #stopped(group: GroupId, reason: StopReason): void {
    if (reason !== 'behind')
      for (const [handle, joiner] of this.#joiners) {
        if (joiner.group !== group) continue
        this.#joiners.delete(handle)
        joiner.lost()
      }
    const stream = this.#streams.get(group)
    if (stream === undefined || stream.stopped !== undefined) return
    if (reason === 'unshared') {
      stream.isUnshared = true
      stream.sender.idle()
      stream.receiver.idle()
      return
    }
    if (reason === 'behind') {
      stream.receiver.fallBehind(this.#effects.nowMs())
      this.#wake(stream)
      this.#effects.behind(group)
      return
    }
    stream.stopped = { reason, by: 'peer' }
    stream.sender.stop()
    stream.receiver.stop()
    this.#effects.alarm({ group, peer: this.peer, reason, door: 'peer', detail: 'The other region stopped the group.' })
  }

  #digest(): { readonly groupCount: number; readonly digest: bigint } {
    let groupCount = 0
    let digest = emptyDigest
    for (const [group, { held, stopped, isUnshared }] of this.#streams) {
      if (stopped !== undefined || isUnshared) continue
      groupCount++
      digest = addToDigest(digest, group, held)
    }
    return { groupCount, digest }
  }

  #sendDigest(): void {
    this.#isDigestDue = false
    this.#send({ type: 'digest', ...this.#digest() })
  }

  #compare(groupCount: number, digest: bigint): void {
    const isFirst = this.#isFirstDigest
    this.#isFirstDigest = false
    const own = this.#digest()
    if (own.groupCount === groupCount && own.digest === digest) {
      for (const { sender, stopped, isUnshared } of this.#streams.values())
        if (stopped === undefined && !isUnshared) sender.learn()
      return
    }
    // While something changes here, digests differ as a matter of course; the peer's next one comes when it is quiet again.
    if (!isFirst && this.#effects.nowMs() - this.#changedMs < this.#options.quietMs) return
    for (const stream of this.#streams.values()) {
      this.#wake(stream)
      if (stream.stopped === undefined && !stream.isUnshared && !stream.receiver.isBusy) stream.receiver.begin()
    }
  }

  #change(stream: Stream): void {
    this.#changedMs = this.#effects.nowMs()
    this.#isDigestDue = true
    this.#wake(stream)
  }

  #wake(stream: Stream): void {
    const { ackMs, claimMs, retryMs, batchMs } = this.#options
    stream.awakeUntilMs = this.#effects.nowMs() + 2 * Math.max(ackMs, claimMs, retryMs, batchMs)
    this.#awake.add(stream)
  }

  #hasControlRoom(): boolean {
    return this.#pending.size === 0 && this.#effects.bufferedBytes() < this.#options.socketControlBytes
  }

  #send(frame: LinkFrame): void {
    if (this.#state === 'closed') return
    // A batch was asked for room before it was read, and is never put off: its stream has no queue. Nor is what is poured.
    if (frame.type === 'batch' || frame.type === 'pour' || this.#hasControlRoom()) this.#write(frame)
    else {
      const key = keyOf(frame)
      // The newest goes last, so that a forward never comes before the start that it belongs to.
      this.#pending.delete(key)
      this.#pending.set(key, frame)
    }
  }

  #flush(): void {
    for (const [key, frame] of this.#pending) {
      if (this.#effects.bufferedBytes() >= this.#options.socketControlBytes) return
      this.#pending.delete(key)
      this.#write(frame)
    }
  }

  #write(frame: LinkFrame): void {
    this.#sentMs = this.#effects.nowMs()
    for (const message of fragments(encodeLinkFrame(frame), this.#options.messageBytes)) {
      this.messageCount++
      this.#effects.send(message)
    }
  }
}

function keyOf(frame: LinkFrame): string {
  switch (frame.type) {
    case 'start':
    case 'forward':
    case 'batch':
    case 'ack':
      return `${frame.type} ${frame.handle}`
    case 'stop':
      return `stop ${frame.group}`
    case 'hello':
    case 'digest':
    case 'heartbeat':
    // These two are kept where they come from.
    case 'watch':
    case 'presence':
      return frame.type
    default:
      return `${frame.type} ${frame.handle}`
  }
}
