/**
 * What every `LinkedLog` does beside: entries of other regions come in under their own dots, and links read on from a version. It stands
 * apart from log.ts, whose suite calls it for the logs that say they support links.
 */

import { encodeControl } from '@meridian/core/entry'
import { toHybridTime } from '@meridian/core/hybrid-time'
import type { ReplicaId } from '@meridian/core/ids'
import { parseDocument, parseGroup, parseRegion, parseReplica, toPosition } from '@meridian/core/ids'
import type { Done, Foreign, Included, LinkedLog, Outcome, Sought } from '@meridian/core/log'
import type { Version } from '@meridian/core/version'
import { emptyVersion, toChain } from '@meridian/core/version'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

/** As `LogPlace` of log.ts. */
export interface LinkedLogPlace {
  open(): Promise<LinkedLog>
  advance?(): void
  remove(): Promise<void>
}

const group = parseGroup('acme/default')
const notes = parseDocument('acme/notes/42')
const east = parseReplica('us-east#3.00000000000000aa')
const south = parseReplica('ap-south#1.00000000000000bb')
const unlimited = { bytes: Number.MAX_SAFE_INTEGER, entries: Number.MAX_SAFE_INTEGER }

function foreign(replica: ReplicaId, sequence: number, rest: Partial<Foreign> = {}): Foreign {
  return {
    ...{ group, document: notes, engine: 'yjs', life: 1, kind: 'update', epoch: 4 },
    time: toHybridTime(1_790_000_000_000 * 1024 + sequence),
    payload: new TextEncoder().encode(`${replica} ${sequence}`),
    ...{ replica, sequence, chain: toChain(BigInt(sequence) * 0x9e37_79b9_7f4a_7c15n) },
    ...rest,
  }
}

const versionOf = (sequences: Record<string, number>): Version => ({
  floors: new Map(),
  sequences: new Map(Object.entries(sequences) as [ReplicaId, number][]),
})

export function registerLinkedLogTests(name: string, makePlace: () => Promise<LinkedLogPlace>): void {
  describe(`log with links: ${name}`, () => {
    let place: LinkedLogPlace
    let log: LinkedLog

    beforeEach(async () => {
      place = await makePlace()
      log = await place.open()
    })
    afterEach(() => place.remove())

    const value = async <T>(ask: (done: Done<T>) => void): Promise<T> => {
      const answer = await new Promise<Outcome<T>>((resolve) => {
        ask(resolve)
        place.advance?.()
      })
      if (answer.kind === 'failed') throw new Error(answer.code)
      return answer.value
    }
    const include = (...entries: Foreign[]): Promise<Included> => value((done) => log.include(entries, done))
    const seek = (version: Version): Promise<Sought> => value((done) => log.seekGroup(group, version, done))
    const append = (text: string) => {
      const {
        replica: _replica,
        sequence: _sequence,
        chain: _chain,
        ...draft
      } = foreign(east, 1, { payload: new TextEncoder().encode(text) })
      return value((done: Done<unknown>) => log.append([draft], done))
    }
    const dots = async (): Promise<unknown[]> => {
      const { entries } = await value((done: Parameters<LinkedLog['readGroup']>[3]) =>
        log.readGroup(group, toPosition(0), unlimited, done),
      )
      return entries.map((entry) => [entry.position, entry.replica, entry.sequence])
    }
    const reopen = async (): Promise<void> => {
      await new Promise<void>((resolve) => {
        log.close(resolve)
        place.advance?.()
      })
      log = await place.open()
    }

    test('[LOG2] given entries of another region, when included, then they are read as their origin gave them, also after an opening', async () => {
      const own = log.replica
      await append('before')
      const entries = [foreign(east, 1), foreign(south, 1, { epoch: 9 }), foreign(east, 2)]
      const expected = entries.map((entry, index) => ({ ...entry, position: index + 2 }))
      expect(await include(...entries)).toEqual({ kind: 'included', entries: expected })
      await append('after')
      for (let round = 0; round < 2; round++) {
        const read = await value((done: Parameters<LinkedLog['readGroup']>[3]) =>
          log.readGroup(group, toPosition(1), unlimited, done),
        )
        expect(read.entries.slice(0, 3).map((entry) => ({ ...entry, payload: new Uint8Array(entry.payload) }))).toEqual(expected)
        const info = await value((done: Parameters<LinkedLog['openGroup']>[1]) => log.openGroup(group, done))
        expect(info.version).toEqual(versionOf({ [own]: 2, [east]: 2, [south]: 1 }))
        // Incarnations of other regions are not this region's to seal (LOG5).
        expect([...info.closed.keys()]).toEqual(round === 0 ? [] : [own])
        await reopen()
      }
    })

    test('[LINK4] given entries that are held, when included again, then nothing is written and what is new beside them is', async () => {
      await include(foreign(east, 1), foreign(east, 2))
      expect(await include(foreign(east, 1), foreign(east, 2))).toEqual({ kind: 'included', entries: [] })
      const again = await include(foreign(east, 2), foreign(east, 3), foreign(east, 3))
      expect(again.kind === 'included' && again.entries.map((entry) => entry.sequence)).toEqual([3])
      expect(await dots()).toEqual([
        [1, east, 1],
        [2, east, 2],
        [3, east, 3],
      ])
    })

    test('[LOG3] given a batch with a gap, when included, then nothing of it is written', async () => {
      await include(foreign(east, 1))
      expect(await include(foreign(south, 1), foreign(east, 3))).toEqual({ kind: 'gap', dot: { replica: east, sequence: 3 } })
      expect(await dots()).toEqual([[1, east, 1]])
    })

    test('[LINK4] given two batches at once with the same entries, when both are answered, then each entry is there once', async () => {
      await Promise.all([
        include(foreign(east, 1), foreign(east, 2)),
        include(foreign(east, 1), foreign(east, 2), foreign(east, 3)),
      ])
      expect(await dots()).toEqual([
        [1, east, 1],
        [2, east, 2],
        [3, east, 3],
      ])
    })

    test('given a version, when sought, then the position is the last before anything that it lacks, with the chain values of its ends', async () => {
      const own = log.replica
      await include(foreign(east, 1))
      await append('a')
      await include(foreign(east, 2), foreign(south, 1))
      await append('b')
      const chain = (sequence: number) => foreign(east, sequence).chain
      expect(await seek(emptyVersion)).toEqual({ position: 0, chains: new Map(), behind: false })
      expect(await seek(versionOf({ [east]: 1 }))).toEqual({ position: 1, chains: new Map([[east, chain(1)]]), behind: false })
      expect((await seek(versionOf({ [east]: 2, [own]: 1 }))).position).toBe(3)
      expect((await seek(versionOf({ [east]: 2, [south]: 1 }))).position).toBe(1)
      const all = await seek(versionOf({ [east]: 2, [south]: 1, [own]: 2 }))
      expect(all.position).toBe(5)
      expect(all.chains.get(east)).toBe(chain(2))
      expect([...all.chains.keys()].sort()).toEqual([east, south, own].sort())
      // What is claimed beyond the end of this log has no chain value here.
      expect((await seek(versionOf({ [east]: 9, [south]: 1, [own]: 2 }))).chains.has(east)).toBe(false)
    })

    test('[LOG5] given a foreign seal, when included, then the floor of that region rises, and what it stands for counts as held', async () => {
      const payload = encodeControl({ kind: 'seal', counter: 3, last: new Map([[east, 1]]) })
      const next = parseReplica('us-east#4.00000000000000cc')
      const sealing = foreign(next, 1, { kind: 'control', document: undefined, engine: undefined, life: 0, payload })
      await include(foreign(east, 1), sealing)
      const info = await value((done: Parameters<LinkedLog['openGroup']>[1]) => log.openGroup(group, done))
      expect(info.version.floors.get(parseRegion('us-east'))).toEqual({ counter: 3, seal: sealing.chain })
      expect(await include(foreign(east, 1))).toEqual({ kind: 'included', entries: [] })
      expect((await seek(info.version)).position).toBe(2)
    })
  })
}
