/**
 * The list of notes of a shelf: a document of its own, such as `notes/index`, that holds a map from the id of a note to what the list shows of it. Two devices
 * that rename one note end with one of both titles; one that writes in a note which another deletes brings it back, because a
 * deletion that somebody has not seen should not take their work.
 */

import type { Handle } from '@meridian/client'
import type * as Y from 'yjs'
import type { Shelf } from './shelves.js'

export const indexName = ({ collection }: Shelf): string => `${collection}/index`
export const documentName = ({ collection }: Shelf, id: string): string => `${collection}/${id}`

export interface NoteSummary {
  readonly id: string
  /** Empty until there is a first line. */
  readonly title: string
  /** The beginning of what follows the first line. */
  readonly preview: string
  /** Milliseconds since 1970 on the clock of whoever wrote last: for the order of the list and nothing else. */
  readonly updatedMs: number
}

export type NoteIndex = Y.Map<unknown>

export const indexOf = (handle: Handle): NoteIndex => handle.ydoc.getMap('notes')

/** Newest first. What no version of this app wrote is left out. */
export function listNotes(index: NoteIndex): NoteSummary[] {
  const notes: NoteSummary[] = []
  for (const [id, value] of index.entries()) {
    const note = readSummary(id, value)
    if (note !== undefined) notes.push(note)
  }
  return notes.sort((a, b) => b.updatedMs - a.updatedMs || (a.id < b.id ? -1 : 1))
}

function readSummary(id: string, value: unknown): NoteSummary | undefined {
  if (typeof value !== 'object' || value === null || !isNoteId(id)) return undefined
  const { title, preview, updatedMs }: Partial<Record<string, unknown>> = { ...value }
  if (typeof title !== 'string' || typeof updatedMs !== 'number') return undefined
  return { id, title, preview: typeof preview === 'string' ? preview : '', updatedMs }
}

export function writeNote(index: NoteIndex, { id, title, preview, updatedMs }: NoteSummary): void {
  index.set(id, { title, preview, updatedMs })
}

/** Every word of the query, anywhere in title or preview. */
export function searchNotes(notes: readonly NoteSummary[], query: string): readonly NoteSummary[] {
  const words = fold(query).split(/\s+/).filter(Boolean)
  if (words.length === 0) return notes
  return notes.filter((note) => {
    const text = fold(`${note.title} ${note.preview}`)
    return words.every((word) => text.includes(word))
  })
}

/** Without case and accents: nobody types those into a search. */
const fold = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()

const titleLengthMax = 120
const previewLengthMax = 140

/** What the list shows of a note's text: its first line that has words, and the beginning of the rest, without marks of Markdown. */
export function summarize(text: string): Pick<NoteSummary, 'title' | 'preview'> {
  const lines = text.slice(0, 4_000).split('\n').map(plain).filter(Boolean)
  const [title = '', ...rest] = lines
  return { title: cut(title, titleLengthMax), preview: cut(rest.join(' · '), previewLengthMax) }
}

const plain = (line: string): string =>
  line
    .replace(/^\s*(?:#{1,6}\s+|>\s?|[-*+]\s+(?:\[[ xX]\]\s+)?|\d+[.)]\s+|```.*$)/, '')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/(\*\*|__|~~|`)(.+?)\1/g, '$2')
    .trim()

const cut = (text: string, length: number): string => (text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`)

const idPattern = /^[a-z2-7]{16}$/
export const isNoteId = (id: string): boolean => idPattern.test(id)

/** 80 random bits: nobody guesses the address of a note, and two devices never choose the same one. */
export function newNoteId(): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => alphabet[byte % 32] ?? 'a').join('')
}
