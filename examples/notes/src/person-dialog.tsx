/** Who others see, and how the app looks here. Everything is taken at once and kept on this device. */

import { useId } from 'react'
import { colors, person, type Theme, theme, token } from './device.js'
import { Modal } from './modal.js'
import { signOut } from './session.js'

const nameLengthMax = 40
const themes: readonly (readonly [Theme, string])[] = [
  ['system', 'As the system'],
  ['light', 'Light'],
  ['dark', 'Dark'],
]

export function PersonDialog({ onClose, onSignIn }: { readonly onClose: () => void; readonly onSignIn: () => void }) {
  const me = person.use()
  const look = theme.use()
  const isSignedIn = token.use() !== ''
  const nameId = useId()
  return (
    <Modal title="You" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          onClose()
        }}
      >
        <label htmlFor={nameId}>Name</label>
        <input
          id={nameId}
          className="field"
          defaultValue={me.name}
          maxLength={nameLengthMax}
          autoComplete="nickname"
          onChange={(event) => {
            const name = event.target.value.trim()
            if (name !== '') person.write({ ...person.read(), name })
          }}
        />
        <p className="hint">Others see it beside your cursor.</p>
        <fieldset>
          <legend>Colour</legend>
          <div className="swatches">
            {colors.map((color, number) => (
              <label key={color.value} className="swatch" title={color.name} style={{ backgroundColor: color.value }}>
                <input
                  type="radio"
                  name="color"
                  aria-label={color.name}
                  checked={me.color === number}
                  onChange={() => person.write({ ...person.read(), color: number })}
                />
              </label>
            ))}
          </div>
        </fieldset>
        <fieldset>
          <legend>Appearance</legend>
          <div className="segments">
            {themes.map(([value, label]) => (
              <label key={value} className="segment">
                <input type="radio" name="theme" checked={look === value} onChange={() => theme.write(value)} />
                <span>{label}</span>
              </label>
            ))}
          </div>
        </fieldset>
        <footer>
          {isSignedIn ? (
            <button
              type="button"
              className="button"
              onClick={() => {
                onClose()
                void signOut()
              }}
            >
              Sign out
            </button>
          ) : (
            <button type="button" className="button" onClick={onSignIn}>
              Sign in with a token
            </button>
          )}
          <button type="submit" className="button primary">
            Done
          </button>
        </footer>
        {isSignedIn ? (
          <p className="hint">Signing out removes your notes from this browser. What was not saved is lost.</p>
        ) : null}
      </form>
    </Modal>
  )
}
