/** Compaction over a real log and real threads: what it leaves, and that it gives up without harm. */

import type { Draft } from '@meridian/core/entry'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { toHybridTime } from '@meridian/core/hybrid-time'
import { type DocumentName, parseDocument, parseGroup, parseRegion, toPosition } from '@meridian/core/ids'
import type { Appended, DocumentInfo, Done, Outcome, Read, RegionLog, Snapshot } from '@meridian/core/log'
import { type Compacted, Compactor, type CompactorOptions } from '@meridian/server/io/compactor'
import { Folder } from '@meridian/server/io/folder'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as Y from 'yjs'
import { temporaryFolder } from '../support/running-node.js'

const document = parseDocument('acme/notes/1')
const limits = { workersMax: 1, queueMax: 10, bytesMax: 2 ** 28, memoryMb: 256, timeMs: 20_000 }

async function ask<T>(run: (done: Done<T>) => void): Promise<T> {
  const outcome = await new Promise<Outcome<T>>((resolve) => run(resolve))
  if (outcome.kind === 'failed') throw new Error(outcome.code)
  return outcome.value
}

async function openLog(): Promise<RegionLog> {
  const log = await openSqliteLog({ directory: await temporaryFolder(), region: parseRegion('eu-west') })
  onTestFinished(() => new Promise<void>((resolve) => log.close(resolve)))
  return log
}

const draft = (name: DocumentName, payload: Uint8Array, kind: Draft['kind'] = 'update'): Draft => ({
  group: parseGroup('acme/default'),
  document: name,
  engine: 'yjs',
  life: 1,
  kind,
  epoch: 0,
  time: toHybridTime(1),
  payload,
})

/** One update a letter of `text`, as somebody types it. */
function typed(text: string): Uint8Array[] {
  const doc = new Y.Doc()
  doc.clientID = 1
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  for (const [index, letter] of Array.from(text).entries()) doc.getText('t').insert(index, letter)
  return updates
}

interface Sitting {
  readonly log: RegionLog
  readonly compactor: Compactor
  readonly results: [result: string, why: string][]
  nowMs: number
  /** Asks and waits for the answer. */
  compact(name?: DocumentName): Promise<Compacted | undefined>
}

async function sit(options: Partial<CompactorOptions> = {}): Promise<Sitting> {
  const log = options.log ?? (await openLog())
  const results: Sitting['results'] = []
  const waiting = new Map<DocumentName, (snapshot: Compacted | undefined) => void>()
  const clock = { nowMs: 0 }
  const compactor = new Compactor({
    log,
    clock: { now: () => clock.nowMs },
    limits,
    recent: () => undefined,
    onCompacted: (name, snapshot) => waiting.get(name)?.(snapshot),
    onResult: (result, why) => results.push([result, why]),
    ...options,
  })
  onTestFinished(() => compactor.close())
  return Object.assign(clock, {
    log,
    compactor,
    results,
    compact: (name: DocumentName = document) =>
      new Promise<Compacted | undefined>((resolve) => {
        waiting.set(name, resolve)
        compactor.compact(name)
      }),
  })
}

async function contentOf(log: RegionLog, name: DocumentName): Promise<{ text: string; tail: number }> {
  const snapshot = await ask<Snapshot | undefined>((done) => log.readSnapshot(name, done))
  const from = snapshot?.position ?? toPosition(0)
  const { entries } = await ask<Read>((done) => log.readDocument(name, from, { bytes: 2 ** 30, entries: 100_000 }, done))
  const doc = new Y.Doc()
  doc.clientID = 0
  if (snapshot !== undefined) Y.applyUpdate(doc, snapshot.state.bytes)
  for (const entry of entries) Y.applyUpdate(doc, entry.payload)
  return { text: doc.getText('t').toJSON(), tail: entries.length }
}

const append = (log: RegionLog, updates: readonly Uint8Array[], name = document): Promise<Appended> =>
  ask((done) =>
    log.append(
      updates.map((update) => draft(name, update)),
      done,
    ),
  )

describe('a compaction', () => {
  it('[LOG4] given entries, then a snapshot stands for them, they are gone, and the document is the same', async () => {
    const { log, compact, results } = await sit()
    const text = 'the quick brown fox jumps over the lazy dog'
    const updates = typed(text)
    const { replica } = await append(log, updates)
    const snapshot = await compact()
    expect(results).toEqual([['done', '']])
    expect(snapshot).toMatchObject({
      tailCount: updates.length,
      tailBytes: updates.reduce((sum, update) => sum + update.length, 0),
    })
    expect([...(snapshot?.version.sequences ?? [])]).toEqual([[replica, updates.length]])
    expect(await contentOf(log, document)).toEqual({ text, tail: 0 })
    const info = await ask<DocumentInfo>((done) => log.openDocument(document, done))
    expect([info.tailCount, info.snapshot?.bytes, info.snapshot?.position]).toEqual([0, snapshot?.bytes, snapshot?.position])
  })

  it('[LOG4] given a snapshot and more entries, then the next one takes both in', async () => {
    const { log, compact } = await sit()
    const updates = typed('abcdef')
    await append(log, updates.slice(0, 3))
    await compact()
    await append(log, updates.slice(3))
    expect(await compact()).toMatchObject({ tailCount: 3 })
    expect(await contentOf(log, document)).toEqual({ text: 'abcdef', tail: 0 })
  })

  it('given more than it may take at once, then it goes on until all is in', async () => {
    const { log, compact, compactor, results } = await sit({ limits: { ...limits, bytesMax: 400 } })
    const updates = typed('abcdefghijklmnopqrstuvwxyz'.repeat(2))
    for (const update of updates) await append(log, [update])
    await compact()
    while (compactor.queueCount > 0 || results.length < 2) await compact()
    expect(results.filter(([result]) => result === 'done').length).toBeGreaterThan(0)
    expect((await contentOf(log, document)).text).toBe('abcdefghijklmnopqrstuvwxyz'.repeat(2))
  })

  it('given updates that are still in memory, then it takes those and reads no log', async () => {
    const updates = typed('abc')
    const log = await openLog()
    const { replica, position } = await append(log, updates)
    const recent = updates.map((payload, index) => ({
      replica,
      sequence: index + 1,
      position: toPosition(position + index),
      payload,
    }))
    const silent: RegionLog = Object.assign(Object.create(log) as RegionLog, {
      readDocument: () => {
        throw new Error('the log is read')
      },
    })
    const { compact } = await sit({ log: silent, recent: () => recent })
    expect(await compact()).toMatchObject({ tailCount: 3, position: position + 2 })
    expect(await contentOf(log, document)).toEqual({ text: 'abc', tail: 0 })
  })

  it('given a document that was never written, or was erased, then there is nothing to do', async () => {
    const { log, compact, results } = await sit()
    expect(await compact()).toBe(undefined)
    await append(log, typed('abc'))
    await ask<Appended>((done) => log.append([draft(document, new Uint8Array(0), 'erase')], done))
    expect(await compact()).toBe(undefined)
    expect(results).toEqual([
      ['nothing', ''],
      ['nothing', ''],
    ])
  })

  it('given an entry that its engine cannot read, then it fails, nothing is lost, and it waits longer each time', async () => {
    const sitting = await sit()
    await append(sitting.log, [...typed('abc'), new Uint8Array([255, 255, 255, 255])])
    const attempt = async (atMs: number): Promise<string | undefined> => {
      sitting.nowMs = atMs
      expect(await sitting.compact()).toBe(undefined)
      return sitting.results.at(-1)?.[0]
    }
    expect(await attempt(0)).toBe('failed')
    expect(await attempt(9_999)).toBe('dropped')
    expect(await attempt(10_000)).toBe('failed')
    expect(await attempt(29_999)).toBe('dropped')
    expect(await attempt(30_000)).toBe('failed')
    const { entries } = await ask<Read>((done) =>
      sitting.log.readDocument(document, toPosition(0), { bytes: 2 ** 20, entries: 100 }, done),
    )
    expect(entries).toHaveLength(4)
  })

  it('[SES3] given a full queue, then what is beyond it is answered at once and left as it is', async () => {
    const { log, compact, results } = await sit({ limits: { ...limits, queueMax: 2 } })
    const names = ['a', 'b', 'c', 'd', 'e'].map((key) => parseDocument(`acme/notes/${key}`))
    for (const name of names) await append(log, typed('abc'), name)
    const snapshots = await Promise.all(names.map(compact))
    expect(snapshots.map((snapshot) => snapshot !== undefined)).toEqual([true, true, true, false, false])
    expect(results.filter(([result]) => result === 'dropped')).toHaveLength(2)
  })

  it('given the same document twice, then it is folded once', async () => {
    const { log, compactor, compact, results } = await sit()
    await append(log, typed('abc'))
    compactor.compact(document)
    await compact()
    expect(results).toEqual([['done', '']])
  })
})

describe('a thread that folds', () => {
  const work = typed('x'.repeat(3_000))

  it('answers with what the engine says', async () => {
    const folder = new Folder({ memoryMb: 128, timeMs: 20_000 })
    onTestFinished(() => void folder.close())
    const state = yjsEngine.snapshot(work)
    expect(await folder.fold('yjs', work)).toEqual({ kind: 'folded', state })
    expect(await folder.fold('automerge', work)).toEqual({ kind: 'failed', why: 'MeridianError' })
  })

  it('given work that takes too long, then it is ended, and the next work gets another thread', async () => {
    const folder = new Folder({ memoryMb: 128, timeMs: 1 })
    expect(await folder.fold('yjs', work)).toEqual({ kind: 'failed', why: 'time' })
    const patient = new Folder({ memoryMb: 128, timeMs: 20_000, idleMs: 1 })
    expect((await patient.fold('yjs', work)).kind).toBe('folded')
    expect((await patient.fold('yjs', work)).kind).toBe('folded')
    await Promise.all([folder.close(), patient.close()])
  })

  it('given work that needs too much memory, then it is ended, and the process goes on', async () => {
    const folder = new Folder({ memoryMb: 10, timeMs: 20_000 })
    const many = Array.from({ length: 400 }, (_, client) => {
      const doc = new Y.Doc()
      doc.clientID = client + 1
      for (let index = 0; index < 500; index++) doc.getMap('m').set(`${client}-${index}`, 'y')
      return Y.encodeStateAsUpdate(doc)
    })
    expect(await folder.fold('yjs', many)).toEqual({ kind: 'failed', why: 'memory' })
    await folder.close()
  })

  it('given work under way when it is closed, then the work is given up', async () => {
    const folder = new Folder({ memoryMb: 128, timeMs: 20_000 })
    const folding = folder.fold('yjs', work)
    await folder.close()
    expect(await folding).toEqual({ kind: 'failed', why: 'closed' })
  })
})
