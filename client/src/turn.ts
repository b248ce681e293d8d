/** The end of a turn: waits that are over, pushes, one batch for the store, one round of messages, and the word that something changed. */

import { attachLoaded, detach } from './attaching.js'
import type { ClientDocument } from './document.js'
import { refuseAll } from './edits.js'
import { listen, pump, watch } from './pushes.js'
import type { SyncRoot, SyncState } from './sync-state.js'
import { connectionStatus, lineOf } from './sync-state.js'

export function settle(sync: SyncRoot): void {
  const nowMs = sync.effects.monotonicMs()
  let dueMs: number | undefined
  for (const line of sync.lines) {
    for (const atMs of [retry(line, nowMs), watch(line, nowMs), listen(line, nowMs), line.locator.dueMs])
      dueMs = earliest(dueMs, atMs)
    pump(line, nowMs)
  }
  for (const document of sync.changed) tidy(lineOf(sync, document), document)
  if (sync.leads && sync.options.places.isChanged) sync.journal.regions(sync.options.places.encode())
  const batch = sync.journal.take()
  if (batch.length > 0) sync.effects.write(batch)
  for (const line of sync.lines) {
    sendOut(line)
    dueMs = earliest(dueMs, line.connection.dueMs)
  }
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

/** Ends waits that are over, and says when the next one is. */
function retry(sync: SyncState, nowMs: number): number | undefined {
  let dueMs: number | undefined
  for (const group of sync.session.groups.values()) {
    if (group.blockedUntilMs !== undefined && group.blockedUntilMs <= nowMs) group.blockedUntilMs = undefined
    dueMs = earliest(dueMs, group.blockedUntilMs)
  }
  for (const document of [...sync.waiters]) {
    if (document.blockedUntilMs !== undefined && document.blockedUntilMs <= nowMs) document.blockedUntilMs = undefined
    if (document.link.kind === 'waiting' && document.link.untilMs <= nowMs) {
      document.link = { kind: 'detached' }
      sync.changed.add(document)
      attachLoaded(sync, [document])
    }
    const untilMs = document.link.kind === 'waiting' ? document.link.untilMs : undefined
    if (document.blockedUntilMs === undefined && untilMs === undefined) sync.waiters.delete(document)
    dueMs = earliest(dueMs, earliest(document.blockedUntilMs, untilMs))
  }
  return dueMs
}

/** Compacts what has grown, and lets go of what nobody needs. */
function tidy(sync: SyncState, document: ClientDocument): void {
  if (document.link.kind === 'loading' || document.edits.length > 0) return
  if (document.halted !== undefined) refuseAll(sync, document, document.halted)
  if (sync.leads && document.rescue === undefined) {
    sync.journal.compact(document, sync.options.compactCount ?? compactCountDefault, () => sync.effects.snapshot(document.name))
  }
  if (document.open || document.isBusy) return
  detach(sync, document)
  sync.waiters.delete(document)
  // Another one may be open under its name by now.
  if (sync.documents.get(document.name) === document) sync.documents.delete(document.name)
}

/** One round of messages. */
export function sendOut(sync: SyncState): void {
  const { phase } = sync.connection
  const messages =
    phase === 'online' && sync.session.welcome !== undefined
      ? sync.out.take(sync.session.welcome.messageBytesMax)
      : phase === 'greeting'
        ? sync.out.takeGreeting()
        : []
  for (const message of messages) sync.effects.send(sync.number, message)
}

/** Log records of an open document after which it is compacted. */
const compactCountDefault = 500

const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)
