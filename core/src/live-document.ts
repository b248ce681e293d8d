/**
 * One document that some session holds open: its version, where its log ends, and who listens. No engine document (ARCHITECTURE,
 * "Documents and engines on a node"); only the index that judges updates, loaded with the first push.
 */

import type { RecentEntry } from './delivery.js'
import type { Engine, EngineIndex, EngineName } from './engine.js'
import type { Entry } from './entry.js'
import type { DocumentName, Position } from './ids.js'
import { toPosition } from './ids.js'
import type { LiveGroup } from './live-group.js'
import type { DocumentInfo, LogErrorCode, SnapshotInfo } from './log.js'
import type { Presence } from './presence.js'
import type { Subscription } from './subscription.js'
import type { MutableVersion } from './version.js'
import { merge, mutableVersion } from './version.js'
import type { Writers } from './writers.js'

export interface LoadedIndex {
  readonly kind: 'loaded'
  readonly engine: Engine
  readonly index: EngineIndex
}

export interface IndexLoading {
  readonly kind: 'loading'
  readonly waiting: (() => void)[]
  /** Updates of other regions that came while it was read; it may hold them or not. */
  readonly late: Uint8Array[]
}

export type IndexState =
  | { readonly kind: 'absent' }
  | IndexLoading
  | LoadedIndex
  /** Only while those who waited for the load are told. */
  | { readonly kind: 'failed'; readonly code: LogErrorCode }

const absent: IndexState = { kind: 'absent' }

export class LiveDocument {
  readonly name: DocumentName
  readonly group: LiveGroup
  /** What shared frames call it; chosen at random, so that it says nothing about other documents. */
  readonly handle: number
  /** Head of the log when it was opened: entries beyond are in memory under this object, earlier ones have to be read. */
  since: Position
  state: 'loading' | 'ready' | LogErrorCode = 'loading'
  /** Called once the load, or an erase that was under way, has ended, well or not. */
  readonly waiting: (() => void)[] = []
  /** Entries of other regions that came while it was loaded; what was loaded may hold them or not. */
  readonly early: Entry[] = []
  readonly subscriptions: Subscription[] = []
  /** What sessions of other regions show, by region and session. */
  readonly farPresences = new Map<string, Presence>()

  engine: EngineName | undefined
  /** Whether those who opened it before it was written know of what engine it is. */
  engineTold = false
  life = 0
  ended = false
  readonly version: MutableVersion = mutableVersion()
  position: Position = toPosition(0)
  snapshot: SnapshotInfo | undefined
  tailCount = 0
  tailBytes = 0
  /** Payload bytes on their way into the log. */
  pendingBytes = 0
  /** When the oldest entry behind the snapshot was first known of here, by the clock of the node. */
  tailSinceMs = 0
  compacting = false
  index: IndexState = absent
  /** Pushes that wait or are on their way into the log; the document stays while there are any. */
  pendingCount = 0
  /** True while `version` may not be all that is durable: whoever opens it reads the log. */
  isDoubtful = false
  /** Erases that are on their way into the log. */
  erasing = 0
  /** True while the first update of a new life is on its way into the log. */
  isBeginning = false
  /** Whose author ids are whose, once somebody has said. */
  writers: Writers | undefined
  /** Lanes whose first push is premature; told when the index grows. */
  readonly premature = new Set<() => void>()

  /** Scratch of the commit that is being fanned out. [hot] */
  commit = 0
  updates: RecentEntry<LiveDocument>[] = []
  origins: (Subscription | undefined)[] = []

  #revision = 0

  constructor(name: DocumentName, group: LiveGroup, options: { readonly handle: number; readonly since: Position }) {
    this.name = name
    this.group = group
    this.handle = options.handle
    this.since = options.since
  }

  adopt(info: DocumentInfo, nowMs: number): void {
    this.tailSinceMs = nowMs
    this.engine = info.engine
    this.engineTold = info.engine !== undefined
    this.life = info.life
    this.ended = info.ended
    merge(this.version, info.version)
    this.position = info.position
    this.snapshot = info.snapshot
    this.tailCount = info.tailCount
    this.tailBytes = info.tailBytes
  }

  /** A new life, which holds nothing of the one before (RES7): what memory holds up to `since` is no part of it. */
  begin(life: number, since: Position): void {
    this.life = life
    this.ended = false
    this.isBeginning = false
    this.since = since
    this.snapshot = undefined
    this.tailCount = 0
    this.tailBytes = 0
  }

  /** Adopts a newer snapshot; what was appended since the log answered is counted already. */
  refresh(info: DocumentInfo): void {
    if (info.snapshot === undefined || (this.snapshot !== undefined && this.snapshot.position >= info.snapshot.position)) return
    this.snapshot = info.snapshot
    this.tailCount = info.tailCount
    this.tailBytes = info.tailBytes
  }

  /** Entries of it that nobody here knows of may stand in the log up to `end`. */
  doubt(end: Position): void {
    this.isDoubtful = true
    this.position = toPosition(Math.max(this.position, end))
  }

  /** Adopts what turned out to be durable; knows nothing that was known here already. */
  recover(info: DocumentInfo): void {
    this.isDoubtful = false
    merge(this.version, info.version)
    this.engine = info.engine
    if (info.life > this.life) this.begin(info.life, this.position)
    this.position = toPosition(Math.max(this.position, info.position))
    this.snapshot = info.snapshot
    this.tailCount = info.tailCount
    this.tailBytes = info.tailBytes
    this.touch()
  }

  /** Nobody has it open any more. What memory holds of its newest entries names it still, and no more than that. */
  shed(): void {
    this.index = absent
    this.snapshot = undefined
  }

  get snapshotBytes(): number {
    return this.snapshot?.bytes ?? 0
  }

  /** What a load of it reads, and what is on its way to that: the size that `documentBytesMax` bounds. */
  get bytes(): number {
    return this.snapshotBytes + this.tailBytes + this.pendingBytes
  }

  /** The version changed. */
  touch(): void {
    this.#revision++
  }

  /** Grows with each change of the version: what a wire made of that holds as long as this is the same. */
  get revision(): number {
    return this.#revision
  }
}
