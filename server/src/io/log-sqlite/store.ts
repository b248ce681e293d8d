/**
 * The files of a log: who may open them, what they must be, and how they are laid out. One data directory holds
 *
 *   LOG       names the kind and the format of what else is here; written last, so that it never stands beside half a store
 *   lock.db   an empty database whose exclusive lock says that a process has the directory open; the system drops it when that process dies
 *   log.db    the store, in WAL mode (`log.db-wal`, `log.db-shm`)
 *
 * No file of these may be opened and closed by other code of the same process while the log is open: POSIX drops all locks of a process
 * on a file when it closes any descriptor of it.
 */

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import '@meridian/core/advice'
import type { ErrorCode } from '@meridian/core/errors'
import { MeridianError } from '@meridian/core/errors'
import type { RegionId } from '@meridian/core/ids'
import type { SqliteDatabase, SqliteDriverName } from '@meridian/core/io/sqlite'
import { openSqlite, SqliteError } from '@meridian/core/io/sqlite'
import type { DotItem, DotRun } from './dots.js'
import { DotRuns, DotWriter } from './dots.js'

export const logKind = 'sqlite'
export const logFormat = 2
/** 'MLOG', so that `file` and a curious person can tell what the database is. */
const applicationId = 0x4d4c4f47

export const pageBytes = 4096

/**
 * The WAL is made this long before it is used, and then written over and over: an fsync of a file that grows commits the file system's
 * own journal too, and took 260 to 1,270 us here against 126 us, at twice the CPU.
 */
const walBytesKept = 8 * 1024 * 1024

/** Nobody else writes here, so that only a long read is waited for, where a WAL is written anew; commits wait behind it. */
const busyTimeoutMs = 1000

export interface StoreOptions {
  readonly directory: string
  readonly region: RegionId
  readonly driver: SqliteDriverName
  /**
   * What came before in this process. `full` and `failed`: the log was given up for want of room or another failure while this process has
   * other connections; then the files are looked at through SQLite only.
   */
  readonly opening: 'first' | 'full' | 'failed'
}

/**
 * Numbers stand for names in `…_ref` columns. What a commit writes is `entries` and new names only; `tails`, `orders`, `versions` and
 * `pushes` are as of the mark `settled` in `meta` and are brought up to date in idle moments, many entries at once (`settle`), because a
 * row for each entry in four more trees costs more than all the rest of a commit. The `list` columns are made by records.ts.
 * Payloads come last in their rows, so that a scan of what stands before them never reads their overflow pages.
 */
const schema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE incarnations (counter INTEGER PRIMARY KEY, replica_ref INTEGER NOT NULL, opened_ms INTEGER NOT NULL, position INTEGER NOT NULL) STRICT;
CREATE TABLE groups (ref INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, trimmed INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE documents (ref INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, engine INTEGER NOT NULL, life INTEGER NOT NULL, ended INTEGER NOT NULL,
  trimmed INTEGER NOT NULL, damaged INTEGER NOT NULL) STRICT;
CREATE TABLE replicas (ref INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE entries (position INTEGER PRIMARY KEY, group_ref INTEGER NOT NULL, document_ref INTEGER NOT NULL, replica_ref INTEGER NOT NULL,
  sequence INTEGER NOT NULL, kind INTEGER NOT NULL, life INTEGER NOT NULL, epoch INTEGER NOT NULL, time INTEGER NOT NULL, engine INTEGER NOT NULL,
  device BLOB, counter INTEGER NOT NULL, chain BLOB NOT NULL, checksum INTEGER NOT NULL, payload BLOB NOT NULL) STRICT;
CREATE TABLE versions (group_ref INTEGER NOT NULL, replica_ref INTEGER NOT NULL, sequence INTEGER NOT NULL, chain BLOB NOT NULL, position INTEGER NOT NULL,
  sealed INTEGER, PRIMARY KEY (group_ref, replica_ref)) STRICT, WITHOUT ROWID;
CREATE TABLE floors (group_ref INTEGER NOT NULL, region TEXT NOT NULL, counter INTEGER NOT NULL, seal BLOB NOT NULL, PRIMARY KEY (group_ref, region, counter)) STRICT, WITHOUT ROWID;
CREATE TABLE pushes (group_ref INTEGER NOT NULL, device BLOB NOT NULL, counter INTEGER NOT NULL, replica_ref INTEGER NOT NULL, sequence INTEGER NOT NULL,
  seen_ms INTEGER NOT NULL, PRIMARY KEY (group_ref, device)) STRICT, WITHOUT ROWID;
CREATE TABLE tails (document_ref INTEGER NOT NULL, position INTEGER NOT NULL, life INTEGER NOT NULL, checksum INTEGER NOT NULL, list BLOB NOT NULL,
  PRIMARY KEY (document_ref, position)) STRICT, WITHOUT ROWID;
CREATE TABLE orders (group_ref INTEGER NOT NULL, position INTEGER NOT NULL, checksum INTEGER NOT NULL, list BLOB NOT NULL,
  PRIMARY KEY (group_ref, position)) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (document_ref INTEGER PRIMARY KEY, snapshot INTEGER NOT NULL, life INTEGER NOT NULL, position INTEGER NOT NULL, bytes INTEGER NOT NULL,
  chunks INTEGER NOT NULL, checksum INTEGER NOT NULL, version BLOB NOT NULL, engine_index BLOB NOT NULL) STRICT;
CREATE TABLE chunks (snapshot INTEGER NOT NULL, number INTEGER NOT NULL, checksum INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (snapshot, number)) STRICT;
CREATE TABLE trims (document_ref INTEGER PRIMARY KEY, position INTEGER NOT NULL, life INTEGER NOT NULL) STRICT;
CREATE TABLE dropped (snapshot INTEGER PRIMARY KEY) STRICT;
CREATE TABLE damaged (number INTEGER PRIMARY KEY, reason TEXT NOT NULL, found_ms INTEGER NOT NULL, document_ref INTEGER NOT NULL, group_ref INTEGER NOT NULL,
  position INTEGER NOT NULL, record BLOB) STRICT;
CREATE INDEX damaged_groups ON damaged (group_ref, position);
`

/**
 * What format 2 has beside: all that links need. `dots` says where the entries of a replica stand, as `orders` does for a group; `stubs` which entries
 * are left of erasures, `peers` for whom entries are kept. `gone` is the highest sequence of a replica that links cannot read any more, `dropped` the
 * highest position of a group; `erased` is up to where a trim is an erasure, of which stubs stay.
 */
const linkSchema = `
CREATE TABLE dots (group_ref INTEGER NOT NULL, replica_ref INTEGER NOT NULL, sequence INTEGER NOT NULL, position INTEGER NOT NULL, checksum INTEGER NOT NULL,
  list BLOB NOT NULL, PRIMARY KEY (group_ref, replica_ref, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE stubs (group_ref INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (group_ref, position)) STRICT, WITHOUT ROWID;
CREATE TABLE peers (group_ref INTEGER NOT NULL, region TEXT NOT NULL, version BLOB NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (group_ref, region)) STRICT, WITHOUT ROWID;
ALTER TABLE groups ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN joining INTEGER NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN group_ref INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trims ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;
`

/**
 * Holds the directory for this process until closed or dead.
 *
 * @throws MeridianError LOG_LOCKED, LOG_UNAVAILABLE
 */
export function lockDirectory(directory: string, driver: SqliteDriverName): SqliteDatabase {
  let lock: SqliteDatabase | undefined
  try {
    mkdirSync(directory, { recursive: true })
    lock = openSqlite(join(directory, 'lock.db'), { driver, busyTimeoutMs: 0 })
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (cause) {
    lock?.close()
    if (cause instanceof SqliteError && cause.reason === 'busy') throw new MeridianError('LOG_LOCKED', { cause })
    throw new MeridianError('LOG_UNAVAILABLE', { message: 'The data directory cannot be made or locked.', cause })
  }
}

/**
 * Checks `LOG` and opens the store for writing; makes both if the directory is new.
 *
 * @throws MeridianError CONFIG_INVALID for a log of another kind, format or region, LOG_DAMAGED, LOG_FULL, LOG_UNAVAILABLE
 */
export function openStore(options: StoreOptions): SqliteDatabase {
  const path = join(options.directory, 'log.db')
  const marker = join(options.directory, 'LOG')
  const marked = existsSync(marker)
  if (marked) checkMarker(readFileSync(marker, 'utf8'))
  if (marked && !existsSync(path))
    throw new MeridianError('LOG_DAMAGED', { message: 'The data directory has a LOG file and no log.db.' })
  let database: SqliteDatabase | undefined
  try {
    const made = existsSync(path) && statSync(path).size > 0
    if (made && options.opening === 'first') {
      checkLength(path)
      lengthenWal(path)
    }
    database = openSqlite(path, { driver: options.driver, busyTimeoutMs })
    if (!made) {
      make(database, options.region)
      // SQLite removes the WAL of an empty database, so that it can be lengthened only from now on.
      database.close()
      lengthenWal(path)
      database = openSqlite(path, { driver: options.driver, busyTimeoutMs })
    }
    database.exec('PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0')
    const format = check(database, options.region)
    if (options.opening === 'failed') rewrite(database)
    if (format < logFormat) upgrade(database)
    if (!marked || format < logFormat) writeMarker(options.directory)
    return database
  } catch (thrown) {
    database?.close()
    throw toOpenError(thrown)
  }
}

/** A connection that only reads, beside the one that writes. @throws MeridianError LOG_DAMAGED, LOG_UNAVAILABLE */
export function openReadOnly(options: { readonly directory: string; readonly driver: SqliteDriverName }): SqliteDatabase {
  try {
    const database = openSqlite(join(options.directory, 'log.db'), { driver: options.driver })
    database.exec('PRAGMA query_only = 1; PRAGMA wal_autocheckpoint = 0')
    return database
  } catch (thrown) {
    throw toOpenError(thrown)
  }
}

export function toOpenError(thrown: unknown): MeridianError {
  if (thrown instanceof MeridianError) return thrown
  if (!(thrown instanceof SqliteError)) return new MeridianError('LOG_UNAVAILABLE', { cause: thrown })
  switch (thrown.reason) {
    case 'corrupt':
      return new MeridianError('LOG_DAMAGED', { message: 'log.db is no valid database.', cause: thrown })
    case 'full':
      return new MeridianError('LOG_FULL', { cause: thrown })
    case 'busy':
    case 'io':
    case 'other':
      return new MeridianError('LOG_UNAVAILABLE', { cause: thrown })
  }
}

export interface ThreadError {
  readonly code: ErrorCode
  /** One sentence; empty if the code says it all. */
  readonly message: string
  readonly cause: string | undefined
}

/** An error on its way to another thread, where it is made anew: its own sentence, without the code before it and the advice behind. */
export function toThreadError(thrown: unknown): ThreadError {
  const error = toOpenError(thrown)
  return { code: error.code, message: error.sentence, cause: error.cause instanceof Error ? error.cause.message : undefined }
}

/** `LOG` is two lines, `kind: sqlite` and `format: 1`. */
function checkMarker(text: string): void {
  const kind = /^kind: (\S+)$/m.exec(text)?.[1]
  const format = Number(/^format: ([0-9]+)$/m.exec(text)?.[1])
  if (kind === undefined || !Number.isSafeInteger(format))
    throw new MeridianError('LOG_DAMAGED', { message: 'The LOG file of the data directory cannot be read.' })
  if (kind !== logKind) {
    throw new MeridianError('CONFIG_INVALID', {
      message: `The data directory holds a log of kind ${kind.slice(0, 32)}, and this node is set to ${logKind}: set the kind of the log to that, or give another directory.`,
    })
  }
  if (format > logFormat) {
    throw new MeridianError('CONFIG_INVALID', {
      message: `The data directory holds a log of format ${format}, and this release knows up to ${logFormat}: update Meridian, or give another directory.`,
    })
  }
}

/**
 * A database shorter than its own header says has lost its tail. While there is a WAL the header may be ahead of the file, because a
 * checkpoint writes its first page first; then the checks of the recent log decide.
 */
function checkLength(path: string): void {
  const wal = `${path}-wal`
  if (existsSync(wal) && statSync(wal).size > 0) return
  const size = statSync(path).size
  if (size === 0) return
  const header = Buffer.alloc(100)
  // No connection of this process is open yet, so that closing this descriptor drops no lock.
  const file = openSync(path, 'r')
  try {
    readSync(file, header, 0, header.length, 0)
  } finally {
    closeSync(file)
  }
  // Offsets 16 and 28 of the database header: page size and page count, https://www.sqlite.org/fileformat.html#the_database_header
  const page = header.readUInt16BE(16) === 1 ? 65_536 : header.readUInt16BE(16)
  if (size < page * header.readUInt32BE(28))
    throw new MeridianError('LOG_DAMAGED', { message: 'log.db is shorter than its header says: its tail is missing.' })
}

function make(database: SqliteDatabase, region: RegionId): void {
  database.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL`)
  database.exec('BEGIN IMMEDIATE')
  database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${logFormat}`)
  database.exec(schema)
  database.exec(linkSchema)
  const put = database.prepare('INSERT INTO meta (key, value) VALUES (?, ?)')
  put.run(['region', region])
  put.run(['settled', 0])
  put.run(['clean', 1])
  database.exec('COMMIT')
}

/** @returns the format of what is there. */
function check(database: SqliteDatabase, region: RegionId): number {
  const id = database.prepare('PRAGMA application_id').get([])?.[0]
  if (id !== applicationId) throw new MeridianError('LOG_DAMAGED', { message: 'log.db is not a log of Meridian.' })
  const format = Number(database.prepare('PRAGMA user_version').get([])?.[0])
  if (format !== logFormat && format !== 1) {
    throw new MeridianError('CONFIG_INVALID', {
      message: `log.db is of format ${format}, and this release knows ${logFormat}: update Meridian, or give another directory.`,
    })
  }
  const held = database.prepare('SELECT value FROM meta WHERE key = ?').get(['region'])?.[0]
  if (held !== region) {
    throw new MeridianError('CONFIG_INVALID', {
      message: `The data directory is of region ${String(held).slice(0, 63)}, and the node is set to ${region}.`,
    })
  }
  return format
}

const upgradeRows = 65_536

/**
 * From format 1, which knew no links: a pass over all entries, once. What was compacted there is gone for links. A document of which only a snapshot
 * is left is of the one group that a tenant had then.
 */
function upgrade(database: SqliteDatabase): void {
  database.exec('BEGIN IMMEDIATE')
  database.exec(linkSchema)
  database.exec(`UPDATE groups SET dropped = trimmed;
    UPDATE trims SET erased = position WHERE (SELECT ended FROM documents WHERE ref = document_ref) = 1`)
  database.exec(`UPDATE documents SET group_ref = coalesce(
    (SELECT ref FROM groups WHERE groups.name = substr(documents.name, 1, instr(documents.name, '/')) || 'default'), 0)`)
  const settled = Number(database.prepare("SELECT value FROM meta WHERE key = 'settled'").get([])?.[0] ?? 0)
  const runs = new DotRuns()
  const groups = new Map<number, number>()
  const rowsBeyond = database.prepare(
    `SELECT position, group_ref, document_ref, replica_ref, sequence FROM entries WHERE position > ? AND position <= ? ORDER BY position LIMIT ${upgradeRows}`,
  )
  for (let from = 0, more = true; more; ) {
    const rows = rowsBeyond.all([from, settled])
    for (const row of rows) {
      const [position = 0, group = 0, document = 0, replica = 0, sequence = 0] = row.map(Number)
      runs.add({ position, group, replica, sequence })
      if (document !== 0) groups.set(document, group)
      from = position
    }
    more = rows.length === upgradeRows
  }
  const setGroup = database.prepare('UPDATE documents SET group_ref = ? WHERE ref = ?')
  for (const [document, group] of groups) setGroup.run([group, document])
  // Only what stands behind the last hole of a replica can be read by a link.
  const newest = new Map<string, DotRun<DotItem>>()
  for (const run of runs.all()) newest.set(`${run.end.group}/${run.end.replica}`, run)
  const dots = new DotWriter(database)
  const setGone = database.prepare('UPDATE versions SET gone = ? WHERE group_ref = ? AND replica_ref = ?')
  database.exec('UPDATE versions SET gone = sequence')
  const endOf = database.prepare('SELECT sequence FROM versions WHERE group_ref = ? AND replica_ref = ?')
  for (const run of newest.values()) {
    const { group, replica, sequence } = run.end
    if (Number(endOf.get([group, replica])?.[0]) !== sequence) continue
    dots.put(run)
    setGone.run([sequence - run.positions.length, group, replica])
  }
  database.exec(`PRAGMA user_version = ${logFormat}; COMMIT`)
}

/**
 * Appends zeros, which recovery takes for the end of the WAL as it does everything that is no frame with the right salt and checksum
 * (https://www.sqlite.org/fileformat.html#the_write_ahead_log). Without room for it the WAL grows as it is used.
 */
function lengthenWal(path: string): void {
  const wal = `${path}-wal`
  let file: number | undefined
  try {
    file = openSync(wal, 'a')
    const zeros = Buffer.alloc(1024 * 1024)
    for (let size = statSync(wal).size; size < walBytesKept; )
      size += writeSync(file, zeros, 0, Math.min(zeros.length, walBytesKept - size))
    fsyncSync(file)
  } catch {
    return
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/**
 * After a failed fsync the system may show bytes that the disk does not have and call the next fsync a success, and a hole in the WAL would
 * end it there, with all that is acked later. So all of it is written anew, into the database file, and the WAL begun anew. (PostgreSQL's
 * lesson: Rebello et al., "Can applications recover from fsync failures?", 2020.)
 */
function rewrite(database: SqliteDatabase): void {
  const [busy] = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get([]) ?? []
  if (busy !== 0) throw new MeridianError('LOG_UNAVAILABLE', { message: 'A read holds the WAL that has to be written anew.' })
}

/** Written beside and renamed, and the directory synced with its parent, so that after a power cut it is there entirely or not at all. */
function writeMarker(directory: string): void {
  const marker = join(directory, 'LOG')
  const draft = `${marker}.new`
  rmSync(draft, { force: true })
  const file = openSync(draft, 'wx')
  try {
    writeSync(file, `kind: ${logKind}\nformat: ${logFormat}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(draft, marker)
  syncDirectory(directory)
  syncDirectory(dirname(directory))
}

/** Windows cannot open a directory; there the file system keeps names in its own journal. */
function syncDirectory(path: string): void {
  if (process.platform === 'win32') return
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
