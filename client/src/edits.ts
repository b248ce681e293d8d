/**
 * What becomes of each edit of this device: in the outbox, kept until more regions have it, set aside because it was refused, forgotten.
 * Each change is written as a mark of the edit's record and told to the other tabs.
 *
 * - CLI1 An edit is on the device only with what it builds on: those of other tabs that these may not have written are written with it.
 * - SES2 An edit stays in the outbox until it is acked, and with its dot until enough regions have it.
 */

import type { ErrorCode } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import type { Dot } from '@meridian/core/version'
import type { ClientDocument, StoredEdit } from './document.js'
import type { OutboxItem } from './outbox-item.js'
import { newItem } from './outbox-item.js'
import type { Mark, RecordName } from './records.js'
import { recordText } from './records.js'
import type { Shared } from './sync-state.js'
import { lineOf } from './sync-state.js'
import { coalesce } from './updates.js'

/** It is to be sent, as soon as there is a line. */
export function queue(sync: Shared, document: ClientDocument, item: OutboxItem): void {
  item.state = 'waiting'
  lineOf(sync, document)?.outbox.add(item)
}

/** It is neither sent nor to be sent any more. */
export function unqueue(sync: Shared, document: ClientDocument, item: OutboxItem, state: 'kept' | 'refused'): void {
  lineOf(sync, document)?.outbox.remove(item)
  item.state = state
}

/** What the app made in this turn becomes items of the outbox. */
export function takeEdits(sync: Shared): void {
  for (const document of sync.changed) {
    if (document.edits.length === 0) continue
    const { edits } = document
    document.edits = []
    for (const update of coalesce(document.engine, edits)) enqueue(sync, document, update)
  }
}

export function enqueue(sync: Shared, document: ClientDocument, payload: Uint8Array): void {
  const record = sync.journal.nextName()
  const item = newItem(document.name, record.number, record, payload)
  for (const other of document.items.values()) {
    if ((!other.isHeld && !other.isUnwritten) || other.isCopied) continue
    other.isCopied = true
    sync.journal.rewrite(document, other)
    sync.journal.mark(document, other, unsavedMark)
  }
  document.items.set(item.age, item)
  sync.journal.log(document, record, payload)
  sync.journal.mark(document, item, unsavedMark)
  sync.effects.made(document.name, record, payload)
  sync.changed.add(document)
  if (document.halted !== undefined) setAside(sync, document, item, document.halted)
  else if (document.attachment?.access === 'read') setAside(sync, document, item, 'WRITE_DENIED')
  else queue(sync, document, item)
}

/** An edit of an earlier opening, found on the device. */
export function foundEdit(sync: Shared, document: ClientDocument, { name, mark, payload }: StoredEdit): void {
  const text = ageText(document.name, name)
  const age = sync.ages.get(text) ?? sync.journal.nextName().number
  sync.ages.delete(text)
  const item = newItem(document.name, age, name, payload)
  document.items.set(age, item)
  if (mark.kind !== 'kept') return queue(sync, document, item)
  item.state = 'kept'
  item.dot = mark.dot
  document.keptCount++
}

function marked(sync: Shared, document: ClientDocument, item: OutboxItem, mark: Mark | undefined): void {
  if (mark === undefined) sync.journal.unmark(document, item.record)
  else sync.journal.mark(document, item, mark)
  sync.effects.marked(document.name, item.record, mark)
}

/** Its region has saved it, but more regions are to have it before it is forgotten. */
export function keep(sync: Shared, document: ClientDocument, item: OutboxItem, dot: Dot | undefined): void {
  unqueue(sync, document, item, 'kept')
  item.dot = dot
  document.keptCount++
  marked(sync, document, item, { kind: 'kept', dot })
}

export function forget(sync: Shared, document: ClientDocument, item: OutboxItem): void {
  if (item.state === 'kept') document.keptCount--
  if (item.state === 'refused') document.refusedCount--
  if (item.isHeld) document.heldCount--
  unqueue(sync, document, item, 'kept')
  document.items.delete(item.age)
  marked(sync, document, item, undefined)
  sync.changed.add(document)
}

export function setAside(sync: Shared, document: ClientDocument, item: OutboxItem, code: ErrorCode): void {
  if (item.state === 'refused') return
  if (item.state === 'kept') document.keptCount--
  unqueue(sync, document, item, 'refused')
  item.code = code
  document.refusedCount++
  marked(sync, document, item, { kind: 'refused', code })
  sync.changed.add(document)
}

export function refuseAll(sync: Shared, document: ClientDocument, code: ErrorCode): void {
  for (const item of document.items.values())
    if (item.state === 'waiting' || item.state === 'sent') setAside(sync, document, item, code)
}

export function requeue(sync: Shared, document: ClientDocument, item: OutboxItem): void {
  if (item.state === 'kept') document.keptCount--
  if (item.state === 'refused') document.refusedCount--
  queue(sync, document, item)
  marked(sync, document, item, unsavedMark)
  sync.changed.add(document)
}

export const unsavedMark: Mark = { kind: 'unsaved' }

export const ageText = (document: DocumentName, record: RecordName): string => `${document} ${recordText(record)}`
