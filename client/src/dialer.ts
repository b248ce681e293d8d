/** What the connection's machine asks of the world: a token, a socket, and to be woken. */

import { MeridianError } from '@meridian/core/errors'
import type { TokenSource } from './options.js'
import type { LineEvent } from './sync.js'
import type { ClientSocket, ClientWorld } from './world.js'

export interface DialerEffects {
  receive(event: LineEvent): void
  message(socket: number, message: Uint8Array): void
  report(thrown: unknown): void
}

export class Dialer {
  readonly #world: ClientWorld
  readonly #effects: DialerEffects
  #socket: ClientSocket | undefined

  constructor(world: ClientWorld, effects: DialerEffects) {
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
