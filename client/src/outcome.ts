/** What `saved()` of a handle is told: CLI2 `saved` only after the ack of every item that holds the edit. */

import type { DocumentName } from '@meridian/core/ids'
import type { Shared, SyncState } from './sync-state.js'
import { connectionStatus } from './sync-state.js'
import type { Outcome } from './wanted.js'

/** What became of the edits of a document up to an age. @param line whose connection counts; default the first one. */
export function outcomeOf(sync: Shared, name: DocumentName, age: number, line?: SyncState): Outcome {
  const document = sync.documents.get(name)
  if (document === undefined) return 'CLOSED'
  if (document.link.kind === 'erased') return 'ERASED'
  let pending = false
  for (const item of document.items.values()) {
    if (item.age > age) break
    if (item.state === 'refused') return item.code ?? 'INTERNAL'
    if (item.state === 'kept') continue
    pending = true
    if (document.refusedCount === 0) break
  }
  if (!pending) return 'saved'
  if (document.halted !== undefined) return document.halted
  if (document.link.kind === 'refused') return document.link.code
  const { mirror } = document
  if (mirror?.kind === 'refused' && document.refusedCount === 0) return mirror.code
  const status = connectionStatus(sync, line)
  if (status.kind === 'refused') return status.code
  return status.kind === 'closed' ? 'CLOSED' : 'pending'
}
