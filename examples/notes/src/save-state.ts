/**
 * What the app says about the edits in a note, from what the store and the document say: one word, one sentence, and what to do next.
 * Pure. `saved` is said only where the client says that a region has everything, because people close their laptops when they read it.
 */

import type { DocumentStatus, StoreStatus } from '@meridian/client'
import { adviceOf, losses, type Notice } from './advice.js'

export type SaveKind = 'loading' | 'offline' | 'saving' | 'saved' | 'refused' | 'full'

export interface SaveState {
  readonly kind: SaveKind
  /** One or two words, for the badge. */
  readonly label: string
  /** The whole truth in a sentence, for whoever asks the badge. */
  readonly detail: string
  /** There only if somebody should do something: shown across the note. */
  readonly notice: Notice | undefined
}

export function saveStateOf(store: StoreStatus, document: DocumentStatus | undefined): SaveState {
  const { storage } = store
  const state = stateOf(store, document)
  const isLoss = storage.kind === 'evicted' || storage.kind === 'lost'
  // What keeps somebody from their work comes first.
  return isLoss && state.notice === undefined ? { ...state, notice: losses[storage.kind] } : state
}

function stateOf(store: StoreStatus, document: DocumentStatus | undefined): SaveState {
  const pending = document?.pending ?? 0
  const { connection, storage } = store
  if (storage.kind === 'full' || storage.kind === 'failing') {
    const notice = adviceOf(storage.code) ?? adviceOf('STORE_FAILED')
    return {
      kind: storage.kind === 'full' ? 'full' : 'refused',
      label: storage.kind === 'full' ? 'Device full' : 'Not kept here',
      detail: notice?.title ?? '',
      notice,
    }
  }
  if (connection.kind === 'refused') return refused(connection.code, 'Refused')
  if (document === undefined || document.kind === 'loading')
    return { kind: 'loading', label: 'Opening', detail: 'The note is being read from this device.', notice: undefined }
  switch (document.kind) {
    case 'refused':
      return refused(document.code, 'Refused')
    case 'erased':
      return refused('ERASED', 'Erased')
    case 'waiting':
      if (document.code === 'LOG_FULL') return { ...refused('LOG_FULL', 'Node full'), kind: 'full' }
      // What nobody can do anything about passes by itself.
      return adviceOf(document.code) === undefined ? saving(pending) : refused(document.code, 'Waiting')
    case 'redirected':
      return refused('NOT_PLACED_HERE', 'Elsewhere')
    case 'closed':
    case 'offline':
      return connection.kind === 'connecting' && pending === 0
        ? { kind: 'loading', label: 'Connecting', detail: 'Looking for the node. You can write already.', notice: undefined }
        : offline(pending)
    case 'syncing':
      return pending > 0
        ? saving(pending)
        : { kind: 'saving', label: 'Catching up', detail: 'The node sends what others wrote meanwhile.', notice: undefined }
    case 'current':
      if (pending > 0) return saving(pending)
      if (document.access === 'read')
        return {
          kind: 'saved',
          label: 'Read only',
          detail: 'You may read this note. Ask its owner to let you write.',
          notice: undefined,
        }
      return { kind: 'saved', label: 'Saved', detail: 'The node has every edit on its disk.', notice: undefined }
    default:
      return document satisfies never
  }
}

function refused(code: string, label: string): SaveState {
  const notice = adviceOf(code) ?? { title: 'The node refused this', text: `Its answer was ${code}.`, remedy: 'retry' }
  return { kind: 'refused', label, detail: notice.title, notice }
}

const offline = (pending: number): SaveState => ({
  kind: 'offline',
  label: 'Offline',
  detail:
    pending === 0
      ? 'No connection to the node. Go on writing: your edits are kept on this device and go out by themselves.'
      : `${edits(pending)} kept on this device, and sent as soon as the node is there again.`,
  notice: undefined,
})

const saving = (pending: number): SaveState => ({
  kind: 'saving',
  label: 'Saving',
  detail: `${edits(pending)} on the way to the node, and kept on this device until it has them.`,
  notice: undefined,
})

const edits = (count: number): string => (count === 1 ? 'One edit is' : `${count} edits are`)
