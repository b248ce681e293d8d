/**
 * What the region lacks and this device has goes there, from the whole local state.
 *
 * - SES5 A region that lacks what this client had seen gets it from here.
 * - SES2 A region that lacks what an edit builds on gets the whole state instead.
 */

import { includes } from '@meridian/core/version'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { ClientDocument } from './document.js'
import { enqueue, forget, requeue } from './edits.js'
import type { OutboxItem } from './outbox-item.js'
import type { SyncState } from './sync-state.js'
import { difference } from './updates.js'

export function need(sync: SyncState, document: ClientDocument, what: 'rescue' | 'premature'): void {
  const asked = document.needs !== 'nothing'
  if (document.needs !== 'rescue') document.needs = what
  if (!asked) sync.effects.readState(document.name)
}

export function replacePremature(sync: SyncState, document: ClientDocument, state: Uint8Array): void {
  let first: OutboxItem | undefined
  for (const item of document.items.values()) {
    if (item.state !== 'waiting') continue
    if (first === undefined) first = item
    else forget(sync, document, item)
  }
  if (first === undefined) return
  sync.outbox.renew(first)
  first.payload = state
  sync.journal.rewrite(document, first)
}

/** SES5: what this device holds and the region does not, goes to the region; only then does the cursor follow. */
export function rescue(sync: SyncState, document: ClientDocument, state: Uint8Array): void {
  const { rescue, attachment, group } = document
  if (rescue === undefined || attachment === undefined || group === undefined) return
  document.rescue = undefined
  const held = [...rescue.received]
  for (const item of document.items.values()) {
    if (item.state === 'kept' && (item.dot === undefined || !includes(rescue.version, item.dot.replica, item.dot.sequence)))
      requeue(sync, document, item)
    held.push(item.payload)
  }
  const lacking = difference(document.engine, state, held)
  if (lacking !== undefined) enqueue(sync, document, lacking)
  document.cursor = rescue.version
  sync.journal.headChanged(document)
  // Cut down to what this region has shown to hold.
  const token = sync.journal.replaceToken(group, attachment.group.held)
  sync.out.push(encodeClientFrame({ type: 'seen', channel: attachment.channel, seen: token }))
  sync.changed.add(document)
}
