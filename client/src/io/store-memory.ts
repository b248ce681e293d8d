/** A client store in memory: for tests, and for whoever wants nothing to stay. */

import { MeridianError } from '@meridian/core/errors'
import type { ClientStore, StoreKey, StoreOperation, StoreRecord } from '../store.js'
import { beginsWith, compareKeys, keyText } from '../store.js'

/** Outlives the stores that are opened on it, as a disk does. */
export class MemoryDisk {
  readonly records = new Map<string, StoreRecord>()
}

export class MemoryStore implements ClientStore {
  readonly lingerMs: number = 0
  readonly #disk: MemoryDisk
  #closed = false

  constructor(disk: MemoryDisk = new MemoryDisk()) {
    this.#disk = disk
  }

  async read(prefix: StoreKey): Promise<readonly StoreRecord[]> {
    this.#check()
    const found: StoreRecord[] = []
    for (const { key, value } of this.#disk.records.values())
      if (beginsWith(key, prefix)) found.push({ key, value: value.slice() })
    return found.sort((a, b) => compareKeys(a.key, b.key))
  }

  async write(batch: readonly StoreOperation[]): Promise<void> {
    this.#check()
    const { records } = this.#disk
    for (const operation of batch) {
      switch (operation.kind) {
        case 'put':
          records.set(keyText(operation.key), { key: [...operation.key], value: operation.value.slice() })
          break
        case 'delete':
          records.delete(keyText(operation.key))
          break
        case 'clear':
          for (const [text, { key }] of records) if (beginsWith(key, operation.prefix)) records.delete(text)
          break
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #check(): void {
    if (this.#closed) throw new MeridianError('STORE_FAILED', { message: 'The local store is closed.' })
  }
}
