/**
 * The contract of a region's log: durable, ordered, one per region. Everything enters by `append` and leaves by reads from a cursor.
 * Every log passes test/conformance/log.ts.
 *
 * Answers come by callback, exactly once and never before the call returns, so that pure machines stay synchronous and the simulator
 * decides when a disk answers. Positions are local and never leave the node; on any wire a cursor is a version.
 *
 * - LOG1 `append` answers `durable` only after the commit reached the disk.
 * - LOG2 `replica` is a new incarnation at every opening; it changes when the log had to reopen itself.
 * - LOG3 One batch is one commit: all of it or nothing. After a failed or unknown commit the log reopens before the next append. What was
 *   answered as failed may be there all the same, under the dots of the incarnation before, and reads show it: whoever keeps versions in
 *   memory opens its groups again when `replica` changed.
 * - RES7 When an erase is durable, no read returns what the life that it ended held any more; only the erase itself stays. The bytes go when
 *   there is time, also after a crash.
 */

import type { EngineName, EngineState } from './engine.js'
import type { Draft, Entry } from './entry.js'
import type { DeviceId, DocumentName, GroupId, Position, ReplicaId } from './ids.js'
import type { Chain, Dot, Version } from './version.js'

export type LogErrorCode = 'LOG_FULL' | 'LOG_UNAVAILABLE' | 'DOCUMENT_DAMAGED'

export type Outcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly code: LogErrorCode; readonly cause?: unknown }

export type Done<T> = (outcome: Outcome<T>) => void

export interface Appended {
  /** The incarnation that wrote the batch. */
  readonly replica: ReplicaId
  /** Position of the first entry; the others follow without a gap. */
  readonly position: Position
  /** Sequence of each draft, in the order of the batch. */
  readonly sequences: readonly number[]
}

export interface SnapshotInfo {
  /** The snapshot stands for all entries of the document up to here. */
  readonly position: Position
  readonly version: Version
  readonly bytes: number
  /** Encoded engine index of the state. */
  readonly index: Uint8Array
}

export interface DocumentInfo {
  readonly document: DocumentName
  /** Undefined for a document that was never written. */
  readonly engine: EngineName | undefined
  /** The newest life, 0 if there was none yet. */
  readonly life: number
  /** True once an erase entry ended that life. */
  readonly ended: boolean
  /** Made of the document's own dots only. */
  readonly version: Version
  /** Position of the newest entry; 0 if none. */
  readonly position: Position
  readonly snapshot: SnapshotInfo | undefined
  /** Entries after the snapshot, and their payload bytes: what compaction decides on. */
  readonly tailCount: number
  readonly tailBytes: number
}

export interface ReadLimit {
  /** Payload bytes that no read goes beyond; at least one entry is returned whatever its size. */
  readonly bytes: number
  readonly entries: number
}

export interface Read {
  /** In log order. */
  readonly entries: readonly Entry[]
  /** Everything asked for up to here has been returned. */
  readonly asOf: Position
  /** False if there was nothing more at the time of the read. */
  readonly more: boolean
  /**
   * Entries up to here were trimmed when this read was made, in the same read transaction: for a document the position of its snapshot
   * if that trimmed, for a group the highest position ever trimmed in it; 0 if none. If it is beyond `after`, the read has a hole, and
   * the reader starts over at the snapshot.
   */
  readonly trimmed: Position
}

export interface Snapshot {
  readonly document: DocumentName
  readonly life: number
  readonly position: Position
  readonly version: Version
  readonly state: EngineState
}

export interface GroupInfo {
  /** Everything that the log holds of the group, floors included. */
  readonly version: Version
  /** Closed incarnations of this region that no floor stands for yet, with their last sequence: what a seal can take in. */
  readonly closed: ReadonlyMap<ReplicaId, number>
  /** Last sequences of sealed incarnations; a token beyond one is void (SES5, LOG5). */
  readonly sealed: ReadonlyMap<ReplicaId, number>
  /** Every floor that was ever raised, as `region#counter` → seal: a claim of an older floor is held against the one of this history. */
  readonly seals: ReadonlyMap<string, Chain>
  readonly position: Position
}

/** A document as a list of them names it. */
export interface ListedDocument {
  readonly document: DocumentName
  readonly engine: EngineName
  readonly life: number
  /** True once an erase entry ended that life. */
  readonly ended: boolean
}

/** The newest push of a device in a group that is durable here. */
export interface LastPush extends Dot {
  readonly counter: number
}

export interface RegionLog {
  readonly replica: ReplicaId
  /** Newest position that is durable. */
  readonly position: Position
  append(drafts: readonly Draft[], done: Done<Appended>): void
  openDocument(document: DocumentName, done: Done<DocumentInfo>): void
  openGroup(group: GroupId, done: Done<GroupInfo>): void
  lastPush(group: GroupId, device: DeviceId, done: Done<LastPush | undefined>): void
  /** Documents that were ever written, whose names begin with `prefix` and come after `after`, by their bytes; at most `count`. */
  listDocuments(prefix: string, after: string, count: number, done: Done<readonly ListedDocument[]>): void
  /** Entries of a document of its current life with a position beyond `after`. */
  readDocument(document: DocumentName, after: Position, limit: ReadLimit, done: Done<Read>): void
  /** Entries of a group with a position beyond `after`, as far as they have not been trimmed. */
  readGroup(group: GroupId, after: Position, limit: ReadLimit, done: Done<Read>): void
  readSnapshot(document: DocumentName, done: Done<Snapshot | undefined>): void
  /** Durable when answered. With `trim` the document's entries that the snapshot covers are dropped in the same commit (LOG4). */
  putSnapshot(snapshot: Snapshot, options: { readonly trim: boolean }, done: Done<void>): void
  close(done: () => void): void
}
