/** What the machines of connections ask of the world: tokens, sockets, and what regions say of themselves. */

import { MeridianError } from '@meridian/core/errors'
import type { DeviceId } from '@meridian/core/ids'
import { randomDevice } from './identity.js'
import type { TokenSource } from './options.js'
import type { Place } from './places.js'
import type { Carrier, LineEvent } from './sync-state.js'
import type { ClientSocket, ClientWorld } from './world.js'

export interface DialerEffects {
  source(): TokenSource
  isClosed(): boolean
  receive(event: LineEvent, line: number): void
  message(socket: number, message: Uint8Array, line: number): void
  answered(line: number, place: Place, roundTripMs: number | undefined, text: string): void
  report(thrown: unknown): void
}

/** Of all lines. */
export class Dialers implements Carrier {
  readonly #world: ClientWorld
  readonly #effects: DialerEffects
  readonly #dialers = new Map<number, Dialer>()

  constructor(world: ClientWorld, effects: DialerEffects) {
    this.#world = world
    this.#effects = effects
  }

  newDevice(): DeviceId {
    return randomDevice(this.#world.random)
  }

  requestToken(line: number): void {
    this.#of(line).requestToken(this.#effects.source())
  }

  dial(line: number, socket: number, url: string): void {
    this.#of(line).dial(socket, url)
  }

  hangUp(line: number): void {
    this.#of(line).hangUp()
  }

  send(line: number, message: Uint8Array): void {
    this.#of(line).send(message)
  }

  ask(line: number, place: Place, timeoutMs: number): void {
    void this.#ask(line, place, timeoutMs)
  }

  isMetered(): boolean {
    return this.#world.isMetered?.() ?? false
  }

  async #ask(line: number, place: Place, timeoutMs: number): Promise<void> {
    const world = this.#world
    const fromMs = world.monotonicMs()
    const text = await world.get(place.listUrl, timeoutMs).catch(() => undefined)
    if (this.#effects.isClosed()) return
    this.#effects.answered(line, place, text === undefined ? undefined : world.monotonicMs() - fromMs, text ?? '')
  }

  #of(line: number): Dialer {
    let dialer = this.#dialers.get(line)
    if (dialer === undefined) {
      const effects = this.#effects
      dialer = new Dialer(this.#world, {
        receive: (event) => effects.receive(event, line),
        message: (socket, message) => effects.message(socket, message, line),
        report: (thrown) => effects.report(thrown),
      })
      this.#dialers.set(line, dialer)
    }
    return dialer
  }
}

interface LineEvents {
  receive(event: LineEvent): void
  message(socket: number, message: Uint8Array): void
  report(thrown: unknown): void
}

class Dialer {
  readonly #world: ClientWorld
  readonly #effects: LineEvents
  #socket: ClientSocket | undefined

  constructor(world: ClientWorld, effects: LineEvents) {
    this.#world = world
    this.#effects = effects
  }

  requestToken(source: TokenSource): void {
    if (typeof source === 'string') this.#world.defer(() => this.#effects.receive({ type: 'token', token: source }))
    else void this.#ask(source)
  }

  async #ask(source: Exclude<TokenSource, string>): Promise<void> {
    try {
      const token = await source({ signal: undefined })
      this.#effects.receive({ type: 'token', token })
    } catch (thrown) {
      const error =
        thrown instanceof MeridianError ? thrown : new MeridianError('TOKEN_INVALID', { retry: 'backoff', cause: thrown })
      this.#effects.report(error)
      this.#effects.receive({ type: 'tokenFailed', error })
    }
  }

  dial(socket: number, url: string): void {
    const effects = this.#effects
    this.#socket = this.#world.dial(url, {
      opened: () => effects.receive({ type: 'opened', socket }),
      message: (bytes) => effects.message(socket, bytes),
      lost: () => effects.receive({ type: 'lost', socket, code: 'TIMEOUT' }),
    })
  }

  send(message: Uint8Array): void {
    this.#socket?.send(message)
  }

  hangUp(): void {
    this.#socket?.close()
    this.#socket = undefined
  }
}
