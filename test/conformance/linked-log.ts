/**
 * What every `LinkedLog` does beside: entries of other regions come in under their own dots, and links read on from a version. It stands
 * apart from log.ts, whose suite calls it for the logs that say they support links.
 */

import { encodeControl } from '@meridian/core/entry'
import { toHybridTime } from '@meridian/core/hybrid-time'
import type { DocumentName, RegionId, ReplicaId } from '@meridian/core/ids'
import { parseDocument, parseGroup, parseRegion, parseReplica, toPosition } from '@meridian/core/ids'
import type {
  Adopted,
  DocumentInfo,
  DocumentState,
  Done,
  Foreign,
  GroupDocument,
  GroupInfo,
  Included,
  LinkedLog,
  Outcome,
  Peer,
  Read,
  Sought,
  StatesPut,
} from '@meridian/core/log'
import { encodeErased, erasedOf } from '@meridian/core/stub'
import type { Version } from '@meridian/core/version'
import { emptyVersion, includes, toChain } from '@meridian/core/version'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { lcg } from './lcg.js'

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
const drawing = parseDocument('acme/drawings/7')
const stubFields: Partial<Foreign> = {
  ...{ kind: 'stub', document: undefined, engine: undefined, life: 0, payload: new Uint8Array(0) },
}
const stubNaming = (life: number, document = notes): Partial<Foreign> => ({
  ...stubFields,
  payload: encodeErased({ document, engine: 'yjs', life }),
})
/** What the writer does in idle moments. */
const patience = { timeout: 20_000, interval: 50 }
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
    const dots = async () => {
      const { entries } = await value((done: Parameters<LinkedLog['readGroup']>[3]) =>
        log.readGroup(group, toPosition(0), unlimited, done),
      )
      return entries.map((entry) => [entry.position, entry.replica, entry.sequence] as const)
    }
    const readLinked = (): Promise<Read> => value((done) => log.readLinked(group, toPosition(0), unlimited, done))
    const linked = async () =>
      (await readLinked()).entries.map((entry) => [entry.position, entry.replica, entry.sequence, entry.kind] as const)
    const openGroup = (): Promise<GroupInfo> => value((done) => log.openGroup(group, done))
    const openDocument = (document: DocumentName): Promise<DocumentInfo> => value((done) => log.openDocument(document, done))
    const setPeers = (...regions: RegionId[]): Promise<void> => value((done) => log.setPeers(group, regions, done))
    const peers = (): Promise<readonly Peer[]> => value((done) => log.readPeers(group, done))
    const readState = (document: DocumentName): Promise<DocumentState | undefined> =>
      value((done) => log.readState(document, done))
    const beginJoin = (): Promise<void> => value((done) => log.beginJoin(group, done))
    const putStates = (...states: DocumentState[]): Promise<StatesPut> => value((done) => log.putStates(group, states, done))
    const adopt = (what: Adopted): Promise<void> => value((done) => log.adopt(group, what, done))
    const putSnapshot = (position: number, sequences: Record<string, number>, document = notes): Promise<void> => {
      const state = { bytes: new Uint8Array([9]), index: new Uint8Array([1]) }
      const snapshot = { document, life: 1, position: toPosition(position), version: versionOf(sequences), state }
      return value((done) => log.putSnapshot(snapshot, { trim: true }, done))
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

    test('given groups that were written here or elsewhere, when they are listed, then each is there once, also after an opening', async () => {
      const groups = (): Promise<readonly string[]> =>
        value((done: Parameters<LinkedLog['listGroups']>[0]) => log.listGroups(done))
      expect(await groups()).toEqual([])
      await append('a')
      const other = parseGroup('globex/default')
      await include(foreign(east, 1, { group: other, document: parseDocument('globex/notes/1') }), foreign(east, 1))
      expect([...(await groups())].toSorted()).toEqual([group, other])
      await reopen()
      expect([...(await groups())].toSorted()).toEqual([group, other])
    })

    test('[LOG2] given an append, when it is answered, then with the chain value of the last entry of its group', async () => {
      const appended = (await append('a')) as { readonly chains?: ReadonlyMap<string, bigint> }
      const read = await value((done: Parameters<LinkedLog['readGroup']>[3]) =>
        log.readGroup(group, toPosition(0), unlimited, done),
      )
      expect(appended.chains).toEqual(new Map([[group, read.entries[0]?.chain]]))
    })

    test('[LINK7] given an entry that stands for several, when included, then it is held under its last dot, and sought from any of them, also after an opening', async () => {
      await include(foreign(east, 1))
      expect(await include(foreign(east, 5, { first: 3 }))).toEqual({ kind: 'gap', dot: { replica: east, sequence: 5 } })
      const merged = await include(foreign(east, 4, { first: 2 }), foreign(south, 1), foreign(east, 6, { first: 4 }))
      expect(merged.kind === 'included' && merged.entries.map((entry) => entry.sequence)).toEqual([4, 1, 6])
      for (let round = 0; round < 2; round++) {
        const positions = []
        for (const held of [1, 2, 3, 4, 5, 6]) positions.push((await seek(versionOf({ [east]: held, [south]: 1 }))).position)
        expect(positions.slice(0, 5)).toEqual([1, 1, 1, 3, 3])
        expect(positions[5]).toBeGreaterThanOrEqual(4)
        expect((await seek(versionOf({ [east]: 3 }))).chains.has(east)).toBe(false)
        expect((await seek(versionOf({ [east]: 4 }))).chains.get(east)).toBe(foreign(east, 4).chain)
        await reopen()
      }
      expect(await include(foreign(east, 6, { first: 5 }))).toEqual({ kind: 'included', entries: [] })
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

    test('[LOG5] given seals of several origins, when they come in and are adopted, then floors stand for what they name, and for nothing of another region', async () => {
      const sealOf = (replica: ReplicaId, sequence: number, counter: number, last: Record<string, number>): Foreign => {
        const lasts = new Map(Object.entries(last) as [ReplicaId, number][])
        const payload = encodeControl({ kind: 'seal', counter, last: lasts })
        return foreign(replica, sequence, { kind: 'control', document: undefined, engine: undefined, life: 0, payload })
      }
      const eastNext = parseReplica('us-east#4.00000000000000cc')
      const southNext = parseReplica('ap-south#2.00000000000000dd')
      const eastSeal = sealOf(eastNext, 1, 3, { [east]: 2 })
      const southSeal = sealOf(southNext, 1, 1, { [south]: 1 })
      await include(foreign(east, 1), foreign(east, 2), foreign(south, 1), eastSeal, southSeal, foreign(eastNext, 2))
      const floors = new Map([
        [parseRegion('us-east'), { counter: 3, seal: eastSeal.chain }],
        [parseRegion('ap-south'), { counter: 1, seal: southSeal.chain }],
      ])
      const sequences = new Map([
        [eastNext, 2],
        [southNext, 1],
      ])
      for (let round = 0; round < 2; round++) {
        const { version, sealed, seals } = await openGroup()
        expect(version).toEqual({ floors, sequences })
        expect(sealed).toEqual(
          new Map([
            [east, 2],
            [south, 1],
          ]),
        )
        expect([...seals.keys()].sort()).toEqual(['ap-south#1', 'us-east#3'])
        expect(await seek(version)).toMatchObject({ position: 6, behind: false })
        // Without a floor, the sealed incarnation is looked for as any other.
        expect((await seek({ floors: new Map([...floors].slice(0, 1)), sequences })).position).toBe(2)
        await reopen()
      }
      // A later incarnation of a region that was sealed below it goes on; what is under the floor is held.
      expect(await include(foreign(east, 3), foreign(eastNext, 3))).toMatchObject({
        entries: [{ sequence: 3, replica: eastNext }],
      })
      const info = await openGroup()
      const { chains } = await seek(info.version)
      const other = parseGroup('acme/other')
      await value((done: Done<void>) => log.beginJoin(other, done))
      await value((done: Done<void>) => log.adopt(other, { ...info, chains }, done))
      const copy = await value((done: Parameters<LinkedLog['openGroup']>[1]) => log.openGroup(other, done))
      expect([copy.version, copy.sealed, copy.seals]).toEqual([info.version, info.sealed, info.seals])
      const seekOther = (version: Version) => value((done: Done<Sought>) => log.seekGroup(other, version, done))
      expect(await seekOther(info.version)).toMatchObject({ behind: false })
      expect(await seekOther({ floors: new Map(), sequences })).toMatchObject({ behind: true })
    })

    describe('what peers lack', { timeout: 60_000 }, () => {
      const peer = parseRegion('us-east')
      const far = parseRegion('ap-south')

      test('[LOG4] given peers, when a snapshot covers entries, then links read on what local readers do not, until every peer holds it', async () => {
        const own = log.replica
        await setPeers(peer, far)
        await append('a')
        await append('b')
        await append('c')
        await putSnapshot(2, { [own]: 2 })
        expect(await dots()).toEqual([[3, own, 3]])
        for (let round = 0; round < 2; round++) {
          expect(await linked()).toEqual([
            [1, own, 1, 'update'],
            [2, own, 2, 'update'],
            [3, own, 3, 'update'],
          ])
          expect(await seek(emptyVersion)).toMatchObject({ position: 0, behind: false })
          if (round === 0) await reopen()
        }
        log.retain(group, peer, versionOf({ [own]: 3 }))
        log.retain(group, far, versionOf({ [own]: 1 }))
        await vi.waitFor(async () => {
          const held = (await peers()).find(({ region }) => region === far)
          expect(held?.version).toEqual(versionOf({ [own]: 1 }))
          expect((await linked()).map(([position]) => position)).toEqual([2, 3])
        }, patience)
        expect((await readLinked()).trimmed).toBe(1)
        expect(await seek(emptyVersion)).toMatchObject({ position: 0, behind: true })
        expect(await seek(versionOf({ [own]: 1 }))).toMatchObject({ position: 1, behind: false })
        // A region that leaves the group holds nothing up.
        await setPeers(peer)
        await vi.waitFor(async () => expect((await linked()).map(([position]) => position)).toEqual([3]), patience)
        expect(await seek(versionOf({ [own]: 2 }))).toMatchObject({ position: 2, behind: false })
        expect(await seek(versionOf({ [own]: 1 }))).toMatchObject({ behind: true })
        expect((await openDocument(notes)).tailCount).toBe(1)
      })

      test('[LOG4] given a peer that lacks one region, when what it holds is compacted, then it is not behind', async () => {
        const own = log.replica
        await setPeers(peer)
        await include(foreign(south, 1, { document: drawing }))
        await append('a')
        log.retain(group, peer, versionOf({ [own]: 1 }))
        await putSnapshot(2, { [own]: 1 })
        await peers()
        // What the peer lacks stands before what it holds, and holds it up.
        expect(await seek(versionOf({ [own]: 1 }))).toMatchObject({ position: 0, behind: false })
        expect(await linked()).toHaveLength(2)
      })

      test('[RES7] given an erase, when it is durable, then links read stubs in place of what it took, until every peer holds them', async () => {
        const own = log.replica
        await setPeers(peer)
        await append('a')
        await include(foreign(east, 1))
        await include(foreign(east, 2, { kind: 'erase', payload: new Uint8Array(0) }))
        for (let round = 0; round < 3; round++) {
          expect(await linked()).toEqual([
            [1, own, 1, 'stub'],
            [2, east, 1, 'stub'],
            [3, east, 2, 'erase'],
          ])
          const [, stub] = (await readLinked()).entries
          expect(stub).toMatchObject({ chain: foreign(east, 1).chain, document: undefined, life: 0, epoch: 4 })
          expect(erasedOf(stub?.payload ?? new Uint8Array(0))).toEqual({ document: notes, engine: 'yjs', life: 1 })
          expect(await dots()).toEqual([[3, east, 2]])
          expect((await seek(versionOf({ [east]: 1 }))).chains.get(east)).toBe(foreign(east, 1).chain)
          // It may be that the writer has come to it, and it may be that it has not.
          if (round === 1) await reopen()
        }
        log.retain(group, peer, versionOf({ [own]: 1, [east]: 2 }))
        await vi.waitFor(async () => {
          await peers()
          expect(await linked()).toEqual([[3, east, 2, 'erase']])
        }, patience)
        expect(await seek(emptyVersion)).toMatchObject({ behind: true })
      })

      test('[RES7] given a life that has ended, when an entry of it comes late, then it is a stub on arrival', async () => {
        await setPeers(peer)
        await include(foreign(east, 1, { kind: 'erase', payload: new Uint8Array(0) }))
        const included = await include(foreign(south, 1), foreign(south, 2, { life: 2 }))
        expect(included.kind === 'included' && included.entries.map((entry) => [entry.kind, entry.document])).toEqual([
          ['stub', undefined],
          ['update', notes],
        ])
        expect((await linked()).map(([, , , kind]) => kind)).toEqual(['erase', 'stub', 'update'])
        const [, stub] = (await readLinked()).entries
        expect(erasedOf(stub?.payload ?? new Uint8Array(0))).toEqual({ document: notes, engine: 'yjs', life: 1 })
        expect(await openDocument(notes)).toMatchObject({ life: 2, ended: false, tailCount: 1 })
        // A stub that another region sends on is one here too.
        expect(await include(foreign(south, 3, stubFields))).toMatchObject({ entries: [{ kind: 'stub' }] })
        expect((await dots()).map(([position]) => position)).toEqual([1, 3])
        expect(await include(foreign(south, 4, stubNaming(1)))).toMatchObject({ entries: [{ kind: 'stub' }] })
        await reopen()
        expect(erasedOf((await readLinked()).entries.at(-1)?.payload ?? new Uint8Array(0))?.document).toBe(notes)
      })

      test('[RES7] given a stub of a life that has not ended here, when included, then nothing is written and the life is named, until an erase ends it', async () => {
        const lives = [{ document: notes, engine: 'yjs', life: 1 }]
        await include(foreign(east, 1))
        // Of a document that lives, and of one that was never heard of.
        expect(await include(foreign(south, 1), foreign(south, 2, stubNaming(1)))).toEqual({ kind: 'living', lives })
        const unknown = { document: drawing, engine: 'yjs', life: 3 } as const
        expect(await include(foreign(south, 1, stubNaming(3, drawing)))).toEqual({ kind: 'living', lives: [unknown] })
        expect((await linked()).map(([, , , kind]) => kind)).toEqual(['update'])
        // One that ends it may stand behind it in the batch.
        const erase = { kind: 'erase', payload: new Uint8Array(0) } as const
        const batch = [foreign(south, 1, stubNaming(1)), foreign(south, 2, erase), foreign(south, 3, stubNaming(1))]
        expect(await include(...batch)).toMatchObject({ kind: 'included', entries: batch.map(({ kind }) => ({ kind })) })
        expect(await include(foreign(south, 4, stubNaming(2)))).toMatchObject({ kind: 'living' })
        expect(await include(foreign(south, 4, { life: 3 }), foreign(south, 5, stubNaming(2)))).toMatchObject({
          kind: 'included',
        })
        expect(await openDocument(notes)).toMatchObject({ life: 3, ended: false, tailCount: 1 })
      })

      test('[RES7] given an erase that a link brought, when an update of that life is appended behind it, then it is a stub', async () => {
        const own = log.replica
        await setPeers(peer)
        await include(foreign(east, 1, { kind: 'erase', payload: new Uint8Array(0) }))
        await append('too late')
        for (let round = 0; round < 2; round++) {
          expect(await linked()).toEqual([
            [1, east, 1, 'erase'],
            [2, own, 1, 'stub'],
          ])
          expect((await dots()).map(([position]) => position)).toEqual([1])
          expect(await openDocument(notes)).toMatchObject({ life: 1, ended: true })
          await reopen()
        }
      })
    })

    test('given a random history of several regions, when sought from any version, then the position is what a scan says', async () => {
      const random = lcg(11)
      const replicas = [east, south, parseReplica('us-east#4.00000000000000cc')]
      const ends = new Map<ReplicaId, number>(replicas.map((replica) => [replica, 0]))
      for (let round = 0; round < 40; round++) {
        if (round % 10 === 9) await reopen()
        if (random(3) === 0) {
          await append(`own ${round}`)
          continue
        }
        const batch: Foreign[] = []
        for (let count = 1 + random(40); count > 0; count--) {
          const replica = replicas[random(replicas.length)] ?? east
          const sequence = (ends.get(replica) ?? 0) + 1
          ends.set(replica, sequence)
          batch.push(foreign(replica, sequence, { document: parseDocument(`acme/notes/${random(9)}`) }))
        }
        await include(...batch)
      }
      const all = (await readLinked()).entries
      for (const entry of all) ends.set(entry.replica, entry.sequence)
      for (let round = 0; round < 60; round++) {
        const version = versionOf({})
        for (const [replica, end] of ends) {
          const sequence = random(3) === 0 ? end : random(end + 1)
          if (sequence > 0) (version.sequences as Map<ReplicaId, number>).set(replica, sequence)
        }
        const lacked = all.find((entry) => !includes(version, entry.replica, entry.sequence))
        const { position, chains, behind } = await seek(version)
        expect([position, behind]).toEqual([(lacked?.position ?? log.position + 1) - 1, false])
        const expected = all.filter((entry) => version.sequences.get(entry.replica) === entry.sequence)
        expect(new Map(chains)).toEqual(new Map(expected.map((entry) => [entry.replica, entry.chain])))
      }
    })

    describe('state in bulk', () => {
      const stateOf = (document: DocumentName, rest: Partial<DocumentState> = {}): DocumentState => ({
        ...{ document, engine: 'yjs', life: 1, ended: false, version: versionOf({ [east]: 5 }) },
        snapshot: {
          version: versionOf({ [east]: 4 }),
          state: { bytes: new TextEncoder().encode(`state of ${document}`), index: new Uint8Array([1, 2]) },
        },
        entries: [foreign(east, 5, { document })],
        ...rest,
      })
      const adopted: Adopted = {
        version: versionOf({ [east]: 5, [south]: 7 }),
        chains: new Map([
          [east, foreign(east, 5).chain],
          [south, foreign(south, 7).chain],
        ]),
        sealed: new Map(),
        seals: new Map(),
      }

      test('[LINK6] given states in any order, when they are put and adopted, then documents are what was given and the group goes on from there', async () => {
        await setPeers(parseRegion('us-east'))
        await include(foreign(south, 1, { document: drawing }))
        await append('own')
        await beginJoin()
        await reopen()
        expect((await openGroup()).joining).toBe(true)
        const bare = stateOf(drawing, {
          version: versionOf({ [south]: 2 }),
          snapshot: undefined,
          entries: [foreign(south, 1, { document: drawing }), foreign(south, 2, { document: drawing })],
        })
        const other = parseDocument('acme/notes/43')
        const erased = stateOf(parseDocument('acme/notes/44'), {
          ...{ life: 3, ended: true, snapshot: undefined, version: versionOf({ [south]: 6 }) },
          entries: [foreign(south, 6, { document: parseDocument('acme/notes/44'), life: 3, kind: 'erase' })],
        })
        expect(await putStates(bare)).toEqual({ unmerged: [] })
        // A transfer that was cut begins again, and puts what is there already.
        await reopen()
        expect(await putStates(stateOf(other), bare, erased)).toEqual({ unmerged: [] })
        expect((await openGroup()).version.sequences.get(east)).toBeUndefined()
        // What is held here and not there is for an engine to merge.
        expect(await putStates(stateOf(notes))).toEqual({ unmerged: [notes] })
        expect(await openDocument(notes)).toMatchObject({ tailCount: 1, snapshot: undefined })
        const own = (await readLinked()).entries.find((entry) => entry.document === notes)
        const both = versionOf({ [east]: 5, [own?.replica ?? east]: 1 })
        expect(await putStates(stateOf(notes, { version: both }))).toEqual({ unmerged: [] })
        log.retain(group, parseRegion('us-east'), adopted.version)
        await adopt(adopted)
        for (let round = 0; round < 2; round++) {
          const { version, joining } = await openGroup()
          expect(joining).toBeUndefined()
          expect(version.sequences).toEqual(new Map([...both.sequences, [south, 7]]))
          expect(await openDocument(other)).toMatchObject({ life: 1, tailCount: 1, version: versionOf({ [east]: 5 }) })
          const snapshot = await value((done: Parameters<LinkedLog['readSnapshot']>[1]) => log.readSnapshot(other, done))
          expect(new TextDecoder().decode(snapshot?.state.bytes)).toBe(`state of ${other}`)
          expect(await openDocument(drawing)).toMatchObject({ tailCount: 2, version: versionOf({ [south]: 2 }) })
          // It was put twice, and whoever reads it from the beginning misses nothing.
          const whole = await value((done: Parameters<LinkedLog['readDocument']>[3]) =>
            log.readDocument(drawing, toPosition(0), unlimited, done),
          )
          expect([whole.entries.length, whole.trimmed]).toEqual([2, 0])
          expect(await openDocument(erased.document)).toMatchObject({ life: 3, ended: true, tailCount: 1 })
          // What came by state is no entry for links; what was written here before still is one.
          expect(await seek(versionOf({ [east]: 5, [south]: 6, [own?.replica ?? east]: 1 }))).toMatchObject({ behind: true })
          const held = await seek(adopted.version)
          expect(held.behind).toBe(false)
          expect(held.chains).toEqual(adopted.chains)
          const read = await value((done: Parameters<LinkedLog['readLinked']>[3]) =>
            log.readLinked(group, held.position, unlimited, done),
          )
          expect(read.entries.filter((entry) => !includes(adopted.version, entry.replica, entry.sequence))).toHaveLength(1)
          if (round === 0) await reopen()
        }
        expect(await include(foreign(east, 5), foreign(east, 7))).toMatchObject({ kind: 'gap' })
        expect(await include(foreign(east, 6, { document: other }), foreign(south, 8))).toMatchObject({
          entries: [{ sequence: 6 }, { sequence: 8 }],
        })
        expect((await openDocument(other)).version).toEqual(versionOf({ [east]: 6 }))
        expect(await seek(adopted.version)).toMatchObject({ behind: false })
      })

      test('[LINK6] given documents of a group, when listed and read, then they come in pages by their names, as they are now', async () => {
        const names = ['acme/notes/1', 'acme/notes/10', 'acme/notes/2', 'acme/texts/1'].map(parseDocument)
        for (const [index, document] of names.entries()) await include(foreign(east, index + 1, { document }))
        await include(foreign(south, 1, { group: parseGroup('acme/pinned'), document: parseDocument('acme/notes/11') }))
        await putSnapshot(log.position, { [east]: 1 }, names[0])
        await include(foreign(east, 5, { document: names[0] }))
        const listed: GroupDocument[] = []
        for (let after = ''; ; ) {
          const page = await value((done: Done<readonly GroupDocument[]>) => log.listGroup(group, after, 3, done))
          listed.push(...page)
          if (page.length < 3) break
          after = page.at(-1)?.document ?? ''
        }
        expect(listed.map(({ document, version }) => [document, version.sequences.get(east)])).toEqual([
          [names[0], 5],
          [names[1], 2],
          [names[2], 3],
          [names[3], 4],
        ])
        const state = await readState(names[0] ?? notes)
        expect(state).toMatchObject({ life: 1, ended: false, snapshot: { version: versionOf({ [east]: 1 }) } })
        expect(state?.entries.map((entry) => entry.sequence)).toEqual([5])
        expect(await readState(parseDocument('acme/notes/none'))).toBeUndefined()
        // What one log reads, another takes.
        await beginJoin()
        expect(state === undefined ? undefined : await putStates(state)).toEqual({ unmerged: [] })
        expect(await readState(names[0] ?? notes)).toEqual(state)
      })

      test('[LINK6] given a group that is not joining, when a state is put or adopted, then it fails and nothing is written', async () => {
        await append('own')
        await expect(putStates(stateOf(notes))).rejects.toThrow('LOG_UNAVAILABLE')
        await expect(adopt(adopted)).rejects.toThrow('LOG_UNAVAILABLE')
        expect(await openDocument(notes)).toMatchObject({ tailCount: 1 })
        await append('goes on')
      })
    })
  })
}
