/** A region's log that says how long its commits take. Everything else goes through as it is. */

import { performance } from 'node:perf_hooks'
import type { LinkedLog } from '@meridian/core/log'

export function measuredLog(log: LinkedLog, onCommit: (seconds: number) => void): LinkedLog {
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
    include(entries, done) {
      const startedAt = performance.now()
      log.include(entries, (outcome) => {
        onCommit((performance.now() - startedAt) / 1000)
        done(outcome)
      })
    },
    listGroups: (done) => log.listGroups(done),
    seekGroup: (group, version, done) => log.seekGroup(group, version, done),
    readLinked: (group, after, limit, done) => log.readLinked(group, after, limit, done),
    setPeers: (group, regions, done) => log.setPeers(group, regions, done),
    retain: (group, region, version) => log.retain(group, region, version),
    readPeers: (group, done) => log.readPeers(group, done),
    listGroup: (group, after, count, done) => log.listGroup(group, after, count, done),
    readState: (document, done) => log.readState(document, done),
    beginJoin: (group, done) => log.beginJoin(group, done),
    putStates: (group, states, done) => log.putStates(group, states, done),
    adopt: (group, adopted, done) => log.adopt(group, adopted, done),
    openDocument: (document, done) => log.openDocument(document, done),
    openGroup: (group, done) => log.openGroup(group, done),
    lastPush: (group, device, done) => log.lastPush(group, device, done),
    listDocuments: (prefix, after, count, done) => log.listDocuments(prefix, after, count, done),
    readDocument: (document, after, limit, done) => log.readDocument(document, after, limit, done),
    readGroup: (group, after, limit, done) => log.readGroup(group, after, limit, done),
    readSnapshot: (document, done) => log.readSnapshot(document, done),
    putSnapshot: (snapshot, options, done) => log.putSnapshot(snapshot, options, done),
    close: (done) => log.close(done),
  }
}
