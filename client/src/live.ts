/**
 * A document that somebody has open: a plain `Y.Doc`, kept in step with the sync machine. Each opening has a client id of its own, drawn
 * from the injected random source and never stored: two openings with one id, in two tabs or after a restore, would make replicas differ for ever.
 */

import type { Random } from '@meridian/core/effects'
import type { EngineName } from '@meridian/core/engine'
import * as Y from 'yjs'
import { shownState } from './yjs.js'

/** An open document of any engine, as the client keeps it in step. */
export interface Live {
  readonly engine: EngineName
  /** Names this opening among those who are present. */
  readonly clientId: number
  /** True once the local records are in the document. */
  isLoaded: boolean
  /** Bytes of what was applied before what it builds on. */
  readonly waitingBytes: number
  /** What others wrote. */
  apply(updates: readonly Uint8Array[]): void
  /** Everything as one update, if the local records are in it. */
  loadedState(): Uint8Array | undefined
  /** What it shows, as one update. */
  shown(): Uint8Array
  destroy(): void
}

/** How documents of one kind are opened. */
export type OpenLive = (random: Random, onEdit: (update: Uint8Array) => void, report: (thrown: unknown) => void) => Live

export class LiveDocument implements Live {
  readonly engine = 'yjs'
  readonly ydoc: Y.Doc
  /** True once the local records are in the document. */
  isLoaded = false
  readonly #origin = { meridian: true }
  /**
   * An update that was applied by the app before what it builds on waits inside Yjs, and shows together with what it waited for: so what
   * comes of that turn is an edit, too. What of it the region has already adds nothing there (SES7).
   */
  #hadPending = false
  readonly #report: (thrown: unknown) => void

  constructor(random: Random, onEdit: (update: Uint8Array) => void, report: (thrown: unknown) => void) {
    this.#report = report
    this.ydoc = new Y.Doc()
    this.ydoc.clientID = random.uint32()
    this.ydoc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== this.#origin || this.#hadPending) onEdit(update)
    })
  }

  get clientId(): number {
    return this.ydoc.clientID
  }

  /** Bytes of what was applied before what it builds on. */
  get waitingBytes(): number {
    const { pendingStructs, pendingDs } = this.ydoc.store
    return (pendingStructs?.update.length ?? 0) + (pendingDs?.length ?? 0)
  }

  /**
   * What others wrote, in one transaction: observers see all of it at once. An observer that throws, or an update that Yjs cannot read,
   * is reported and stops nothing: the rest is as true as before.
   */
  apply(updates: readonly Uint8Array[]): void {
    this.#hadPending = this.isLoaded && this.waitingBytes > 0
    try {
      this.ydoc.transact(() => {
        for (const update of updates) {
          try {
            Y.applyUpdate(this.ydoc, update, this.#origin)
          } catch (thrown) {
            this.#report(thrown)
          }
        }
        this.#applyWaiting()
      }, this.#origin)
    } catch (thrown) {
      this.#report(thrown)
    }
    this.#hadPending = false
  }

  /**
   * Yjs notes one clock a client that waiting updates lack, so that two of them which lack different ones may wait for ever though all is there: here
   * they are tried again until that brings nothing more.
   */
  #applyWaiting(): void {
    const { store } = this.ydoc
    for (let bytesBefore = Number.POSITIVE_INFINITY; ; ) {
      const waiting = store.pendingStructs
      if (waiting === null || waiting.update.length >= bytesBefore) return
      bytesBefore = waiting.update.length
      store.pendingStructs = null
      try {
        Y.applyUpdateV2(this.ydoc, waiting.update, this.#origin)
      } catch (thrown) {
        store.pendingStructs ??= waiting
        return this.#report(thrown)
      }
    }
  }

  /** Everything that was applied, what waits for something else, too. */
  state(): Uint8Array {
    return Y.encodeStateAsUpdate(this.ydoc)
  }

  /** The same, if the local records are in it. */
  loadedState(): Uint8Array | undefined {
    return this.isLoaded ? this.state() : undefined
  }

  shown(): Uint8Array {
    return shownState(this.ydoc)
  }

  destroy(): void {
    this.ydoc.destroy()
  }
}
