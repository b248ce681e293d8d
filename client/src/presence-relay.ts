/**
 * What other tabs show of themselves in documents that are not open in this one, which has the connection: it goes to the node as if they
 * were (SES6). One relay for each such document.
 */

import type { AwarenessEntry } from '@meridian/core/awareness'
import type { DocumentName } from '@meridian/core/ids'
import { DocumentPresence } from './presence.js'

export interface RelayEffects {
  monotonicMs(): number
  after(ms: number, run: () => void): () => void
  send(document: DocumentName, update: Uint8Array): void
}

interface Relay {
  readonly presence: DocumentPresence
  /** By tab: what it showed last. */
  readonly shown: Map<string, readonly AwarenessEntry[]>
}

export class PresenceRelays {
  readonly #effects: RelayEffects
  readonly #relays = new Map<DocumentName, Relay>()

  constructor(effects: RelayEffects) {
    this.#effects = effects
  }

  shared(document: DocumentName, tab: string, entries: readonly AwarenessEntry[]): void {
    let relay = this.#relays.get(document)
    if (relay === undefined) {
      relay = { presence: this.#newPresence(document), shown: new Map() }
      this.#relays.set(document, relay)
    }
    relay.shown.set(tab, entries)
    relay.presence.shared(tab, entries)
  }

  left(tab: string): void {
    for (const { presence, shown } of this.#relays.values()) if (shown.delete(tab)) presence.left(tab)
  }

  /** This tab opens the document, or nobody has it open any more, or another tab has the connection. */
  end(document: DocumentName, heir?: DocumentPresence): void {
    const relay = this.#relays.get(document)
    this.#relays.delete(document)
    relay?.presence.end()
    if (relay !== undefined) for (const [tab, entries] of relay.shown) heir?.shared(tab, entries)
  }

  endAll(): void {
    for (const document of [...this.#relays.keys()]) this.end(document)
  }

  #newPresence(document: DocumentName): DocumentPresence {
    return new DocumentPresence(nobody, {
      monotonicMs: () => this.#effects.monotonicMs(),
      after: (ms, run) => this.#effects.after(ms, run),
      share: () => undefined,
      // One that has ended has nothing more to say.
      send: (update) => {
        if (this.#relays.has(document)) this.#effects.send(document, update)
      },
      subject: () => '',
      tell: () => undefined,
    })
  }
}

/** No client has this id: a relay shows nothing of its own tab. */
const nobody = -1
