/**
 * The network between simulated devices and a node: each connection is two lines in order, with a delay of their own a message. It can be
 * cut, so that both ends hear of it, or go dead, so that nobody does (half-open); a slow reader takes little at a time.
 *
 * It loses whole tails of a connection and nothing in the middle, as TCP does.
 */

import type { ClientSocket, SocketEvents } from '@meridian/client/world'
import type { SimNode, SimSocket } from './node.js'
import type { SeededRandom } from './random.js'
import type { Scheduler } from './scheduler.js'

export interface NetworkWorld {
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  /** The node that answers at this address now; none while its process is down. */
  node(url: string): SimNode | undefined
  /** Milliseconds of one way; the defaults suit a region in the neighbourhood. */
  readonly delayMs?: DelayMs
  /** Told of each message that arrives. */
  readonly arrived?: (link: Link, direction: 'up' | 'down', message: Uint8Array) => void
}

/** Who dials whom. */
export interface Dialled {
  readonly url: string
  readonly device: number
}

/** Milliseconds of one way; a message now and then takes much longer. */
export interface DelayMs {
  readonly least: number
  readonly most: number
  readonly hiccup: number
}
const neighbourhood: DelayMs = { least: 1, most: 40, hiccup: 900 }

export class Network {
  readonly links = new Set<Link>()
  readonly #world: NetworkWorld

  constructor(world: NetworkWorld) {
    this.#world = world
  }

  /** `reachable` is asked when the dialled socket would open. */
  dial({ url, device }: Dialled, events: SocketEvents, reachable: () => boolean): Link {
    const link = new Link(this.#world, { url, device }, events, () => this.links.delete(link))
    this.links.add(link)
    const { least, most } = this.#world.delayMs ?? neighbourhood
    this.#world.scheduler.after(this.#world.random.between(least, most), () => {
      const node = reachable() ? this.#world.node(url) : undefined
      link.open(node)
    })
    return link
  }

  /** The process of a node died: its system resets what it can reach, and dead links stay silent. */
  nodeDied(node: SimNode): void {
    for (const link of this.links) if (link.socket?.node === node) link.nodeDied()
  }

  /** Dead links are found out and slow ones run on. */
  heal(): void {
    for (const link of this.links) {
      link.hurry()
      if (link.isDead) link.cut()
    }
  }
}

export class Link implements ClientSocket {
  isDead = false
  socket: SimSocket | undefined
  readonly url: string
  readonly device: number
  readonly #world: NetworkWorld
  readonly #delayMs: DelayMs
  readonly #events: SocketEvents
  readonly #gone: () => void
  #clientEnded = false
  #ended = false
  /** When the newest message of each direction arrives; the next one cannot overtake it. */
  #upAt = 0
  #downAt = 0

  constructor(world: NetworkWorld, { url, device }: Dialled, events: SocketEvents, gone: () => void) {
    this.url = url
    this.device = device
    this.#world = world
    this.#delayMs = world.delayMs ?? neighbourhood
    this.#events = events
    this.#gone = gone
  }

  get isOpen(): boolean {
    return this.socket !== undefined && !this.#ended
  }

  open(node: SimNode | undefined): void {
    if (this.#ended || this.#clientEnded) return
    if (node === undefined) return this.#lose()
    const socket = node.connect()
    this.socket = socket
    socket.onClose = () => this.#down(() => this.#lose())
    socket.listen((message) =>
      this.#down(() => {
        this.#world.arrived?.(this, 'down', message)
        this.#events.message(message)
      }),
    )
    if (!this.#clientEnded) this.#events.opened()
  }

  // The client's end.

  send(message: Uint8Array): void {
    // The bytes are the sender's to use again.
    const bytes = new Uint8Array(message)
    this.#up(() => {
      this.#world.arrived?.(this, 'up', bytes)
      this.socket?.receive(bytes)
    })
  }

  close(): void {
    if (this.#clientEnded) return
    this.#clientEnded = true
    this.#up(() => this.#hangUp())
  }

  // What happens to it.

  /** Both ends hear of it, each after a while; what is on its way is lost. */
  cut(): void {
    if (this.#ended) return
    this.isDead = true
    const { scheduler, random } = this.#world
    scheduler.after(random.between(0, this.#delayMs.most), () => this.#hangUp())
    scheduler.after(random.between(0, this.#delayMs.most), () => this.#lose())
  }

  /** Nothing passes any more and nobody hears of it. */
  die(): void {
    this.isDead = true
  }

  nodeDied(): void {
    if (this.socket === undefined) return
    this.socket = undefined
    this.#down(() => this.#lose())
  }

  /** The client's reader stops: what the node sends stands in its socket. */
  slow(): void {
    if (this.socket !== undefined) this.socket.held = true
  }

  drain(bytes: number): void {
    if (this.socket?.node.alive === true && !this.isDead) this.socket.drain(bytes)
  }

  hurry(): void {
    if (this.socket?.held === true && this.socket.node.alive) this.socket.release()
  }

  #up(arrive: () => void): void {
    const { scheduler } = this.#world
    this.#upAt = Math.max(this.#upAt, scheduler.nowMs + this.#delay())
    scheduler.after(this.#upAt - scheduler.nowMs, () => {
      if (!this.isDead && !this.#ended) arrive()
    })
  }

  #down(arrive: () => void): void {
    const { scheduler } = this.#world
    this.#downAt = Math.max(this.#downAt, scheduler.nowMs + this.#delay())
    scheduler.after(this.#downAt - scheduler.nowMs, () => {
      if (!this.isDead && !this.#ended && !this.#clientEnded) arrive()
    })
  }

  #delay(): number {
    const { random } = this.#world
    const { least, most, hiccup } = this.#delayMs
    return random.chance(0.02) ? random.between(most, hiccup) : random.between(least, most)
  }

  /** The node's end is told. */
  #hangUp(): void {
    const { socket } = this
    this.socket = undefined
    if (socket?.node.alive === true && socket.closedWith === undefined) socket.cut()
    if (this.#clientEnded) this.#end()
  }

  /** The client's end is told. */
  #lose(): void {
    if (this.#ended) return
    const heard = this.#clientEnded
    this.#end()
    if (!heard) this.#events.lost()
  }

  #end(): void {
    this.#ended = true
    this.#gone()
  }
}
