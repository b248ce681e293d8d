/**
 * What every `RegionLog` does, whatever it is made of: written against the contract in core/src/log.ts and nothing else. The SQLite log
 * and the simulator's run it; a new log is done when it passes.
 */

import type { Draft, Entry } from '@meridian/core/entry'
import { encodeControl } from '@meridian/core/entry'
import { toHybridTime } from '@meridian/core/hybrid-time'
import type { DeviceId, DocumentName, GroupId, ReplicaId } from '@meridian/core/ids'
import { parseDevice, parseDocument, parseGroup, parseRegion, replicaParts, toPosition } from '@meridian/core/ids'
import type {
  Appended,
  DocumentInfo,
  Done,
  GroupInfo,
  LastPush,
  ListedDocument,
  Outcome,
  Read,
  RegionLog,
  Snapshot,
} from '@meridian/core/log'
import { emptyVersion } from '@meridian/core/version'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lcg } from './lcg.js'
import { type LinkedLogPlace, registerLinkedLogTests } from './linked-log.js'

/** One place where a log is kept, and its openings. */
export interface LogPlace {
  /** Opens the log as region `eu-west`, or again after its `close` has answered. */
  open(): Promise<RegionLog>
  /** Lets a simulated disk answer what was asked of it; a real one needs nothing. */
  advance?(): void
  /** Ends what is open and removes everything. */
  remove(): Promise<void>
}

/** What a log offers beside `RegionLog`; a part of the suite runs for each. */
export interface LogSupports {
  /** `LinkedLog`: entries of other regions come in, and links read on from a version. `open` answers such a log. */
  readonly links: boolean
}

export function registerLogTests(
  name: string,
  makePlace: () => Promise<LogPlace>,
  supports: LogSupports = { links: false },
): void {
  if (supports.links) registerLinkedLogTests(name, makePlace as () => Promise<LinkedLogPlace>)
  describe(`log: ${name}`, () => {
    let place: LogPlace
    let log: RegionLog

    beforeEach(async () => {
      place = await makePlace()
      log = await place.open()
    })
    afterEach(() => place.remove())

    const outcome = <T>(ask: (done: Done<T>) => void): Promise<Outcome<T>> =>
      new Promise((resolve) => {
        ask(resolve)
        place.advance?.()
      })
    const value = async <T>(ask: (done: Done<T>) => void): Promise<T> => {
      const answer = await outcome(ask)
      expect(answer.kind, answer.kind === 'failed' ? `${answer.code} ${String(answer.cause)}` : '').toBe('done')
      if (answer.kind === 'failed') throw new Error(answer.code)
      return answer.value
    }
    const append = (...drafts: Draft[]): Promise<Appended> => value((done) => log.append(drafts, done))
    const openDocument = (document: DocumentName): Promise<DocumentInfo> => value((done) => log.openDocument(document, done))
    const openGroup = (group: GroupId): Promise<GroupInfo> => value((done) => log.openGroup(group, done))
    const lastPush = (group: GroupId, device: DeviceId): Promise<LastPush | undefined> =>
      value((done) => log.lastPush(group, device, done))
    const readSnapshot = (document: DocumentName): Promise<Snapshot | undefined> =>
      value((done) => log.readSnapshot(document, done))
    const putSnapshot = (snapshot: Snapshot, options = { trim: false }): Promise<void> =>
      value((done) => log.putSnapshot(snapshot, options, done))
    const readDocument = (document: DocumentName, after = 0, limit = unlimited): Promise<Read> =>
      value((done) => log.readDocument(document, toPosition(after), limit, done))
    const readGroup = (group: GroupId, after = 0, limit = unlimited): Promise<Read> =>
      value((done) => log.readGroup(group, toPosition(after), limit, done))
    const reopen = async (): Promise<void> => {
      await close(log)
      log = await place.open()
    }
    const close = (closing: RegionLog): Promise<void> =>
      new Promise((resolve) => {
        closing.close(resolve)
        place.advance?.()
      })

    describe('when empty', () => {
      test('given a log that was never written, when anything is read, then it is empty and nothing fails', async () => {
        expect(log.position).toBe(0)
        expect(replicaParts(log.replica)).toMatchObject({ region: 'eu-west', counter: 1 })
        expect(await openDocument(notes)).toEqual({
          document: notes,
          engine: undefined,
          life: 0,
          ended: false,
          version: emptyVersion,
          position: 0,
          snapshot: undefined,
          tailCount: 0,
          tailBytes: 0,
        })
        expect(await openGroup(acme)).toEqual({
          version: emptyVersion,
          closed: new Map(),
          sealed: new Map(),
          seals: new Map(),
          position: 0,
        })
        expect(await lastPush(acme, device(1))).toBeUndefined()
        expect(await readSnapshot(notes)).toBeUndefined()
        expect(await readDocument(notes)).toEqual({ entries: [], asOf: 0, more: false, trimmed: 0 })
        expect(await readGroup(acme)).toEqual({ entries: [], asOf: 0, more: false, trimmed: 0 })
      })
    })

    describe('appending', () => {
      test('given any call, when it is made, then its answer comes later and once', async () => {
        const answers: string[] = []
        const note = (what: string) => () => answers.push(what)
        log.append([draft(notes, 'a')], note('append'))
        log.openDocument(notes, note('openDocument'))
        log.openGroup(acme, note('openGroup'))
        log.lastPush(acme, device(1), note('lastPush'))
        log.readDocument(notes, toPosition(0), unlimited, note('readDocument'))
        log.readGroup(acme, toPosition(0), unlimited, note('readGroup'))
        log.readSnapshot(notes, note('readSnapshot'))
        expect(answers).toEqual([])
        await append(draft(notes, 'b'))
        await openDocument(notes)
        await close(log)
        expect(answers.sort()).toEqual([
          'append',
          'lastPush',
          'openDocument',
          'openGroup',
          'readDocument',
          'readGroup',
          'readSnapshot',
        ])
      })

      test('[LOG1] given a batch, when it is durable, then its entries are there entirely, in its order', async () => {
        const drafts = [
          draft(notes, 'one', { push: { device: device(1), counter: 7 } }),
          draft(drawing, 'two', { engine: 'automerge', epoch: 3, life: 1, time: toHybridTime(1_790_000_000_000 * 1024 + 5) }),
          draft(notes, ''),
          { ...draft(notes, 'state'), document: undefined, engine: undefined, life: 0, kind: 'state' as const },
        ]
        const appended = await append(...drafts)
        expect(appended).toMatchObject({ replica: log.replica, position: 1, sequences: [1, 2, 3, 4] })
        expect(log.position).toBe(4)
        const { entries, asOf, more, trimmed } = await readGroup(acme)
        expect({ asOf, more, trimmed }).toEqual({ asOf: 4, more: false, trimmed: 0 })
        expect(entries.map(withoutChain)).toEqual(
          drafts.map(({ group, document, engine, life, kind, epoch, time, payload }, index) => ({
            ...{ group, document, engine, life, kind, epoch, time },
            payload: hex(payload),
            position: index + 1,
            replica: log.replica,
            sequence: index + 1,
          })),
        )
        expect(new Set(entries.map((entry) => entry.chain)).size).toBe(4)
        expect((await readDocument(notes)).entries.map((entry) => entry.position)).toEqual([1, 3])
      })

      test('[LOG1] given an append that was answered, when a read is asked for in its answer, then it sees the entry', async () => {
        for (let round = 1; round <= 20; round++) {
          const read = await new Promise<Outcome<Read>>((resolve) => {
            log.append([draft(notes, `${round}`)], () => {
              log.readDocument(notes, toPosition(round - 1), unlimited, resolve)
              place.advance?.()
            })
            place.advance?.()
          })
          expect(read).toMatchObject({ kind: 'done', value: { entries: [{ position: round }], asOf: round } })
        }
      })

      test('[LOG3] given batches that do not wait for one another, when they are durable, then they stand in the order of the calls without a gap', async () => {
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_, index) =>
            append(...Array.from({ length: (index % 7) + 1 }, (_, at) => draft(notes, `${index}.${at}`))),
          ),
        )
        let position = 1
        for (const answer of answers) {
          expect(answer.position).toBe(position)
          expect(answer.sequences).toEqual(answer.sequences.map((_, at) => position + at))
          position += answer.sequences.length
        }
        expect((await readGroup(acme)).entries.map((entry) => entry.position)).toEqual(
          Array.from({ length: position - 1 }, (_, at) => at + 1),
        )
      })

      test('given several groups, when they are written in one batch, then each counts its own sequences from 1', async () => {
        const { sequences } = await append(
          draft(notes, 'a'),
          draft(other, 'b'),
          draft(notes, 'c'),
          draft(other, 'd'),
          draft(drawing, 'e'),
        )
        expect(sequences).toEqual([1, 1, 2, 2, 3])
        expect((await readGroup(acme)).entries.map((entry) => entry.position)).toEqual([1, 3, 5])
        expect((await readGroup(globex)).entries.map((entry) => entry.position)).toEqual([2, 4])
        expect((await openGroup(globex)).version.sequences).toEqual(new Map([[log.replica, 2]]))
        expect((await openGroup(globex)).position).toBe(4)
      })

      test('given an empty batch, when it is appended, then it answers and nothing is written', async () => {
        await append(draft(notes, 'a'))
        expect((await append()).sequences).toEqual([])
        expect((await append(draft(notes, 'b'))).position).toBe(2)
      })

      test('given payloads from 0 bytes to 5 MiB, when they are read, then they are the same', async () => {
        const payloads = [0, 1, 200, 4095, 4096, 4097, 65_537, 1_048_575, 1_048_577, 5 * 1024 * 1024].map(noise)
        for (const payload of payloads) await append(draft(notes, '', { payload }))
        const { entries } = await readDocument(notes)
        expect(entries.map((entry) => Buffer.compare(entry.payload, payloads[entry.position - 1] ?? noise(3)))).toEqual(
          payloads.map(() => 0),
        )
      })

      test('given a payload that its owner changes after the call, when the entry is read, then it is as it was', async () => {
        const payload = Buffer.from('before')
        const appended = append(draft(notes, '', { payload }))
        payload.write('after!')
        await appended
        expect((await readDocument(notes)).entries.map((entry) => Buffer.from(entry.payload).toString())).toEqual(['before'])
      })

      test('given names of all lengths and scripts, when they are read, then they are the same', async () => {
        const documents = ['a', 'ключ', '文書/二', '🜁', 'x'.repeat(512)].map((key) => parseDocument(`acme/notes/${key}`))
        await append(...documents.map((document) => draft(document, document)))
        expect((await readGroup(acme)).entries.map((entry) => entry.document)).toEqual(documents)
        for (const document of documents) {
          expect((await readDocument(document)).entries.map((entry) => Buffer.from(entry.payload).toString())).toEqual([document])
        }
      })
    })

    describe('reading', () => {
      test('given a cursor, when it is read from, then what is beyond it comes and nothing else', async () => {
        await append(draft(notes, 'a'), draft(drawing, 'b'), draft(notes, 'c'), draft(notes, 'd'))
        expect(positions(await readDocument(notes, 1))).toEqual([3, 4])
        expect(positions(await readDocument(notes, 3))).toEqual([4])
        expect(await readDocument(notes, 4)).toEqual({ entries: [], asOf: 4, more: false, trimmed: 0 })
        expect(positions(await readGroup(acme, 2))).toEqual([3, 4])
        expect((await readDocument(drawing, 2)).asOf).toBe(4)
      })

      test('[SES3] given limits of n entries, when n and n + 1 are there, then `more` tells them apart', async () => {
        await append(draft(notes, 'a'), draft(notes, 'b'), draft(drawing, 'x'), draft(notes, 'c'))
        for (const read of [readDocumentOf(notes), readGroupOf(acme)]) {
          const all = positions(await read(0, unlimited))
          expect(await read(0, { entries: all.length, bytes: 1000 })).toMatchObject({ asOf: 4, more: false })
          const short = await read(0, { entries: all.length - 1, bytes: 1000 })
          expect({ positions: positions(short), asOf: short.asOf, more: short.more }).toEqual({
            positions: all.slice(0, -1),
            asOf: all.at(-2),
            more: true,
          })
        }
      })

      test('[SES3] given limits of n bytes, when n and n + 1 are there, then no read goes beyond n', async () => {
        await append(draft(notes, '12345'), draft(notes, '67890'), draft(notes, 'a'))
        for (const read of [readDocumentOf(notes), readGroupOf(acme)]) {
          expect(positions(await read(0, { entries: 100, bytes: 11 }))).toEqual([1, 2, 3])
          expect(await read(0, { entries: 100, bytes: 10 })).toMatchObject({
            entries: [{ position: 1 }, { position: 2 }],
            asOf: 2,
            more: true,
          })
          expect(positions(await read(0, { entries: 100, bytes: 9 }))).toEqual([1])
        }
      })

      test('given an entry larger than the limit, when it is next, then it comes alone', async () => {
        await append(draft(notes, 'a'), draft(notes, 'too long'), draft(notes, 'b'))
        for (const read of [readDocumentOf(notes), readGroupOf(acme)]) {
          expect(positions(await read(0, { entries: 0, bytes: 0 }))).toEqual([1])
          expect(positions(await read(1, { entries: 10, bytes: 2 }))).toEqual([2])
          expect(positions(await read(2, { entries: 10, bytes: 2 }))).toEqual([3])
        }
      })

      test('given a long log, when it is read page by page, then each entry comes once and in order', async () => {
        const documents = Array.from({ length: 17 }, (_, index) => parseDocument(`acme/notes/${index}`))
        const expected: number[] = []
        for (let batch = 0; batch < 20; batch++) {
          const drafts = Array.from({ length: 300 }, (_, at) =>
            draft(documents[(batch * 31 + at * at) % 17] ?? notes, `${batch}.${at}`),
          )
          const { position } = await append(...drafts)
          for (let at = 0; at < drafts.length; at++) if (drafts[at]?.document === documents[3]) expected.push(position + at)
        }
        expect(await pages(readDocumentOf(documents[3] ?? notes), { entries: 100, bytes: 10_000 })).toEqual(expected)
        expect(await pages(readGroupOf(acme), { entries: 1000, bytes: 4000 })).toEqual(
          Array.from({ length: 6000 }, (_, at) => at + 1),
        )
        expect(await openDocument(documents[3] ?? notes)).toMatchObject({ position: expected.at(-1), tailCount: expected.length })
      })
    })

    describe('opening again', () => {
      test('[LOG2] given a log that was closed, when it is opened, then it is a new incarnation with the same entries, and sequences begin at 1', async () => {
        const first = log.replica
        await append(draft(notes, 'a', { push: { device: device(1), counter: 1 } }), draft(notes, 'b'))
        const before = (await readGroup(acme)).entries.map((entry) => ({ ...entry, payload: hex(entry.payload) }))
        await reopen()
        expect(replicaParts(log.replica)).toMatchObject({ region: 'eu-west', counter: 2 })
        expect(replicaParts(log.replica).random).not.toBe(replicaParts(first).random)
        expect(log.position).toBe(2)
        expect((await readGroup(acme)).entries.map((entry) => ({ ...entry, payload: hex(entry.payload) }))).toEqual(before)
        expect(await append(draft(notes, 'c'))).toMatchObject({ replica: log.replica, position: 3, sequences: [1] })
        expect((await readGroup(acme)).entries.map((entry) => [entry.replica, entry.sequence])).toEqual([
          [first, 1],
          [first, 2],
          [log.replica, 1],
        ])
        expect((await openDocument(notes)).version.sequences).toEqual(
          new Map([
            [first, 2],
            [log.replica, 1],
          ]),
        )
        expect(await lastPush(acme, device(1))).toEqual({ replica: first, sequence: 1, counter: 1 })
      })

      test('[LOG5] given closed incarnations, when the group is opened, then they are told from the one that is open', async () => {
        const first = log.replica
        await append(draft(notes, 'a'), draft(notes, 'b'))
        expect((await openGroup(acme)).closed).toEqual(new Map())
        await reopen()
        const second = log.replica
        await append(draft(notes, 'c'))
        await reopen()
        expect((await openGroup(acme)).closed).toEqual(
          new Map([
            [first, 2],
            [second, 1],
          ]),
        )
        // An incarnation that wrote nothing in the group is none of the group's.
        expect((await openGroup(globex)).closed).toEqual(new Map())
      })
    })

    describe('sealing', () => {
      test('[LOG5] given a seal, when it is durable, then the floor stands for what it names, by the chain value of its entry', async () => {
        const first = log.replica
        await append(draft(notes, 'a'), draft(notes, 'b'))
        await reopen()
        const second = log.replica
        await append(draft(notes, 'c'), draft(other, 'd'))
        await reopen()
        await append(draft(notes, 'e'), seal(2, { [first]: 2, [second]: 1 }))
        const sealEntry = (await readGroup(acme)).entries.at(-1)
        const expected = {
          version: {
            floors: new Map([[parseRegion('eu-west'), { counter: 2, seal: sealEntry?.chain }]]),
            sequences: new Map([[log.replica, 2]]),
          },
          closed: new Map(),
          sealed: new Map([
            [first, 2],
            [second, 1],
          ]),
          seals: new Map([['eu-west#2', sealEntry?.chain]]),
          position: 6,
        }
        expect(await openGroup(acme)).toEqual(expected)
        expect((await openGroup(globex)).version.floors).toEqual(new Map())
        expect((await openGroup(globex)).closed).toEqual(new Map([[second, 1]]))
        const third = log.replica
        await reopen()
        expect(await openGroup(acme)).toEqual({ ...expected, closed: new Map([[third, 2]]) })
        // Dots of a document stay what they are: a floor is of the group's version only.
        expect((await openDocument(notes)).version.sequences.get(first)).toBe(2)
      })

      test('[LOG5] given a second seal, when it is durable, then the floor rises, and a lower one does not lower it', async () => {
        const first = log.replica
        await append(draft(notes, 'a'))
        await reopen()
        const second = log.replica
        await append(draft(notes, 'b'), seal(1, { [first]: 1 }))
        await reopen()
        await append(seal(2, { [second]: 2 }))
        await append(seal(1, { [first]: 1 }))
        const { version, sealed, seals } = await openGroup(acme)
        expect(version.floors.get(parseRegion('eu-west'))?.counter).toBe(2)
        expect([...seals.keys()]).toEqual(['eu-west#1', 'eu-west#2'])
        expect(version.sequences).toEqual(new Map([[log.replica, 2]]))
        expect(sealed).toEqual(
          new Map([
            [first, 1],
            [second, 2],
          ]),
        )
      })
    })

    describe('pushes', () => {
      test('[SES2] given pushes of devices, when they are durable, then the newest of each device in each group is known', async () => {
        await append(
          draft(notes, 'a', { push: { device: device(1), counter: 1 } }),
          draft(notes, 'b', { push: { device: device(2), counter: 10 } }),
          draft(drawing, 'c', { push: { device: device(1), counter: 5 } }),
          draft(other, 'd', { push: { device: device(1), counter: 2 } }),
          draft(notes, 'e'),
        )
        expect(await lastPush(acme, device(1))).toEqual({ replica: log.replica, sequence: 3, counter: 5 })
        expect(await lastPush(acme, device(2))).toEqual({ replica: log.replica, sequence: 2, counter: 10 })
        expect(await lastPush(globex, device(1))).toEqual({ replica: log.replica, sequence: 1, counter: 2 })
        expect(await lastPush(globex, device(2))).toBeUndefined()
        expect(await lastPush(acme, device(3))).toBeUndefined()
      })

      test('[SES2] given an opening between, when a device pushes again, then the newer counter stands', async () => {
        const first = log.replica
        await append(
          draft(notes, 'a', { push: { device: device(1), counter: 4 } }),
          draft(notes, 'b', { push: { device: device(2), counter: 1 } }),
        )
        await reopen()
        await append(draft(notes, 'c', { push: { device: device(1), counter: 9 } }))
        expect(await lastPush(acme, device(1))).toEqual({ replica: log.replica, sequence: 1, counter: 9 })
        expect(await lastPush(acme, device(2))).toEqual({ replica: first, sequence: 2, counter: 1 })
      })
    })

    describe('snapshots', () => {
      test('given a snapshot, when it is durable, then it is read as it was put, and the tail begins behind it', async () => {
        await append(draft(notes, 'aa'), draft(notes, 'bbb'), draft(notes, 'cccc'))
        const snapshot = snapshotOf(notes, 2, { replica: log.replica, sequence: 2, bytes: noise(1000) })
        await putSnapshot(snapshot)
        expect(await readSnapshot(notes)).toEqual(plain(snapshot))
        expect(await openDocument(notes)).toEqual({
          document: notes,
          engine: 'yjs',
          life: 1,
          ended: false,
          version: { floors: new Map(), sequences: new Map([[log.replica, 3]]) },
          position: 3,
          snapshot: { position: 2, version: snapshot.version, bytes: 1000, index: snapshot.state.index },
          tailCount: 1,
          tailBytes: 4,
        })
        expect(await readDocument(notes)).toMatchObject({
          entries: [{ position: 1 }, { position: 2 }, { position: 3 }],
          trimmed: 0,
        })
        await reopen()
        expect(await readSnapshot(notes)).toEqual(plain(snapshot))
      })

      test('given snapshots from 0 bytes to 5 MiB, when each replaces the one before, then it is read as it was put', async () => {
        await append(draft(notes, 'a'))
        for (const bytes of [0, 1, 1_048_576, 1_048_577, 5 * 1024 * 1024, 10].map(noise)) {
          const snapshot = snapshotOf(notes, 1, { replica: log.replica, sequence: 1, bytes })
          await putSnapshot(snapshot)
          const read = await readSnapshot(notes)
          expect(Buffer.compare(read?.state.bytes ?? noise(2), bytes)).toBe(0)
        }
      })

      test('given an older snapshot, when it comes late, then the newer one stands', async () => {
        await append(draft(notes, 'a'), draft(notes, 'b'))
        await putSnapshot(snapshotOf(notes, 2, { replica: log.replica, sequence: 2, bytes: noise(2) }))
        await putSnapshot(snapshotOf(notes, 1, { replica: log.replica, sequence: 1, bytes: noise(1) }))
        expect((await readSnapshot(notes))?.position).toBe(2)
      })

      test('[LOG4] given a snapshot that trims, when it is durable, then what it covers is gone and reads say so', async () => {
        await append(draft(notes, 'a'), draft(drawing, 'b'), draft(notes, 'c'), draft(notes, 'd'), draft(other, 'e'))
        await putSnapshot(snapshotOf(notes, 3, { replica: log.replica, sequence: 3, bytes: noise(10) }), { trim: true })
        for (let round = 0; round < 2; round++) {
          expect(await readDocument(notes)).toMatchObject({ entries: [{ position: 4 }], asOf: 5, more: false, trimmed: 3 })
          expect(await readDocument(notes, 3)).toMatchObject({ entries: [{ position: 4 }], trimmed: 3 })
          expect(await readGroup(acme)).toMatchObject({ entries: [{ position: 2 }, { position: 4 }], trimmed: 3 })
          expect(await readDocument(drawing)).toMatchObject({ entries: [{ position: 2 }], trimmed: 0 })
          expect(await readGroup(globex)).toMatchObject({ entries: [{ position: 5 }], trimmed: 0 })
          expect(await openDocument(notes)).toMatchObject({ position: 4, tailCount: 1, tailBytes: 1, snapshot: { position: 3 } })
          await reopen()
        }
      })

      test('[LOG4] given everything trimmed, when the log goes on, then positions and sequences go on too', async () => {
        await append(draft(notes, 'a'), draft(notes, 'b'))
        const { replica } = log
        await putSnapshot(snapshotOf(notes, 2, { replica, sequence: 2, bytes: noise(10) }), { trim: true })
        expect(await openGroup(acme)).toMatchObject({ position: 2, version: { sequences: new Map([[replica, 2]]) } })
        expect((await append(draft(notes, 'c'))).sequences).toEqual([3])
        await putSnapshot(snapshotOf(notes, 3, { replica, sequence: 3, bytes: noise(10) }), { trim: true })
        await reopen()
        expect(log.position).toBe(3)
        expect(await openDocument(notes)).toMatchObject({
          position: 3,
          tailCount: 0,
          version: { sequences: new Map([[replica, 3]]) },
        })
        expect((await append(draft(notes, 'd'))).position).toBe(4)
        expect(positions(await readGroup(acme))).toEqual([4])
      })

      test('[LOG4] given a tail of thousands of entries among others, when it is trimmed, then no read shows any of them at any time', async () => {
        for (let batch = 0; batch < 12; batch++) {
          await append(...Array.from({ length: 500 }, (_, at) => draft(at % 3 === 0 ? drawing : notes, `${batch}.${at}`)))
        }
        const last = 5000
        const expected = Array.from({ length: 6000 }, (_, at) => at + 1).filter(
          (position) => position > last || ((position - 1) % 500) % 3 === 0,
        )
        await putSnapshot(snapshotOf(notes, last, { replica: log.replica, sequence: last, bytes: noise(10) }), { trim: true })
        for (let round = 0; round < 3; round++) {
          expect(await pages(readGroupOf(acme), { entries: 1500, bytes: 100_000 })).toEqual(expected)
          expect(positions(await readDocument(notes))).toEqual(
            expected.filter((position) => position > last && ((position - 1) % 500) % 3 !== 0),
          )
        }
        await reopen()
        expect(await pages(readGroupOf(acme), { entries: 1500, bytes: 100_000 })).toEqual(expected)
      })
    })

    describe('lives', () => {
      test('[RES7] given an erase, when it is durable, then the life has ended; an update of the next one begins it', async () => {
        await append(draft(notes, 'a'), draft(notes, 'b'))
        await putSnapshot(snapshotOf(notes, 2, { replica: log.replica, sequence: 2, bytes: noise(10) }))
        await append(draft(notes, '', { kind: 'erase' }))
        expect(await openDocument(notes)).toMatchObject({ life: 1, ended: true, position: 3, snapshot: undefined })
        expect(await readSnapshot(notes)).toBeUndefined()
        // A snapshot that was in the making is of no more use.
        await putSnapshot(snapshotOf(notes, 2, { replica: log.replica, sequence: 2, bytes: noise(10) }), { trim: true })
        expect(await readSnapshot(notes)).toBeUndefined()
        await append(draft(notes, 'second', { life: 2 }))
        for (let round = 0; round < 2; round++) {
          expect(await openDocument(notes)).toMatchObject({
            life: 2,
            ended: false,
            position: 4,
            tailCount: 1,
            tailBytes: 6,
            snapshot: undefined,
          })
          expect(positions(await readDocument(notes))).toEqual([4])
          expect((await readGroup(acme)).entries.map((entry) => [entry.kind, entry.life])).toEqual([
            ['erase', 1],
            ['update', 2],
          ])
          await reopen()
        }
      })

      test('[RES7] given an erase, when it is durable, then nothing of the life before is read any more, and readers of the group see the hole', async () => {
        await append(draft(notes, 'a'), draft(drawing, 'other'), draft(notes, 'b'))
        await append(draft(notes, '', { kind: 'erase' }), draft(drawing, 'more'))
        for (let round = 0; round < 2; round++) {
          expect(await readDocument(notes)).toMatchObject({ entries: [{ kind: 'erase', position: 4 }], trimmed: 3 })
          expect(await readDocument(notes, 3)).toMatchObject({ entries: [{ position: 4 }] })
          expect(positions(await readDocument(drawing))).toEqual([2, 5])
          expect(await readGroup(acme)).toMatchObject({
            entries: [{ position: 2 }, { position: 4 }, { position: 5 }],
            trimmed: 3,
          })
          expect(await openDocument(notes)).toMatchObject({ ended: true, tailCount: 1, tailBytes: 0, position: 4 })
          await reopen()
        }
      })

      test('[RES7] given a late entry of a life that ended, when it is appended, then it is none of the document that lives now', async () => {
        await append(
          draft(notes, 'a'),
          draft(notes, '', { kind: 'erase' }),
          draft(notes, 'b', { life: 2 }),
          draft(notes, 'late', { life: 1 }),
        )
        expect(await openDocument(notes)).toMatchObject({ life: 2, ended: false, position: 3, tailCount: 1 })
        expect(positions(await readDocument(notes))).toEqual([3])
        expect(positions(await readGroup(acme))).toEqual([2, 3])
      })

      test('[RES7] given a trimmed life, when the next one begins, then its reads have no hole', async () => {
        await append(draft(notes, 'a'))
        await putSnapshot(snapshotOf(notes, 1, { replica: log.replica, sequence: 1, bytes: noise(10) }), { trim: true })
        await append(draft(notes, '', { kind: 'erase' }), draft(notes, 'b', { life: 2 }))
        expect(await readDocument(notes)).toMatchObject({ entries: [{ position: 3 }], trimmed: 0 })
        await putSnapshot(snapshotOf(notes, 3, { life: 2, replica: log.replica, sequence: 3, bytes: noise(10) }), { trim: true })
        expect(await readDocument(notes)).toMatchObject({ entries: [], trimmed: 3 })
      })
    })

    describe('lists', () => {
      test('given documents, when listed by prefix and page, then they come by their bytes, with their life, and no others', async () => {
        const names = [
          'acme/notes/b',
          'acme/notes/a',
          'acme/notes/a/b',
          'acme/notes/\u00e9',
          'acme/notes/\u{1f600}',
          'acme/notes/\uff5e',
          'acme/notes2/a',
          'acme/note/a',
        ]
        await append(...names.map((name) => draft(parseDocument(name), 'x')))
        await append(draft(parseDocument('acme/notes/b'), '', { kind: 'erase' }))
        const list = (prefix: string, after = '', count = 100) =>
          value<readonly ListedDocument[]>((done) => log.listDocuments(prefix, after, count, done))
        const inOrder = [
          'acme/notes/a',
          'acme/notes/a/b',
          'acme/notes/b',
          'acme/notes/\u00e9',
          'acme/notes/\uff5e',
          'acme/notes/\u{1f600}',
        ]
        for (let round = 0; round < 2; round++) {
          expect(await list('acme/notes/')).toEqual(
            inOrder.map((document) => ({ document, engine: 'yjs', life: 1, ended: document === 'acme/notes/b' })),
          )
          expect((await list('acme/notes/a')).map((one) => one.document)).toEqual(inOrder.slice(0, 2))
          expect((await list('acme/notes/', 'acme/notes/a/b', 2)).map((one) => one.document)).toEqual(inOrder.slice(2, 4))
          expect(await list('acme/none/')).toEqual([])
          expect(await list('acme/notes/', 'acme/z')).toEqual([])
          await reopen()
        }
      })
    })

    describe('groups', () => {
      test('given groups that something was written to, when they are listed, then it is these, by name, also after a restart', async () => {
        await append(draft(notes, 'x'), draft(parseDocument('acme/notes/z'), 'y'))
        const elsewhere = parseGroup('acme/a/b')
        await append({ ...draft(parseDocument('acme/other/z'), 'y'), group: elsewhere })
        await value<GroupInfo>((done) => log.openGroup(parseGroup('acme/never'), done))
        for (let round = 0; round < 2; round++) {
          const groups = await value<readonly GroupId[]>((done) => log.listGroups(done))
          expect(groups).toEqual([elsewhere, draft(notes, 'x').group])
          await reopen()
        }
      })
    })

    describe('closing', () => {
      test('given appends under way, when the log is closed, then they are durable and answered first', async () => {
        const answers = Array.from({ length: 10 }, (_, index) => append(draft(notes, `${index}`)))
        await Promise.all([close(log), ...answers])
        log = await place.open()
        expect(positions(await readDocument(notes))).toHaveLength(10)
      })

      test('given a closed log, when it is used, then it answers LOG_UNAVAILABLE, and closing again is answered', async () => {
        await append(draft(notes, 'a'))
        await close(log)
        await close(log)
        expect(await outcome<Appended>((done) => log.append([draft(notes, 'b')], done))).toMatchObject({
          kind: 'failed',
          code: 'LOG_UNAVAILABLE',
        })
        expect(await outcome<DocumentInfo>((done) => log.openDocument(notes, done))).toMatchObject({
          kind: 'failed',
          code: 'LOG_UNAVAILABLE',
        })
        log = await place.open()
        expect(positions(await readDocument(notes))).toEqual([1])
      })
    })

    describe('against a model', () => {
      test.each([1, 2, 3])(
        'given a random history (seed %i), when everything is read, then it is what a plain array says',
        async (seed) => {
          const random = lcg(seed)
          const documents = Array.from({ length: 12 }, (_, index) =>
            parseDocument(`${index < 9 ? 'acme' : 'globex'}/notes/${index}`),
          )
          const model = new Model()
          for (let step = 0; step < 120; step++) {
            const choice = random(100)
            if (choice < 80) {
              const drafts = Array.from({ length: 1 + random(60) }, () => {
                const document = documents[random(documents.length)] ?? notes
                const { life, ended } = model.document(document)
                if (random(40) === 0 && life > 0 && !ended) return draft(document, '', { kind: 'erase', life })
                return draft(document, 'x'.repeat(random(30)), {
                  life: ended || life === 0 ? life + 1 : life,
                  push: { device: device(random(5)), counter: model.counter++ },
                })
              }).filter(
                (made, index, all) =>
                  all.findIndex((one) => one.document === made.document && one.kind === 'erase') === -1 ||
                  index === all.findIndex((one) => one.document === made.document),
              )
              const { position, sequences } = await append(...drafts)
              model.append(drafts, { replica: log.replica, position, sequences })
            } else if (choice < 92) {
              const document = documents[random(documents.length)] ?? notes
              const { life, ended, tail } = model.document(document)
              const at = tail[random(Math.max(1, tail.length))]
              if (at === undefined || ended) continue
              const trim = random(3) > 0
              await putSnapshot(
                snapshotOf(document, at.position, { life, replica: at.replica, sequence: at.sequence, bytes: noise(random(50)) }),
                { trim },
              )
              model.snapshot(document, at.position, trim)
            } else if (choice < 96) {
              await reopen()
            } else {
              await compare(model, documents)
            }
          }
          await compare(model, documents)
          await reopen()
          await compare(model, documents)
        },
      )

      async function compare(model: Model, documents: readonly DocumentName[]): Promise<void> {
        expect(log.position).toBe(model.position)
        for (const document of documents) {
          const { life, ended, tail, snapshot, trimmed } = model.document(document)
          const behind = tail.filter((entry) => entry.position > (snapshot ?? 0))
          const info = await openDocument(document)
          expect(info).toMatchObject({
            life,
            ended,
            tailCount: behind.length,
            tailBytes: behind.reduce((sum, entry) => sum + entry.bytes, 0),
          })
          expect(info.snapshot?.position).toBe(snapshot)
          const read = await readDocument(document)
          expect({ positions: positions(read), trimmed: read.trimmed }).toEqual({
            positions: tail.map((entry) => entry.position),
            trimmed,
          })
        }
        for (const group of [acme, globex]) {
          expect(positions(await readGroup(group))).toEqual(model.group(group))
          for (let index = 0; index < 5; index++)
            expect(await lastPush(group, device(index))).toEqual(model.pushes.get(`${group} ${device(index)}`))
        }
      }
    })

    const readDocumentOf = (document: DocumentName) => (after: number, limit: typeof unlimited) =>
      readDocument(document, after, limit)
    const readGroupOf = (group: GroupId) => (after: number, limit: typeof unlimited) => readGroup(group, after, limit)
  })
}

/** The naive oracle: all entries in one array. */
class Model {
  position = 0
  counter = 1
  readonly pushes = new Map<string, LastPush>()
  private entries: {
    position: number
    group: GroupId
    document: DocumentName
    life: number
    replica: ReplicaId
    sequence: number
    bytes: number
  }[] = []
  private readonly lives = new Map<
    DocumentName,
    { life: number; ended: boolean; snapshot: number | undefined; trimmed: number }
  >()

  append(drafts: readonly Draft[], { replica, position, sequences }: Appended): void {
    drafts.forEach((made, index) => {
      const { group, document, life, kind, push } = made
      if (document === undefined) return
      const sequence = sequences[index] ?? 0
      this.position = position + index
      this.entries.push({ position: this.position, group, document, life, replica, sequence, bytes: made.payload.length })
      if (push !== undefined) this.pushes.set(`${group} ${push.device}`, { replica, sequence, counter: push.counter })
      const held = this.lives.get(document)
      if (held === undefined || life > held.life)
        this.lives.set(document, { life, ended: kind === 'erase', snapshot: undefined, trimmed: 0 })
      else if (kind === 'erase' && life === held.life) this.erase(document, life)
    })
  }

  /** RES7: only the erase itself, the newest entry, stays. */
  private erase(document: DocumentName, life: number): void {
    this.lives.set(document, { life, ended: true, snapshot: undefined, trimmed: this.position - 1 })
    this.entries = this.entries.filter((entry) => entry.document !== document || entry.position >= this.position)
  }

  snapshot(document: DocumentName, position: number, trim: boolean): void {
    const held = this.lives.get(document)
    if (held === undefined || held.ended || (held.snapshot ?? 0) > position) return
    held.snapshot = position
    if (!trim) return
    held.trimmed = position
    this.entries = this.entries.filter(
      (entry) => entry.document !== document || entry.position > position || entry.life > held.life,
    )
  }

  document(document: DocumentName): {
    life: number
    ended: boolean
    snapshot: number | undefined
    trimmed: number
    tail: Model['entries']
  } {
    const held = this.lives.get(document) ?? { life: 0, ended: false, snapshot: undefined, trimmed: 0 }
    return { ...held, tail: this.entries.filter((entry) => entry.document === document && entry.life === held.life) }
  }

  group(group: GroupId): number[] {
    return this.entries.filter((entry) => entry.group === group).map((entry) => entry.position)
  }
}

export const unlimited = { bytes: Number.MAX_SAFE_INTEGER, entries: Number.MAX_SAFE_INTEGER }

export const acme = parseGroup('acme/default')
export const globex = parseGroup('globex/default')
export const notes = parseDocument('acme/notes/42')
export const drawing = parseDocument('acme/drawings/7')
export const other = parseDocument('globex/notes/1')
export const device = (number: number): DeviceId => parseDevice(number.toString(16).padStart(32, '0'))

/** A draft in the document's own group, `tenant/default`. */
export function draft(document: DocumentName, text: string, rest: Partial<Draft> = {}): Draft {
  return {
    group: parseGroup(`${document.slice(0, document.indexOf('/'))}/default`),
    document,
    engine: 'yjs',
    life: 1,
    kind: 'update',
    epoch: 0,
    time: toHybridTime(1_790_000_000_000 * 1024),
    payload: new TextEncoder().encode(text),
    ...rest,
  }
}

function seal(counter: number, last: Record<string, number>): Draft {
  const payload = encodeControl({ kind: 'seal', counter, last: new Map(Object.entries(last) as [ReplicaId, number][]) })
  return { ...draft(notes, '', { payload, kind: 'control', life: 0 }), document: undefined, engine: undefined }
}

export function snapshotOf(
  document: DocumentName,
  position: number,
  rest: { readonly life?: number; readonly replica: ReplicaId; readonly sequence: number; readonly bytes: Uint8Array },
): Snapshot {
  return {
    document,
    life: rest.life ?? 1,
    position: toPosition(position),
    version: { floors: new Map(), sequences: new Map([[rest.replica, rest.sequence]]) },
    state: { bytes: rest.bytes, index: new TextEncoder().encode(`index ${position}`) },
  }
}

/** Bytes that no compression and no zero page makes look right. */
export function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = length + 1
  for (let index = 0; index < length; index++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff
    bytes[index] = state >>> 16
  }
  return bytes
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const positions = (read: Read): number[] => read.entries.map((entry) => entry.position)
function withoutChain(entry: Entry): object {
  const { group, document, engine, life, kind, epoch, time, payload, position, replica, sequence } = entry
  return { group, document, engine, life, kind, epoch, time, payload: hex(payload), position, replica, sequence }
}
const plain = (snapshot: Snapshot) => ({
  ...snapshot,
  state: { bytes: new Uint8Array(snapshot.state.bytes), index: new Uint8Array(snapshot.state.index) },
})

async function pages(
  read: (after: number, limit: typeof unlimited) => Promise<Read>,
  limit: typeof unlimited,
): Promise<number[]> {
  const all: number[] = []
  for (let after = 0; ; ) {
    const page = await read(after, limit)
    all.push(...positions(page))
    if (!page.more) return all
    after = page.asOf
  }
}
