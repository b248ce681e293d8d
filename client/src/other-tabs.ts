/**
 * What the sync machine hears from the other tabs of its browser (`tabs.ts`), and what it tells them: edits that they made, and what
 * became of edits in the outbox of the tab that leads. Only that one has a connection, moves cursors and marks, and compacts.
 */

import type { DocumentName } from '@meridian/core/ids'
import type { ClientDocument } from './document.js'
import { queue, unqueue, unsavedMark } from './edits.js'
import { erase } from './erasing.js'
import type { OutboxItem } from './outbox-item.js'
import { newItem } from './outbox-item.js'
import type { Mark, RecordName } from './records.js'
import { recordText } from './records.js'
import type { ConnectionStatus, DocumentStatus } from './status.js'
import type { Shared, SyncRoot } from './sync-state.js'
import { connecting } from './sync-state.js'
import { settle } from './turn.js'

/**
 * Another tab made an edit. It is shown by whoever has it open, and pushed by whoever leads when the device has it. `settled`: the
 * leader has heard of it before and its outbox has it no more; whoever told of it did not know yet.
 */
export function foreignEdit(
  sync: SyncRoot,
  name: DocumentName,
  record: RecordName,
  payload: Uint8Array,
  isOrphan: boolean,
): 'new' | 'known' | 'settled' {
  const document = sync.documents.get(name)
  if (document === undefined || document.link.kind === 'erased') return 'known'
  const text = recordText(record)
  if (document.log.has(text)) {
    if (sync.leads && document.item(record) === undefined) {
      // Its own tab may have written the mark late.
      sync.journal.unmark(document, record)
      settle(sync)
      return 'settled'
    }
    if (isOrphan) unhold(sync, document, (item) => item === document.item(record), false)
    settle(sync)
    return 'known'
  }
  document.log.set(text, record)
  document.logBytes += payload.length
  const item = newItem(name, sync.journal.nextName().number, record, payload)
  item.isHeld = !isOrphan
  item.isUnwritten = isOrphan
  if (!isOrphan) document.heldCount++
  else if (sync.leads) writeFor(sync, document, item)
  document.items.set(item.age, item)
  queue(sync, document, item)
  sync.changed.add(document)
  settle(sync)
  return 'new'
}

/** The device has the records of another tab up to that number; or it will not, and they are written here. */
export function release(sync: SyncRoot, opening: string, number: number, isDurable: boolean): void {
  for (const document of sync.documents.values()) {
    if (document.heldCount > 0)
      unhold(sync, document, ({ record }) => record.opening === opening && record.number <= number, isDurable)
  }
  settle(sync)
}

function unhold(sync: Shared, document: ClientDocument, isMeant: (item: OutboxItem) => boolean, isDurable: boolean): void {
  for (const item of document.items.values()) {
    if (!item.isHeld || !isMeant(item)) continue
    item.isHeld = false
    document.heldCount--
    item.isUnwritten = !isDurable
    if (sync.leads) writeFor(sync, document, item)
  }
}

/** What the tab that made it will not write. It is said again: who has opened the document since has neither heard of it nor found it on the device. */
export function writeFor(sync: Shared, document: ClientDocument, item: OutboxItem): void {
  if (!item.isUnwritten) return
  item.isUnwritten = false
  sync.effects.made(document.name, item.record, item.payload)
  sync.journal.rewrite(document, item)
  sync.journal.mark(document, item, unsavedMark)
}

/** What the leader's outbox made of an edit. */
export function mirrorMark(sync: SyncRoot, name: DocumentName, record: RecordName, mark: Mark | undefined): void {
  const document = sync.documents.get(name)
  const item = document?.item(record)
  if (sync.leads || document === undefined || item === undefined) return
  if (item.state === 'kept') document.keptCount--
  if (item.state === 'refused') document.refusedCount--
  if (item.isHeld) document.heldCount--
  item.isHeld = false
  item.isUnwritten = false
  switch (mark?.kind) {
    case undefined:
      unqueue(sync, document, item, 'kept')
      document.items.delete(item.age)
      break
    case 'kept':
      unqueue(sync, document, item, 'kept')
      item.dot = mark.dot
      document.keptCount++
      break
    case 'refused':
      unqueue(sync, document, item, 'refused')
      item.code = mark.code
      document.refusedCount++
      break
    case 'unsaved':
      queue(sync, document, item)
      break
  }
  sync.changed.add(document)
  settle(sync)
}

/** What of other openings is on the device and in the outbox, as far as this tab knows. */
export function foundIn(sync: Shared, name: DocumentName): RecordName[] {
  const items = sync.documents.get(name)?.items.values() ?? []
  const others = [...items].filter(({ record }) => record.opening !== sync.options.opening)
  return others.filter(({ isHeld, isUnwritten }) => !isHeld && !isUnwritten).map(({ record }) => record)
}

export function mirrorStatus(sync: SyncRoot, name: DocumentName, status: DocumentStatus): void {
  // It was erased before this tab opened it.
  if (status.kind === 'erased') return mirrorErased(sync, name)
  const document = sync.documents.get(name)
  if (sync.leads || document === undefined) return
  document.mirror = status
  sync.changed.add(document)
  settle(sync)
}

export function mirrorErased(sync: SyncRoot, name: DocumentName): void {
  const document = sync.documents.get(name)
  if (sync.leads || document === undefined || document.link.kind === 'erased') return
  erase(sync, document, document.life)
  sync.changed.add(document)
  settle(sync)
}

export function mirrorConnection(sync: SyncRoot, status: ConnectionStatus): void {
  if (sync.leads) return
  sync.mirrored = status
  if (status.kind !== 'online') for (const document of sync.documents.values()) document.mirror = undefined
  for (const document of sync.documents.values()) sync.changed.add(document)
  settle(sync)
}

/** This tab has the connection from now on. What the device holds by now is to be `loaded` before. */
export function lead(sync: SyncRoot): void {
  sync.leads = true
  sync.mirrored = undefined
  for (const document of sync.documents.values()) {
    document.mirror = undefined
    sync.changed.add(document)
    for (const item of document.items.values()) writeFor(sync, document, item)
  }
  settle(sync)
}

/** Another one has it. */
export function follow(sync: SyncRoot): void {
  for (const line of sync.lines) line.receive({ type: 'stop' })
  sync.leads = false
  sync.mirrored = connecting
  settle(sync)
}

/** What no region has saved of the edits that were made here or that nobody else will tell of, in their order, for a tab that leads. */
export function unsavedEdits(sync: Shared, name?: DocumentName): OutboxItem[] {
  const found: OutboxItem[] = []
  for (const document of sync.documents.values()) {
    if (name !== undefined && document.name !== name) continue
    for (const item of document.items.values())
      if (
        (item.isUnwritten || item.record.opening === sync.options.opening) &&
        (item.state === 'waiting' || item.state === 'sent')
      )
        found.push(item)
  }
  return found.sort((a, b) => a.age - b.age)
}
