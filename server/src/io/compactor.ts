/**
 * Compaction: reads a document's snapshot and the entries behind it, has them folded in a thread, and puts the new snapshot, which drops
 * the entries that it covers in the same commit (LOG4). When a document is due is for core/compaction to say.
 *
 * One at a time for a document, `workersMax` in total, `queueMax` in the queue. A document that fails is left alone for a while, longer
 * each time: it is served from its entries, as before. A tail too large for one turn is folded in several.
 */

import type { Clock } from '@meridian/core/effects'
import type { RecentUpdate } from '@meridian/core/delivery'
import type { DocumentName, Position } from '@meridian/core/ids'
import { toPosition } from '@meridian/core/ids'
import type { DocumentInfo, Done, LogErrorCode, Outcome, Read, RegionLog, Snapshot, SnapshotInfo } from '@meridian/core/log'
import { include, mutableVersion, type MutableVersion } from '@meridian/core/version'
import type { CompactionLimits } from '../config.js'
import { Folder } from './folder.js'

/** The new snapshot, and how much of the tail it took in. */
export interface Compacted extends SnapshotInfo {
  readonly tailCount: number
  readonly tailBytes: number
}

export type CompactionResult = 'done' | 'nothing' | 'failed' | 'dropped'

export interface CompactorOptions {
  readonly log: RegionLog
  readonly clock: Clock
  readonly limits: CompactionLimits
  /** Updates of an open document that are still in memory, so that the log need not be read. */
  readonly recent: (document: DocumentName, after: Position) => readonly RecentUpdate[] | undefined
  /** Called once for each request, with the snapshot if there is a new one. */
  readonly onCompacted: (document: DocumentName, snapshot: Compacted | undefined) => void
  /** For metrics and logs; says why something failed, and never of which document. */
  readonly onResult: (result: CompactionResult, why: string) => void
}

/** Bytes and entries of one read: decoding this many stalls the event loop for a few milliseconds. */
const page = { bytes: 2 * 1024 * 1024, entries: 4_096 }

const retryMs = 10_000
const retryMsMax = 3_600_000
/** Failing documents that are remembered; beyond it the oldest is tried again early. */
const failingMax = 10_000

interface Gathered {
  readonly updates: Uint8Array[]
  readonly version: MutableVersion
  readonly position: Position
  readonly tailCount: number
  readonly tailBytes: number
  readonly more: boolean
}

export class Compactor {
  readonly #options: CompactorOptions
  readonly #queue = new Set<DocumentName>()
  readonly #running = new Set<DocumentName>()
  readonly #failing = new Map<DocumentName, { readonly count: number; readonly until: number }>()
  readonly #folders: Folder[]
  #closed = false

  constructor(options: CompactorOptions) {
    this.#options = options
    const { memoryMb, timeMs, workersMax } = options.limits
    this.#folders = Array.from({ length: workersMax }, () => new Folder({ memoryMb, timeMs }))
  }

  get queueCount(): number {
    return this.#queue.size
  }

  compact(document: DocumentName): void {
    if (this.#running.has(document) || this.#queue.has(document)) return
    const failing = this.#failing.get(document)
    if (this.#closed || this.#queue.size >= this.#options.limits.queueMax) return this.#drop(document)
    if (failing !== undefined && failing.until > this.#options.clock.now()) return this.#drop(document)
    this.#queue.add(document)
    this.#next()
  }

  /** What is under way is given up; nothing is lost by it. */
  async close(): Promise<void> {
    this.#closed = true
    this.#queue.clear()
    await Promise.all(this.#folders.map((folder) => folder.close()))
  }

  #drop(document: DocumentName): void {
    this.#options.onResult('dropped', 'the queue is full, or it failed not long ago')
    // Later: who asks is not at the end of its own work yet.
    setImmediate(() => this.#options.onCompacted(document, undefined))
  }

  #next(): void {
    const folder = this.#folders[this.#running.size]
    const [document] = this.#queue
    if (this.#closed || folder === undefined || document === undefined) return
    this.#queue.delete(document)
    this.#running.add(document)
    void this.#run(document).then((outcome) => {
      this.#running.delete(document)
      if (outcome.kind === 'failed') this.#failed(document)
      else this.#failing.delete(document)
      if (this.#closed) return
      this.#options.onResult(outcome.kind, outcome.kind === 'failed' ? outcome.why : '')
      this.#options.onCompacted(document, outcome.kind === 'done' ? outcome.snapshot : undefined)
      if (outcome.kind === 'done' && outcome.more) this.compact(document)
      this.#next()
    })
  }

  #failed(document: DocumentName): void {
    const count = (this.#failing.get(document)?.count ?? 0) + 1
    const [oldest] = this.#failing.keys()
    if (this.#failing.size >= failingMax && oldest !== undefined) this.#failing.delete(oldest)
    this.#failing.delete(document)
    this.#failing.set(document, { count, until: this.#options.clock.now() + Math.min(retryMsMax, retryMs * 2 ** (count - 1)) })
  }

  async #run(document: DocumentName): Promise<RunOutcome> {
    const { log, limits } = this.#options
    const info = await ask<DocumentInfo>((done) => log.openDocument(document, done))
    if (info.kind === 'failed') return failed(info.code)
    const { engine, life, ended, tailCount } = info.value
    if (engine === undefined || ended || tailCount === 0) return { kind: 'nothing' }
    const old = await ask<Snapshot | undefined>((done) => log.readSnapshot(document, done))
    if (old.kind === 'failed') return failed(old.code)
    const room = limits.bytesMax - (old.value?.state.bytes.length ?? 0)
    if (room <= 0) return { kind: 'failed', why: 'size' }
    const gathered = await this.#gather(document, old.value, room)
    if (gathered === 'nothing') return { kind: 'nothing' }
    if ('kind' in gathered) return gathered
    const folder = this.#folders.find((one) => !one.isBusy)
    if (folder === undefined) return { kind: 'failed', why: 'busy' }
    const folded = await folder.fold(engine, gathered.updates)
    if (folded.kind === 'failed') return { kind: 'failed', why: folded.why }
    if (this.#closed) return { kind: 'failed', why: 'closed' }
    const { position, version } = gathered
    const snapshot: Snapshot = { document, life, position, version, state: folded.state }
    const put = await ask<void>((done) => log.putSnapshot(snapshot, { trim: true }, done))
    if (put.kind === 'failed') return failed(put.code)
    const { bytes, index } = folded.state
    const { tailBytes } = gathered
    return {
      kind: 'done',
      more: gathered.more,
      snapshot: { position, version, bytes: bytes.length, index, tailCount: gathered.tailCount, tailBytes },
    }
  }

  /** The old state and the entries behind it, as many as there is room for. */
  async #gather(document: DocumentName, old: Snapshot | undefined, room: number): Promise<Gathered | RunFailed | 'nothing'> {
    const updates: Uint8Array[] = old === undefined ? [] : [old.state.bytes]
    const version = mutableVersion(old?.version)
    let position = old?.position ?? toPosition(0)
    let after = position
    let tailCount = 0
    let tailBytes = 0
    const take = (update: RecentUpdate): void => {
      updates.push(update.payload)
      include(version, update.replica, update.sequence)
      position = update.position
      tailCount++
      tailBytes += update.payload.length
    }
    const recent = this.#options.recent(document, position)
    if (recent !== undefined && recent.length > 0) {
      for (const update of recent) if (tailBytes < room) take(update)
      return { updates, version, position, tailCount, tailBytes, more: tailCount < recent.length }
    }
    for (;;) {
      const from = after
      const read = await ask<Read>((done) => this.#options.log.readDocument(document, from, page, done))
      if (read.kind === 'failed') return failed(read.code)
      // Somebody else trimmed, or the document began a new life: the next time will see it as it then is.
      if (read.value.trimmed > from) return 'nothing'
      for (const entry of read.value.entries) {
        if (entry.kind !== 'update') return 'nothing'
        take(entry)
      }
      after = read.value.asOf
      const full = tailBytes >= room
      if (!read.value.more || full || this.#closed) {
        if (tailCount === 0) return 'nothing'
        return { updates, version, position, tailCount, tailBytes, more: read.value.more && full }
      }
    }
  }
}

interface RunFailed {
  readonly kind: 'failed'
  readonly why: string
}

type RunOutcome =
  | { readonly kind: 'done'; readonly snapshot: Compacted; readonly more: boolean }
  | { readonly kind: 'nothing' }
  | RunFailed

const failed = (code: LogErrorCode): RunFailed => ({ kind: 'failed', why: code })

const ask = <T>(run: (done: Done<T>) => void): Promise<Outcome<T>> => new Promise((resolve) => run(resolve))
