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
  /** Groups that anything was ever written to, by their names. */
  listGroups(done: Done<readonly GroupId[]>): void
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

/** An entry of another region's log, or an own one that this log has lost, on its way in: everything but the position, which is local. */
export type Foreign = Omit<Entry, 'position'>

/**
 * `included`: the entries that were new here, with their positions; those that were held already are left out.
 * `gap`: an entry does not follow what is held of its replica, so that nothing of the batch was written. Its caller has a mistake.
 */
export type Included =
  | { readonly kind: 'included'; readonly entries: readonly Entry[] }
  | { readonly kind: 'gap'; readonly dot: Dot }

/** Where the reader of a group goes on who holds a version. */
export interface Sought {
  /** The version holds everything of the group up to here that this log holds; what comes after may still be held in part. */
  readonly position: Position
  /**
   * The chain value that this log holds for each sequence that the version names, as the origin computed it. A replica is absent if this
   * log ends before that sequence, does not know the replica, or dropped the record with its chain value.
   */
  readonly chains: ReadonlyMap<ReplicaId, Chain>
  /** As in `Read`: beyond `position`, the reader lacks entries that are not here as entries any more, and has to join (LINK6). */
  readonly trimmed: Position
}

/**
 * What a log offers to links beside. A node that is alone needs none of it; the suite of logs runs these tests where a log says that it
 * supports them. What a relational log needs for it:
 *
 * - `include` inserts rows under the dots, chain values, epochs and times that it is given, without a push name, in one commit with what else
 *   waits (LOG3). The end of each replica (sequence, chain) is checked and raised in that commit, so that two links that bring the same entry
 *   write it once. A foreign seal raises the floor of the region whose incarnations it names. Foreign incarnations are never `closed` ones.
 * - `seekGroup` needs an index of entries by (group, replica, sequence), or for each replica the list of its positions, as there is one for each
 *   document: the answer is one less than the least position of an entry that the version lacks. Cost: O(replicas × log entries), whatever
 *   the number of documents.
 * - Both keep the end of a trimmed replica with its chain value, which `versions` does already.
 */
export interface LinkedLog extends RegionLog {
  /**
   * Durable when answered, all or nothing, in the order of the batch; idempotent by version (LINK4). The caller keeps causal order: whatever the
   * origin had before an entry is held here, or stands before it in the batch.
   */
  include(entries: readonly Foreign[], done: Done<Included>): void
  seekGroup(group: GroupId, version: Version, done: Done<Sought>): void
}
