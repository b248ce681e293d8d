/** What the log's main side and its two threads say to one another. */

import type { MessagePort } from 'node:worker_threads'
import type { GroupId } from '@meridian/core/ids'
import type {
  DocumentInfo,
  GroupDocument,
  GroupInfo,
  LastPush,
  ListedDocument,
  LogErrorCode,
  Peer,
  SnapshotInfo,
} from '@meridian/core/log'
import type { Batch, EntriesMessage, ForeignBatch } from './batch.js'
import type { SoughtRow } from './dots.js'
import type { Damage, IncludedRows, OpeningOptions, SnapshotPut } from './opening.js'
import type { Retained } from './retention.js'
import type { AdoptedRows, StateRow } from './states.js'
import type { ThreadError } from './store.js'

export type WriterRequest =
  | { readonly kind: 'append'; readonly id: number; readonly batch: Batch }
  /** There is something in the mailbox. */
  | { readonly kind: 'mail' }
  | { readonly kind: 'snapshot'; readonly id: number; readonly put: SnapshotPut }
  | { readonly kind: 'include'; readonly id: number; readonly foreign: ForeignBatch }
  | { readonly kind: 'link'; readonly id: number; readonly work: LinkWork }
  | { readonly kind: 'retain'; readonly retained: readonly Retained[] }
  | { readonly kind: 'damage'; readonly damages: readonly Damage[] }
  | { readonly kind: 'close' }

/** What is a commit of its own. */
export type LinkWork =
  | { readonly kind: 'setPeers'; readonly group: string; readonly regions: readonly string[] }
  | { readonly kind: 'beginJoin'; readonly group: string }
  | { readonly kind: 'putStates'; readonly group: string; readonly states: readonly StateRow[] }
  | { readonly kind: 'adopt'; readonly group: string; readonly adopted: AdoptedRows }

export interface WriterStatus {
  /** Bytes of the database file, without its WAL. */
  readonly bytes: number
  readonly settled: number
  readonly damagedCount: number
}

export type WriterAnswer =
  | {
      readonly kind: 'opened'
      readonly replica: string
      readonly position: number
      readonly damages: readonly Damage[]
      readonly status: WriterStatus
    }
  | { readonly kind: 'refused'; readonly error: ThreadError }
  /** `ids` and `sequences` go together; positions go on through the batches. */
  | {
      readonly kind: 'appended'
      readonly ids: readonly number[]
      readonly position: number
      readonly sequences: readonly (readonly number[])[]
      /** As in `Committed`. */
      readonly chains: readonly ReadonlyMap<string, bigint>[]
    }
  /** `ids` and `included` go together. */
  | { readonly kind: 'included'; readonly ids: readonly number[]; readonly included: readonly IncludedRows[] }
  /** `unmerged` is of puts of states. */
  | { readonly kind: 'linked'; readonly id: number; readonly unmerged: readonly string[]; readonly position: number }
  | { readonly kind: 'put'; readonly id: number }
  | { readonly kind: 'failed'; readonly ids: readonly number[]; readonly code: LogErrorCode; readonly message: string }
  /** The opening is over; nothing can be appended until the next `opened`. */
  | { readonly kind: 'stopped'; readonly code: LogErrorCode; readonly message: string }
  | { readonly kind: 'status'; readonly status: WriterStatus }
  | { readonly kind: 'closed' }

/** What the two threads say to one another: the writer asks, the reader answers when it has copied what stood in the WAL. */
export type CheckpointMessage = 'checkpoint' | 'checkpointed'

export interface WriterData extends Omit<OpeningOptions, 'opening'> {
  readonly kind: 'writer'
  readonly reader: MessagePort
  readonly mailbox: SharedArrayBuffer
}

export type Query =
  | { readonly kind: 'openDocument'; readonly document: string }
  | { readonly kind: 'openGroup'; readonly group: string }
  | { readonly kind: 'lastPush'; readonly group: string; readonly device: string }
  | {
      readonly kind: 'readDocument'
      readonly document: string
      readonly after: number
      readonly bytes: number
      readonly entries: number
    }
  | {
      readonly kind: 'readGroup'
      readonly group: string
      readonly after: number
      readonly bytes: number
      readonly entries: number
    }
  | {
      readonly kind: 'readLinked'
      readonly group: string
      readonly after: number
      readonly bytes: number
      readonly entries: number
    }
  | { readonly kind: 'seekGroup'; readonly group: string; readonly version: Uint8Array }
  | { readonly kind: 'readPeers'; readonly group: string }
  | { readonly kind: 'listGroup'; readonly group: string; readonly after: string; readonly count: number }
  | { readonly kind: 'readState'; readonly document: string }
  | { readonly kind: 'readSnapshot'; readonly document: string }
  | { readonly kind: 'listGroups' }
  | { readonly kind: 'listDocuments'; readonly prefix: string; readonly after: string; readonly count: number }

/** Snapshots and entries go as buffers that are handed over; the rest is small and cloned. */
export type QueryResult =
  | {
      readonly kind: 'document'
      readonly info: Omit<DocumentInfo, 'document' | 'snapshot'> & { readonly snapshot: SnapshotInfo | undefined }
    }
  | { readonly kind: 'group'; readonly info: GroupInfo }
  | { readonly kind: 'groups'; readonly groups: readonly GroupId[] }
  | { readonly kind: 'list'; readonly documents: readonly ListedDocument[] }
  | { readonly kind: 'push'; readonly push: LastPush | undefined }
  | {
      readonly kind: 'entries'
      readonly entries: EntriesMessage
      readonly asOf: number
      readonly more: boolean
      readonly trimmed: number
    }
  | { readonly kind: 'snapshot'; readonly snapshot: SnapshotMessage | undefined }
  | { readonly kind: 'sought'; readonly sought: SoughtRow }
  | { readonly kind: 'peers'; readonly peers: readonly Peer[] }
  /** `next`: where to go on if there may be more although fewer were found than asked for. */
  | { readonly kind: 'grouped'; readonly documents: readonly GroupDocument[]; readonly next: string | undefined }
  | { readonly kind: 'state'; readonly state: StateMessage | undefined }
  | { readonly kind: 'failed'; readonly code: LogErrorCode; readonly message: string }

export interface SnapshotMessage {
  readonly life: number
  readonly position: number
  readonly version: Uint8Array
  readonly index: Uint8Array
  readonly state: Uint8Array
}

export interface StateMessage extends Omit<GroupDocument, 'document'> {
  readonly snapshot: SnapshotMessage | undefined
  readonly entries: EntriesMessage
}

/** The ids of `queries` count on from `first`, and so do those of the results. */
export type ReaderRequest =
  | { readonly kind: 'open' }
  | { readonly kind: 'read'; readonly first: number; readonly queries: readonly Query[] }
  | { readonly kind: 'close' }

export interface ScrubStatus {
  /** The pass that is running, or the last one: position reached, of those there were when it began; snapshots and lists come after them. */
  readonly scrubbed: number
  readonly total: number
  /** Full passes since the log was opened. */
  readonly passes: number
}

export type ReaderAnswer =
  | { readonly kind: 'opened' }
  | { readonly kind: 'refused'; readonly error: ThreadError }
  | {
      readonly kind: 'results'
      readonly first: number
      readonly results: readonly QueryResult[]
      readonly damages: readonly Damage[]
    }
  | { readonly kind: 'scrubbed'; readonly scrub: ScrubStatus; readonly damages: readonly Damage[] }
  | { readonly kind: 'closed' }

export interface ReaderData {
  readonly kind: 'reader'
  readonly directory: string
  readonly region: string
  readonly driver: 'node' | 'libsql'
  readonly writer: MessagePort
  readonly scrubBytesPerSecond: number
  readonly scrubIntervalMs: number
}
