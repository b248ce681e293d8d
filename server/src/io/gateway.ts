/**
 * Sockets of clients on the native wire: from an HTTP upgrade to messages of a `Session` and back. [hot]
 *
 * - SES3 Whoever is not known yet may send `greetingBytesMax` bytes in `greetingMs`, over all frames, and no more than
 *   `greetingSocketsMax` of them are kept: the oldest gives way. An honest client is known after one round trip, so a flood of silent
 *   sockets pushes out its own. Afterwards a message has `messageBytesMax` bytes; longer ones end at their header, unread.
 * - SES4 What a client does not read stays in its socket up to the session's mark. Whoever is not read from keeps its bytes in the kernel.
 * - There is no compression: it costs half a megabyte a socket, and bombs.
 *
 * ws makes the handshake and reads frames. Frames are written past it, straight to the net socket: the header is put in front once for all
 * receivers, and one message is one write.
 */

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errorTable, MeridianError } from '@meridian/core/errors'
import type { ErrorCode } from '@meridian/core/errors'
import type { Hub } from '@meridian/core/hub'
import type { RegionId, TenantId } from '@meridian/core/ids'
import type { SessionLimits } from '@meridian/core/limits'
import type { Outgoing } from '@meridian/core/outgoing'
import type { Door } from '@meridian/core/door'
import type { Asking, Connected, SessionSocket } from '@meridian/core/session'
import type { WireRequest } from '@meridian/core/wire'
import { type Server, WebSocket, WebSocketServer } from 'ws'
import type { Authenticator } from '../auth/authenticator.js'
import type { GatewayLimits } from '../config.js'
import { frameMessages } from './websocket-frame.js'

export interface GatewayOptions {
  readonly region: RegionId
  readonly limits: SessionLimits & GatewayLimits
  readonly authenticator: Authenticator
  readonly onRefused: (code: ErrorCode) => void
  /** The country that a request comes from, as a trusted proxy attests. */
  readonly countryOf: (request: IncomingMessage) => string | undefined
  /** Wires by the paths that they are spoken at; a path that ends in a slash is that of all behind it. */
  readonly doors: ReadonlyMap<string, Door>
}

/** Counters since the start, for metrics. */
export interface GatewayStats {
  messagesIn: number
  bytesIn: number
  messagesOut: number
  bytesOut: number
  /** Sockets of unknown clients that gave way to newer ones. */
  evicted: number
}

/** What a client may offer as subprotocol; nothing else is echoed, as it could hold a token. */
const subprotocol = 'meridian.v1'

export class Gateway {
  readonly hub: Hub
  readonly options: GatewayOptions
  readonly stats: GatewayStats = { messagesIn: 0, bytesIn: 0, messagesOut: 0, bytesOut: 0, evicted: 0 }
  readonly connections = new Set<Connection>()
  /** Connections whose client is not known, oldest first; plain HTTP ones are among them. */
  readonly #strangers = new Set<Socket>()
  readonly #servers = new Map<Door, Server<typeof ClientSocket>>()
  #whenEmpty: (() => void) | undefined
  #pingedAt = 0

  constructor(hub: Hub, options: GatewayOptions) {
    this.hub = hub
    this.options = options
    for (const door of new Set(options.doors.values())) this.#servers.set(door, this.#serverOf(door))
  }

  #serverOf({ wire }: Door): Server<typeof ClientSocket> {
    const { limits } = this.options
    // Known to ws and not yet to its types.
    const untyped = { closeTimeout: limits.closeMs }
    return new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: wire.limits(limits).messageBytesMax,
      maxFragments: limits.fragmentsMax,
      maxBufferedChunks: limits.chunksMax,
      handleProtocols: (offered: Set<string>) => (offered.has(subprotocol) ? subprotocol : false),
      WebSocket: ClientSocket,
      ...untyped,
    })
  }

  get strangerCount(): number {
    return this.#strangers.size
  }

  /** Bytes of all sockets that the kernel has not taken yet. Looks at each of them. */
  get bufferedBytes(): number {
    let bytes = 0
    for (const connection of this.connections) bytes += connection.bufferedBytes
    return bytes
  }

  /** A new connection: unknown until a token says otherwise, whatever it will speak. */
  accept(socket: Socket): void {
    this.#strangers.add(socket)
    socket.once('close', () => this.#strangers.delete(socket))
    if (this.#strangers.size <= this.options.limits.greetingSocketsMax) return
    const [oldest] = this.#strangers
    if (oldest === undefined) return
    this.#strangers.delete(oldest)
    this.stats.evicted++
    oldest.destroy()
  }

  known(socket: Socket): void {
    this.#strangers.delete(socket)
  }

  /** True if a wire is spoken at this path. */
  speaksAt(url: string | undefined): boolean {
    return routeOf(this.options.doors, url) !== undefined
  }

  /** An upgrade whose path, host and origin were found right. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const route = routeOf(this.options.doors, request.url)
    const server = route === undefined ? undefined : this.#servers.get(route.door)
    if (route === undefined || server === undefined) return void socket.destroy()
    server.handleUpgrade(request, socket, head, (client) => {
      const connection = new Connection(this, client, request, route)
      this.connections.add(connection)
    })
  }

  /** About once a second. */
  tick(nowMs: number): void {
    const pings = nowMs - this.#pingedAt >= this.options.limits.silenceMs / 2
    if (pings) this.#pingedAt = nowMs
    for (const connection of this.connections) {
      connection.session.tick(nowMs)
      if (pings && connection.isPinged) connection.ping()
    }
  }

  /** RES3: a policy was edited, of this tenant or of any. */
  review(tenant?: TenantId): void {
    for (const connection of [...this.connections]) connection.session.review(tenant)
  }

  /** Takes nothing in any more, so that what is on its way can come to an end. */
  pause(): void {
    for (const connection of this.connections) connection.hold()
  }

  /** Tells every client that the node stops. Calls back when all sockets are gone. */
  shutdown(done: () => void): void {
    if (this.connections.size === 0) return done()
    this.#whenEmpty = done
    for (const connection of this.connections) connection.shutdown()
  }

  /** Ends what is left, at once. */
  destroy(): void {
    for (const connection of this.connections) connection.destroy()
    for (const socket of this.#strangers) socket.destroy()
  }

  gone(connection: Connection): void {
    this.connections.delete(connection)
    if (this.connections.size > 0) return
    const done = this.#whenEmpty
    this.#whenEmpty = undefined
    done?.()
  }
}

/** Tells what ws found wrong by itself (an endless frame, a broken one) before ws says so with nothing but a number. */
class ClientSocket extends WebSocket {
  onViolation: ((error: MeridianError) => void) | undefined
  /** True once whoever holds it has set a time to close it. */
  closesLater = false

  override close(code?: number, reason?: string | Buffer): void {
    // ws closes with a code and without a reason only for what its receiver refuses.
    if (this.readyState === WebSocket.OPEN && code !== undefined && reason === undefined && this.onViolation !== undefined) {
      this.onViolation(violation(code))
      if (this.closesLater) return
    }
    if (this.readyState === WebSocket.OPEN) super.close(code, reason)
    // The second call of a closing handshake, which ws makes itself.
    else super.close()
  }
}

const tooLarge = 1009

function violation(code: number): MeridianError {
  if (code === tooLarge) return new MeridianError('FRAME_TOO_LARGE')
  return new MeridianError('FRAME_INVALID', { message: 'A WebSocket frame is not as RFC 6455 says, or in too many pieces.' })
}

interface Route {
  readonly door: Door
  readonly request: WireRequest
}

/** The token stands in the query, as clients that set no headers have it; neither goes into any log. */
function routeOf(doors: ReadonlyMap<string, Door>, url: string | undefined): Route | undefined {
  const [pathname = '', query = ''] = (url ?? '/').split(/\?(.*)/s)
  for (const [path, door] of doors) {
    const isUnder = path.endsWith('/') ? pathname.startsWith(path) : pathname === path
    if (!isUnder) continue
    return { door, request: { path: pathname.slice(path.length), token: new URLSearchParams(query).get('token') ?? '' } }
  }
  return undefined
}

class Connection implements SessionSocket {
  readonly session: Connected
  readonly #gateway: Gateway
  readonly #client: ClientSocket
  readonly #socket: Socket
  #greetingBytes = 0
  #held = false
  readonly #refusalMs: number
  readonly #tooLargeMs: number
  #closing: NodeJS.Timeout | undefined

  constructor(gateway: Gateway, client: ClientSocket, upgrade: IncomingMessage, { door, request }: Route) {
    const { socket } = upgrade
    const { wire } = door
    this.#refusalMs = wire.refusalMs
    this.#tooLargeMs = wire.tooLargeMs ?? 0
    this.#gateway = gateway
    this.#client = client
    this.#socket = socket
    client.onViolation = (error) => this.#refuse(error)
    client.on('message', (data, isBinary) => this.#receive(data, isBinary))
    client.on('close', () => {
      clearTimeout(this.#closing)
      this.session.closed()
      gateway.gone(this)
    })
    // What went wrong was told by a goodbye, or the peer is gone; `close` follows.
    client.on('error', () => undefined)
    // Clients that send only when somebody types answer pings, and that is a sign of life.
    client.on('pong', () => this.session.heard())
    socket.on('drain', () => this.session.drained())
    socket.on('data', this.#countGreeting)
    const { region, limits, onRefused, countryOf } = gateway.options
    const country = countryOf(upgrade)
    const attested = country === undefined ? {} : { country }
    this.session = door.connect(gateway.hub, this, { region, limits, onRefused, request, ...attested })
  }

  /** [hot] */
  send(message: Outgoing): void {
    if (this.#client.readyState !== WebSocket.OPEN) return
    let { framed } = message
    if (framed === undefined) {
      framed = frameMessages(message.messages)
      message.framed = framed
    }
    const { stats } = this.#gateway
    stats.messagesOut++
    stats.bytesOut += message.length
    const [only] = framed
    if (only !== undefined && framed.length === 1) {
      this.#socket.write(only)
      return
    }
    this.#socket.cork()
    for (const part of framed) this.#socket.write(part)
    this.#socket.uncork()
  }

  /** Clients of the native wire ping by themselves. */
  get isPinged(): boolean {
    return this.#refusalMs > 0
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  close(code: number, reason: string): void {
    if (this.#refusalMs === 0 || code === restartCode) return this.#client.close(code, reason)
    if (this.#closing !== undefined) return
    // Not read from meanwhile: the session has ended.
    this.#client.pause()
    this.#client.closesLater = true
    this.#closing = setTimeout(
      () => {
        this.#client.closesLater = false
        this.#client.resume()
        this.#client.close(code, reason)
      },
      code === errorTable.FRAME_TOO_LARGE.close ? Math.max(this.#refusalMs, this.#tooLargeMs) : this.#refusalMs,
    )
  }

  authenticate(token: string, asking: Asking): void {
    this.#gateway.options.authenticator.authenticate(token).then(
      (principal) => {
        asking.authenticated(principal)
        if (asking.state === 'open') this.#known()
      },
      (thrown: unknown) =>
        asking.fail(thrown instanceof MeridianError ? thrown : new MeridianError('INTERNAL', { cause: thrown })),
    )
  }

  pause(): void {
    this.#client.pause()
  }

  resume(): void {
    if (!this.#held) this.#client.resume()
  }

  ping(): void {
    if (this.#client.readyState === WebSocket.OPEN) this.#client.ping()
  }

  hold(): void {
    this.#held = true
    this.#client.pause()
  }

  shutdown(): void {
    this.session.shutdown()
    // The client's answer to the close has to be read.
    this.#held = false
    this.#client.resume()
  }

  destroy(): void {
    this.#client.terminate()
  }

  /** [hot] */
  #receive(data: unknown, isBinary: boolean): void {
    if (!isBinary || !(data instanceof Uint8Array)) {
      this.#refuse(new MeridianError('FRAME_INVALID', { message: 'A text message; the wire is binary.' }))
      return
    }
    const { stats } = this.#gateway
    stats.messagesIn++
    stats.bytesIn += data.length
    this.session.receive(data)
  }

  readonly #countGreeting = (chunk: Buffer): void => {
    this.#greetingBytes += chunk.length
    if (this.#greetingBytes <= this.#gateway.options.limits.greetingBytesMax + framingBytes) return
    this.#socket.off('data', this.#countGreeting)
    this.#refuse(new MeridianError('FRAME_TOO_LARGE', { message: 'Too much before the welcome.' }))
  }

  #known(): void {
    this.#gateway.known(this.#socket)
    this.#socket.off('data', this.#countGreeting)
  }

  #refuse(error: MeridianError): void {
    this.session.fail(error)
  }
}

/** Of a node that stops and waits for its clients to go; whoever comes again at once meets the next one. */
const restartCode = errorTable.DRAINING.close

/** Room for the headers of a greeting's WebSocket frames, on top of what these hold: the session counts that itself. */
const framingBytes = 1024
