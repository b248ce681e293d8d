/**
 * A region's log in SQLite: the side that the node's thread sees. Two threads do the work, one that commits and one that reads, so that
 * neither a commit's fsync nor a long read ever holds up the event loop or the other (ARCHITECTURE.md, Storage).
 *
 * - LOG1 `append` answers `durable` after the commit: WAL with `synchronous = FULL`, one fsync a commit.
 * - LOG2 Each opening is a new incarnation, durable before its first append; a second process on one directory is refused.
 * - LOG3 Batches that arrive while a commit runs share the next one; all of them fail or none. After a failure the store is opened anew.
 *
 * Nothing here is bounded by itself: who appends bounds what it has in flight (SES3), and a read is bounded by its `ReadLimit`.
 */

import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { Draft, Entry } from '@meridian/core/entry'
import { decodeControl } from '@meridian/core/entry'
import { MeridianError, unreachable } from '@meridian/core/errors'
import type { DeviceId, DocumentName, GroupId, Position, RegionId, ReplicaId } from '@meridian/core/ids'
import { parseReplica, toPosition } from '@meridian/core/ids'
import type { SqliteDriverName } from '@meridian/core/io/sqlite'
import { sqliteDriver } from '@meridian/core/io/sqlite'
import type {
  Adopted,
  Appended,
  DocumentInfo,
  DocumentState,
  Done,
  Foreign,
  GroupDocument,
  GroupInfo,
  Included,
  LastPush,
  LinkedLog,
  ListedDocument,
  LogErrorCode,
  Peer,
  Read,
  ReadLimit,
  Snapshot,
  Sought,
  StatesPut,
} from '@meridian/core/log'
import { stubOf } from '@meridian/core/stub'
import type { Chain, Version } from '@meridian/core/version'
import { decodeVersion, encodeVersion } from '@meridian/core/version'
import { decodeEntries, encodeBatch, encodeForeign } from './log-sqlite/batch.js'
import { Mailbox } from './log-sqlite/mailbox.js'
import type {
  Query,
  LinkWork,
  QueryResult,
  ReaderAnswer,
  ReaderData,
  ReaderRequest,
  ScrubStatus,
  StateMessage,
  WriterAnswer,
  WriterData,
  WriterRequest,
  WriterStatus,
} from './log-sqlite/messages.js'
import type { IncludedRows } from './log-sqlite/opening.js'
import type { Retained } from './log-sqlite/retention.js'
import { adoptedRowsOf, stateRowOf } from './log-sqlite/states.js'
import type { ThreadError } from './log-sqlite/store.js'

export interface SqliteLogOptions {
  /** The data directory; made if it is not there. */
  readonly directory: string
  readonly region: RegionId
  /** Default: `node:sqlite` where Node has it, else libsql. Both read and write the same files. */
  readonly driver?: SqliteDriverName
  /**
   * Bytes of log.db at which appends are refused with LOG_FULL; snapshots that make room may go beyond it by an eighth, and the WAL (at
   * most 64 MiB as a rule) comes on top. Default: no bound but the disk.
   */
  readonly logBytesMax?: number
  /**
   * Milliseconds after which the newest push of a device is forgotten; a device that sends it again later gets a new dot for it, which is
   * harmless (SES2). Default 400 days: more than the year after which a device may come back (RES7).
   */
  readonly pushKeepMs?: number
  /** Milliseconds that an entry which only peers still need is kept for them, by its own time (LOG4). Default 7 days. */
  readonly retainMs?: number
  /**
   * Payload bytes that are kept for peers in all groups, at most a quarter of `logBytesMax`; beyond it the peer that is farthest behind in the group that
   * holds most has to join anew (LINK6). Default 1 GiB.
   */
  readonly retainBytes?: number
  /** Bytes a second that the background scrub reads at most; 0 for none. Default 8 MiB. */
  readonly scrubBytesPerSecond?: number
  /** Milliseconds from the end of one full scrub to the beginning of the next. Default 24 hours. */
  readonly scrubIntervalMs?: number
  /** True for a log that links use: commits are answered with chain values then. Default false. */
  readonly isLinked?: boolean
  /** See `SqliteLog.onAlarm`; given here so that what the opening finds is heard. */
  readonly onAlarm?: (alarm: LogAlarm) => void
}

/** What an operator should hear of. It holds no name and no content (RES6). */
export type LogAlarm =
  /** Records were set aside; the documents that they are of answer DOCUMENT_DAMAGED. */
  | { readonly kind: 'damaged'; readonly reason: string; readonly count: number }
  /** A commit failed; appends are refused until `reopened`. */
  | { readonly kind: 'stopped'; readonly code: LogErrorCode; readonly message: string }
  | { readonly kind: 'reopened'; readonly replica: ReplicaId }

export interface SqliteLogStatus {
  readonly driver: SqliteDriverName
  readonly state: 'open' | 'stopped' | 'closed'
  readonly replica: ReplicaId
  readonly position: Position
  /** Bytes of log.db without its WAL, as of the last time that the writer looked. */
  readonly bytes: number
  readonly damagedCount: number
  readonly scrub: ScrubStatus
  readonly commitCount: number
  readonly entryCount: number
}

export interface SqliteLog extends LinkedLog {
  status(): SqliteLogStatus
  /** Sets who hears alarms; one listener. */
  onAlarm(listener: (alarm: LogAlarm) => void): void
}

/**
 * @throws MeridianError LOG_LOCKED if another process has the directory open, CONFIG_INVALID if it holds another kind, format or region,
 * LOG_DAMAGED, LOG_FULL or LOG_UNAVAILABLE
 */
export async function openSqliteLog(options: SqliteLogOptions): Promise<SqliteLog> {
  const driver = options.driver ?? sqliteDriver()
  if (driver === undefined) {
    throw new MeridianError('LOG_UNAVAILABLE', {
      message: 'There is no SQLite here: use Node 22.15 or later, or install the optional dependency libsql.',
    })
  }
  const log = new ThreadedLog(options, driver)
  try {
    await log.open()
  } catch (thrown) {
    await log.end()
    throw thrown
  }
  return log
}

type Waiting =
  | { readonly kind: 'append'; readonly done: Done<Appended>; readonly messaged: boolean }
  | { readonly kind: 'snapshot'; readonly done: Done<void> }
  | { readonly kind: 'include'; readonly entries: readonly Foreign[]; readonly done: Done<Included> }
  | { readonly kind: 'link'; readonly done: Done<StatesPut> }

/** What peers hold is written no more often: a crash that forgets it costs nothing but time. */
const retainWriteMs = 2000

type Asked = (result: QueryResult) => void

class ThreadedLog implements SqliteLog {
  replica = '' as ReplicaId
  position: Position = toPosition(0)

  private readonly options: SqliteLogOptions
  private readonly driver: SqliteDriverName
  private readonly directory: string
  private readonly mailbox = new Mailbox()
  /** Batches that were sent as messages and are not answered yet. */
  private messagedAppends = 0
  private writer: Worker | undefined
  private reader: Worker | undefined
  private state: SqliteLogStatus['state'] = 'stopped'
  private listener: ((alarm: LogAlarm) => void) | undefined
  private nextId = 1
  private readonly waiting = new Map<number, Waiting>()
  private queries: Query[] = []
  private askers: Asked[] = []
  private readonly asked = new Map<number, readonly Asked[]>()
  private nextAsk = 1
  private asking = false
  private writerStatus: WriterStatus = { bytes: 0, settled: 0, damagedCount: 0 }
  private scrub: ScrubStatus = { scrubbed: 0, total: 0, passes: 0 }
  private commitCount = 0
  private entryCount = 0
  /** By group and region: what is to be written of what peers hold. */
  private readonly retained = new Map<string, Retained>()
  private retaining: NodeJS.Timeout | undefined
  private closers: (() => void)[] | undefined
  private opened: { readonly resolve: () => void; readonly reject: (error: MeridianError) => void } | undefined

  constructor(options: SqliteLogOptions, driver: SqliteDriverName) {
    this.options = options
    this.driver = driver
    this.directory = resolve(options.directory)
    this.listener = options.onAlarm
  }

  async open(): Promise<void> {
    const { directory, driver } = this
    const { region } = this.options
    try {
      mkdirSync(directory, { recursive: true })
    } catch (cause) {
      throw new MeridianError('LOG_UNAVAILABLE', { message: 'The data directory cannot be made.', cause })
    }
    const between = new MessageChannel()
    const writerData: WriterData = {
      reader: between.port1,
      mailbox: this.mailbox.shared,
      kind: 'writer',
      directory,
      driver,
      region,
      logBytesMax: this.options.logBytesMax ?? Number.POSITIVE_INFINITY,
      retainMs: this.options.retainMs ?? 7 * 24 * 60 * 60 * 1000,
      retainBytes: this.options.retainBytes ?? 1024 * 1024 * 1024,
      isLinked: this.options.isLinked === true,
      pushKeepMs: this.options.pushKeepMs ?? 400 * 24 * 60 * 60 * 1000,
    }
    const readerData: ReaderData = {
      writer: between.port2,
      kind: 'reader',
      directory,
      driver,
      region,
      scrubBytesPerSecond: this.options.scrubBytesPerSecond ?? 8 * 1024 * 1024,
      scrubIntervalMs: this.options.scrubIntervalMs ?? 24 * 60 * 60 * 1000,
    }
    const writer = new Worker(new URL('./log-sqlite/writer-thread.js', import.meta.url), {
      workerData: writerData,
      transferList: [between.port1],
      name: 'log-writer',
    })
    const reader = new Worker(new URL('./log-sqlite/reader-thread.js', import.meta.url), {
      workerData: readerData,
      transferList: [between.port2],
      name: 'log-reader',
    })
    this.writer = writer
    this.reader = reader
    writer.on('message', (answer: WriterAnswer) => this.heard(answer))
    reader.on('message', (answer: ReaderAnswer) => this.read(answer))
    writer.on('error', (error) => this.died(error))
    reader.on('error', (error) => this.died(error))
    await new Promise<void>((resolve, reject) => {
      this.opened = { resolve, reject }
    })
  }

  /** Ends the threads of a log that did not open, or can go on no more. */
  async end(): Promise<void> {
    this.state = 'closed'
    await Promise.all([this.writer?.terminate(), this.reader?.terminate()])
  }

  append(drafts: readonly Draft[], done: Done<Appended>): void {
    for (const draft of drafts) if (draft.kind === 'control') decodeControl(draft.payload)
    const batch = encodeBatch(drafts)
    if (this.refused(done)) return
    const id = this.nextId++
    // A batch in the mailbox is older than those that come as messages; so nothing is put there while one is on its way.
    const put = this.messagedAppends === 0 ? this.mailbox.put(id, batch) : 'no room'
    this.waiting.set(id, { kind: 'append', done, messaged: put === 'no room' })
    if (put === 'put, asleep') this.toWriter({ kind: 'mail' }, [])
    else if (put === 'no room') {
      this.messagedAppends++
      this.toWriter({ kind: 'append', id, batch }, [batch.buffer])
    }
  }

  include(entries: readonly Foreign[], done: Done<Included>): void {
    for (const entry of entries) if (entry.kind === 'control') decodeControl(entry.payload)
    const foreign = encodeForeign(entries)
    if (this.refused(done)) return
    const id = this.nextId++
    this.waiting.set(id, { kind: 'include', entries, done })
    this.toWriter({ kind: 'include', id, foreign }, [foreign.batch.buffer])
  }

  seekGroup(group: GroupId, version: Version, done: Done<Sought>): void {
    this.ask({ kind: 'seekGroup', group, version: encodeVersion(version) }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'sought') {
        const { position, chains, behind } = result.sought
        const value = { position: toPosition(position), chains: chains as ReadonlyMap<ReplicaId, Chain>, behind }
        done({ kind: 'done', value })
      }
    })
  }

  readLinked(group: GroupId, after: Position, limit: ReadLimit, done: Done<Read>): void {
    this.ask({ kind: 'readLinked', group, after, ...limit }, (result) => answerRead(result, done))
  }

  setPeers(group: GroupId, regions: readonly RegionId[], done: Done<void>): void {
    this.link({ kind: 'setPeers', group, regions }, forgetful(done))
  }

  retain(group: GroupId, region: RegionId, version: Version): void {
    if (this.state === 'closed' || this.closers !== undefined) return
    this.retained.set(`${group} ${region}`, { group, region, version: encodeVersion(version) })
    this.retaining ??= setTimeout(() => this.flushRetained(), retainWriteMs)
    this.retaining.unref()
  }

  readPeers(group: GroupId, done: Done<readonly Peer[]>): void {
    this.flushRetained()
    this.ask({ kind: 'readPeers', group }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'peers') done({ kind: 'done', value: result.peers })
    })
  }

  listGroup(group: GroupId, after: string, count: number, done: Done<readonly GroupDocument[]>): void {
    const found: GroupDocument[] = []
    const goOn = (from: string): void =>
      this.ask({ kind: 'listGroup', group, after: from, count: count - found.length }, (result) => {
        if (result.kind === 'failed') done(failure(result))
        else if (result.kind === 'grouped') {
          for (const document of result.documents) found.push(document)
          if (result.next === undefined || found.length >= count) done({ kind: 'done', value: found })
          else goOn(result.next)
        }
      })
    goOn(after)
  }

  readState(document: DocumentName, done: Done<DocumentState | undefined>): void {
    this.ask({ kind: 'readState', document }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'state') done({ kind: 'done', value: stateOf(document, result.state) })
    })
  }

  beginJoin(group: GroupId, done: Done<void>): void {
    this.link({ kind: 'beginJoin', group }, forgetful(done))
  }

  putStates(group: GroupId, states: readonly DocumentState[], done: Done<StatesPut>): void {
    this.link({ kind: 'putStates', group, states: states.map(stateRowOf) }, done)
  }

  adopt(group: GroupId, adopted: Adopted, done: Done<void>): void {
    this.link({ kind: 'adopt', group, adopted: adoptedRowsOf(adopted) }, forgetful(done))
  }

  private link(work: LinkWork, done: Done<StatesPut>): void {
    if (this.refused(done)) return
    this.flushRetained()
    const id = this.nextId++
    this.waiting.set(id, { kind: 'link', done })
    this.toWriter({ kind: 'link', id, work }, [])
  }

  private flushRetained(): void {
    clearTimeout(this.retaining)
    this.retaining = undefined
    if (this.retained.size === 0) return
    this.toWriter({ kind: 'retain', retained: [...this.retained.values()] }, [])
    this.retained.clear()
  }

  putSnapshot(snapshot: Snapshot, options: { readonly trim: boolean }, done: Done<void>): void {
    if (this.refused(done)) return
    const id = this.nextId++
    this.waiting.set(id, { kind: 'snapshot', done })
    const { document, life, position, version, state } = snapshot
    const put = {
      document,
      life,
      position,
      version: encodeVersion(version),
      index: state.index,
      state: state.bytes,
      trim: options.trim,
    }
    this.toWriter({ kind: 'snapshot', id, put }, [])
  }

  openDocument(document: DocumentName, done: Done<DocumentInfo>): void {
    this.ask({ kind: 'openDocument', document }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'document') done({ kind: 'done', value: { document, ...result.info } })
    })
  }

  openGroup(group: GroupId, done: Done<GroupInfo>): void {
    this.ask({ kind: 'openGroup', group }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'group') done({ kind: 'done', value: result.info })
    })
  }

  lastPush(group: GroupId, device: DeviceId, done: Done<LastPush | undefined>): void {
    this.ask({ kind: 'lastPush', group, device }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'push') done({ kind: 'done', value: result.push })
    })
  }

  listGroups(done: Done<readonly GroupId[]>): void {
    this.ask({ kind: 'listGroups' }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'groups') done({ kind: 'done', value: result.groups })
    })
  }

  listDocuments(prefix: string, after: string, count: number, done: Done<readonly ListedDocument[]>): void {
    this.ask({ kind: 'listDocuments', prefix, after, count }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'list') done({ kind: 'done', value: result.documents })
    })
  }

  readDocument(document: DocumentName, after: Position, limit: ReadLimit, done: Done<Read>): void {
    this.ask({ kind: 'readDocument', document, after, ...limit }, (result) => answerRead(result, done))
  }

  readGroup(group: GroupId, after: Position, limit: ReadLimit, done: Done<Read>): void {
    this.ask({ kind: 'readGroup', group, after, ...limit }, (result) => answerRead(result, done))
  }

  readSnapshot(document: DocumentName, done: Done<Snapshot | undefined>): void {
    this.ask({ kind: 'readSnapshot', document }, (result) => {
      if (result.kind === 'failed') done(failure(result))
      else if (result.kind === 'snapshot') {
        const { snapshot } = result
        if (snapshot === undefined) done({ kind: 'done', value: undefined })
        else {
          const { life, position, version, index, state } = snapshot
          done({
            kind: 'done',
            value: {
              document,
              life,
              position: toPosition(position),
              version: decodeVersion(version),
              state: { bytes: state, index },
            },
          })
        }
      }
    })
  }

  close(done: () => void): void {
    if (this.state === 'closed' && this.closers === undefined) {
      queueMicrotask(done)
      return
    }
    if (this.closers !== undefined) {
      this.closers.push(done)
      return
    }
    this.flushRetained()
    this.closers = [done]
    // The reader first: the last connection to close empties the WAL, and the writer's does it on purpose.
    this.flushQueries()
    this.toReader({ kind: 'close' })
  }

  status(): SqliteLogStatus {
    const { driver, state, replica, position, scrub, commitCount, entryCount } = this
    return {
      driver,
      state,
      replica,
      position,
      bytes: this.writerStatus.bytes,
      damagedCount: this.writerStatus.damagedCount,
      scrub,
      commitCount,
      entryCount,
    }
  }

  onAlarm(listener: (alarm: LogAlarm) => void): void {
    this.listener = listener
  }

  private heard(answer: WriterAnswer): void {
    switch (answer.kind) {
      case 'opened': {
        const first = this.opened !== undefined
        this.replica = parseReplica(answer.replica)
        this.position = toPosition(Math.max(this.position, answer.position))
        this.writerStatus = answer.status
        this.state = 'open'
        if (answer.damages.length > 0) this.alarm({ kind: 'damaged', reason: 'found at the start', count: answer.damages.length })
        if (first) this.toReader({ kind: 'open' })
        else this.alarm({ kind: 'reopened', replica: this.replica })
        return
      }
      case 'refused':
        this.refuse(answer.error)
        return
      case 'appended': {
        this.commitCount++
        let position = answer.position
        for (let index = 0; index < answer.ids.length; index++) {
          const id = answer.ids[index] ?? 0
          const sequences = answer.sequences[index] ?? []
          const waiting = this.takeWaiting(id)
          this.entryCount += sequences.length
          const first = toPosition(position)
          position += sequences.length
          this.position = toPosition(position - 1)
          if (waiting?.kind === 'append')
            waiting.done({
              kind: 'done',
              value: { replica: this.replica, position: first, sequences, ...chainsOf(answer, index) },
            })
        }
        return
      }
      case 'put': {
        const waiting = this.takeWaiting(answer.id)
        if (waiting?.kind === 'snapshot') waiting.done({ kind: 'done', value: undefined })
        return
      }
      case 'failed':
        for (const id of answer.ids) this.fail(id, answer.code, answer.message)
        return
      case 'included':
        this.commitCount++
        for (let index = 0; index < answer.ids.length; index++) {
          const waiting = this.takeWaiting(answer.ids[index] ?? 0)
          const rows = answer.included[index]
          if (rows === undefined || waiting?.kind !== 'include') continue
          const value = includedOf(waiting.entries, rows)
          if (value.kind === 'included') {
            this.entryCount += value.entries.length
            this.position = value.entries.at(-1)?.position ?? this.position
          }
          waiting.done({ kind: 'done', value })
        }
        return
      case 'linked': {
        const waiting = this.takeWaiting(answer.id)
        this.position = toPosition(Math.max(this.position, answer.position))
        if (waiting?.kind === 'link')
          waiting.done({ kind: 'done', value: { unmerged: answer.unmerged as readonly DocumentName[] } })
        return
      }
      case 'stopped':
        this.state = 'stopped'
        this.alarm({ kind: 'stopped', code: answer.code, message: answer.message })
        return
      case 'status':
        this.writerStatus = answer.status
        return
      case 'closed':
        // Only the end of both threads gives back every file and lock: libsql keeps a connection as long as a statement of it is not collected.
        void this.end().then(() => this.ended())
        return
      default:
        unreachable(answer)
    }
  }

  private read(answer: ReaderAnswer): void {
    switch (answer.kind) {
      case 'opened':
        this.opened?.resolve()
        this.opened = undefined
        return
      case 'refused':
        this.refuse(answer.error)
        return
      case 'results': {
        this.damaged(answer.damages)
        const askers = this.asked.get(answer.first) ?? []
        this.asked.delete(answer.first)
        for (let index = 0; index < askers.length; index++) {
          const result = answer.results[index]
          if (result !== undefined) askers[index]?.(result)
        }
        return
      }
      case 'scrubbed':
        this.scrub = answer.scrub
        this.damaged(answer.damages)
        return
      case 'closed':
        this.toWriter({ kind: 'close' }, [])
        return
      default:
        unreachable(answer)
    }
  }

  private damaged(damages: Extract<WriterRequest, { kind: 'damage' }>['damages']): void {
    if (damages.length === 0) return
    this.toWriter({ kind: 'damage', damages }, [])
    for (const damage of damages) this.alarm({ kind: 'damaged', reason: damage.reason, count: 1 })
  }

  private refuse(error: ThreadError): void {
    this.opened?.reject(
      new MeridianError(error.code, {
        message: error.message,
        ...(error.cause === undefined ? {} : { cause: new Error(error.cause) }),
      }),
    )
    this.opened = undefined
  }

  /** A thread that throws has a defect. What waits is answered, and nothing more is accepted. */
  private died(thrown: unknown): void {
    const cause = thrown instanceof Error ? thrown.message : String(thrown)
    this.refuse({ code: 'LOG_UNAVAILABLE', message: 'A thread of the log ended.', cause })
    if (this.state === 'closed') return
    this.alarm({ kind: 'stopped', code: 'LOG_UNAVAILABLE', message: cause })
    void this.end().then(() => this.ended())
  }

  private ended(): void {
    this.state = 'closed'
    for (const id of [...this.waiting.keys()]) this.fail(id, 'LOG_UNAVAILABLE', 'The log was closed.')
    for (const askers of this.asked.values()) for (const asker of askers) asker(closedResult)
    this.asked.clear()
    const closers = this.closers ?? []
    this.closers = undefined
    for (const closer of closers) closer()
  }

  private fail(id: number, code: LogErrorCode, cause: string): void {
    const waiting = this.takeWaiting(id)
    waiting?.done({ kind: 'failed', code, cause })
  }

  /** Answers by itself if the log is closed or being closed. */
  private refused(done: Done<never>): boolean {
    if (this.state !== 'closed' && this.closers === undefined) return false
    queueMicrotask(() => done({ kind: 'failed', code: 'LOG_UNAVAILABLE', cause: 'The log was closed.' }))
    return true
  }

  /** Queries of one turn of the event loop go in one message and are answered as of one moment. */
  private ask(query: Query, asker: Asked): void {
    if (this.state === 'closed' || this.closers !== undefined) {
      queueMicrotask(() => asker(closedResult))
      return
    }
    this.queries.push(query)
    this.askers.push(asker)
    if (this.asking) return
    this.asking = true
    queueMicrotask(() => this.flushQueries())
  }

  private flushQueries(): void {
    this.asking = false
    if (this.queries.length === 0) return
    const first = this.nextAsk
    this.nextAsk += this.queries.length
    this.asked.set(first, this.askers)
    this.toReader({ kind: 'read', first, queries: this.queries })
    this.queries = []
    this.askers = []
  }

  private takeWaiting(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id)
    this.waiting.delete(id)
    if (waiting?.kind === 'append' && waiting.messaged) this.messagedAppends--
    return waiting
  }

  private toWriter(request: WriterRequest, transfer: readonly ArrayBuffer[]): void {
    this.mailbox.announce()
    this.writer?.postMessage(request, [...transfer])
    this.mailbox.nudge()
  }

  private toReader(request: ReaderRequest): void {
    this.reader?.postMessage(request)
  }

  private alarm(alarm: LogAlarm): void {
    this.listener?.(alarm)
  }
}

const closedResult: QueryResult = { kind: 'failed', code: 'LOG_UNAVAILABLE', message: 'The log was closed.' }

const forgetful =
  (done: Done<void>): Done<StatesPut> =>
  (outcome) =>
    done(outcome.kind === 'done' ? { kind: 'done', value: undefined } : outcome)

/** What was given and is new, with its position; what is of a life that has ended here as its stub. */
function includedOf(entries: readonly Foreign[], rows: IncludedRows): Included {
  if (rows.kind === 'gap') return { kind: 'gap', dot: { replica: parseReplica(rows.replica), sequence: rows.sequence } }
  if (rows.kind === 'living') return rows
  const stubs = new Set(rows.stubs)
  const included: Entry[] = []
  for (let at = 0; at < rows.fresh.length; at++) {
    const index = rows.fresh[at] ?? 0
    const entry = entries[index]
    const position = toPosition(rows.position + at)
    if (entry === undefined) continue
    included.push(stubs.has(index) ? { ...stubOf(entry), position } : { ...entry, position })
  }
  return { kind: 'included', entries: included }
}

function stateOf(document: DocumentName, message: StateMessage | undefined): DocumentState | undefined {
  if (message === undefined) return undefined
  const { engine, life, ended, version, snapshot } = message
  const entries = decodeEntries(message.entries).map(({ position: _position, ...foreign }): Foreign => foreign)
  return {
    ...{ document, engine, life, ended, version, entries },
    snapshot:
      snapshot === undefined
        ? undefined
        : { version: decodeVersion(snapshot.version), state: { bytes: snapshot.state, index: snapshot.index } },
  }
}

/** Nothing of a log that no link uses. */
function chainsOf(
  { chains }: Extract<WriterAnswer, { kind: 'appended' }>,
  index: number,
): { readonly chains?: ReadonlyMap<GroupId, Chain> } {
  const ends = chains[index]
  return ends === undefined ? {} : { chains: ends as ReadonlyMap<GroupId, Chain> }
}

function failure(result: Extract<QueryResult, { kind: 'failed' }>): { kind: 'failed'; code: LogErrorCode; cause: string } {
  return { kind: 'failed', code: result.code, cause: result.message }
}

function answerRead(result: QueryResult, done: Done<Read>): void {
  if (result.kind === 'failed') done(failure(result))
  else if (result.kind === 'entries') {
    const { entries, asOf, more, trimmed } = result
    done({ kind: 'done', value: { entries: decodeEntries(entries), asOf: toPosition(asOf), more, trimmed: toPosition(trimmed) } })
  }
}
