/**
 * Keeps the list's idea of a note in step with its text. Only whoever edits writes it: if everybody did who reads, each edit would
 * be as many edits of the list as there are readers.
 */

import type { Handle } from '@meridian/client'
import { useEffect } from 'react'
import type * as Y from 'yjs'
import { bodyOf } from './body.js'
import { indexOf, listNotes, summarize, writeNote } from './notes-index.js'

/** Milliseconds of rest after an edit: nobody wants each letter of a title in a list, nor an edit of the list for each letter. */
const restMs = 700
/** Milliseconds by which the time of a note may lag while only its later text changes. */
const lagMs = 30_000

export function useSummary(index: Handle, handle: Handle | undefined, id: string): void {
  useEffect(() => {
    if (handle === undefined) return undefined
    const body = bodyOf(handle)
    let timer: ReturnType<typeof setTimeout> | undefined
    const write = (): void => {
      timer = undefined
      const notes = indexOf(index)
      const before = listNotes(notes).find((note) => note.id === id)
      const now = { id, ...summarize(body.toString()), updatedMs: Date.now() }
      const isSame = before?.title === now.title && before.preview === now.preview && now.updatedMs - before.updatedMs < lagMs
      if (!isSame) writeNote(notes, now)
    }
    const changed = (_event: Y.YTextEvent, transaction: Y.Transaction): void => {
      if (!transaction.local) return
      clearTimeout(timer)
      timer = setTimeout(write, restMs)
    }
    body.observe(changed)
    return () => {
      body.unobserve(changed)
      if (timer === undefined) return
      clearTimeout(timer)
      write()
    }
  }, [index, handle, id])
}
