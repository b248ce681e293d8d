/** The whole page: the list beside the note, one of them at a time on a phone. */

import { useDocument, useStatus } from '@meridian/client/react'
import { useEffect, useRef, useState } from 'react'
import { theme } from './device.js'
import { EmptyPane } from './empty-pane.js'
import { NoteList } from './note-list.js'
import { NotePage } from './note-page.js'
import { indexName, indexOf, newNoteId, type NoteSummary, writeNote } from './notes-index.js'
import { PersonDialog } from './person-dialog.js'
import { navigate, useRoute } from './route.js'
import { useStore } from './session.js'
import type { Shelf } from './shelves.js'
import { SignInDialog } from './sign-in-dialog.js'
import { Toast } from './toast.js'
import { takeUpdate, useUpdate } from './update.js'
import { useNotes } from './use-notes.js'

type Dialog = 'person' | 'sign-in' | undefined

export function App() {
  const store = useStore()
  const { shelf, id } = useRoute()
  const index = useDocument(store, indexName(shelf))
  const notes = useNotes(index)
  const hasUpdate = useUpdate()
  const [dialog, setDialog] = useState<Dialog>()
  const [removed, setRemoved] = useState<NoteSummary>()
  /** The note that was made here just now: its editor takes the focus. */
  const [fresh, setFresh] = useState<string>()
  const search = useRef<HTMLInputElement>(null)
  const look = theme.use()

  useEffect(() => {
    document.documentElement.dataset['theme'] = look
  }, [look])

  const create = (): void => {
    if (index === undefined) return
    const note: NoteSummary = { id: newNoteId(), title: '', preview: '', updatedMs: Date.now() }
    writeNote(indexOf(index), note)
    setFresh(note.id)
    navigate({ shelf, id: note.id })
  }

  const remove = (note: NoteSummary): void => {
    if (index === undefined) return
    indexOf(index).delete(note.id)
    setRemoved(note)
    navigate({ shelf, id: undefined }, 'replace')
  }

  const restore = (note: NoteSummary): void => {
    if (index === undefined) return
    writeNote(indexOf(index), note)
    setRemoved(undefined)
    navigate({ shelf, id: note.id })
  }

  useShortcuts({ create, search: () => search.current?.focus() })
  useFirstNote(shelf, id, notes.list)

  return (
    <div className="app" data-view={id === undefined ? 'list' : 'note'}>
      <a className="skip" href="#note">
        Skip to the note
      </a>
      <NoteList
        notes={notes}
        index={index}
        shelf={shelf}
        openId={id}
        searchRef={search}
        onCreate={create}
        onPerson={() => setDialog('person')}
        onSignIn={() => setDialog('sign-in')}
      />
      <main id="note" tabIndex={-1}>
        {id === undefined || index === undefined ? (
          <EmptyPane isLoading={!notes.isReady} isEmpty={notes.list.length === 0} onCreate={create} />
        ) : (
          <NotePage
            key={id}
            store={store}
            index={index}
            shelf={shelf}
            id={id}
            summary={notes.list.find((note) => note.id === id)}
            takesFocus={fresh === id}
            onRemove={remove}
            onPerson={() => setDialog('person')}
            onSignIn={() => setDialog('sign-in')}
          />
        )}
      </main>
      <div className="toasts" role="status">
        {removed === undefined ? null : (
          <Toast key={removed.id} action="Undo" onAction={() => restore(removed)} onEnd={() => setRemoved(undefined)}>
            “{removed.title || 'Untitled'}” deleted
          </Toast>
        )}
        {hasUpdate ? (
          <Toast action="Reload" onAction={takeUpdate}>
            A new version is ready
          </Toast>
        ) : null}
      </div>
      {dialog === 'person' ? <PersonDialog onClose={() => setDialog(undefined)} onSignIn={() => setDialog('sign-in')} /> : null}
      {dialog === 'sign-in' ? <SignInDialog onClose={() => setDialog(undefined)} /> : null}
      <SignInWhenAsked onAsked={() => setDialog('sign-in')} />
    </div>
  )
}

/** A node that asks for a token is answered once by the dialog; who closes it finds it again in the notice above the note. */
function SignInWhenAsked({ onAsked }: { readonly onAsked: () => void }) {
  const { connection } = useStatus(useStore())
  const isAsked = connection.kind === 'refused' && connection.code === 'TOKEN_INVALID'
  const wasAsked = useRef(false)
  useEffect(() => {
    if (!isAsked || wasAsked.current) return
    wasAsked.current = true
    onAsked()
  }, [isAsked, onAsked])
  return null
}

function useShortcuts(run: { readonly create: () => void; readonly search: () => void }): void {
  const latest = useRef(run)
  useEffect(() => {
    latest.current = run
  })
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.altKey && !event.ctrlKey && !event.metaKey && event.code === 'KeyN') latest.current.create()
      else if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.code === 'KeyK')
        latest.current.search()
      else return
      event.preventDefault()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])
}

/** Where there is room for both, the list does not stand beside an empty page: the newest note is opened, once. */
function useFirstNote(shelf: Shelf, id: string | undefined, list: readonly NoteSummary[]): void {
  const isDone = useRef(false)
  const first = list[0]?.id
  useEffect(() => {
    if (isDone.current) return
    if (id === undefined && first === undefined) return
    isDone.current = true
    if (id === undefined && matchMedia('(min-width: 45.01rem)').matches) navigate({ shelf, id: first }, 'replace')
  }, [shelf, id, first])
}
