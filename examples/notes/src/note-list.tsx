/** The list: search, a new note, what there is, and at its foot who one is and whether the node is there. */

import type { Handle } from '@meridian/client'
import { useStatus } from '@meridian/client/react'
import { type KeyboardEvent, type RefObject, useDeferredValue, useState } from 'react'
import { Avatar } from './avatar.js'
import { person } from './device.js'
import { PlusIcon, SearchIcon } from './icons.js'
import { Mark } from './mark.js'
import { type NoteSummary, searchNotes } from './notes-index.js'
import { hrefOf, navigate } from './route.js'
import { useStore } from './session.js'
import { type Shelf, useShelves } from './shelves.js'
import type { Notes } from './use-notes.js'
import { whenText } from './when.js'

interface NoteListProps {
  readonly notes: Notes
  readonly index: Handle | undefined
  readonly shelf: Shelf
  readonly openId: string | undefined
  readonly searchRef: RefObject<HTMLInputElement | null>
  readonly onCreate: () => void
  readonly onPerson: () => void
  readonly onSignIn: () => void
}

export function NoteList({ notes, index, shelf, openId, searchRef, onCreate, onPerson, onSignIn }: NoteListProps) {
  const [query, setQuery] = useState('')
  const found = searchNotes(notes.list, useDeferredValue(query))
  return (
    <nav className="list" aria-label="Notes">
      <header className="list-head">
        <h1 className="brand">
          <Mark size={26} />
          Notes
        </h1>
        <button type="button" className="button primary" onClick={onCreate} title="New note (Alt+N)" aria-keyshortcuts="Alt+N">
          <PlusIcon />
          New
        </button>
      </header>
      <div className="search">
        <SearchIcon />
        <input
          ref={searchRef}
          type="search"
          aria-label="Search notes"
          aria-keyshortcuts="Control+K"
          placeholder="Search"
          autoComplete="off"
          spellCheck={false}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'ArrowDown') focusRow(event, 0)
            if (event.key === 'Escape') setQuery('')
          }}
        />
      </div>
      <ShelfChoice chosen={shelf} />
      <Elsewhere shelf={shelf} index={index} />
      <Rows notes={notes} index={index} found={found} shelf={shelf} openId={openId} query={query} />
      <footer className="list-foot">
        <Me onPerson={onPerson} />
        <ConnectionLine onSignIn={onSignIn} />
      </footer>
    </nav>
  )
}

/** Where notes are kept: one choice for the list and for the notes that are begun there. */
function ShelfChoice({ chosen }: { readonly chosen: Shelf }) {
  const offered = useShelves()
  if (offered.length < 2) return null
  return (
    <fieldset className="shelves">
      <legend className="unseen">Where notes are kept</legend>
      {offered.map((shelf) => (
        <button
          key={shelf.path}
          type="button"
          aria-pressed={shelf.path === chosen.path}
          title={shelf.hint}
          onClick={() => navigate({ shelf, id: undefined })}
        >
          {shelf.label}
        </button>
      ))}
    </fieldset>
  )
}

/** Why the list of a shelf does not come, where a policy is why. */
function Elsewhere({ shelf, index }: { readonly shelf: Shelf; readonly index: Handle | undefined }) {
  const status = useStatus(index)
  const isElsewhere = status?.kind === 'redirected' || (status?.kind === 'refused' && status.code === 'NOT_PLACED_HERE')
  if (!isElsewhere) return null
  return (
    <p className="elsewhere" role="status">
      {shelf.hint}. The region that this app is connected to may not have these notes, and none that may can be reached now.
    </p>
  )
}

interface RowsProps {
  readonly notes: Notes
  readonly index: Handle | undefined
  readonly found: readonly NoteSummary[]
  readonly shelf: Shelf
  readonly openId: string | undefined
  readonly query: string
}

function Rows({ notes, index, found, shelf, openId, query }: RowsProps) {
  const status = useStatus(index)
  if (!notes.isReady && notes.list.length === 0)
    return (
      <div className="rows" aria-busy="true">
        {['72%', '54%', '64%'].map((width) => (
          <div key={width} className="row ghost" aria-hidden="true">
            <span style={{ width }} />
            <span style={{ width: '85%' }} />
          </div>
        ))}
        <p className="unseen">Loading notes</p>
      </div>
    )
  if (found.length === 0) return <p className="rows-empty">{emptiness(query.trim(), status?.kind === 'current')}</p>
  return (
    <ul className="rows">
      {found.map((note, position) => (
        <li key={note.id}>
          <a
            className="row"
            href={hrefOf({ shelf, id: note.id })}
            aria-current={note.id === openId ? 'page' : undefined}
            onClick={(event) => {
              if (event.metaKey || event.ctrlKey || event.shiftKey) return
              event.preventDefault()
              navigate({ shelf, id: note.id })
            }}
            onKeyDown={(event) => {
              if (event.key === 'ArrowDown') focusRow(event, position + 1)
              if (event.key === 'ArrowUp') focusRow(event, position - 1)
            }}
          >
            <span className="row-title" data-untitled={note.title === '' || undefined}>
              {note.title || 'Untitled'}
            </span>
            <span className="row-line">
              <time dateTime={new Date(note.updatedMs).toISOString()}>{whenText(note.updatedMs, Date.now())}</time>
              <span className="row-preview">{note.preview || 'No more text'}</span>
            </span>
          </a>
        </li>
      ))}
    </ul>
  )
}

/** @param isAll whether the device has all that there is */
function emptiness(query: string, isAll: boolean): string {
  if (query !== '') return `Nothing found for “${query}”. Try fewer words.`
  return isAll ? 'No notes yet.' : 'None on this device.'
}

/** Arrow keys walk the list from the search on; above the first row stands the search again. */
function focusRow(event: KeyboardEvent, position: number): void {
  const list = event.currentTarget.closest('.list')
  const target = position < 0 ? list?.querySelector<HTMLElement>('input') : list?.querySelectorAll<HTMLElement>('a.row')[position]
  if (target === undefined || target === null) return
  event.preventDefault()
  target.focus()
}

function Me({ onPerson }: { readonly onPerson: () => void }) {
  const me = person.use()
  return (
    <button type="button" className="me" onClick={onPerson} aria-label={`You are ${me.name}. Change name, colour and appearance`}>
      <Avatar name={me.name} color={me.color} />
      <span>{me.name}</span>
    </button>
  )
}

function ConnectionLine({ onSignIn }: { readonly onSignIn: () => void }) {
  const store = useStore()
  const { connection } = useStatus(store)
  switch (connection.kind) {
    case 'online':
      return (
        <p className="connection" data-kind="online">
          Online · {connection.region}
        </p>
      )
    case 'refused':
      return (
        <button type="button" className="connection link" data-kind="refused" onClick={onSignIn}>
          Sign in
        </button>
      )
    case 'idle':
    case 'connecting':
      return (
        <p className="connection" data-kind="connecting">
          {connection.kind === 'connecting' && connection.region !== undefined ? `Moving to ${connection.region}` : 'Connecting'}
        </p>
      )
    default:
      return (
        <button
          type="button"
          className="connection link"
          data-kind="offline"
          onClick={() => store.reconnect()}
          title="Try to connect now"
        >
          Offline
        </button>
      )
  }
}
