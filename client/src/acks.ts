/** What a region says it has: of its own, and of enough regions. */

import type { ErrorCode } from '@meridian/core/errors'
import type { Version } from '@meridian/core/version'
import { includes } from '@meridian/core/version'
import type { Ack } from '@meridian/core/wires/native/server-frames'
import { seenDot, take } from './arrivals.js'
import type { Arrival, ClientDocument } from './document.js'
import { forget, keep } from './edits.js'
import type { LiveGroup } from './live-group.js'
import type { SyncState } from './sync-state.js'
import { onLine } from './sync-state.js'

export function acked(sync: SyncState, ack: Ack): void {
  const group = sync.session.groups.get(ack.group)
  if (group === undefined) return
  group.acked = ack
  group.attempt = 0
  tellWhy(sync, group, undefined)
  sync.progressMs = sync.effects.monotonicMs()
  const dot = ack.sequence === 0 ? undefined : sync.session.dot(ack.replica, ack.sequence)
  const saved = new Set<ClientDocument>()
  for (const item of sync.outbox.acked(ack.counter, (name) => sync.documents.get(name)?.attachment?.group === group)) {
    const document = sync.documents.get(item.document)
    if (document === undefined) continue
    document.attempt = 0
    document.blockedBy = undefined
    saved.add(document)
    sync.changed.add(document)
    if (ack.replicated) forget(sync, document, item)
    else keep(sync, document, item, dot)
  }
  if (dot === undefined) return
  // Own writes are part of what this client has seen, in the stream or not (SES5, read your writes).
  seenDot(sync, group, dot)
  if (!ack.inStream) return
  // Only cursors of documents that wrote: the others got their entries up to this dot as updates.
  for (const document of saved) {
    if (document.link.kind !== 'current') continue
    const arrival: Arrival = { kind: 'dot', document, dot }
    if (document.batch === undefined) take(sync, [arrival])
    else document.batch.held.push(arrival)
  }
}

export function replicated(sync: SyncState, handle: number, version: Version): void {
  const group = sync.session.groups.get(handle)
  if (group === undefined) return
  for (const document of onLine(sync)) {
    if (document.keptCount === 0 || document.group !== group.id) continue
    for (const item of document.items.values()) {
      if (item.state !== 'kept' || (item.dot !== undefined && !includes(version, item.dot.replica, item.dot.sequence))) continue
      forget(sync, document, item)
    }
  }
}

/** Why the group takes no pushes for now, or that it takes them: each of its documents shows it while it has something to push. */
export function tellWhy(sync: SyncState, group: LiveGroup, code: ErrorCode | undefined): void {
  if (group.code === code) return
  group.code = code
  for (const document of sync.documents.values()) if (document.attachment?.group === group) sync.changed.add(document)
}
