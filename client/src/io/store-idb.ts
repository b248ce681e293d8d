/**
 * A client store in IndexedDB: one database with one object store, whose keys are the arrays of `StoreKey`. A batch is one transaction,
 * so an append and the compaction behind it are all or nothing, and tabs may write at once. By idb-keyval, over a `UseStore` of our own.
 *
 * - CLI1 `durability: 'strict'`: what was answered is flushed, where the default of Chromium leaves it to the system.
 * - A database that was evicted or cleared is noticed by a mark that stands in it and beside it, and told once (`watch`). What an
 *   opening has not read is never taken for what it had written: until `renew`, every call of it fails.
 *
 * ```
 *   closed ◀── close ─── open ──connection lost──▶ opened again ──same mark──▶ open
 *                         ▲                             │ another mark, or none
 *                         └────────── renew ─────── lost ◀
 * ```
 */

import { MeridianError, toMeridianError } from '@meridian/core/errors'
import { get, promisifyRequest, type UseStore } from 'idb-keyval'
import type { ClientStore, StoreEvent, StoreKey, StoreOperation, StoreRecord } from '../store.js'

/** What outlives the database, or is lost without it: the part of `localStorage` that is needed. */
export interface MarkKeeper {
  getItem(name: string): string | null
  setItem(name: string, mark: string): void
}

export interface IndexedDbStoreOptions {
  /** The database. Users of one browser are kept apart by one for each (tenant, user): `databaseName`. */
  readonly name: string
  /** Milliseconds from one commit to the next. Default 10: a hundred flushes a second, and the first edit after a pause at once. */
  readonly lingerMs?: number | undefined
  /** Milliseconds until an opening that nobody answers is STORE_FAILED: WebKit has let some hang. Default 10,000. */
  readonly openTimeoutMs?: number | undefined
  /** Default: the one of this page. */
  readonly factory?: IDBFactory | undefined
  /** Default: `localStorage`; where a page has none, a first visit and an evicted store are the same. */
  readonly marks?: MarkKeeper | undefined
  /** Asks the browser not to evict. Default: `navigator.storage`; Firefox asks the user, others decide by how the page is used. */
  readonly persist?: (() => Promise<unknown>) | undefined
}

/** One object store: idb-keyval's functions are of one, and a transaction over one needs no thought about deadlocks. */
const storeName = 'records'
/** No array, so it is of no prefix: numbers and strings sort before all arrays. */
const markKey = 'mark'

/** Milliseconds before each look at a database whose connection was cut: while the browser still deletes it, it does not open. */
const lookAgainMs = [0, 100, 1_000, 5_000]

/** One database for each user, so that signing out of one leaves the others. Parts are escaped: no two pairs have one name. */
export const databaseName = (name: string, tenant: string, user: string): string =>
  [name, tenant, user].map((part) => encodeURIComponent(part)).join('/')

/** Opened with the first use, so that a database that cannot be opened is an answer and not an exception of `connect`. */
export class IndexedDbStore implements ClientStore {
  readonly lingerMs: number
  readonly name: string
  readonly #factory: IDBFactory | undefined
  readonly #marks: MarkKeeper
  readonly #openTimeoutMs: number
  #persist: (() => Promise<unknown>) | undefined
  #database: Promise<IDBDatabase> | undefined
  /** Of the database that this opening knows. */
  #mark: string | undefined
  #state: 'open' | 'lost' | 'closed' = 'open'
  /** Told already, so that a renewed store is no evicted one. */
  #wasLost = false
  #listener: ((event: StoreEvent) => void) | undefined
  #untold: StoreEvent[] = []
  /** Batches take effect in the order of their calls, one that is tried again too. */
  #written: Promise<unknown> = Promise.resolve()

  constructor(options: IndexedDbStoreOptions) {
    this.name = options.name
    this.lingerMs = options.lingerMs ?? 10
    this.#openTimeoutMs = options.openTimeoutMs ?? 10_000
    this.#factory = options.factory ?? globalThis.indexedDB
    this.#marks = options.marks ?? pageMarks()
    this.#persist = options.persist ?? pagePersist
  }

  watch(listener: (event: StoreEvent) => void): void {
    this.#listener = listener
    for (const event of this.#untold.splice(0)) listener(event)
  }

  async read(prefix: StoreKey): Promise<readonly StoreRecord[]> {
    await this.#written
    return this.#attempt((use) =>
      use('readonly', async (store) => {
        const range = rangeOf(prefix)
        const [keys, values] = await Promise.all([
          promisifyRequest(store.getAllKeys(range)),
          promisifyRequest<unknown[]>(store.getAll(range)),
        ])
        return keys.map((key, index) => ({ key: keyOf(key), value: bytesOf(values[index]) }))
      }),
    )
  }

  write(batch: readonly StoreOperation[]): Promise<void> {
    const writing = this.#written.then(() =>
      this.#attempt((use) =>
        use('readwrite', (store) => {
          try {
            for (const operation of batch) apply(store, operation)
          } catch (thrown) {
            // What was put before it would be committed when this returns.
            store.transaction.abort()
            throw thrown
          }
          return finished(store.transaction)
        }),
      ),
    )
    this.#written = writing.catch(() => undefined)
    return writing
  }

  keep(): void {
    const persist = this.#persist
    this.#persist = undefined
    // A browser that says no, or cannot, evicts as before, and that is told when it happens.
    void persist?.().catch(() => undefined)
  }

  async renew(): Promise<void> {
    this.#check('lost')
    this.#mark = undefined
    this.#disconnect()
    this.#state = 'open'
    await this.#attempt((use) => use('readonly', () => undefined))
  }

  async wipe(): Promise<void> {
    await this.#written
    if (this.#state === 'lost') await this.renew()
    // Other tabs see that nothing was lost, and do not write again what they hold.
    this.#keepMark(wipedMark)
    // The records go first and at once: deleting a database waits for every tab that has it open, a frozen one too.
    await this.write([{ kind: 'clear', prefix: [] }])
    await this.close()
    const request = this.#factory?.deleteDatabase(this.name)
    if (request === undefined) return
    await new Promise<void>((resolve, reject) => {
      request.addEventListener('success', () => resolve())
      // Empty already; the browser deletes it when the last tab lets go of it.
      request.addEventListener('blocked', () => resolve())
      request.addEventListener('error', () => reject(storeError(request.error)))
    })
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    await this.#written
    this.#state = 'closed'
    this.#disconnect()
  }

  /** Runs it on the database of this opening, once more if the connection to it is gone. */
  async #attempt<T>(work: (use: UseStore) => Promise<T>): Promise<T> {
    try {
      return await this.#once(work)
    } catch (thrown) {
      if (!isDisconnected(thrown)) throw storeError(thrown)
      this.#disconnect()
      try {
        const answer = await this.#once(work)
        this.#tell({ kind: 'reconnected', error: storeError(thrown) })
        return answer
      } catch (again) {
        throw storeError(again)
      }
    }
  }

  async #once<T>(work: (use: UseStore) => Promise<T>): Promise<T> {
    this.#check('open')
    const database = await this.#connection()
    // It may have been found lost, or closed, meanwhile.
    this.#check('open')
    return work(async (mode, callback) =>
      callback(database.transaction(storeName, mode, { durability: 'strict' }).objectStore(storeName)),
    )
  }

  #check(expected: 'open' | 'lost'): void {
    if (this.#state === expected) return
    const message =
      this.#state === 'closed'
        ? 'The local store is closed.'
        : this.#state === 'lost'
          ? 'The local store was deleted while it was open; edits made now live in memory only.'
          : 'The local store is not lost.'
    throw new MeridianError('STORE_FAILED', { message })
  }

  #connection(): Promise<IDBDatabase> {
    if (this.#database === undefined) {
      const opening = this.#open()
      this.#database = opening
      opening.catch(() => {
        if (this.#database === opening) this.#database = undefined
      })
    }
    return this.#database
  }

  async #open(): Promise<IDBDatabase> {
    if (this.#mark !== undefined && this.#keptMark() === wipedMark) {
      this.#state = 'closed'
      this.#tell({ kind: 'wiped' })
      this.#check('open')
    }
    const database = await this.#request()
    const use: UseStore = async (mode, callback) => callback(database.transaction(storeName, mode).objectStore(storeName))
    try {
      const fresh = newMark()
      const mark = await use('readwrite', async (store): Promise<string> => {
        const found = await promisifyRequest<unknown>(store.get(markKey))
        if (typeof found === 'string') return found
        store.put(fresh, markKey)
        await finished(store.transaction)
        return fresh
      })
      this.#recognize(mark)
      database.addEventListener('close', () => this.#cutOff(database))
      // Somebody deletes the database, or opens it in a later version: whoever holds on to it stops them.
      database.addEventListener('versionchange', () => {
        database.close()
        this.#cutOff(database)
      })
      return database
    } catch (thrown) {
      database.close()
      throw thrown
    }
  }

  #request(): Promise<IDBDatabase> {
    if (this.#factory === undefined)
      throw new MeridianError('STORE_FAILED', { message: 'This browser keeps no databases for the page.' })
    const request = this.#factory.open(this.name, 1)
    return new Promise((resolve, reject) => {
      let isLate = false
      const timer = setTimeout(() => {
        isLate = true
        reject(new MeridianError('STORE_FAILED', { message: `The local store did not open in ${this.#openTimeoutMs} ms.` }))
      }, this.#openTimeoutMs)
      request.addEventListener('upgradeneeded', () => {
        request.result.createObjectStore(storeName)
      })
      request.addEventListener('success', () => {
        clearTimeout(timer)
        if (isLate) request.result.close()
        else resolve(request.result)
      })
      request.addEventListener('error', () => {
        clearTimeout(timer)
        reject(storeError(request.error))
      })
    })
  }

  /** Is this the database that this opening knows, or, at its beginning, the one that the page knows? */
  #recognize(mark: string): void {
    if (this.#mark !== undefined && this.#mark !== mark) {
      this.#state = 'lost'
      this.#wasLost = true
      this.#tell({ kind: 'lost' })
      this.#check('open')
    }
    if (this.#mark !== undefined) return
    const kept = this.#keptMark()
    this.#mark = mark
    this.#keepMark(mark)
    if (kept !== undefined && kept !== wipedMark && kept !== mark && !this.#wasLost) this.#tell({ kind: 'evicted' })
  }

  #keptMark(): string | undefined {
    try {
      return this.#marks.getItem(markName(this.name)) ?? undefined
    } catch {
      // `keepMark` says it, and nothing is known.
      return undefined
    }
  }

  #keepMark(mark: string): void {
    try {
      this.#marks.setItem(markName(this.name), mark)
    } catch (thrown) {
      // Storage of its own may be full or forbidden while the database works.
      this.#tell({ kind: 'unmarked', error: storeError(thrown) })
    }
  }

  /** The browser has closed the connection. What was deleted is noticed now and not with the next edit. */
  #cutOff(database: IDBDatabase): void {
    void this.#database?.then((current) => {
      if (current !== database || this.#state !== 'open') return
      this.#database = undefined
      void this.#lookAgain()
    })
  }

  async #lookAgain(): Promise<void> {
    let failure: unknown
    for (const waitMs of lookAgainMs) {
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      if (this.#state !== 'open') return
      try {
        await this.#attempt((use) => get(markKey, use))
        return
      } catch (thrown) {
        failure = thrown
      }
    }
    // A loss has told of itself.
    if (this.#state === 'open') this.#tell({ kind: 'failed', error: storeError(failure) })
  }

  #disconnect(): void {
    const database = this.#database
    this.#database = undefined
    database?.then(
      (opened) => opened.close(),
      () => undefined,
    )
  }

  #tell(event: StoreEvent): void {
    if (this.#listener === undefined) this.#untold.push(event)
    else this.#listener(event)
  }
}

function apply(store: IDBObjectStore, operation: StoreOperation): void {
  switch (operation.kind) {
    case 'put': {
      const { value } = operation
      // A view is cloned together with all of its buffer.
      store.put(value.byteLength === value.buffer.byteLength ? value : value.slice(), [...operation.key])
      return
    }
    case 'delete':
      store.delete([...operation.key])
      return
    case 'clear':
      store.delete(rangeOf(operation.prefix))
      return
  }
}

/** From the prefix itself to the end of what begins with it: an array sorts after every number and string. */
const rangeOf = (prefix: StoreKey): IDBKeyRange => IDBKeyRange.bound([...prefix], [...prefix, []], false, true)

/** idb-keyval's promise of a transaction rejects with the first failed request, before the transaction knows why it ends. */
function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.addEventListener('complete', () => resolve())
    transaction.addEventListener('abort', () =>
      reject(transaction.error ?? new DOMException('The transaction was aborted.', 'AbortError')),
    )
  })
}

/**
 * The connection, and not the work, is what failed: WebKit loses its database process in the background ("Connection to Indexed Database
 * server lost", an UnknownError), a browser closes the connections of data that it deletes.
 */
function isDisconnected(thrown: unknown): boolean {
  return thrown instanceof DOMException && ['UnknownError', 'InvalidStateError', 'AbortError'].includes(thrown.name)
}

function storeError(thrown: unknown): MeridianError {
  if (thrown instanceof MeridianError) return thrown
  const isFull = thrown instanceof DOMException && thrown.name === 'QuotaExceededError'
  const wasFull = toMeridianError(thrown).code === 'STORE_FULL'
  return new MeridianError(isFull || wasFull ? 'STORE_FULL' : 'STORE_FAILED', { cause: thrown })
}

function keyOf(key: IDBValidKey): StoreKey {
  const parts = Array.isArray(key) ? key.filter((part) => typeof part === 'number' || typeof part === 'string') : []
  if (!Array.isArray(key) || parts.length < key.length)
    throw new MeridianError('STORE_FAILED', { message: 'A key of the local store is not of numbers and strings.' })
  return parts
}

function bytesOf(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array))
    throw new MeridianError('STORE_FAILED', { message: 'A record of the local store is no bytes.' })
  return value
}

/** Beside a database that was deleted because its user signed out. */
const wipedMark = 'wiped'

const markName = (name: string): string => `meridian:${name}`

const newMark = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** Reading the property throws where the user forbids storage. */
function pageMarks(): MarkKeeper {
  const none: MarkKeeper = { getItem: () => null, setItem: () => undefined }
  try {
    return globalThis.localStorage ?? none
  } catch {
    return none
  }
}

/** Nobody is asked who has said yes. */
async function pagePersist(): Promise<void> {
  const storage: StorageManager | undefined = globalThis.navigator?.storage
  // Pages that are not secure, and old browsers, have none.
  if (storage !== undefined && !(await storage.persisted())) await storage.persist()
}
