/**
 * What a region sends for documents, taken in order: written, applied, and counted in cursors and session tokens.
 *
 * - SES1 A cursor moves only together with what it claims, in one batch of the store.
 * - CAUSE Documents that are attached at once show what came for their group only when the last of it is current, all in one turn.
 */

import { unreachable } from '@meridian/core/errors'
import type { GroupId } from '@meridian/core/ids'
import type { Dot, MutableVersion, Version } from '@meridian/core/version'
import { include, merge } from '@meridian/core/version'
import type { Arrival, ClientDocument } from './document.js'
import type { LiveGroup } from './live-group.js'
import { need } from './rescue.js'
import type { SyncState } from './sync-state.js'

/** [hot] */
export function arrived(sync: SyncState, handle: number, make: (document: ClientDocument) => Arrival): void {
  const document = sync.session.byHandle.get(handle)
  if (document === undefined) return
  const arrival = make(document)
  if (document.batch === undefined) take(sync, [arrival])
  else document.batch.held.push(arrival)
}

export function current(sync: SyncState, handle: number, version: MutableVersion): void {
  const document = sync.session.byHandle.get(handle)
  if (document?.attachment === undefined) return
  if (document.link.kind === 'receiving') {
    document.link = { ...document.link, kind: 'current' }
    sync.changed.add(document)
  }
  const arrival: Arrival = { kind: 'current', document, version }
  if (document.batch === undefined) return take(sync, [arrival])
  document.batch.held.push(arrival)
  document.batch.pending.delete(document)
  release(sync, document)
}

/** Lets go what is held of groups that nobody of the batch keeps waiting. */
export function release(sync: SyncState, document: ClientDocument): void {
  const { batch } = document
  if (batch === undefined) return
  const waiting = new Set<GroupId | undefined>()
  for (const other of batch.pending) waiting.add(other.group)
  if (waiting.has(undefined)) return
  const ready: Arrival[] = []
  const held: Arrival[] = []
  for (const arrival of batch.held) (waiting.has(arrival.document.group) ? held : ready).push(arrival)
  batch.held = held
  for (const other of sync.documents.values()) {
    if (other.batch !== batch || waiting.has(other.group)) continue
    other.batch = undefined
    sync.changed.add(other)
  }
  take(sync, ready)
}

/** Everything in order and in one turn: written, applied, counted. [hot] */
export function take(sync: SyncState, arrivals: readonly Arrival[]): void {
  let document: ClientDocument | undefined
  let updates: Uint8Array[] = []
  const apply = (): void => {
    if (document !== undefined && updates.length > 0) sync.effects.apply(document.name, updates)
    updates = []
  }
  for (const arrival of arrivals) {
    if (arrival.document.attachment === undefined) continue
    if (arrival.document !== document) apply()
    document = arrival.document
    switch (arrival.kind) {
      case 'data':
        updates.push(arrival.payload)
        sync.journal.log(document, sync.journal.nextName(), arrival.payload)
        sync.changed.add(document)
        document.rescue?.received.push(arrival.payload)
        if (arrival.dot !== undefined) count(sync, document, arrival.dot)
        break
      case 'dot':
        count(sync, document, arrival.dot)
        break
      case 'current':
        merge(document.rescue?.version ?? document.cursor, arrival.version)
        seen(sync, document, arrival.version)
        if (document.rescue !== undefined) need(sync, document, 'rescue')
        break
      default:
        unreachable(arrival)
    }
    if (document.rescue === undefined) sync.journal.headChanged(document)
  }
  apply()
}

/** Something of the document was received: its cursor and the session token hold it. */
function count(sync: SyncState, document: ClientDocument, dot: Dot): void {
  include(document.rescue?.version ?? document.cursor, dot.replica, dot.sequence)
  if (document.attachment !== undefined) seenDot(sync, document.attachment.group, dot)
}

export function seenDot(sync: SyncState, group: LiveGroup, dot: Dot): void {
  sync.journal.seenDot(group.id, dot)
  include(group.held, dot.replica, dot.sequence)
}

function seen(sync: SyncState, { attachment }: ClientDocument, version: Version): void {
  if (attachment === undefined) return
  sync.journal.seen(attachment.group.id, version)
  merge(attachment.group.held, version)
}
