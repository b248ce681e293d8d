/** Where in the app somebody is: the list, or one note. It stands in the address, so that a note can be bookmarked, sent, and left by "back". */

import { useSyncExternalStore } from 'react'
import { isNoteId } from './notes-index.js'

/** The note that is open; undefined on the list. */
export function useRoute(): string | undefined {
  return useSyncExternalStore(subscribe, () => noteOf(location.pathname))
}

export const noteHref = (id: string): string => `/n/${id}`

export function navigate(id: string | undefined, how: 'push' | 'replace' = 'push'): void {
  const href = id === undefined ? '/' : noteHref(id)
  if (href === location.pathname) return
  if (how === 'push') history.pushState(null, '', href)
  else history.replaceState(null, '', href)
  for (const listener of listeners) listener()
}

function noteOf(path: string): string | undefined {
  const id = /^\/n\/([^/]+)$/.exec(path)?.[1]
  return id !== undefined && isNoteId(id) ? id : undefined
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
