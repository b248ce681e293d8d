/** A page with stores in its IndexedDB, each under a number, for a test that calls them from outside. */

import { IndexedDbStore } from '@meridian/client/io/store-idb'
import type { StoreEvent, StoreKey, StoreOperation, StoreRecord } from '@meridian/client/store'
import { toMeridianError } from '@meridian/core/errors'

/** An error of a page loses its class on the way. */
type Answer<T> = { readonly answer: T } | { readonly code: string }

const stores: IndexedDbStore[] = []
const events: StoreEvent['kind'][] = []

async function attempt<T>(run: (store: IndexedDbStore) => Promise<T>, number: number): Promise<Answer<T>> {
  const store = stores[number]
  if (store === undefined) throw new Error(`no store has the number ${number}`)
  try {
    return { answer: await run(store) }
  } catch (thrown) {
    return { code: toMeridianError(thrown).code }
  }
}

const api = {
  open(name: string): number {
    const store = new IndexedDbStore({ name })
    store.watch(({ kind }) => events.push(kind))
    return stores.push(store) - 1
  },
  read: (number: number, prefix: StoreKey): Promise<Answer<readonly StoreRecord[]>> =>
    attempt((store) => store.read(prefix), number),
  write: (number: number, batch: readonly StoreOperation[]): Promise<Answer<void>> =>
    attempt((store) => store.write(batch), number),
  close: (number: number): Promise<Answer<void>> => attempt((store) => store.close(), number),
  renew: (number: number): Promise<Answer<void>> => attempt((store) => store.renew(), number),
  wipe: (number: number): Promise<Answer<void>> => attempt((store) => store.wipe(), number),
  /** What was told since the last time. */
  events: (): StoreEvent['kind'][] => events.splice(0),
  databases: async (): Promise<string[]> => (await indexedDB.databases()).map(({ name }) => name ?? ''),
  /** Writes without an end; `written` says how many were answered. */
  writeOn(number: number): void {
    let written = 0
    const next = async (): Promise<void> => {
      const record = written + 1
      await stores[number]?.write([{ kind: 'put', key: ['log', record], value: new Uint8Array(100) }])
      written = record
      document.title = String(written)
      await next()
    }
    void next()
  },
  written: (): number => Number(document.title) || 0,
}

export type StorePage = typeof api

Object.assign(globalThis, { page: api })
