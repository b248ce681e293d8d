/** What a region does not take, a push or an attach, and when it is tried again. */

import type { ErrorCode } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import type { Refused } from '@meridian/core/wires/native/server-frames'
import { tellWhy } from './acks.js'
import { detachChannel, detachNow } from './attaching.js'
import { backoffMs, refusalBackoff } from './backoff.js'
import { retryOf } from './connection.js'
import type { ClientDocument } from './document.js'
import { setAside } from './edits.js'
import { erase } from './erasing.js'
import type { OutboxItem } from './outbox-item.js'
import { need } from './rescue.js'
import type { SyncState } from './sync-state.js'

export function refused(sync: SyncState, frame: Refused): void {
  // The denial, erase or redirect that took the channel away said what becomes of the push, or the client detached.
  if (frame.code === 'NOT_ATTACHED') return
  // A commit that failed names no channel, so the item goes by its counter, which no other has.
  const item = sync.outbox.find(frame.counter)
  const document = item === undefined ? sync.session.byChannel.get(frame.channel) : sync.documents.get(item.document)
  const group = document?.attachment?.group ?? sync.session.channelGroups.get(frame.channel)
  // That too much waits in front of it says nothing of what waits there.
  if (frame.code !== 'LIMIT_UNACKED') sync.progressMs = sync.effects.monotonicMs()
  // A refusal of what was withdrawn, of a group that cannot be told: every group goes on with new counters, which does no harm.
  for (const live of group === undefined ? sync.session.groups.values() : [group]) live.stopped = true
  if (group === undefined) sync.session.isStopped = true
  // What went out before its document's group was known may be of this one.
  const inGroup = (name: DocumentName): boolean => {
    const other = sync.documents.get(name)?.attachment?.group
    return group === undefined || other === undefined || other === group
  }
  sync.outbox.dropped(frame.counter, inGroup)
  if (document === undefined) return
  sync.changed.add(document)
  const waitMs = (attempt: number): number => {
    return sync.effects.monotonicMs() + backoffMs(attempt, frame.retryAfterMs, sync.effects.random, refusalBackoff)
  }
  switch (frame.code) {
    case 'ERASED':
      return detachNow(sync, document, () => erase(sync, document, document.life))
    case 'PREMATURE':
      return premature(sync, document, item, waitMs)
    case 'DOCUMENT_DAMAGED':
    case 'NOT_PLACED_HERE':
      document.blockedBy = frame.code
      block(sync, document, waitMs(document.attempt++))
      return
    default:
      if (retryOf(frame.code) === 'never') {
        if (item !== undefined) setAside(sync, document, item, frame.code)
      } else if (group !== undefined) {
        tellWhy(sync, group, frame.code)
        group.blockedUntilMs = waitMs(group.attempt++)
      } else block(sync, document, waitMs(document.attempt++))
  }
}

export function denied(sync: SyncState, channel: number, code: ErrorCode, retryAfterMs: number): void {
  detachChannel(sync, channel, (document) => {
    const retry = retryOf(code)
    if (retry === 'never') document.link = { kind: 'refused', code }
    else {
      const untilMs =
        sync.effects.monotonicMs() + backoffMs(document.attempt++, retryAfterMs, sync.effects.random, refusalBackoff)
      document.link = { kind: 'waiting', code, untilMs }
      sync.waiters.add(document)
    }
  })
}

/** The region lacks what the push builds on: it gets the whole local state instead (SES2). */
function premature(
  sync: SyncState,
  document: ClientDocument,
  item: OutboxItem | undefined,
  waitMs: (attempt: number) => number,
): void {
  const aside = [...document.items.values()].find((other) => other.state === 'refused')
  // What is missing was refused for good, and so would be a state that holds it.
  if (aside !== undefined) {
    document.halted = aside.code
    return
  }
  // A whole state that is premature itself lacks something here as well; what is missing may come by another way.
  if (item === undefined || document.attempt > 0) block(sync, document, waitMs(document.attempt))
  document.attempt++
  need(sync, document, 'premature')
}

function block(sync: SyncState, document: ClientDocument, untilMs: number): void {
  document.blockedUntilMs = untilMs
  sync.waiters.add(document)
}
