/**
 * A TCP proxy on loopback that behaves like a bad network: it resets connections at once or after so many bytes (mid-frame), swallows
 * everything without a word, delays, throttles, and refuses. It lives in the test's own process and leaves nothing behind.
 *
 * `reset` below is a TCP RST and not a FIN, so that what the kernel still held of it is thrown away, as on a real loss. What was swallowed is
 * never delivered later: a TCP stream has no holes, so such a connection is reset when the network heals.
 */

import type { Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import type { SeededRandom } from '../sim/random.js'

export interface ProxyOptions {
  /** Where to; asked at each connection. */
  readonly port: () => number
  /** Sees all that passes, before it is passed on. */
  readonly tap?: (bytes: Buffer, connection: Connection, direction: 'up' | 'down') => void
}

export type Weather =
  | { readonly kind: 'fine' }
  /** New connections are reset at once. */
  | { readonly kind: 'refuse' }
  /** Nothing passes, and nobody is told. */
  | { readonly kind: 'swallow' }
  /** Milliseconds that each piece takes longer. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** One piece of so many bytes every ten milliseconds, each way. */
  | { readonly kind: 'throttle'; readonly bytes: number }

interface Piece {
  readonly bytes: Buffer
  readonly dueMs: number
}

const throttleMs = 10
/** What waits in the proxy before it stops reading. */
const waitingBytesMax = 4 * 1024 * 1024

/** One way of one connection, in order whatever the weather. */
class Pipe {
  readonly #from: Socket
  readonly #to: Socket
  readonly #connection: Connection
  #waiting: Piece[] = []
  #waitingBytes = 0
  #ended = false
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket, connection: Connection) {
    this.#from = from
    this.#to = to
    this.#connection = connection
    from.on('end', () => {
      this.#ended = true
      this.pump()
    })
    to.on('drain', () => this.pump())
  }

  receive(bytes: Buffer): void {
    const { weather } = this.#connection.proxy
    if (weather.kind === 'swallow') return this.#connection.swallow()
    this.#waiting.push({ bytes, dueMs: performance.now() + (weather.kind === 'delay' ? weather.ms : 0) })
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes > waitingBytesMax) this.#from.pause()
    this.pump()
  }

  pump(): void {
    if (this.#timer !== undefined) return
    for (;;) {
      const piece = this.#waiting[0]
      if (piece === undefined) break
      const { weather } = this.#connection.proxy
      const waitMs = piece.dueMs - performance.now()
      if (waitMs > 0) return this.#later(waitMs)
      if (this.#to.writableNeedDrain) return
      const bytesMax = weather.kind === 'throttle' ? weather.bytes : piece.bytes.length
      const bytes = piece.bytes.subarray(0, bytesMax)
      if (bytes.length === piece.bytes.length) this.#waiting.shift()
      else this.#waiting[0] = { bytes: piece.bytes.subarray(bytesMax), dueMs: piece.dueMs }
      this.#waitingBytes -= bytes.length
      if (!this.#connection.pass(bytes, this.#to)) return
      if (weather.kind === 'throttle') return this.#later(throttleMs)
    }
    if (this.#from.isPaused()) this.#from.resume()
    if (this.#ended) this.#to.end()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waiting = []
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.pump()
    }, ms)
  }
}

export class Connection {
  readonly proxy: CutProxy
  readonly #client: Socket
  readonly #server: Socket
  readonly #up: Pipe
  readonly #down: Pipe
  #swallowed = false
  #bytesLeft = Number.POSITIVE_INFINITY
  #over = false

  constructor(proxy: CutProxy, client: Socket, server: Socket, onTap: ProxyOptions['tap'], onOver: () => void) {
    this.proxy = proxy
    this.#client = client
    this.#server = server
    this.#up = new Pipe(client, server, this)
    this.#down = new Pipe(server, client, this)
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', () => this.reset())
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) {
          this.#over = true
          onOver()
        } else if (socket.errored !== null) this.reset()
      })
    }
    client.on('data', (bytes: Buffer) => {
      onTap?.(bytes, this, 'up')
      this.#up.receive(bytes)
    })
    server.on('data', (bytes: Buffer) => {
      onTap?.(bytes, this, 'down')
      this.#down.receive(bytes)
    })
  }

  /** The port by which the node knows this connection. */
  get localPort(): number {
    return this.#server.localPort ?? 0
  }

  reset(): void {
    if (this.#over) return
    this.#over = true
    this.#up.stop()
    this.#down.stop()
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  /** After so many more bytes, both ways together; most often in the midst of a frame. */
  resetAfter(bytes: number): void {
    this.#bytesLeft = bytes
  }

  swallow(): void {
    this.#swallowed = true
  }

  /** The weather changed. */
  changed(): void {
    if (this.#swallowed && this.proxy.weather.kind !== 'swallow') return this.reset()
    this.#up.pump()
    this.#down.pump()
  }

  /** False if that was the end. */
  pass(bytes: Buffer, to: Socket): boolean {
    if (this.#over) return false
    if (bytes.length <= this.#bytesLeft) {
      this.#bytesLeft -= bytes.length
      to.write(bytes)
      return true
    }
    // The piece has to leave before the reset, which would throw it away.
    to.write(bytes.subarray(0, this.#bytesLeft), () => this.reset())
    this.#bytesLeft = 0
    return false
  }
}

export class CutProxy {
  weather: Weather = { kind: 'fine' }
  port = 0
  connectionCount = 0
  readonly #options: ProxyOptions
  readonly #connections = new Set<Connection>()
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client))

  private constructor(options: ProxyOptions) {
    this.#options = options
  }

  static async start(options: ProxyOptions): Promise<CutProxy> {
    const proxy = new CutProxy(options)
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject)
      proxy.#server.listen(0, '127.0.0.1', resolve)
    })
    const address = proxy.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
    proxy.port = address.port
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** All connections, by RST, at once. */
  cut(): void {
    for (const connection of [...this.#connections]) connection.reset()
  }

  setWeather(weather: Weather): void {
    this.weather = weather
    for (const connection of [...this.#connections]) connection.changed()
  }

  /** Cut, and nobody gets through until the weather is another. */
  refuse(): void {
    this.weather = { kind: 'refuse' }
    this.cut()
  }

  resetAfter(bytes: number): void {
    for (const connection of this.#connections) connection.resetAfter(bytes)
  }

  /** One misfortune by chance; a `swallow` lasts until the next weather. Says what it was. */
  strike(random: SeededRandom): string {
    const kind = random.pick(['cut', 'mid-frame', 'swallow', 'delay', 'throttle'] as const)
    switch (kind) {
      case 'cut':
        this.cut()
        return kind
      case 'mid-frame': {
        const bytes = random.below(600)
        this.resetAfter(bytes)
        return kind
      }
      case 'swallow':
        this.setWeather({ kind })
        return kind
      case 'delay':
        this.setWeather({ kind, ms: random.between(1, 60) })
        return kind
      case 'throttle':
        this.setWeather({ kind, bytes: random.between(16, 512) })
        return kind
    }
  }

  async dispose(): Promise<void> {
    this.refuse()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined)
    if (this.weather.kind === 'refuse') {
      client.resetAndDestroy()
      return
    }
    this.connectionCount++
    const server = connect({ port: this.#options.port(), host: '127.0.0.1', allowHalfOpen: true })
    const connection: Connection = new Connection(this, client, server, this.#options.tap, () =>
      this.#connections.delete(connection),
    )
    this.#connections.add(connection)
  }
}
