/**
 * Regions whose logs forget (LINK6): each a `Links` over a simulated log, which folds its documents and keeps entries only for regions that it knows
 * of. Documents are sets of writes. After every commit: no dot has two contents, and nothing of a group that joins is written but by its transfer. When
 * faults have ended: versions and documents are equal everywhere.
 */

import { assert } from '@meridian/core/errors'
import { toHybridTime } from '@meridian/core/hybrid-time'
import type { Entry } from '@meridian/core/entry'
import type { DocumentName, GroupId, RegionId } from '@meridian/core/ids'
import { parseDocument, parseGroup, parseRegion } from '@meridian/core/ids'
import type { DocumentState } from '@meridian/core/log'
import type { Version } from '@meridian/core/version'
import { covers, equal, includes, merge, mutableVersion } from '@meridian/core/version'
import { Links, type LinkSocket } from '@meridian/regions/link/links'
import type { Link } from '@meridian/regions/link/link'
import type { LinkOptions } from '@meridian/regions/link/options'
import type { LinkAlarm } from '@meridian/regions/link/port'
import { placedEverywhere } from '@meridian/regions/link/placement'
import type { Region as TopologyRegion, Topology } from '@meridian/regions/topology'
import { MemoryLog, MemoryStore } from '../sim/memory-log.js'
import { SeededRandom } from '../sim/random.js'
import { Scheduler } from '../sim/scheduler.js'
import { digestOf } from './digest.js'
import { modelOptions } from './link-model.js'

export const joinGroup: GroupId = parseGroup('acme/default')
const options: Partial<LinkOptions> = { ...modelOptions, joinWindowBytes: 2000, behindMs: 100, joinAfterMs: 200 }

interface Socket {
  readonly ends: readonly [JoinRegion, JoinRegion]
  readonly links: (Link | undefined)[]
  isClosed: boolean
}

export interface JoinRegion {
  readonly id: RegionId
  store: MemoryStore
  log: MemoryLog | undefined
  links: Links | undefined
  /** Nothing may be written by clients. */
  isClosed: boolean
  joinCount: number
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))

/** The writes of a document, whoever has folded it. */
export function writesOf({ snapshot, entries }: Pick<DocumentState, 'snapshot' | 'entries'>): string[] {
  const parts = [
    ...(snapshot === undefined ? [] : textOf(snapshot.state.bytes).split('|')),
    ...entries.filter(({ kind }) => kind === 'update').flatMap(({ payload }) => textOf(payload).split('|')),
  ]
  return [...new Set(parts.map((part) => part.replace(/\.*$/, '')))].toSorted()
}

export class JoinModel {
  readonly scheduler = new Scheduler()
  readonly random: SeededRandom
  readonly regions: JoinRegion[] = []
  readonly alarms: LinkAlarm[] = []
  readonly cut = new Set<string>()
  writeCount = 0
  pourBytesMax = 0
  readonly #sockets: Socket[] = []
  readonly #dots = new Map<string, string>()

  constructor(seed: number, regionCount: number) {
    this.random = new SeededRandom(seed)
    for (let index = 0; index < regionCount; index++) {
      const id = parseRegion(`region-${index}`)
      this.regions.push({ id, store: new MemoryStore(id), log: undefined, links: undefined, isClosed: false, joinCount: 0 })
    }
    this.#every(10, () => {
      for (const { links } of this.regions) links?.tick()
    })
    this.#every(40, () => this.#dial())
  }

  /** Regions that are up know of each other; one that was never started is none yet. */
  get #topology(): Topology {
    const region = ({ id }: JoinRegion): [RegionId, TopologyRegion] => [
      id,
      { name: id, jurisdiction: 'IE', state: 'active' } as Partial<TopologyRegion> as TopologyRegion,
    ]
    return { regions: new Map(this.regions.filter(({ links }) => links !== undefined).map(region)), without: new Set() }
  }

  start(region: JoinRegion): void {
    const log = new MemoryLog(region.store, {
      random: this.random.fork(),
      timing: (_step, run) => this.scheduler.after(this.random.below(4), run),
      onDurable: (entries) => this.#check(region, entries),
    })
    region.log = log
    region.isClosed = false
    region.links = new Links({
      here: region.id,
      topology: () => this.#topology,
      placement: placedEverywhere,
      options,
      effects: {
        nowMs: () => this.scheduler.nowMs,
        log,
        include: (entries, done) =>
          log.include(entries, (outcome) => {
            if (outcome.kind === 'done' && outcome.value.kind === 'included') region.links?.included(outcome.value.entries)
            done(outcome)
          }),
        held: () => undefined,
        merge: () => undefined,
        alarm: (alarm) => this.alarms.push(alarm),
        digest: digestOf,
        random: (bytes) => Uint8Array.from({ length: bytes }, () => this.random.below(256)),
        mergeStates: (here, there) => {
          const version = mutableVersion(here.version)
          merge(version, there.version)
          const bytes = bytesOf([...new Set([...writesOf(here), ...writesOf(there)])].join('|'))
          return { ...there, version, snapshot: { version, state: { bytes, index: new Uint8Array(1) } }, entries: [] }
        },
        beginJoin: (group, done) => {
          region.isClosed = true
          region.joinCount++
          log.beginJoin(group, done)
        },
        endJoin: () => (region.isClosed = false),
        presence: { shown: () => [], hear: () => undefined, suspect: () => undefined, lost: () => undefined },
      },
    })
    region.links.begin(() => undefined)
  }

  /** `kill -9`, or a machine that dies: sockets end, what the disk has not done is lost. */
  crash(region: JoinRegion): void {
    region.log?.crash()
    region.log = undefined
    for (const socket of this.#sockets) if (socket.ends.includes(region)) this.#close(socket)
    region.links?.close()
  }

  restart(region: JoinRegion): void {
    this.crash(region)
    this.start(region)
  }

  restore(region: JoinRegion, copy: MemoryStore): void {
    this.crash(region)
    region.store = copy.copy()
    this.start(region)
  }

  cutAll(region: JoinRegion): void {
    for (const other of this.regions) this.cut.add(pairOf(region, other))
    for (const socket of this.#sockets) if (socket.ends.includes(region)) this.#close(socket)
  }

  heal(): void {
    this.cut.clear()
  }

  write(region: JoinRegion, document: DocumentName, bytes = 8): boolean {
    const { log } = region
    if (log === undefined || region.isClosed || region.store.group(joinGroup).joining) return false
    const payload = bytesOf(`${region.id}.${++this.writeCount}`.padEnd(bytes, '.'))
    const draft = { group: joinGroup, document, engine: 'yjs', life: 1, kind: 'update', epoch: 0 } as const
    log.append([{ ...draft, time: toHybridTime(this.scheduler.nowMs * 1024), payload }], (outcome) => {
      if (outcome.kind !== 'done') return
      const sequence = outcome.value.sequences[0] ?? 0
      const { replica } = outcome.value
      region.links?.appended(joinGroup, replica, sequence, region.store.groups.get(joinGroup)?.ends.get(replica)?.chain)
    })
    return true
  }

  /** Folds a document as a compactor does, which lets go of its entries once no peer lacks them. */
  compact(region: JoinRegion, document: DocumentName): void {
    const { log, isClosed } = region
    if (log === undefined || isClosed) return
    log.openDocument(document, (info) => {
      if (info.kind !== 'done' || info.value.tailCount === 0) return
      const { life, position, version } = info.value
      log.readState(document, (state) => {
        if (state.kind !== 'done' || state.value === undefined || !equal(state.value.version, version)) return
        const bytes = bytesOf(writesOf(state.value).join('|'))
        log.putSnapshot(
          { document, life, position, version, state: { bytes, index: new Uint8Array(1) } },
          { trim: true },
          () => undefined,
        )
      })
    })
  }

  run(milliseconds: number): void {
    this.scheduler.advance(milliseconds)
  }

  settle(withinMs: number): boolean {
    for (let ms = 0; ms < withinMs; ms += 100) {
      this.run(100)
      if (this.isEqual) return true
    }
    return false
  }

  get isEqual(): boolean {
    const up = this.regions.filter(({ links }) => links !== undefined)
    const [first, ...rest] = up.map((region) => this.versionOf(region))
    if (first === undefined || up.some(({ isClosed }) => isClosed)) return false
    return rest.every((version) => equal(version, first))
  }

  versionOf(region: JoinRegion): Version {
    const version = mutableVersion()
    for (const [replica, { sequence }] of region.store.group(joinGroup).ends) version.sequences.set(replica, sequence)
    return version
  }

  /** Every document as its writes. */
  contents(region: JoinRegion): Map<DocumentName, string[]> {
    const all = new Map<DocumentName, string[]>()
    for (const [name, { snapshot, entries }] of [...region.store.documents].sort(([a], [b]) => (a < b ? -1 : 1)))
      all.set(name, writesOf({ snapshot, entries }))
    return all
  }

  #check(region: JoinRegion, entries: readonly Entry[]): void {
    assert(!region.store.group(joinGroup).joining, `${region.id}: nothing is written to a group that joins`)
    for (const { replica, sequence, payload, kind } of entries) {
      if (kind !== 'update') continue
      const dot = `${replica} ${sequence}`
      const text = textOf(payload)
      assert((this.#dots.get(dot) ?? text) === text, `one content a dot: ${dot}`)
      this.#dots.set(dot, text)
    }
  }

  #dial(): void {
    for (const [index, one] of this.regions.entries())
      for (const other of this.regions.slice(index + 1)) {
        if (this.cut.has(pairOf(one, other)) || one.log === undefined || other.log === undefined) continue
        if (this.#sockets.some(({ ends, isClosed }) => !isClosed && ends[0] === one && ends[1] === other)) continue
        this.#connect(one, other)
      }
  }

  #connect(one: JoinRegion, other: JoinRegion): void {
    const socket: Socket = { ends: [one, other], links: [undefined, undefined], isClosed: false }
    this.#sockets.push(socket)
    for (const end of [0, 1] as const) {
      const here = socket.ends[end]
      const there = socket.ends[1 - end] as JoinRegion
      let free = 0
      let buffered = 0
      let arrived = 0
      const port: LinkSocket = {
        send: (message) => {
          buffered += message.length
          free = Math.max(free, this.scheduler.nowMs) + Math.ceil(message.length / 100)
          arrived = Math.max(arrived, free + 3 + this.random.below(3))
          const own = { free, arrived }
          this.scheduler.after(own.free - this.scheduler.nowMs, () => {
            buffered -= message.length
            if (!socket.isClosed) socket.links[end]?.drained()
          })
          this.scheduler.after(own.arrived - this.scheduler.nowMs, () => {
            if (!socket.isClosed) socket.links[1 - end]?.receive(message)
          })
        },
        bufferedBytes: () => buffered,
        close: (error) => {
          assert(error === undefined || error.code === 'TIMEOUT', `links end for no reason but silence: ${String(error)}`)
          this.#close(socket)
        },
      }
      assert(here.links !== undefined, 'a region that is up')
      socket.links[end] = here.links.connect(there.id, port)
    }
  }

  #close(socket: Socket): void {
    if (socket.isClosed) return
    socket.isClosed = true
    this.#sockets.splice(this.#sockets.indexOf(socket), 1)
    for (const link of socket.links) link?.close(undefined)
  }

  #every(milliseconds: number, run: () => void): void {
    const again = (): void => {
      run()
      this.scheduler.after(milliseconds, again)
    }
    this.scheduler.after(milliseconds, again)
  }
}

const pairOf = (one: JoinRegion, other: JoinRegion): string => [one.id, other.id].toSorted().join(' ')

export const documentOf = (index: number): DocumentName => parseDocument(`acme/notes/${String(index).padStart(5, '0')}`)

export { covers, includes }
