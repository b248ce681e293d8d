/** Where in the app somebody is: on a shelf, or in one of its notes. It stands in the address, so that a note can be bookmarked, sent, and left by "back". */

import { useMemo, useSyncExternalStore } from 'react'
import { isNoteId } from './notes-index.js'
import { anywhere, type Shelf, shelves } from './shelves.js'

export interface Place {
  readonly shelf: Shelf
  /** The note that is open; undefined on the list. */
  readonly id: string | undefined
}

export function useRoute(): Place {
  const path = useSyncExternalStore(subscribe, () => location.pathname)
  return useMemo(() => placeOf(path), [path])
}

export const hrefOf = ({ shelf, id }: Place): string =>
  id !== undefined ? `/${shelf.path}/${id}` : shelf === anywhere ? '/' : `/${shelf.path}`

export function navigate(place: Place, how: 'push' | 'replace' = 'push'): void {
  const href = hrefOf(place)
  if (href === location.pathname) return
  if (how === 'push') history.pushState(null, '', href)
  else history.replaceState(null, '', href)
  for (const listener of listeners) listener()
}

/** Whatever is no address of a note is the list. */
export function placeOf(path: string): Place {
  const [, first, id, ...more] = path.split('/')
  const shelf = shelves.find((one) => one.path === first) ?? anywhere
  const isNote = id !== undefined && isNoteId(id) && more.length === 0 && shelf.path === first
  return { shelf, id: isNote ? id : undefined }
}

const listeners = new Set<() => void>()

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  addEventListener('popstate', listener)
  return () => {
    listeners.delete(listener)
    removeEventListener('popstate', listener)
  }
}
