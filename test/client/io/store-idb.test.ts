/** The store of browsers on an IndexedDB in memory; test/browser/store-idb.test.ts has the real one. */

import type { MarkKeeper } from '@meridian/client/io/store-idb'
import { databaseName, IndexedDbStore } from '@meridian/client/io/store-idb'
import type { StoreEvent } from '@meridian/client/store'
import { IDBDatabase, IDBFactory, IDBKeyRange } from 'fake-indexeddb'
import { describe, expect, it } from 'vitest'
import { registerClientStoreTests } from '../../conformance/client-store.js'

// The store makes ranges as a page does.
Object.assign(globalThis, { IDBKeyRange })

/** A browser's storage for one origin. */
class Origin {
  readonly factory = new IDBFactory()
  readonly kept = new Map<string, string>()
  readonly marks: MarkKeeper = {
    getItem: (name) => this.kept.get(name) ?? null,
    setItem: (name, mark) => {
      this.kept.set(name, mark)
    },
  }

  open(name = 'store'): { store: IndexedDbStore; events: StoreEvent[] } {
    const events: StoreEvent[] = []
    const store = new IndexedDbStore({ name, factory: this.factory, marks: this.marks })
    store.watch((event) => events.push(event))
    return { store, events }
  }

  /** As the browser evicts: the database goes, and asks nobody. */
  evict(name = 'store'): Promise<void> {
    return new Promise((resolve) => {
      this.factory.deleteDatabase(name).addEventListener('success', () => resolve())
    })
  }
}

registerClientStoreTests('IndexedDB in memory', async () => {
  const origin = new Origin()
  const opened: IndexedDbStore[] = []
  return {
    async open() {
      const { store } = origin.open()
      opened.push(store)
      return store
    },
    async remove() {
      for (const store of opened) await store.close()
    },
  }
})

const a = { kind: 'put', key: ['a'], value: Uint8Array.of(1) } as const

describe('IndexedDB store', () => {
  it('given a first visit and a second one, then nothing is told; given a store that was evicted between, then it is', async () => {
    const origin = new Origin()
    const first = origin.open()
    await first.store.write([a])
    await first.store.close()
    const second = origin.open()
    expect(await second.store.read([])).toHaveLength(1)
    await second.store.close()
    await origin.evict()
    const third = origin.open()
    expect(await third.store.read([])).toEqual([])
    expect([...first.events, ...second.events]).toEqual([])
    expect(third.events).toEqual([{ kind: 'evicted' }])
    await third.store.write([a])
    await third.store.close()
    const fourth = origin.open()
    expect(await fourth.store.read([])).toHaveLength(1)
    expect(fourth.events).toEqual([])
    await fourth.store.close()
  })

  it('given a database that goes while it is open, then it is told at once, nothing is written to the new one until renew', async () => {
    const origin = new Origin()
    const { store, events } = origin.open()
    await store.write([a])
    await origin.evict()
    await expect(store.write([{ ...a, key: ['b'] }])).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await expect(store.read([])).rejects.toMatchObject({ code: 'STORE_FAILED' })
    expect(events).toEqual([{ kind: 'lost' }])
    await store.renew()
    expect(await store.read([])).toEqual([])
    await store.write([{ ...a, key: ['c'] }])
    expect((await store.read([])).map(({ key }) => key)).toEqual([['c']])
    expect(events).toEqual([{ kind: 'lost' }])
    await store.close()
  })

  it('given a user who signs out, then the database is gone, other tabs close and write nothing, and the next opening is a first one', async () => {
    const origin = new Origin()
    const one = origin.open()
    const other = origin.open()
    const stranger = origin.open('stranger')
    await one.store.write([a])
    await stranger.store.write([a])
    expect(await other.store.read([])).toHaveLength(1)
    await one.store.wipe()
    await expect(other.store.write([a])).rejects.toMatchObject({ code: 'STORE_FAILED' })
    expect(other.events).toEqual([{ kind: 'wiped' }])
    expect((await origin.factory.databases()).map(({ name }) => name)).toEqual(['stranger'])
    const next = origin.open()
    expect(await next.store.read([])).toEqual([])
    expect([...next.events, ...one.events]).toEqual([])
    expect(await stranger.store.read([])).toHaveLength(1)
    for (const { store } of [next, stranger]) await store.close()
  })

  it('given a connection that the browser has lost, then the work is done over a new one, and that is told', async () => {
    const origin = new Origin()
    let breaks = 1
    const { store, events } = origin.open()
    await store.write([a])
    const { transaction } = IDBDatabase.prototype
    IDBDatabase.prototype.transaction = function (...args) {
      if (breaks-- > 0) throw new DOMException('Connection to Indexed Database server lost.', 'UnknownError')
      return transaction.apply(this, args)
    }
    try {
      await store.write([{ ...a, key: ['b'] }])
      expect(await store.read([])).toHaveLength(2)
      expect(events).toMatchObject([{ kind: 'reconnected', error: { code: 'STORE_FAILED' } }])
      breaks = 2
      await expect(store.read([])).rejects.toMatchObject({ code: 'STORE_FAILED' })
      expect(await store.read([])).toHaveLength(2)
    } finally {
      IDBDatabase.prototype.transaction = transaction
      await store.close()
    }
  })

  it('given no IndexedDB, then it is STORE_FAILED and no exception of the constructor', async () => {
    const store = new IndexedDbStore({ name: 'store', factory: undefined, marks: new Origin().marks })
    await expect(store.read([])).rejects.toMatchObject({ code: 'STORE_FAILED' })
  })

  it('given names with separators in them, then no two users share a database', () => {
    const names = [
      databaseName('m', 'a/b', 'c'),
      databaseName('m', 'a', 'b/c'),
      databaseName('m/a', 'b', 'c'),
      databaseName('m', 'a', 'b'),
    ]
    expect(new Set(names).size).toBe(names.length)
  })

  it('given many edits, then the browser is asked once to keep the database, and a no is no error', async () => {
    let asked = 0
    const store = new IndexedDbStore({
      name: 'store',
      factory: new IDBFactory(),
      marks: new Origin().marks,
      persist: () => {
        asked++
        return Promise.reject(new Error('no'))
      },
    })
    store.keep()
    store.keep()
    await store.write([a])
    expect(asked).toBe(1)
    await store.close()
  })
})
