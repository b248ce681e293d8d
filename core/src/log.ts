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
import type { DeviceId, DocumentName, GroupId, Position, RegionId, ReplicaId } from './ids.js'
import type { ErasedLife } from './stub.js'
import type { Chain, Dot, Version } from './version.js'

/** `JOINING`: said of a group of which nothing may be served now (LINK6); not by the log itself. */
export type LogErrorCode = 'LOG_FULL' | 'LOG_UNAVAILABLE' | 'DOCUMENT_DAMAGED' | 'JOINING'

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
  /** Chain value of the last entry of each group of the batch (LOG2); of a log that links can use. */
  readonly chains?: ReadonlyMap<GroupId, Chain>
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
   * the reader starts over at the snapshot, or at the beginning if there is none: from 0 on nothing of such a document is trimmed.
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
  /** State is being transferred, and until that is done nothing of the group may be served, accepted or sent on (LINK6). */
  readonly joining?: true
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
export interface Foreign extends Omit<Entry, 'position'> {
  /**
   * It stands for all entries of its replica from this sequence on, merged on the way (LINK7); for itself alone if absent. A log keeps it under its
   * last dot, and holds no dot of those before as an entry of its own.
   */
  readonly first?: number
}

/**
 * `included`: the entries that were new here, with their positions; those that were held already are left out.
 * `gap`: an entry does not follow what is held of its replica, so that nothing of the batch was written. Its caller has a mistake.
 * `living`: stubs of these lives came, which have not ended here and which nothing of the batch ends, so that nothing of it was written. Its caller
 * ends them, and comes again: whoever held such a stub would hold what builds on the entry, and not the entry (RES7).
 */
export type Included =
  | { readonly kind: 'included'; readonly entries: readonly Entry[] }
  | { readonly kind: 'gap'; readonly dot: Dot }
  | { readonly kind: 'living'; readonly lives: readonly ErasedLife[] }

/** Where the reader of a group goes on who holds a version. */
export interface Sought {
  /** The version holds everything of the group up to here that this log holds; what comes after may still be held in part. 0 if `behind`. */
  readonly position: Position
  /**
   * The chain value that this log holds for each sequence that the version names, as the origin computed it. A replica is absent if this
   * log ends before that sequence, does not know the replica, or dropped the record with its chain value.
   */
  readonly chains: ReadonlyMap<ReplicaId, Chain>
  /** The version lacks entries that are not here as entries any more, compacted or come by state: whoever holds it has to join (LINK6). */
  readonly behind: boolean
}

/** What the log keeps entries for, as an operator sees it. */
export interface Peer {
  readonly region: RegionId
  /** What was last said by `retain`. */
  readonly version: Version
  /** `Date.now()` of that. */
  readonly atMs: number
  /** Nothing is kept for it any more: it was too far behind (LOG4), or has never had the group. It joins, and `retain` begins anew. */
  readonly behind: boolean
}

/** A document of a group as reconciliation compares it: equal in two regions if and only if life, end and version are. */
export interface GroupDocument extends ListedDocument {
  /** Made of the document's own dots only. */
  readonly version: Version
}

/** All of one document, as of one moment. */
export interface DocumentState extends GroupDocument {
  /** Undefined if there is none; the entries are all then. */
  readonly snapshot: { readonly version: Version; readonly state: EngineState } | undefined
  /** What the snapshot does not cover, in log order; of a life that ended the erase alone. */
  readonly entries: readonly Foreign[]
}

/**
 * `unmerged`: documents of which this log holds something that the state given for it does not. They were left as they are: who transfers has an
 * engine merge both and puts the result, with the join of both versions.
 */
export interface StatesPut {
  readonly unmerged: readonly DocumentName[]
}

/** What a group holds once its transfer is done: what the sender held when it began, or the meet of several (LINK6). */
export interface Adopted {
  readonly version: Version
  /** Chain values of the ends that the version names. A replica without one cannot be adopted. */
  readonly chains: ReadonlyMap<ReplicaId, Chain>
  /** As in `GroupInfo`. */
  readonly sealed: ReadonlyMap<ReplicaId, number>
  readonly seals: ReadonlyMap<string, Chain>
}

/**
 * What a log offers to links beside. A node that is alone needs none of it; the suite of logs runs these tests where a log says that it
 * supports them.
 *
 * - LOG4 What a snapshot covers leaves local reads at once and the disk when every peer of the group holds it. A peer that is behind by more than the
 *   log's bounds (`retainMs`, `retainBytes`) is kept for no longer.
 * - RES7 What an erase takes loses its bytes at once and stays as an entry of kind `stub` (dot, chain value, epoch and time, and which life was
 *   erased) until every peer holds it. A late entry of a life that ended is a stub on arrival. No stub is held whose life has not ended here.
 * - LINK6 While a group is joining nothing of it may be served, appended or included; that is for the caller to hold. A transfer is puts of states in
 *   any order and number, each durable and none undone by a crash, and one `adopt`. What is not adopted is not in the group's version,
 *   so that a transfer that was cut goes on by comparing what is there.
 */
export interface LinkedLog extends RegionLog {
  /**
   * Durable when answered, all or nothing, in the order of the batch; idempotent by version (LINK4). The caller keeps causal order: whatever the
   * origin had before an entry is held here, or stands before it in the batch.
   */
  include(entries: readonly Foreign[], done: Done<Included>): void
  /** Cost: O(replicas × log entries), whatever the number of documents. */
  seekGroup(group: GroupId, version: Version, done: Done<Sought>): void
  /**
   * As `readGroup`, and with what is kept for links: entries that only a snapshot covers here, and stubs in place of what was erased.
   * `trimmed` is the highest position that is gone for links too.
   */
  readLinked(group: GroupId, after: Position, limit: ReadLimit, done: Done<Read>): void

  /** The other regions of the group. Durable when answered, and idempotent; before the first call a group has none, and keeps nothing for links. */
  setPeers(group: GroupId, regions: readonly RegionId[], done: Done<void>): void
  /**
   * The region holds this of the group durably; at the beginning of a transfer to it: it will. The newest call stands, also where it says less.
   * A region that is no peer of the group is passed by. Written in idle moments: what a crash forgets is acked again.
   */
  retain(group: GroupId, region: RegionId, version: Version): void
  readPeers(group: GroupId, done: Done<readonly Peer[]>): void

  /** Documents of the group that come after `after`, by the bytes of their names; at most `count`. */
  listGroup(group: GroupId, after: string, count: number, done: Done<readonly GroupDocument[]>): void
  /** Undefined for a document that was never written. */
  readState(document: DocumentName, done: Done<DocumentState | undefined>): void

  /** The group is joining from when this is answered, also after a crash, until `adopt`; idempotent. `GroupInfo.joining` tells. */
  beginJoin(group: GroupId, done: Done<void>): void
  /**
   * All in one commit, durable when answered. A document becomes what is given: life, snapshot, entries under their dots. One that is held here with a
   * later life, or has ended in that life, is left as it is; and so is one that is `unmerged`. Fails unless the group is joining.
   */
  putStates(group: GroupId, states: readonly DocumentState[], done: Done<StatesPut>): void
  /**
   * Ends the join, in one commit: the group's version covers `adopted` from here on. Other regions get what came this way as state too (`behind`).
   * The caller retains it first for those who sent it, or what they lack of this region's own writes is kept for nobody.
   * Fails unless the group is joining.
   */
  adopt(group: GroupId, adopted: Adopted, done: Done<void>): void
}
