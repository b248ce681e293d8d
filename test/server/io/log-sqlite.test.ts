/** The SQLite log under every driver that there is here: the suite of all logs, and what a disk and a killed process can do to it. */

import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Draft } from '@meridian/core/entry'
import { MeridianError } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import { parseDocument, parseRegion, replicaParts, toPosition } from '@meridian/core/ids'
import type { SqliteDriverName } from '@meridian/core/io/sqlite'
import { openSqlite, sqliteDriver, sqliteDrivers } from '@meridian/core/io/sqlite'
import type { Appended, DocumentInfo, Done, GroupInfo, LastPush, Outcome, Read, RegionLog, Snapshot } from '@meridian/core/log'
import type { LogAlarm, SqliteLog, SqliteLogOptions } from '@meridian/server/io/log-sqlite'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'
import { encodeBatch } from '@meridian/server/io/log-sqlite/batch'
import { hashReady } from '@meridian/server/io/log-sqlite/hash'
import { Mailbox } from '@meridian/server/io/log-sqlite/mailbox'
import { Opening } from '@meridian/server/io/log-sqlite/opening'
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LogPlace } from '../../conformance/log.js'
import { lcg } from '../../conformance/lcg.js'
import { acme, device, draft, drawing, noise, notes, other, registerLogTests, unlimited } from '../../conformance/log.js'
import { killedChild, startChild } from '../support/log-child.js'

const region = parseRegion('eu-west')
/**
 * The driver that this Node uses: CI runs on one Node with each. With MERIDIAN_SQLITE_DRIVERS=all both run where both are there.
 */
const drivers =
  process.env['MERIDIAN_SQLITE_DRIVERS'] === 'all' ? sqliteDrivers() : [sqliteDriver()].filter((name) => name !== undefined)
/** Rounds of killing a process, for all drivers together; a soak sets more. */
const killRounds = Math.ceil(Number(process.env['MERIDIAN_KILL_ROUNDS'] ?? 24) / drivers.length)
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

/** What another thread does in its own time. */
const patience = { timeout: 20_000, interval: 20 }

beforeAll(() => hashReady)

test('given this Node, when a store is opened, then the built-in driver is used where there is one, and libsql is not even loaded', () => {
  const builtIn = major > 22 || (major === 22 && minor >= 15)
  const script = `
    import { createRequire } from 'node:module'
    import { openSqlite } from '@meridian/core/io/sqlite'
    const database = openSqlite(':memory:')
    const isLoaded = Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes('libsql'))
    console.log(database.driver, isLoaded)`
  const cwd = fileURLToPath(new URL('../../..', import.meta.url))
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd, encoding: 'utf8' })
  expect(said.trim()).toBe(builtIn ? 'node false' : 'libsql true')
})

test.each(drivers)('given a statement of %s that was run to its end, when one row is asked for, then it is there', (driver) => {
  const database = openSqlite(':memory:', { driver })
  database.exec('CREATE TABLE numbers (number INTEGER PRIMARY KEY); INSERT INTO numbers VALUES (1), (2)')
  const beyond = database.prepare('SELECT number FROM numbers WHERE number > ?')
  expect(beyond.all([2])).toEqual([])
  expect(beyond.get([0])).toEqual([1])
  expect([...beyond.iterate([2])]).toEqual([])
  expect(beyond.get([1])).toEqual([2])
  expect(beyond.get([2])).toBeUndefined()
  const put = database.prepare('INSERT INTO numbers VALUES (?) RETURNING number')
  put.run([3])
  expect(put.get([4])).toEqual([4])
  expect(beyond.all([0])).toEqual([[1], [2], [3], [4]])
  database.close()
})

test('given more appends than an int32 counts, when a batch goes through the mailbox, then it keeps its id', () => {
  const mailbox = new Mailbox()
  const id = 2 ** 31 + 5
  mailbox.put(id, encodeBatch([draft(notes, 'a')]))
  expect(new Mailbox(mailbox.shared).take()).toMatchObject({ id, batch: { count: 1 } })
})

/** The writer reads its messages one by one; what is put into the mailbox between two of them is older than the second. */
test('[LOG3] given a full mailbox, when the next batch is offered, then there is no room, and what is taken is the older one', () => {
  const mailbox = new Mailbox()
  const batch = encodeBatch([draft(notes, 'a')])
  expect(mailbox.put(1, batch)).toBe('put, asleep')
  expect(mailbox.put(2, batch)).toBe('no room')
  expect(mailbox.take()?.id).toBe(1)
  expect(mailbox.take()).toBeUndefined()
})

async function makePlace(driver: SqliteDriverName): Promise<LogPlace> {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-log-'))
  let log: SqliteLog | undefined
  return {
    async open(): Promise<RegionLog> {
      // Entries of the suite have times of long ago, and would be kept for no peer.
      log = await openSqliteLog({ directory, region, driver, isLinked: true, retainMs: Number.POSITIVE_INFINITY })
      return log
    },
    async remove(): Promise<void> {
      await closed(log)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const closed = (log: SqliteLog | undefined): Promise<void> =>
  new Promise((resolve) => (log === undefined ? resolve() : log.close(resolve)))

for (const driver of drivers) registerLogTests(`SQLite by ${driver}`, () => makePlace(driver), { links: true })

/** Tried when the file is read and undone at once, because a title says which disk it was; a test that is filtered out must leave no mount. */
const canMount = ((): boolean => {
  const place = mountTmpfs()
  if (place !== undefined) unmountTmpfs(place)
  return place !== undefined
})()

/** Disks that go wrong, and processes that are killed. */
describe.each(drivers)('faults of the SQLite log by %s', (driver) => {
  let directory: string
  let log: SqliteLog | undefined
  let alarms: LogAlarm[]

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'meridian-log-'))
    alarms = []
  })
  afterEach(async () => {
    await closed(log)
    log = undefined
    rmSync(directory, { recursive: true, force: true })
  })

  const open = async (options: Partial<SqliteLogOptions> = {}): Promise<SqliteLog> => {
    log = await openSqliteLog({
      directory,
      region,
      driver,
      scrubBytesPerSecond: 0,
      onAlarm: (alarm) => alarms.push(alarm),
      ...options,
    })
    return log
  }
  const reopen = async (options: Partial<SqliteLogOptions> = {}): Promise<SqliteLog> => {
    await closed(log)
    return open(options)
  }
  const refusal = async (options: Partial<SqliteLogOptions> = {}): Promise<string> => {
    try {
      await open(options)
      return 'opened'
    } catch (error) {
      return error instanceof MeridianError ? error.message : String(error)
    }
  }

  describe('kill -9', () => {
    test('[LOG1] [LOG2] given a process that is killed while it appends, again and again, when the log is opened, then all that was durable is there, without a gap, under dots never used before', async () => {
      const reported = new Map<string, number>()
      const random = lcg(7)
      for (let round = 0; round < killRounds; round++) {
        const { replica, batches } = await killedChild(directory, driver, {
          afterMs: 20 + random(60),
          sizeMax: round % 3 === 0 ? 200 : 7,
        })
        expect(reported.has(replica), 'an incarnation twice').toBe(false)
        let sequence = 0
        let position = 0
        for (const batch of batches) {
          expect(batch.sequence).toBe(sequence + 1)
          expect(batch.position > position).toBe(true)
          sequence += batch.count
          position = batch.position + batch.count - 1
        }
        reported.set(replica, sequence)
      }
      const opened = await open()
      const held = new Map<string, number>()
      let position = 0
      for (let after = 0; ; ) {
        const read = await value<Read>((done) =>
          opened.readGroup(acme, toPosition(after), { bytes: 1 << 20, entries: 100_000 }, done),
        )
        for (const entry of read.entries) {
          expect(entry.position).toBe(++position)
          expect(entry.sequence).toBe((held.get(entry.replica) ?? 0) + 1)
          expect(Buffer.from(entry.payload).toString()).toBe(`${entry.replica} ${entry.sequence}`)
          held.set(entry.replica, entry.sequence)
        }
        if (!read.more) break
        after = read.asOf
      }
      for (const [replica, sequence] of reported)
        expect(held.get(replica) ?? 0, 'durable and not there').toBeGreaterThanOrEqual(sequence)
      expect([...reported.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(killRounds * 10)
      const { version } = await value<GroupInfo>((done) => opened.openGroup(acme, done))
      expect(version.sequences).toEqual(held)
      for (let number = 0; number < 7; number++) {
        const info = await value<DocumentInfo>((done) => opened.openDocument(parseDocument(`acme/notes/${number}`), done))
        const read = await value<Read>((done) => opened.readDocument(info.document, toPosition(0), unlimited, done))
        expect(read.entries.length).toBe(info.tailCount)
      }
      for (let number = 0; number < 5; number++) {
        const push = await value<LastPush | undefined>((done) => opened.lastPush(acme, device(number), done))
        expect((push?.counter ?? 0) % 5).toBe(number)
      }
    }, 120_000)

    test('[LOG2] given a directory that a process has open, when another opens it, then LOG_LOCKED; when that one is killed, then it opens', async () => {
      const child = startChild(directory, driver, 1)
      await child.opened
      expect(await refusal()).toBe('[LOG_LOCKED] Another process has this data directory open; stop it first.')
      await child.kill()
      expect(await refusal()).toBe('opened')
      expect(await openSqliteLog({ directory, region, driver }).catch((error: unknown) => error)).toMatchObject({
        code: 'LOG_LOCKED',
      })
    })

    test('[LOG2] given a copy of the files from before, when it is restored, then it goes on as another incarnation and no dot is given twice', async () => {
      await open()
      await append(log, draft(notes, 'a'), draft(notes, 'b'))
      await closed(log)
      const copy = mkdtempSync(join(tmpdir(), 'meridian-copy-'))
      cpSync(directory, copy, { recursive: true })
      const first = await open()
      await append(log, draft(notes, 'lost after the restore'))
      await closed(log)
      rmSync(directory, { recursive: true })
      cpSync(copy, directory, { recursive: true })
      rmSync(copy, { recursive: true })
      const second = await open()
      // The counter is the same, as it comes from the store; the random half is not.
      expect(replicaParts(second.replica).counter).toBe(replicaParts(first.replica).counter)
      expect(second.replica).not.toBe(first.replica)
      expect(await append(log, draft(notes, 'c'))).toMatchObject({ replica: second.replica, position: 3, sequences: [1] })
    })

    test('[LOG3] given the files of a log that was killed, when the WAL lost its end, then the log opens with whole batches only', async () => {
      const child = startChild(directory, driver, 7)
      const replica = await child.opened
      await child.reported(60)
      const batches = await child.kill()
      const wal = join(directory, 'log.db-wal')
      // The end of what was written: the rest of the file is zeros.
      const bytes = readFileSync(wal)
      let end = bytes.length
      while (end > 0 && bytes[end - 1] === 0) end--
      truncateSync(wal, end - 20 * 4120)
      const opened = await open()
      const { entries } = await value<Read>((done) => opened.readGroup(acme, toPosition(0), unlimited, done))
      const held = entries.filter((entry) => entry.replica === replica).length
      const ends = batches.map((batch) => batch.sequence + batch.count - 1)
      expect(held > 0 && held < (ends.at(-1) ?? 0)).toBe(true)
      expect(ends).toContain(held)
      expect(entries.map((entry) => entry.position)).toEqual(entries.map((_, index) => index + 1))
    })
  })

  describe('a failed commit', () => {
    test('[LOG3] given an opening that was given up, when the next one comes after a failure of the disk, then what stood in the WAL is written anew', async () => {
      const options = {
        directory,
        region,
        driver,
        logBytesMax: Number.POSITIVE_INFINITY,
        pushKeepMs: 1e12,
        retainMs: Number.POSITIVE_INFINITY,
        retainBytes: Number.POSITIVE_INFINITY,
        isLinked: true,
      }
      const first = new Opening({ ...options, opening: 'first' })
      first.commit([encodeBatch([draft(notes, 'a'), draft(notes, 'b')])])
      first.abandon()
      const again = new Opening({ ...options, opening: 'failed' })
      expect(again.position).toBe(2)
      expect(again.replica).not.toBe(first.replica)
      again.abandon()
      const path = join(directory, 'log.db-wal')
      // What the second opening wrote and no more; SQLite removes the file with the last connection.
      expect(existsSync(path) ? statSync(path).size : 0).toBeLessThan(1024 * 1024)
      await open()
      const read = await value<Read>((done) => log?.readDocument(notes, toPosition(0), unlimited, done))
      expect(read.entries.map((entry) => entry.replica)).toEqual([first.replica, first.replica])
    })

    test('[LOG3] given a database that another writer holds, when an append fails, then LOG_UNAVAILABLE, reads go on, and afterwards it goes on as a new incarnation', async () => {
      const opened = await open()
      const { replica } = opened
      await append(log, draft(notes, 'a'))
      const stranger = openSqlite(join(directory, 'log.db'), { driver })
      stranger.exec('BEGIN IMMEDIATE')
      expect(await code((done: Done<Appended>) => opened.append([draft(notes, 'b')], done))).toBe('LOG_UNAVAILABLE')
      expect(await code((done: Done<Read>) => opened.readDocument(notes, toPosition(0), unlimited, done))).toBe('done')
      stranger.rollback()
      stranger.close()
      await vi.waitFor(() => expect(opened.status().state).toBe('open'), patience)
      expect(opened.replica).not.toBe(replica)
      expect(await append(log, draft(notes, 'c'))).toEqual({ replica: opened.replica, position: 2, sequences: [1] })
      expect(alarms.map((alarm) => alarm.kind)).toEqual(expect.arrayContaining(['stopped', 'reopened']))
    })
  })

  describe('the hand-over to the writer', () => {
    test('[LOG3] given batches that fit its mailbox among batches that do not, when none waits for another, then they stand in the order of the calls', async () => {
      await open()
      const small = (): Draft[] => [draft(notes, 'small')]
      const large = (): Draft[] => [draft(notes, '', { payload: noise(300_000) })]
      let position = 0
      for (let round = 0; round < 40; round++) {
        // The first goes by message; the rest comes while the writer reads its messages.
        const batches = [small(), large(), small(), small(), large(), small()]
        const answers = await Promise.all(batches.map((batch) => append(log, ...batch)))
        expect(answers.map((answer) => answer.position)).toEqual(batches.map((_, index) => position + index + 1))
        position += batches.length
      }
    })

    test('[LOG1] given an append and a close in one turn, again and again, when the log is opened, then every append was answered as durable', async () => {
      for (let round = 1; round <= 10; round++) {
        await open()
        const first = append(log, draft(notes, 'a'))
        const second = append(log, draft(notes, 'b'))
        await closed(log)
        expect([(await first).position, (await second).position]).toEqual([2 * round - 1, 2 * round])
      }
    })
  })

  describe('a directory that is not ours', () => {
    test('given a log of another kind, when it is opened, then CONFIG_INVALID says what to do and nothing is touched', async () => {
      writeFileSync(join(directory, 'LOG'), 'kind: postgres\nformat: 1\n')
      expect(await refusal()).toMatch(
        /^\[CONFIG_INVALID\] The data directory holds a log of kind postgres, and this node is set to sqlite: /,
      )
      expect(readdirSync(directory).sort()).toEqual(['LOG', 'lock.db'])
    })

    test('given a log of a newer format, when it is opened, then CONFIG_INVALID says to update', async () => {
      await open()
      await closed(log)
      writeFileSync(join(directory, 'LOG'), 'kind: sqlite\nformat: 3\n')
      expect(await refusal()).toMatch(/format 3, and this release knows up to 2: update Meridian, or give another directory/)
    })

    test('given a log of another region, when it is opened, then CONFIG_INVALID names both', async () => {
      await open()
      await closed(log)
      expect(await refusal({ region: parseRegion('us-east') })).toMatch(/of region eu-west, and the node is set to us-east/)
    })

    test.each([
      ['a LOG file without a database', (place: string) => rmSync(join(place, 'log.db'))],
      ['a LOG file that is no such', (place: string) => writeFileSync(join(place, 'LOG'), 'hello')],
      [
        'a database that is text',
        (place: string) =>
          writeFileSync(join(place, 'log.db'), 'not a database, and longer than its header would be. '.repeat(100)),
      ],
      ['a database without its tail', (place: string) => truncateSync(join(place, 'log.db'), 3 * 4096 + 100)],
      [
        'a database of somebody else',
        (place: string) => {
          rmSync(join(place, 'log.db'))
          const database = openSqlite(join(place, 'log.db'), { driver })
          database.exec('CREATE TABLE cats (name TEXT)')
          database.close()
        },
      ],
    ])('given %s, when it is opened, then LOG_DAMAGED says what to do', async (_, spoil) => {
      await open()
      for (let index = 0; index < 20; index++) await append(log, draft(notes, 'x'.repeat(4000)))
      await closed(log)
      spoil(directory)
      expect(await refusal()).toMatch(/^\[LOG_DAMAGED\] .+ restore it from a backup, or move it aside to begin anew\.$/)
    })

    test('given a store whose LOG file was not written yet, when it is opened, then it is written and the entries are there', async () => {
      await open()
      await append(log, draft(notes, 'a'))
      await closed(log)
      rmSync(join(directory, 'LOG'))
      await open()
      expect(readFileSync(join(directory, 'LOG'), 'utf8')).toBe('kind: sqlite\nformat: 2\n')
      expect(log?.position).toBe(1)
    })
  })

  describe('rot', () => {
    /** Flips one bit in the database file wherever `text` stands, as a page that was split leaves copies behind. */
    const flip = (text: string): void => {
      const path = join(directory, 'log.db')
      const bytes = readFileSync(path)
      let at = bytes.indexOf(text)
      expect(at).toBeGreaterThan(0)
      for (; at >= 0; at = bytes.indexOf(text, at)) bytes[at + 3] = (bytes[at + 3] ?? 0) ^ 4
      writeFileSync(path, bytes)
    }
    const filled = async (): Promise<void> => {
      await open()
      for (let index = 0; index < 20; index++)
        await append(log, draft(notes, `note ${index} ${'n'.repeat(300)}`), draft(drawing, `line ${index} ${'d'.repeat(300)}`))
      await closed(log)
    }

    test('given a flipped bit in a payload, when the document is read, then it is DOCUMENT_DAMAGED and set aside; others are served', async () => {
      await filled()
      flip('note 7 ')
      await open()
      expect(await code((done: Done<Read>) => log?.readDocument(notes, toPosition(0), unlimited, done))).toBe('DOCUMENT_DAMAGED')
      expect(alarms).toEqual([{ kind: 'damaged', reason: 'record', count: 1 }])
      expect(await code((done: Done<DocumentInfo>) => log?.openDocument(notes, done))).toBe('DOCUMENT_DAMAGED')
      expect(await code((done: Done<Snapshot | undefined>) => log?.readSnapshot(notes, done))).toBe('DOCUMENT_DAMAGED')
      const read = await value<Read>((done) => log?.readDocument(drawing, toPosition(0), unlimited, done))
      expect(read.entries).toHaveLength(20)
      // A group is served up to the record that is missing, and never past it.
      const group = await value<Read>((done) => log?.readGroup(acme, toPosition(0), unlimited, done))
      expect(group).toMatchObject({ asOf: 14, more: true })
      expect(await code((done: Done<Read>) => log?.readGroup(acme, toPosition(14), unlimited, done))).toBe('DOCUMENT_DAMAGED')
      await append(log, draft(drawing, 'goes on'))
      // The writer hears of the damage by a message, and an append may overtake it.
      await vi.waitFor(() => expect(log?.status().damagedCount).toBe(1), patience)
      await reopen()
      expect(await code((done: Done<DocumentInfo>) => log?.openDocument(notes, done))).toBe('DOCUMENT_DAMAGED')
      await closed(log)
      const database = openSqlite(join(directory, 'log.db'), { driver })
      const record = JSON.parse(String(database.prepare('SELECT record FROM damaged').get([])?.[0])) as (string | number)[]
      expect(Buffer.from(String(record.at(-1)), 'base64').toString()).toMatch(/^not. 7 n+$/)
      database.close()
    })

    test('given a damaged document, when a snapshot from elsewhere covers the damage, then it is served again', async () => {
      await filled()
      flip('note 7 ')
      const opened = await open()
      expect(await code((done: Done<Read>) => opened.readDocument(notes, toPosition(0), unlimited, done))).toBe(
        'DOCUMENT_DAMAGED',
      )
      const state = { bytes: noise(100), index: noise(10) }
      const version = { floors: new Map(), sequences: new Map([[opened.replica, 1]]) }
      await value<void>((done) =>
        opened.putSnapshot({ document: notes, life: 1, position: toPosition(39), version, state }, { trim: true }, done),
      )
      expect(await value<DocumentInfo>((done) => opened.openDocument(notes, done))).toMatchObject({
        tailCount: 0,
        snapshot: { position: 39 },
      })
    })

    test('given a flipped bit in a snapshot, when it is read, then its document is damaged and no other', async () => {
      await filled()
      const opened = await open()
      const version = { floors: new Map(), sequences: new Map([[opened.replica, 1]]) }
      const put = (document: DocumentName, text: string): Promise<void> =>
        value<void>((done) => {
          const state = { bytes: Buffer.from(text), index: noise(10) }
          opened.putSnapshot({ document, life: 1, position: toPosition(39), version, state }, { trim: true }, done)
        })
      await put(notes, 'the state of the notes')
      await put(drawing, 'the state of the drawing')
      await closed(log)
      flip('the state of the notes')
      await open()
      expect(await code((done: Done<Snapshot | undefined>) => log?.readSnapshot(notes, done))).toBe('DOCUMENT_DAMAGED')
      expect(await code((done: Done<Snapshot | undefined>) => log?.readSnapshot(drawing, done))).toBe('done')
    })

    test('given a flipped bit in the recent log, when it is opened, then the record is set aside and the rest is served', async () => {
      const child = startChild(directory, driver, 3)
      await child.reported(30)
      await child.kill()
      // Into the database file, so that a bit can be flipped behind the WAL's own checksums.
      const database = openSqlite(join(directory, 'log.db'), { driver })
      database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get([])
      const [payload] = database.prepare('SELECT payload FROM entries WHERE position = 8').get([]) ?? []
      database.close()
      flip(String(payload))
      await open()
      expect(alarms).toEqual([{ kind: 'damaged', reason: 'found at the start', count: 1 }])
      expect(
        await code((done: Done<Read>) => log?.readDocument(parseDocument('acme/notes/1'), toPosition(0), unlimited, done)),
      ).toBe('DOCUMENT_DAMAGED')
      expect(
        await code((done: Done<Read>) => log?.readDocument(parseDocument('acme/notes/2'), toPosition(0), unlimited, done)),
      ).toBe('done')
      const before = log?.position ?? 0
      expect((await append(log, draft(notes, 'goes on'))).position).toBe(before + 1)
      await reopen()
      expect(log?.position).toBe(before + 1)
    })

    test('given a page of zeros, when a document on it is read, then that document is damaged and the log goes on', async () => {
      await filled()
      const path = join(directory, 'log.db')
      const bytes = readFileSync(path)
      const page = Math.floor(bytes.indexOf('note 12 ') / 4096)
      bytes.fill(0, page * 4096, (page + 1) * 4096)
      writeFileSync(path, bytes)
      await open()
      expect(await code((done: Done<Read>) => log?.readDocument(notes, toPosition(0), unlimited, done))).toBe('DOCUMENT_DAMAGED')
      await append(log, draft(other, 'another'))
      expect(await code((done: Done<Read>) => log?.readDocument(other, toPosition(0), unlimited, done))).toBe('done')
    })

    test('given rot that nobody reads, when the scrub passes, then it is found and its progress is told', async () => {
      await filled()
      flip('line 3 ')
      await open({ scrubBytesPerSecond: 1 << 30 })
      await vi.waitFor(() => expect(log?.status().scrub).toEqual({ scrubbed: 40, total: 40, passes: 1 }), patience)
      expect(alarms).toEqual([{ kind: 'damaged', reason: 'record', count: 1 }])
      expect(await code((done: Done<DocumentInfo>) => log?.openDocument(drawing, done))).toBe('DOCUMENT_DAMAGED')
      expect(await code((done: Done<DocumentInfo>) => log?.openDocument(notes, done))).toBe('done')
    })

    test('given entries that come while the scrub passes, then it ends at those that there were when it began', async () => {
      await filled()
      // So slow that the second piece of the pass is seconds behind the first.
      await open({ scrubBytesPerSecond: 8192 })
      await vi.waitFor(() => expect(log?.status().scrub.total).toBe(40), patience)
      for (let index = 0; index < 600; index++) await append(log, draft(notes, `later ${index} ${'n'.repeat(2000)}`))
      await vi.waitFor(() => expect(log?.status().scrub).toEqual({ scrubbed: 40, total: 40, passes: 1 }), { timeout: 40_000 })
    })
  })

  describe('a full disk', () => {
    test('[LOG3] [LOG4] given logBytesMax, when it is reached, then LOG_FULL, reads are served, and a snapshot that trims makes room', async () => {
      const opened = await open({ logBytesMax: 1024 * 1024 })
      const first = opened.replica
      let count = 0
      for (; count < 1000; count++) {
        const answer = await outcome<Appended>((done) => opened.append([draft(notes, 'x'.repeat(8000))], done))
        if (answer.kind === 'done') continue
        expect(answer.code).toBe('LOG_FULL')
        break
      }
      expect(count).toBeGreaterThan(80)
      expect(count).toBeLessThan(140)
      const read = await value<Read>((done) => opened.readDocument(notes, toPosition(0), unlimited, done))
      expect(read.entries.map((entry) => entry.position)).toEqual(Array.from({ length: count }, (_, index) => index + 1))
      await vi.waitFor(() => expect(opened.status().state).toBe('open'), patience)
      expect(opened.replica).not.toBe(first)
      expect(alarms).toMatchObject([
        { kind: 'stopped', code: 'LOG_FULL' },
        { kind: 'reopened', replica: opened.replica },
      ])
      expect(await outcome<Appended>((done) => opened.append([draft(notes, 'x'.repeat(8000))], done))).toMatchObject({
        code: 'LOG_FULL',
      })
      await vi.waitFor(() => expect(opened.status().state).toBe('open'), patience)
      const version = { floors: new Map(), sequences: new Map([[first, count]]) }
      const state = { bytes: noise(20_000), index: noise(10) }
      await value<void>((done) =>
        opened.putSnapshot({ document: notes, life: 1, position: toPosition(count), version, state }, { trim: true }, done),
      )
      // No position and no sequence was taken by what failed.
      expect(await append(log, draft(notes, 'x'.repeat(8000)))).toEqual({
        replica: opened.replica,
        position: count + 1,
        sequences: [1],
      })
    })

    const disk = canMount
      ? 'a tmpfs of 14 MiB'
      : 'a small disk (mounting a tmpfs is not permitted here: the same by logBytesMax raised at the next opening)'
    let mounted: string | undefined
    afterEach(async () => {
      if (mounted === undefined) return
      await closed(log)
      unmountTmpfs(mounted)
      mounted = undefined
    })
    test(`given ${disk}, when it is full, then LOG_FULL, reads are served, and with room it goes on`, async () => {
      mounted = canMount ? mountTmpfs() : undefined
      const place = mounted === undefined ? directory : mkdtempSync(join(mounted, 'log-'))
      const ballast = join(mounted ?? directory, 'ballast')
      writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024))
      const opened = await open({ directory: place, ...(mounted === undefined ? { logBytesMax: 1024 * 1024 } : {}) })
      let count = 0
      let full = 0
      for (; full < 3 && count < 2000; ) {
        const answer = await outcome<Appended>((done) => opened.append([draft(notes, 'x'.repeat(50_000))], done))
        if (answer.kind === 'done') count++
        else full += answer.code === 'LOG_FULL' ? 1 : 1000
      }
      expect(full).toBe(3)
      const read = await value<Read>((done) => opened.readDocument(notes, toPosition(0), unlimited, done))
      expect(read.entries).toHaveLength(count)
      if (mounted === undefined) await reopen({ logBytesMax: 8 * 1024 * 1024 })
      else rmSync(ballast)
      await vi.waitFor(
        async () => expect((await outcome<Appended>((done) => log?.append([draft(notes, 'room')], done))).kind).toBe('done'),
        patience,
      )
      const after = await value<Read>((done) => log?.readDocument(notes, toPosition(0), unlimited, done))
      expect(after.entries).toHaveLength(count + 1)
    })
  })
})

const outcome = <T>(ask: (done: Done<T>) => void): Promise<Outcome<T>> => new Promise(ask)

async function value<T>(ask: (done: Done<T>) => void): Promise<T> {
  const answer = await outcome(ask)
  if (answer.kind === 'failed') throw new Error(`${answer.code} ${String(answer.cause)}`)
  return answer.value
}

async function code<T>(ask: (done: Done<T>) => void): Promise<string> {
  const answer = await outcome(ask)
  return answer.kind === 'failed' ? answer.code : 'done'
}

const append = (log: SqliteLog | undefined, ...drafts: Draft[]): Promise<Appended> => value((done) => log?.append(drafts, done))

/** The mount point of a small disk, or undefined where mounting is not permitted. */
function mountTmpfs(): string | undefined {
  const place = mkdtempSync(join(tmpdir(), 'meridian-disk-'))
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=14m', 'tmpfs', place]).status === 0) return place
  rmSync(place, { recursive: true })
  return undefined
}

function unmountTmpfs(place: string): void {
  expect(spawnSync('umount', [place]).status, 'a small disk stays mounted').toBe(0)
  rmSync(place, { recursive: true })
}
