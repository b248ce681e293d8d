/** What stands where a note would, if none is open. */

import { PlusIcon } from './icons.js'
import { Mark } from './mark.js'

interface EmptyPaneProps {
  readonly isLoading: boolean
  readonly isEmpty: boolean
  readonly onCreate: () => void
}

export function EmptyPane({ isLoading, isEmpty, onCreate }: EmptyPaneProps) {
  if (isLoading) return <div className="pane" aria-busy="true" />
  return (
    <div className="pane">
      <Mark size={72} />
      <h2>{isEmpty ? 'A place for your thoughts' : 'No note is open'}</h2>
      <p>
        {isEmpty
          ? 'Notes live on this device, with or without a network, and are shared with everybody who opens them here.'
          : 'Choose one from the list, or begin a new one.'}
      </p>
      <button type="button" className="button primary" onClick={onCreate}>
        <PlusIcon />
        {isEmpty ? 'Write the first note' : 'New note'}
      </button>
    </div>
  )
}
