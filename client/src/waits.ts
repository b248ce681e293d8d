/** Waits of a line that end by themselves: of groups and documents whose pushes or attaches were refused for a while. */

import { attachLoaded } from './attaching.js'
import { earliest } from './earliest.js'
import type { SyncState } from './sync-state.js'

/** Ends waits that are over, and says when the next one is. */
export function retry(sync: SyncState, nowMs: number): number | undefined {
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
