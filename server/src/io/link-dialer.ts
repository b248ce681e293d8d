/**
 * Keeps one link to one region: dials, and dials again when it ended, at first at once and then less and less often. Of two regions the one whose
 * name comes first dials, so that there is one connection and nobody has to choose.
 */

import type { Random } from '@meridian/core/effects'
import type { RegionId } from '@meridian/core/ids'

/** The first attempt after a loss comes within this. */
const firstMs = 100

export interface DialerOptions {
  readonly random: Random
  /** Milliseconds between two attempts, at most. */
  readonly dialMs: number
  /** Begins a connection. @param over to be called once, when it ended; `proved`: it was a link */
  readonly dial: (over: (how: 'proved' | 'failed') => void) => void
}

export const dials = (here: RegionId, peer: RegionId): boolean => here < peer

export class LinkDialer {
  readonly #options: DialerOptions
  #attempt = 0
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: DialerOptions) {
    this.#options = options
    this.#dial()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #dial(): void {
    this.#options.dial((how) => {
      if (this.#isClosed) return
      this.#attempt = how === 'proved' ? 0 : this.#attempt + 1
      const { dialMs, random } = this.#options
      const most = Math.min(dialMs, firstMs * 2 ** Math.min(this.#attempt, 16))
      this.#timer = setTimeout(() => this.#dial(), (most * (1 + random.uint32() / 2 ** 32)) / 2)
    })
  }
}
