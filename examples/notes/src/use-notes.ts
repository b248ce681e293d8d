/** The list of notes as a component sees it: a new array when the index changes, the same one otherwise. */

import type { Handle } from '@meridian/client'
import { useMemo, useSyncExternalStore } from 'react'
import { indexOf, listNotes, type NoteSummary } from './notes-index.js'
import { useReady } from './use-ready.js'

export interface Notes {
  readonly list: readonly NoteSummary[]
  /** False until there is something to show, from this device or from the node. */
  readonly isReady: boolean
}

const nothing: readonly NoteSummary[] = []

export function useNotes(handle: Handle | undefined): Notes {
  const isReady = useReady(handle) !== undefined
  const source = useMemo(() => observed(handle), [handle])
  const list = useSyncExternalStore(source.subscribe, source.read)
  return { list, isReady }
}

function observed(handle: Handle | undefined) {
  if (handle === undefined) return { subscribe: () => () => undefined, read: () => nothing }
  const index = indexOf(handle)
  let list = listNotes(index)
  return {
    read: () => list,
    subscribe: (listener: () => void) => {
      const changed = (): void => {
        list = listNotes(index)
        listener()
      }
      index.observe(changed)
      // What came between the first look and now.
      changed()
      return () => index.unobserve(changed)
    },
  }
}
