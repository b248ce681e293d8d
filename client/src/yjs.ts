/** The little that a client needs to do with updates of Yjs beside its live documents. */

import * as Y from 'yjs'

/** Updates merged at once; the cost of one merge grows with the square of their number. */
const mergeCountMax = 64
/** Bytes of one merged update, so that one push never holds up what stands behind it for long. */
const mergeBytesMax = 64 * 1024

/** Updates of one document, made one after the other, as fewer: a burst of edits is one push. */
export function coalesce(updates: readonly Uint8Array[]): Uint8Array[] {
  const result: Uint8Array[] = []
  let run: Uint8Array[] = []
  let bytes = 0
  const end = (): void => {
    const [only] = run
    if (only !== undefined) result.push(run.length === 1 ? only : Y.mergeUpdates(run))
    run = []
    bytes = 0
  }
  for (const update of updates) {
    if (run.length === mergeCountMax || bytes + update.length > mergeBytesMax) end()
    run.push(update)
    bytes += update.length
  }
  end()
  return result
}

/** What a document shows, as one update: without what was applied before what it builds on, which no region could take either. */
export function shownState(doc: Y.Doc): Uint8Array {
  const { store } = doc
  const { pendingStructs, pendingDs } = store
  store.pendingStructs = null
  store.pendingDs = null
  try {
    return Y.encodeStateAsUpdate(doc)
  } finally {
    store.pendingStructs = pendingStructs
    store.pendingDs = pendingDs
  }
}

/** One update that stands for all that `updates` show; through a document, which is faster and smaller than merging. */
export function stateOf(updates: readonly Uint8Array[]): Uint8Array {
  const doc = scratch()
  for (const update of updates) Y.applyUpdate(doc, update)
  const state = shownState(doc)
  doc.destroy()
  return state
}

/** What `local` holds and `held` does not, deletions included; undefined if nothing. */
export function difference(local: Uint8Array, held: readonly Uint8Array[]): Uint8Array | undefined {
  const doc = scratch()
  for (const update of held) Y.applyUpdate(doc, update)
  const added: Uint8Array[] = []
  // A document tells of each update what was new in it.
  doc.on('update', (update: Uint8Array) => {
    added.push(update)
  })
  Y.applyUpdate(doc, local)
  doc.destroy()
  return added.length === 0 ? undefined : added.length === 1 ? added[0] : Y.mergeUpdates(added)
}

/** It only reads, so its client id names no edit; fixed, so that nothing here is left to chance. */
function scratch(): Y.Doc {
  const doc = new Y.Doc()
  doc.clientID = 0
  return doc
}
