/** What links need of the SQLite log where a process is killed, a store is of another release, or a copy is restored (LINK4, LINK6, LOG2, LOG4). */

import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseDocument, parseGroup, parseRegion, parseReplica, replicaParts, toPosition } from '@meridian/core/ids'
import { openSqlite, sqliteDriver } from '@meridian/core/io/sqlite'
import type { Done, Read, Sought } from '@meridian/core/log'
import { emptyVersion, toChain } from '@meridian/core/version'
import type { SqliteLog, SqliteLogOptions } from '@meridian/server/io/log-sqlite'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { acme, draft, notes, snapshotOf, unlimited } from '../../conformance/log.js'
import { startScript } from '../support/log-child.js'

const region = parseRegion('eu-west')
const east = parseReplica('us-east#3.00000000000000aa')
const peer = parseRegion('us-east')
const joining = parseGroup('acme/joining')
const driver = sqliteDriver() ?? 'libsql'
const chainFactor = 0x9e37_79b9_7f4a_7c15n
const patience = { timeout: 20_000, interval: 50 }

vi.setConfig({ testTimeout: 60_000 })

let directory: string
let log: SqliteLog | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-linked-'))
})
afterEach(async () => {
  await close()
  rmSync(directory, { recursive: true, force: true })
})

const close = (): Promise<void> => new Promise((resolve) => (log === undefined ? resolve() : log.close(resolve)))

async function open(options: Partial<SqliteLogOptions> = {}): Promise<SqliteLog> {
  log = await openSqliteLog({ directory, region, driver, scrubBytesPerSecond: 0, ...options })
  return log
}

const value = <T>(ask: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) =>
    ask((outcome) =>
      outcome.kind === 'done' ? resolve(outcome.value) : reject(new Error(`${outcome.code} ${String(outcome.cause)}`)),
    ),
  )

const versionOf = (sequences: Record<string, number>) => ({
  ...emptyVersion,
  sequences: new Map(Object.entries(sequences).map(([replica, sequence]) => [parseReplica(replica), sequence])),
})

const append = (of: SqliteLog, ...texts: string[]) =>
  value((done: Parameters<SqliteLog['append']>[1]) =>
    of.append(
      texts.map((text) => draft(notes, text)),
      done,
    ),
  )

test('[LINK4] [LINK6] [LOG1] given a process that is killed while it includes, appends and puts states, when the log is opened, then all that was durable is there, once, with its chain values', async () => {
  const rounds = Math.ceil(Number(process.env['MERIDIAN_KILL_ROUNDS'] ?? 24) / 3)
  let included = 0
  let put = 0
  const own = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    const child = startScript('log-linked-child.mjs', [directory, driver, east, String(chainFactor)], (line) => line.split(' '))
    const replica = await child.opened
    await child.reported(3)
    await new Promise((resolve) => setTimeout(resolve, 15 + 17 * (round % 5)))
    for (const [kind = '', number = ''] of await child.kill()) {
      if (kind === 'included') included = Math.max(included, Number(number))
      else if (kind === 'put') put = Math.max(put, Number(number))
      else own.set(replica, Number(number))
    }
  }
  const opened = await open()
  let east0 = 0
  const counts = new Map<string, number>()
  for (let after = toPosition(0); ; ) {
    const read = await value<Read>((done) => opened.readLinked(acme, after, { bytes: 1 << 20, entries: 10_000 }, done))
    for (const entry of read.entries) {
      expect(entry.sequence).toBe((counts.get(entry.replica) ?? 0) + 1)
      counts.set(entry.replica, entry.sequence)
      if (entry.replica !== east) continue
      expect(Buffer.from(entry.payload).toString()).toBe(`${east} ${entry.sequence}`)
      expect(entry.chain).toBe(toChain(BigInt(entry.sequence) * chainFactor))
      east0 = entry.sequence
    }
    if (!read.more) break
    after = read.asOf
  }
  expect(east0).toBeGreaterThanOrEqual(included)
  for (const [replica, sequence] of own) expect(counts.get(replica) ?? 0).toBeGreaterThanOrEqual(sequence)
  expect(included).toBeGreaterThan(rounds * 3)
  const sought = await value<Sought>((done) => opened.seekGroup(acme, versionOf({ [east]: east0 }), done))
  expect(sought.chains.get(east)).toBe(toChain(BigInt(east0) * chainFactor))
  // Whole batches of states, and a group that is joining still.
  const info = await value((done: Parameters<SqliteLog['openGroup']>[1]) => opened.openGroup(joining, done))
  expect([info.joining, info.version.sequences.size]).toEqual([true, 0])
  const listed = await value((done: Parameters<SqliteLog['listGroup']>[3]) => opened.listGroup(joining, '', 1e6, done))
  expect(listed.length).toBeGreaterThanOrEqual(put)
  expect(listed.length % 20).toBe(0)
  expect(put).toBeGreaterThan(0)
  for (const { document, version } of [listed[0], listed.at(-1)].filter((one) => one !== undefined)) {
    const number = Number(document.slice(-6))
    const state = await value((done: Parameters<SqliteLog['readState']>[1]) => opened.readState(document, done))
    expect(version).toEqual(versionOf({ [east]: number }))
    expect(state?.snapshot?.state.bytes).toEqual(new Uint8Array(number % 3000).fill(number))
    expect(state?.entries.map((entry) => entry.sequence)).toEqual([number])
  }
}, 120_000)

test('[LOG4] given a peer that holds up more bytes than are kept, when a pass ends, then it is behind and the bytes go', async () => {
  const opened = await open({ retainBytes: 2000, retainMs: Number.POSITIVE_INFINITY })
  const slow = parseRegion('ap-south')
  await value<void>((done) => opened.setPeers(acme, [peer, slow], done))
  const { replica } = await append(opened, 'x'.repeat(1000), 'y'.repeat(1000), 'z'.repeat(1000))
  opened.retain(acme, peer, versionOf({ [replica]: 2 }))
  await value((done: Parameters<SqliteLog['readPeers']>[1]) => opened.readPeers(acme, done))
  const snapshot = snapshotOf(notes, 3, { replica, sequence: 3, bytes: new Uint8Array(10) })
  await value<void>((done) => opened.putSnapshot(snapshot, { trim: true }, done))
  await vi.waitFor(async () => {
    const peers = await value((done: Parameters<SqliteLog['readPeers']>[1]) => opened.readPeers(acme, done))
    expect(peers.map((one) => [one.region, one.behind])).toEqual([
      [slow, true],
      [peer, false],
    ])
  }, patience)
  const read = await value<Read>((done) => opened.readLinked(acme, toPosition(2), unlimited, done))
  expect(read.entries.map((entry) => entry.sequence)).toEqual([3])
})

test('[LOG4] given entries older than they are kept, when a snapshot covers them, then they wait for no peer', async () => {
  const opened = await open({ retainMs: 1000 })
  await value<void>((done) => opened.setPeers(acme, [peer], done))
  const { replica } = await append(opened, 'a', 'b')
  const snapshot = snapshotOf(notes, 2, { replica, sequence: 2, bytes: new Uint8Array(10) })
  await value<void>((done) => opened.putSnapshot(snapshot, { trim: true }, done))
  await vi.waitFor(async () => {
    const read = await value<Read>((done) => opened.readLinked(acme, toPosition(0), unlimited, done))
    expect(read.entries).toEqual([])
  }, patience)
  expect((await value<Sought>((done) => opened.seekGroup(acme, emptyVersion, done))).behind).toBe(true)
})

test('[LOG2] [LOG5] given a copy that is restored after a time, when it is opened, then its incarnation comes after all that its original can have opened', async () => {
  await open()
  await close()
  const database = openSqlite(join(directory, 'log.db'), { driver })
  database.exec(`UPDATE incarnations SET opened_ms = ${Date.now() - 3_600_000}`)
  database.close()
  const { counter } = replicaParts((await open()).replica)
  expect(counter).toBeGreaterThanOrEqual(361)
  expect(counter).toBeLessThan(500)
})

test('[LOG2] [LINK4] given a copy of yesterday, when it is restored and writes, then what it has lost comes back under its old dots, and no dot is given twice', async () => {
  const before = await open()
  await append(before, 'kept')
  await close()
  const home = directory
  const copy = `${home}-copy`
  cpSync(directory, copy, { recursive: true })
  try {
    const original = await open()
    const { replica: lost } = await append(original, 'lost', 'lost too')
    const all = await value<Read>((done) => original.readLinked(acme, toPosition(0), unlimited, done))
    await close()
    directory = copy
    const restored = await open()
    expect(restored.replica).not.toBe(lost)
    await append(restored, 'written while cut off')
    const foreign = all.entries.map(({ position: _position, ...entry }) => entry)
    const included = await value((done: Parameters<SqliteLog['include']>[1]) => restored.include(foreign, done))
    expect(included.kind === 'included' && included.entries.map((entry) => [entry.replica, entry.sequence])).toEqual([
      [lost, 1],
      [lost, 2],
    ])
    const { version, closed } = await value((done: Parameters<SqliteLog['openGroup']>[1]) => restored.openGroup(acme, done))
    expect(version.sequences).toEqual(
      new Map([
        [before.replica, 1],
        [lost, 2],
        [restored.replica, 1],
      ]),
    )
    // An incarnation that may be as new as the open one waits for the next opening, or its seal would stand for this one's entries too.
    const isOlder = replicaParts(lost).counter < replicaParts(restored.replica).counter
    expect([...closed.keys()]).toEqual(isOlder ? [before.replica, lost] : [before.replica])
    const read = await value<Read>((done) => restored.readDocument(notes, toPosition(0), unlimited, done))
    expect(read.entries.map((entry) => Buffer.from(entry.payload).toString())).toEqual([
      'kept',
      'written while cut off',
      'lost',
      'lost too',
    ])
    expect(new Set(read.entries.map((entry) => `${entry.replica} ${entry.sequence}`)).size).toBe(4)
    const sought = await value<Sought>((done) => restored.seekGroup(acme, version, done))
    expect(sought.chains.get(lost)).toBe(all.entries.at(-1)?.chain)
  } finally {
    await close()
    directory = home
    rmSync(copy, { recursive: true, force: true })
  }
})

test('given a store of format 1, when it is opened, then links find what stands behind the last hole, and documents are of their group', async () => {
  const first = await open()
  const { replica } = first
  const other = parseDocument('acme/notes/other')
  await append(first, 'a', 'b')
  await value((done: Parameters<SqliteLog['append']>[1]) => first.append([draft(other, 'c')], done))
  await append(first, 'd')
  const snapshot = snapshotOf(notes, 2, { replica, sequence: 2, bytes: new Uint8Array(10) })
  await value<void>((done) => first.putSnapshot(snapshot, { trim: true }, done))
  await close()
  const database = openSqlite(join(directory, 'log.db'), { driver })
  database.exec(`DROP TABLE dots; DROP TABLE stubs; DROP TABLE peers; ALTER TABLE groups DROP COLUMN dropped;
    ALTER TABLE groups DROP COLUMN joining; ALTER TABLE versions DROP COLUMN gone; ALTER TABLE documents DROP COLUMN group_ref;
    ALTER TABLE trims DROP COLUMN erased; PRAGMA user_version = 1`)
  database.close()
  for (let round = 0; round < 2; round++) {
    const opened = await open()
    const seek = (sequence: number) =>
      value<Sought>((done) => opened.seekGroup(acme, versionOf(sequence === 0 ? {} : { [replica]: sequence }), done))
    expect((await seek(1)).behind).toBe(true)
    expect(await seek(2)).toMatchObject({ position: 2, behind: false })
    expect(await seek(3)).toMatchObject({ position: 3, behind: false })
    expect((await seek(3)).chains.has(replica)).toBe(true)
    const listed = await value((done: Parameters<SqliteLog['listGroup']>[3]) => opened.listGroup(acme, '', 10, done))
    expect(listed.map(({ document }) => document)).toEqual([notes, other])
    await close()
  }
})
