/** The end of a document's copy on this device. */

import { mutableVersion } from '@meridian/core/version'
import type { ClientDocument } from './document.js'
import { unqueue } from './edits.js'
import type { Shared } from './sync-state.js'

/** RES7: the copy goes, and with it whatever was not pushed. */
export function erase(sync: Shared, document: ClientDocument, life: number): void {
  for (const item of document.items.values()) unqueue(sync, document, item, 'refused')
  document.items.clear()
  document.keptCount = 0
  document.refusedCount = 0
  document.heldCount = 0
  document.edits = []
  document.log.clear()
  document.snapshots.clear()
  document.logBytes = 0
  document.snapshotBytes = 0
  document.halted = undefined
  document.cursor = mutableVersion()
  document.link = { kind: 'erased', life }
  sync.journal.erase(document)
  sync.effects.erased(document.name)
}
