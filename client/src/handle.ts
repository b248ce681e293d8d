/** What an app holds of one document: `Handle` is what it sees, and `DocumentHandle` asks the client that has it open. */

import type { DocumentName } from '@meridian/core/ids'
import { documentParts } from '@meridian/core/ids'
import type * as Y from 'yjs'
import type { Signal } from './abort.js'
import type { Listener } from './listeners.js'
import { subscribe } from './listeners.js'
import type { Presence } from './presence.js'
import type { DocumentStatus } from './status.js'

export interface WaitOptions {
  /** Ends the wait, not what is waited for. */
  readonly signal?: Signal | undefined
}

export interface SavedOptions extends WaitOptions {
  /** Regions that are to have made them durable. Default 1. More than there are of the document's: REGIONS_TOO_FEW, at once. */
  readonly regions?: number | undefined
}

/** Where the local copy came from, when a handle is ready. */
export type Origin =
  /** The device had it. */
  | 'device'
  /** The device had nothing; a region has answered. */
  | 'region'
  /** Neither the device nor a region had anything to say yet: the document begins empty here and is merged later. */
  | 'nowhere'

export interface Handle {
  /** `collection/key`. */
  readonly name: string
  /**
   * Plain Yjs, usable at once. All handles of a document in one store share it. An update that is applied to it before what it builds on
   * is an edit when that has come, and not before.
   */
  readonly ydoc: Y.Doc
  /**
   * Resolves when there is something to show: the copy of this device or, if it has none, the region's answer, or the failure of
   * the first attempt to reach one. Rejects if the document is refused and nothing of it is on the device, or when it is closed first.
   */
  readonly ready: Promise<Origin>
  /** Who else has it open, and what this client shows of itself. All handles of a document in one store share it. */
  readonly presence: Presence
  /** Edits that no region has saved yet, in pushes. */
  readonly pending: number
  readonly status: DocumentStatus
  /** Called after each change of status or pending; the answer ends it. */
  subscribe(listener: Listener): () => void
  /** Resolves when a region, or as many as are asked for, has made all edits so far durable. Rejects if one is refused for good, or when the handle is closed. */
  saved(options?: SavedOptions): Promise<void>
  /** Resolves when all edits so far are durable on this device. Rejects with STORE_FULL or STORE_FAILED if they are not, for now. */
  stored(options?: WaitOptions): Promise<void>
  /** What is not saved is pushed on. The `Y.Doc` is destroyed with its last handle. */
  close(): Promise<void>
}

/** The client, as its handles know it. */
export interface HandleOwner {
  statusOf(document: DocumentName): DocumentStatus
  saved(handle: DocumentHandle, options: SavedOptions): Promise<void>
  stored(handle: DocumentHandle, signal: Signal | undefined): Promise<void>
  closeHandle(handle: DocumentHandle): Promise<void>
  tell(listeners: ReadonlySet<Listener>): void
}

/** A handle without its document, which is of one engine or another. */
export class DocumentHandle implements Omit<Handle, 'ydoc'> {
  readonly name: string
  readonly document: DocumentName
  readonly presence: Presence
  readonly ready: Promise<Origin>
  readonly #owner: HandleOwner
  readonly #listeners = new Set<Listener>()
  #status: DocumentStatus
  #told: DocumentStatus | undefined
  #closed: Promise<void> | undefined

  constructor(owner: HandleOwner, document: DocumentName, presence: Presence, ready: Promise<Origin>) {
    const { collection, key } = documentParts(document)
    this.name = `${collection}/${key}`
    this.document = document
    this.presence = presence
    this.ready = ready
    this.#owner = owner
    this.#status = { kind: 'loading', pending: 0 }
  }

  get status(): DocumentStatus {
    if (this.#closed === undefined) this.#status = this.#owner.statusOf(this.document)
    return this.#status
  }

  get pending(): number {
    return this.status.pending
  }

  subscribe(listener: Listener): () => void {
    return subscribe(this.#listeners, listener)
  }

  saved(options: SavedOptions = {}): Promise<void> {
    return this.#owner.saved(this, options)
  }

  stored(options: WaitOptions = {}): Promise<void> {
    return this.#owner.stored(this, options.signal)
  }

  close(): Promise<void> {
    if (this.#closed === undefined) {
      const pending = this.pending
      this.#closed = this.#owner.closeHandle(this)
      this.#status = { kind: 'closed', pending }
      this.#owner.tell(this.#listeners)
    }
    return this.#closed
  }

  /** Something about the document may have changed; listeners hear only of what they can see. */
  changed(): void {
    const { status } = this
    if (status === this.#told) return
    this.#told = status
    this.#owner.tell(this.#listeners)
  }
}
