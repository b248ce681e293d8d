/** The acceptance tests that automerge-repo has for storage adapters, as its package exports them, of an adapter that keeps its records in our store of a device. */

import { join } from 'node:path'
import type { StorageAdapterInterface } from '@automerge/automerge-repo'
import { runStorageAdapterTests } from '@automerge/automerge-repo/helpers/tests/storage-adapter-tests.js'
import { MemoryDisk, MemoryStore } from '@meridian/client/io/store-memory'
import { SqliteStore } from '@meridian/client/io/store-sqlite'
import type { ClientStore } from '@meridian/client/store'
import { sqliteDriver } from '@meridian/core/io/sqlite'
import { Resources } from '../e2e/resources.js'

class StoreAdapter implements StorageAdapterInterface {
  readonly #store: ClientStore

  constructor(store: ClientStore) {
    this.#store = store
  }

  async load(key: string[]): Promise<Uint8Array | undefined> {
    const found = await this.loadRange(key)
    return found.find((record) => record.key.length === key.length)?.data
  }

  save(key: string[], value: Uint8Array): Promise<void> {
    return this.#store.write([{ kind: 'put', key, value }])
  }

  remove(key: string[]): Promise<void> {
    return this.#store.write([{ kind: 'delete', key }])
  }

  async loadRange(prefix: string[]): Promise<{ key: string[]; data: Uint8Array }[]> {
    const records = await this.#store.read(prefix)
    return records.map(({ key, value }) => ({ key: key.map(String), data: new Uint8Array(value) }))
  }

  removeRange(prefix: string[]): Promise<void> {
    return this.#store.write([{ kind: 'clear', prefix }])
  }
}

runStorageAdapterTests(async () => {
  const store = new MemoryStore(new MemoryDisk())
  return { adapter: new StoreAdapter(store), teardown: () => store.close() }
}, 'Meridian in memory')

const driver = sqliteDriver()
if (driver !== undefined) {
  runStorageAdapterTests(async () => {
    const resources = new Resources()
    const store = new SqliteStore({ path: join(resources.directory(), 'store.db'), driver })
    resources.later(() => store.close())
    return { adapter: new StoreAdapter(store), teardown: () => resources.dispose() }
  }, 'Meridian in SQLite')
}
