/** What somebody should know and can do something about, across the note. */

import type { Notice, Remedy } from './advice.js'
import { CloudOffIcon, FullIcon, WarningIcon } from './icons.js'
import type { SaveKind } from './save-state.js'

interface NoticeBarProps {
  readonly kind: SaveKind
  readonly notice: Notice
  readonly onRemedy?: (remedy: Remedy) => void
  /** Another thing to do than a remedy. */
  readonly action?: { readonly label: string; readonly run: () => void }
}

const labels: Readonly<Record<Remedy, string>> = { 'sign-in': 'Sign in', retry: 'Try again', dismiss: 'Got it' }

export function NoticeBar({ kind, notice, onRemedy, action }: NoticeBarProps) {
  const Icon = kind === 'full' ? FullIcon : kind === 'offline' ? CloudOffIcon : WarningIcon
  const { remedy } = notice
  const button =
    action ??
    (remedy === undefined || onRemedy === undefined ? undefined : { label: labels[remedy], run: () => onRemedy(remedy) })
  return (
    <div className="notice" data-kind={kind} role="alert">
      <Icon />
      <p>
        <strong>{notice.title}.</strong> {notice.text}
      </p>
      {button === undefined ? null : (
        <button type="button" className="button" onClick={button.run}>
          {button.label}
        </button>
      )}
    </div>
  )
}
