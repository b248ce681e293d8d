/** What the connection's machine asks of the world: a token, a socket, and to be woken. */

import { MeridianError } from '@meridian/core/errors'
import type { TokenSource } from './options.js'
import type { Sync } from './sync.js'
import type { ClientSocket, ClientWorld } from './world.js'

export interface DialerEffects {
  sync(): Sync
  report(thrown: unknown): void
}

export class Dialer {
  readonly #world: ClientWorld
  readonly #effects: DialerEffects
  #source: TokenSource
  #socket: ClientSocket | undefined
  #wake: { readonly atMs: number; readonly cancel: () => void } | undefined

  constructor(world: ClientWorld, source: TokenSource, effects: DialerEffects) {
    this.#world = world
    this.#source = source
    this.#effects = effects
  }

  get tokens(): 'fixed' | 'provided' {
    return typeof this.#source === 'string' ? 'fixed' : 'provided'
  }

  /** In place of the one that the app gave first; a token function is asked as before. */
  replaceToken(token: string): void {
    if (typeof this.#source === 'string') this.#source = token
  }

  wakeAt(atMs: number | undefined): void {
    if (this.#wake?.atMs === atMs) return
    this.#wake?.cancel()
    this.#wake = undefined
    if (atMs === undefined) return
    const cancel = this.#world.after(Math.max(0, atMs - this.#world.monotonicMs()), () => {
      this.#wake = undefined
      this.#effects.sync().receive({ type: 'time' })
    })
    this.#wake = { atMs, cancel }
  }

  requestToken(): void {
    const source = this.#source
    if (typeof source === 'string') this.#world.defer(() => this.#effects.sync().receive({ type: 'token', token: source }))
    else void this.#ask(source)
  }

  async #ask(source: Exclude<TokenSource, string>): Promise<void> {
    try {
      const token = await source({ signal: undefined })
      this.#effects.sync().receive({ type: 'token', token })
    } catch (thrown) {
      const error =
        thrown instanceof MeridianError ? thrown : new MeridianError('TOKEN_INVALID', { retry: 'backoff', cause: thrown })
      this.#effects.report(error)
      this.#effects.sync().receive({ type: 'tokenFailed', error })
    }
  }

  dial(socket: number, url: string): void {
    const sync = this.#effects.sync()
    this.#socket = this.#world.dial(url, {
      opened: () => sync.receive({ type: 'opened', socket }),
      message: (bytes) => sync.message(socket, bytes),
      lost: () => sync.receive({ type: 'lost', socket, code: 'TIMEOUT' }),
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
