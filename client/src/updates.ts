/** What a client does with updates of either engine beside its live documents. */

import type { EngineName } from '@meridian/core/engine'
import { chunksBeyond, coalesceChunks, isChunks, joinChunks } from './chunks.js'
import * as yjs from './yjs.js'

/** Of what is stored of a document; undefined if nothing is. */
export const engineOf = (updates: readonly Uint8Array[]): EngineName | undefined =>
  updates.length === 0 ? undefined : updates.some(isChunks) ? 'automerge' : 'yjs'

/** Updates of one document, made one after the other, as fewer: a burst of edits is one push. */
export const coalesce = (engine: EngineName, updates: readonly Uint8Array[]): Uint8Array[] =>
  engine === 'yjs' ? yjs.coalesce(updates) : coalesceChunks(updates)

/** One update that stands for all that `updates` show. */
export const stateOf = (updates: readonly Uint8Array[]): Uint8Array =>
  engineOf(updates) === 'automerge' ? joinChunks(updates) : yjs.stateOf(updates)

/** What `local` holds and `held` does not; undefined if nothing. */
export const difference = (engine: EngineName, local: Uint8Array, held: readonly Uint8Array[]): Uint8Array | undefined =>
  engine === 'yjs' ? yjs.difference(local, held) : chunksBeyond(local, held)
