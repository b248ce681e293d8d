/** Requests that are being answered, so that a node that drains closes no connection before what it says has left. */

import type { ServerResponse } from 'node:http'

export class Answering {
  readonly #responses = new Set<ServerResponse>()
  #whenNone: (() => void)[] = []

  add(response: ServerResponse): void {
    this.#responses.add(response)
    // Comes after `finish`, and also when the connection is gone.
    response.once('close', () => {
      this.#responses.delete(response)
      if (this.#responses.size === 0) for (const run of this.#whenNone.splice(0)) run()
    })
  }

  /** Resolves when none is answered. */
  ended(): Promise<void> {
    if (this.#responses.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenNone.push(resolve))
  }
}
