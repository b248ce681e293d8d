/**
 * SQLite behind one small synchronous interface: `node:sqlite` where Node has it (22.15 and later), else `libsql`. Both read and write the
 * same files. It knows nothing of logs or stores.
 *
 * - Parameters are one positional array, rows are arrays in the order of the columns, blobs come back as Buffer.
 * - A number is a safe integer or a double; 64-bit values are kept as blobs, because libsql rounds an int64 (LIBRARIES.md, section 1).
 * - Whatever the driver throws leaves here as a `SqliteError` with a reason that a caller can act on.
 */

import { createRequire } from 'node:module'

export type SqliteValue = null | number | string | Buffer
export type SqliteParameter = null | number | string | Uint8Array
export type SqliteRow = readonly SqliteValue[]

/**
 * `full`: no room on the disk or beyond `max_page_count`; the transaction is gone already. `busy`: another connection holds a lock.
 * `corrupt`: the file, or the page that was read, is no valid database. `io`: the disk, or the rights on the file. `other`: ours.
 */
export type SqliteReason = 'full' | 'busy' | 'corrupt' | 'io' | 'other'

export class SqliteError extends Error {
  override readonly name = 'SqliteError'
  readonly reason: SqliteReason
  /** SQLite's extended result code; 0 if the driver gave none. */
  readonly result: number

  constructor(reason: SqliteReason, result: number, message: string, cause: unknown) {
    super(message, { cause })
    this.reason = reason
    this.result = result
  }
}

export interface SqliteStatement {
  run(parameters: readonly SqliteParameter[]): void
  get(parameters: readonly SqliteParameter[]): SqliteRow | undefined
  all(parameters: readonly SqliteParameter[]): readonly SqliteRow[]
  iterate(parameters: readonly SqliteParameter[]): Iterable<SqliteRow>
}

export interface SqliteDatabase {
  readonly driver: SqliteDriverName
  /** One or more statements without parameters. */
  exec(sql: string): void
  prepare(sql: string): SqliteStatement
  /** After a failure: ends the transaction if there still is one; SQLite ends it by itself when the disk is full. Never throws. */
  rollback(): void
  /** Closing twice is one closing. */
  close(): void
}

export type SqliteDriverName = 'node' | 'libsql'

export interface SqliteOptions {
  /** Default: `node` where `node:sqlite` exists, else `libsql`. */
  readonly driver?: SqliteDriverName | undefined
  /** Milliseconds to wait for another connection's lock. Default 5,000. */
  readonly busyTimeoutMs?: number | undefined
}

/** What this needs of `node:sqlite` and of `libsql`; neither comes with types for the Node that we build on. */
interface NativeStatement {
  run(parameters: readonly unknown[]): unknown
  run(...parameters: readonly unknown[]): unknown
  get(parameters: readonly unknown[]): unknown
  get(...parameters: readonly unknown[]): unknown
  all(parameters: readonly unknown[]): unknown
  all(...parameters: readonly unknown[]): unknown
  iterate(parameters: readonly unknown[]): Iterable<unknown>
  iterate(...parameters: readonly unknown[]): Iterable<unknown>
  raw?(on: boolean): unknown
  setReturnArrays?(on: boolean): void
}

interface NativeDatabase {
  readonly inTransaction?: boolean
  exec(sql: string): void
  prepare(sql: string): NativeStatement
  close(): void
}

type NativeConstructor = new (path: string) => NativeDatabase

const require = createRequire(import.meta.url)
const loaded = new Map<SqliteDriverName, NativeConstructor | undefined>()

/**
 * The driver of this Node. libsql is not even loaded where `node:sqlite` is there: an addon that is not used can do no harm.
 */
export function sqliteDriver(): SqliteDriverName | undefined {
  return (['node', 'libsql'] as const).find((name) => load(name) !== undefined)
}

/** Every driver that works here, the preferred one first; loads all of them, for tests only. */
export function sqliteDrivers(): SqliteDriverName[] {
  return (['node', 'libsql'] as const).filter((name) => load(name) !== undefined)
}

/** @throws SqliteError */
export function openSqlite(path: string, options: SqliteOptions = {}): SqliteDatabase {
  const name = options.driver ?? sqliteDriver()
  const constructor = name === undefined ? undefined : load(name)
  if (name === undefined || constructor === undefined) {
    throw new SqliteError(
      'other',
      0,
      'There is no SQLite here: use Node 22.15 or later, or install the optional dependency libsql.',
      undefined,
    )
  }
  const native = openNative(constructor, path)
  const database = name === 'node' ? new NodeDatabase(native) : new LibsqlDatabase(native)
  try {
    database.exec(`PRAGMA busy_timeout = ${options.busyTimeoutMs ?? 5000}`)
  } catch (thrown) {
    database.close()
    throw thrown
  }
  return database
}

/** libsql gives no result code when it cannot open a file; there is no other reason than the disk and its rights. */
function openNative(constructor: NativeConstructor, path: string): NativeDatabase {
  try {
    return new constructor(path)
  } catch (thrown) {
    const error = toSqliteError(thrown)
    throw error.reason === 'other' ? new SqliteError('io', error.result, error.message, thrown) : error
  }
}

function load(name: SqliteDriverName): NativeConstructor | undefined {
  if (loaded.has(name)) return loaded.get(name)
  const constructor = name === 'node' ? loadNode() : loadLibsql()
  loaded.set(name, constructor)
  return constructor
}

/** Node 22 warns that the module is experimental. We know, test it, and keep the warning from every user's screen; others still pass. */
function loadNode(): NativeConstructor | undefined {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 22 || (major === 22 && minor < 15)) return undefined
  const emitWarning = process.emitWarning
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (String(warning).includes('SQLite')) return
    Reflect.apply(emitWarning, process, [warning, ...rest])
  }
  try {
    return (require('node:sqlite') as { DatabaseSync: NativeConstructor }).DatabaseSync
  } catch {
    return undefined
  } finally {
    process.emitWarning = emitWarning
  }
}

function loadLibsql(): NativeConstructor | undefined {
  try {
    return require('libsql') as NativeConstructor
  } catch {
    return undefined
  }
}

class NodeDatabase implements SqliteDatabase {
  readonly driver = 'node'
  private native: NativeDatabase | undefined

  constructor(native: NativeDatabase) {
    this.native = native
  }

  exec(sql: string): void {
    attempt(() => open(this.native).exec(sql))
  }

  prepare(sql: string): SqliteStatement {
    const native = attempt(() => open(this.native).prepare(sql))
    // Before 22.16 and 24.0 there are no arrays; an object's values are in the order of the columns as long as these have names of their own.
    const arrays = native.setReturnArrays !== undefined
    if (arrays) native.setReturnArrays?.(true)
    const toRow = arrays ? rowOfArray : rowOfObject
    return {
      run(parameters) {
        try {
          native.run(...parameters)
        } catch (thrown) {
          throw toSqliteError(thrown)
        }
      },
      get(parameters) {
        try {
          const row = native.get(...parameters)
          return row === undefined ? undefined : toRow(row)
        } catch (thrown) {
          throw toSqliteError(thrown)
        }
      },
      all(parameters) {
        try {
          return (native.all(...parameters) as unknown[]).map(toRow)
        } catch (thrown) {
          throw toSqliteError(thrown)
        }
      },
      *iterate(parameters) {
        try {
          for (const row of native.iterate(...parameters)) yield toRow(row)
        } catch (thrown) {
          throw toSqliteError(thrown)
        }
      },
    }
  }

  rollback(): void {
    try {
      this.native?.exec('ROLLBACK')
    } catch {
      // There was none.
    }
  }

  close(): void {
    const native = this.native
    this.native = undefined
    if (native !== undefined) attempt(() => native.close())
  }
}

/**
 * libsql 0.5.29 ends the process for a lone Buffer, boolean or null as the parameters, and for a wrong number of them; a Uint8Array
 * that is no Buffer is slow. So parameters are one array, counted and converted here.
 */
class LibsqlDatabase implements SqliteDatabase {
  readonly driver = 'libsql'
  private native: NativeDatabase | undefined

  constructor(native: NativeDatabase) {
    this.native = native
  }

  exec(sql: string): void {
    attempt(() => open(this.native).exec(sql))
  }

  prepare(sql: string): SqliteStatement {
    const count = sql.replace(/'[^']*'/g, '').split('?').length - 1
    const native = attempt(() => open(this.native).prepare(sql))
    // `raw` throws for a statement that returns nothing, which needs no rows anyway.
    try {
      native.raw?.(true)
    } catch {}
    const bind = (parameters: readonly SqliteParameter[]): readonly unknown[] => {
      if (parameters.length !== count)
        throw new SqliteError('other', 0, `${parameters.length} parameters for ${count} places.`, undefined)
      let bound: unknown[] | undefined
      for (let index = 0; index < parameters.length; index++) {
        const value = parameters[index]
        if (value === undefined || typeof value === 'boolean')
          throw new SqliteError('other', 0, 'A parameter is undefined or a boolean.', undefined)
        if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) continue
        bound ??= [...parameters]
        bound[index] = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      }
      return bound ?? parameters
    }
    // libsql 0.5.29: after a `run` or an `all` that came to the end, the next `get` finds nothing, whatever there is; the one after it does.
    let isAtEnd = false
    return {
      run(parameters) {
        const bound = bind(parameters)
        isAtEnd = true
        try {
          native.run(bound)
        } catch (thrown) {
          throw toSqliteError(thrown)
        }
      },
      get(parameters) {
        const bound = bind(parameters)
        try {
          const row = native.get(bound) ?? (isAtEnd ? native.get(bound) : undefined)
          isAtEnd = false
          return row === undefined ? undefined : rowOfArray(row)
        } catch (thrown) {
          throw toSqliteError(thrown)
        }
      },
      all(parameters) {
        const bound = bind(parameters)
        isAtEnd = true
        try {
          return (native.all(bound) as unknown[]).map(rowOfArray)
        } catch (thrown) {
          throw toSqliteError(thrown)
        }
      },
      *iterate(parameters) {
        const bound = bind(parameters)
        isAtEnd = true
        try {
          for (const row of native.iterate(bound)) yield rowOfArray(row)
        } catch (thrown) {
          throw toSqliteError(thrown)
        }
      },
    }
  }

  /** A connection lives on until the last of its statements was collected, and so would its transaction with all that it locks. */
  rollback(): void {
    try {
      if (this.native?.inTransaction === true) this.native.exec('ROLLBACK')
    } catch {
      // What failed before fails this, too.
    }
  }

  close(): void {
    const native = this.native
    this.native = undefined
    if (native !== undefined) attempt(() => native.close())
  }
}

function open(native: NativeDatabase | undefined): NativeDatabase {
  if (native === undefined) throw new SqliteError('other', 0, 'The database is closed.', undefined)
  return native
}

/** The drivers hand blobs out as Uint8Array, Buffer or ArrayBuffer; each is fresh memory, so a view does. */
function rowOfArray(row: unknown): SqliteRow {
  const values = row as unknown[]
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) continue
    if (value instanceof Uint8Array) values[index] = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    else if (value instanceof ArrayBuffer) values[index] = Buffer.from(value)
  }
  return values as SqliteValue[]
}

const rowOfObject = (row: unknown): SqliteRow => rowOfArray(Object.values(row as object))

function attempt<T>(work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    throw toSqliteError(thrown)
  }
}

const primaryNames: readonly [name: string, code: number][] = [
  ['SQLITE_BUSY', 5],
  ['SQLITE_LOCKED', 6],
  ['SQLITE_NOMEM', 7],
  ['SQLITE_READONLY', 8],
  ['SQLITE_IOERR', 10],
  ['SQLITE_CORRUPT', 11],
  ['SQLITE_FULL', 13],
  ['SQLITE_CANTOPEN', 14],
  ['SQLITE_NOTADB', 26],
]

/** Result codes: https://www.sqlite.org/rescode.html. The low byte is the primary code. */
function toSqliteError(thrown: unknown): SqliteError {
  if (thrown instanceof SqliteError) return thrown
  const { errcode, rawCode, code, message } = thrown as {
    errcode?: unknown
    rawCode?: unknown
    code?: unknown
    message?: unknown
  }
  let result = typeof errcode === 'number' ? errcode : typeof rawCode === 'number' ? rawCode : 0
  if (result === 0 && typeof code === 'string') result = primaryNames.find(([name]) => code.startsWith(name))?.[1] ?? 0
  const text = typeof message === 'string' ? message : String(thrown)
  return new SqliteError(reasonOf(result & 0xff), result, text, thrown)
}

function reasonOf(primary: number): SqliteReason {
  switch (primary) {
    case 13:
      return 'full'
    case 5:
    case 6:
      return 'busy'
    case 11:
    case 26:
      return 'corrupt'
    case 7:
    case 8:
    case 10:
    case 14:
      return 'io'
    default:
      return 'other'
  }
}
