/** One note: its state and people on top, what somebody should know below that, and the text. */

import type { Handle, Store, StoreStatus } from '@meridian/client'
import { useDocument, useStatus } from '@meridian/client/react'
import { useEffect, useReducer } from 'react'
import type { Notice, Remedy } from './advice.js'
import { person } from './device.js'
import { Editor } from './editor.js'
import { BackIcon, TrashIcon } from './icons.js'
import { documentName, indexOf, type NoteSummary, writeNote } from './notes-index.js'
import { NoticeBar } from './notice-bar.js'
import { People } from './people.js'
import { navigate } from './route.js'
import { SaveBadge } from './save-badge.js'
import { type SaveState, saveStateOf } from './save-state.js'
import type { Shelf } from './shelves.js'
import { useReady } from './use-ready.js'
import { useSummary } from './use-summary.js'
import { userOf } from './user.js'

interface NotePageProps {
  readonly store: Store
  readonly index: Handle
  readonly shelf: Shelf
  readonly id: string
  /** Undefined if the list does not have it, any more or yet. */
  readonly summary: NoteSummary | undefined
  readonly takesFocus: boolean
  readonly onRemove: (note: NoteSummary) => void
  readonly onPerson: () => void
  readonly onSignIn: () => void
}

export function NotePage({ store, index, shelf, id, summary, takesFocus, onRemove, onSignIn }: NotePageProps) {
  const handle = useDocument(store, documentName(shelf, id))
  const origin = useReady(handle)
  const storeStatus = useStatus(store)
  const state = saveStateOf(storeStatus, useStatus(handle))
  const [, showAgain] = useReducer((count: number) => count + 1, 0)
  const me = person.use()
  useSummary(index, handle, id)

  useEffect(() => {
    document.title = summary?.title ? `${summary.title} · Meridian Notes` : 'Meridian Notes'
    return () => {
      document.title = 'Meridian Notes'
    }
  }, [summary?.title])

  useEffect(() => handle?.presence.set({ ...handle.presence.local, user: userOf(me) }), [handle, me])

  const mend = (remedy: Remedy): void => {
    if (remedy === 'sign-in') onSignIn()
    else if (remedy === 'dismiss') {
      dismissed.add(storeStatus.storage)
      showAgain()
    } else store.reconnect()
  }

  const notice = shown(state.notice, storeStatus)

  return (
    <article className="note" aria-label={summary?.title || 'Untitled note'}>
      <header className="note-head">
        <button
          type="button"
          className="button plain back"
          aria-label="All notes"
          onClick={() => navigate({ shelf, id: undefined })}
        >
          <BackIcon />
        </button>
        <SaveBadge state={state} />
        <span className="space" />
        {handle === undefined ? null : <People handle={handle} />}
        <button
          type="button"
          className="button plain"
          aria-label="Delete this note"
          title="Delete this note"
          disabled={summary === undefined}
          onClick={() => summary !== undefined && onRemove(summary)}
        >
          <TrashIcon />
        </button>
      </header>
      {notice === undefined ? null : <NoticeBar kind={state.kind} notice={notice} onRemedy={mend} />}
      <Missing
        state={state}
        index={index}
        id={id}
        summary={summary}
        isHere={origin !== 'nowhere'}
        isRead={origin !== undefined}
      />
      {handle === undefined || origin === undefined ? (
        <Ghost />
      ) : (
        <Editor handle={handle} isReadOnly={isReadOnly(state)} takesFocus={takesFocus} />
      )}
    </article>
  )
}

/** What somebody has read is not said again, in any note, until it happens again: a status is the same object until then. */
const dismissed = new WeakSet<object>()

const shown = (notice: Notice | undefined, { storage }: StoreStatus): Notice | undefined =>
  notice?.remedy === 'dismiss' && dismissed.has(storage) ? undefined : notice

const isReadOnly = (state: SaveState): boolean => state.kind === 'saved' && state.label === 'Read only'

interface MissingProps {
  readonly state: SaveState
  readonly index: Handle
  readonly id: string
  readonly summary: NoteSummary | undefined
  readonly isHere: boolean
  readonly isRead: boolean
}

/** A note whose text is not on this device yet, or that somebody has deleted. */
function Missing({ state, index, id, summary, isHere, isRead }: MissingProps) {
  const indexStatus = useStatus(index)
  if (!isRead || state.notice !== undefined) return null
  if (state.kind === 'offline' && !isHere && summary?.title)
    return (
      <NoticeBar
        kind="offline"
        notice={{
          title: 'This note is not on this device yet',
          text: 'It comes as soon as the node is there. What you write now is merged with it.',
          remedy: 'retry',
        }}
      />
    )
  if (summary === undefined && indexStatus.kind === 'current')
    return (
      <NoticeBar
        kind="refused"
        notice={{ title: 'This note was deleted', text: 'It is in nobody’s list any more.', remedy: undefined }}
        action={{
          label: 'Put it back',
          run: () => writeNote(indexOf(index), { id, title: '', preview: '', updatedMs: Date.now() }),
        }}
      />
    )
  return null
}

/** Shown only if the text takes longer than anybody would notice. */
function Ghost() {
  return (
    <div className="ghost-note" aria-busy="true">
      <p className="unseen">Opening the note</p>
      {['45%', '92%', '86%', '60%'].map((width) => (
        <span key={width} style={{ width }} aria-hidden="true" />
      ))}
    </div>
  )
}
