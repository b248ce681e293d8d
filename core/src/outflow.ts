/**
 * What one session sends, in order and within bounds: frames collected into few messages, acks behind them, large frames in pieces as
 * the socket takes them. [hot]
 *
 * - SES4 Above `bufferedBytesMax` in the socket it is *stalled*: nothing more of a document is taken until the socket has drained.
 * - An index of a replica, and a handle of a group, is told before the first frame that uses it.
 * - Frames of documents keep their order, also behind a large one that is still under way: order is what makes a cursor true.
 */

import type { Encoder } from 'lib0/encoding'
import { createEncoder, toUint8Array } from 'lib0/encoding'
import { concat } from './bytes.js'
import type { Hub } from './hub.js'
import type { GroupId } from './ids.js'
import type { Lane } from './lane.js'
import type { SessionLimits } from './limits.js'
import type { LiveGroup } from './live-group.js'
import type { Outgoing } from './outgoing.js'
import { outgoing } from './outgoing.js'
import { fragments, pieceBytesOf } from './wires/native/frame.js'
import type { ServerFrame } from './wires/native/server-frames.js'
import { encodeServerFrame, writePong } from './wires/native/server-frames.js'

export interface OutflowSocket {
  /** Sends one binary message. */
  send(message: Outgoing): void
  /** Bytes that were sent and that the kernel has not taken yet. */
  readonly bufferedBytes: number
  /** Stops and resumes reading from the socket, so that a client that does not read cannot make the node remember for it. */
  pause(): void
  resume(): void
}

export class Outflow {
  readonly #hub: Hub
  readonly #socket: OutflowSocket
  readonly #limits: SessionLimits
  /** Frames above this go in pieces. */
  readonly #largeBytes: number
  #out: Outgoing[] = []
  #acks: Lane[] = []
  /** Pieces of a large frame, and whatever came behind it, that wait for room in the socket's buffer. */
  #transfer: Outgoing[] = []
  #pongs: Encoder | undefined
  #congested = false
  #paused = false
  #closed = false
  readonly #toldGroups = new Set<LiveGroup>()
  #toldReplicas = 0
  /** Whether everything of a group that this session's documents hold has been sent; asked for each ack. */
  readonly #isAtHead: (group: LiveGroup) => boolean

  constructor(hub: Hub, socket: OutflowSocket, limits: SessionLimits, isAtHead: (group: LiveGroup) => boolean) {
    this.#hub = hub
    this.#socket = socket
    this.#limits = limits
    this.#largeBytes = limits.messageBytesMax / 2
    this.#isAtHead = isAtHead
  }

  /** True while the client does not take what it was sent, or a large frame is under way. */
  get stalled(): boolean {
    return this.#congested || this.#transfer.length > 0
  }

  /** True while the session does not read from its socket. */
  get paused(): boolean {
    return this.#paused
  }

  /** True while the client does not take what it was sent. */
  get congested(): boolean {
    return this.#congested
  }

  /** One document's frames of a commit, shared with other sessions. [hot] */
  deliver(message: Outgoing): 'taken' | 'stalled' {
    if (this.stalled) return 'stalled'
    this.tellReplicas()
    if (message.bytes.length <= this.#largeBytes) this.#out.push(message)
    else {
      this.#transfer.push(...piecesOf(message, this.#limits.messageBytesMax))
      this.#drain()
    }
    return 'taken'
  }

  /** A frame that stands for itself. */
  send(frame: ServerFrame): void {
    if (!this.#closed) this.#out.push(outgoing(encodeServerFrame(frame)))
  }

  /** A frame of a document's stream: in order, behind a large one that is under way, and in pieces if it is large itself. */
  stream(frame: Uint8Array): void {
    const large = frame.length > this.#largeBytes
    if (!large && this.#transfer.length === 0) {
      this.#out.push(outgoing(frame))
      return
    }
    if (large) this.#transfer.push(...piecesOf(outgoing(frame), this.#limits.messageBytesMax))
    else this.#transfer.push(outgoing(frame))
    this.#drain()
  }

  /** Answers to pings lie in one buffer: a message may hold hundreds of thousands of pings, each of which would be a few objects here. */
  pong(nonce: number): void {
    if (!this.#closed) writePong((this.#pongs ??= createEncoder()), nonce)
  }

  ack(lane: Lane): void {
    if (!this.#acks.includes(lane)) this.#acks.push(lane)
  }

  tellReplicas(): void {
    if (this.#toldReplicas < this.#hub.replicas.length) this.#out.push(outgoing(this.#newReplicas()))
  }

  tellGroup(group: LiveGroup): void {
    const frame = this.#newGroup(group)
    if (frame !== undefined) this.#out.push(outgoing(frame))
  }

  /** The group that was told first: whose session it is, for metrics. */
  get firstGroup(): GroupId | undefined {
    const [group] = this.#toldGroups
    return group?.id
  }

  /** The socket's buffer is empty again. */
  drained(): void {
    this.#congested = false
    this.#drain()
  }

  /** Sends what was collected as few messages. [hot] */
  flush(): void {
    if (this.#closed) return
    if (this.#pongs !== undefined) {
      this.#out.push(outgoing(toUint8Array(this.#pongs)))
      this.#pongs = undefined
    }
    const only = this.#out[0]
    if (only !== undefined && this.#out.length === 1 && this.#acks.length === 0) {
      this.#out = []
      this.#write(only)
      return
    }
    if (only === undefined && (this.#acks.length === 0 || this.#congested)) return
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
    for (const lane of this.#acks) this.#addAck(lane, add)
    this.#acks = []
    const [single] = parts
    if (single !== undefined) this.#write(outgoing(parts.length === 1 ? single : concat(parts)))
  }

  close(): void {
    this.#closed = true
    this.#out = []
    this.#acks = []
    this.#transfer = []
  }

  /** Reads from the socket only while the client reads, too, and while the node is not behind with its log. */
  throttle(): void {
    const pause = this.#congested || this.#hub.pendingBytes > this.#hub.limits.pendingBytesMax
    if (pause === this.#paused || this.#closed) return
    this.#paused = pause
    if (pause) this.#socket.pause()
    else this.#socket.resume()
  }

  #addAck(lane: Lane, add: (bytes: Uint8Array) => void): void {
    const ack = lane.takeAck()
    if (ack === undefined) return
    const group = this.#newGroup(lane.group)
    if (group !== undefined) add(group)
    if (this.#toldReplicas <= ack.replica) add(this.#newReplicas())
    const inStream = !this.stalled && this.#isAtHead(lane.group)
    add(encodeServerFrame({ type: 'ack', group: lane.group.handle, ...ack, inStream, replicated: true }))
  }

  #newReplicas(): Uint8Array {
    const first = this.#toldReplicas
    this.#toldReplicas = this.#hub.replicas.length
    return encodeServerFrame({ type: 'replicas', first, ids: this.#hub.replicas.slice(first) })
  }

  #newGroup(group: LiveGroup): Uint8Array | undefined {
    if (this.#toldGroups.has(group)) return undefined
    this.#toldGroups.add(group)
    return encodeServerFrame({ type: 'group', handle: group.handle, group: group.id })
  }

  #drain(): void {
    while (this.#transfer.length > 0 && !this.#congested && !this.#closed) {
      this.#flushCollected()
      const piece = this.#transfer.shift()
      if (piece !== undefined) this.#write(piece)
    }
  }

  /** What was collected goes before the next piece. */
  #flushCollected(): void {
    if (this.#out.length === 0) return
    // But for the acks: those come behind everything.
    const acks = this.#acks
    this.#acks = []
    this.flush()
    this.#acks = acks
  }

  #write(message: Outgoing): void {
    this.#socket.send(message)
    if (this.#socket.bufferedBytes > this.#limits.bufferedBytesMax) this.#congested = true
    this.throttle()
  }
}

/**
 * A message in pieces: large frames as fragments, small ones together. Made once, so that a hundred slow readers hold one copy; all of a node
 * have the same `messageBytesMax`.
 */
function piecesOf(message: Outgoing, messageBytesMax: number): readonly Outgoing[] {
  if (message.pieces !== undefined) return message.pieces
  const pieceBytes = pieceBytesOf(messageBytesMax)
  const pieces: Outgoing[] = []
  let small: Uint8Array[] = []
  let smallBytes = 0
  const close = (): void => {
    if (small.length > 0) pieces.push(outgoing(concat(small)))
    small = []
    smallBytes = 0
  }
  for (const frame of message.frames ?? [message.bytes]) {
    if (smallBytes + frame.length > pieceBytes) close()
    if (frame.length > pieceBytes) for (const fragment of fragments(frame, messageBytesMax)) pieces.push(outgoing(fragment))
    else {
      small.push(frame)
      smallBytes += frame.length
    }
  }
  close()
  message.pieces = pieces
  return pieces
}
