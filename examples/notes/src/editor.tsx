/** The text of a note: CodeMirror, bound to the handle's `Y.Doc` by y-codemirror.next, with the cursors of others and an undo of one's own edits. */

import { defaultKeymap } from '@codemirror/commands'
import { insertNewlineContinueMarkup, markdownLanguage, pasteURLAsLink } from '@codemirror/lang-markdown'
import { Compartment, EditorState } from '@codemirror/state'
import { drawSelection, EditorView, keymap, placeholder } from '@codemirror/view'
import type { Handle } from '@meridian/client'
import { awarenessOf } from '@meridian/client/awareness'
import { useEffect, useRef } from 'react'
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next'
import { UndoManager } from 'yjs'
import { bodyOf } from './body.js'
import { markdownLook } from './markdown-look.js'

interface EditorProps {
  readonly handle: Handle
  readonly isReadOnly: boolean
  readonly takesFocus: boolean
}

const reading = new Compartment()
const readOnly = (isReadOnly: boolean) => [EditorState.readOnly.of(isReadOnly), EditorView.editable.of(!isReadOnly)]

/** Milliseconds within which edits are undone together. */
const captureTimeout = 400

export function Editor({ handle, isReadOnly, takesFocus }: EditorProps) {
  const box = useRef<HTMLDivElement>(null)
  const shown = useRef<EditorView>(undefined)

  useEffect(() => {
    if (box.current === null) return undefined
    const body = bodyOf(handle)
    const undoManager = new UndoManager(body, { captureTimeout })
    const view = new EditorView({
      parent: box.current,
      state: EditorState.create({
        doc: body.toString(),
        extensions: [
          keymap.of([{ key: 'Enter', run: insertNewlineContinueMarkup }, ...yUndoManagerKeymap, ...defaultKeymap]),
          // Without `markdown()`, which brings the languages of HTML, CSS and JavaScript: 70 kB for code that nobody colours here.
          markdownLanguage,
          pasteURLAsLink,
          markdownLook,
          EditorView.lineWrapping,
          drawSelection(),
          placeholder('Begin with a title'),
          // Tab is left to the browser, so that the keyboard leads out of the text again.
          EditorView.contentAttributes.of({
            'aria-label': 'Text of the note',
            spellcheck: 'true',
            autocapitalize: 'sentences',
            autocorrect: 'on',
          }),
          reading.of(readOnly(false)),
          yCollab(body, awarenessOf(handle), { undoManager }),
        ],
      }),
    })
    shown.current = view
    return () => {
      shown.current = undefined
      view.destroy()
      undoManager.destroy()
    }
  }, [handle])

  useEffect(() => shown.current?.dispatch({ effects: reading.reconfigure(readOnly(isReadOnly)) }), [handle, isReadOnly])
  useEffect(() => {
    if (takesFocus) shown.current?.focus()
  }, [handle, takesFocus])

  return <div className="editor" ref={box} />
}
