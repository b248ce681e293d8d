/**
 * A region's log in memory, for simulations: a `MemoryStore` is what stands on the disk, a `MemoryLog` one opening of it. When the disk
 * works and when it answers is for the injected `timing` to say, apart, so that a crash, a read or another commit may come between.
 *
 * - LOG1 A batch is in the store when it is performed, and answered later. What a crash finds unperformed is lost, what it finds unanswered
 *   is there without anybody knowing.
 * - LOG2 Each opening is a new incarnation, and so is what follows a failed commit.
 * - LOG3 Batches are performed in the order of their calls, and answered in it. Reads have an order of their own.
 */

import type { Draft, Entry } from '@meridian/core/entry'
import { decodeControl } from '@meridian/core/entry'
import type { EngineName } from '@meridian/core/engine'
import type { Random } from '@meridian/core/effects'
import type { DeviceId, DocumentName, GroupId, Position, RegionId, ReplicaId } from '@meridian/core/ids'
import { formatReplica, replicaParts, toPosition } from '@meridian/core/ids'
import type {
  Adopted,
  Appended,
  DocumentInfo,
  DocumentState,
  Done,
  Foreign,
  GroupDocument,
  GroupInfo,
  Included,
  LastPush,
  LinkedLog,
  ListedDocument,
  LogErrorCode,
  Outcome,
  Peer,
  Read,
  ReadLimit,
  Snapshot,
  Sought,
  StatesPut,
} from '@meridian/core/log'
import { type ErasedLife, erasedOf, stubOf } from '@meridian/core/stub'
import type { Chain, Floor, Version } from '@meridian/core/version'
import { covers, emptyChain, include, includes, mutableVersion, toChain } from '@meridian/core/version'

interface StoredGroup {
  /** All that was not trimmed, in log order. */
  entries: Entry[]
  readonly ends: Map<ReplicaId, { readonly sequence: number; readonly chain: Chain }>
  readonly floors: Map<RegionId, Floor>
  readonly sealed: Map<ReplicaId, number>
  readonly seals: Map<string, Chain>
  /** By replica and sequence: where an entry stands, and its chain value. What came by state has none. */
  readonly dots: Map<ReplicaId, Map<number, { readonly position: number; readonly chain: Chain }>>
  /** What links read: entries, those that only a snapshot covers, and stubs. */
  linked: Entry[]
  /** Positions of `linked` that a snapshot covers. */
  readonly covered: Set<number>
  /** By replica: the highest sequence that links cannot read any more. */
  readonly gone: Map<ReplicaId, number>
  readonly peers: Map<RegionId, { readonly version: Version; readonly atMs: number }>
  joining: boolean
  /** Highest position that left local reads, and links. */
  trimmed: number
  dropped: number
  position: number
}

interface StoredDocument {
  group: GroupId
  engine: EngineName | undefined
  life: number
  ended: boolean
  trimmed: number
  snapshot: Snapshot | undefined
  /** Of the current life. */
  entries: Entry[]
  /** Of lives that ended, as far as they were not trimmed. */
  past: Entry[]
}

/** What is durable. A copy of it is yesterday's backup, or a clone. */
export class MemoryStore {
  readonly region: RegionId
  incarnation = 0
  position = 0
  readonly groups = new Map<GroupId, StoredGroup>()
  readonly documents = new Map<DocumentName, StoredDocument>()
  readonly pushes = new Map<string, LastPush>()

  constructor(region: RegionId) {
    this.region = region
  }

  copy(): MemoryStore {
    const copy = new MemoryStore(this.region)
    copy.incarnation = this.incarnation
    copy.position = this.position
    for (const [id, group] of this.groups) {
      copy.groups.set(id, {
        ...group,
        entries: [...group.entries],
        ends: new Map(group.ends),
        floors: new Map(group.floors),
        sealed: new Map(group.sealed),
        seals: new Map(group.seals),
        dots: new Map([...group.dots].map(([replica, dots]) => [replica, new Map(dots)])),
        linked: [...group.linked],
        covered: new Set(group.covered),
        gone: new Map(group.gone),
        peers: new Map(group.peers),
      })
    }
    for (const [name, document] of this.documents)
      copy.documents.set(name, { ...document, entries: [...document.entries], past: [...document.past] })
    for (const [key, push] of this.pushes) copy.pushes.set(key, push)
    return copy
  }

  commit(drafts: readonly Draft[], replica: ReplicaId): { readonly appended: Appended; readonly entries: readonly Entry[] } {
    const first = this.position + 1
    const entries = drafts.map((draft) => this.#insert(draft, replica))
    return {
      appended: {
        replica,
        position: toPosition(first),
        sequences: entries.map((entry) => entry.sequence),
        chains: new Map(entries.map((entry) => [entry.group, entry.chain])),
      },
      entries,
    }
  }

  putSnapshot(snapshot: Snapshot, trim: boolean): void {
    const document = this.documents.get(snapshot.document)
    if (document === undefined || document.life !== snapshot.life || document.ended) return
    if (document.snapshot !== undefined && document.snapshot.position > snapshot.position) return
    document.snapshot = snapshot
    if (!trim) return
    document.trimmed = Math.max(document.trimmed, snapshot.position)
    const gone = [...document.past, ...document.entries].filter((entry) => entry.position <= snapshot.position)
    document.past = document.past.filter((entry) => entry.position > snapshot.position)
    document.entries = document.entries.filter((entry) => entry.position > snapshot.position)
    for (const group of this.groups.values()) {
      const mine = gone.filter((entry) => this.groups.get(entry.group) === group)
      const last = mine.at(-1)
      if (last === undefined) continue
      group.trimmed = Math.max(group.trimmed, last.position)
      const positions = new Set(mine.map((entry) => entry.position))
      group.entries = group.entries.filter((entry) => !positions.has(entry.position))
      for (const position of positions) group.covered.add(position)
      this.#release(group)
    }
  }

  group(id: GroupId): StoredGroup {
    let group = this.groups.get(id)
    if (group === undefined) {
      group = {
        entries: [],
        ends: new Map(),
        floors: new Map(),
        sealed: new Map(),
        seals: new Map(),
        dots: new Map(),
        linked: [],
        covered: new Set(),
        gone: new Map(),
        peers: new Map(),
        joining: false,
        trimmed: 0,
        dropped: 0,
        position: 0,
      }
      this.groups.set(id, group)
    }
    return group
  }

  include(foreign: readonly Foreign[]): Included {
    const ends = new Map<string, number>()
    const fresh: Foreign[] = []
    for (const entry of foreign) {
      const key = `${entry.group} ${entry.replica}`
      const group = this.group(entry.group)
      const end = ends.get(key) ?? group.ends.get(entry.replica)?.sequence ?? 0
      const parts = replicaParts(entry.replica)
      if (entry.sequence <= end || parts.counter <= (group.floors.get(parts.region)?.counter ?? 0)) continue
      if ((entry.first ?? entry.sequence) > end + 1)
        return { kind: 'gap', dot: { replica: entry.replica, sequence: entry.sequence } }
      ends.set(key, entry.sequence)
      fresh.push(entry)
    }
    const lives = this.#livingOf(fresh)
    if (lives.length > 0) return { kind: 'living', lives }
    return { kind: 'included', entries: fresh.map((entry) => this.#put(this.#isLate(entry) ? stubOf(entry) : entry)) }
  }

  seek(id: GroupId, version: Version): Sought {
    const group = this.groups.get(id)
    let position = this.position
    let behind = false
    const chains = new Map<ReplicaId, Chain>()
    for (const [replica, end] of group?.ends ?? []) {
      const sequence = version.sequences.get(replica) ?? 0
      const dots = group?.dots.get(replica)
      const chain = sequence === end.sequence ? end.chain : dots?.get(sequence)?.chain
      if (chain !== undefined && chain !== emptyChain) chains.set(replica, chain)
      if (includes(version, replica, end.sequence)) continue
      if (sequence < (group?.gone.get(replica) ?? 0)) behind = true
      position = Math.min(position, (firstDotBeyond(dots, sequence) ?? 1) - 1)
    }
    return { position: toPosition(behind ? 0 : position), chains, behind }
  }

  setPeers(id: GroupId, regions: readonly RegionId[]): void {
    const group = this.group(id)
    for (const region of group.peers.keys()) if (!regions.includes(region)) group.peers.delete(region)
    for (const region of regions) if (!group.peers.has(region)) group.peers.set(region, { version: mutableVersion(), atMs: 0 })
    this.#release(group)
  }

  retain(id: GroupId, region: RegionId, version: Version): void {
    const group = this.group(id)
    if (!group.peers.has(region)) return
    group.peers.set(region, { version: mutableVersion(version), atMs: 0 })
    this.#release(group)
  }

  /** @returns those that took the place of what was held, too. */
  putStates(id: GroupId, states: readonly DocumentState[]): StatesPut & { readonly taken: readonly DocumentState[] } {
    const group = this.group(id)
    const unmerged: DocumentName[] = []
    const taken: DocumentState[] = []
    for (const state of states) {
      const held = this.documents.get(state.document)
      if (held !== undefined && (held.life > state.life || (held.life === state.life && held.ended))) continue
      const turns = held !== undefined && (held.life !== state.life || state.ended)
      if (held !== undefined && !turns && !covers(state.version, versionOf(held))) {
        unmerged.push(state.document)
        continue
      }
      const before = this.position
      for (const entry of [...(held?.past ?? []), ...(held?.entries ?? [])]) {
        if (turns) this.#stub(group, entry)
        else group.covered.add(entry.position)
      }
      const entries = state.entries.map((entry) => ({ ...entry, position: toPosition(++this.position) }))
      const { snapshot } = state
      this.documents.set(state.document, {
        ...{ group: id, engine: state.engine, life: state.life, ended: state.ended, entries, past: [] },
        trimmed: held === undefined && snapshot === undefined ? 0 : before,
        snapshot:
          snapshot === undefined
            ? undefined
            : { document: state.document, life: state.life, position: toPosition(before), ...snapshot },
      })
      const positions = new Set([...(held?.past ?? []), ...(held?.entries ?? [])].map((entry) => entry.position))
      group.entries = group.entries.filter((entry) => !positions.has(entry.position))
      group.trimmed = this.position
      taken.push(state)
    }
    this.#release(group)
    return { unmerged, taken }
  }

  adopt(id: GroupId, { version, chains, sealed, seals }: Adopted): void {
    const group = this.group(id)
    const raise = (replica: ReplicaId, sequence: number, chain: Chain): void => {
      if ((group.ends.get(replica)?.sequence ?? 0) >= sequence) return
      group.ends.set(replica, { sequence, chain })
      group.gone.set(replica, sequence)
    }
    for (const [replica, sequence] of version.sequences) raise(replica, sequence, chains.get(replica) ?? emptyChain)
    for (const [replica, sequence] of sealed) {
      raise(replica, sequence, emptyChain)
      group.sealed.set(replica, sequence)
    }
    for (const [name, seal] of seals) if (!group.seals.has(name)) group.seals.set(name, seal)
    for (const [region, floor] of version.floors)
      if ((group.floors.get(region)?.counter ?? 0) < floor.counter) group.floors.set(region, floor)
    group.joining = false
    group.trimmed = this.position
    group.position = this.position
  }

  /** Until all peers hold it, an entry stays for links as its dot and chain value. */
  #stub(group: StoredGroup, erased: Entry): void {
    const { position } = erased
    group.linked = group.linked.map((entry) => (entry.position === position ? stubOf(entry) : entry))
  }

  /** What a snapshot covers, and stubs, as far as every peer holds them that is not behind. */
  #release(group: StoredGroup): void {
    const id = [...this.groups].find(([, held]) => held === group)?.[0]
    if (id === undefined) return
    let limit = Number.POSITIVE_INFINITY
    for (const peer of group.peers.values()) {
      const { position, behind } = this.seek(id, peer.version)
      if (!behind) limit = Math.min(limit, position)
    }
    group.linked = group.linked.filter((entry) => {
      if (entry.position > limit || (entry.kind !== 'stub' && !group.covered.has(entry.position))) return true
      group.dropped = Math.max(group.dropped, entry.position)
      group.gone.set(entry.replica, Math.max(group.gone.get(entry.replica) ?? 0, entry.sequence))
      group.dots.get(entry.replica)?.delete(entry.sequence)
      group.covered.delete(entry.position)
      return false
    })
  }

  #insert(draft: Draft, replica: ReplicaId): Entry {
    const { push, ...rest } = draft
    const end = this.group(draft.group).ends.get(replica) ?? { sequence: 0, chain: emptyChain }
    const foreign: Foreign = { ...rest, replica, sequence: end.sequence + 1, chain: chainOf(draft, end.chain) }
    const entry = this.#put(this.#isLate(foreign) ? stubOf(foreign) : foreign)
    if (push !== undefined) {
      const key = pushKey(draft.group, push.device)
      const held = this.pushes.get(key)
      if (held === undefined || held.counter <= push.counter)
        this.pushes.set(key, { replica, sequence: entry.sequence, counter: push.counter })
    }
    return entry
  }

  #put(foreign: Foreign): Entry {
    const group = this.group(foreign.group)
    const { first: _first, ...kept } = foreign
    const { replica, sequence, chain } = kept
    const entry: Entry = { ...kept, payload: new Uint8Array(foreign.payload), position: toPosition(++this.position) }
    group.ends.set(replica, { sequence, chain })
    const dots = group.dots.get(replica) ?? new Map<number, { readonly position: number; readonly chain: Chain }>()
    group.dots.set(replica, dots.set(sequence, { position: entry.position, chain }))
    group.linked.push(entry)
    group.position = entry.position
    if (entry.kind === 'stub') return entry
    group.entries.push(entry)
    if (entry.document !== undefined) this.#insertInto(entry.document, entry)
    if (entry.kind === 'control') this.#control(group, entry)
    return entry
  }

  /** RES7: what stubs name and neither has ended here nor does in this batch. */
  #livingOf(batch: readonly Foreign[]): readonly ErasedLife[] {
    const lives = new Map<DocumentName, ErasedLife>()
    for (const { kind, payload } of batch) {
      const erased = kind === 'stub' ? erasedOf(payload) : undefined
      if (erased === undefined) continue
      const { document, life } = erased
      const held = this.documents.get(document)
      const isOver = held !== undefined && (held.life > life || (held.life === life && held.ended))
      const isEnding = batch.some(
        (one) => one.document === document && (one.life > life || (one.life === life && one.kind === 'erase')),
      )
      if (!isOver && !isEnding && life > (lives.get(document)?.life ?? 0)) lives.set(document, erased)
    }
    return [...lives.values()]
  }

  /** RES7: of a life that has ended here. */
  #isLate(entry: Foreign): boolean {
    const document = entry.document === undefined ? undefined : this.documents.get(entry.document)
    if (document === undefined || entry.kind === 'erase') return false
    return entry.life < document.life || (entry.life === document.life && document.ended)
  }

  #insertInto(name: DocumentName, entry: Entry): void {
    let document = this.documents.get(name)
    const turns =
      document !== undefined &&
      (entry.life > document.life || (entry.kind === 'erase' && entry.life === document.life && !document.ended))
    if (document === undefined) {
      const ended = entry.kind === 'erase'
      document = {
        ...{ group: entry.group, engine: entry.engine, life: entry.life, ended, trimmed: 0 },
        ...{ snapshot: undefined, entries: [], past: [] },
      }
      this.documents.set(name, document)
    } else if (turns) {
      if (entry.life > document.life) {
        document.past.push(...document.entries)
        document.entries = []
      }
      document.life = entry.life
      document.ended = entry.kind === 'erase'
      document.trimmed = 0
      document.snapshot = undefined
    }
    if (entry.life === document.life) document.entries.push(entry)
    else document.past.push(entry)
    if (turns && document.ended) this.#erase(document, entry)
  }

  /** RES7: only the erase itself stays. */
  #erase(document: StoredDocument, erase: Entry): void {
    const gone = new Set([...document.past, ...document.entries].filter((entry) => entry.position < erase.position))
    document.past = document.past.filter((entry) => !gone.has(entry))
    document.entries = document.entries.filter((entry) => !gone.has(entry))
    document.trimmed = erase.position - 1
    const group = this.group(erase.group)
    group.entries = group.entries.filter((entry) => !gone.has(entry))
    group.trimmed = Math.max(group.trimmed, document.trimmed)
    for (const entry of gone) this.#stub(group, entry)
    this.#release(group)
  }

  #control(group: StoredGroup, entry: Entry): void {
    const control = decodeControl(entry.payload)
    if (control.kind !== 'seal') return
    for (const [replica, last] of control.last) group.sealed.set(replica, last)
    const [replica] = control.last.keys()
    const region = replica === undefined ? this.region : replicaParts(replica).region
    const name = `${region}#${control.counter}`
    if (!group.seals.has(name)) group.seals.set(name, entry.chain)
    const held = group.floors.get(region)
    if (held === undefined || held.counter < control.counter)
      group.floors.set(region, { counter: control.counter, seal: entry.chain })
  }
}

/** Made of the document's own dots. */
function versionOf({ snapshot, entries, trimmed }: StoredDocument): Version {
  const version = mutableVersion(snapshot?.version)
  const after = Math.max(snapshot?.position ?? 0, trimmed)
  for (const entry of entries) if (entry.position > after) include(version, entry.replica, entry.sequence)
  return version
}

/** Where the first dot beyond a sequence stands. */
function firstDotBeyond(
  dots: ReadonlyMap<number, { readonly position: number }> | undefined,
  sequence: number,
): number | undefined {
  let least: number | undefined
  for (const [dot, { position }] of dots ?? []) if (dot > sequence && (least === undefined || position < least)) least = position
  return least
}

const pushKey = (group: GroupId, device: DeviceId): string => `${group} ${device}`

/** Two rounds of 32-bit FNV-1a over what an entry says, seeded by the value before it. */
function chainOf(draft: Draft, before: Chain): Chain {
  const head = `${draft.group} ${draft.document} ${draft.engine} ${draft.life} ${draft.kind} ${draft.epoch} ${draft.time}`
  let low = Number(before & 0xffff_ffffn) ^ 0x811c9dc5
  let high = Number(before >> 32n) ^ 0x01234567
  const take = (byte: number): void => {
    low = Math.imul(low ^ byte, 0x01000193)
    high = Math.imul(high ^ byte ^ (low >>> 24), 0x01000193)
  }
  for (let index = 0; index < head.length; index++) take(head.charCodeAt(index))
  for (const byte of draft.payload) take(byte)
  return toChain((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))
}

export type LogOperation =
  | 'append'
  | 'include'
  | 'seekGroup'
  | 'readLinked'
  | 'setPeers'
  | 'readPeers'
  | 'listGroup'
  | 'readState'
  | 'beginJoin'
  | 'putStates'
  | 'adopt'
  | 'openDocument'
  | 'openGroup'
  | 'lastPush'
  | 'listGroups'
  | 'listDocuments'
  | 'readDocument'
  | 'readGroup'
  | 'readSnapshot'
  | 'putSnapshot'
  | 'reopen'
  | 'close'

/** `perform`: the disk does it. `answer`: whoever asked hears of it. */
export interface LogStep {
  readonly operation: LogOperation
  readonly phase: 'perform' | 'answer'
}

export type LogTiming = (step: LogStep, run: () => void) => void

export interface MemoryLogOptions {
  readonly timing: LogTiming
  readonly random: Random
  /** Told of every batch that became durable, before anybody else can know. */
  readonly onDurable?: (entries: readonly Entry[], drafts: readonly Draft[]) => void
  /** Told of states that took the place of what was held, and of what a group holds when its transfer is over (LINK6). */
  readonly onStates?: (states: readonly DocumentState[]) => void
  readonly onAdopted?: (group: GroupId, version: Version) => void
}

interface Fault {
  readonly code: LogErrorCode
  /** `kept`: the commit is on the disk all the same, as after a failed fsync whose bytes had been written. */
  readonly batch: 'lost' | 'kept'
}

interface Work {
  readonly operation: LogOperation
  /** Does it and returns what says so to whoever asked. */
  readonly perform: () => () => void
}

export class MemoryLog implements LinkedLog {
  readonly store: MemoryStore
  replica: ReplicaId
  position: Position
  state: 'open' | 'stopped' | 'closed' | 'crashed' = 'open'

  readonly #options: MemoryLogOptions
  readonly #writes: Work[] = []
  readonly #reads: Work[] = []
  readonly #answers: { readonly append: (() => void)[]; readonly read: (() => void)[] } = { append: [], read: [] }
  #appendFaults: Fault[] = []
  #readFault: ((operation: LogOperation, document: DocumentName | undefined) => LogErrorCode | undefined) | undefined
  #stoppedBy: LogErrorCode = 'LOG_UNAVAILABLE'
  #closers: (() => void)[] | undefined
  appendCount = 0

  constructor(store: MemoryStore, options: MemoryLogOptions) {
    this.store = store
    this.#options = options
    this.position = toPosition(store.position)
    this.replica = this.#begin()
  }

  /** The next append, or the one that waits, fails, and then the log opens anew. */
  failAppend(code: LogErrorCode, batch: Fault['batch']): void {
    this.#appendFaults.push({ code, batch })
  }

  /** No append is to fail any more. */
  forgiveAppends(): void {
    this.#appendFaults.length = 0
  }

  /** Reads for which this names a code fail, until it is taken away. */
  failReads(
    fault: ((operation: LogOperation, document: DocumentName | undefined) => LogErrorCode | undefined) | undefined,
  ): void {
    this.#readFault = fault
  }

  /** The process dies: what the disk has not done is lost, and nobody is answered any more. */
  crash(): void {
    this.state = 'crashed'
    this.#writes.length = 0
    this.#reads.length = 0
    this.#answers.append.length = 0
    this.#answers.read.length = 0
  }

  append(drafts: readonly Draft[], done: Done<Appended>): void {
    for (const draft of drafts) if (draft.kind === 'control') decodeControl(draft.payload)
    const copies = drafts.map((draft) => ({ ...draft, payload: new Uint8Array(draft.payload) }))
    this.appendCount++
    this.#write('append', done, () => {
      const fault = this.#appendFaults.shift()
      if (fault !== undefined) {
        if (fault.batch === 'kept') this.#commit(copies)
        this.#stop(fault.code)
        return { kind: 'failed', code: fault.code }
      }
      const appended = this.#commit(copies)
      return { kind: 'done', value: appended }
    })
  }

  include(entries: readonly Foreign[], done: Done<Included>): void {
    for (const entry of entries) if (entry.kind === 'control') decodeControl(entry.payload)
    const copies = entries.map((entry) => ({ ...entry, payload: new Uint8Array(entry.payload) }))
    this.#write('include', done, () => {
      const fault = this.#appendFaults.shift()
      if (fault?.batch === 'lost') {
        this.#stop(fault.code)
        return { kind: 'failed', code: fault.code }
      }
      const included = this.store.include(copies)
      if (included.kind === 'included' && included.entries.length > 0) this.#options.onDurable?.(included.entries, [])
      if (fault === undefined) return { kind: 'done', value: included }
      this.#stop(fault.code)
      return { kind: 'failed', code: fault.code }
    })
  }

  seekGroup(group: GroupId, version: Version, done: Done<Sought>): void {
    this.#read('seekGroup', undefined, done, () => this.store.seek(group, version))
  }

  readLinked(group: GroupId, after: Position, limit: ReadLimit, done: Done<Read>): void {
    this.#read('readLinked', undefined, done, () => {
      const held = this.store.groups.get(group)
      return this.#readEntries(held?.linked ?? [], after, limit, held?.dropped ?? 0)
    })
  }

  setPeers(group: GroupId, regions: readonly RegionId[], done: Done<void>): void {
    this.#write('setPeers', done, () => ({ kind: 'done', value: this.store.setPeers(group, regions) }))
  }

  retain(group: GroupId, region: RegionId, version: Version): void {
    if (this.state !== 'crashed') this.store.retain(group, region, version)
  }

  readPeers(group: GroupId, done: Done<readonly Peer[]>): void {
    this.#read('readPeers', undefined, done, () =>
      [...(this.store.groups.get(group)?.peers ?? [])].map(([region, peer]) => ({
        ...{ region, ...peer },
        behind: this.store.seek(group, peer.version).behind,
      })),
    )
  }

  listGroup(group: GroupId, after: string, count: number, done: Done<readonly GroupDocument[]>): void {
    this.#read('listGroup', undefined, done, () => {
      const listed: GroupDocument[] = []
      for (const [document, held] of [...this.store.documents].sort(([one], [other]) => byBytes(one, other))) {
        const { engine, life, ended } = held
        if (listed.length === count) break
        if (held.group !== group || engine === undefined || byBytes(document, after) <= 0) continue
        listed.push({ document, engine, life, ended, version: versionOf(held) })
      }
      return listed
    })
  }

  readState(document: DocumentName, done: Done<DocumentState | undefined>): void {
    this.#read('readState', document, done, () => {
      const held = this.store.documents.get(document)
      if (held?.engine === undefined) return undefined
      const { engine, life, ended, snapshot } = held
      const after = Math.max(snapshot?.position ?? 0, held.trimmed)
      const entries = held.entries
        .filter((entry) => entry.position > after)
        .map(({ position: _position, ...foreign }): Foreign => foreign)
      return {
        ...{ document, engine, life, ended, version: versionOf(held), entries },
        snapshot: snapshot === undefined ? undefined : { version: mutableVersion(snapshot.version), state: snapshot.state },
      }
    })
  }

  beginJoin(group: GroupId, done: Done<void>): void {
    this.#write('beginJoin', done, () => {
      this.store.group(group).joining = true
      return { kind: 'done', value: undefined }
    })
  }

  putStates(group: GroupId, states: readonly DocumentState[], done: Done<StatesPut>): void {
    this.#write('putStates', done, () => {
      if (!this.store.group(group).joining) return { kind: 'failed', code: 'LOG_UNAVAILABLE' }
      const { unmerged, taken } = this.store.putStates(group, states)
      this.#options.onStates?.(taken)
      return { kind: 'done', value: { unmerged } }
    })
  }

  adopt(group: GroupId, adopted: Adopted, done: Done<void>): void {
    this.#write('adopt', done, () => {
      if (!this.store.group(group).joining) return { kind: 'failed', code: 'LOG_UNAVAILABLE' }
      this.store.adopt(group, adopted)
      this.#options.onAdopted?.(group, adopted.version)
      return { kind: 'done', value: undefined }
    })
  }

  putSnapshot(snapshot: Snapshot, options: { readonly trim: boolean }, done: Done<void>): void {
    const copy: Snapshot = {
      ...snapshot,
      version: mutableVersion(snapshot.version),
      state: { bytes: new Uint8Array(snapshot.state.bytes), index: new Uint8Array(snapshot.state.index) },
    }
    this.#write('putSnapshot', done, () => {
      this.store.putSnapshot(copy, options.trim)
      return { kind: 'done', value: undefined }
    })
  }

  openDocument(document: DocumentName, done: Done<DocumentInfo>): void {
    this.#read('openDocument', document, done, () => this.#documentInfo(document))
  }

  openGroup(group: GroupId, done: Done<GroupInfo>): void {
    this.#read('openGroup', undefined, done, () => this.#groupInfo(group))
  }

  lastPush(group: GroupId, device: DeviceId, done: Done<LastPush | undefined>): void {
    this.#read('lastPush', undefined, done, () => this.store.pushes.get(pushKey(group, device)))
  }

  listGroups(done: Done<readonly GroupId[]>): void {
    this.#read('listGroups', undefined, done, () =>
      [...this.store.groups]
        .filter(([, held]) => held.position > 0)
        .map(([group]) => group)
        .sort(byBytes),
    )
  }

  listDocuments(prefix: string, after: string, count: number, done: Done<readonly ListedDocument[]>): void {
    this.#read('listDocuments', undefined, done, () => {
      const listed: ListedDocument[] = []
      for (const [document, { engine, life, ended }] of [...this.store.documents].sort(([one], [other]) => byBytes(one, other))) {
        if (listed.length === count) break
        if (engine !== undefined && document.startsWith(prefix) && byBytes(document, after) > 0)
          listed.push({ document, engine, life, ended })
      }
      return listed
    })
  }

  readDocument(document: DocumentName, after: Position, limit: ReadLimit, done: Done<Read>): void {
    this.#read('readDocument', document, done, () => {
      const held = this.store.documents.get(document)
      const isWhole = after === 0 && held !== undefined && !held.ended && held.snapshot === undefined
      return this.#readEntries(held?.entries ?? [], after, limit, isWhole ? 0 : (held?.trimmed ?? 0))
    })
  }

  readGroup(group: GroupId, after: Position, limit: ReadLimit, done: Done<Read>): void {
    this.#read('readGroup', undefined, done, () => {
      const held = this.store.groups.get(group)
      return this.#readEntries(held?.entries ?? [], after, limit, held?.trimmed ?? 0)
    })
  }

  readSnapshot(document: DocumentName, done: Done<Snapshot | undefined>): void {
    this.#read('readSnapshot', document, done, () => this.store.documents.get(document)?.snapshot)
  }

  close(done: () => void): void {
    if (this.state === 'crashed') return
    if (this.#closers !== undefined) {
      if (this.state === 'closed') this.#options.timing({ operation: 'close', phase: 'answer' }, done)
      else this.#closers.push(done)
      return
    }
    this.#closers = [done]
    this.#endIfIdle()
  }

  #begin(): ReplicaId {
    const { random } = this.#options
    const hex = (): string => random.uint32().toString(16).padStart(8, '0')
    this.replica = formatReplica({ region: this.store.region, counter: ++this.store.incarnation, random: hex() + hex() })
    return this.replica
  }

  #commit(drafts: readonly Draft[]): Appended {
    const { appended, entries } = this.store.commit(drafts, this.replica)
    this.#options.onDurable?.(entries, drafts)
    return appended
  }

  #stop(code: LogErrorCode): void {
    this.state = 'stopped'
    this.#stoppedBy = code
    this.#options.timing({ operation: 'reopen', phase: 'perform' }, () => {
      if (this.state !== 'stopped') return
      this.#begin()
      this.position = toPosition(this.store.position)
      this.state = 'open'
    })
  }

  #write<T>(operation: LogOperation, done: Done<T>, perform: () => Outcome<T>): void {
    const work: Work = {
      operation,
      perform: () => {
        const outcome: Outcome<T> = this.state === 'stopped' ? { kind: 'failed', code: this.#stoppedBy } : perform()
        const { position } = this.store
        return () => {
          // What was performed since is answered later.
          if (operation !== 'putSnapshot' && outcome.kind === 'done')
            this.position = toPosition(Math.max(this.position, position))
          done(outcome)
        }
      },
    }
    this.#queue(this.#writes, 'append', work, done)
  }

  #read<T>(operation: LogOperation, document: DocumentName | undefined, done: Done<T>, perform: () => T): void {
    const work: Work = {
      operation,
      perform: () => {
        const code = this.#readFault?.(operation, document)
        const outcome: Outcome<T> = code === undefined ? { kind: 'done', value: perform() } : { kind: 'failed', code }
        return () => done(outcome)
      },
    }
    this.#queue(this.#reads, 'read', work, done)
  }

  #queue<T>(queue: Work[], kind: 'append' | 'read', work: Work, done: Done<T>): void {
    if (this.state === 'crashed') return
    const { timing } = this.#options
    if (this.state === 'closed' || this.#closers !== undefined) {
      timing({ operation: work.operation, phase: 'answer' }, () => done({ kind: 'failed', code: 'LOG_UNAVAILABLE' }))
      return
    }
    queue.push(work)
    if (queue.length === 1) this.#next(queue, kind)
  }

  #next(queue: Work[], kind: 'append' | 'read'): void {
    const work = queue[0]
    if (work === undefined) return
    const { timing } = this.#options
    timing({ operation: work.operation, phase: 'perform' }, () => {
      if (this.state === 'crashed') return
      queue.shift()
      const answers = this.#answers[kind]
      answers.push(work.perform())
      timing({ operation: work.operation, phase: 'answer' }, () => {
        if (this.state === 'crashed') return
        answers.shift()?.()
        this.#endIfIdle()
      })
      this.#next(queue, kind)
    })
  }

  #endIfIdle(): void {
    if (this.#closers === undefined || this.state === 'closed' || this.state === 'crashed') return
    const { append, read } = this.#answers
    if (this.#writes.length + this.#reads.length + append.length + read.length > 0) return
    this.state = 'closed'
    for (const closer of this.#closers) this.#options.timing({ operation: 'close', phase: 'answer' }, closer)
  }

  #documentInfo(name: DocumentName): DocumentInfo {
    const held = this.store.documents.get(name)
    const snapshot = held?.snapshot
    const version = mutableVersion(snapshot?.version)
    let position = snapshot?.position ?? toPosition(0)
    let tailCount = 0
    let tailBytes = 0
    for (const entry of held?.entries ?? []) {
      if (entry.position <= (snapshot?.position ?? 0)) continue
      include(version, entry.replica, entry.sequence)
      position = entry.position
      tailCount++
      tailBytes += entry.payload.length
    }
    return {
      document: name,
      engine: held?.engine,
      life: held?.life ?? 0,
      ended: held?.ended ?? false,
      version,
      position,
      snapshot:
        snapshot === undefined
          ? undefined
          : {
              position: snapshot.position,
              version: mutableVersion(snapshot.version),
              bytes: snapshot.state.bytes.length,
              index: snapshot.state.index,
            },
      tailCount,
      tailBytes,
    }
  }

  #groupInfo(id: GroupId): GroupInfo {
    const held = this.store.groups.get(id)
    const version = mutableVersion()
    const closed = new Map<ReplicaId, number>()
    for (const [region, floor] of held?.floors ?? []) version.floors.set(region, floor)
    for (const [replica, { sequence }] of held?.ends ?? []) {
      const { region, counter } = replicaParts(replica)
      if (counter <= (version.floors.get(region)?.counter ?? 0)) continue
      version.sequences.set(replica, sequence)
      if (region === this.store.region && replica !== this.replica) closed.set(replica, sequence)
    }
    return {
      version,
      closed,
      sealed: new Map(held?.sealed),
      seals: new Map(held?.seals),
      position: toPosition(held?.position ?? 0),
      ...(held?.joining === true ? { joining: true } : {}),
    }
  }

  #readEntries(all: readonly Entry[], after: Position, limit: ReadLimit, trimmed: number): Read {
    const entries: Entry[] = []
    let bytes = 0
    let more = false
    for (let index = firstBeyond(all, after); index < all.length; index++) {
      const entry = all[index]
      if (entry === undefined) break
      if (entries.length > 0 && (entries.length >= limit.entries || bytes + entry.payload.length > limit.bytes)) {
        more = true
        break
      }
      entries.push(entry)
      bytes += entry.payload.length
    }
    const asOf = more ? (entries.at(-1)?.position ?? after) : Math.max(after, this.store.position)
    return { entries, asOf: toPosition(asOf), more, trimmed: toPosition(trimmed) }
  }
}

const byBytes = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other))

function firstBeyond(entries: readonly Entry[], after: number): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((entries[middle]?.position ?? 0) > after) high = middle
    else low = middle + 1
  }
  return low
}
