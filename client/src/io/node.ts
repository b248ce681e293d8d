/**
 * `@meridian/client` for Node.js.
 *
 * ```ts
 * const store = connect({ url: 'http://127.0.0.1:7101', storage: { path: 'notes.db' } })
 * const note = store.open('notes/42')
 * note.ydoc.getText('body').insert(0, 'Hello')
 * await note.saved()
 * ```
 */

import type { Store } from '../client.js'
import { Client } from '../client.js'
import { network } from '../network.js'
import type { ClientOptions } from '../options.js'
import type { ClientWorld } from '../world.js'
import type { ClientStore } from '../store.js'
import { after, monotonicMs, systemClock, systemRandom } from './clock.js'
import { get } from './http.js'
import { dial } from './socket.js'
import { MemoryStore } from './store-memory.js'
import { SqliteStore } from './store-sqlite.js'

export { MeridianError } from '@meridian/core/errors'
export type { ErrorCode } from '@meridian/core/errors'
export type { Store } from '../client.js'
export type { Handle, Origin, SavedOptions, WaitOptions } from '../handle.js'
export type { TokenSource } from '../options.js'
export type { RegionInfo } from '../places.js'
export type { ConnectionStatus, DocumentStatus, StorageStatus, StoreStatus } from '../status.js'
export type { ClientStore } from '../store.js'
export { MemoryStore } from './store-memory.js'
export { SqliteStore } from './store-sqlite.js'

export interface ConnectOptions extends Omit<ClientOptions, 'storage'> {
  /** A file for SQLite, a store of your own, or nothing: then documents live in memory, and edits that are not saved end with the process. */
  readonly storage?: ClientStore | { readonly path: string } | undefined
}

/** Works offline and never throws for the network. @throws MeridianError CONFIG_INVALID, NAME_INVALID */
export function connect(options: ConnectOptions): Store {
  const { storage } = options
  const store = storage === undefined ? new MemoryStore() : 'path' in storage ? new SqliteStore(storage) : storage
  return new Client(nodeWorld, network, { ...options, storage: store })
}

const nodeWorld: ClientWorld = {
  clock: systemClock,
  random: systemRandom,
  monotonicMs,
  defer: (run) => queueMicrotask(run),
  after,
  dial,
  get,
  // As if it had been thrown where nobody catches: the default of Node.js says so and ends.
  report: (thrown) => {
    queueMicrotask(() => {
      throw thrown
    })
  },
}
