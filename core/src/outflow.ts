/**
 * What one session sends, in order and within bounds: frames collected into few messages, acks behind them, large frames in pieces as
 * the socket takes them. [hot]
 *
 * - SES4 Above `bufferedBytesMax` in the socket it is *stalled*: nothing more of a document is taken until the socket has drained.
 * - Frames of documents keep their order, also behind a large one that is still under way: order is what makes a cursor true.
 *
 * Which bytes a frame has, and whether frames share a message, is the wire's.
 */

import { concat } from './bytes.js'
import type { Shared } from './delivery.js'
import type { Hub } from './hub.js'
import type { SessionLimits } from './limits.js'
import { Outgoing, outgoing } from './outgoing.js'
import type { Conversation, Sizes, Wire } from './wire.js'

export interface OutflowSocket {
  /** Sends one binary message, or several. */
  send(message: Outgoing): void
  /** Bytes that were sent and that the kernel has not taken yet. */
  readonly bufferedBytes: number
  /** Stops and resumes reading from the socket, so that a client that does not read cannot make the node remember for it. */
  pause(): void
  resume(): void
}

export interface OutflowParts {
  readonly hub: Hub
  readonly socket: OutflowSocket
  readonly limits: SessionLimits
  readonly wire: Wire
  /** Asked whenever something goes out; it exists when the first thing does. */
  readonly conversation: () => Conversation
  /** True while the session holds as much unsaved as it may, so that it reads no more. */
  readonly isFull: () => boolean
}

/** Frames from this size on are not copied to share a message with others. */
const aloneBytes = 4_096

export class Outflow {
  readonly #hub: Hub
  readonly #socket: OutflowSocket
  readonly #limits: SessionLimits
  readonly #wire: Wire
  readonly #sizes: Sizes
  readonly #conversation: () => Conversation
  readonly #isFull: () => boolean
  readonly #out: Outgoing[] = []
  /** Pieces of a large frame, and whatever came behind it, that wait for room in the socket's buffer. */
  #transfer: Outgoing[] = []
  #congested = false
  #paused = false
  #closed = false

  constructor({ hub, socket, limits, wire, conversation, isFull }: OutflowParts) {
    this.#hub = hub
    this.#socket = socket
    this.#limits = limits
    this.#wire = wire
    this.#sizes = wire.sizes(limits)
    this.#conversation = conversation
    this.#isFull = isFull
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

  /** What is shared with other sessions: one document's frames of a commit, or a presence state. [hot] */
  deliver(shared: Shared): 'taken' | 'stalled' {
    if (this.stalled) return 'stalled'
    const message = shared.outgoing(this.#wire)
    if (message === undefined) return 'taken'
    this.#conversation().beforeUpdates()
    if (message.length <= this.#sizes.large) this.#out.push(message)
    else {
      this.#transfer.push(...this.#piecesOf(message))
      this.#drain()
    }
    return 'taken'
  }

  /** A frame that stands for itself. */
  send(frame: Uint8Array): void {
    if (!this.#closed) this.#out.push(outgoing(frame))
  }

  /** A frame of a document's stream: in order, behind a large one that is under way, and in pieces if it is large itself. */
  stream(frame: Uint8Array): void {
    const large = frame.length > this.#sizes.large
    if (!large && this.#transfer.length === 0) {
      this.#out.push(outgoing(frame))
      return
    }
    if (large) this.#transfer.push(...this.#piecesOf(outgoing(frame)))
    else this.#transfer.push(outgoing(frame))
    this.#drain()
  }

  /** The socket's buffer is empty again. */
  drained(): void {
    this.#congested = false
    this.#drain()
  }

  /** Sends what was collected as few messages. [hot] */
  flush(): void {
    if (this.#closed) return
    const conversation = this.#conversation()
    const only = this.#out[0]
    if (only !== undefined && this.#out.length === 1 && !conversation.hasLast) {
      this.#out.pop()
      this.#write(only)
      return
    }
    if (only === undefined && !conversation.hasLast) return
    this.#flush(conversation)
  }

  close(): void {
    this.#closed = true
    this.#out.length = 0
    this.#transfer = []
  }

  /** Reads from the socket only while the client reads, too, and while neither the node nor the session is behind with the log. */
  throttle(): void {
    const pause = this.#congested || this.#hub.pendingBytes > this.#hub.limits.pendingBytesMax || this.#isFull()
    if (pause === this.#paused || this.#closed) return
    this.#paused = pause
    if (pause) this.#socket.pause()
    else this.#socket.resume()
  }

  /** `conversation` is left out when what it says last has to wait for what comes behind. */
  #flush(conversation: Conversation | undefined): void {
    const batch: Uint8Array[] = []
    let length = 0
    const close = (): void => {
      if (batch.length > 0) this.#write(this.#packed(batch.splice(0)))
      length = 0
    }
    const add = (bytes: Uint8Array): void => {
      if (length > 0 && length + bytes.length > this.#sizes.batch) close()
      batch.push(bytes)
      length += bytes.length
    }
    for (const { messages } of this.#out.splice(0)) for (const message of messages) add(message)
    conversation?.last(add)
    close()
  }

  /** Small frames share a message; a large one is one by itself, which nobody has to copy. */
  #packed(frames: readonly Uint8Array[]): Outgoing {
    if (frames.length === 1 || this.#wire.packing === 'apart') return new Outgoing(frames)
    const messages: Uint8Array[] = []
    let small: Uint8Array[] = []
    const close = (): void => {
      const [only] = small
      if (only !== undefined) messages.push(small.length === 1 ? only : concat(small))
      small = []
    }
    for (const frame of frames) {
      if (frame.length < aloneBytes) small.push(frame)
      else {
        close()
        messages.push(frame)
      }
    }
    close()
    return new Outgoing(messages)
  }

  #drain(): void {
    while (this.#transfer.length > 0 && !this.#congested && !this.#closed) {
      // What was collected goes before the next piece; what is said last, behind everything.
      if (this.#out.length > 0) this.#flush(undefined)
      const piece = this.#transfer.shift()
      if (piece !== undefined) this.#write(piece)
    }
  }

  #write(message: Outgoing): void {
    this.#socket.send(message)
    if (this.#socket.bufferedBytes > this.#limits.bufferedBytesMax) this.#congested = true
    // Otherwise only what comes in can change it, and is followed by a look at it.
    if (this.#congested || this.#paused) this.throttle()
  }

  /**
   * A message in pieces: large frames as their wire splits them, small ones together. Made once, so that a hundred slow readers hold one copy;
   * all sessions of a wire have the same sizes.
   */
  #piecesOf(message: Outgoing): readonly Outgoing[] {
    if (message.pieces !== undefined) return message.pieces
    const pieces: Outgoing[] = []
    let small: Uint8Array[] = []
    let smallBytes = 0
    const close = (): void => {
      if (small.length > 0) pieces.push(this.#packed(small))
      small = []
      smallBytes = 0
    }
    for (const frame of message.frames ?? message.messages) {
      if (smallBytes + frame.length > this.#sizes.piece) close()
      if (frame.length > this.#sizes.piece) {
        for (const fragment of this.#wire.split(frame, this.#limits)) pieces.push(outgoing(fragment))
      } else {
        small.push(frame)
        smallBytes += frame.length
      }
    }
    close()
    message.pieces = pieces
    return pieces
  }
}
