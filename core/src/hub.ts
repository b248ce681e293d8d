/**
 * The hub of a node: what is appended goes through it into the log, and what became durable goes out of it to whoever subscribes. [hot]
 *
 * ```
 *  session ─▶ append ─▶ pending batch ─▶ log.append ─▶ committed ─▶ tail, versions ─▶ one delivery a document ─▶ subscribers
 * ```
 *
 * - LOG1, LOG3 Nothing is fanned out before the log says that it is durable; one commit carries all that came while the last one ran.
 * - LOG5 The first append to a group after an opening seals the incarnations that closed before it, while one region holds the group.
 * - LINK6 Nothing of a group that is joining is served or accepted: whoever has a document of it open comes again, here or elsewhere.
 * - SES1 A document's live updates reach a session only after the answer to its attach.
 * - SES4 A subscriber that does not listen holds no queue here.
 *
 * It is not a store, and knows no socket, no clock, no engine document and no wire's bytes: subscribers encode, once for each wire.
 */

import type { Attachment } from './attachment.js'
import type { CompactionPolicy } from './compaction.js'
import { compactionPolicy, dueWhenIdle, dueWhileOpen } from './compaction.js'
import type { Shared } from './delivery.js'
import { Delivery, RecentEntry } from './delivery.js'
import type { Admit, Clock, Random } from './effects.js'
import type { Engine, EngineIndex, EngineName, IndexDecoding, Inspection } from './engine.js'
import { inspectLimits } from './engine.js'
import type { EngineAside } from './engine-aside.js'
import type { Control, Draft, Entry, PushName } from './entry.js'
import { encodeControl } from './entry.js'
import { assert, MeridianError } from './errors.js'
import { Holders } from './holders.js'
import type { HybridTime } from './hybrid-time.js'
import { nextTime, zeroTime } from './hybrid-time.js'
import type { DocumentName, GroupId, Position, RegionId, ReplicaId } from './ids.js'
import { replicaParts, toPosition } from './ids.js'
import type { HubLimits } from './limits.js'
import { hubLimits } from './limits.js'
import type { IndexLoading, IndexState, LoadedIndex } from './live-document.js'
import { LiveDocument } from './live-document.js'
import { LiveGroup } from './live-group.js'
import type { Appended, DocumentInfo, LogErrorCode, Outcome, RegionLog, SnapshotInfo } from './log.js'
import { Stopwatch } from './stopwatch.js'
import type { ErasedLife } from './stub.js'
import type { Subscriber, Subscription } from './subscription.js'
import { TailBuffer } from './tail.js'
import { UnopenedTails } from './unopened-tails.js'
import type { Chain, Version } from './version.js'
import { include } from './version.js'

/** What links to other regions hear of this one: all that became durable, in the order of the log. */
export interface HubLinks {
  /** Entries of this region, up to this one. @param chain of it; undefined if the log did not say. */
  appended(group: GroupId, replica: ReplicaId, sequence: number, chain: Chain | undefined): void
  /** Entries that links brought. */
  included(entries: readonly Entry[]): void
  /** The log opened anew, and may hold more than was told. */
  reopened(): void
  /** How many regions hold a group, this one included. */
  regionCount(group: GroupId): number
  /** Whether a region is connected now. */
  isLinked(region: RegionId): boolean
}

export interface HubEffects {
  readonly log: RegionLog
  readonly clock: Clock
  readonly random: Random
  readonly admit: Admit
  readonly engines: Partial<Record<EngineName, Engine>>
  readonly aside: EngineAside
  /** Runs at the end of this turn, when sockets that are readable have been read, or a moment later, so that others can join a commit. */
  schedule(run: () => void, when: 'end of turn' | 'in a moment'): void
  /** Asks for a new snapshot. Answered by `compacted`, whether there is one or not. */
  compact(document: DocumentName): void
  /** Absent for a node that is alone. */
  readonly links?: HubLinks
  /** A control entry became durable here, whoever wrote it; told once, after what stood before it was delivered (RES3). */
  controlled?(group: GroupId, payload: Uint8Array): void
}

export interface HubOptions {
  readonly limits: HubLimits
  readonly compaction: CompactionPolicy
  /** True while this region is the only one of each group, so that it may seal its closed incarnations by itself. */
  readonly aloneInGroups: boolean
}

export const hubOptions: HubOptions = { limits: hubLimits, compaction: compactionPolicy, aloneInGroups: true }

/** Who pushed an entry and waits for its fate. Called once for each push, in the order of the pushes. */
export interface Receipt {
  saved(counter: number, bytes: number, replica: number, sequence: number): void
  failed(channel: number, counter: number, bytes: number, code: LogErrorCode): void
}

/** Where an update came from. */
export interface Pushed {
  /** Undefined if nothing names it; then the log does not remember it. */
  readonly name: PushName | undefined
  readonly counter: number
  readonly engine: EngineName
  /** Bytes as they came; what is appended may be less. */
  readonly bytes: number
  readonly receipt: Receipt
  readonly origin: Subscription
}

interface Item {
  readonly group: LiveGroup
  readonly document: LiveDocument | undefined
  /** Undefined for a barrier: it adds nothing and is saved when all before it is (SES7). */
  readonly draft: Draft | undefined
  readonly origin: Subscription | undefined
  readonly receipt: Receipt | undefined
  readonly counter: number
  readonly bytes: number
}

/** Counters since the start, for metrics. */
export interface HubStats {
  commits: number
  entries: number
  /** Entries that links brought. */
  included: number
  payloadBytes: number
  failedCommits: number
  delivered: number
}

export class Hub {
  readonly effects: HubEffects
  readonly limits: HubLimits
  readonly stats: HubStats = { commits: 0, entries: 0, included: 0, payloadBytes: 0, failedCommits: 0, delivered: 0 }
  readonly tail: TailBuffer<LiveDocument>
  sessionCount = 0
  /** By which sessions say how long they wait. */
  readonly stopwatch: Stopwatch

  readonly #options: HubOptions
  readonly #documents = new Map<DocumentName, LiveDocument>()
  readonly #groups = new Map<GroupId, GroupSlot>()
  readonly #holders = new Map<GroupId, Holders>()
  readonly #handles = new Set<number>()
  readonly #replicas: ReplicaId[]
  readonly #replicaIndex = new Map<ReplicaId, number>()
  /** Of the newest commit. */
  #replica: ReplicaId

  #pending: Item[] = []
  #pendingBytes = 0
  #inFlight: Item[] | undefined
  #scheduled = false
  /** Commits in a row that carried one entry: waiting for company is given up for a while after some of them. */
  #loneCommits = 0
  #time: HybridTime = zeroTime
  #commit = 0
  #closed = false
  #touched: LiveDocument[] = []
  #dirty: Subscriber[] = []
  #idleWaiters: (() => void)[] = []
  /** Documents of commits that failed since the log was opened, and may be durable all the same. */
  #doubtful = new Set<DocumentName>()
  readonly #unopened: UnopenedTails

  constructor(effects: HubEffects, options: Partial<HubOptions> = {}) {
    this.effects = effects
    this.#options = { ...hubOptions, ...options }
    this.stopwatch = new Stopwatch(effects.clock)
    this.limits = this.#options.limits
    this.tail = new TailBuffer(effects.log.position, this.limits.tailBytesMax)
    this.#replica = effects.log.replica
    this.#replicas = [effects.log.replica]
    this.#replicaIndex.set(effects.log.replica, 0)
    this.#unopened = new UnopenedTails(this.#options.compaction)
  }

  get documentCount(): number {
    return this.#documents.size
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Replica ids by the index that frames use. Grows only. */
  get replicas(): readonly ReplicaId[] {
    return this.#replicas
  }

  replicaIndex(replica: ReplicaId): number {
    let index = this.#replicaIndex.get(replica)
    if (index === undefined) {
      index = this.#replicas.length
      this.#replicas.push(replica)
      this.#replicaIndex.set(replica, index)
    }
    return index
  }

  /** The running document, loaded from the log if it is not here; `waiting` of it is called when it is. */
  open(name: DocumentName, groupId: GroupId): LiveDocument {
    const held = this.#documents.get(name)
    if (held !== undefined) return held
    const slot = this.#group(groupId)
    const document = new LiveDocument(name, slot.group, { handle: this.#newHandle(), since: this.tail.head })
    this.#documents.set(name, document)
    whenGroupReady(slot, (code) => {
      if (code !== undefined || slot.group.isJoining) return this.#loaded(document, code ?? 'JOINING')
      this.effects.log.openDocument(name, (outcome) => {
        if (outcome.kind === 'done') this.#adopt(document, outcome.value)
        if (slot.group.isJoining) this.#loaded(document, 'JOINING')
        else this.#loaded(document, outcome.kind === 'done' ? 'ready' : outcome.code)
      })
    })
    return document
  }

  /** The group, or why it cannot be loaded now; at once, or when it is loaded. */
  withGroup(id: GroupId, run: (group: LiveGroup | LogErrorCode) => void): void {
    const slot = this.#group(id)
    whenGroupReady(slot, (code) => run(code ?? (slot.group.isJoining ? 'JOINING' : slot.group)))
  }

  join(attachment: Attachment): void {
    attachment.document.subscriptions.push(attachment)
  }

  leave(attachment: Attachment): void {
    const { document } = attachment
    const index = document.subscriptions.indexOf(attachment)
    if (index < 0) return
    const last = document.subscriptions.pop()
    if (last !== undefined && last !== attachment) document.subscriptions[index] = last
    this.#release(document)
  }

  /** Keeps a document here for a push that waits, so that nobody opens a second one of its name meanwhile. */
  hold(document: LiveDocument): void {
    document.pendingCount++
  }

  letGo(document: LiveDocument): void {
    document.pendingCount--
    this.#release(document)
  }

  /**
   * What updates to the document are judged by, or why it cannot be loaded now. If it is not loaded yet: undefined, and `run` when the load
   * has ended, well or not.
   *
   * @param engine of the first update, for a document that was never written.
   */
  index(document: LiveDocument, engine: EngineName, run: () => void): LoadedIndex | LogErrorCode | undefined {
    if (document.index.kind === 'loaded' && document.engine === undefined && document.index.engine.name !== engine)
      document.index = { kind: 'absent' }
    if (document.index.kind === 'absent') {
      const loading: IndexLoading = { kind: 'loading', waiting: [], late: [] }
      document.index = loading
      const failed = this.#loadIndex(document, this.effects.engines[document.engine ?? engine], loading)
      if (failed !== undefined) document.index = { kind: 'absent' }
      if (failed !== undefined) return failed
    }
    const state: IndexState = document.index
    if (state.kind === 'loaded') return state
    if (state.kind === 'failed') return state.code
    if (state.kind === 'loading') state.waiting.push(run)
    return undefined
  }

  /** An admitted update on its way into the log. The index of the document includes it already. */
  append(document: LiveDocument, payload: Uint8Array, epoch: number, push: Pushed): void {
    document.engine ??= push.engine
    if (document.life === 0) document.life = 1
    if (document.ended) document.isBeginning = true
    this.#seal(document.group)
    document.pendingCount++
    document.pendingBytes += payload.length
    this.#add({
      group: document.group,
      document,
      draft: {
        group: document.group.id,
        document: document.name,
        engine: document.engine,
        life: document.ended ? document.life + 1 : document.life,
        kind: 'update',
        epoch,
        time: this.#now(),
        payload,
        ...(push.name === undefined ? {} : { push: push.name }),
      },
      origin: push.origin,
      receipt: push.receipt,
      counter: push.counter,
      bytes: push.bytes,
    })
  }

  /** A document is at its bound: folding the entries behind its snapshot may make room for what comes next. */
  makeRoom(document: LiveDocument): void {
    if (!document.compacting && document.tailCount > 0) this.#compact(document)
  }

  /** SES7: saved when everything before it is, without an entry of its own. */
  barrier(document: LiveDocument, push: Pushed): void {
    const { counter, bytes, receipt, origin } = push
    this.#add({ group: document.group, document: undefined, draft: undefined, origin, receipt, counter, bytes })
  }

  /** RES7: the next update that is appended to a document whose life has ended begins a new one, which is empty. It lives when that is durable. */
  beginLife(document: LiveDocument, engineName: EngineName): void {
    const engine = this.effects.engines[engineName]
    assert(document.ended && engine !== undefined, 'a new life begins after one that ended, in an engine that is here')
    document.engine = engineName
    if (document.index.kind !== 'loaded' || document.index.engine !== engine)
      document.index = { kind: 'loaded', engine, index: engine.emptyIndex() }
  }

  /** RES7: another region has ended this life. It is ended here as well, unless it has been; `done` when that is durable, or with what failed. */
  endLife(
    group: GroupId,
    { document: name, engine, life }: ErasedLife,
    epoch: number,
    done: (failed?: LogErrorCode) => void,
  ): void {
    const document = this.open(name, group)
    const go = (): void => {
      if (this.#closed || document.state !== 'ready')
        return done(document.state === 'ready' || document.state === 'loading' ? 'LOG_UNAVAILABLE' : document.state)
      if (document.life > life || (document.life === life && document.ended)) return done()
      document.engine ??= engine
      const failed = (_channel: number, _counter: number, _bytes: number, code: LogErrorCode): void => done(code)
      this.erase(document, epoch, { saved: () => done(), failed }, life)
    }
    if (document.state === 'loading') document.waiting.push(go)
    else go()
  }

  /**
   * RES7: ends the life of a document; every session that has it open is told when that is durable.
   *
   * @param life at least this one.
   */
  erase(document: LiveDocument, epoch: number, receipt?: Receipt, life = 1): void {
    this.#seal(document.group)
    document.pendingCount++
    document.erasing++
    this.#add({
      group: document.group,
      document,
      draft: {
        group: document.group.id,
        document: document.name,
        engine: document.engine,
        life: Math.max(life, document.isBeginning ? document.life + 1 : document.life),
        kind: 'erase',
        epoch,
        time: this.#now(),
        payload: new Uint8Array(0),
      },
      origin: undefined,
      receipt,
      counter: 0,
      bytes: 0,
    })
  }

  /** Appends an entry of the group itself, such as an edit of its tenant's policy (RES3). */
  control(id: GroupId, control: Control, receipt: Receipt): void {
    this.withGroup(id, (group) => {
      if (typeof group === 'string' || this.#closed)
        return receipt.failed(0, 0, 0, typeof group === 'string' ? group : 'LOG_UNAVAILABLE')
      this.#seal(group)
      this.#control(group, control, receipt)
    })
  }

  /**
   * True if memory holds every entry of the document beyond `after`. Not if the document was loaded with entries of a commit that is durable
   * and not answered yet: those are known of, and are in the log only.
   */
  remembers(document: LiveDocument, after: Position): boolean {
    return after >= document.since && document.position <= this.tail.head && this.tail.reaches(after)
  }

  /** The updates of an open document beyond `after`, if memory still holds all of them: what a compaction need not read from the log. */
  recent(name: DocumentName, after: Position): readonly RecentEntry<LiveDocument>[] | undefined {
    const document = this.#documents.get(name)
    if (document === undefined || document.state !== 'ready' || document.ended || !this.remembers(document, after))
      return undefined
    const updates: RecentEntry<LiveDocument>[] = []
    this.tail.visit(after, (entry) => {
      if (entry.document === document) updates.push(entry)
      return 'go on'
    })
    return updates
  }

  /** A claim was found that the group does not cover: asks the log again if it could not be asked when it had been opened anew. */
  recheck(group: LiveGroup): void {
    if (!group.isStale) return
    group.isStale = false
    this.#reload(group)
  }

  /** The compactor is done with a document, with a new snapshot or without one. */
  compacted(
    name: DocumentName,
    snapshot: (SnapshotInfo & { readonly tailCount: number; readonly tailBytes: number }) | undefined,
  ): void {
    const document = this.#documents.get(name)
    if (document === undefined) return
    document.compacting = false
    if (snapshot === undefined || document.state !== 'ready') return
    if (document.snapshot !== undefined && document.snapshot.position >= snapshot.position) return
    document.snapshot = snapshot
    document.tailCount = Math.max(0, document.tailCount - snapshot.tailCount)
    document.tailBytes = Math.max(0, document.tailBytes - snapshot.tailBytes)
    document.tailSinceMs = this.effects.clock.now()
  }

  /** After a read that met a trim: asks the log where the document's snapshot is now, and calls back with what failed, if it did. */
  refresh(document: LiveDocument, run: (code: LogErrorCode | undefined) => void): void {
    this.effects.log.openDocument(document.name, (outcome) => {
      if (outcome.kind === 'done') document.refresh(outcome.value)
      run(outcome.kind === 'done' ? undefined : outcome.code)
    })
  }

  /**
   * Entries of other regions that links brought and the log holds, in its order: they are told and delivered as those of this region are.
   * Nothing of them is judged; that was done where a client handed them in (LINK8). [hot]
   */
  included(entries: readonly Entry[]): void {
    const [first] = entries
    // Without one all of them were held already: it may be by a commit that failed, which is found out now.
    const before = first === undefined ? undefined : toPosition(first.position - 1)
    const { replica } = this.effects.log
    const reopened = replica !== this.#replica
    this.#replica = replica
    this.#commit++
    const doubtful = this.#doubtful.size > 0 || reopened ? this.#settleDoubt(before) : []
    const resealed = new Set<LiveGroup>()
    const watchers = new Set<() => void>()
    let from = before ?? this.tail.head
    for (const entry of entries) {
      this.stats.included++
      if (entry.time > this.#time) this.#time = entry.time
      const group = this.#groups.get(entry.group)?.group
      if (group !== undefined) {
        include(group.version, entry.replica, entry.sequence)
        for (const run of group.watchers) watchers.add(run)
        if (entry.kind === 'control') resealed.add(group)
      }
      if (this.#isBehindAnother(entry)) {
        this.#fanOut(from)
        from = toPosition(entry.position - 1)
        this.#commit++
      }
      this.#take(entry)
    }
    this.#fanOut(from)
    for (const run of watchers) run()
    for (const group of resealed) this.#reload(group)
    this.effects.links?.included(entries)
    for (const { kind, group, payload } of entries) if (kind === 'control') this.effects.controlled?.(group, payload)
    if (reopened) this.#reopened()
    for (const { document, from } of doubtful) this.#recover(document, from)
  }

  /** Another region has told what it holds of a group durably. */
  held(group: GroupId, region: RegionId, version: Version): void {
    this.#holdersOf(group).hold(region, version)
  }

  /** How many regions hold a group, this one included. */
  regionCount(group: GroupId): number {
    return this.effects.links?.regionCount(group) ?? 1
  }

  /** Whether what this region lacks may be on its way here. */
  mayCome(lacking: Version): boolean {
    const { links, log } = this.effects
    if (links === undefined) return false
    const here = replicaParts(log.replica).region
    for (const replica of lacking.sequences.keys()) {
      const { region } = replicaParts(replica)
      if (region !== here && links.isLinked(region)) return true
    }
    return false
  }

  /** LINK6: from here on nothing of the group is served or accepted. `done` when nothing of it is on its way into the log any more. */
  beginJoin(id: GroupId, done: () => void): void {
    const { group } = this.#group(id)
    group.isJoining = true
    for (const document of this.#documents.values())
      if (document.group === group && document.state === 'ready') this.#giveUp(document, 'JOINING')
    for (const run of group.watchers) run()
    this.whenIdle(done)
  }

  /** LINK6: the group is served again, as the log now has it. */
  endJoin(id: GroupId): void {
    const slot = this.#groups.get(id)
    if (slot === undefined) return
    // States came into the log past the memory of its newest entries.
    if (this.effects.log.position > this.tail.head) this.tail.skip(this.effects.log.position)
    this.effects.log.openGroup(id, (outcome) => {
      if (outcome.kind === 'done') slot.group.adopt(outcome.value)
      else slot.group.isStale = true
      slot.group.isJoining = false
      for (const run of slot.group.watchers) run()
    })
  }

  /** A commit of a link failed: whether its entries are durable is found out when something else has become so (LOG3). */
  includeFailed(entries: readonly Pick<Entry, 'document'>[]): void {
    for (const { document } of entries) if (document !== undefined) this.#doubtful.add(document)
  }

  /** Calls back when nothing is on its way into the log any more. */
  whenIdle(run: () => void): void {
    if (this.#inFlight === undefined && this.#pending.length === 0) return run()
    this.#idleWaiters.push(run)
  }

  /** Takes no more. What is on its way is still answered. */
  close(): void {
    this.#closed = true
  }

  /** A subscriber took something and is flushed at once, or when the commit has been fanned out. [hot] */
  #deliver(attachment: Subscription, shared: Shared, before: Position): void {
    if (attachment.state !== 'live') return
    const { subscriber } = attachment
    if (subscriber.deliver(shared) === 'stalled') {
      attachment.state = 'behind'
      attachment.position = before
      return
    }
    this.stats.delivered++
    // Of a commit of one document nothing else can come for it: what it holds is touched once, and not again when it is in no cache.
    if (this.#touched.length === 1) subscriber.flush()
    else this.#dirty.push(subscriber)
  }

  #now(): HybridTime {
    this.#time = nextTime(this.#time, this.effects.clock.now())
    return this.#time
  }

  #add(item: Item): void {
    assert(!this.#closed, 'nothing is appended to a closed hub')
    this.#pending.push(item)
    this.#pendingBytes += item.bytes
    if (this.#inFlight === undefined) this.#gather()
  }

  /** Lets one commit carry what comes together, as long as experience says that something comes. */
  #gather(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    if (this.#loneCommits >= loneCommitsMax + probeCommits) this.#loneCommits = loneCommitsMax - 1
    this.effects.schedule(
      () => {
        this.#scheduled = false
        this.#write()
      },
      this.#loneCommits < loneCommitsMax ? 'in a moment' : 'end of turn',
    )
  }

  /** Hands the next batch to the log, unless one is under way. */
  #write(): void {
    if (this.#inFlight !== undefined || this.#pending.length === 0) return
    const batch = this.#takeBatch()
    this.#loneCommits = batch.length > 1 ? 0 : this.#loneCommits + 1
    const drafts: Draft[] = []
    for (const item of batch) if (item.draft !== undefined) drafts.push(item.draft)
    this.#inFlight = batch
    if (drafts.length === 0) return this.#answer(batch, undefined)
    this.effects.log.append(drafts, (outcome) => this.#answer(batch, outcome))
  }

  #takeBatch(): Item[] {
    let bytes = 0
    let count = 0
    for (; count < this.#pending.length && count < this.limits.batchEntriesMax; count++) {
      bytes += this.#pending[count]?.bytes ?? 0
      // One is always taken, whatever its size.
      if (count > 0 && bytes > this.limits.batchBytesMax) break
    }
    if (count === this.#pending.length) {
      const batch = this.#pending
      this.#pending = []
      return batch
    }
    return this.#pending.splice(0, count)
  }

  #answer(batch: Item[], outcome: Outcome<Appended> | undefined): void {
    this.#inFlight = undefined
    for (const item of batch) this.#pendingBytes -= item.bytes
    if (outcome?.kind === 'failed') this.#failed(batch, outcome.code)
    else this.#committed(batch, outcome?.value)
    if (this.#pending.length > 0) this.#gather()
    else if (this.#inFlight === undefined) for (const run of this.#idleWaiters.splice(0)) run()
  }

  /** [hot] */
  #committed(batch: Item[], appended: Appended | undefined): void {
    const replica = appended?.replica ?? this.effects.log.replica
    // Its index may be known already: reads see a commit before it is answered.
    const reopened = replica !== this.#replica
    this.#replica = replica
    const replicaIndex = this.replicaIndex(replica)
    const before = toPosition((appended?.position ?? this.tail.head + 1) - 1)
    this.#commit++
    if (appended !== undefined) this.stats.commits++
    let position: number = before
    let draftIndex = 0
    const resealed = new Set<LiveGroup>()
    const watchers = new Set<() => void>()
    const controls: Item[] = []
    const ends = this.effects.links === undefined ? undefined : new Map<GroupId, number>()
    const doubtful = this.#doubtful.size > 0 || reopened ? this.#settleDoubt(appended === undefined ? undefined : before) : []
    for (const item of batch) {
      if (item.draft === undefined) {
        item.receipt?.saved(item.counter, item.bytes, replicaIndex, item.group.version.sequences.get(replica) ?? 0)
        if (item.origin !== undefined) this.#dirty.push(item.origin.subscriber)
        continue
      }
      const sequence = appended?.sequences[draftIndex++]
      assert(sequence !== undefined, 'a log answers with one sequence a draft')
      position++
      item.group.version.sequences.set(replica, sequence)
      ends?.set(item.group.id, sequence)
      for (const run of item.group.watchers) watchers.add(run)
      this.stats.entries++
      this.stats.payloadBytes += item.draft.payload.length
      const { document } = item
      if (document === undefined) {
        resealed.add(item.group)
        controls.push(item)
        this.tail.add(
          new RecentEntry<LiveDocument>(toPosition(position), undefined, { replica, replicaIndex, sequence }, noPayload),
        )
        continue
      }
      document.pendingCount--
      document.position = toPosition(position)
      include(document.version, replica, sequence)
      document.touch()
      if (item.draft.kind === 'erase') {
        this.tail.add(new RecentEntry(document.position, document, { replica, replicaIndex, sequence }, noPayload))
        document.erasing--
        document.life = item.draft.life
        this.#ended(document)
        item.receipt?.saved(item.counter, item.bytes, replicaIndex, sequence)
        this.#release(document)
        continue
      }
      if (item.draft.life > document.life) document.begin(item.draft.life, toPosition(position - 1))
      if (document.tailCount === 0) document.tailSinceMs = this.effects.clock.now()
      document.tailCount++
      document.tailBytes += item.draft.payload.length
      document.pendingBytes -= item.draft.payload.length
      const update = new RecentEntry(document.position, document, { replica, replicaIndex, sequence }, item.draft.payload)
      this.tail.add(update)
      if (document.commit !== this.#commit) this.#touch(document)
      document.updates.push(update)
      document.origins.push(item.origin)
      item.receipt?.saved(item.counter, item.bytes, replicaIndex, sequence)
      if (item.origin !== undefined) {
        item.origin.wroteCommit = this.#commit
        this.#dirty.push(item.origin.subscriber)
      }
    }
    this.#fanOut(before)
    for (const run of watchers) run()
    for (const group of resealed) this.#reload(group)
    for (const [group, sequence] of ends ?? [])
      this.effects.links?.appended(group, replica, sequence, appended?.chains?.get(group))
    for (const { group, draft, receipt } of controls) {
      if (draft === undefined) continue
      this.effects.controlled?.(group.id, draft.payload)
      receipt?.saved(0, 0, replicaIndex, group.version.sequences.get(replica) ?? 0)
    }
    if (reopened) this.#reopened()
    for (const { document, from } of doubtful) this.#recover(document, from)
  }

  #reopened(): void {
    for (const slot of this.#groups.values()) this.#reload(slot.group)
    this.effects.links?.reopened()
  }

  /**
   * A commit of a link may hold an effect together with its cause. A fan-out goes document by document, so that it ends before an entry of a document
   * behind which it has one of another (SES5).
   */
  #isBehindAnother(entry: Entry): boolean {
    const document = entry.document === undefined ? undefined : this.#documents.get(entry.document)
    return document?.commit === this.#commit && this.#touched.at(-1) !== document
  }

  /** What another region's entry changes of a document that is open here. */
  #take(entry: Entry): void {
    const document = entry.document === undefined ? undefined : this.#documents.get(entry.document)
    const { replica, sequence, position } = entry
    // Also of what was loaded already, by a read that saw the commit before it was told: whoever reads on in the tail, or folds it, needs it.
    const payload = document !== undefined && tells(document, entry) && entry.kind === 'update' ? entry.payload : noPayload
    const recent = new RecentEntry(position, document, { replica, replicaIndex: this.replicaIndex(replica), sequence }, payload)
    this.tail.add(recent)
    if (document === undefined && entry.document !== undefined && entry.kind === 'update') {
      if (this.#unopened.add(entry.document, entry.payload.length)) this.effects.compact(entry.document)
    }
    if (document === undefined) return
    if (document.state === 'loading') document.early.push(entry)
    else if (position > document.position) {
      const isEnd = this.#apply(document, entry)
      if (payload.length > 0) {
        if (document.commit !== this.#commit) this.#touch(document)
        document.updates.push(recent)
        document.origins.push(undefined)
      }
      if (isEnd) this.#ended(document)
    }
  }

  /** @returns whether it ended the document's life. */
  #apply(document: LiveDocument, entry: Entry): boolean {
    document.position = entry.position
    include(document.version, entry.replica, entry.sequence)
    document.touch()
    if (!tells(document, entry)) return false
    document.engine ??= entry.engine
    if (document.life === 0) document.life = entry.life
    else if (entry.life > document.life) {
      // What it held before and what was pushed into that is no part of the new life.
      if (!document.isBeginning) this.#dropIndex(document)
      document.begin(entry.life, toPosition(entry.position - 1))
    }
    if (entry.kind === 'erase') return true
    if (document.tailCount === 0) document.tailSinceMs = this.effects.clock.now()
    document.tailCount++
    document.tailBytes += entry.payload.length
    this.#include(document, entry.payload)
    return false
  }

  /** The index of a document takes in what another region's update holds, so that pushes that build on it are not premature. */
  #include(document: LiveDocument, payload: Uint8Array): void {
    const { index } = document
    if (index.kind === 'loading') index.late.push(payload)
    if (index.kind !== 'loaded') return
    if (payload.length > this.limits.inlineBytesMax) {
      this.effects.aside.inspect(index.engine.name, payload, storedLimits, (answer) => {
        if (document.index !== index) return
        if (typeof answer === 'string' || !included(index, answer)) this.#dropIndex(document)
        else for (const run of [...document.premature]) run()
      })
      return
    }
    const inspection = guarded(() => index.engine.inspect(payload, storedLimits))
    if (inspection === undefined || !included(index, inspection)) this.#dropIndex(document)
    else for (const run of [...document.premature]) run()
  }

  #adopt(document: LiveDocument, info: DocumentInfo): void {
    document.adopt(info, this.effects.clock.now())
    for (const entry of document.early.splice(0)) {
      if (entry.position <= document.position) continue
      if (this.#apply(document, entry)) document.ended = true
    }
  }

  #touch(document: LiveDocument): void {
    document.commit = this.#commit
    document.updates = []
    document.origins = []
    this.#touched.push(document)
  }

  /**
   * LOG3: the log was opened anew and ends at `before`, or where it says if nothing was appended. If that is beyond what was answered, a commit
   * that failed is durable after all: those who have one of its documents open read on in the log, from where they are. What stands in doubt
   * does so until something was appended: the log may have failed once more, and not be open again.
   */
  #settleDoubt(before: Position | undefined): { readonly document: LiveDocument; readonly from: Position }[] {
    const names = this.#doubtful
    const from = this.tail.head
    const end = before ?? this.effects.log.position
    if (before !== undefined) this.#doubtful = new Set()
    if (end <= from) return []
    this.tail.skip(end)
    const documents: { document: LiveDocument; from: Position }[] = []
    for (const name of names) {
      const document = this.#documents.get(name)
      if (document === undefined) continue
      document.doubt(end)
      fallBehind(document, from)
      documents.push({ document, from })
    }
    return documents
  }

  /** What is known of a document may not be all there is, and nothing true can be told of it: everybody comes again, to a fresh load. */
  #giveUp(document: LiveDocument, code: LogErrorCode): void {
    document.state = code
    for (const attachment of [...document.subscriptions]) attachment.subscriber.failed(attachment, code)
    this.#release(document)
  }

  #recover(document: LiveDocument, from: Position): void {
    this.effects.log.openDocument(document.name, (outcome) => {
      if (document.state !== 'ready') return
      if (outcome.kind === 'failed') return this.#giveUp(document, outcome.code)
      const { value: info } = outcome
      document.recover(info)
      if (info.ended && !document.ended) this.#ended(document)
      // Who attached meanwhile was told of a version without it.
      fallBehind(document, from)
      for (const attachment of [...document.subscriptions]) attachment.subscriber.wake()
    })
    for (const attachment of [...document.subscriptions]) attachment.subscriber.wake()
  }

  /** [hot] */
  #fanOut(before: Position): void {
    for (const document of this.#touched) {
      const { updates, origins } = document
      if (!document.engineTold) tellEngine(document)
      const shared = new Delivery(document.handle, updates)
      for (const attachment of document.subscriptions) {
        if (attachment.wroteCommit !== this.#commit) this.#deliver(attachment, shared, before)
        else if (updates.length > 1) {
          const others = updates.filter((_, index) => origins[index] !== attachment)
          if (others.length > 0) this.#deliver(attachment, new Delivery(document.handle, others), before)
        }
      }
      for (const update of updates) update.own()
      document.updates = []
      document.origins = []
      if (!document.compacting && dueWhileOpen(this.#options.compaction, document, this.effects.clock.now()))
        this.#compact(document)
    }
    const touched = this.#touched
    this.#touched = []
    const dirty = this.#dirty
    this.#dirty = []
    for (const subscriber of dirty) subscriber.flush()
    for (const document of touched) this.#release(document)
  }

  /** Everything that was on its way is refused: what stands behind a failed commit may build on it. */
  #failed(batch: Item[], code: LogErrorCode): void {
    this.stats.failedCommits++
    // Nobody knows whether it is on the disk: whoever opens the log anew finds out.
    for (const item of batch) if (item.document !== undefined) this.#doubtful.add(item.document.name)
    const all = [...batch, ...this.#pending]
    this.#pending = []
    this.#pendingBytes = 0
    for (const item of all) {
      item.group.sealing = false
      if (item.document !== undefined && item.draft !== undefined) {
        item.document.pendingCount--
        item.document.pendingBytes -= item.draft.payload.length
        if (item.draft.kind === 'erase') item.document.erasing--
        item.document.isBeginning = false
        // It holds what never became durable; the next push loads it anew.
        this.#dropIndex(item.document)
        if (item.document.position === 0) item.document.engine = undefined
      }
    }
    for (const item of all) {
      item.receipt?.failed(item.origin?.channel ?? 0, item.counter, item.bytes, code)
      if (item.origin !== undefined) this.#dirty.push(item.origin.subscriber)
    }
    const dirty = this.#dirty
    this.#dirty = []
    for (const subscriber of dirty) subscriber.flush()
    for (const item of all) {
      if (item.document === undefined) continue
      if (item.draft?.kind === 'erase') for (const run of item.document.waiting.splice(0)) run()
      this.#release(item.document)
    }
  }

  #ended(document: LiveDocument): void {
    document.ended = true
    this.#dropIndex(document)
    for (const run of document.waiting.splice(0)) run()
    for (const attachment of [...document.subscriptions]) {
      attachment.subscriber.erased(attachment)
      this.#dirty.push(attachment.subscriber)
    }
  }

  #release(document: LiveDocument): void {
    if (document.subscriptions.length > 0 || document.pendingCount > 0 || document.state === 'loading') return
    if (this.#documents.get(document.name) !== document) return
    if (document.index.kind === 'loading') return
    this.#documents.delete(document.name)
    this.#handles.delete(document.handle)
    if (
      document.state === 'ready' &&
      !document.compacting &&
      dueWhenIdle(this.#options.compaction, document, this.effects.clock.now())
    )
      this.effects.compact(document.name)
    document.shed()
  }

  #compact(document: LiveDocument): void {
    document.compacting = true
    this.effects.compact(document.name)
  }

  #loaded(document: LiveDocument, state: 'ready' | LogErrorCode): void {
    document.state = state
    if (state !== 'ready') {
      this.#documents.delete(document.name)
      this.#handles.delete(document.handle)
    }
    for (const run of document.waiting.splice(0)) run()
    this.#release(document)
  }

  #group(id: GroupId): GroupSlot {
    const held = this.#groups.get(id)
    if (held !== undefined) return held
    const slot: GroupSlot = { group: new LiveGroup(id, this.#newHandle(), this.#holdersOf(id)), state: 'loading', waiting: [] }
    this.#groups.set(id, slot)
    this.effects.log.openGroup(id, (outcome) => {
      if (outcome.kind === 'done') {
        slot.group.adopt(outcome.value)
        slot.group.isJoining ||= outcome.value.joining === true
        slot.state = 'ready'
      } else this.#groups.delete(id)
      for (const run of slot.waiting.splice(0)) run(outcome.kind === 'done' ? undefined : outcome.code)
    })
    return slot
  }

  #holdersOf(group: GroupId): Holders {
    let holders = this.#holders.get(group)
    if (holders === undefined) {
      holders = new Holders()
      this.#holders.set(group, holders)
    }
    return holders
  }

  #reload(group: LiveGroup): void {
    this.effects.log.openGroup(group.id, (outcome) => {
      if (outcome.kind === 'failed') {
        group.isStale = true
        return
      }
      group.adopt(outcome.value)
      for (const document of this.#documents.values()) if (document.group === group) document.touch()
    })
  }

  #seal(group: LiveGroup): void {
    if (!this.#options.aloneInGroups || group.sealing || group.closed.size === 0) return
    group.sealing = true
    let counter = 0
    for (const replica of group.closed.keys()) counter = Math.max(counter, replicaParts(replica).counter)
    this.#control(group, { kind: 'seal', counter, last: group.closed }, undefined)
  }

  /** Under no epoch: what a policy says is not admitted by one. */
  #control(group: LiveGroup, control: Control, receipt: Receipt | undefined): void {
    this.#add({
      group,
      document: undefined,
      draft: {
        group: group.id,
        document: undefined,
        engine: undefined,
        life: 0,
        kind: 'control',
        epoch: 0,
        time: this.#now(),
        payload: encodeControl(control),
      },
      origin: undefined,
      receipt,
      counter: 0,
      bytes: 0,
    })
  }

  /** The index is no longer what it was; who waits for it asks again. */
  #dropIndex(document: LiveDocument): void {
    const { index } = document
    document.index = { kind: 'absent' }
    if (index.kind === 'loading') for (const run of index.waiting) run()
  }

  /**
   * Reads snapshot index and tail; starts over if a compaction trimmed what was about to be read.
   *
   * @returns what failed at once.
   */
  #loadIndex(document: LiveDocument, engine: Engine | undefined, loading: IndexLoading): LogErrorCode | undefined {
    assert(engine !== undefined, 'an index is loaded for a document whose engine is known here')
    const { snapshot } = document
    const from = snapshot?.position ?? toPosition(0)
    const read = (index: EngineIndex, after: Position): void => {
      this.effects.log.readDocument(document.name, after, indexRead, (outcome) => {
        if (document.index !== loading) return
        if (outcome.kind === 'failed') return this.#indexed(document, loading, outcome.code)
        if (outcome.value.trimmed > from) {
          return this.refresh(document, (code) => {
            const failed = code ?? this.#loadIndex(document, engine, loading)
            if (failed !== undefined) this.#indexed(document, loading, failed)
          })
        }
        this.#includeAll(document, { engine, index, loading }, outcome.value.entries, (failed) => {
          if (failed !== undefined) this.#indexed(document, loading, failed)
          else if (outcome.value.more) read(index, outcome.value.asOf)
          else this.#indexed(document, loading, { kind: 'loaded', engine, index })
        })
      })
    }
    const decoded = (index: EngineIndex | 'more' | undefined, decoding: IndexDecoding | undefined): void => {
      if (document.index !== loading) return
      if (index === undefined) this.#indexed(document, loading, 'DOCUMENT_DAMAGED')
      else if (index === 'more')
        this.effects.schedule(
          () =>
            decoded(
              guarded(() => decoding?.step()),
              decoding,
            ),
          'end of turn',
        )
      else if (document.position <= from) this.#indexed(document, loading, { kind: 'loaded', engine, index })
      else read(index, from)
    }
    const decoding = guarded(() => (snapshot === undefined ? undefined : engine.beginIndex(snapshot.index)))
    const first = snapshot === undefined ? engine.emptyIndex() : guarded(() => decoding?.step())
    if (first === undefined) return 'DOCUMENT_DAMAGED'
    decoded(first, decoding)
    return undefined
  }

  /** Includes what a read brought, in order; large updates are looked into beside the loop. */
  #includeAll(
    document: LiveDocument,
    { engine, index, loading }: { readonly engine: Engine; readonly index: EngineIndex; readonly loading: IndexLoading },
    entries: readonly Entry[],
    done: (failed: LogErrorCode | undefined) => void,
  ): void {
    const include = (from: number): void => {
      for (let at = from; at < entries.length; at++) {
        const entry = entries[at]
        if (entry === undefined || entry.kind !== 'update') continue
        const { payload } = entry
        if (payload.length > this.limits.inlineBytesMax) {
          this.effects.aside.inspect(engine.name, payload, storedLimits, (answer) => {
            if (document.index !== loading) return
            if (typeof answer === 'string') return done(answer === 'LOG_UNAVAILABLE' ? answer : 'DOCUMENT_DAMAGED')
            if (!included({ engine, index }, answer)) return done('DOCUMENT_DAMAGED')
            include(at + 1)
          })
          return
        }
        const inspection = guarded(() => engine.inspect(payload, storedLimits))
        if (inspection === undefined || !included({ engine, index }, inspection)) return done('DOCUMENT_DAMAGED')
      }
      done(undefined)
    }
    include(0)
  }

  /** Ends a load of the index, well or with the code of what failed, which those who waited see and nobody after them. */
  #indexed(document: LiveDocument, loading: IndexLoading, result: LoadedIndex | LogErrorCode): void {
    // Whoever waited for it is gone with the hub.
    if (this.#closed || document.index !== loading) return
    document.index = typeof result === 'string' ? { kind: 'failed', code: result } : result
    for (const payload of loading.late) this.#include(document, payload)
    const ended = document.index
    for (const run of loading.waiting) run()
    if (document.index === ended && ended.kind === 'failed') document.index = { kind: 'absent' }
    this.#release(document)
  }

  /** Random, so that a handle says nothing of how many documents there are; four bytes as a varUint. */
  #newHandle(): number {
    for (;;) {
      const handle = this.effects.random.uint32() >>> 4
      if (handle === 0 || this.#handles.has(handle)) continue
      this.#handles.add(handle)
      return handle
    }
  }
}

/** Commits of one entry in a row after which none is held open for others, and after how many more that is tried again. */
const loneCommitsMax = 8
const probeCommits = 128

function fallBehind(document: LiveDocument, from: Position): void {
  for (const attachment of document.subscriptions) {
    if (attachment.state !== 'live') continue
    attachment.state = 'behind'
    attachment.position = from
    attachment.subscriber.holdBack()
  }
}

const noPayload = new Uint8Array(0)
/** Little, because what one read brings is included in one go. */
const indexRead = { bytes: 64 * 1024, entries: 2_048 }
const storedLimits = { ...inspectLimits, updateBytesMax: Number.MAX_SAFE_INTEGER }

/** A document's first update says what it is: who opened it for something else gets nothing of it. */
function tellEngine(document: LiveDocument): void {
  document.engineTold = true
  for (const subscription of [...document.subscriptions])
    if (subscription.engine !== document.engine) subscription.subscriber.failed(subscription, 'ENGINE_MISMATCH')
}

/** What stands in the log was inspected when it came; if an engine refuses it now, it is damaged. */
function guarded<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    if (thrown instanceof MeridianError) return undefined
    throw thrown
  }
}

/** False if the update builds on what is not held, which no log of a right region holds. */
function included({ engine, index }: Pick<LoadedIndex, 'engine' | 'index'>, inspection: Inspection): boolean {
  const judgement = engine.judge(index, inspection)
  if (judgement === 'new' || judgement === 'contradiction') engine.include(index, inspection)
  return judgement !== 'premature'
}

/** Whether an entry that came from elsewhere says something of what the document is now: not of a life that is over (RES7), nor of another engine. */
function tells(document: LiveDocument, entry: Entry): boolean {
  if (entry.kind !== 'update' && entry.kind !== 'erase') return false
  if (entry.life < document.life || (document.ended && entry.life === document.life)) return false
  return entry.kind === 'erase' || entry.life > document.life || (document.engine ?? entry.engine) === entry.engine
}

interface GroupSlot {
  readonly group: LiveGroup
  state: 'loading' | 'ready'
  readonly waiting: ((code: LogErrorCode | undefined) => void)[]
}

function whenGroupReady(slot: GroupSlot, run: (code: LogErrorCode | undefined) => void): void {
  if (slot.state === 'ready') run(undefined)
  else slot.waiting.push(run)
}
