/** What a log keeps for its peers and how it lets go of it, one opening at a time and by a clock that the test turns (LOG4). */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kindNumber } from '@meridian/core/entry'
import { toHybridTime } from '@meridian/core/hybrid-time'
import { parseRegion } from '@meridian/core/ids'
import { openSqlite, sqliteDriver } from '@meridian/core/io/sqlite'
import { encodeBatch } from '@meridian/server/io/log-sqlite/batch'
import { hashReady } from '@meridian/server/io/log-sqlite/hash'
import { Opening } from '@meridian/server/io/log-sqlite/opening'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { acme, draft, notes } from '../../conformance/log.js'

const driver = sqliteDriver() ?? 'libsql'
const peer = parseRegion('us-east')
const day = 24 * 3600 * 1000
const startMs = 1_790_000_000_000

let directory: string
let opening: Opening

beforeAll(() => hashReady)
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'], now: startMs })
  directory = mkdtempSync(join(tmpdir(), 'meridian-retention-'))
  opening = open('first')
})
afterEach(() => {
  opening.close()
  vi.useRealTimers()
  rmSync(directory, { recursive: true, force: true })
})

const open = (kind: 'first' | 'full'): Opening =>
  new Opening({
    ...{ directory, region: parseRegion('eu-west'), driver, opening: kind, isLinked: true, pushKeepMs: day },
    ...{ logBytesMax: Number.POSITIVE_INFINITY, retainMs: 7 * day, retainBytes: 1 << 30 },
  })

/** All that the writer's thread does in idle moments. */
function idle(): void {
  opening.settle()
  if (opening.hasRetained) opening.writeRetainedNow()
  opening.reconsider()
  while (opening.dropSome());
}

const entry = (text: string, rest = {}) => draft(notes, text, { time: toHybridTime(Date.now() * 1024), ...rest })

/** Kinds of all that is in the log, read beside the opening. */
function kinds(): unknown[] {
  const database = openSqlite(join(directory, 'log.db'), { driver })
  try {
    return database
      .prepare('SELECT kind FROM entries ORDER BY position')
      .all([])
      .map(([kind]) => Number(kind))
  } finally {
    database.close()
  }
}

test('[LOG4] [RES7] given stubs that wait for a peer that never speaks again, when the log is opened anew and they are older than they are kept, then they go', () => {
  opening.setPeers(acme, [peer])
  opening.commit([encodeBatch([entry('a'), entry('', { kind: 'erase' })])])
  idle()
  expect(kinds()).toEqual([kindNumber.stub, kindNumber.erase])
  opening.close()
  opening = open('first')
  idle()
  expect(kinds()).toEqual([kindNumber.stub, kindNumber.erase])
  vi.advanceTimersByTime(8 * day)
  idle()
  expect(kinds()).toEqual([kindNumber.erase])
})
