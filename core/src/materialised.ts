/**
 * Materialised documents: the state of a document as of a version, for whoever speaks an engine's own sync protocol (state vectors) or none
 * at all (HTTP). The hot path needs none of this. A node's implementation keeps them in a bounded cache and does heavy work in threads.
 *
 * A materialised document is updates in order and no live engine document: a stored snapshot is one update, and entries behind it are
 * others. It is in step with the log: `materialise` answers as of no earlier than the call, whatever was cached before. Who follows on from
 * it does so as any subscriber, from `position` on.
 *
 * Answers come by callback, exactly once and never before the call returns.
 */

import type { Edit, EngineName, Reading } from './engine.js'
import type { DocumentName, Position } from './ids.js'
import type { LogErrorCode } from './log.js'
import type { Version } from './version.js'

export interface Materialised {
  readonly document: DocumentName
  readonly engine: EngineName
  readonly life: number
  /** Made of the document's own dots only, as a cursor is. */
  readonly version: Version
  /** Everything of the document up to here is in `updates`: read on in the log behind it. */
  readonly position: Position
  /** Together, in this order, the state; never empty. For an empty state vector they are the answer as they are. */
  readonly updates: readonly Uint8Array[]
  /** Of all updates. */
  readonly bytes: number
}

/** `absent`: nothing was ever written. `ended`: the life was ended by an erase (RES7). */
export type Materialisation =
  | { readonly kind: 'done'; readonly value: Materialised }
  | { readonly kind: 'absent' }
  | { readonly kind: 'ended'; readonly life: number }
  | { readonly kind: 'failed'; readonly code: LogErrorCode }

/** What engine work came to. `refused`: what was asked for does not go with the document, and why; `busy`: try again later. */
export type Worked<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'failed'; readonly why: 'busy' | 'time' | 'memory' | 'engine' | 'closed' }

export interface Materialiser {
  /** Who asks has been admitted: no access is decided here. */
  materialise(document: DocumentName, done: (answer: Materialisation) => void): void
  /**
   * The updates that a peer with the encoded state vector (heads) `known` lacks; none if it lacks nothing that is known of. Made from the
   * encoded updates, without a live document.
   */
  differences(state: Materialised, known: Uint8Array, done: (answer: Worked<readonly Uint8Array[]>) => void): void
  /** One update that stands for the whole state; garbage is collected. */
  whole(state: Materialised, done: (answer: Worked<Uint8Array>) => void): void
  /** The content for people and programs that know no CRDT. */
  read(state: Materialised, reading: Reading, done: (answer: Worked<string>) => void): void
  /** What a peer of the engine sent in another form, as an update that is still to be inspected. */
  translate(engine: EngineName, foreign: Uint8Array, done: (answer: Worked<Uint8Array>) => void): void
  /** An edit as one update by `author`, who must be new to the document, or of a document that was never written; empty if it changes nothing. */
  edit(state: Materialised | EngineName, edit: Edit, author: number, done: (answer: Worked<Uint8Array>) => void): void
}
