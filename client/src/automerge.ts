/**
 * `@meridian/client/automerge`: documents of Automerge in a store.
 *
 * ```ts
 * const store = connect({ url: 'http://127.0.0.1:7101' })
 * const note = openAutomerge<{ text: string }>(store, 'notes/42')
 * note.change((draft) => { draft.text = 'Hello' })
 * await note.saved()
 * ```
 *
 * The same store, outbox and connection as of documents of Yjs. A bundle that does not import this file holds no Automerge. What is not of
 * Automerge itself (status, saved, presence) is as on any handle.
 */

import * as A from '@automerge/automerge'
import { assert } from '@meridian/core/errors'
import type { Store } from './client.js'
import type { DocumentHandle, Origin, SavedOptions, WaitOptions } from './handle.js'
import type { Listener } from './listeners.js'
import { subscribe } from './listeners.js'
import { LiveAutomerge } from './live-automerge.js'
import type { Presence } from './presence.js'
import type { DocumentStatus } from './status.js'

/** `collection/key`. All handles of a document in one store share it. @throws MeridianError NAME_INVALID, CLOSED, ENGINE_MISMATCH */
export function openAutomerge<T extends object = Record<string, unknown>>(store: Store, name: string): AutomergeHandle<T> {
  const { handle, live } = store.openAs(name, 'automerge', (...parts) => new LiveAutomerge(...parts))
  assert(live instanceof LiveAutomerge, 'a document of Automerge is one')
  return new AutomergeHandle<T>(handle, live)
}

export class AutomergeHandle<T extends object> {
  readonly #handle: DocumentHandle
  readonly #live: LiveAutomerge

  constructor(handle: DocumentHandle, live: LiveAutomerge) {
    this.#handle = handle
    this.#live = live
  }

  get name(): string {
    return this.#handle.name
  }

  /** What it is now, frozen; another object after each change. Empty until `ready` if the device holds some of it. */
  get doc(): A.Doc<T> {
    return this.#live.doc as unknown as A.Doc<T>
  }

  /** Every change with the document after it, made when they are looked at. */
  get history(): A.State<T>[] {
    return A.getHistory(this.doc)
  }

  get ready(): Promise<Origin> {
    return this.#handle.ready
  }

  get presence(): Presence {
    return this.#handle.presence
  }

  get pending(): number {
    return this.#handle.pending
  }

  get status(): DocumentStatus {
    return this.#handle.status
  }

  /** Edits the document, here at once and elsewhere when it gets there. What throws in `edit` changes nothing. */
  change(edit: (draft: T) => void, options: { readonly message?: string } = {}): void {
    this.#live.change((doc) => A.change(doc as unknown as A.Doc<T>, options, edit))
  }

  /** Called after each change of the document, whoever made it, of status or pending; the answer ends it. */
  subscribe(listener: Listener): () => void {
    const ends = [this.#handle.subscribe(listener), subscribe(this.#live.listeners, listener)]
    return () => {
      for (const end of ends) end()
    }
  }

  /** Resolves when a region, or as many as are asked for, has made all changes so far durable. */
  saved(options?: SavedOptions): Promise<void> {
    return this.#handle.saved(options)
  }

  /** Resolves when all changes so far are durable on this device. */
  stored(options?: WaitOptions): Promise<void> {
    return this.#handle.stored(options)
  }

  /** What is not saved is pushed on. The memory of the document is freed with its last handle. */
  close(): Promise<void> {
    return this.#handle.close()
  }
}
