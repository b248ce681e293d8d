/**
 * `@meridian/client/react`: a store in components of React 18 and later.
 *
 * ```tsx
 * const note = useDocument(store, 'notes/42')
 * const status = useStatus(note)
 * const peers = usePresence(note)
 * ```
 *
 * Every snapshot is the object of the client itself, which stays the same until something changes, so that nothing renders for nothing and
 * concurrent rendering never sees two states at once. On a server each hook answers as a client that has not begun: nothing is opened there.
 */

import { useCallback, useSyncExternalStore } from 'react'
import type { Store } from '../client.js'
import type { Handle } from '../handle.js'
import type { Peer, Presence } from '../presence.js'
import { lease, leased } from './leases.js'

/** A store, a handle, or whatever else tells its state so. */
export interface Observable<Status> {
  readonly status: Status
  subscribe(listener: () => void): () => void
}

/**
 * The document while the component is mounted: opened with it, closed after it. All components that ask one store for one name share one
 * handle, which StrictMode and a remount in the same turn do not close; so it is not theirs to close.
 *
 * @param name `collection/key`; undefined for none.
 * @returns undefined in the first render and on a server. The handle comes before the browser has painted twice, ready or not: see `handle.ready`.
 * @throws MeridianError NAME_INVALID, CLOSED into the nearest error boundary.
 */
export function useDocument(store: Store | undefined, name: string | undefined): Handle | undefined {
  const subscribe = useCallback(
    (changed: () => void) => (store === undefined || name === undefined ? nothing : lease(store, name, changed)),
    [store, name],
  )
  const read = (): Handle | undefined => (store === undefined || name === undefined ? undefined : leased(store, name))
  return useSyncExternalStore(subscribe, read, none)
}

/** What a store or a handle says of itself now. */
export function useStatus<Status>(source: Observable<Status>): Status
export function useStatus<Status>(source: Observable<Status> | undefined): Status | undefined
export function useStatus<Status>(source: Observable<Status> | undefined): Status | undefined {
  const subscribe = useCallback((changed: () => void) => source?.subscribe(changed) ?? nothing, [source])
  const read = (): Status | undefined => source?.status
  return useSyncExternalStore(subscribe, read, read)
}

/** Who else is here. What this one says of itself is `handle.presence.set` and `setField`. */
export function usePresence(handle: { readonly presence: Presence } | undefined): ReadonlyMap<number, Peer> {
  const presence = handle?.presence
  const subscribe = useCallback((changed: () => void) => presence?.subscribe(changed) ?? nothing, [presence])
  return useSyncExternalStore(subscribe, () => presence?.peers ?? nobody, alone)
}

const nobody: ReadonlyMap<number, Peer> = new Map()
const alone = (): ReadonlyMap<number, Peer> => nobody
const none = (): undefined => undefined
const nothing = (): void => undefined
