/**
 * One opening of the store for writing, and all that it may do: commit batches, settle, put snapshots, trim, set aside, checkpoint. [hot]
 *
 * It begins a new incarnation before anything else (LOG2) and is thrown away after the first failed commit (LOG3), so nothing here
 * undoes what a failed transaction left in its maps. Everything is synchronous; the worker around it decides when.
 */

import { randomBytes } from 'node:crypto'
import { decodeControl, kindNumber } from '@meridian/core/entry'
import { assert, MeridianError } from '@meridian/core/errors'
import { millisecondsOf, toHybridTime } from '@meridian/core/hybrid-time'
import type { RegionId } from '@meridian/core/ids'
import { formatReplica, replicaParts } from '@meridian/core/ids'
import type { SqliteDatabase, SqliteDriverName } from '@meridian/core/io/sqlite'
import type { Batch, DraftRow } from './batch.js'
import { decodeBatch } from './batch.js'
import type { FreshEntry } from './fresh.js'
import { pushKey } from './fresh.js'
import { Generations } from './generations.js'
import type { TailItem } from './records.js'
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
import { openStore, pageBytes, toOpenError } from './store.js'

export interface OpeningOptions {
  readonly directory: string
  readonly region: RegionId
  readonly driver: SqliteDriverName
  readonly logBytesMax: number
  /** Milliseconds after which a device's newest push is forgotten; should it come back and send that push again, it gets a new dot, which harms nothing (SES2). */
  readonly pushKeepMs: number
  readonly opening: 'first' | 'full' | 'failed'
}

export interface Committed {
  /** Position of the first entry of the first batch. */
  readonly position: number
  /** For each batch the sequence of each draft. */
  readonly sequences: readonly (readonly number[])[]
}

/** What a reader, or the check at the start, found to be wrong. */
export interface Damage {
  readonly reason: 'record' | 'record missing' | 'tail' | 'order' | 'snapshot' | 'page'
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

/** Beyond `logBytesMax`: room for settling and for the snapshots that make room again. */
const reserve = 1 / 8

interface DocumentState {
  readonly ref: number
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
  private wide = false
  private readonly pushKeepMs: number
  private pushCursor: { readonly group: number; readonly device: Buffer } | undefined = { group: 0, device: Buffer.alloc(0) }

  /** @throws MeridianError CONFIG_INVALID, LOG_DAMAGED, LOG_FULL, LOG_UNAVAILABLE */
  constructor(options: OpeningOptions) {
    this.region = options.region
    this.logBytesMax = options.logBytesMax
    this.pushKeepMs = options.pushKeepMs
    this.database = openStore(options)
    try {
      this.database.exec('PRAGMA cache_size = -32768; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY')
      this.statements = new OpeningStatements(this.database)
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
      const counter = this.number('SELECT max(counter) FROM incarnations') + 1
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
  commit(batches: readonly Batch[]): Committed {
    this.settleIfOverdue()
    this.widen({ reserve: false })
    const position = this.position + 1
    let bytes = 0
    this.begin()
    const sequences: number[][] = []
    for (const batch of batches) {
      bytes += batch.bytes
      const list: number[] = []
      decodeBatch(batch, (draft) => {
        list.push(this.insert(draft))
      })
      sequences.push(list)
    }
    this.commitNow(1.5 + (bytes * 1.1) / pageBytes)
    return { position, sequences }
  }

  private insert(draft: DraftRow): number {
    const group = this.group(draft.group)
    const position = ++this.position
    const sequence = ++group.sequence
    group.chain = chainOf(draft.record, group.chain)
    group.position = position
    const chain = chainBytes(group.chain)
    let document = 0
    if (draft.document !== '') {
      const state = this.document(draft)
      document = state.ref
      if (draft.life > state.life || (draft.kind === kindNumber.erase && draft.life === state.life && !state.ended))
        this.turnLife(state, group, draft)
    }
    const row = {
      position,
      group: group.ref,
      document,
      replica: this.replicaRef,
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
      this.replicaRef,
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
    if (draft.kind === kindNumber.control) this.control(group, draft.payload)
    this.freshBytes += draft.payload.length
    this.fresh.push({
      position,
      group: group.ref,
      document,
      replica: this.replicaRef,
      sequence,
      life: draft.life,
      bytes: draft.payload.length,
      time: draft.time,
      // A copy, because a view would keep the whole batch in memory.
      device: draft.device === null ? null : Buffer.from(draft.device),
      counter: draft.counter,
      chain,
    })
    return sequence
  }

  /** LOG5: the floor rises to the seal's counter, and the incarnations that it names are done with. */
  private control(group: GroupState, payload: Uint8Array): void {
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
      chainBytes(group.chain),
    ])
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
    this.statements.putTrim.run([state.ref, position, state.life])
    this.statements.forgetDamaged.run([state.ref])
    this.garbage = true
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

  private document(draft: DraftRow): DocumentState {
    const held = this.documents.get(draft.document)
    if (held !== undefined) return held
    const row = this.statements.documentByName.get([draft.document])
    let state: DocumentState
    if (row === undefined) {
      state = { ref: this.nextDocument++, life: draft.life, ended: draft.kind === kindNumber.erase }
      this.statements.putDocument.run([state.ref, draft.document, draft.engine, state.life, state.ended ? 1 : 0])
    } else {
      state = { ref: Number(row[0]), life: Number(row[1]), ended: row[2] === 1 }
    }
    this.documents.set(draft.document, state)
    return state
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
    const ends = new Map<string, FreshEntry>()
    const pushes = new Map<string, FreshEntry>()
    let count = 0
    for (const item of this.fresh) {
      if (count === settleCountMax || (tails.size === settleDocumentsMax && !tails.has(item.document))) break
      count++
      const order = orders.get(item.group)
      if (order === undefined) orders.set(item.group, [item.position])
      else order.push(item.position)
      if (item.document !== 0) {
        const tail = tails.get(item.document)
        if (tail === undefined) tails.set(item.document, [item])
        else tail.push(item)
      }
      ends.set(`${item.group}/${item.replica}`, item)
      if (item.device === null) continue
      const key = pushKey(item.group, item.device)
      const held = pushes.get(key)
      if (held === undefined || held.counter <= item.counter) pushes.set(key, item)
    }
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
    for (const item of ends.values())
      this.statements.putVersion.run([item.group, item.replica, item.sequence, item.chain, item.position])
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
    this.commitNow(4 + tails.size * 1.2 + orders.size + ends.size + pushes.size * 0.5)
    this.settled = settled
    for (let index = 0; index < count; index++) this.freshBytes -= this.fresh[index]?.bytes ?? 0
    this.fresh = this.fresh.slice(count)
    for (const state of this.unsettled.values()) if (state.position <= settled) this.unsettled.delete(state.ref)
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
        this.statements.putTrim.run([document, position, life])
        this.trimSome(document, position, life)
      }
      const damagedTo = this.statements.damagedTo.get([document])?.[0]
      if (typeof damagedTo === 'number' && damagedTo <= position) this.statements.setDamaged.run([0, document])
    }
    this.commitNow(6 + piece.length / pageBytes)
    return last
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

  /** Drops up to `trimCountMax` entries that a snapshot covers, with what points at them; the rest later. Inside a transaction. */
  private trimSome(document: number, position: number, life: number): void {
    const removed = new Map<number, Set<number>>()
    let count = 0
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
      const kept = items.filter((item) => item.position > position)
      for (const item of items) {
        if (item.position > position) break
        count++
        const group = this.statements.removeEntry.get([item.position])?.[0]
        if (typeof group !== 'number') continue
        const positions = removed.get(group)
        if (positions === undefined) removed.set(group, new Set([item.position]))
        else positions.add(item.position)
      }
      this.statements.removeTail.run([document, last])
      if (kept.length > 0) this.putTail(document, runLife, kept)
    }
    for (const [group, positions] of removed) this.removeFromOrders(group, positions)
    if (rest) this.garbage = true
    else this.statements.removeTrim.run([document])
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

  /** One transaction of what was put off: entries of large trims, chunks of snapshots that were replaced. True if there may be more. */
  dropSome(): boolean {
    if (!this.garbage) return false
    const trim = this.statements.anyTrim.get([])
    const dropped = this.statements.anyDropped.get([])?.[0]
    if (trim === undefined && typeof dropped !== 'number') {
      this.garbage = false
      return false
    }
    // What is fresh stands in no list yet, by which it would be found.
    if (trim !== undefined && Number(trim[1]) > this.settled) this.settle()
    this.widen({ reserve: true })
    this.begin()
    if (trim !== undefined) {
      const [document = 0, position = 0, life = 0] = trim.map(Number)
      this.trimSome(document, position, life)
    } else if (typeof dropped === 'number') {
      const chunk = this.statements.anyChunk.get([dropped])?.[0]
      if (typeof chunk === 'number') this.statements.removeChunk.run([dropped, chunk])
      else this.statements.removeDropped.run([dropped])
    }
    this.garbage = true
    this.commitNow(300)
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
      const end = ends.get(key) ?? Number(this.statements.versionOf.get([group, replica])?.[0] ?? 0)
      // A record that was set aside leaves a gap of its own, and may have been of any group.
      if (end + 1 !== sequence && damages.length === 0 && !this.hasDamageBeyond(this.settled)) {
        throw new MeridianError('LOG_DAMAGED', { message: `The sequences of the recent log have a gap at position ${position}.` })
      }
      ends.set(key, sequence)
      this.fresh.push({
        position,
        group,
        document,
        replica,
        sequence,
        life: entry.life,
        time: entry.time,
        counter: entry.counter,
        bytes: entry.payload.length,
        device: entry.device === null ? null : Buffer.from(entry.device),
        chain: Buffer.from(entry.chain),
      })
      this.freshBytes += entry.payload.length
    }
    return damages
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

export interface SnapshotStaging {
  readonly put: SnapshotPut
  readonly snapshot: number
  written: number
  chunks: number
}

function chainBytes(chain: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigUInt64LE(chain)
  return bytes
}
