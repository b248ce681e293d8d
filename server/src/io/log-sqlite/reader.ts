/**
 * All that is read of a log, on a connection of its own, so that a long read never holds up a commit or the event loop. [hot]
 *
 * Each call of `answer` is one transaction and sees everything that was committed before it. Every record, list and chunk is checked
 * when read; what is wrong is reported once and the document refused from then on, others go on.
 */

import type { EngineName } from '@meridian/core/engine'
import { engineNameOf } from '@meridian/core/engine'
import { kindNumber } from '@meridian/core/entry'
import { unreachable } from '@meridian/core/errors'
import type { DocumentName, GroupId, RegionId, ReplicaId } from '@meridian/core/ids'
import { replicaParts, toPosition } from '@meridian/core/ids'
import type { SqliteDatabase, SqliteRow, SqliteStatement } from '@meridian/core/io/sqlite'
import { SqliteError } from '@meridian/core/io/sqlite'
import type { GroupDocument, ListedDocument, Peer } from '@meridian/core/log'
import { encodeErased } from '@meridian/core/stub'
import type { Chain, MutableVersion } from '@meridian/core/version'
import { decodeVersion, include, mutableVersion, raiseFloor, toChain } from '@meridian/core/version'
import { EntriesEncoder } from './batch.js'
import { DotIndex, DotsDamaged } from './dots.js'
import { FreshIndex } from './fresh.js'
import { Generations } from './generations.js'
import type { Query, QueryResult } from './messages.js'
import type { Damage } from './opening.js'
import type { EntryRow, TailItem } from './records.js'
import { checkedEntry, chunkChecksum, decodeOrder, decodeTail, listChecksum, snapshotChecksum } from './records.js'
import { ReaderStatements, listRowsMax } from './reader-statements.js'

const nameCacheMax = 20_000
const unmarkedMax = 10_000
/** Documents of one piece of a list: about 10 ms at most. */
const listScanMax = 1000

/** A range scan reads a row in a third of the time of a look-up; it pays while it passes over few rows of others. */
const scanFactor = 3

interface DocumentRow {
  readonly ref: number
  readonly engine: EngineName | undefined
  readonly life: number
  readonly ended: boolean
  readonly trimmed: number
  readonly damaged: boolean
}

interface SnapshotRow {
  readonly life: number
  readonly snapshot: number
  readonly position: number
  readonly bytes: number
  readonly chunks: number
  readonly version: Buffer
  readonly index: Buffer
}

interface VersionedDocument {
  readonly snapshot: SnapshotRow | undefined
  readonly version: MutableVersion
  readonly position: number
  readonly tailCount: number
  readonly tailBytes: number
}

/** Found by a check; ends the query that came upon it. */
class Damaged extends Error {
  readonly damage: Damage

  constructor(damage: Damage) {
    super(damage.reason)
    this.damage = damage
  }
}

export class Reader {
  private readonly database: SqliteDatabase
  private readonly region: RegionId
  private readonly fresh: FreshIndex
  private readonly statements: ReaderStatements
  private readonly dots: DotIndex
  private readonly groupNames = new Generations<number, string>(nameCacheMax)
  private readonly documentNames = new Generations<number, string>(nameCacheMax)
  private readonly replicaNames = new Generations<number, string>(nameCacheMax)
  private damages: Damage[] = []
  /** Documents that were found damaged and that the writer has not marked yet. */
  private readonly unmarked = new Set<number>()

  constructor(database: SqliteDatabase, region: RegionId) {
    this.database = database
    this.region = region
    this.fresh = new FreshIndex(database)
    this.statements = new ReaderStatements(database)
    this.dots = new DotIndex(database, (ref) => this.replicaName(ref))
  }

  /** The results in the order of the queries, and what was found to be damaged. */
  answer(queries: readonly Query[]): { readonly results: readonly QueryResult[]; readonly damages: readonly Damage[] } {
    this.damages = []
    const results: QueryResult[] = []
    try {
      this.statements.begin.run([])
      this.fresh.refresh()
    } catch (thrown) {
      this.end()
      return { results: queries.map(() => ({ kind: 'failed', code: 'LOG_UNAVAILABLE', message: String(thrown) })), damages: [] }
    }
    for (const query of queries) results.push(this.one(query))
    this.end()
    return { results, damages: this.damages }
  }

  /**
   * The next piece of the background scrub: checks about `bytes` of what stands at `cursor` and behind it, in the order of the stages.
   * A pass ends at the entries that there were when it began: those that come meanwhile are for the next one. Otherwise it would read along
   * behind every commit, and under load never come to an end.
   *
   * @returns where to go on, undefined at the end of the pass.
   */
  scrub(
    cursor: ScrubCursor,
    bytes: number,
  ): { readonly next: ScrubCursor | undefined; readonly bytes: number; readonly damages: readonly Damage[] } {
    this.damages = []
    let next: ScrubCursor | undefined = cursor
    let read = 0
    try {
      this.statements.begin.run([])
      this.fresh.refresh()
      const step = this.scrubStage(cursor.end === undefined ? { ...cursor, end: this.fresh.position } : cursor, bytes)
      next = step.next
      read = step.bytes
    } catch (thrown) {
      // A page that cannot be read is passed by; which documents it holds is found when they are read.
      this.report({ reason: 'page', document: 0, group: 0, position: cursor.stage === 'entries' ? cursor.key : 0 })
      if (!(thrown instanceof SqliteError) || thrown.reason !== 'corrupt') this.damages = []
      next = { ...cursor, key: cursor.key + scrubRowsMax }
    }
    this.end()
    return { next, bytes: read, damages: this.damages }
  }

  private scrubStage(cursor: ScrubCursor, bytes: number): { readonly next: ScrubCursor | undefined; readonly bytes: number } {
    let read = 0
    switch (cursor.stage) {
      case 'entries': {
        const to = this.scrubEnd(cursor.key, bytes)
        if (to === undefined || cursor.key >= (cursor.end ?? 0)) return { next: { stage: 'tails', key: 0, second: 0 }, bytes: 0 }
        for (const row of this.statements.entriesWithin.all([cursor.key, to])) {
          const payload = row.at(-1)
          read += 128 + (Buffer.isBuffer(payload) ? payload.length : 0)
          if (checkedEntry(row) === undefined) this.report(this.damageOf(row))
        }
        return { next: { ...cursor, key: to }, bytes: read }
      }
      case 'tails': {
        const rows = this.statements.tailsWithin.all([cursor.key, cursor.second, scrubRowsMax])
        for (const [document, position, life, checksum, list] of rows) {
          const owner = { owner: Number(document), position: Number(position), life: Number(life) }
          const right = Buffer.isBuffer(list) && listChecksum(owner, list) === checksum
          if (!right) this.report({ reason: 'tail', document: owner.owner, group: 0, position: owner.position })
          read += 64 + (Buffer.isBuffer(list) ? list.length : 0)
        }
        return { next: nextOf(cursor, rows) ?? { stage: 'orders', key: 0, second: 0 }, bytes: read }
      }
      case 'orders': {
        const rows = this.statements.ordersWithin.all([cursor.key, cursor.second, scrubRowsMax])
        for (const [group, position, checksum, list] of rows) {
          const owner = { owner: Number(group), position: Number(position), life: 0 }
          const right = Buffer.isBuffer(list) && listChecksum(owner, list) === checksum
          if (!right) this.report({ reason: 'order', document: 0, group: owner.owner, position: owner.position })
          read += 64 + (Buffer.isBuffer(list) ? list.length : 0)
        }
        return { next: nextOf(cursor, rows) ?? { stage: 'dots', key: 0, second: 0 }, bytes: read }
      }
      case 'dots': {
        const rows = this.statements.dotsWithin.all([cursor.key, cursor.second, cursor.third ?? 0, scrubRowsMax])
        for (const [group, replica, sequence, checksum, list] of rows) {
          const owner = { owner: Number(group), position: Number(sequence), life: Number(replica) }
          const right = Buffer.isBuffer(list) && listChecksum(owner, list) === checksum
          if (!right) this.report({ reason: 'dots', document: 0, group: owner.owner, position: 0 })
          read += 64 + (Buffer.isBuffer(list) ? list.length : 0)
        }
        const next = nextOf(cursor, rows)
        if (next === undefined) return { next: { stage: 'snapshots', key: 0, second: 0 }, bytes: read }
        return { next: { ...next, third: Number(rows.at(-1)?.[2]) }, bytes: read }
      }
      case 'snapshots': {
        // One chunk a piece: `key` is the document, `second` the number of its next chunk.
        const row = this.statements.snapshotBeyond.get([cursor.second === 0 ? cursor.key + 1 : cursor.key])
        if (row === undefined) return { next: undefined, bytes: 0 }
        const [document = 0, snapshot = 0, , position = 0, , chunks = 0] = row.slice(0, 6).map(Number)
        const number = document === cursor.key ? cursor.second : 0
        const [checksum, chunk] = this.statements.chunkOf.get([snapshot, number]) ?? []
        const right =
          checkedSnapshot(row) !== undefined && Buffer.isBuffer(chunk) && chunkChecksum(snapshot, number, chunk) === checksum
        if (!right) this.report({ reason: 'snapshot', document, group: 0, position })
        const more = right && number + 1 < chunks
        return {
          next: { stage: 'snapshots', key: document, second: more ? number + 1 : 0 },
          bytes: 128 + (Buffer.isBuffer(chunk) ? chunk.length : 0),
        }
      }
      default:
        return unreachable(cursor.stage)
    }
  }

  /** The position up to which about `bytes` stand, at least one entry; undefined if there is none. */
  private scrubEnd(after: number, bytes: number): number | undefined {
    let end: number | undefined
    let sum = 0
    for (const [position, length] of this.statements.lengthsBeyond.all([after, scrubRowsMax])) {
      sum += Number(length)
      if (end !== undefined && sum > bytes) break
      end = Number(position)
    }
    return end
  }

  /** Of a record whose checksum is wrong every column may be, so the document that it names is believed only if that one's tail names it too. */
  private damageOf(row: SqliteRow): Damage {
    const [position = 0, group = 0, document = 0] = row.slice(0, 3).map(Number)
    const list = this.statements.tailOver.get([document, position])?.[0]
    const known = Buffer.isBuffer(list)
      ? decodeTail(list).some((item) => item.position === position)
      : this.fresh.ofDocument(document).length > 0
    return { reason: 'record', document: known ? document : 0, group, position }
  }

  /** The newest position, as of the last transaction. */
  get position(): number {
    return this.fresh.position
  }

  private end(): void {
    try {
      this.statements.commit.run([])
    } catch {
      // Nothing was written; a transaction that is gone already needs no end.
    }
  }

  private one(query: Query): QueryResult {
    try {
      switch (query.kind) {
        case 'openDocument':
          return this.openDocument(query.document)
        case 'openGroup':
          return this.openGroup(query.group)
        case 'lastPush':
          return this.lastPush(query.group, query.device)
        case 'readDocument':
          return this.readDocument(query)
        case 'readGroup':
          return this.readGroup(query, 'local')
        case 'readLinked':
          return this.readGroup(query, 'linked')
        case 'seekGroup':
          return this.seekGroup(query.group, query.version)
        case 'readPeers':
          return this.readPeers(query.group)
        case 'listGroup':
          return this.listGroup(query)
        case 'readState':
          return this.readState(query.document)
        case 'readSnapshot':
          return this.readSnapshot(query.document)
        case 'listGroups':
          return this.listGroups()
        case 'listDocuments':
          return this.listDocuments(query)
        default:
          return unreachable(query)
      }
    } catch (thrown) {
      if (thrown instanceof Damaged) {
        this.report(thrown.damage)
        return damagedResult(thrown.message)
      }
      if (thrown instanceof DotsDamaged) {
        this.report({ reason: 'dots', document: 0, group: 0, position: thrown.position })
        return damagedResult(thrown.message)
      }
      if (thrown instanceof SqliteError && thrown.reason === 'corrupt') {
        this.report({ reason: 'page', document: this.refOf(query), group: 0, position: this.fresh.position })
        return damagedResult(thrown.message)
      }
      return { kind: 'failed', code: 'LOG_UNAVAILABLE', message: thrown instanceof Error ? thrown.message : String(thrown) }
    }
  }

  private report(damage: Damage): void {
    this.damages.push(damage)
    if (damage.document === 0) return
    if (this.unmarked.size >= unmarkedMax) this.unmarked.clear()
    this.unmarked.add(damage.document)
  }

  private refOf(query: Query): number {
    if (!('document' in query)) return 0
    try {
      return this.document(query.document)?.ref ?? 0
    } catch {
      return 0
    }
  }

  private openDocument(name: string): QueryResult {
    const document = this.document(name)
    if (document === undefined) {
      const info = {
        engine: undefined,
        life: 0,
        ended: false,
        version: mutableVersion(),
        position: toPosition(0),
        snapshot: undefined,
        tailCount: 0,
        tailBytes: 0,
      }
      return { kind: 'document', info }
    }
    if (document.damaged) return damagedResult('set aside before')
    const { snapshot, version, position, tailCount, tailBytes } = this.documentVersion(document)
    return {
      kind: 'document',
      info: {
        engine: document.engine,
        life: document.life,
        ended: document.ended,
        version,
        position: toPosition(position),
        snapshot:
          snapshot === undefined
            ? undefined
            : {
                position: toPosition(snapshot.position),
                version: decodeVersion(snapshot.version),
                bytes: snapshot.bytes,
                index: new Uint8Array(snapshot.index),
              },
        tailCount,
        tailBytes,
      },
    }
  }

  private listGroups(): QueryResult {
    return { kind: 'groups', groups: this.statements.groupNames.all([]).map(([name]) => String(name) as GroupId) }
  }

  private documentVersion(document: DocumentRow): VersionedDocument {
    const snapshot = this.snapshot(document)
    const version = snapshot === undefined ? mutableVersion() : decodeVersion(snapshot.version)
    // Beyond the snapshot there is a trim only where an erase ended the life, or a state came without one.
    const after = Math.max(snapshot?.position ?? 0, document.trimmed)
    const ends = new Map<number, number>()
    let position = after
    let tailCount = 0
    let tailBytes = 0
    for (const item of this.tail(document, after)) {
      position = item.position
      tailCount++
      tailBytes += item.bytes
      const end = ends.get(item.replica)
      if (end === undefined || end < item.sequence) ends.set(item.replica, item.sequence)
    }
    for (const [replica, sequence] of ends) include(version, this.replicaName(replica) as ReplicaId, sequence)
    return { snapshot, version, position, tailCount, tailBytes }
  }

  /** SQLite compares names as bytes of UTF-8. */
  private listDocuments({ prefix, after, count }: Extract<Query, { kind: 'listDocuments' }>): QueryResult {
    const documents: ListedDocument[] = []
    for (const [name, number, life, ended] of this.statements.documentsFrom.all([prefix, after, count])) {
      if (typeof name !== 'string' || !name.startsWith(prefix)) break
      const engine = engineNameOf(Number(number))
      if (engine === undefined) continue
      documents.push({ document: name as DocumentName, engine, life: Number(life), ended: ended === 1 })
    }
    return { kind: 'list', documents }
  }

  private openGroup(name: string): QueryResult {
    const version = mutableVersion()
    const closed = new Map<ReplicaId, number>()
    const sealed = new Map<ReplicaId, number>()
    const seals = new Map<string, Chain>()
    let position = 0
    const [ref, , , joining] = this.statements.groupByName.get([name]) ?? []
    if (typeof ref === 'number') {
      const [current, currentCounter] = this.statements.currentReplica.get([]) ?? []
      for (const [region, counter, seal] of this.statements.floorsOf.all([ref])) {
        if (!Buffer.isBuffer(seal)) continue
        const floor = { counter: Number(counter), seal: toChain(seal.readBigUInt64LE()) }
        raiseFloor(version, String(region) as RegionId, floor)
        seals.set(`${String(region)}#${floor.counter}`, floor.seal)
      }
      const ends = new Map<number, number>()
      for (const [replica, sequence, at, seal] of this.statements.versionsOf.all([ref])) {
        position = Math.max(position, Number(at))
        ends.set(Number(replica), Number(sequence))
        if (seal !== null) sealed.set(this.replicaName(Number(replica)) as ReplicaId, Number(seal))
      }
      for (const item of this.fresh.ofGroup(ref)) {
        position = Math.max(position, item.position)
        ends.set(item.replica, item.sequence)
      }
      for (const [end, sequence] of ends) {
        const replica = this.replicaName(end) as ReplicaId
        const { region, counter } = replicaParts(replica)
        if (sequence === 0 || counter <= (version.floors.get(region)?.counter ?? 0)) continue
        version.sequences.set(replica, sequence)
        // One with a higher counter is of a history that this copy does not know: what is open is not sealed over.
        if (region === this.region && end !== current && counter < Number(currentCounter)) closed.set(replica, sequence)
      }
    }
    const info = { version, closed, sealed, seals, position: toPosition(position) }
    return { kind: 'group', info: joining === 1 ? { ...info, joining: true } : info }
  }

  private seekGroup(name: string, encoded: Uint8Array): QueryResult {
    const { position } = this.fresh
    const group = this.statements.groupByName.get([name])?.[0]
    if (typeof group !== 'number') return { kind: 'sought', sought: { position, chains: new Map(), behind: false } }
    const fresh = this.fresh.ofGroup(group)
    return { kind: 'sought', sought: this.dots.seek(group, decodeVersion(encoded), { fresh, position }) }
  }

  private readPeers(name: string): QueryResult {
    const group = this.statements.groupByName.get([name])?.[0]
    if (typeof group !== 'number') return { kind: 'peers', peers: [] }
    const at = { fresh: this.fresh.ofGroup(group), position: this.fresh.position }
    const peers: Peer[] = []
    for (const [region, encoded, atMs] of this.statements.peersOf.all([group])) {
      if (!Buffer.isBuffer(encoded)) continue
      const version = decodeVersion(encoded)
      const { behind } = this.dots.seek(group, version, at)
      peers.push({ region: String(region) as RegionId, version, atMs: Number(atMs), behind })
    }
    return { kind: 'peers', peers }
  }

  /** A piece of the list: looks at so many documents of the tenant and says where to go on. */
  private listGroup({ group: name, after, count }: Extract<Query, { kind: 'listGroup' }>): QueryResult {
    const group = this.statements.groupByName.get([name])?.[0]
    if (typeof group !== 'number') return { kind: 'grouped', documents: [], next: undefined }
    const tenant = name.slice(0, name.indexOf('/'))
    const from = after > `${tenant}/` ? after : `${tenant}/`
    const rows = this.statements.documentsBetween.all([from, `${tenant}0`, listScanMax])
    const documents: GroupDocument[] = []
    for (const [found, of] of rows) {
      if (of !== group || typeof found !== 'string') continue
      const document = this.document(found)
      if (document?.engine === undefined) continue
      const { engine, life, ended, damaged } = document
      const version = damaged ? mutableVersion() : this.documentVersion(document).version
      documents.push({ document: found as DocumentName, engine, life, ended, version })
      if (documents.length === count) return { kind: 'grouped', documents, next: undefined }
    }
    const next = rows.length === listScanMax ? String(rows.at(-1)?.[0]) : undefined
    return { kind: 'grouped', documents, next }
  }

  private readState(name: string): QueryResult {
    const document = this.document(name)
    if (document?.engine === undefined) return { kind: 'state', state: undefined }
    const snapshot = this.readSnapshot(name)
    if (snapshot.kind !== 'snapshot') return snapshot
    const { engine, life, ended } = document
    const after = Math.max(snapshot.snapshot?.position ?? 0, document.trimmed)
    const positions = [...this.tail(document, after)].map((item) => item.position)
    const read = this.entries(this.rows(positions, document.ref), 0, { more: false, trimmed: 0 })
    if (read.kind !== 'entries') return read
    const { version } = this.documentVersion(document)
    return { kind: 'state', state: { engine, life, ended, version, snapshot: snapshot.snapshot, entries: read.entries } }
  }

  private lastPush(groupName: string, deviceText: string): QueryResult {
    const group = this.statements.groupByName.get([groupName])?.[0]
    if (typeof group !== 'number') return { kind: 'push', push: undefined }
    const device = Buffer.from(deviceText, 'hex')
    const [counter = 0, replica = 0, sequence = 0] = (this.statements.pushOf.get([group, device]) ?? []).map(Number)
    const fresh = this.fresh.push(group, device)
    const newest = fresh !== undefined && fresh.counter >= counter ? fresh : { counter, replica, sequence }
    if (newest.sequence === 0) return { kind: 'push', push: undefined }
    return {
      kind: 'push',
      push: { counter: newest.counter, replica: this.replicaName(newest.replica) as ReplicaId, sequence: newest.sequence },
    }
  }

  private readDocument(query: Extract<Query, { kind: 'readDocument' }>): QueryResult {
    const document = this.document(query.document)
    if (document === undefined) return this.entries([], query.after, { more: false, trimmed: 0 })
    if (document.damaged) return damagedResult('set aside before')
    const { trimmed } = document
    const items: TailItem[] = []
    let bytes = 0
    let more = false
    for (const item of this.tail(document, Math.max(query.after, trimmed))) {
      if (items.length > 0 && (items.length >= query.entries || bytes + item.bytes > query.bytes)) {
        more = true
        break
      }
      items.push(item)
      bytes += item.bytes
    }
    const rows = this.rows(
      items.map((item) => item.position),
      document.ref,
    )
    // What came as a state without a snapshot stands behind what it took the place of: from the beginning nothing is missing.
    const isWhole = trimmed > 0 && query.after === 0 && !document.ended && this.snapshot(document) === undefined
    return this.entries(rows, query.after, { more, trimmed: isWhole ? 0 : trimmed })
  }

  /** `linked`: with stubs, and with what a snapshot covers here and peers may lack. */
  private readGroup(query: Extract<Query, { kind: 'readGroup' | 'readLinked' }>, reader: 'local' | 'linked'): QueryResult {
    const [group, trimmedTo, droppedTo] = this.statements.groupByName.get([query.group]) ?? []
    if (typeof group !== 'number') return this.entries([], query.after, { more: false, trimmed: 0 })
    const trimmed = Number(reader === 'local' ? trimmedTo : droppedTo)
    const barrier = Number(this.statements.damagedBeyond.get([group, query.after])?.[0] ?? Number.POSITIVE_INFINITY)
    const trims = new TrimLookup(this.statements)
    const rows: EntryRow[] = []
    let bytes = 0
    // What stands before a damaged record is served, what stands behind it never.
    const upTo = (): QueryResult => this.entries(rows, query.after, { more: true, trimmed })
    try {
      for (const position of this.order(group, query.after)) {
        if (position >= barrier) break
        let row = this.entryRow(position, { document: 0, group })
        if (reader === 'local' && row.kind === kindNumber.stub) continue
        const trim = trims.of(row.document)
        if (trim !== undefined && row.position <= trim.position && row.life <= trim.life) {
          if (reader === 'local') continue
          if (row.position <= trim.erased) row = this.stubOf(row)
        }
        if (rows.length > 0 && (rows.length >= query.entries || bytes + row.payload.length > query.bytes)) return upTo()
        rows.push(row)
        bytes += row.payload.length
      }
    } catch (thrown) {
      if (!(thrown instanceof Damaged) || rows.length === 0) throw thrown
      this.report(thrown.damage)
      return upTo()
    }
    if (barrier !== Number.POSITIVE_INFINITY)
      return rows.length > 0 ? upTo() : damagedResult('a record of the group was set aside')
    return this.entries(rows, query.after, { more: false, trimmed })
  }

  private readSnapshot(name: string): QueryResult {
    const document = this.document(name)
    if (document === undefined) return { kind: 'snapshot', snapshot: undefined }
    if (document.damaged) return damagedResult('set aside before')
    const row = this.snapshot(document)
    if (row === undefined) return { kind: 'snapshot', snapshot: undefined }
    const state = new Uint8Array(row.bytes)
    let offset = 0
    for (let number = 0; number < row.chunks; number++) {
      const [checksum, bytes] = this.statements.chunkOf.get([row.snapshot, number]) ?? []
      const wrong =
        !Buffer.isBuffer(bytes) || chunkChecksum(row.snapshot, number, bytes) !== checksum || offset + bytes.length > row.bytes
      if (wrong) throw new Damaged({ reason: 'snapshot', document: document.ref, group: 0, position: row.position })
      state.set(bytes, offset)
      offset += bytes.length
    }
    if (offset !== row.bytes) throw new Damaged({ reason: 'snapshot', document: document.ref, group: 0, position: row.position })
    const { version, index, position } = row
    return {
      kind: 'snapshot',
      snapshot: { life: document.life, position, version: new Uint8Array(version), index: new Uint8Array(index), state },
    }
  }

  private document(name: string): DocumentRow | undefined {
    const row = this.statements.documentByName.get([name])
    if (row === undefined) return undefined
    const [ref = 0, engine = 0, life = 0, ended, trimmed = 0, damaged] = row.map(Number)
    return {
      ref,
      engine: engineNameOf(engine),
      life,
      ended: ended === 1,
      trimmed,
      damaged: damaged !== 0 || this.isUnmarked(ref),
    }
  }

  private isUnmarked(document: number): boolean {
    if (!this.unmarked.has(document)) return false
    if (this.statements.damagedDocument.get([document]) === undefined) return true
    this.unmarked.delete(document)
    return false
  }

  /** The snapshot of the document's current life. */
  private snapshot(document: DocumentRow): SnapshotRow | undefined {
    const row = this.statements.snapshotOf.get([document.ref])
    if (row === undefined) return undefined
    const snapshot = checkedSnapshot(row)
    if (snapshot === undefined)
      throw new Damaged({ reason: 'snapshot', document: document.ref, group: 0, position: this.fresh.position })
    return snapshot.life === document.life ? snapshot : undefined
  }

  /** The document's entries of its current life beyond a position. */
  private *tail(document: DocumentRow, after: number): Iterable<TailItem> {
    // Not `iterate`: a consumer that stops early would leave a statement open for the next query.
    for (let from = after; ; ) {
      const rows = this.statements.tailsBeyond.all([document.ref, from])
      for (const row of rows) {
        const [position, life, checksum, list] = row
        from = Number(position)
        if (
          !Buffer.isBuffer(list) ||
          listChecksum({ owner: document.ref, position: from, life: Number(life) }, list) !== checksum
        ) {
          throw new Damaged({ reason: 'tail', document: document.ref, group: 0, position: from })
        }
        if (life !== document.life) continue
        for (const item of decodeTail(list)) if (item.position > after) yield item
      }
      if (rows.length < listRowsMax) break
    }
    for (const item of this.fresh.ofDocument(document.ref)) if (item.position > after && item.life === document.life) yield item
  }

  private *order(group: number, after: number): Iterable<number> {
    for (let from = after; ; ) {
      const rows = this.statements.ordersBeyond.all([group, from])
      for (const row of rows) {
        const [position, checksum, list] = row
        from = Number(position)
        if (!Buffer.isBuffer(list) || listChecksum({ owner: group, position: from, life: 0 }, list) !== checksum) {
          throw new Damaged({ reason: 'order', document: 0, group, position: from })
        }
        for (const item of decodeOrder(list)) if (item > after) yield item
      }
      if (rows.length < listRowsMax) break
    }
    for (const item of this.fresh.ofGroup(group)) if (item.position > after) yield item.position
  }

  /** The records at these positions, by a scan if they stand close together. */
  private rows(positions: readonly number[], document: number): EntryRow[] {
    const first = positions[0]
    const last = positions.at(-1)
    if (first === undefined || last === undefined) return []
    if (last - first + 1 > positions.length * scanFactor)
      return positions.map((position) => this.entryRow(position, { document, group: 0 }))
    const rows: EntryRow[] = []
    let index = 0
    for (const row of this.statements.entriesBetween.all([first, last, document])) {
      const position = Number(row[0])
      const wanted = positions[index]
      if (position !== wanted) break
      rows.push(this.checked(row, position, { document, group: 0 }))
      index++
    }
    // What the scan did not find where it should be is looked up one by one, which says what is wrong with it.
    for (; index < positions.length; index++) rows.push(this.entryRow(positions[index] ?? 0, { document, group: 0 }))
    return rows
  }

  private entryRow(position: number, owner: { readonly document: number; readonly group: number }): EntryRow {
    const row = this.statements.entryAt.get([position])
    if (row === undefined) throw new Damaged({ reason: 'record missing', position, ...owner })
    return this.checked(row, position, owner)
  }

  private checked(row: SqliteRow, position: number, owner: { readonly document: number; readonly group: number }): EntryRow {
    const entry = checkedEntry(row)
    if (entry !== undefined) return entry
    // What led to the row is believed before what the row says.
    const found = this.damageOf(row)
    throw new Damaged({
      reason: 'record',
      position,
      document: owner.document || found.document,
      group: owner.group || found.group,
    })
  }

  private entries(
    rows: readonly EntryRow[],
    after: number,
    { more, trimmed }: { readonly more: boolean; readonly trimmed: number },
  ): QueryResult {
    const encoder = new EntriesEncoder()
    for (const row of rows) encoder.add(row)
    const entries = encoder.take({
      group: (ref) => this.name(this.groupNames, this.statements.groupName, ref),
      document: (ref) => this.name(this.documentNames, this.statements.documentName, ref),
      replica: (ref) => this.replicaName(ref),
    })
    const asOf = more ? (rows.at(-1)?.position ?? after) : Math.max(after, this.fresh.position)
    return { kind: 'entries', entries, asOf, more, trimmed }
  }

  /** RES7: an erased entry as links see it before the writer has come to it. */
  private stubOf(row: EntryRow): EntryRow {
    const engine = engineNameOf(row.engine)
    const document = this.name(this.documentNames, this.statements.documentName, row.document) as DocumentName
    const payload = engine === undefined ? new Uint8Array(0) : encodeErased({ document, engine, life: row.life })
    return { ...row, document: 0, kind: kindNumber.stub, life: 0, engine: 0, device: null, counter: 0, payload }
  }

  private replicaName(ref: number): string {
    return this.name(this.replicaNames, this.statements.replicaName, ref)
  }

  private name(cache: Generations<number, string>, statement: SqliteStatement, ref: number): string {
    const held = cache.get(ref)
    if (held !== undefined) return held
    const name = String(statement.get([ref])?.[0] ?? '')
    cache.set(ref, name)
    return name
  }
}

/** The trims that have not come through, looked up as their documents come along: there may be as many as documents. */
class TrimLookup {
  private readonly statements: ReaderStatements
  private readonly hasAny: boolean
  private readonly held = new Map<number, { position: number; life: number; erased: number } | undefined>()

  constructor(statements: ReaderStatements) {
    this.statements = statements
    this.hasAny = statements.anyTrim.get([]) !== undefined
  }

  of(document: number): { readonly position: number; readonly life: number; readonly erased: number } | undefined {
    if (!this.hasAny || document === 0) return undefined
    if (this.held.has(document)) return this.held.get(document)
    const row = this.statements.trimOf.get([document])
    const [position = 0, life = 0, erased = 0] = (row ?? []).map(Number)
    const trim = row === undefined ? undefined : { position, life, erased }
    this.held.set(document, trim)
    return trim
  }
}

/** Where a scrub is: in `tails`, `orders` and `snapshots` rows are found by two keys, in `dots` by three. */
export interface ScrubCursor {
  readonly stage: 'entries' | 'tails' | 'orders' | 'dots' | 'snapshots'
  readonly key: number
  readonly second: number
  readonly third?: number
  /** Position of the newest entry that is for this pass; undefined before its first piece. */
  readonly end?: number
}

const scrubRowsMax = 256

function nextOf(cursor: ScrubCursor, rows: readonly SqliteRow[]): ScrubCursor | undefined {
  const last = rows.at(-1)
  return last === undefined ? undefined : { stage: cursor.stage, key: Number(last[0]), second: Number(last[1]) }
}

function checkedSnapshot(row: SqliteRow): SnapshotRow | undefined {
  const [document = 0, snapshot = 0, life = 0, position = 0, bytes = 0, chunks = 0, checksum] = row.slice(0, 7).map(Number)
  const version = row[7]
  const index = row[8]
  if (!Buffer.isBuffer(version) || !Buffer.isBuffer(index)) return undefined
  if (snapshotChecksum({ document, snapshot, life, position, bytes, chunks, version, index }) !== checksum) return undefined
  return { life, snapshot, position, bytes, chunks, version, index }
}

const damagedResult = (message: string): QueryResult => ({ kind: 'failed', code: 'DOCUMENT_DAMAGED', message })
