/** An open document: what comes in any order is shown once it is all there. */

import * as A from '@automerge/automerge'
import { LiveDocument } from '@meridian/client/live'
import { LiveAutomerge } from '@meridian/client/live-automerge'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../sim/random.js'

describe('an open document', () => {
  it('[CLI1] given two people who put things in next to one another, when their updates come out of order, then all is shown', () => {
    // As a device had them: e2 first, which needs e1; e4; then e0, e1, and e3, which needs e2. Alone, Yjs waits for ever.
    const updates = [
      '0101d1ffa2e10800c8f2d0b1a90701f2d0b1a90700017702653200',
      '0101f2d0b1a9070348f2d0b1a90701017702653400',
      '0101f2d0b1a907000801046c697374017702653000',
      '0101f2d0b1a9070148f2d0b1a90700017702653100',
      '0101f2d0b1a90702c8f2d0b1a90701d1ffa2e10800017702653300',
    ].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')))
    const reported: unknown[] = []
    const live = new LiveDocument(
      new SeededRandom(1),
      () => undefined,
      (thrown) => reported.push(thrown),
    )
    live.apply(updates)
    expect(live.ydoc.getArray('list').toArray()).toEqual(['e4', 'e1', 'e3', 'e2', 'e0'])
    expect([live.waitingBytes, reported]).toEqual([0, []])
  })

  it('[CLI1] given a change of Automerge that comes before what it builds on, then the state for the device has it, and a bad one stops nothing', () => {
    const { changes, text } = typedByOne('a', 'b', 'c')
    const reported: unknown[] = []
    const open = (): LiveAutomerge =>
      new LiveAutomerge(
        new SeededRandom(1),
        () => undefined,
        (thrown) => reported.push(thrown),
      )
    const live = open()
    live.isLoaded = true
    live.apply(changes.slice(2))
    expect(live.waitingBytes).toBe(changes[2]?.length)
    // Of no type that there is.
    const bad = changes[0]?.map((byte, at) => (at === 8 ? 9 : byte)) ?? new Uint8Array(0)
    const kept = live.loadedState()
    live.apply([bad, ...changes.slice(0, 2)])
    expect([live.doc['text'], live.waitingBytes, reported.length]).toEqual([text, 0, 1])
    const again = open()
    again.apply([kept ?? new Uint8Array(0), ...changes.slice(0, 2)])
    expect(again.doc['text']).toBe(text)
  })
})

/** Each change as one update. */
function typedByOne(...texts: readonly string[]): { readonly changes: Uint8Array[]; readonly text: string } {
  let doc = A.init<{ text: string }>()
  let text = ''
  for (const one of texts) {
    text += one
    doc = A.change(doc, (draft) => {
      draft.text = text
    })
  }
  return { changes: A.getAllChanges(doc), text }
}
