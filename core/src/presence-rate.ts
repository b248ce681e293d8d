/** Lets a session announce so many presence states a second (SES3); of more only the newest goes out, a second later. */

import type { Attachment } from './attachment.js'
import type { Presence } from './presence.js'

export class PresenceRate {
  readonly #perSecond: number
  readonly #announce: (attachment: Attachment, presence: Presence) => void
  #left: number
  readonly #late = new Map<Attachment, Presence>()

  constructor(perSecond: number, announce: (attachment: Attachment, presence: Presence) => void) {
    this.#announce = announce
    this.#perSecond = perSecond
    this.#left = perSecond
  }

  announce(attachment: Attachment, presence: Presence): void {
    if (this.#left <= 0) {
      this.#late.set(attachment, presence)
      return
    }
    this.#left--
    this.#announce(attachment, presence)
  }

  /** The session, or its attachment, is gone: others hear that at once. */
  leave(attachment: Attachment, presence: Presence): void {
    this.#late.delete(attachment)
    this.#announce(attachment, presence)
  }

  /** What others were told before the state that waits for its second, if one does. */
  lateBefore(attachment: Attachment): Uint8Array | undefined {
    return this.#late.get(attachment)?.before
  }

  forget(attachment: Attachment): void {
    this.#late.delete(attachment)
  }

  /** A second has passed. */
  tick(): void {
    this.#left = this.#perSecond
    for (const [attachment, presence] of this.#late) this.#announce(attachment, presence)
    this.#late.clear()
  }
}
