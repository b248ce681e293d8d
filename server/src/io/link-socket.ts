/**
 * One WebSocket between two regions, from the first message of the handshake to the last frame of its link. The same for the end that dialled and
 * for the one that was dialled.
 *
 * ```
 *   open ──▶ greeting, answer, proof (regions/src/link/handshake.ts) ──▶ frames of a Link ──▶ closed
 *     └── handshakeMs passed, or one of them is not as it should be ──▶ refused ──────────────▲
 * ```
 *
 * - What is sent in one turn is one message, and what a message holds is deflated in one window that lives as long as the connection: a batch
 *   looks much like the one before. Inflating is bounded by the size of a message.
 * - SES3 A stranger may send `handshakeBytesMax` bytes, in `handshakeMs`.
 */

import { concat } from '@meridian/core/bytes'
import { MeridianError, toMeridianError } from '@meridian/core/errors'
import type { RegionId } from '@meridian/core/ids'
import { handshakeBytesMax } from '@meridian/core/wires/link/handshake'
import type { Acceptor, Dialer } from '@meridian/regions/link/handshake'
import type { Link } from '@meridian/regions/link/link'
import type { LinkSocket } from '@meridian/regions/link/links'
import type { PerMessageDeflateOptions, RawData } from 'ws'
import { WebSocket } from 'ws'

/** Both ends keep their windows; small messages gain the most, because they are the most alike. */
export const linkDeflate: PerMessageDeflateOptions = {
  threshold: 0,
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  zlibDeflateOptions: { level: 6 },
}

/** Bytes of one message of a link, inflated; a bomb ends here. The machines make smaller ones (`LinkOptions.messageBytes`). */
export const linkMessageBytesMax = 1024 * 1024

/** Milliseconds that the other end has to answer a close. */
const closeMs = 1_000

export type Handshake =
  | { readonly end: 'dialled'; readonly dialer: Dialer; readonly peer: RegionId }
  | { readonly end: 'accepted'; readonly acceptor: Acceptor }

export interface LinkSocketOptions {
  readonly socket: WebSocket
  readonly handshake: Handshake
  readonly handshakeMs: number
  /** `LinkOptions.socketBytes`: above it a link waits to be told that there is room. */
  readonly roomBytes: number
  readonly stats: LinkStats
  /** Both have proved themselves: the link that speaks from here on. */
  readonly onProved: (peer: RegionId, socket: LinkSocket) => Link
  /** It is over, with what went wrong, if something did. Once. */
  readonly onClosed: (error: MeridianError | undefined) => void
}

/** Counters since the start, for metrics: bytes are what went over the network in WebSocket messages, deflated. */
export interface LinkStats {
  connections: number
  refusals: number
  messagesIn: number
  bytesIn: number
  messagesOut: number
  bytesOut: number
}

export class SpokenSocket implements LinkSocket {
  readonly #options: LinkSocketOptions
  readonly #socket: WebSocket
  readonly #deadline: NodeJS.Timeout
  #ending: NodeJS.Timeout | undefined
  #link: Link | undefined
  #outgoing: Uint8Array[] = []
  #outgoingBytes = 0
  #isFull = false
  #error: MeridianError | undefined
  #isOver = false
  #countedIn = 0
  #countedOut = 0

  constructor(options: LinkSocketOptions) {
    this.#options = options
    this.#socket = options.socket
    const { socket, handshake } = options
    this.#deadline = setTimeout(
      () => this.close(new MeridianError('TIMEOUT', { message: 'The other region did not prove itself in time.' })),
      options.handshakeMs,
    )
    socket.on('message', (data: RawData, isBinary: boolean) => this.#receive(data, isBinary))
    socket.on('error', (error) => {
      this.#error ??= new MeridianError('TIMEOUT', { message: 'The connection to the other region failed.', cause: error })
    })
    socket.on('close', (code: number, reason: Buffer) => this.#closed(code, reason))
    if (handshake.end === 'dialled') this.#whenOpen(() => socket.send(handshake.dialer.greeting()))
  }

  send(message: Uint8Array): void {
    if (this.#outgoing.length === 0) queueMicrotask(() => this.#flush())
    this.#outgoing.push(message)
    this.#outgoingBytes += message.length
  }

  bufferedBytes(): number {
    const bytes = this.#outgoingBytes + this.#socket.bufferedAmount
    if (bytes >= this.#options.roomBytes) this.#isFull = true
    return bytes
  }

  close(error: MeridianError | undefined): void {
    if (this.#isOver) return
    this.#error ??= error
    this.#flush()
    clearTimeout(this.#deadline)
    const { readyState } = this.#socket
    if (readyState !== WebSocket.OPEN || error?.code === 'TIMEOUT') return this.#socket.terminate()
    this.#socket.close(error?.closeCode ?? 1000, reasonOf(error))
    this.#ending ??= setTimeout(() => this.#socket.terminate(), closeMs)
  }

  /** At once, without a word. */
  terminate(): void {
    this.#socket.terminate()
  }

  /** Counts what went over the network since the last time. */
  count(): void {
    const { stats } = this.#options
    const counters = netSocketOf(this.#socket)
    if (counters === undefined) return
    const { bytesRead, bytesWritten } = counters
    stats.bytesIn += bytesRead - this.#countedIn
    stats.bytesOut += bytesWritten - this.#countedOut
    this.#countedIn = bytesRead
    this.#countedOut = bytesWritten
  }

  #whenOpen(run: () => void): void {
    if (this.#socket.readyState === WebSocket.OPEN) run()
    else this.#socket.once('open', run)
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (!isBinary || !(data instanceof Uint8Array))
      return this.close(new MeridianError('FRAME_INVALID', { message: 'A text message; links are binary.' }))
    this.#options.stats.messagesIn++
    const link = this.#link
    if (link !== undefined) return link.receive(data)
    if (data.length > handshakeBytesMax)
      return this.close(new MeridianError('FRAME_TOO_LARGE', { message: 'Too much before the other region is known.' }))
    try {
      this.#shake(data)
    } catch (thrown) {
      this.close(toMeridianError(thrown))
    }
  }

  #shake(message: Uint8Array): void {
    const { handshake } = this.#options
    if (handshake.end === 'dialled') {
      this.#socket.send(handshake.dialer.receive(message))
      this.#proved(handshake.peer)
      return
    }
    const step = handshake.acceptor.receive(message)
    if (step.kind === 'answer') this.#socket.send(step.bytes)
    else this.#proved(step.peer)
  }

  #proved(peer: RegionId): void {
    clearTimeout(this.#deadline)
    this.#options.stats.connections++
    this.#link = this.#options.onProved(peer, this)
  }

  #flush(): void {
    const messages = this.#outgoing
    if (messages.length === 0) return
    this.#outgoing = []
    this.#outgoingBytes = 0
    if (this.#socket.readyState !== WebSocket.OPEN) return
    let from = 0
    let bytes = 0
    for (let index = 0; index < messages.length; index++) {
      const { length } = messages[index] ?? { length: 0 }
      if (index > from && bytes + length > linkMessageBytesMax / 2) {
        this.#write(messages.slice(from, index))
        from = index
        bytes = 0
      }
      bytes += length
    }
    this.#write(messages.slice(from))
  }

  #write(messages: readonly Uint8Array[]): void {
    this.#options.stats.messagesOut++
    const [only] = messages
    this.#socket.send(only !== undefined && messages.length === 1 ? only : concat(messages), () => {
      if (!this.#isFull || this.#socket.bufferedAmount >= this.#options.roomBytes / 2) return
      this.#isFull = false
      this.#link?.drained()
    })
  }

  #closed(code: number, reason: Buffer): void {
    if (this.#isOver) return
    this.count()
    this.#isOver = true
    clearTimeout(this.#deadline)
    clearTimeout(this.#ending)
    const link = this.#link
    this.#link = undefined
    link?.close(undefined)
    if (link === undefined) this.#options.stats.refusals++
    this.#error ??= peerError(code, reason, link !== undefined)
    this.#options.onClosed(this.#error)
  }
}

/** At most 123 bytes fit into a close; the sentence is what helps. */
function reasonOf(error: MeridianError | undefined): string {
  if (error === undefined) return ''
  let text = `${error.code} ${error.sentence}`
  while (Buffer.byteLength(text) > 120) text = text.slice(0, -1)
  return text
}

/** What the other end gave as its reason; undefined if it just went. */
function peerError(code: number, reason: Buffer, wasProved: boolean): MeridianError | undefined {
  if (code >= 4400) {
    const said = reason.toString()
    return new MeridianError('LINK_REFUSED', { message: `The other region ended it: ${said === '' ? code : said}.` })
  }
  return wasProved ? undefined : new MeridianError('TIMEOUT', { message: 'The other region closed before it proved itself.' })
}

/** ws shows it to nobody; its counters are what the network saw. */
function netSocketOf(socket: WebSocket): { readonly bytesRead: number; readonly bytesWritten: number } | undefined {
  const inner: unknown = Reflect.get(socket, '_socket')
  if (typeof inner !== 'object' || inner === null || !('bytesRead' in inner) || !('bytesWritten' in inner)) return undefined
  return { bytesRead: Number(inner.bytesRead), bytesWritten: Number(inner.bytesWritten) }
}
