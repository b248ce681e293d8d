/** The list: search, a new note, what there is, and at its foot who one is and whether the node is there. */

import { useStatus } from '@meridian/client/react'
import { type KeyboardEvent, type RefObject, useDeferredValue, useState } from 'react'
import { Avatar } from './avatar.js'
import { person } from './device.js'
import { PlusIcon, SearchIcon } from './icons.js'
import { Mark } from './mark.js'
import { type NoteSummary, searchNotes } from './notes-index.js'
import { navigate, noteHref } from './route.js'
import { useStore } from './session.js'
import type { Notes } from './use-notes.js'
import { whenText } from './when.js'

interface NoteListProps {
  readonly notes: Notes
  readonly openId: string | undefined
  readonly searchRef: RefObject<HTMLInputElement | null>
  readonly onCreate: () => void
  readonly onPerson: () => void
  readonly onSignIn: () => void
}

export function NoteList({ notes, openId, searchRef, onCreate, onPerson, onSignIn }: NoteListProps) {
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
      <Rows notes={notes} found={found} openId={openId} query={query} />
      <footer className="list-foot">
        <Me onPerson={onPerson} />
        <ConnectionLine onSignIn={onSignIn} />
      </footer>
    </nav>
  )
}

interface RowsProps {
  readonly notes: Notes
  readonly found: readonly NoteSummary[]
  readonly openId: string | undefined
  readonly query: string
}

function Rows({ notes, found, openId, query }: RowsProps) {
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
  if (found.length === 0)
    return (
      <p className="rows-empty">
        {query.trim() === '' ? 'No notes yet.' : `Nothing found for “${query.trim()}”. Try fewer words.`}
      </p>
    )
  return (
    <ul className="rows">
      {found.map((note, position) => (
        <li key={note.id}>
          <a
            className="row"
            href={noteHref(note.id)}
            aria-current={note.id === openId ? 'page' : undefined}
            onClick={(event) => {
              if (event.metaKey || event.ctrlKey || event.shiftKey) return
              event.preventDefault()
              navigate(note.id)
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
