/** The channel and the locks of one browser, which its tabs share beside their disk. What is posted arrives a little later, in the order of its posting. */

import type { OpenTabPort, TabMessage, TabPort } from '@meridian/client/tabs'
import type { Device } from '../device.js'
import type { SeededRandom } from '../random.js'
import type { Scheduler } from '../scheduler.js'
import type { Trace } from '../trace.js'

interface Port {
  readonly tab: string
  readonly receive: (message: TabMessage) => void
  lost: () => void
  isOpen: boolean
  /** When the newest of what was posted to it arrives. */
  arrivesAtMs: number
  readonly device: () => Device | undefined
}

/** Milliseconds from one tab to another, at most. */
const delayMs = 4

export class Browser {
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  #ports: Port[] = []
  #holder: Port | undefined
  #waiting: { readonly port: Port; readonly granted: () => void }[] = []
  #watches: { readonly tab: string; readonly port: Port; readonly gone: () => void }[] = []

  readonly #trace: Trace

  constructor(scheduler: Scheduler, random: SeededRandom, trace: Trace) {
    this.#scheduler = scheduler
    this.#random = random
    this.#trace = trace
  }

  /** For each process of a tab anew. */
  opener(device: () => Device | undefined): OpenTabPort {
    return (tab, receive) => {
      const port: Port = { tab, receive, lost: () => undefined, isOpen: true, arrivesAtMs: 0, device }
      this.#ports.push(port)
      return this.#end(port)
    }
  }

  /** The tab died: what it had posted arrives, and the browser gives back its locks. */
  killed(device: Device): void {
    for (const port of [...this.#ports]) if (port.device() === device) this.#leave(port)
  }

  #end(port: Port): TabPort {
    return {
      post: (message) => {
        if (!port.isOpen) return
        for (const other of this.#ports) {
          if (other === port) continue
          const copy = structuredClone(message)
          this.#later(other, () => {
            this.#trace.note('@', `d${port.device()?.number}`, told(copy))
            other.receive(copy)
          })
        }
      },
      lead: (how, granted, lost) => {
        port.lost = lost
        if (how === 'take' && this.#holder !== undefined && this.#holder !== port) {
          const before = this.#holder
          this.#holder = undefined
          this.#later(before, () => before.lost())
          this.#waiting.unshift({ port, granted })
        } else this.#waiting.push({ port, granted })
        this.#grant()
      },
      watch: (tab, gone) => {
        this.#watches.push({ tab, port, gone })
        if (!this.#ports.some((other) => other.tab === tab)) this.#tellGone(tab)
      },
      close: () => this.#leave(port),
    }
  }

  #later(port: Port, run: () => void): void {
    const { nowMs } = this.#scheduler
    port.arrivesAtMs = Math.max(port.arrivesAtMs, nowMs + this.#random.below(delayMs + 1))
    this.#scheduler.after(port.arrivesAtMs - nowMs, () =>
      port.device()?.enter(() => {
        if (port.isOpen) run()
      }),
    )
  }

  #grant(): void {
    if (this.#holder !== undefined) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#holder = next.port
    this.#later(next.port, () => {
      if (this.#holder === next.port) next.granted()
    })
  }

  #leave(port: Port): void {
    if (!port.isOpen) return
    port.isOpen = false
    this.#ports = this.#ports.filter((other) => other !== port)
    this.#waiting = this.#waiting.filter((one) => one.port !== port)
    this.#watches = this.#watches.filter((one) => one.port !== port)
    if (this.#holder === port) this.#holder = undefined
    this.#tellGone(port.tab)
    this.#grant()
  }

  #tellGone(tab: string): void {
    for (const watch of this.#watches) if (watch.tab === tab) this.#later(watch.port, watch.gone)
    this.#watches = this.#watches.filter((one) => one.tab !== tab)
  }
}

/** One line of what a tab says, without its bytes. */
const told = ({ tab: _tab, ...message }: TabMessage): string =>
  JSON.stringify(message, (_key, value: unknown) => (value instanceof Uint8Array ? value.length : value))
