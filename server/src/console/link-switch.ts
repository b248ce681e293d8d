/**
 * One way in to a region for the links of another, which can be shut: a relay of TCP on loopback. Shut means what a cut cable means to the ends once they
 * notice: connections are reset, and none comes about. Open, it adds the delay that a distance would.
 */

import { connect, createServer, type Server, type Socket } from 'node:net'

export interface LinkSwitchOptions {
  /** Where it leads, on loopback. */
  readonly port: number
  /** Milliseconds that bytes take longer, each way. */
  readonly delayMs: number
}

export class LinkSwitch {
  readonly #options: LinkSwitchOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isOpen = true
  /** Bytes that passed, both ways, since it was made. */
  passedBytes = 0

  private constructor(options: LinkSwitchOptions) {
    this.#options = options
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket))
  }

  static async open(options: LinkSwitchOptions): Promise<LinkSwitch> {
    const made = new LinkSwitch(options)
    await new Promise<void>((resolve, reject) => {
      made.#server.once('error', reject)
      made.#server.listen(0, '127.0.0.1', resolve)
    })
    return made
  }

  /** Where it is entered. */
  get port(): number {
    const address = this.#server.address()
    return address === null || typeof address === 'string' ? 0 : address.port
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  cut(): void {
    this.#isOpen = false
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  heal(): void {
    this.#isOpen = true
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #accept(near: Socket): void {
    near.on('error', () => near.destroy())
    if (!this.#isOpen) {
      near.resetAndDestroy()
      return
    }
    const far = connect({ port: this.#options.port, host: '127.0.0.1', noDelay: true })
    far.on('error', () => far.destroy())
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.on('data', (bytes) => this.#pass(bytes, from, to))
      from.once('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
    }
  }

  /** Timers of one length fire in the order in which they were set, so that bytes stay in theirs. */
  #pass(bytes: Buffer, from: Socket, to: Socket): void {
    this.passedBytes += bytes.length
    setTimeout(() => {
      if (to.destroyed || to.write(bytes)) return
      from.pause()
      to.once('drain', () => from.resume())
    }, this.#options.delayMs)
  }
}
