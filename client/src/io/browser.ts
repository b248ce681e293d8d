/**
 * `@meridian/client` for browsers.
 *
 * ```ts
 * const store = connect({ url: 'https://eu.example.com', tenant: 'acme', user: 'ann', token: () => fetchToken() })
 * const note = store.open('notes/42')
 * note.ydoc.getText('body').insert(0, 'Hello')
 * await note.saved()
 * ```
 *
 * Documents live in IndexedDB, one database for each user of a tenant. The tabs of a browser share it and one connection, and are in step
 * without a network.
 */

import type { Store } from '../client.js'
import { Client } from '../client.js'
import type { Network } from '../network.js'
import type { ClientOptions } from '../options.js'
import type { ClientWorld } from '../world.js'
import type { ClientStore } from '../store.js'
import { readClaims } from '../token.js'
import { followPage } from './browser-page.js'
import { dial } from './browser-socket.js'
import { get } from './http.js'
import { linkTabs } from '../tab-link.js'
import { tabPorts } from './browser-tabs.js'
import { databaseName, IndexedDbStore } from './store-idb.js'

export { MeridianError } from '@meridian/core/errors'
export type { ErrorCode } from '@meridian/core/errors'
export type { Store } from '../client.js'
export type { Handle, Origin, SavedOptions, WaitOptions } from '../handle.js'
export type { TokenSource } from '../options.js'
export type { Peer, Presence } from '../presence.js'
export type { RegionInfo } from '../places.js'
export type { ConnectionStatus, DocumentStatus, StorageStatus, StoreStatus } from '../status.js'
export type { ClientStore } from '../store.js'

export interface ConnectOptions extends Omit<ClientOptions, 'storage' | 'tabs'> {
  /**
   * Whose documents these are on this device: each user has a database of their own. Default: the `sub` claim of the token, and one
   * database for everybody with a token function or none.
   */
  readonly user?: string | undefined
  /** The name in front of the database's, for two apps of one origin, or a store of your own, which tabs do not share. Default `meridian`. */
  readonly storage?: { readonly name?: string | undefined } | ClientStore | undefined
}

/** Works offline and never throws for the network. @throws MeridianError CONFIG_INVALID, NAME_INVALID */
export function connect(options: ConnectOptions): Store {
  const { storage = {}, user, ...rest } = options
  if ('read' in storage) return follow(new Client(world, loadNetwork, { ...rest, storage }))
  const claims = readClaims(typeof rest.token === 'string' ? rest.token : '')
  const tenant = rest.tenant ?? claims.tenant ?? 'dev'
  const name = databaseName(storage.name ?? 'meridian', tenant, user ?? claims.subject ?? '')
  const ports = tabPorts(name)
  const tabs = ports === undefined ? undefined : linkTabs(ports)
  return follow(new Client(world, loadNetwork, { ...rest, storage: new IndexedDbStore({ name }), tabs }))
}

function follow(client: Client): Store {
  const end = followPage(client)
  client.subscribe(() => {
    if (client.status.connection.kind === 'closed') end()
  })
  return client
}

/** While the device is read; a service worker keeps it with the rest of the app. */
const loadNetwork = async (): Promise<Network> => (await import('../network.js')).network

const world: ClientWorld = {
  clock: { now: () => Date.now() },
  random: { uint32: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0 },
  monotonicMs: () => performance.now(),
  defer: (run) => queueMicrotask(run),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
  dial,
  get,
  isMetered: () => isMetered(navigator),
  report: (thrown) => reportError(thrown),
}

/** Only some browsers say so. */
function isMetered(of: Navigator & { readonly connection?: { readonly saveData?: boolean; readonly type?: string } }): boolean {
  return of.connection?.saveData === true || of.connection?.type === 'cellular'
}
