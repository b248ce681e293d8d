/**
 * What a client tells its user: of its connection, of each document, and of its store. Values are replaced, never changed, and are the
 * same object until something changes, so that a view can compare them by identity.
 */

import type { Access, Redirect } from '@meridian/core/effects'
import type { ErrorCode } from '@meridian/core/errors'
import type { RegionId } from '@meridian/core/ids'

export type ConnectionStatus =
  /** Not started, or another tab holds the connection. */
  | { readonly kind: 'idle' }
  /** `region`: on the way to another one than before. */
  | { readonly kind: 'connecting'; readonly region?: RegionId }
  | { readonly kind: 'online'; readonly region: RegionId; readonly subject: string }
  /** No connection; the next attempt comes by itself. `code` says what ended the last one. */
  | { readonly kind: 'waiting'; readonly code: ErrorCode }
  /** No connection until there is a new token or `reconnect()`. */
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  | { readonly kind: 'closed' }

export type StorageStatus =
  | { readonly kind: 'fine' }
  /** Edits live in memory only, and go on to the region from there; writing is tried again. */
  | { readonly kind: 'failing'; readonly code: ErrorCode }
  /** The same, because the device has no room. Whoever frees some need do nothing else. */
  | { readonly kind: 'full'; readonly code: 'STORE_FULL' }
  /** What an earlier opening kept here is gone, with the edits that no region had saved; the rest comes again from the region. Kept here from now on. */
  | { readonly kind: 'evicted' }
  /** The same happened while it was open: what was open is kept here again, nothing of it was lost. */
  | { readonly kind: 'lost' }

export interface StoreStatus {
  readonly connection: ConnectionStatus
  readonly storage: StorageStatus
}

export type DocumentStatus =
  /** The local copy is being read. Edits are taken already. */
  | { readonly kind: 'loading'; readonly pending: number }
  /** No answer of a region yet, or not any more; the store's status says why. */
  | { readonly kind: 'offline'; readonly pending: number }
  /** The region sends what is missing here. */
  | { readonly kind: 'syncing'; readonly pending: number }
  /** Everything of the region is here. `pending` counts the edits that it has not saved yet. */
  | { readonly kind: 'current'; readonly pending: number; readonly access: Access }
  /** The region does not serve the document now, or takes no edit of it (its log is full), and is asked again by itself. */
  | { readonly kind: 'waiting'; readonly pending: number; readonly code: ErrorCode }
  /** The region does not serve the document, or takes no edit of it, until the user does something. */
  | { readonly kind: 'refused'; readonly pending: number; readonly code: ErrorCode }
  /** Other regions may serve the document. */
  | { readonly kind: 'redirected'; readonly pending: number; readonly redirects: readonly Redirect[] }
  /** The document was erased, and its copy on this device with it. */
  | { readonly kind: 'erased'; readonly pending: 0 }
  | { readonly kind: 'closed'; readonly pending: number }
