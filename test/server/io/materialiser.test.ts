/** Materialised documents over a real log: in step with it, bounded, and heavy work in threads. */

import { yjsEngine } from '@meridian/core/engines/yjs'
import type { Draft } from '@meridian/core/entry'
import { toHybridTime } from '@meridian/core/hybrid-time'
import { type DocumentName, parseDocument, parseGroup, parseRegion, toPosition } from '@meridian/core/ids'
import type { Appended, Done, Outcome, RegionLog } from '@meridian/core/log'
import type { Materialisation, Materialised, Worked } from '@meridian/core/materialised'
import { include, mutableVersion } from '@meridian/core/version'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'
import { LogMaterialiser } from '@meridian/server/io/materialiser'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as Y from 'yjs'
import { temporaryFolder } from '../support/running-node.js'

const document = parseDocument('acme/notes/1')
const MiB = 1024 * 1024
const limits = { bytesMax: 64 * MiB, idleMs: 60_000, workersMax: 1, queueMax: 4, memoryMb: 256, timeMs: 20_000 }

async function ask<T>(run: (done: Done<T>) => void): Promise<T> {
  const outcome = await new Promise<Outcome<T>>((resolve) => run(resolve))
  if (outcome.kind === 'failed') throw new Error(outcome.code)
  return outcome.value
}

interface Sitting {
  readonly log: RegionLog
  readonly documents: LogMaterialiser
  nowMs: number
  reads: number
  append(payload: Uint8Array, rest?: Partial<Draft>): Promise<Appended>
  get(name?: DocumentName): Promise<Materialisation>
  state(name?: DocumentName): Promise<Materialised>
}

async function sit(rest: Partial<typeof limits> = {}): Promise<Sitting> {
  const real = await openSqliteLog({ directory: await temporaryFolder(), region: parseRegion('eu-west') })
  const log: RegionLog = Object.create(real, {
    readDocument: {
      value: (...args: Parameters<RegionLog['readDocument']>) => {
        sitting.reads++
        real.readDocument(...args)
      },
    },
    openDocument: { value: (...args: Parameters<RegionLog['openDocument']>) => real.openDocument(...args) },
  }) as RegionLog
  const documents = new LogMaterialiser({
    log,
    clock: { now: () => sitting.nowMs },
    engines: { yjs: yjsEngine },
    limits: { ...limits, ...rest },
  })
  const sitting: Sitting = {
    log,
    documents,
    nowMs: 1_000_000,
    reads: 0,
    append: (payload, more = {}) =>
      ask((done) =>
        real.append(
          [
            {
              group: parseGroup('acme/default'),
              document,
              engine: 'yjs',
              life: 1,
              kind: 'update',
              epoch: 0,
              time: toHybridTime(1),
              payload,
              ...more,
            },
          ],
          done,
        ),
      ),
    get: (name = document) => new Promise((resolve) => documents.materialise(name, resolve)),
    async state(name) {
      const answer = await sitting.get(name)
      if (answer.kind !== 'done') throw new Error(answer.kind)
      return answer.value
    },
  }
  onTestFinished(async () => {
    await documents.close()
    await new Promise<void>((resolve) => real.close(resolve))
  })
  return sitting
}

/** One update a letter. */
function typed(text: string, client = 1): Uint8Array[] {
  const doc = new Y.Doc()
  doc.clientID = client
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  for (const [index, letter] of Array.from(text).entries()) doc.getText('t').insert(index, letter)
  return updates
}

const textOf = (updates: readonly Uint8Array[]): string => yjsEngine.read(updates, { kind: 'text' })
const value = async <T>(run: (done: (answer: Worked<T>) => void) => void): Promise<T> => {
  const answer = await new Promise<Worked<T>>((resolve) => run(resolve))
  if (answer.kind !== 'done') throw new Error(answer.kind === 'refused' ? answer.message : answer.why)
  return answer.value
}

describe('a materialised document', () => {
  it('follows the log: absent, written, behind a snapshot, erased, and in its next life', async () => {
    const sitting = await sit()
    expect(await sitting.get()).toEqual({ kind: 'absent' })
    const [a = noBytes, b = noBytes, c = noBytes] = typed('abc')
    const first = await sitting.append(a)
    expect(await sitting.state()).toMatchObject({ life: 1, position: 1, updates: [a], bytes: a.length })
    await sitting.append(b)
    const second = await sitting.state()
    expect([textOf(second.updates), second.position, second.version.sequences.get(first.replica)]).toEqual(['ab', 2, 2])
    const version = mutableVersion()
    include(version, first.replica, 2)
    const snapshot = { document, life: 1, position: toPosition(2), version, state: yjsEngine.snapshot([a, b]) }
    await ask<void>((done) => sitting.log.putSnapshot(snapshot, { trim: true }, done))
    await sitting.append(c)
    expect(textOf((await sitting.state()).updates)).toBe('abc')
    await sitting.append(noBytes, { kind: 'erase' })
    expect(await sitting.get()).toEqual({ kind: 'ended', life: 1 })
    expect(sitting.documents.cachedCount).toBe(0)
    await sitting.append(typed('z', 9)[0] ?? noBytes, { life: 2 })
    const next = await sitting.state()
    expect([textOf(next.updates), next.life]).toEqual(['z', 2])
  })

  it('given what is cached, when nothing is new, then the log is asked where the document ends and no more', async () => {
    const sitting = await sit()
    for (const update of typed('hello')) await sitting.append(update)
    await sitting.state()
    const { reads } = sitting
    expect(textOf((await sitting.state()).updates)).toBe('hello')
    expect(sitting.reads).toBe(reads)
  })

  it('given many who ask while it is being read, and a write in between, then those who asked after it see it', async () => {
    const sitting = await sit()
    const [a = noBytes, b = noBytes] = typed('ab')
    await sitting.append(a)
    const early = sitting.state()
    await sitting.append(b)
    const late = await Promise.all(Array.from({ length: 20 }, () => sitting.state()))
    expect(['a', 'ab']).toContain(textOf((await early).updates))
    expect(new Set(late.map((state) => textOf(state.updates)))).toEqual(new Set(['ab']))
    expect(sitting.reads).toBeLessThan(5)
  })

  it('given more entries than are worth keeping apart, then they are folded', async () => {
    const sitting = await sit()
    const text = 'x'.repeat(600)
    await Promise.all(typed(text).map((update) => sitting.append(update)))
    const state = await sitting.state()
    expect([state.updates.length, textOf(state.updates)]).toEqual([1, text])
    expect(await value((done) => sitting.documents.whole(state, done))).toEqual(state.updates[0])
  })

  it('[SES3] given more bytes than bytesMax, then the oldest goes, and one that is larger than all is answered and not kept', async () => {
    const sitting = await sit({ bytesMax: MiB })
    const names = Array.from({ length: 5 }, (_, index) => parseDocument(`acme/notes/${index}`))
    for (const name of names) await sitting.append(large(300 * 1024), { document: name })
    for (const name of names) await sitting.state(name)
    expect(sitting.documents.cachedCount).toBe(3)
    expect(sitting.documents.cachedBytes).toBeLessThanOrEqual(MiB)
    const huge = parseDocument('acme/notes/huge')
    await sitting.append(large(2 * MiB), { document: huge })
    expect((await sitting.state(huge)).bytes).toBeGreaterThan(2 * MiB)
    expect(sitting.documents.cachedBytes).toBeLessThanOrEqual(MiB)
  })

  it('given idleMs without a question, then it is let go', async () => {
    const sitting = await sit({ idleMs: 60_000 })
    await sitting.append(typed('a')[0] ?? noBytes)
    await sitting.state()
    sitting.nowMs += 59_000
    await sitting.state()
    sitting.nowMs += 59_000
    sitting.documents.tick()
    expect(sitting.documents.cachedCount).toBe(1)
    sitting.nowMs += 2_000
    sitting.documents.tick()
    expect(sitting.documents.cachedCount).toBe(0)
  })

  it('given a state vector, then small and large documents are answered with what it lacks, here and in a thread', async () => {
    for (const bytes of [10, 300 * 1024]) {
      const sitting = await sit()
      const base = large(bytes)
      const [a = noBytes, b = noBytes] = typed('ab', 5)
      for (const update of [base, a, b]) await sitting.append(update)
      const state = await sitting.state()
      const known = Y.encodeStateVectorFromUpdate(Y.mergeUpdates([base, a]))
      expect(await value((done) => sitting.documents.differences(state, known, done))).toEqual([b])
      expect(await value((done) => sitting.documents.differences(state, new Uint8Array(0), done))).toEqual([base, a, b])
      const answer = await new Promise<Worked<unknown>>((resolve) =>
        sitting.documents.differences(state, new Uint8Array([255, 255]), resolve),
      )
      expect(answer).toMatchObject({ kind: 'refused', message: expect.stringContaining('state vector') })
    }
  })

  it('[SES3] given more heavy work than the queue holds, then what is beyond is refused, and the rest is done', async () => {
    const sitting = await sit({ queueMax: 2 })
    await sitting.append(large(300 * 1024))
    const state = await sitting.state()
    const answers = await Promise.all(
      Array.from(
        { length: 5 },
        () => new Promise<Worked<string>>((resolve) => sitting.documents.read(state, { kind: 'json' }, resolve)),
      ),
    )
    expect(answers.map((answer) => (answer.kind === 'failed' ? answer.why : answer.kind))).toEqual([
      'done',
      'done',
      'done',
      'busy',
      'busy',
    ])
  })

  it('[SES3] given work beyond its time or memory, then it is given up with a reason, and the next is done', async () => {
    const slow = await sit({ timeMs: 1 })
    await slow.append(large(3 * MiB))
    const state = await slow.state()
    expect(await new Promise((resolve) => slow.documents.read(state, { kind: 'json' }, resolve))).toEqual({
      kind: 'failed',
      why: 'time',
    })
    const patient = await sit()
    await patient.append(large(3 * MiB))
    expect((await value<string>((done) => patient.documents.read(state, { kind: 'json' }, done))).length).toBeGreaterThan(3 * MiB)
  })
})

const noBytes = new Uint8Array(0)

/** An update of about so many bytes. */
function large(bytes: number): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = 3
  doc.getText('large').insert(0, 'x'.repeat(bytes))
  return Y.encodeStateAsUpdate(doc)
}
