/**
 * The contract of a CRDT engine (Yjs, Automerge): the only place that knows what the bytes of an update mean.
 *
 * Updates come from strangers, so nothing here ever applies raw bytes to a live document: `inspect` parses first, strictly, and
 * throws UPDATE_INVALID. An `EngineIndex` is the little that a node keeps of a document on the hot path, enough to tell an update
 * that adds something from one that adds nothing (SES7) or comes too early (SES2). The heavy half (`snapshot`, `diff`, `digest`)
 * runs on inspected bytes only, in workers. A new engine is one file that passes test/conformance/engine.ts.
 */

export type EngineName = 'yjs' | 'automerge'

/** What an engine is on the wire and in the log. Never renumbered. */
export const engineNumber: Readonly<Record<EngineName, number>> = { yjs: 1, automerge: 2 }

export const engineNameOf = (number: number): EngineName | undefined =>
  number === 1 ? 'yjs' : number === 2 ? 'automerge' : undefined

export interface InspectLimits {
  /** Bytes of one update. */
  readonly updateBytesMax: number
  /** Nesting of JSON-like content, in levels; deeper values overflow stacks when a document is saved. */
  readonly depthMax: number
  /** Different authors (Yjs client ids) in one update; the cost of some engines is quadratic in it. */
  readonly clientsMax: number
  /** Ranges of things that one update brings, and of things that it deletes; judging and including it cost that much. */
  readonly rangesMax: number
}

export const inspectLimits: InspectLimits = {
  updateBytesMax: 64 * 1024 * 1024,
  depthMax: 64,
  clientsMax: 65_536,
  rangesMax: 1_048_576,
}

/** What one update holds and what it builds on; made by `inspect`, read by `judge` and `include` of the same engine only. */
export interface Inspection {
  readonly engine: EngineName
  /** Bytes of the update, to bound what waits. */
  readonly bytes: number
}

/** An inspection on its way from one thread to another: lists of numbers, which only its engine can read. */
export interface PackedInspection {
  readonly bytes: number
  readonly lists: readonly Uint32Array<ArrayBuffer>[]
}

/** What a document holds, in the least form that can judge an update. For Yjs: client id → next clock, and the merged delete set. */
export interface EngineIndex {
  readonly engine: EngineName
}

export interface IndexDecoding {
  /** Goes on for a millisecond or less. @returns the index, once all of it is there */
  step(): EngineIndex | 'more'
}

/**
 * `new`: adds something. `nothing`: all of it is held already. `premature`: builds on something that is not held yet. `contradiction`: says otherwise
 * of something that is held, which no honest author does: refused from clients; from other regions, which took it first, it is included.
 */
export type Judgement = 'new' | 'nothing' | 'premature' | 'contradiction'

export interface EngineState {
  /** One encoded state; for Yjs an update in V1. */
  readonly bytes: Uint8Array
  /** The encoded index of that state, so that a document can be judged without decoding the state. */
  readonly index: Uint8Array
}

/** What of a document's content is asked for. */
export type Reading =
  /** Everything, as JSON: `{ "<root>": … }`. */
  | { readonly kind: 'json' }
  /** The text of one root; without a name of the only root that is text. */
  | { readonly kind: 'text'; readonly root?: string }

/** One operation of a JSON Patch (RFC 6902); `path` and `from` are JSON Pointers (RFC 6901). */
export type PatchOperation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'move' | 'copy'; readonly from: string; readonly path: string }

/** How somebody who knows no CRDT edits a document: JSON Patch (RFC 6902) or JSON Merge Patch (RFC 7396). */
export type Edit =
  | { readonly kind: 'patch'; readonly operations: readonly PatchOperation[] }
  | { readonly kind: 'merge'; readonly value: unknown }

/** Whether what an author (a Yjs client id) has not brought itself is not to be taken from others now. */
export type IsForeign = (author: number) => boolean

export interface Engine {
  readonly name: EngineName
  /** Whether `read`, `edit` and `translate` are only done in threads of their own, as by an engine of wasm, whose memory never shrinks. */
  readonly isHeavy: boolean
  /** Parses strictly, in one pass, in memory that is bounded by the length of `update`. @throws MeridianError UPDATE_INVALID, UPDATE_TOO_LARGE */
  inspect(update: Uint8Array, limits: InspectLimits): Inspection
  emptyIndex(): EngineIndex
  judge(index: EngineIndex, inspection: Inspection): Judgement
  /** The inspection for another thread. */
  pack(inspection: Inspection): PackedInspection
  unpack(packed: PackedInspection): Inspection
  /**
   * The part of an update, judged `new` and not included yet, that is held already, in a form for `cut`; undefined if there is none. What
   * is stored and passed on never overlaps, because engines may fail on a half held part that contradicts what they hold.
   */
  overlap(index: EngineIndex, inspection: Inspection): Uint8Array | undefined
  /** The update without its `overlap`. */
  cut(update: Uint8Array, overlap: Uint8Array): Uint8Array
  /**
   * What is held of all that an update brings, deletes or builds on, in a form for `admissible`; and of whom, among its authors, nothing more
   * is taken.
   */
  basis(index: EngineIndex, inspection: Inspection, isForeign?: IsForeign): Uint8Array
  /**
   * The greatest part of an update, judged `premature`, that builds on nothing but itself and what is held (SES2); empty if there is none. It
   * may overlap what is held. Without a live document, in memory that is bounded by the length of `update`, which was inspected.
   */
  admissible(update: Uint8Array, basis: Uint8Array): Uint8Array
  /** One thing that a premature update lacks, as the inspection of an update that needs nothing else: small, to be judged again and again. */
  lacking(index: EngineIndex, inspection: Inspection): Inspection | undefined
  /**
   * Of what an update brings and is not held, something by an author that is foreign to who sent it, in the form of `lacking`; undefined if there
   * is none, and of engines whose authors cannot be told. [hot]
   */
  foreign(index: EngineIndex, inspection: Inspection, isForeign: IsForeign): Inspection | undefined
  /** How many authors `index` has once the update is included: however small the updates, each author costs memory. */
  authorsWith(index: EngineIndex, inspection: Inspection): number
  /** Adds to `index` what an update that was judged `new`, or another region's `contradiction`, holds. */
  include(index: EngineIndex, inspection: Inspection): void
  /** What a peer is told that is held: its state vector (heads). */
  stateVector(index: EngineIndex): Uint8Array
  encodeIndex(index: EngineIndex): Uint8Array
  /** @throws MeridianError UPDATE_INVALID if the bytes are no index. */
  decodeIndex(bytes: Uint8Array): EngineIndex
  /** The same in steps, for who may not be held up. @throws MeridianError UPDATE_INVALID at once, or in a step */
  beginIndex(bytes: Uint8Array): IndexDecoding
  /** One state that stands for `updates` in this order; garbage is collected. Goes through a live document, which is faster and smaller than merging. */
  snapshot(updates: readonly Uint8Array[]): EngineState
  /** What `updates` together hold and a peer with the encoded state vector (heads) `known` does not; empty if nothing. */
  diff(updates: readonly Uint8Array[], known: Uint8Array): Uint8Array
  /** One update that holds what all of these hold, which follow one another; without a live document, so only for few and small ones. */
  merge(updates: readonly Uint8Array[]): Uint8Array
  /**
   * The same of each of `updates`, without a live document: cheap in memory, and not merged. Updates that would be empty are left out; they
   * have been inspected. @throws MeridianError UPDATE_INVALID if `known` is no state vector
   */
  differences(updates: readonly Uint8Array[], known: Uint8Array): readonly Uint8Array[]
  /** The visible content; JSON as its text. @throws MeridianError UPDATE_INVALID if there is no such root, or no text in it */
  read(updates: readonly Uint8Array[], reading: Reading): string
  /** `edit` as one update by `author`, empty if it changes nothing. @throws MeridianError UPDATE_INVALID that says which part does not fit */
  edit(updates: readonly Uint8Array[], edit: Edit, author: number): Uint8Array
  /**
   * What peers of the engine send in other forms than its updates (whole documents, compressed changes) as one update, which is still to be inspected;
   * empty if nothing is in it. @throws MeridianError UPDATE_INVALID
   */
  translate(foreign: Uint8Array): Uint8Array
  /** Lower-case hex SHA-256 over what the document means, never over encoded bytes: equal documents have equal digests whatever the order of their updates. */
  digest(updates: readonly Uint8Array[]): string
}
