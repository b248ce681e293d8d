/** The Automerge engine against the conformance suite, and what is Automerge's own: chunks, checksums, columns, contradictions. */
import * as A from '@automerge/automerge'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inspectLimits } from '@meridian/core/engine'
import { automergeWithContent as engine } from '@meridian/core/engines/automerge-content'
import { codeOf, hex, registerEngineTests } from '../../conformance/engine.js'
import { actorOf, automergeHeads, automergeHistory, automergeReader, shownAutomerge } from './automerge-edits.js'

function typed(text: string, author = 1): Uint8Array[] {
  let doc = A.init<{ text: string }>({ actor: actorOf(author) })
  const changes: Uint8Array[] = []
  for (const [index, character] of [...text].entries()) {
    const heads = A.getHeads(doc)
    doc = A.change(doc, { time: 0 }, (draft) => {
      if (index === 0) draft.text = character
      else A.splice(draft, ['text'], draft.text.length, 0, character)
    })
    changes.push(...A.getChangesSince(doc, heads))
  }
  A.free(doc)
  return changes
}

const [someUpdate = new Uint8Array()] = typed('a')
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

registerEngineTests('automerge', engine, {
  typing: typed,
  history: automergeHistory,
  known: automergeHeads,
  sent: (updates) => Uint8Array.from(Buffer.concat(updates)),
  shown: shownAutomerge,
  garbage: [
    { name: 'no bytes', bytes: new Uint8Array() },
    { name: 'an update of Yjs', bytes: bytes('01 01 01 00 04 01 04 74 65 78 74 01 61 00') },
    { name: 'a whole document', bytes: A.save(automergeReader([someUpdate])) },
    { name: 'a chunk with a wrong checksum', bytes: someUpdate.map((byte, at) => (at === 5 ? byte ^ 1 : byte)) },
    { name: 'the same change twice', bytes: Uint8Array.from([...someUpdate, ...someUpdate]) },
  ],
})
