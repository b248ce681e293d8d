/**
 * One opening of the store for writing, and all that it may do: commit batches, settle, put snapshots, trim, set aside, checkpoint. [hot]
 *
 * It begins a new incarnation before anything else (LOG2) and is thrown away after the first failed commit (LOG3), so nothing here
 * undoes what a failed transaction left in its maps. Everything is synchronous; the worker around it decides when.
 */

import { randomBytes } from 'node:crypto'
import { engineNameOf } from '@meridian/core/engine'
import { decodeControl, kindNumber } from '@meridian/core/entry'
import { assert, MeridianError } from '@meridian/core/errors'
import { millisecondsOf, toHybridTime } from '@meridian/core/hybrid-time'
import type { DocumentName, RegionId, ReplicaId } from '@meridian/core/ids'
import { formatReplica, replicaParts } from '@meridian/core/ids'
import type { SqliteDatabase, SqliteDriverName } from '@meridian/core/io/sqlite'
import { type ErasedLife, encodeErased, erasedOf } from '@meridian/core/stub'
import type { Version } from '@meridian/core/version'
import { covers, decodeVersion, emptyVersion, encodeVersion, include, mutableVersion } from '@meridian/core/version'
import type { Batch, DraftRow, ForeignBatch, ForeignRow } from './batch.js'
import { decodeBatch, decodeForeign } from './batch.js'
import { DotIndex, DotRuns, DotWriter } from './dots.js'
import type { FreshEntry } from './fresh.js'
import { isState, pushKey, stateCounter } from './fresh.js'
import { Generations } from './generations.js'
import type { EntryRow, TailItem } from './records.js'
import {
  chainOf,
  checkedEntry,
  chunkChecksum,
  decodeOrder,
  decodeTail,
  encodeOrder,
  encodeTail,
  entryChecksum,
  entryColumns,
  listChecksum,
  snapshotChecksum,
} from './records.js'
import { OpeningStatements, tailRowsMax } from './opening-statements.js'
import type { Retained, RetentionOptions } from './retention.js'
import { Retention } from './retention.js'
import type { AdoptedRows, StateRow, StateSnapshot } from './states.js'
import { openStore, pageBytes, toOpenError } from './store.js'

export interface OpeningOptions extends RetentionOptions {
  readonly directory: string
  readonly region: RegionId
  readonly driver: SqliteDriverName
  readonly logBytesMax: number
  /** Milliseconds after which a device's newest push is forgotten; should it come back and send that push again, it gets a new dot, which harms nothing (SES2). */
  readonly pushKeepMs: number
  readonly opening: 'first' | 'full' | 'failed'
  /** Links want chain values with each commit. */
  readonly isLinked: boolean
}

export interface Committed {
  /** Position of the first entry of the first batch. */
  readonly position: number
  /** For each batch the sequence of each draft. */
  readonly sequences: readonly (readonly number[])[]
  /** For each batch the chain value of the last entry of each group, if the log is linked. */
  readonly chains: readonly ReadonlyMap<string, bigint>[]
  /** For each batch of entries of other replicas; they stand behind the others. */
  readonly included: readonly IncludedRows[]
}

/** `stubs`: of `fresh`, those that are of a life that has ended here (RES7). */
export type IncludedRows =
  | {
      readonly kind: 'included'
      /** Position of the first fresh one; the others follow without a gap. */
      readonly position: number
      /** Which of the batch were new here, by their index. */
      readonly fresh: readonly number[]
      readonly stubs: readonly number[]
    }
  | { readonly kind: 'gap'; readonly replica: string; readonly sequence: number }
  | { readonly kind: 'living'; readonly lives: readonly ErasedLife[] }

/** What a reader, or the check at the start, found to be wrong. */
export interface Damage {
  readonly reason: 'record' | 'record missing' | 'tail' | 'order' | 'dots' | 'snapshot' | 'page'
  /** 0 if it is not known. */
  readonly document: number
  readonly group: number
  readonly position: number
}

export interface SnapshotPut {
  readonly document: string
  readonly life: number
  readonly position: number
  readonly version: Uint8Array
  readonly index: Uint8Array
  readonly state: Uint8Array
  readonly trim: boolean
}

/** Settled in idle moments from here on; at the second the next commit waits for it, which bounds the check at the start and both indexes of fresh entries. */
export const freshCountIdle = 512
export const freshCountMax = 4096
export const freshBytesMax = 16 * 1024 * 1024

/** One settling transaction: many entries of few documents are cheap, each document costs a page. */
const settleCountMax = 4096
const settleDocumentsMax = 512

/**
 * Bytes of the WAL, about. Each time that the first were added, the reader's thread is asked to copy them into the database file while commits
 * go on. From the second on what it left is copied here as soon as it answers, which lets the next commit begin the WAL anew; from the
 * third on without waiting for it. The second is within what the file was lengthened to (store.ts).
 */
export const walBytesDue = 3 * 1024 * 1024
export const walBytesEnough = 6 * 1024 * 1024
export const walBytesMax = 24 * 1024 * 1024

/** Rows of one snapshot are no longer, and one transaction writes or drops about one such, so that no commit waits long. */
export const chunkBytesMax = 1024 * 1024
const trimCountMax = 1024
const pushRowsMax = 256

const documentCacheMax = 50_000
const groupCacheMax = 10_000
const endCacheMax = 50_000

/** Trims that one transaction looks at; most of those that wait for a peer cost a look-up each. */
const trimsMax = 64
/**
 * After a pass over what waits for peers, for each document that it looked at in vain: about 20 times what a look costs. Counted and not timed, because on a
 * busy machine time is not work.
 */
const lookPauseMs = 0.2
/** Of `logBytesMax`: what is kept for peers fills no log. */
const retainShare = 1 / 4
/** Without news of any peer a pass looks for what has waited too long so often. */
const passIdleMs = 30_000
/** LOG2: how much time one incarnation is taken to last at least, on the average. */
const incarnationMs = 10_000

/** Beyond `logBytesMax`: room for settling and for the snapshots that make room again. */
const reserve = 1 / 8

/** Where an entry stands, and whose it is. */
interface EntryDot {
  readonly position: number
  readonly document: number
  readonly replica: number
  readonly sequence: number
  readonly chain: Buffer
}

interface DocumentState {
  readonly ref: number
  group: number
  life: number
  ended: boolean
}

/** Where this incarnation stands in a group. */
interface GroupState {
  readonly ref: number
  sequence: number
  chain: bigint
  position: number
}

/** Where another replica stands in a group. */
interface ForeignEnd {
  readonly replica: number
  readonly group: number
  sequence: number
  position: number
}

export class Opening {
  readonly replica: string
  /** What the check at the start set aside. */
  readonly damages: readonly Damage[]
  position = 0
  fresh: FreshEntry[] = []

  private readonly database: SqliteDatabase
  private readonly region: RegionId
  private readonly logBytesMax: number
  private readonly statements: OpeningStatements
  private readonly replicaRef: number
  private readonly documents = new Generations<string, DocumentState>(documentCacheMax)
  private readonly groups = new Generations<string, GroupState>(groupCacheMax)
  /** Of the groups that `versions` is behind of: what the cache forgets of them cannot be read again. */
  private readonly unsettled = new Map<number, GroupState>()
  /** The same for replicas other than this incarnation, by group and name. */
  private readonly ends = new Generations<string, ForeignEnd>(endCacheMax)
  private readonly unsettledEnds = new Map<string, ForeignEnd>()
  private readonly floors = new Generations<number, Map<string, number>>(groupCacheMax)
  private readonly dotWriter: DotWriter
  private readonly retention: Retention
  private retained: { readonly group: number; readonly region: string; readonly version: Uint8Array }[] = []
  private nextGroup: number
  private nextDocument: number
  private nextReplica: number
  private nextSnapshot: number
  private settled: number
  private freshBytes = 0
  /** About how much stands in the WAL, copied or not. */
  walBytes = 0
  /** Whether there may be something to drop; looked at once after opening. */
  garbage = true
  /** Documents with a trim that has not come through yet and waits for no peer. */
  private readonly hasty = new Set<number>()
  /** The pass over trims: the document it has come to, when it began, how many it has looked at in vain, and before when the next one would take too much of the writer's time. */
  private isPassing = true
  private trimCursor = 0
  private passFromMs = 0
  private lookedCount = 0
  private nextPassMs = 0
  /** Whether something stays only for peers, and whether they have said since the last pass that they hold more. */
  private waits = false
  private isReleased = false
  private wide = false
  private readonly pushKeepMs: number
  private readonly isLinked: boolean
  private pushCursor: { readonly group: number; readonly device: Buffer } | undefined = { group: 0, device: Buffer.alloc(0) }

  /** @throws MeridianError CONFIG_INVALID, LOG_DAMAGED, LOG_FULL, LOG_UNAVAILABLE */
  constructor(options: OpeningOptions) {
    this.region = options.region
    this.logBytesMax = options.logBytesMax
    this.pushKeepMs = options.pushKeepMs
    this.isLinked = options.isLinked
    this.database = openStore(options)
    try {
      this.database.exec('PRAGMA cache_size = -32768; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY')
      this.statements = new OpeningStatements(this.database)
      this.dotWriter = new DotWriter(this.database)
      const dots = new DotIndex(this.database, (ref) => this.replicaName(ref))
      const { retainMs, retainBytes, logBytesMax } = options
      const bounds = { retainMs, retainBytes: Math.min(retainBytes, logBytesMax * retainShare) }
      this.retention = new Retention(this.database, dots, bounds)
      this.widen({ reserve: true })
      this.settled = this.number("SELECT value FROM meta WHERE key = 'settled'")
      this.position = Math.max(
        this.settled,
        this.number('SELECT max(position) FROM entries'),
        this.number('SELECT max(position) FROM damaged'),
      )
      this.nextGroup = this.number('SELECT max(ref) FROM groups') + 1
      this.nextDocument = this.number('SELECT max(ref) FROM documents') + 1
      this.nextReplica = this.number('SELECT max(ref) FROM replicas') + 1
      this.nextSnapshot =
        Math.max(this.number('SELECT max(snapshot) FROM chunks'), this.number("SELECT value FROM meta WHERE key = 'snapshot'")) +
        1
      this.damages = this.recheck()
      this.beginEnds()
      const counter = this.nextCounter()
      this.replica = formatReplica({ region: options.region, counter, random: randomBytes(8).toString('hex') })
      this.begin()
      for (const damage of this.damages) this.setAsideNow(damage)
      this.replicaRef = this.nextReplica++
      this.database.prepare('INSERT INTO replicas (ref, name) VALUES (?, ?)').run([this.replicaRef, this.replica])
      this.database
        .prepare('INSERT INTO incarnations (counter, replica_ref, opened_ms, position) VALUES (?, ?, ?, ?)')
        .run([counter, this.replicaRef, Date.now(), this.position])
      this.database.exec("UPDATE meta SET value = 0 WHERE key = 'clean'")
      this.commitNow(4)
    } catch (thrown) {
      this.abandon()
      throw toOpenError(thrown)
    }
  }

  get settledPosition(): number {
    return this.settled
  }

  /** Bytes of the database file, without its WAL. */
  get bytes(): number {
    return this.number('PRAGMA page_count') * pageBytes
  }

  /** All batches in one commit. Durable when it returns; throws SqliteError, and then this opening is over. */
  commit(batches: readonly Batch[], foreign: readonly ForeignBatch[] = []): Committed {
    this.settleIfOverdue()
    this.widen({ reserve: false })
    const position = this.position + 1
    let bytes = 0
    this.begin()
    const sequences: number[][] = []
    const chains: Map<string, bigint>[] = []
    for (const batch of batches) {
      bytes += batch.bytes
      const list: number[] = []
      const ends = new Map<string, bigint>()
      decodeBatch(batch, (draft) => {
        list.push(this.insert(draft))
        if (this.isLinked) ends.set(draft.group, this.group(draft.group).chain)
      })
      sequences.push(list)
      if (this.isLinked) chains.push(ends)
    }
    const included: IncludedRows[] = []
    for (const one of foreign) {
      bytes += one.batch.bytes
      included.push(this.include(decodeForeign(one)))
    }
    if (this.retained.length > 0) this.writeRetained()
    this.commitNow(1.5 + (bytes * 1.1) / pageBytes)
    return { position, sequences, chains, included }
  }

  /** LINK4: what is held already is left out; after a gap nothing of the batch is written, and the rest of the commit is. */
  private include(rows: readonly ForeignRow[]): IncludedRows {
    const ends = new Map<ForeignEnd | GroupState, number>()
    const fresh: number[] = []
    const entries: { readonly row: ForeignRow; readonly group: GroupState; readonly end: ForeignEnd }[] = []
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]
      if (row === undefined) break
      const group = this.group(row.draft.group)
      const own = row.replica === this.replica
      const state = own ? group : this.endOf(group, row.replica)
      const end = ends.get(state) ?? state.sequence
      if (row.sequence <= end || this.isSealed(group.ref, row.replica)) continue
      if (row.first > end + 1 || own) return { kind: 'gap', replica: row.replica, sequence: row.sequence }
      ends.set(state, row.sequence)
      fresh.push(index)
      entries.push({ row, group, end: this.endOf(group, row.replica) })
    }
    const lives = this.livingOf(entries.map(({ row }) => row.draft))
    if (lives.length > 0) return { kind: 'living', lives }
    const position = this.position + 1
    const stubs: number[] = []
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at]
      if (entry !== undefined && this.insertForeign(entry.row, entry.group, entry.end) === 'stub') stubs.push(fresh[at] ?? 0)
    }
    return { kind: 'included', position, fresh, stubs }
  }

  /** RES7: the lives that stubs name and that neither have ended here nor do in this batch. */
  private livingOf(batch: readonly DraftRow[]): readonly ErasedLife[] {
    const lives = new Map<string, ErasedLife>()
    for (const { kind, payload } of batch) {
      const erased = kind === kindNumber.stub ? erasedOf(payload) : undefined
      if (erased === undefined || erased.life <= (lives.get(erased.document)?.life ?? 0)) continue
      const { document, life } = erased
      const ends = (one: DraftRow): boolean =>
        one.document === document && (one.life > life || (one.life === life && one.kind === kindNumber.erase))
      if (!this.isOver(document, life) && !batch.some(ends)) lives.set(document, erased)
    }
    return [...lives.values()]
  }

  private isOver(document: string, life: number): boolean {
    const held = this.documents.get(document)
    if (held !== undefined) return isLate(held, life)
    const row = this.statements.documentByName.get([document])
    return row !== undefined && isLate({ life: Number(row[1]), ended: row[2] === 1 }, life)
  }

  private insertForeign({ draft, sequence, chain }: ForeignRow, group: GroupState, end: ForeignEnd): 'entry' | 'stub' {
    const position = ++this.position
    end.sequence = sequence
    end.position = position
    group.position = position
    const dot = { position, replica: end.replica, sequence, chain: Buffer.from(chain) }
    const state = draft.document === '' ? undefined : this.document(draft, group)
    const isErase = draft.kind === kindNumber.erase
    if (draft.kind === kindNumber.stub || (state !== undefined && !isErase && isLate(state, draft.life))) {
      this.putLate(draft, group, dot)
      return 'stub'
    }
    if (state !== undefined && turns(state, draft)) this.turnLife(state, group, draft)
    this.putEntry(draft, group, { ...dot, document: state?.ref ?? 0 })
    if (draft.kind === kindNumber.control) this.control(group, draft.payload, dot.chain)
    return 'entry'
  }

  /** RES7: what comes when its life has ended is a stub from the beginning. */
  private putLate(draft: DraftRow, group: GroupState, dot: Omit<EntryDot, 'document'>): void {
    const payload = draft.kind === kindNumber.stub ? draft.payload : erasedBytes(draft.document, draft)
    const stub = { ...draft, kind: kindNumber.stub, document: '', engine: 0, life: 0, payload }
    this.putEntry(stub, group, { ...dot, document: 0 })
    this.statements.putStub.run([group.ref, dot.position])
    this.waits = true
  }

  private endOf(group: GroupState, replica: string): ForeignEnd {
    const key = `${group.ref}/${replica}`
    let end = this.ends.get(key) ?? this.unsettledEnds.get(key)
    if (end === undefined) {
      const ref = this.refOfReplica(replica)
      const [sequence = 0, , position = 0] = this.statements.versionOf.get([group.ref, ref]) ?? []
      end = { replica: ref, group: group.ref, sequence: Number(sequence), position: Number(position) }
    }
    this.ends.set(key, end)
    this.unsettledEnds.set(key, end)
    return end
  }

  private isSealed(group: number, replica: string): boolean {
    let floors = this.floors.get(group)
    if (floors === undefined) {
      floors = new Map(this.statements.floorsOf.all([group]).map(([region, counter]) => [String(region), Number(counter)]))
      this.floors.set(group, floors)
    }
    if (floors.size === 0) return false
    const { region, counter } = replicaParts(replica as ReplicaId)
    return counter <= (floors.get(region) ?? 0)
  }

  /** What the check at the start found beyond the mark stands in `versions` only when it is settled. */
  private beginEnds(): void {
    for (const { group, replica, sequence, position, counter } of this.fresh)
      if (!isState({ counter }))
        this.unsettledEnds.set(`${group}/${this.replicaName(replica)}`, { replica, group, sequence, position })
  }

  /**
   * LOG2, LOG5: one more than the last, and no less than one for each `incarnationMs` since the first opening. So the incarnations of a
   * copy that is restored come after all that its original has opened since the copy was made, and no floor that has risen meanwhile stands for them.
   */
  private nextCounter(): number {
    const last = this.number('SELECT max(counter) FROM incarnations')
    const firstMs = Number(
      this.database.prepare('SELECT opened_ms FROM incarnations ORDER BY counter LIMIT 1').get([])?.[0] ?? Date.now(),
    )
    return Math.max(last + 1, 1 + Math.floor((Date.now() - firstMs) / incarnationMs))
  }

  private insert(draft: DraftRow): number {
    const group = this.group(draft.group)
    const position = ++this.position
    const sequence = ++group.sequence
    group.chain = chainOf(draft.record, group.chain)
    group.position = position
    const chain = chainBytes(group.chain)
    const dot = { position, replica: this.replicaRef, sequence, chain }
    const state = draft.document === '' ? undefined : this.document(draft, group)
    // It was on its way here when an erase came by a link, and nobody could refuse it any more.
    if (state !== undefined && draft.kind !== kindNumber.erase && isLate(state, draft.life)) {
      this.putLate(draft, group, dot)
      return sequence
    }
    if (state !== undefined && turns(state, draft)) this.turnLife(state, group, draft)
    this.putEntry(draft, group, { ...dot, document: state?.ref ?? 0 })
    if (draft.kind === kindNumber.control) this.control(group, draft.payload, chain)
    return sequence
  }

  private putEntry(draft: DraftRow, group: { readonly ref: number }, dot: EntryDot): void {
    const { position, document, replica, sequence, chain } = dot
    const row = {
      position,
      group: group.ref,
      document,
      replica,
      sequence,
      kind: draft.kind,
      life: draft.life,
      epoch: draft.epoch,
      time: draft.time,
      engine: draft.engine,
      device: draft.device,
      counter: draft.counter,
      chain,
      payload: draft.payload,
    }
    this.statements.putEntry.run([
      position,
      group.ref,
      document,
      replica,
      sequence,
      draft.kind,
      draft.life,
      draft.epoch,
      draft.time,
      draft.engine,
      draft.device,
      draft.counter,
      chain,
      entryChecksum(row),
      draft.payload,
    ])
    this.freshBytes += draft.payload.length
    this.fresh.push({
      position,
      group: group.ref,
      document,
      replica,
      sequence,
      life: draft.life,
      bytes: draft.payload.length,
      time: draft.time,
      // A view, which keeps its batch in memory: all of them together are bounded as what is fresh is.
      device: draft.device,
      counter: draft.counter,
      chain,
    })
  }

  /** LOG5: the floor rises to the seal's counter, and the incarnations that it names are done with. */
  private control(group: GroupState, payload: Uint8Array, chain: Buffer): void {
    const control = decodeControl(payload)
    if (control.kind !== 'seal') return
    for (const [replica, last] of control.last) {
      this.statements.sealVersion.run([group.ref, this.refOfReplica(replica), chainBytes(0n), last])
    }
    const region = control.last.keys().next().value
    this.statements.putFloor.run([
      group.ref,
      region === undefined ? this.region : replicaParts(region).region,
      control.counter,
      chain,
    ])
    this.floors.delete(group.ref)
  }

  private replicaName(ref: number): string {
    return String(this.statements.replicaByRef.get([ref])?.[0] ?? '')
  }

  private refOfReplica(name: string): number {
    const held = this.statements.replicaByName.get([name])?.[0]
    if (typeof held === 'number') return held
    const ref = this.nextReplica++
    this.statements.putReplica.run([ref, name])
    return ref
  }

  /** RES7: an erase ends a life, a later one begins with its first entry. What a snapshot held of the life before goes. */
  private turnLife(state: DocumentState, group: GroupState, draft: DraftRow): void {
    state.ended = draft.kind === kindNumber.erase
    state.life = draft.life
    this.statements.setLife.run([state.life, state.ended ? 1 : 0, state.ref])
    this.dropSnapshot(state.ref)
    if (state.ended) this.eraseBefore(state, group, this.position - 1)
  }

  /** Nothing up to `position` is read any more from here on; the bytes go in idle moments, as those of any trim. */
  private eraseBefore(state: DocumentState, group: GroupState, position: number): void {
    this.statements.setTrimmed.run([position, state.ref])
    this.statements.setGroupTrimmed.run([position, group.ref])
    this.statements.putTrim.run([state.ref, position, state.life, position])
    this.statements.forgetDamaged.run([state.ref])
    this.hasten(state.ref)
  }

  private group(name: string): GroupState {
    const held = this.groups.get(name)
    if (held !== undefined) {
      this.unsettled.set(held.ref, held)
      return held
    }
    let ref = this.statements.groupByName.get([name])?.[0]
    if (typeof ref !== 'number') {
      ref = this.nextGroup++
      this.statements.putGroup.run([ref, name])
    }
    const state = this.unsettled.get(ref) ?? this.settledState(ref)
    this.groups.set(name, state)
    this.unsettled.set(ref, state)
    return state
  }

  private settledState(ref: number): GroupState {
    const [sequence = 0, chain, position = 0] = this.statements.versionOf.get([ref, this.replicaRef]) ?? []
    return {
      ref,
      sequence: Number(sequence),
      chain: Buffer.isBuffer(chain) ? chain.readBigUInt64LE() : 0n,
      position: Number(position),
    }
  }

  private document(draft: DraftRow, group: GroupState): DocumentState {
    const held = this.documents.get(draft.document)
    if (held !== undefined) {
      if (held.group !== group.ref) this.moveDocument(held, group)
      return held
    }
    const row = this.statements.documentByName.get([draft.document])
    let state: DocumentState
    if (row === undefined) {
      const ended = draft.kind === kindNumber.erase
      state = { ref: this.nextDocument++, group: group.ref, life: draft.life, ended }
      this.statements.putDocument.run([state.ref, draft.document, draft.engine, state.life, ended ? 1 : 0, group.ref])
    } else {
      state = { ref: Number(row[0]), group: Number(row[3]), life: Number(row[1]), ended: row[2] === 1 }
      if (state.group !== group.ref) this.moveDocument(state, group)
    }
    this.documents.set(draft.document, state)
    return state
  }

  private moveDocument(state: DocumentState, group: GroupState): void {
    state.group = group.ref
    this.statements.setGroup.run([group.ref, state.ref])
  }

  /** True if enough is fresh that an idle moment should be used. */
  get settleDue(): boolean {
    return this.fresh.length >= freshCountIdle || this.freshBytes >= freshBytesMax / 4
  }

  /** Keeps what is fresh within its bounds; called right after a commit was answered, so that nobody waits for it but who comes next. */
  settleIfOverdue(): void {
    if (this.fresh.length >= freshCountMax || this.freshBytes >= freshBytesMax) this.settle()
  }

  /** Settles all that is fresh. */
  settle(): void {
    while (this.fresh.length > 0) this.settleSome()
  }

  /** One transaction that brings `tails`, `orders` and `pushes` up to date for the oldest of what is fresh. */
  settleSome(): void {
    const tails = new Map<number, FreshEntry[]>()
    const orders = new Map<number, number[]>()
    const dots = new DotRuns<FreshEntry>()
    const pushes = new Map<string, FreshEntry>()
    // Most entries are of the device of the one before: keys are made only where these change.
    let push: FreshEntry | undefined
    let count = 0
    for (const item of this.fresh) {
      if (count === settleCountMax || (tails.size === settleDocumentsMax && !tails.has(item.document))) break
      count++
      if (!isState(item)) {
        const order = orders.get(item.group)
        if (order === undefined) orders.set(item.group, [item.position])
        else order.push(item.position)
        dots.add(item)
      }
      if (item.document !== 0) {
        const tail = tails.get(item.document)
        if (tail === undefined) tails.set(item.document, [item])
        else tail.push(item)
      }
      if (item.device === null) continue
      if (push !== undefined && !isSameDevice(push, item)) keepPush(pushes, push)
      else if (push !== undefined && push.counter > item.counter) continue
      push = item
    }
    if (push !== undefined) keepPush(pushes, push)
    const settled = this.fresh[count - 1]?.position
    if (settled === undefined) return
    this.widen({ reserve: true })
    this.begin()
    for (const [document, items] of tails) {
      // A list is of one life; nearly always there is one only.
      for (let from = 0; from < items.length; ) {
        const life = items[from]?.life ?? 0
        let to = from + 1
        while (to < items.length && items[to]?.life === life) to++
        this.putTail(document, life, items.slice(from, to))
        from = to
      }
    }
    for (const [group, positions] of orders) this.putOrder(group, positions)
    const runs = dots.all()
    for (const run of runs) {
      const { end } = run
      this.dotWriter.put(run)
      this.statements.putVersion.run([end.group, end.replica, end.sequence, end.chain, end.position])
    }
    for (const item of pushes.values()) {
      if (item.device === null) continue
      this.statements.putPush.run([
        item.group,
        item.device,
        item.counter,
        item.replica,
        item.sequence,
        millisecondsOf(toHybridTime(item.time)),
      ])
    }
    this.statements.setMeta.run([settled, 'settled'])
    this.commitNow(4 + tails.size * 1.2 + orders.size + 2 * runs.length + pushes.size * 0.5)
    this.settled = settled
    for (let index = 0; index < count; index++) this.freshBytes -= this.fresh[index]?.bytes ?? 0
    this.fresh = this.fresh.slice(count)
    for (const state of this.unsettled.values()) if (state.position <= settled) this.unsettled.delete(state.ref)
    for (const [key, end] of this.unsettledEnds) if (end.position <= settled) this.unsettledEnds.delete(key)
  }

  private putTail(document: number, life: number, items: readonly TailItem[]): void {
    const position = items.at(-1)?.position ?? 0
    const list = encodeTail(items)
    this.statements.putTail.run([document, position, life, listChecksum({ owner: document, position, life }, list), list])
  }

  private putOrder(group: number, positions: readonly number[]): void {
    const position = positions.at(-1) ?? 0
    const list = encodeOrder(positions)
    this.statements.putOrder.run([group, position, listChecksum({ owner: group, position, life: 0 }, list), list])
  }

  /** A snapshot that fits one chunk is put in one transaction, a longer one piece by piece between other commits. */
  beginSnapshot(put: SnapshotPut): SnapshotStaging {
    return { put, snapshot: this.nextSnapshot++, written: 0, chunks: 0 }
  }

  /** Writes the next piece; true when the snapshot is durable and stands for the document's entries. */
  stepSnapshot(staging: SnapshotStaging): boolean {
    const { put, snapshot } = staging
    if (put.trim && put.position > this.settled) this.settle()
    const row = this.statements.documentByName.get([put.document])
    assert(row !== undefined, 'a snapshot is of a document that was written')
    this.widen({ reserve: true })
    this.begin()
    const [document = 0, life, ended] = row.map(Number)
    const held = this.statements.snapshotHeld.get([document])
    // Erased meanwhile, or a newer one came first: there is nothing to do, and what was written of it goes.
    if (life === undefined || life !== put.life || ended === 1 || Number(held?.[1] ?? -1) > put.position) {
      if (staging.chunks > 0) this.garbage = true
      this.commitNow(0)
      return true
    }
    const piece = put.state.subarray(staging.written, staging.written + chunkBytesMax)
    if (staging.chunks === 0) this.statements.putMeta.run(['snapshot', snapshot])
    const last = staging.written + piece.length === put.state.length
    this.statements.putChunk.run([snapshot, staging.chunks, chunkChecksum(snapshot, staging.chunks, piece), piece])
    // What is not finished is garbage until it is, so that a crash leaves nothing behind.
    if (!last && staging.chunks === 0) this.statements.putDropped.run([snapshot])
    staging.chunks++
    staging.written += piece.length
    if (last) {
      if (staging.chunks > 1) this.statements.removeDropped.run([snapshot])
      this.dropSnapshot(document)
      const { version, index, position } = put
      const checksum = snapshotChecksum({
        document,
        snapshot,
        life,
        position,
        bytes: put.state.length,
        chunks: staging.chunks,
        version,
        index,
      })
      this.statements.putSnapshot.run([
        document,
        snapshot,
        life,
        position,
        put.state.length,
        staging.chunks,
        checksum,
        version,
        index,
      ])
      if (put.trim) {
        this.statements.setTrimmed.run([position, document])
        this.markGroupTrimmed(document, position, life)
        this.statements.putTrim.run([document, position, life, 0])
        this.trimSome({ document, position, life, erased: 0, group: Number(row[3]) })
      }
      const damagedTo = this.statements.damagedTo.get([document])?.[0]
      if (typeof damagedTo === 'number' && damagedTo <= position) this.statements.setDamaged.run([0, document])
    }
    this.commitNow(6 + piece.length / pageBytes)
    return last
  }

  setPeers(group: string, regions: readonly string[]): void {
    this.transact(() => {
      const { ref } = this.group(group)
      this.retention.setPeers(ref, regions, encodeVersion(emptyVersion))
    })
    this.waits = true
    this.isReleased = true
    this.reconsider()
  }

  /** Written with the next commit, or by `tidy`. */
  retain(retained: readonly Retained[]): void {
    for (const { group, region, version } of retained) {
      const ref = this.statements.groupByName.get([group])?.[0]
      if (typeof ref === 'number') this.retained.push({ group: ref, region, version })
    }
  }

  get hasRetained(): boolean {
    return this.retained.length > 0
  }

  writeRetainedNow(): void {
    this.transact(() => undefined)
  }

  /** Inside a transaction. */
  private writeRetained(): void {
    for (const { group, region, version } of this.retained) this.retention.retain(group, region, version)
    this.retained = []
    this.isReleased = true
    this.reconsider()
  }

  beginJoin(group: string): void {
    this.transact(() => this.statements.setJoining.run([1, this.group(group).ref]))
  }

  /** LINK6. @returns the documents that hold what the state given for them does not; undefined if the group is not joining. */
  putStates(group: string, states: readonly StateRow[]): readonly string[] | undefined {
    this.settle()
    const unmerged: string[] = []
    let isJoining = false
    this.transact(() => {
      const held = this.group(group)
      isJoining = this.isJoining(held.ref)
      if (!isJoining) return
      for (const state of states) if (!this.putState(held, state)) unmerged.push(state.document)
      this.statements.setGroupTrimmed.run([this.position, held.ref])
    })
    return isJoining ? unmerged : undefined
  }

  private isJoining(group: number): boolean {
    return this.statements.groupState.get([group])?.[0] === 1
  }

  /** False if what is held has something that the state lacks. */
  private putState(group: GroupState, given: StateRow): boolean {
    const before = this.position
    let state = this.documents.get(given.document)
    const row = state === undefined ? this.statements.documentByName.get([given.document]) : undefined
    if (row !== undefined) {
      state = { ref: Number(row[0]), group: Number(row[3]), life: Number(row[1]), ended: row[2] === 1 }
    }
    const isNew = state === undefined
    if (state === undefined) {
      state = { ref: this.nextDocument++, group: group.ref, life: given.life, ended: given.ended }
      const { document, engine, life, ended } = given
      this.statements.putDocument.run([state.ref, document, engine, life, ended ? 1 : 0, group.ref])
    }
    this.documents.set(given.document, state)
    if (!isNew) {
      if (state.life > given.life || (state.life === given.life && state.ended)) return true
      const isErased = state.life !== given.life || given.ended
      if (!isErased && !covers(decodeVersion(given.version), this.documentVersion(state))) return false
      this.statements.putTrim.run([state.ref, before, given.life, isErased ? before : 0])
      this.hasten(state.ref)
      this.dropSnapshot(state.ref)
      state.life = given.life
      state.ended = given.ended
      this.statements.setLife.run([state.life, state.ended ? 1 : 0, state.ref])
      this.statements.setDamaged.run([0, state.ref])
      if (state.group !== group.ref) this.moveDocument(state, group)
    }
    if (!isNew || given.snapshot !== undefined) this.statements.setTrimmed.run([before, state.ref])
    for (const { draft, replica, sequence, chain } of decodeForeign(given.entries)) {
      const position = ++this.position
      const dot = { position, document: state.ref, replica: this.refOfReplica(replica), sequence, chain: Buffer.from(chain) }
      this.putEntry({ ...draft, counter: stateCounter }, group, dot)
    }
    if (given.snapshot !== undefined) this.putStateSnapshot(state, before, given.snapshot)
    return true
  }

  private putStateSnapshot(state: DocumentState, position: number, { version, index, state: bytes }: StateSnapshot): void {
    const snapshot = this.nextSnapshot++
    this.statements.putMeta.run(['snapshot', snapshot])
    let chunks = 0
    for (let written = 0; chunks === 0 || written < bytes.length; written += chunkBytesMax) {
      const piece = bytes.subarray(written, written + chunkBytesMax)
      this.statements.putChunk.run([snapshot, chunks, chunkChecksum(snapshot, chunks, piece), piece])
      chunks++
    }
    this.walBytes += bytes.length
    const { ref: document, life } = state
    const checksum = snapshotChecksum({ document, snapshot, life, position, bytes: bytes.length, chunks, version, index })
    this.statements.putSnapshot.run([document, snapshot, life, position, bytes.length, chunks, checksum, version, index])
  }

  /** Made of the document's own dots; everything is settled. */
  private documentVersion(state: DocumentState): Version {
    const [position = 0, snapshot] = this.statements.versionedSnapshot.get([state.ref, state.life]) ?? []
    const version = Buffer.isBuffer(snapshot) ? decodeVersion(snapshot) : mutableVersion()
    const names = new Map<number, ReplicaId>()
    for (const [, life, , list] of this.statements.tailsOf.all([state.ref, Number(position)])) {
      if (life !== state.life || !Buffer.isBuffer(list)) continue
      for (const item of decodeTail(list)) {
        if (item.position <= Number(position)) continue
        const name = names.get(item.replica) ?? (this.replicaName(item.replica) as ReplicaId)
        names.set(item.replica, name)
        include(version, name, item.sequence)
      }
    }
    return version
  }

  /** LINK6. False if the group is not joining. */
  adopt(group: string, { version: encoded, chains, sealed, seals }: AdoptedRows): boolean {
    this.settle()
    let isJoining = false
    this.transact(() => {
      const held = this.group(group)
      isJoining = this.isJoining(held.ref)
      if (!isJoining) return
      const version = decodeVersion(encoded)
      const raise = (replica: string, sequence: number, chain: bigint): void => {
        this.statements.adoptVersion.run([
          held.ref,
          this.refOfReplica(replica),
          sequence,
          chainBytes(chain),
          this.position,
          sequence,
        ])
      }
      for (const [replica, sequence] of version.sequences) raise(replica, sequence, chains.get(replica) ?? 0n)
      for (const [replica, sequence] of sealed) {
        raise(replica, sequence, 0n)
        this.statements.sealVersion.run([held.ref, this.refOfReplica(replica), chainBytes(0n), sequence])
      }
      for (const [name, seal] of seals) {
        const [region = '', counter] = name.split('#')
        this.statements.putFloor.run([held.ref, region, Number(counter), chainBytes(seal)])
      }
      for (const [region, { counter, seal }] of version.floors)
        this.statements.putFloor.run([held.ref, region, counter, chainBytes(seal)])
      this.statements.setGroupTrimmed.run([this.position, held.ref])
      this.statements.setJoining.run([0, held.ref])
      this.ends.clear()
      this.unsettledEnds.clear()
      this.floors.delete(held.ref)
      this.retention.forget(held.ref)
    })
    return isJoining
  }

  private transact(work: () => void): void {
    this.widen({ reserve: true })
    this.begin()
    const bytes = this.freshBytes
    if (this.retained.length > 0) this.writeRetained()
    work()
    this.commitNow(8 + ((this.freshBytes - bytes) * 1.2) / pageBytes)
  }

  private dropSnapshot(document: number): void {
    const held = this.statements.snapshotHeld.get([document])
    if (held === undefined) return
    const [snapshot = 0, , chunks = 0] = held.map(Number)
    if (chunks <= 1) {
      this.statements.removeChunk.run([snapshot, 0])
    } else {
      this.statements.putDropped.run([snapshot])
      this.garbage = true
    }
    this.statements.removeSnapshot.run([document])
  }

  /** The highest position that a trim takes from a group, noted before the first of them goes, so that readers see the hole at once. */
  private markGroupTrimmed(document: number, position: number, life: number): void {
    for (const [, , , list] of this.statements.tailsBack.all([document, life])) {
      if (!Buffer.isBuffer(list)) continue
      const highest = decodeTail(list).findLast((item) => item.position <= position)
      if (highest === undefined) continue
      const group = this.statements.entryAt.get([highest.position])?.[1]
      if (typeof group === 'number') this.statements.setGroupTrimmed.run([highest.position, group])
      return
    }
  }

  /**
   * Drops up to `trimCountMax` entries that a snapshot covers or an erase took, with what points at them; the rest later. Of what links may still
   * ask for, the first stays until peers hold it (LOG4), of the second a stub (RES7). Inside a transaction.
   *
   * @returns how many went.
   */
  private trimSome({ document, position, life, erased, group }: Trim): number {
    const removed = new Map<number, Removed>()
    const keepsStubs = erased > 0 && this.retention.hasPeers(group)
    const limit = this.retention.limit(group, this.settled)
    let count = 0
    let blocked = 0
    const rows = this.statements.tailsFrom.all([document, life, tailRowsMax])
    let rest = rows.length === tailRowsMax
    for (const [last, runLife, checksum, list] of rows) {
      if (typeof last !== 'number' || typeof runLife !== 'number' || !Buffer.isBuffer(list)) continue
      if (listChecksum({ owner: document, position: last, life: runLife }, list) !== checksum) continue
      const items = decodeTail(list)
      const first = items[0]?.position ?? 0
      if (first > position) {
        rest = false
        break
      }
      if (count >= trimCountMax) {
        rest = true
        break
      }
      const kept: TailItem[] = []
      for (const item of items) {
        const isErased = item.position <= erased
        if (item.position > position) kept.push(item)
        else if (!isErased && item.position > limit) {
          kept.push(item)
          if (blocked === 0) this.block(group, item)
          else this.retention.block(group, { position: item.position, time: 0, bytes: item.bytes })
          blocked++
        } else {
          count++
          if (isErased && keepsStubs) this.stub(item.position)
          else this.remove(item.position, removed)
        }
      }
      if (kept.length === items.length) continue
      this.statements.removeTail.run([document, last])
      if (kept.length > 0) this.putTail(document, runLife, kept)
    }
    this.dropRemoved(removed)
    if (blocked > 0) this.waits = true
    if (rest && count > 0) this.hasten(document)
    else if (!rest && blocked === 0) this.statements.removeTrim.run([document])
    return count
  }

  private hasten(document: number): void {
    this.hasty.add(document)
    this.garbage = true
  }

  private block(group: number, item: TailItem): void {
    const time = Number(this.statements.entryAt.get([item.position])?.[8] ?? 0)
    this.retention.block(group, { position: item.position, time, bytes: item.bytes })
  }

  private remove(position: number, removed: Map<number, Removed>): void {
    const [group, replica, sequence] = this.statements.removeEntry.get([position]) ?? []
    if (typeof group !== 'number' || typeof replica !== 'number') return
    let of = removed.get(group)
    if (of === undefined) {
      of = { positions: new Set(), ends: new Map() }
      removed.set(group, of)
    }
    of.positions.add(position)
    of.ends.set(replica, Math.max(of.ends.get(replica) ?? 0, Number(sequence)))
  }

  private dropRemoved(removed: ReadonlyMap<number, Removed>): void {
    for (const [group, { positions, ends }] of removed) {
      this.removeFromOrders(group, positions)
      this.statements.setGroupDropped.run([Math.max(...positions), group])
      for (const [replica, sequence] of ends) {
        this.statements.setGone.run([sequence, group, replica])
        this.dotWriter.removeUpTo(group, replica, sequence)
      }
    }
  }

  /** RES7: what stays of an erased entry. */
  private stub(position: number): void {
    const row = this.statements.entryAt.get([position])
    const entry = row === undefined ? undefined : checkedEntry(row)
    if (entry === undefined) {
      this.statements.removeEntry.get([position])
      return
    }
    const payload = erasedBytes(String(this.statements.documentName.get([entry.document])?.[0] ?? ''), entry)
    const stub = { ...entry, document: 0, kind: kindNumber.stub, life: 0, engine: 0, device: null, counter: 0, payload }
    this.statements.makeStub.run([stub.kind, entryChecksum(stub), payload, position])
    if (isState(entry)) this.statements.removeEntry.get([position])
    else this.statements.putStub.run([entry.group, position])
    this.waits = true
  }

  private removeFromOrders(group: number, positions: ReadonlySet<number>): void {
    let beyond = 0
    for (const position of positions) {
      if (position <= beyond) continue
      const row = this.statements.orderAt.get([group, position])
      if (row === undefined) return
      const [last, checksum, list] = row
      if (typeof last !== 'number' || !Buffer.isBuffer(list)) return
      beyond = last
      if (listChecksum({ owner: group, position: last, life: 0 }, list) !== checksum) continue
      const kept = decodeOrder(list).filter((held) => !positions.has(held))
      this.statements.removeOrder.run([group, last])
      if (kept.length > 0) this.putOrder(group, kept)
    }
  }

  /**
   * One transaction of what was put off: entries of trims, stubs that every peer holds, chunks of snapshots that were replaced. Trims that have just
   * come go first; those that wait for a peer are looked at in passes, one at the opening and others by `reconsider`. True if there may be more.
   */
  dropSome(): boolean {
    if (!this.garbage) return false
    const [hasty] = this.hasty
    if (hasty === undefined && this.isPassing && this.trimCursor === 0) {
      this.passFromMs = performance.now()
      this.lookedCount = 0
      this.retention.beginPass()
    }
    const next = hasty === undefined ? this.trimCursor : hasty - 1
    // What is fresh stands in no list yet, by which it would be found.
    if (Number(this.statements.trimBeyond.get([next])?.[1] ?? 0) > this.settled) this.settle()
    this.widen({ reserve: true })
    this.begin()
    let count = 0
    if (hasty !== undefined) {
      const trim = this.trimBeyond(hasty - 1)
      this.hasty.delete(hasty)
      if (trim?.document === hasty) count = this.trimSome(trim)
    } else if (this.isPassing) {
      count = this.passSome()
    } else if (!this.dropChunk()) {
      this.garbage = false
    }
    this.commitNow(Math.max(4, count / 4))
    return true
  }

  private passSome(): number {
    let count = 0
    let looked = 0
    for (; looked < trimsMax && count < trimCountMax; looked++) {
      const trim = this.trimBeyond(this.trimCursor)
      if (trim === undefined || trim.position > this.settled) break
      this.trimCursor = trim.document
      const dropped = this.trimSome(trim)
      if (dropped === 0) this.lookedCount++
      count += dropped
    }
    if (looked === 0 && !this.dropStubs()) this.endPass()
    return count
  }

  private endPass(): void {
    this.trimCursor = 0
    this.waits = this.retention.hasBlocked
    this.isPassing = this.retention.giveUp()
    this.nextPassMs = performance.now() + lookPauseMs * this.lookedCount
  }

  /** Peers hold more, or time has passed: what waited for them may go. Called every second or so. */
  reconsider(): void {
    const now = performance.now()
    if (this.isPassing || now < this.nextPassMs) return
    if (!this.isReleased && (!this.waits || now - this.passFromMs < passIdleMs)) return
    this.isReleased = false
    this.isPassing = true
    this.garbage = true
  }

  private trimBeyond(after: number): Trim | undefined {
    const row = this.statements.trimBeyond.get([after])
    if (row === undefined) return undefined
    const [document = 0, position = 0, life = 0, erased = 0, group = 0] = row.map(Number)
    return { document, position, life, erased, group }
  }

  /** True if some went. */
  private dropStubs(): boolean {
    for (let group = 0; ; ) {
      const next = this.statements.stubGroupBeyond.get([group])?.[0]
      if (typeof next !== 'number') return false
      group = next
      const limit = Math.min(this.retention.limit(group, this.settled), this.settled)
      const rows = this.statements.stubsFrom.all([group, limit, trimCountMax])
      const removed = new Map<number, Removed>()
      for (const [position] of rows) {
        if (typeof position !== 'number') continue
        this.remove(position, removed)
        this.statements.removeStub.run([group, position])
      }
      this.dropRemoved(removed)
      if (rows.length > 0) return true
      const stub = this.statements.stubsFrom.get([group, Number.MAX_SAFE_INTEGER, 1])?.[0]
      if (typeof stub === 'number') this.block(group, { position: stub, replica: 0, sequence: 0, bytes: 0 })
    }
  }

  private dropChunk(): boolean {
    const dropped = this.statements.anyDropped.get([])?.[0]
    if (typeof dropped !== 'number') return false
    const chunk = this.statements.anyChunk.get([dropped])?.[0]
    if (typeof chunk === 'number') this.statements.removeChunk.run([dropped, chunk])
    else this.statements.removeDropped.run([dropped])
    return true
  }

  /** True while the pass over old pushes, one at each opening, is not done. */
  get pushesDue(): boolean {
    return this.pushCursor !== undefined
  }

  /** Looks at some pushes and forgets those that are older than they are kept. */
  forgetSomePushes(): void {
    const from = this.pushCursor
    if (from === undefined) return
    const rows = this.statements.pushesBeyond.all([from.group, from.device, pushRowsMax])
    const last = rows.at(-1)
    this.pushCursor = last === undefined || !Buffer.isBuffer(last[1]) ? undefined : { group: Number(last[0]), device: last[1] }
    const before = Date.now() - this.pushKeepMs
    const old = rows.filter((row) => Number(row[2]) < before)
    if (old.length === 0) return
    this.widen({ reserve: true })
    this.begin()
    for (const [group = 0, device = null] of old) this.statements.removePush.run([group, device])
    this.commitNow(old.length)
  }

  /** Chunks being written are in `dropped` too; nothing is dropped while a snapshot is being written. */
  setAside(damage: Damage): void {
    this.widen({ reserve: true })
    this.begin()
    this.setAsideNow(damage)
    this.commitNow(6)
    this.fresh = this.fresh.filter((item) => item.position !== damage.position || damage.reason !== 'record')
  }

  private setAsideNow(damage: Damage): void {
    const { reason, document, group, position } = damage
    if (this.statements.damagedAlready.get([document, position, reason]) !== undefined) return
    let record: Buffer | null = null
    if (reason === 'record') {
      const row = this.statements.entryAt.get([position])
      if (row !== undefined) {
        record = Buffer.from(JSON.stringify(row.map((value) => (Buffer.isBuffer(value) ? value.toString('base64') : value))))
        this.statements.removeEntry.get([position])
      }
    }
    this.statements.putDamaged.run([reason, Date.now(), document, group, position, record])
    if (document !== 0) this.statements.setDamaged.run([1, document])
  }

  /** Copies what stands in the WAL into the database file, so that the next commit begins the WAL anew unless a read still needs it. */
  checkpoint(): void {
    const [, log = 0, moved = 0] = (this.statements.checkpoint.get([]) ?? []).map(Number)
    this.walBytes = Math.max(0, log - moved) * pageBytes
  }

  /** Settles, empties the WAL and notes that the store was closed on purpose. */
  close(): void {
    try {
      this.settle()
      this.database.exec("UPDATE meta SET value = 1 WHERE key = 'clean'")
      this.database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get([])
    } finally {
      this.abandon()
    }
  }

  /** Closes without writing anything. */
  abandon(): void {
    this.database.rollback()
    try {
      this.database.close()
    } catch {
      // The connection is of no more use whatever it says.
    }
  }

  get damagedCount(): number {
    return this.number('SELECT count(*) FROM damaged')
  }

  /**
   * The check at the start, bounded by `freshCountMax` and `freshBytesMax` whatever the log holds: each entry beyond the mark has its
   * checksum, and positions and sequences go on without a gap from where the mark and `versions` are.
   *
   * @returns records to be set aside.
   * @throws MeridianError LOG_DAMAGED if the parts of the store contradict one another
   */
  private recheck(): Damage[] {
    const damages: Damage[] = []
    const ends = new Map<string, number>()
    let before = this.settled
    const rows = this.database.prepare(`SELECT ${entryColumns} FROM entries WHERE position > ? ORDER BY position`)
    for (const row of rows.iterate([this.settled])) {
      const [position = 0, group = 0, document = 0, replica = 0, sequence = 0] = row.slice(0, 5).map(Number)
      for (let lost = before + 1; lost < position; lost++) this.checkLost(lost)
      before = position
      const entry = checkedEntry(row)
      if (entry === undefined) {
        damages.push({ reason: 'record', document, group, position })
        continue
      }
      const key = `${group}/${replica}`
      if (isState(entry)) {
        this.keepFresh(entry)
        continue
      }
      const end = ends.get(key) ?? Number(this.statements.versionOf.get([group, replica])?.[0] ?? 0)
      // A record that was set aside leaves a gap of its own, and may have been of any group.
      // What was merged on its way stands under its last dot, and there is none for those before (LINK7); a record that is lost leaves a gap of positions.
      if (sequence <= end && damages.length === 0 && !this.hasDamageBeyond(this.settled)) {
        throw new MeridianError('LOG_DAMAGED', {
          message: `The sequences of the recent log run backwards at position ${position}.`,
        })
      }
      ends.set(key, sequence)
      this.keepFresh(entry)
    }
    return damages
  }

  private keepFresh(entry: EntryRow): void {
    const { position, group, document, replica, sequence, life, time, counter, payload, device, chain } = entry
    this.fresh.push({
      ...{ position, group, document, replica, sequence, life, time, counter, bytes: payload.length },
      device: device === null ? null : Buffer.from(device),
      chain: Buffer.from(chain),
    })
    this.freshBytes += payload.length
  }

  private hasDamageBeyond(position: number): boolean {
    return this.database.prepare('SELECT 1 FROM damaged WHERE position > ? LIMIT 1').get([position]) !== undefined
  }

  /** A position of the recent log that has no record must be one that was set aside. */
  private checkLost(position: number): void {
    if (this.database.prepare("SELECT 1 FROM damaged WHERE position = ? AND reason = 'record'").get([position]) === undefined) {
      throw new MeridianError('LOG_DAMAGED', { message: `The recent log lacks position ${position}.` })
    }
  }

  /** Appends stop at `logBytesMax`; what makes room, or keeps the log usable, may go beyond it by `reserve`. */
  private widen(options: { readonly reserve: boolean }): void {
    if (!Number.isFinite(this.logBytesMax) || this.wide === options.reserve) return
    this.wide = options.reserve
    const pages = Math.max(64, Math.floor((this.logBytesMax * (options.reserve ? 1 + reserve : 1)) / pageBytes))
    this.database.exec(`PRAGMA max_page_count = ${pages}`)
  }

  private begin(): void {
    this.statements.begin.run([])
  }

  private commitNow(pages: number): void {
    this.statements.commit.run([])
    this.walBytes += pages * pageBytes
  }

  private number(sql: string): number {
    return Number(this.database.prepare(sql).get([])?.[0] ?? 0)
  }
}

interface Trim {
  readonly document: number
  readonly position: number
  readonly life: number
  /** Up to here it is an erasure. */
  readonly erased: number
  readonly group: number
}

interface Removed {
  readonly positions: Set<number>
  /** By replica: the highest sequence. */
  readonly ends: Map<number, number>
}

export interface SnapshotStaging {
  readonly put: SnapshotPut
  readonly snapshot: number
  written: number
  chunks: number
}

const noBytes = Buffer.alloc(0)

/** What a stub says of the life that was erased. */
function erasedBytes(document: string, of: { readonly engine: number; readonly life: number }): Buffer {
  const engine = engineNameOf(of.engine)
  return engine === undefined ? noBytes : Buffer.from(encodeErased({ document: document as DocumentName, engine, life: of.life }))
}

/** RES7: the life has ended, or another one has come. */
const isLate = (state: Pick<DocumentState, 'life' | 'ended'>, life: number): boolean =>
  life < state.life || (life === state.life && state.ended)

const turns = (state: DocumentState, draft: DraftRow): boolean =>
  draft.life > state.life || (draft.kind === kindNumber.erase && draft.life === state.life && !state.ended)

function keepPush(pushes: Map<string, FreshEntry>, item: FreshEntry): void {
  if (item.device === null) return
  const key = pushKey(item.group, item.device)
  const held = pushes.get(key)
  if (held === undefined || held.counter <= item.counter) pushes.set(key, item)
}

function isSameDevice(one: FreshEntry, other: FreshEntry): boolean {
  if (one.group !== other.group || one.device === null || other.device === null) return false
  for (let index = 0; index < one.device.length; index++) if (one.device[index] !== other.device[index]) return false
  return true
}

const chainScratch = new Uint8Array(8)
const chainView = new DataView(chainScratch.buffer)

/** Through a view, which writes a BigInt without the ones in between that Buffer makes. */
function chainBytes(chain: bigint): Buffer {
  chainView.setBigUint64(0, chain, true)
  const bytes = Buffer.allocUnsafe(8)
  bytes.set(chainScratch)
  return bytes
}
