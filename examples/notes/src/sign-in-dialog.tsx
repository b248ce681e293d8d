/** Takes a token. How somebody gets one is a matter of whoever runs the node; one in development mode asks for none. */

import { type FormEvent, useId, useState } from 'react'
import { Modal } from './modal.js'
import { signIn } from './session.js'

export function SignInDialog({ onClose }: { readonly onClose: () => void }) {
  const [text, setText] = useState('')
  const [problem, setProblem] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const fieldId = useId()
  const hintId = useId()

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    setBusy(true)
    const outcome = await signIn(text.trim())
    setBusy(false)
    setProblem(outcome)
    if (outcome === undefined) onClose()
  }

  return (
    <Modal title="Sign in" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label htmlFor={fieldId}>Token</label>
        <textarea
          id={fieldId}
          className="field token"
          rows={4}
          spellCheck={false}
          autoComplete="off"
          autoCapitalize="off"
          required
          aria-describedby={hintId}
          aria-invalid={problem !== undefined}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <p
          id={hintId}
          className={problem === undefined ? 'hint' : 'hint problem'}
          role={problem === undefined ? undefined : 'alert'}
        >
          {problem ??
            'Paste the token that you were given. It is kept in this browser until you sign out. A node in development mode needs none.'}
        </p>
        <footer>
          <button type="button" className="button" onClick={onClose}>
            Not now
          </button>
          <button type="submit" className="button primary" disabled={isBusy}>
            Sign in
          </button>
        </footer>
      </form>
    </Modal>
  )
}
