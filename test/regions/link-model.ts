/**
 * A cluster of regions for the machines of regions/src/link: each a simulated log, linked by sockets that keep their order and do everything else
 * that sockets do. After every step: nothing stands in a log before what it depends on, sequences have no gap, no dot is there twice, chain values
 * and payloads are those of the origin, and every buffer is within its bound. When faults have ended: versions and contents are equal everywhere.
 *
 * A write depends on all that its region held and all that its client had seen, in any region. Clients read in one and write in another.
 */

import { assert } from '@meridian/core/errors'
import { toHybridTime } from '@meridian/core/hybrid-time'
import type { Entry } from '@meridian/core/entry'
import type { GroupId, RegionId } from '@meridian/core/ids'
import { parseDocument, parseGroup, parseRegion } from '@meridian/core/ids'
import type { Foreign, GroupInfo, Sought } from '@meridian/core/log'
import type { MutableVersion } from '@meridian/core/version'
import { covers, equal, include, includes, merge, mutableVersion } from '@meridian/core/version'
import { HeldGroup } from '@meridian/regions/link/held-group'
import { Link } from '@meridian/regions/link/link'
import { defaultLinkOptions, type LinkOptions } from '@meridian/regions/link/options'
import type { LinkAlarm, Permission } from '@meridian/regions/link/port'
import { MemoryLog, MemoryStore } from '../sim/memory-log.js'
import { digestOf } from './digest.js'
import { SeededRandom } from '../sim/random.js'
import { Scheduler } from '../sim/scheduler.js'

/** Small, so that a few writes reach every bound. */
export const modelOptions: LinkOptions = {
  ...defaultLinkOptions,
  windowBytes: 2048,
  batchBytes: 700,
  batchEntries: 8,
  socketBytes: 3000,
  socketControlBytes: 6000,
  messageBytes: 1500,
  silenceMs: 900,
  heartbeatMs: 250,
  quietMs: 400,
}
/** Payloads of writes; one in twenty is larger than a window. */
const largeBytes = 3000
const groups = [parseGroup('acme/default'), parseGroup('globex/default')] as const

interface Write {
  readonly payload: Uint8Array
  readonly depends: MutableVersion
}

const partsOf = (payload: Uint8Array): string[] => Buffer.from(payload).toString().split('|')

/** What stands for an entry wherever it is; two entries of one dot have to be the same. */
const nameOf = (entry: Entry): string => `${entry.group} ${entry.replica} ${entry.sequence}`

export class Region {
  readonly id: RegionId
  readonly links = new Map<RegionId, Link>()
  store: MemoryStore
  log: MemoryLog | undefined
  held = new Map<GroupId, HeldGroup>()
  /** What the store holds, as the checks saw it become durable; told apart from what the machines believe. */
  seen = new Map<GroupId, MutableVersion>()
  epoch = 0
  heads = 1n
  /** Milliseconds that the disk takes, at most. */
  diskMs = 3
  fresh: Entry[] = []

  constructor(id: RegionId) {
    this.id = id
    this.store = new MemoryStore(id)
  }

  get isUp(): boolean {
    return this.held.size > 0
  }
}

interface Direction {
  bufferedBytes: number
  freeAtMs: number
  arrivedAtMs: number
  isDead: boolean
}

interface Wire {
  readonly ends: readonly [Region, Region]
  readonly links: [Link, Link] | undefined[]
  readonly directions: readonly [Direction, Direction]
  isClosed: boolean
}

export interface ModelConfig {
  readonly seed: number
  readonly regionCount: number
  /** Pairs without a link, by index. */
  readonly without?: readonly (readonly [number, number])[]
  readonly options?: Partial<LinkOptions>
  readonly delayMs?: (from: number, to: number) => number
  /** Writes to one document in a row. Default 4. */
  readonly inRow?: number
  /** False: nothing is merged on its way (LINK7). */
  readonly merges?: boolean
  readonly may?: (door: RegionId, verb: string, document: string, region: RegionId) => Permission
}

export class Model {
  readonly scheduler = new Scheduler()
  readonly random: SeededRandom
  readonly regions: Region[] = []
  readonly alarms: LinkAlarm[] = []
  readonly wires = new Map<string, Wire>()
  /** Pairs that cannot connect now. */
  readonly cut = new Set<string>()
  readonly without = new Set<string>()
  readonly config: ModelConfig
  readonly options: LinkOptions
  messageCount = 0
  messageBytes = 0
  writeCount = 0
  writtenBytes = 0
  pullCount = 0
  gapCount = 0
  mergeCount = 0
  isChecking = true
  readonly #writes = new Map<string, Write>()
  readonly #origins = new Map<string, Entry>()

  constructor(config: ModelConfig) {
    this.config = config
    this.options = { ...modelOptions, ...config.options }
    this.random = new SeededRandom(config.seed)
    for (let index = 0; index < config.regionCount; index++) this.regions.push(new Region(parseRegion(`region-${index}`)))
    for (const [one, other] of config.without ?? []) this.without.add(pair(one, other))
    for (const region of this.regions) this.start(region)
    this.#every(10, () => this.#tick())
    this.#every(40, () => this.#dial())
  }

  get groups(): readonly GroupId[] {
    return groups
  }

  start(region: Region): void {
    const { scheduler } = this
    const random = this.random.fork()
    const log = new MemoryLog(region.store, {
      random,
      timing: (_step, run) => scheduler.after(random.below(region.diskMs + 1), run),
      onDurable: (entries) => {
        for (const entry of entries) this.#check(region, entry)
        region.fresh.push(...entries)
      },
    })
    region.log = log
    region.fresh = []
    region.seen = new Map(groups.map((group) => [group, versionIn(region.store, group)]))
    const held = new Map<GroupId, HeldGroup>()
    for (const group of groups) {
      log.openGroup(group, (opened) => {
        assert(opened.kind === 'done', 'reads of the model do not fail')
        const info: GroupInfo = opened.value
        log.seekGroup(group, info.version, (sought) => {
          assert(sought.kind === 'done', 'reads of the model do not fail')
          const { chains }: Sought = sought.value
          held.set(group, new HeldGroup(group, info, chains))
          if (held.size === groups.length && region.log === log) region.held = held
        })
      })
    }
  }

  crash(region: Region): void {
    region.log?.crash()
    region.log = undefined
    region.held = new Map()
    for (const wire of [...this.wires.values()]) {
      const end = wire.ends.indexOf(region)
      if (end < 0) continue
      // A process that dies closes its sockets; a machine that dies says nothing, and the other end finds out by silence.
      const isMachine = this.random.chance(0.5)
      wire.directions[end === 0 ? 0 : 1].isDead = true
      wire.directions[end === 0 ? 1 : 0].isDead = true
      wire.links[end]?.close(undefined)
      if (!isMachine) this.#closeLater(wire)
    }
    region.links.clear()
  }

  /** Yesterday's copy in place of the store: what is lost comes back under its old dots (LOG2), as far as somebody has it. */
  restore(region: Region, copy: MemoryStore): void {
    this.crash(region)
    region.store = copy.copy()
    this.start(region)
  }

  cutPair(one: number, other: number, how: 'closed' | 'half open'): void {
    const name = pair(one, other)
    this.cut.add(name)
    const wire = this.wires.get(name)
    if (wire === undefined) return
    const [first, second] = wire.directions
    if (how === 'half open') {
      // One direction goes on for a while: data arrives, and its acks do not.
      ;(this.random.chance(0.5) ? first : second).isDead = true
      if (this.random.chance(0.3)) first.isDead = second.isDead = true
      return
    }
    // What was lost on a socket never comes, and nothing behind it.
    first.isDead = this.random.chance(0.7) || first.isDead
    second.isDead = this.random.chance(0.7) || second.isDead
    this.#closeLater(wire)
  }

  write(region: Region, group: GroupId, token: MutableVersion, bytes: number): void {
    const held = region.held.get(group)
    assert(region.log !== undefined && held !== undefined && covers(held.version, token), 'a write that may be admitted')
    const id = `${++this.writeCount}`
    const payload = new TextEncoder().encode(id.padEnd(bytes, '.'))
    const depends = mutableVersion(held.version)
    merge(depends, token)
    this.#writes.set(id, { payload, depends })
    this.writtenBytes += payload.length
    const tenant = group.slice(0, group.indexOf('/'))
    const document = parseDocument(`${tenant}/notes/${Math.floor(this.writeCount / (this.config.inRow ?? 4)) % 5}`)
    const draft = { group, document, engine: 'yjs', life: 1, kind: 'update', epoch: region.epoch } as const
    region.log.append([{ ...draft, time: toHybridTime(this.scheduler.nowMs * 1024), payload }], () => {
      this.#feed(region)
      // A client has seen its own write; what it wrote is in the version that it read right after it.
      merge(token, region.held.get(group)?.version ?? mutableVersion())
    })
  }

  /** Puts an entry into a region's log that its origin never wrote. */
  forge(region: Region, entry: Foreign): void {
    region.log?.include([entry], () => undefined)
    this.run(50)
    this.#feed(region)
  }

  /** Runs until all regions hold the same, or for so long. @returns milliseconds that it took; undefined if they do not. */
  settle(withinMs: number): number | undefined {
    const from = this.scheduler.nowMs
    while (this.scheduler.nowMs - from < withinMs) {
      this.run(50)
      if (this.isEqual) return this.scheduler.nowMs - from
    }
    return undefined
  }

  run(milliseconds: number): void {
    this.scheduler.advance(milliseconds)
  }

  get isEqual(): boolean {
    const [first, ...rest] = this.regions
    if (first === undefined || this.regions.some((region) => !region.isUp)) return false
    return groups.every((group) => rest.every((region) => equal(versionOf(region, group), versionOf(first, group))))
  }

  /** Every entry of a region, as text, in the order of its dots. */
  contents(region: Region): string[] {
    const all = new Set<string>()
    for (const { entries } of region.store.groups.values())
      for (const entry of entries)
        for (const [at, part] of partsOf(entry.payload).toReversed().entries())
          all.add(`${entry.group} ${entry.replica} ${entry.sequence - at} ${entry.document} ${part}`)
    return [...all].toSorted()
  }

  #check(region: Region, entry: Entry): void {
    const version = region.seen.get(entry.group)
    assert(version !== undefined, 'a group of the model')
    const what = `${region.id}: ${nameOf(entry)}`
    const before = version.sequences.get(entry.replica) ?? 0
    assert(entry.sequence > before, `no dot twice: ${what} after ${before}`)
    assert(entry.sequence - partsOf(entry.payload).length <= before, `no gap: ${what} after ${before}`)
    // One write, or several that were merged on their way; of these, those before `before` are held already.
    const parts = partsOf(entry.payload)
    for (const [at, part] of parts.entries()) {
      const write = this.#writes.get(part.replace(/\.*$/, ''))
      assert(write !== undefined && Buffer.from(write.payload).toString() === part, `the payload of its origin: ${what}`)
      const held = mutableVersion(version)
      const sequence = entry.sequence - parts.length + 1 + at
      if (sequence > 1) include(held, entry.replica, sequence - 1)
      assert(covers(held, write.depends), `causes before effects: ${what}`)
    }
    include(version, entry.replica, entry.sequence)
    const origin = this.#origins.get(nameOf(entry))
    if (origin === undefined) this.#origins.set(nameOf(entry), entry)
    else if (this.isChecking) assert(origin.chain === entry.chain && origin.time === entry.time, `as the origin gave it: ${what}`)
  }

  /** Every bound, and what a heartbeat may claim. */
  #checkBounds(region: Region): void {
    const { windowBytes, socketControlBytes, batchBytes } = this.options
    for (const [peer, link] of region.links) {
      const what = `${region.id} to ${peer}`
      assert(link.pendingCount <= 3 + 4 * groups.length, `one of a kind waits: ${what}`)
      for (const group of groups) {
        const stream = link.stream(group)
        if (stream === undefined) continue
        assert(stream.receiver.heldBytes <= Math.max(windowBytes, largeBytes + 128), `a receiver within its window: ${what}`)
        assert(stream.sender.outstandingBytes <= Math.max(windowBytes, largeBytes + 128), `a sender within its credit: ${what}`)
      }
    }
    for (const wire of this.wires.values()) {
      for (const direction of wire.directions)
        assert(direction.bufferedBytes <= socketControlBytes + 2 * batchBytes + largeBytes, 'a socket within its bound')
    }
  }

  /** What became durable reaches the links when the log answers, in its order. */
  #feed(region: Region): void {
    const fresh = region.fresh
    region.fresh = []
    for (const [group, held] of region.held) {
      const mine = fresh.filter((entry) => entry.group === group && !includes(held.version, entry.replica, entry.sequence))
      if (mine.length > 0) held.include(mine)
    }
  }

  #every(milliseconds: number, run: () => void): void {
    const again = (): void => {
      run()
      this.scheduler.after(milliseconds, again)
    }
    this.scheduler.after(milliseconds, again)
  }

  #tick(): void {
    for (const region of this.regions) {
      for (const link of [...region.links.values()]) link.tick()
      if (this.isChecking) this.#checkBounds(region)
    }
  }

  #dial(): void {
    for (let one = 0; one < this.regions.length; one++) {
      for (let other = one + 1; other < this.regions.length; other++) {
        const name = pair(one, other)
        if (this.without.has(name) || this.cut.has(name) || this.wires.has(name)) continue
        const [a, b] = [this.regions[one], this.regions[other]]
        if (a === undefined || b === undefined || !a.isUp || !b.isUp || a.links.has(b.id) || b.links.has(a.id)) continue
        if (this.random.chance(0.6)) this.#connect(name, [a, b])
      }
    }
  }

  #connect(name: string, ends: readonly [Region, Region]): void {
    const direction = (): Direction => ({ bufferedBytes: 0, freeAtMs: 0, arrivedAtMs: 0, isDead: false })
    const wire: Wire = { ends, links: [undefined, undefined], directions: [direction(), direction()], isClosed: false }
    this.wires.set(name, wire)
    for (const end of [0, 1] as const) {
      const link = this.#makeLink(name, wire, end)
      wire.links[end] = link
      const [here, there] = end === 0 ? ends : ([ends[1], ends[0]] as const)
      here.links.set(there.id, link)
      for (const held of here.held.values()) link.share(held)
      link.open()
    }
  }

  #makeLink(name: string, wire: Wire, end: 0 | 1): Link {
    const other = end === 0 ? 1 : 0
    const here = wire.ends[end]
    const there = wire.ends[other]
    const log = here.log
    assert(log !== undefined, 'a region that is up')
    const link: Link = new Link({
      here: here.id,
      peer: there.id,
      options: this.options,
      effects: {
        nowMs: () => this.scheduler.nowMs,
        presence: { shown: () => [], hear: () => undefined, suspect: () => undefined, watched: () => [] },
        send: (message) => this.#send(wire, end, message),
        bufferedBytes: () => wire.directions[end].bufferedBytes,
        close: (error) => {
          assert(error === undefined || error.code === 'TIMEOUT', `links end for no reason but silence: ${String(error)}`)
          for (const group of groups) this.#count(link, group)
          if (here.links.get(there.id) === link) here.links.delete(there.id)
          this.#closed(name, wire)
        },
        readGroup: (group, after, limit, done) => log.readLinked(group, after, limit, done),
        seekGroup: (group, version, done) => log.seekGroup(group, version, done),
        include: (entries, done) =>
          log.include(entries, (outcome) => {
            this.#feed(here)
            done(outcome)
          }),
        may: (verb, document, region) => this.config.may?.(here.id, verb, document, region) ?? { kind: 'yes', rule: 'all' },
        policyOf: () => ({ epoch: here.epoch, heads: here.heads }),
        alarm: (alarm) => this.alarms.push(alarm),
        acked: () => undefined,
        merge: (_engine, updates) => this.#merge(updates),
        wanted: () => undefined,
        behind: () => assert(false, 'these logs drop nothing'),
        log,
        digest: digestOf,
      },
    })
    return link
  }

  #merge(updates: readonly Uint8Array[]): Uint8Array | undefined {
    if (this.config.merges === false) return undefined
    this.mergeCount++
    return Buffer.from(updates.map((update) => Buffer.from(update).toString()).join('|'))
  }

  #count(link: Link, group: GroupId): void {
    const stream = link.stream(group)
    this.pullCount += stream?.receiver.pullCount ?? 0
    this.gapCount += stream?.receiver.gapCount ?? 0
  }

  /** Counts what links that are still open have counted. */
  tally(): void {
    for (const region of this.regions)
      for (const link of region.links.values()) for (const group of groups) this.#count(link, group)
  }

  #send(wire: Wire, end: 0 | 1, message: Uint8Array): void {
    const direction = wire.directions[end]
    const { nowMs } = this.scheduler
    this.messageCount++
    this.messageBytes += message.length
    direction.bufferedBytes += message.length
    // A hundred bytes a millisecond: a link is full now and then.
    direction.freeAtMs = Math.max(nowMs, direction.freeAtMs) + Math.ceil(message.length / 100)
    const from = this.regions.indexOf(wire.ends[end])
    const to = this.regions.indexOf(wire.ends[end === 0 ? 1 : 0])
    const delay = this.config.delayMs?.(from, to) ?? 5
    // Whole milliseconds: rounding would let one message pass another, which no socket does.
    const arrival = Math.ceil(direction.freeAtMs + delay * (0.8 + this.random.below(100) / 250))
    direction.arrivedAtMs = Math.max(direction.arrivedAtMs, arrival)
    this.scheduler.after(direction.freeAtMs - nowMs, () => {
      direction.bufferedBytes -= message.length
      if (!wire.isClosed) wire.links[end]?.drained()
    })
    this.scheduler.after(direction.arrivedAtMs - nowMs, () => {
      if (!direction.isDead && !wire.isClosed) wire.links[end === 0 ? 1 : 0]?.receive(message)
    })
  }

  /** One end has closed: the other is told, unless nothing passes any more. */
  #closed(name: string, wire: Wire): void {
    if (this.wires.get(name) === wire) this.wires.delete(name)
    if (!wire.directions[0].isDead && !wire.directions[1].isDead) this.#closeLater(wire)
  }

  #closeLater(wire: Wire): void {
    for (const end of [0, 1] as const)
      this.scheduler.after(this.random.below(200), () => {
        wire.isClosed = true
        wire.links[end]?.close(undefined)
      })
  }
}

export const pair = (one: number, other: number): string => `${Math.min(one, other)} ${Math.max(one, other)}`

export function versionOf(region: Region, group: GroupId): MutableVersion {
  const held = region.held.get(group)
  assert(held !== undefined, 'a region that is up')
  return held.version
}

function versionIn(store: MemoryStore, group: GroupId): MutableVersion {
  const version = mutableVersion()
  for (const entry of store.groups.get(group)?.entries ?? []) include(version, entry.replica, entry.sequence)
  return version
}
