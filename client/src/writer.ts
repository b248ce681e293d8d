/**
 * Writes to the client store, and reads it as if everything that was handed in stood there already. One batch at a time, all that came meanwhile in the next (group commit), in order, and again after a
 * failure. Nothing is dropped: a store that cannot be written costs memory, and the user is told. Only when the store itself is gone,
 * what was queued for it is forgotten, for whoever holds everything to write it anew.
 */

import type { Random } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import type { BackoffOptions } from './backoff.js'
import { backoffMs } from './backoff.js'
import type { StorageStatus } from './status.js'
import type { ClientStore, StoreKey, StoreOperation, StoreRecord } from './store.js'
import { beginsWith, compareKeys, keyText } from './store.js'

/** A full disk is freed by people, so tries every half minute are enough; the first ones are for hiccups. */
const writeBackoff: BackoffOptions = { baseMs: 500, maxMs: 30_000 }

export interface WriterWorld {
  readonly random: Random
  monotonicMs(): number
  /** Calls back once; the answer calls it off. */
  after(ms: number, run: () => void): () => void
  storageChanged(status: StorageStatus): void
}

interface Waiter {
  readonly ticket: number
  readonly resolve: () => void
  readonly reject: (error: MeridianError) => void
}

export class Writer {
  readonly #store: ClientStore
  readonly #world: WriterWorld
  #queue: StoreOperation[] = []
  /** What is being written. */
  #running: readonly StoreOperation[] | undefined
  /** Of each read that goes on: what it may not have found. */
  readonly #reads = new Set<StoreOperation[]>()
  /** Where a key stands in the queue, so that a head that changes a hundred times is written once. */
  readonly #places = new Map<string, number>()
  /** Batches that were handed in, and that are durable. */
  #ticket = 0
  #durable = 0
  #closed = false
  /** Nothing is written until `resume`. */
  #held = false
  /** Of the store: how a write ends that was handed to one that is gone says nothing. */
  #epoch = 0
  #startedMs = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined
  #attempt = 0
  #waiters: Waiter[] = []

  constructor(store: ClientStore, world: WriterWorld) {
    this.#store = store
    this.#world = world
  }

  /** True if everything handed in is durable. */
  get isIdle(): boolean {
    return this.#durable === this.#ticket
  }

  /** True if the device may not have, for now, what was handed in: it is slow, full or gone. */
  get isBehind(): boolean {
    return this.#held || !this.isIdle
  }

  /** Every record whose key begins with `prefix`, in the order of keys, as it will be when all is written. @throws MeridianError STORE_FAILED */
  async read(prefix: StoreKey): Promise<readonly StoreRecord[]> {
    const later = this.#unwritten()
    this.#reads.add(later)
    try {
      return overlaid(await this.#store.read(prefix), later, prefix)
    } finally {
      this.#reads.delete(later)
    }
  }

  /** Of what is not on the device for now, the values of these records. */
  unwritten(prefix: StoreKey): Uint8Array[] {
    return overlaid([], this.#unwritten(), prefix).map(({ value }) => value)
  }

  write(batch: readonly StoreOperation[]): void {
    for (const operation of batch) this.#enqueue(operation)
    for (const later of this.#reads) later.push(...batch)
    this.#ticket++
    this.#schedule()
  }

  /** Resolves when everything handed in so far is durable. Rejects when an attempt to write it fails, though it is tried again. */
  drained(): Promise<void> {
    // What was durable in a store that is gone is not.
    if (!this.isBehind) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiters.push({ ticket: this.#ticket, resolve, reject })
    })
  }

  /** The store is gone: nothing goes there until `resume`. Whoever waits, waits on. */
  hold(): void {
    this.#held = true
    this.#epoch++
    this.#callOff()
  }

  /** There is no store to write to, for now. */
  refuse(error: MeridianError): void {
    this.#world.storageChanged(failing(error))
    this.#attempt = Math.max(this.#attempt, 1)
    this.#reject(error)
  }

  /** Drops what was queued for a store that is gone. Whoever waits, waits for what is written next. */
  forget(): void {
    this.#queue = []
    this.#places.clear()
  }

  /** Writes again. */
  resume(): void {
    this.#held = false
    this.#startedMs = Number.NEGATIVE_INFINITY
    this.#schedule()
  }

  /** Writes what is left, once, now, and no more after that. */
  async close(): Promise<void> {
    this.#callOff()
    if (this.#held) this.#reject(new MeridianError('STORE_FAILED', { message: 'The local store is gone.' }))
    else {
      if (this.#running === undefined && !this.isIdle) void this.#run()
      await this.drained().catch(() => undefined)
      this.#callOff()
    }
    this.#closed = true
  }

  #unwritten(): StoreOperation[] {
    return [...(this.#running ?? []), ...this.#queue]
  }

  #callOff(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #enqueue(operation: StoreOperation): void {
    if (operation.kind === 'clear') {
      // What comes after a clear must not take the place of what came before it.
      this.#places.clear()
      this.#queue.push(operation)
      return
    }
    const text = keyText(operation.key)
    const place = this.#places.get(text)
    if (place !== undefined) this.#queue[place] = operation
    else {
      this.#places.set(text, this.#queue.length)
      this.#queue.push(operation)
    }
  }

  #schedule(): void {
    if (this.#running !== undefined || this.#closed || this.#held || this.#cancel !== undefined || this.isIdle) return
    const waitMs = this.#startedMs + this.#store.lingerMs - this.#world.monotonicMs()
    if (waitMs <= 0) void this.#run()
    else this.#later(waitMs)
  }

  #later(ms: number): void {
    this.#cancel = this.#world.after(ms, () => {
      this.#cancel = undefined
      void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#startedMs = this.#world.monotonicMs()
    const batch = this.#queue
    this.#running = batch
    const ticket = this.#ticket
    const epoch = this.#epoch
    this.#queue = []
    this.#places.clear()
    try {
      await this.#store.write(batch)
    } catch (thrown) {
      this.#running = undefined
      return epoch === this.#epoch ? this.#failed(batch, thrown) : this.#schedule()
    }
    this.#running = undefined
    if (epoch !== this.#epoch) return this.#schedule()
    this.#durable = ticket
    if (this.#attempt > 0) this.#world.storageChanged({ kind: 'fine' })
    this.#attempt = 0
    const done = this.#waiters.filter((waiter) => waiter.ticket <= ticket)
    this.#waiters = this.#waiters.filter((waiter) => waiter.ticket > ticket)
    for (const waiter of done) waiter.resolve()
    this.#schedule()
  }

  #failed(batch: readonly StoreOperation[], thrown: unknown): void {
    const error = thrown instanceof MeridianError ? thrown : new MeridianError('STORE_FAILED', { cause: thrown })
    const later = this.#queue
    this.#queue = []
    this.#places.clear()
    for (const operation of [...batch, ...later]) this.#enqueue(operation)
    this.#world.storageChanged(failing(error))
    this.#reject(error)
    if (this.#cancel === undefined && !this.#closed) this.#later(backoffMs(this.#attempt++, 0, this.#world.random, writeBackoff))
  }

  #reject(error: MeridianError): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) waiter.reject(error)
  }
}

/** What the user is told of an error of the store. */
export const failing = ({ code }: MeridianError): StorageStatus =>
  code === 'STORE_FULL' ? { kind: 'full', code } : { kind: 'failing', code: code === 'INTERNAL' ? 'STORE_FAILED' : code }

/** These records, when so much more is written. */
function overlaid(found: readonly StoreRecord[], later: readonly StoreOperation[], prefix: StoreKey): readonly StoreRecord[] {
  if (later.length === 0) return found
  const records = new Map(found.map((record) => [keyText(record.key), record]))
  for (const operation of later) {
    if (operation.kind === 'clear') {
      for (const [text, { key }] of records) if (beginsWith(key, operation.prefix)) records.delete(text)
    } else if (operation.kind === 'delete') records.delete(keyText(operation.key))
    else if (beginsWith(operation.key, prefix)) records.set(keyText(operation.key), operation)
  }
  return [...records.values()].sort((a, b) => compareKeys(a.key, b.key))
}
