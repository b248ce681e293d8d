/** The state of the edits, in plain sight: an icon, a word, and the whole sentence for whoever asks. */

import { useEffect, useId, useRef, useState } from 'react'
import { CheckIcon, CloudOffIcon, FullIcon, SpinnerIcon, WarningIcon } from './icons.js'
import type { SaveKind, SaveState } from './save-state.js'

const icons: Readonly<Record<SaveKind, () => React.JSX.Element>> = {
  loading: SpinnerIcon,
  saving: SpinnerIcon,
  saved: CheckIcon,
  offline: CloudOffIcon,
  refused: WarningIcon,
  full: FullIcon,
}

export function SaveBadge({ state }: { readonly state: SaveState }) {
  const shown = useCalm(state)
  const [isOpen, setOpen] = useState(false)
  const detailId = useId()
  const Icon = icons[shown.kind]
  return (
    <div className="save">
      <button
        type="button"
        className="badge"
        data-kind={shown.kind}
        aria-expanded={isOpen}
        aria-controls={detailId}
        onClick={() => setOpen(!isOpen)}
        onBlur={() => setOpen(false)}
      >
        <Icon />
        {shown.label}
      </button>
      <p id={detailId} className="save-detail" hidden={!isOpen}>
        {shown.detail}
      </p>
      {/* Only what changes what somebody should do is read out; "saved" after each word is not. */}
      <p className="unseen" role="status">
        {shown.kind === 'offline' || shown.kind === 'full' || shown.kind === 'refused' ? shown.detail : ''}
      </p>
    </div>
  )
}

/** Milliseconds that `saving` stays at least, so that the word does not flicker while somebody types. `saved` is never shown early. */
const calmMs = 600

function useCalm(state: SaveState): SaveState {
  const [shown, setShown] = useState(state)
  const sinceMs = useRef(0)
  useEffect(() => {
    const isSaving = state.kind === 'saving'
    if (isSaving) sinceMs.current = performance.now()
    const waitMs = state.kind === 'saved' ? calmMs - (performance.now() - sinceMs.current) : 0
    if (waitMs <= 0) {
      setShown(state)
      return undefined
    }
    const timer = setTimeout(() => setShown(state), waitMs)
    return () => clearTimeout(timer)
  }, [state])
  // Anything but good news is shown in the same turn.
  return state.kind === 'saved' ? shown : state
}
