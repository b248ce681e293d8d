/**
 * A client store in one SQLite file: Node.js, Electron, and whatever else has `node:sqlite` or `libsql`. One table in the order of keys.
 *
 * - CLI1 `synchronous=FULL` in WAL mode: what was answered survives a power cut as well as a `kill -9`.
 *
 * A commit costs an fsync and runs on the thread of its caller, so bursts share one (`lingerMs`).
 */

import { MeridianError } from '@meridian/core/errors'
import type { SqliteDatabase, SqliteDriverName, SqliteStatement } from '@meridian/core/io/sqlite'
import { openSqlite, SqliteError } from '@meridian/core/io/sqlite'
import type { ClientStore, StoreKey, StoreOperation, StoreRecord } from '../store.js'

export interface SqliteStoreOptions {
  /** A file; it is made if it is not there. Its folder must be. */
  readonly path: string
  /** Milliseconds from one commit to the next. Default 10: a hundred commits a second, and the first edit after a pause at once. */
  readonly lingerMs?: number | undefined
  /** Bytes that the file may take; above it writes are STORE_FULL. Default: what the disk has. */
  readonly bytesMax?: number | undefined
  readonly driver?: SqliteDriverName | undefined
}

/** SQLite's default, set so that the bound in pages is known. */
const pageBytes = 4096

interface Opened {
  readonly database: SqliteDatabase
  readonly put: SqliteStatement
  readonly drop: SqliteStatement
  readonly clear: SqliteStatement
  readonly read: SqliteStatement
}

const schema = `
  PRAGMA page_size = ${pageBytes};
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS record (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
`

/** Opened with the first use, so that a file that cannot be opened is an answer and not an exception of `connect`. */
export class SqliteStore implements ClientStore {
  readonly lingerMs: number
  readonly #options: SqliteStoreOptions
  #opened: Opened | undefined
  #closed = false

  constructor(options: SqliteStoreOptions) {
    this.#options = options
    this.lingerMs = options.lingerMs ?? 10
  }

  async read(prefix: StoreKey): Promise<readonly StoreRecord[]> {
    return this.#attempt(({ read }) => {
      const rows = read.all(range(prefix))
      return rows.map(([key, value]) => ({ key: decodeKey(bytesOf(key)), value: bytesOf(value) }))
    })
  }

  async write(batch: readonly StoreOperation[]): Promise<void> {
    this.#attempt(({ database, put, drop, clear }) => {
      database.exec('BEGIN IMMEDIATE')
      try {
        for (const operation of batch) {
          if (operation.kind === 'put') put.run([encodeKey(operation.key), operation.value])
          else if (operation.kind === 'delete') drop.run([encodeKey(operation.key)])
          else clear.run(range(operation.prefix))
        }
        database.exec('COMMIT')
      } catch (thrown) {
        // A full disk has rolled back already; then there is nothing to roll back.
        try {
          database.exec('ROLLBACK')
        } catch {}
        throw thrown
      }
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#opened?.database.close()
    this.#opened = undefined
  }

  #attempt<T>(work: (opened: Opened) => T): T {
    if (this.#closed) throw new MeridianError('STORE_FAILED', { message: 'The local store is closed.' })
    try {
      this.#opened ??= this.#open()
      return work(this.#opened)
    } catch (thrown) {
      const full = thrown instanceof SqliteError && thrown.reason === 'full'
      throw new MeridianError(full ? 'STORE_FULL' : 'STORE_FAILED', { cause: thrown })
    }
  }

  #open(): Opened {
    const database = openSqlite(this.#options.path, { driver: this.#options.driver })
    try {
      database.exec(schema)
      const { bytesMax } = this.#options
      if (bytesMax !== undefined) database.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(bytesMax / pageBytes))}`)
      return {
        database,
        put: database.prepare(
          'INSERT INTO record (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
        ),
        drop: database.prepare('DELETE FROM record WHERE key = ?'),
        clear: database.prepare('DELETE FROM record WHERE key >= ? AND key < ?'),
        read: database.prepare('SELECT key, value FROM record WHERE key >= ? AND key < ? ORDER BY key'),
      }
    } catch (thrown) {
      database.close()
      throw thrown
    }
  }
}

const numberTag = 1
const stringTag = 2
const endTag = 0
const escapeByte = 0xff

/**
 * A key as bytes whose order is that of keys: a number is a tag and 7 bytes, a string a tag, its UTF-16 units and an end. A unit below
 * 127 is one byte, plus one so that none is the end; any other an escape and two bytes.
 */
function encodeKey(key: StoreKey): Uint8Array {
  const bytes: number[] = []
  for (const part of key) {
    if (typeof part === 'number') {
      bytes.push(numberTag)
      for (let shift = 48; shift >= 0; shift -= 8) bytes.push(Math.floor(part / 2 ** shift) % 256)
      continue
    }
    bytes.push(stringTag)
    for (let index = 0; index < part.length; index++) {
      const unit = part.charCodeAt(index)
      if (unit < 127) bytes.push(unit + 1)
      else bytes.push(escapeByte, unit >> 8, unit & 0xff)
    }
    bytes.push(endTag)
  }
  return Uint8Array.from(bytes)
}

function decodeKey(bytes: Uint8Array): StoreKey {
  const key: (string | number)[] = []
  let at = 0
  const next = (): number => bytes[at++] ?? 0
  while (at < bytes.length) {
    if (next() === numberTag) {
      let value = 0
      for (let index = 0; index < 7; index++) value = value * 256 + next()
      key.push(value)
      continue
    }
    let text = ''
    for (let unit = next(); unit !== endTag; unit = next())
      text += String.fromCharCode(unit === escapeByte ? (next() << 8) | next() : unit - 1)
    key.push(text)
  }
  return key
}

/** From the prefix itself to the end of what begins with it: no part begins with a byte above the tags. */
function range(prefix: StoreKey): [from: Uint8Array, to: Uint8Array] {
  const from = encodeKey(prefix)
  const to = new Uint8Array(from.length + 1)
  to.set(from)
  to[from.length] = 0xff
  return [from, to]
}

function bytesOf(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array))
    throw new MeridianError('STORE_FAILED', { message: 'A record of the local store is no bytes.' })
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}
