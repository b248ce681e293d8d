/** A region's log that says how long its commits take. Everything else goes through as it is. */

import { performance } from 'node:perf_hooks'
import type { RegionLog } from '@meridian/core/log'

export function measuredLog(log: RegionLog, onCommit: (seconds: number) => void): RegionLog {
  return {
    get replica() {
      return log.replica
    },
    get position() {
      return log.position
    },
    append(drafts, done) {
      const startedAt = performance.now()
      log.append(drafts, (outcome) => {
        onCommit((performance.now() - startedAt) / 1000)
        done(outcome)
      })
    },
    openDocument: (document, done) => log.openDocument(document, done),
    openGroup: (group, done) => log.openGroup(group, done),
    lastPush: (group, device, done) => log.lastPush(group, device, done),
    listGroups: (done) => log.listGroups(done),
    listDocuments: (prefix, after, count, done) => log.listDocuments(prefix, after, count, done),
    readDocument: (document, after, limit, done) => log.readDocument(document, after, limit, done),
    readGroup: (group, after, limit, done) => log.readGroup(group, after, limit, done),
    readSnapshot: (document, done) => log.readSnapshot(document, done),
    putSnapshot: (snapshot, options, done) => log.putSnapshot(snapshot, options, done),
    close: (done) => log.close(done),
  }
}
