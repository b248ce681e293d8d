// From the navigation to a document that can be edited, offline: automerge-paper, stored as one large edit and 200 small ones.

import * as Y from 'yjs'
import { atMost } from '../../lib/goals.mjs'
import { prepareTrace, readTrace, TRACE_EDITS } from '../../lib/trace.mjs'

const smallEdits = 200
/** @type {number[] | undefined} */
let paper

function state() {
  if (paper === undefined) {
    const document = new Y.Doc()
    document.transact(() => {
      for (const update of readTrace(prepareTrace(TRACE_EDITS)).updates) Y.applyUpdate(document, update)
    })
    paper = [...Y.encodeStateAsUpdate(document)]
  }
  return paper
}

/** Targets whose browser holds the document already, with its length. @type {Map<string, number>} */
const seeded = new Map()

/** @type {import('../run.mjs').BrowserRow} */
export const row = {
  name: 'open',
  title: 'automerge-paper from the device, offline, until it can be edited',
  cases: () => [{ name: 'a new tab' }],
  figures: [
    { key: 'scriptsMs', label: 'after scripts, ms', digits: 0, ratio: true, goal: atMost(150) },
    { key: 'navigationMs', label: 'after navigation, ms', digits: 0 },
  ],
  notes: ['After scripts: from the last byte of the script, so with its compilation and first run.'],
  only: ({ page }) => page !== undefined,
  async run({ target, open }) {
    let length = seeded.get(target.name)
    if (length === undefined) {
      const tab = await open()
      await tab.call('open', 'paper')
      length = await tab.call('seed', state(), smallEdits)
      if (length < 100_000) throw new Error(`the document has ${length} characters only`)
      await tab.close()
      seeded.set(target.name, length)
    }
    const tab = await open()
    const figures = await tab.call('opening', 'paper', length)
    await tab.close()
    return figures
  },
}
