/**
 * Presence: what clients show of themselves while they have a document open. Never logged, bounded, and gone with its session (SES6). This is the
 * newest state of one session and document, encoded once for each wire.
 */

import type { Shared } from './delivery.js'
import { Outgoing } from './outgoing.js'
import type { PresenceToEncode, SharedEncoder } from './shared-encoder.js'

export class Presence implements Shared, PresenceToEncode {
  readonly handle: number
  readonly session: number
  readonly subject: string
  readonly payload: Uint8Array
  readonly before: Uint8Array
  readonly #encoded = new Map<SharedEncoder, Outgoing | undefined>()

  constructor(state: PresenceToEncode) {
    this.handle = state.handle
    this.session = state.session
    this.subject = state.subject
    this.payload = state.payload
    this.before = state.before
  }

  outgoing(wire: SharedEncoder): Outgoing | undefined {
    if (this.#encoded.has(wire)) return this.#encoded.get(wire)
    const frame = wire.encodePresence(this)
    const made = frame === undefined ? undefined : new Outgoing([frame])
    this.#encoded.set(wire, made)
    return made
  }
}
