/** The end of a turn: waits that are over, pushes, one batch for the store, one round of messages, and the word that something changed. */

import type { ClientDocument } from './document.js'
import { refuseAll } from './edits.js'
import { earliest } from './earliest.js'
import type { Shared, SyncRoot } from './sync-state.js'
import { connectionStatus, lineOf } from './sync-state.js'

export function settle(sync: SyncRoot): void {
  const nowMs = sync.effects.monotonicMs()
  let dueMs: number | undefined
  for (const line of sync.lines) dueMs = earliest(dueMs, line.work(nowMs))
  for (const document of sync.changed) tidy(sync, document)
  if (sync.leads && sync.places?.isChanged === true) sync.journal.regions(sync.places.encode())
  const batch = sync.journal.take()
  if (batch.length > 0) sync.effects.write(batch)
  for (const line of sync.lines) dueMs = earliest(dueMs, line.sendOut())
  sync.effects.wakeAt(dueMs)
  const changed = [...sync.changed]
  // Edits of a turn that is not over yet keep their document marked.
  sync.changed.clear()
  for (const document of changed) if (document.edits.length > 0) sync.changed.add(document)
  if (sync.told !== connectionStatus(sync)) {
    sync.told = connectionStatus(sync)
    sync.effects.connectionChanged()
  }
  for (const document of changed) sync.effects.documentChanged(document.name)
}

/** Compacts what has grown, and lets go of what nobody needs. */
function tidy(sync: Shared, document: ClientDocument): void {
  if (document.link.kind === 'loading' || document.edits.length > 0) return
  if (document.halted !== undefined) refuseAll(sync, document, document.halted)
  if (sync.leads && document.rescue === undefined) {
    sync.journal.compact(document, sync.options.compactCount ?? compactCountDefault, () => sync.effects.snapshot(document.name))
  }
  if (document.open || document.isBusy) return
  lineOf(sync, document)?.detach(document)
  // Another one may be open under its name by now.
  if (sync.documents.get(document.name) === document) sync.documents.delete(document.name)
}

/** Log records of an open document after which it is compacted. */
const compactCountDefault = 500
