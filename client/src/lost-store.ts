/**
 * The device's store was lost while it was open, and there is an empty one in its place: what this opening holds is written there anew.
 *
 * - SES1 A cursor is written again only together with the copy that it claims.
 * - SES2 An edit that lives in memory is written again, under its old name.
 */

import { mutableVersion } from '@meridian/core/version'
import type { ClientDocument } from './document.js'
import { takeEdits } from './edits.js'
import type { Shared, SyncRoot } from './sync-state.js'
import { lineOf } from './sync-state.js'
import { settle } from './turn.js'

/**
 * Everything that this opening holds. Documents of which it holds no copy begin anew, so that the region sends them whole. Of edits the
 * leader writes all but those that another tab has still to write itself, and each other tab its own.
 */
export function writeAnew(sync: SyncRoot): void {
  sync.anewCount++
  takeEdits(sync)
  for (const document of sync.documents.values()) writeDocumentAnew(sync, document)
  sync.journal.tokensAnew()
  for (const line of sync.lines) line.attach(sync.documents.values())
  settle(sync)
}

export function writeDocumentAnew(sync: Shared, document: ClientDocument): void {
  if (document.link.kind === 'erased') return
  const state = sync.effects.snapshot(document.name)
  if (state === undefined && document.link.kind !== 'loading') {
    document.cursor = mutableVersion()
    lineOf(sync, document)?.detach(document)
  }
  sync.journal.anew(document, state, (item) => {
    const isOurs = item.record.opening === sync.options.opening || (sync.leads && !item.isHeld)
    // Whoever leads may not know of it, if the tab that made it is gone: it is told, and this tab writes it should it lead.
    if (!isOurs && !item.isHeld) item.isUnwritten = true
    return isOurs
  })
  if (sync.leads && document.life > 0) sync.journal.headChanged(document)
  sync.changed.add(document)
}

/** That tab is gone: what it had said to be on the device may have been so before the store was lost, and nobody else wrote it. */
export function distrust(sync: SyncRoot, opening: string): void {
  if (sync.anewCount === 0) return
  for (const document of sync.documents.values())
    if ([...document.log.values()].some((record) => record.opening === opening)) writeDocumentAnew(sync, document)
  for (const line of sync.lines) line.attach(sync.documents.values())
  settle(sync)
}
