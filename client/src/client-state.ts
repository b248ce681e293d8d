/** What the parts of a client share. `client.ts` is what an app calls; each part is a file that works on this. */

import type { EngineName } from '@meridian/core/engine'
import type { DocumentName } from '@meridian/core/ids'
import type { Slot } from './slot.js'
import type { ClientStore } from './store.js'
import type { Sync } from './sync.js'
import type { SaidMessage, TabMessage } from './tabs.js'
import type { ClientWorld } from './world.js'
import type { Writer } from './writer.js'

export interface ClientState {
  /** Names this opening of the store. */
  readonly opening: string
  readonly world: ClientWorld
  readonly storage: ClientStore
  readonly writer: Writer
  readonly sync: Sync
  readonly slots: Map<DocumentName, Slot>
  readonly tabs: TabLink | undefined
  /** The device's store has been looked through. */
  readonly opened: Promise<void>
  readonly isClosed: boolean
  /** Call off reads of the store that are to be tried again. */
  readonly retries: Set<() => void>
  start(): void
  reconnect(): void
  probe(): void
  takeToken(token: string | undefined): void
  /** The user has signed out in another tab. */
  drop(): Promise<void>
  storeFailed(thrown: unknown): void
}

/** The other tabs of the browser that have the same store; without it every tab has a connection of its own. */
export interface TabLink {
  readonly isLeading: boolean
  post(message: SaidMessage): void
  /** What another tab said, and had to wait because the document was being read. */
  heard(message: Extract<TabMessage, { type: 'edit' | 'marked' }>): void
  /** Resolves when what the leader has received of a document is on the device, or there is no leader that says so. */
  opened(document: DocumentName, engine: EngineName): Promise<void>
  /** Whether another tab has the document open. */
  isWanted(document: DocumentName): boolean
  /** The device's store is an empty one now, and is being written anew. */
  writtenAnew(): void
  /** A document was read from the device: what became since of that of it which is in the outbox? */
  found(document: DocumentName): void
  /** A batch was handed to the writer. */
  wrote(): void
  tellStatus(document: DocumentName): void
  /** Something of a document changed: do other tabs wait for it? */
  judgeWants(document: DocumentName): void
  /** Somebody uses this tab: does the leader still answer? */
  check(): void
  close(): void
}

export type OpenTabLink = (client: ClientState) => TabLink
