/**
 * The native wire (PROTOCOL.md): many documents on one socket, batches of frames, a token in the first one, resume by version. [hot]
 *
 * It translates between frames and a session. What it keeps is what its own frames refer to: which groups and replica ids the client was told,
 * acks that wait for the end of a flush, and frames that came behind a hello.
 */

import type { Encoder } from 'lib0/encoding'
import { createEncoder, toUint8Array, writeUint8Array } from 'lib0/encoding'
import type { Attachment } from '../../attachment.js'
import type { Principal, Redirect } from '../../effects.js'
import type { ErrorCode } from '../../errors.js'
import { advice } from '../../advice.js'
import { MeridianError, toMeridianError, unreachable } from '../../errors.js'
import type { Lane, RefusedPush } from '../../lane.js'
import type { SessionLimits } from '../../limits.js'
import type { LiveDocument } from '../../live-document.js'
import type { LiveGroup } from '../../live-group.js'
import type { PresenceToEncode, UpdateToEncode } from '../../shared-encoder.js'
import { emptyVersion, mutableVersion, raiseFloor } from '../../version.js'
import type { Conversation, Ending, Sizes, Wire, WireSession } from '../../wire.js'
import type { ClientFrame } from './client-frames.js'
import { decodeClientFrame } from './client-frames.js'
import { FrameReader, fragments, pieceBytesOf, protocolFloor, protocolVersion } from './frame.js'
import type { ServerFrame } from './server-frames.js'
import { Replication } from './replication.js'
import { encodeServerFrame, encodeUpdate, writePong } from './server-frames.js'

export const nativeWire: Wire = {
  name: 'native',
  refusalMs: 0,
  packing: 'together',
  storesParts: false,
  framesEndInPayload: true,

  encodeUpdate: ({ handle, replicaIndex, sequence, payload }: UpdateToEncode): Uint8Array =>
    encodeUpdate(handle, replicaIndex, sequence, payload),

  encodePresence: ({ handle, session, subject, payload }: PresenceToEncode): Uint8Array =>
    encodeServerFrame({ type: 'presence', handle, session, subject, payload }),

  limits: (limits: SessionLimits): SessionLimits => limits,

  sizes: ({ messageBytesMax }: SessionLimits): Sizes => ({
    batch: messageBytesMax,
    large: messageBytesMax / 2,
    piece: pieceBytesOf(messageBytesMax),
  }),

  split: (frame: Uint8Array, { messageBytesMax }: SessionLimits): readonly Uint8Array[] => fragments(frame, messageBytesMax),

  open: (session: WireSession): Conversation => new NativeConversation(session),
}

/** Frames that may come behind a hello while its token is checked; the bytes are bounded by `greetingBytesMax`. */
const earlyFramesMax = 4_096

class NativeConversation implements Conversation {
  readonly #session: WireSession
  readonly #reader: FrameReader
  /** Frames that came behind the hello, while the token is checked. */
  #early: ClientFrame[] = []
  /** Small answers to small frames. A message may hold hundreds of thousands of pings, each of which would be a few objects here. */
  #answers: Encoder | undefined
  #acks: Lane[] = []
  readonly #toldGroups = new Set<LiveGroup>()
  #toldReplicas = 0
  readonly #replication: Replication

  constructor(session: WireSession) {
    this.#session = session
    this.#replication = new Replication(session, (group, frame) => {
      const named = this.#newGroup(group)
      if (named !== undefined) session.send(named)
      this.beforeUpdates()
      this.#send(frame)
    })
    const { messageBytesMax, updateBytesMax } = session.limits
    this.#reader = new FrameReader({ messageBytesMax, frameBytesMax: updateBytesMax + 1024 }, (type, body, end) => {
      const frame = decodeClientFrame(type, body, end)
      if (frame === undefined) return
      try {
        this.#receive(frame)
      } catch (thrown) {
        // Whatever is wrong here, it is not the bytes.
        throw toMeridianError(thrown)
      }
    })
  }

  begin(): void {
    // The client speaks first.
  }

  receive(message: Uint8Array): void {
    this.#reader.receive(message)
  }

  #receive(frame: ClientFrame): void {
    const session = this.#session
    switch (session.state) {
      case 'greeting':
        return this.#greet(frame)
      case 'authenticating':
        if (this.#early.length >= earlyFramesMax) throw new MeridianError('FRAME_TOO_LARGE')
        this.#early.push(frame)
        return
      case 'closed':
        return
      case 'open':
        break
      default:
        unreachable(session.state)
    }
    switch (frame.type) {
      case 'push': {
        const attachment = session.attachment(frame.channel)
        if (attachment !== undefined) session.push(attachment, frame.counter, frame.payload)
        else this.#refuseUnattached(frame.channel, frame.counter)
        return
      }
      case 'attach':
        return session.attach(frame)
      case 'detach': {
        const attachment = session.attachment(frame.channel)
        if (attachment !== undefined) session.detach(attachment)
        return
      }
      case 'seen': {
        const attachment = session.attachment(frame.channel)
        if (attachment !== undefined) session.require(attachment, frame.seen)
        return
      }
      case 'resume': {
        const attachment = session.attachment(frame.channel)
        if (attachment !== undefined) session.resume(attachment, frame.counter)
        return
      }
      case 'presence': {
        const attachment = session.attachment(frame.channel)
        if (attachment !== undefined) session.show(attachment, frame.payload)
        return
      }
      case 'durable': {
        const attachment = session.attachment(frame.channel)
        if (attachment !== undefined) this.#replication.ask(attachment.document.group, frame.regions)
        return
      }
      case 'ping':
        writePong((this.#answers ??= createEncoder()), frame.nonce)
        return
      case 'token':
        return session.authenticate(frame.token)
      case 'hello':
        throw new MeridianError('FRAME_INVALID', { message: 'One hello a connection.' })
      default:
        unreachable(frame)
    }
  }

  #greet(frame: ClientFrame): void {
    if (frame.type !== 'hello') throw new MeridianError('FRAME_INVALID', { message: 'The first frame is a hello.' })
    if (frame.protocol < protocolFloor)
      throw new MeridianError('PROTOCOL_UNSUPPORTED', { message: `The node speaks ${protocolFloor} to ${protocolVersion}.` })
    this.#session.device = frame.device
    this.#session.authenticate(frame.token)
  }

  /** PUSH9: a channel that was denied, erased, redirected or detached. Its client has been told, or is about to read it. */
  #refuseUnattached(channel: number, counter: number): void {
    writeAnswer((this.#answers ??= createEncoder()), {
      type: 'refused',
      channel,
      counter,
      code: 'NOT_ATTACHED',
      retryAfterMs: 0,
      missing: emptyVersion,
      text: '',
    })
  }

  welcome(principal: Principal): void {
    const { region, id, limits } = this.#session
    this.#send({
      type: 'welcome',
      protocol: protocolVersion,
      region,
      session: id,
      subject: principal.subject,
      messageBytesMax: limits.messageBytesMax,
      updateBytesMax: limits.updateBytesMax,
      unackedBytesMax: limits.unackedBytesMax,
      heartbeatMs: Math.floor(limits.silenceMs / 2),
    })
    this.beforeUpdates()
    const early = this.#early
    this.#early = []
    for (const frame of early) this.#receive(frame)
  }

  granted(principal: Principal): void {
    const leftMs = principal.expiresAt - this.#session.hub.effects.clock.now()
    this.#send({ type: 'granted', expiresInMs: Number.isFinite(leftMs) ? Math.max(1, Math.floor(leftMs)) : 0 })
  }

  attached(attachment: Attachment, { behind }: { readonly behind: boolean }): 'catch up' {
    const { document, channel, access } = attachment
    const group = this.#newGroup(document.group)
    if (group !== undefined) this.#session.send(group)
    // In the stream: behind what may be under way of an earlier attach of the same document, and so of the same handle.
    this.#session.stream(
      encodeServerFrame({
        type: 'attached',
        channel,
        handle: document.handle,
        group: document.group.handle,
        life: Math.max(1, document.life),
        access,
        behind,
      }),
    )
    return 'catch up'
  }

  denied(channel: number, code: ErrorCode, retryAfterMs: number): void {
    this.#send({ type: 'denied', channel, code, retryAfterMs, text: advice[code] })
  }

  redirected(channel: number, redirects: readonly Redirect[]): void {
    this.#send({ type: 'redirect', channel, redirects })
  }

  erased({ channel, document }: Attachment): void {
    this.#send({ type: 'erased', channel, life: document.life })
  }

  detached(): void {
    // The client asked for it, or is told why.
  }

  /** An index of a replica is told before the first frame that uses it. [hot] */
  beforeUpdates(): void {
    if (this.#toldReplicas < this.#session.hub.replicas.length) this.#session.send(this.#newReplicas())
  }

  stateFrame({ document }: Attachment, payload: Uint8Array): Uint8Array {
    return encodeServerFrame({ type: 'state', handle: document.handle, payload })
  }

  currentFrame({ document }: Attachment): Uint8Array {
    return currentFrameOf(document)
  }

  acked(lane: Lane): void {
    if (!this.#acks.includes(lane)) this.#acks.push(lane)
  }

  refused(push: RefusedPush, retryAfterMs: number): void {
    this.#send({ ...push, type: 'refused', retryAfterMs, text: advice[push.code] })
  }

  get hasLast(): boolean {
    return this.#answers !== undefined || this.#acks.length > 0
  }

  /** Acks come last: one in the stream says that everything before it has been sent. */
  last(add: (frame: Uint8Array) => void): void {
    if (this.#answers !== undefined) {
      add(toUint8Array(this.#answers))
      this.#answers = undefined
    }
    for (const lane of this.#acks) this.#addAck(lane, add)
    this.#acks = []
  }

  tick(): void {
    this.#replication.tick()
  }

  closed(): void {
    this.#replication.close()
  }

  goodbye(ending: Ending): void {
    this.#send({ type: 'goodbye', ...ending })
    this.#early = []
  }

  #addAck(lane: Lane, add: (bytes: Uint8Array) => void): void {
    const ack = lane.takeAck()
    if (ack === undefined) return
    const group = this.#newGroup(lane.group)
    if (group !== undefined) add(group)
    if (this.#toldReplicas <= ack.replica) add(this.#newReplicas())
    const inStream = !this.#session.stalled && this.#session.isAtHead(lane.group)
    const replicated = this.#replication.acked(lane.group, this.#session.hub.replicas[ack.replica], ack.sequence)
    add(encodeServerFrame({ type: 'ack', group: lane.group.handle, ...ack, inStream, replicated }))
  }

  #newReplicas(): Uint8Array {
    const { replicas } = this.#session.hub
    const first = this.#toldReplicas
    this.#toldReplicas = replicas.length
    return encodeServerFrame({ type: 'replicas', first, ids: replicas.slice(first) })
  }

  #newGroup(group: LiveGroup): Uint8Array | undefined {
    if (this.#toldGroups.has(group)) return undefined
    this.#toldGroups.add(group)
    return encodeServerFrame({ type: 'group', handle: group.handle, group: group.id })
  }

  #send(frame: ServerFrame): void {
    this.#session.send(encodeServerFrame(frame))
  }
}

function writeAnswer(encoder: Encoder, frame: ServerFrame): void {
  writeUint8Array(encoder, encodeServerFrame(frame))
}

/** `current` frames by document; encoded once for all who come between two changes. */
const currentFrames = new WeakMap<LiveDocument, { readonly revision: number; readonly frame: Uint8Array }>()

function currentFrameOf(document: LiveDocument): Uint8Array {
  const held = currentFrames.get(document)
  if (held !== undefined && held.revision === document.revision) return held.frame
  // On the wire the floors of the group stand for sealed incarnations; inside, the exact dots are kept.
  const version = mutableVersion(document.version)
  for (const [region, floor] of document.group.version.floors) raiseFloor(version, region, floor)
  const frame = encodeServerFrame({ type: 'current', handle: document.handle, version })
  currentFrames.set(document, { revision: document.revision, frame })
  return frame
}
