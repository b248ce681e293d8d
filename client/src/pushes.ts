/** Edits on their way to the region: which may go when, and how long an answer is waited for. */

import { encodeClientFrame, encodePush } from '@meridian/core/wires/native/client-frames'
import { setAside } from './edits.js'
import type { OutboxItem } from './outbox-item.js'
import { greetingBytesMax } from './outgoing.js'
import type { SyncState } from './sync-state.js'

export function pump(sync: SyncState, nowMs: number): void {
  const { phase } = sync.connection
  if (phase !== 'online' && phase !== 'greeting') return
  const windowBytes = sync.session.welcome?.unackedBytesMax ?? greetingBytesMax / 2
  const tooLarge: OutboxItem[] = []
  const anyStopped = sync.session.isStopped || [...sync.session.groups.values()].some((group) => group.stopped)
  sync.outbox.pump(
    windowBytes,
    (item) => {
      const document = sync.documents.get(item.document)
      // RES5: a document that no region has answered for yet may be one that this region may not have.
      if (document?.group === undefined && sync.locator.isFree) return 'pass'
      if (document?.channel === undefined || document.needs !== 'nothing' || document.halted !== undefined) return 'pass'
      if (document.heldCount > 0) return 'pass'
      if (document.blockedUntilMs !== undefined && document.blockedUntilMs > nowMs) return 'pass'
      const group = document.attachment?.group
      // Behind an attach pushes go blindly, but not into what may be a group that drops them.
      if (group === undefined && anyStopped) return 'pass'
      if (group?.blockedUntilMs !== undefined && group.blockedUntilMs > nowMs) return 'pass'
      // Before the welcome only what surely fits.
      if (sync.session.welcome === undefined) return item.payload.length <= windowBytes ? 'send' : 'stop'
      if (item.payload.length <= sync.session.welcome.updateBytesMax) return 'send'
      tooLarge.push(item)
      return 'pass'
    },
    (item) => push(sync, item),
  )
  for (const item of tooLarge) {
    const document = sync.documents.get(item.document)
    if (document !== undefined) setAside(sync, document, item, 'UPDATE_TOO_LARGE')
  }
}

/** [hot] */
function push(sync: SyncState, item: OutboxItem): void {
  const document = sync.documents.get(item.document)
  const channel = document?.channel
  if (channel === undefined) return
  const group = document?.attachment?.group
  if (group?.stopped === true) {
    group.stopped = false
    sync.out.push(encodeClientFrame({ type: 'resume', channel, counter: item.counter }))
  }
  sync.out.push(encodePush(channel, item.counter, item.payload))
}

/** A node that neither saves nor refuses is as good as gone: another connection may find it better, and costs no edit. */
export function watch(sync: SyncState, nowMs: number): number | undefined {
  if (sync.connection.phase !== 'online' || !sync.outbox.isWaiting) {
    sync.progressMs = nowMs
    return undefined
  }
  const dueMs = sync.progressMs + ackTimeoutMs
  if (nowMs < dueMs) return dueMs
  sync.connection.receive({ type: 'lost', socket: sync.connection.socket, code: 'TIMEOUT' })
  return undefined
}

/**
 * CLI3: a region that is cut off without a word is noticed within seconds where there is another one to go to, sooner while edits wait for
 * it. Asked only when nothing at all has come for a while.
 */
export function listen(sync: SyncState, nowMs: number): number | undefined {
  if (sync.connection.phase !== 'online' || !sync.locator.isFree) return undefined
  const { isWaiting } = sync.outbox
  if (sync.askedMs > sync.heardMs || (!isWaiting && sync.carrier.isMetered())) return undefined
  const { slowness } = sync.locator
  const dueMs = isWaiting
    ? Math.max(sync.heardMs, sync.progressMs) + waitingQuietMs * slowness
    : sync.heardMs + idleQuietMs * slowness
  if (nowMs < dueMs) return dueMs
  sync.askedMs = nowMs
  sync.connection.receive({ type: 'probe', timeoutMs: quietAnswerMs * slowness })
  return undefined
}

/** Milliseconds of silence after which a region is asked whether it is there, while it owes an answer and while not; and that it then has. */
const waitingQuietMs = 1_500
const idleQuietMs = 6_000
const quietAnswerMs = 2_500

/** Milliseconds without an ack or a refusal of what was pushed; the node answers each push within a few seconds, or is stuck. */
const ackTimeoutMs = 60_000
