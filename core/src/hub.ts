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
import type { QueuedItem, Receipt } from './commit-queue.js'
import { CommitQueue } from './commit-queue.js'
import { dueWhenIdle, dueWhileOpen } from './compaction.js'
import { RecentEntry } from './delivery.js'
import type { EngineName } from './engine.js'
import type { Control, Entry, PushName } from './entry.js'
import { encodeControl } from './entry.js'
import { assert } from './errors.js'
import { FanOut } from './fan-out.js'
import type { HubEffects, HubOptions } from './hub-effects.js'
import { hubOptions } from './hub-effects.js'
import type { HybridTime } from './hybrid-time.js'
import { nextTime, zeroTime } from './hybrid-time.js'
import type { DocumentName, GroupId, Position, RegionId, ReplicaId } from './ids.js'
import { replicaParts, toPosition } from './ids.js'
import { IndexLoader } from './index-loader.js'
import type { HubLimits } from './limits.js'
import { LiveDocument } from './live-document.js'
import type { LoadedIndex } from './live-document.js'
import type { LiveGroup } from './live-group.js'
import { LiveGroups } from './live-groups.js'
import type { Appended, DocumentInfo, LogErrorCode, SnapshotInfo } from './log.js'
import { PresenceBoard } from './presence-board.js'
import type { Subscription } from './subscription.js'
import { TailBuffer } from './tail.js'
import { UnopenedTails } from './unopened-tails.js'
import type { Version } from './version.js'
import { include } from './version.js'

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
  readonly presence: PresenceBoard
  sessionCount = 0

  readonly #options: HubOptions
  readonly #documents = new Map<DocumentName, LiveDocument>()
  readonly #groups: LiveGroups
  readonly #queue: CommitQueue
  readonly #fanOut: FanOut
  readonly #indexes: IndexLoader
  readonly #handles = new Set<number>()
  readonly #replicas: ReplicaId[]
  readonly #replicaIndex = new Map<ReplicaId, number>()
  /** Of the newest commit. */
  #replica: ReplicaId

  #time: HybridTime = zeroTime
  /** Documents of commits that failed since the log was opened, and may be durable all the same. */
  #doubtful = new Set<DocumentName>()
  readonly #unopened: UnopenedTails

  constructor(effects: HubEffects, options: Partial<HubOptions> = {}) {
    this.effects = effects
    this.#options = { ...hubOptions, ...options }
    this.limits = this.#options.limits
    this.tail = new TailBuffer(effects.log.position, this.limits.tailBytesMax)
    this.#replica = effects.log.replica
    this.#replicas = [effects.log.replica]
    this.#replicaIndex.set(effects.log.replica, 0)
    this.#unopened = new UnopenedTails(this.#options.compaction)
    this.presence = new PresenceBoard(effects.links, (name) => this.#documents.get(name))
    const { log, engines, aside, schedule } = effects
    this.#groups = new LiveGroups(
      log,
      () => this.#newHandle(),
      (group) => {
        for (const document of this.#documents.values()) if (document.group === group) document.touch()
      },
    )
    this.#fanOut = new FanOut(this.stats, (document) => this.#sent(document))
    this.#queue = new CommitQueue(
      {
        log,
        schedule,
        committed: (batch, appended) => this.#committed(batch, appended),
        failed: (batch, behind, code) => this.#failed(batch, behind, code),
      },
      this.limits,
    )
    this.#indexes = new IndexLoader(
      {
        log,
        engines,
        aside,
        schedule,
        refresh: (document, run) => this.refresh(document, run),
        loaded: (document) => this.#release(document),
      },
      this.limits.inlineBytesMax,
    )
  }

  get documentCount(): number {
    return this.#documents.size
  }

  get pendingBytes(): number {
    return this.#queue.pendingBytes
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
    const group = this.#groups.get(groupId)
    const document = new LiveDocument(name, group, { handle: this.#newHandle(), since: this.tail.head })
    this.#documents.set(name, document)
    this.#groups.whenReady(groupId, (code) => {
      if (code !== undefined) return this.#loaded(document, code)
      this.effects.log.openDocument(name, (outcome) => {
        if (outcome.kind === 'done') this.#adopt(document, outcome.value)
        if (group.isJoining) this.#loaded(document, 'JOINING')
        else this.#loaded(document, outcome.kind === 'done' ? 'ready' : outcome.code)
      })
    })
    return document
  }

  /** The group, or why it cannot be loaded now; at once, or when it is loaded. */
  withGroup(id: GroupId, run: (group: LiveGroup | LogErrorCode) => void): void {
    this.#groups.whenReady(id, (code) => run(code ?? this.#groups.get(id)))
  }

  join(attachment: Attachment): void {
    const { document } = attachment
    document.subscriptions.push(attachment)
    if (document.subscriptions.length === 1) this.presence.opened(document)
  }

  leave(attachment: Attachment): void {
    const { document } = attachment
    const index = document.subscriptions.indexOf(attachment)
    if (index < 0) return
    const last = document.subscriptions.pop()
    if (last !== undefined && last !== attachment) document.subscriptions[index] = last
    if (document.subscriptions.length === 0) this.presence.closed(document)
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
    return this.#indexes.get(document, engine, run)
  }

  /** An admitted update on its way into the log. The index of the document includes it already. */
  append(document: LiveDocument, payload: Uint8Array, epoch: number, push: Pushed): void {
    document.engine ??= push.engine
    if (document.life === 0) document.life = 1
    if (document.ended) document.isBeginning = true
    this.#seal(document.group)
    document.pendingCount++
    document.pendingBytes += payload.length
    this.#queue.add({
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
    this.#queue.add({ group: document.group, document: undefined, draft: undefined, origin, receipt, counter, bytes })
  }

  /** RES7: the next update that is appended to a document whose life has ended begins a new one, which is empty. It lives when that is durable. */
  beginLife(document: LiveDocument, engineName: EngineName): void {
    const engine = this.effects.engines[engineName]
    assert(document.ended && engine !== undefined, 'a new life begins after one that ended, in an engine that is here')
    document.engine = engineName
    if (document.index.kind !== 'loaded' || document.index.engine !== engine)
      document.index = { kind: 'loaded', engine, index: engine.emptyIndex() }
  }

  /** RES7: ends the life of a document; every session that has it open is told when that is durable. */
  erase(document: LiveDocument, epoch: number, receipt?: Receipt): void {
    this.#seal(document.group)
    document.pendingCount++
    document.erasing++
    this.#queue.add({
      group: document.group,
      document,
      draft: {
        group: document.group.id,
        document: document.name,
        engine: document.engine,
        life: Math.max(1, document.isBeginning ? document.life + 1 : document.life),
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
      if (typeof group === 'string' || this.#queue.isClosed)
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
    this.#groups.reload(group)
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
    this.#fanOut.begin()
    const doubtful = this.#doubtful.size > 0 || reopened ? this.#settleDoubt(before) : []
    const resealed = new Set<LiveGroup>()
    const watchers = new Set<() => void>()
    let from = before ?? this.tail.head
    for (const entry of entries) {
      this.stats.included++
      if (entry.time > this.#time) this.#time = entry.time
      const group = this.#groups.known(entry.group)
      if (group !== undefined) {
        include(group.version, entry.replica, entry.sequence)
        for (const run of group.watchers) watchers.add(run)
        if (entry.kind === 'control') resealed.add(group)
      }
      if (entry.document !== undefined && this.#fanOut.isBehindAnother(this.#documents.get(entry.document))) {
        this.#fanOut.run(from)
        from = toPosition(entry.position - 1)
        this.#fanOut.begin()
      }
      this.#take(entry)
    }
    this.#fanOut.run(from)
    for (const run of watchers) run()
    for (const group of resealed) this.#groups.reload(group)
    this.effects.links?.included(entries)
    for (const { kind, group, payload } of entries) if (kind === 'control') this.effects.controlled?.(group, payload)
    if (reopened) this.#reopened()
    for (const { document, from } of doubtful) this.#recover(document, from)
  }

  /** Another region has told what it holds of a group durably. */
  held(group: GroupId, region: RegionId, version: Version): void {
    this.#groups.holders(group).hold(region, version)
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
    const group = this.#groups.get(id)
    group.isJoining = true
    for (const document of this.#documents.values())
      if (document.group === group && document.state === 'ready') this.#giveUp(document, 'JOINING')
    for (const run of group.watchers) run()
    this.whenIdle(done)
  }

  /** LINK6: the group is served again, as the log now has it. */
  endJoin(id: GroupId): void {
    if (this.#groups.known(id) === undefined) return
    // States came into the log past the memory of its newest entries.
    if (this.effects.log.position > this.tail.head) this.tail.skip(this.effects.log.position)
    this.#groups.endJoin(id)
  }

  /** A commit of a link failed: whether its entries are durable is found out when something else has become so (LOG3). */
  includeFailed(entries: readonly Pick<Entry, 'document'>[]): void {
    for (const { document } of entries) if (document !== undefined) this.#doubtful.add(document)
  }

  /** Calls back when nothing is on its way into the log any more. */
  whenIdle(run: () => void): void {
    this.#queue.whenIdle(run)
  }

  /** Takes no more. What is on its way is still answered. */
  close(): void {
    this.#queue.close()
    this.#indexes.close()
  }

  #now(): HybridTime {
    this.#time = nextTime(this.#time, this.effects.clock.now())
    return this.#time
  }

  /** [hot] */
  #committed(batch: readonly QueuedItem[], appended: Appended | undefined): void {
    const replica = appended?.replica ?? this.effects.log.replica
    // Its index may be known already: reads see a commit before it is answered.
    const reopened = replica !== this.#replica
    this.#replica = replica
    const replicaIndex = this.replicaIndex(replica)
    const before = toPosition((appended?.position ?? this.tail.head + 1) - 1)
    this.#fanOut.begin()
    if (appended !== undefined) this.stats.commits++
    let position: number = before
    let draftIndex = 0
    const resealed = new Set<LiveGroup>()
    const watchers = new Set<() => void>()
    const controls: QueuedItem[] = []
    const ends = this.effects.links === undefined ? undefined : new Map<GroupId, number>()
    const doubtful = this.#doubtful.size > 0 || reopened ? this.#settleDoubt(appended === undefined ? undefined : before) : []
    for (const item of batch) {
      if (item.draft === undefined) {
        item.receipt?.saved(item.counter, item.bytes, replicaIndex, item.group.version.sequences.get(replica) ?? 0)
        if (item.origin !== undefined) this.#fanOut.soil(item.origin.subscriber)
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
      this.#fanOut.add(document, update, item.origin)
      item.receipt?.saved(item.counter, item.bytes, replicaIndex, sequence)
    }
    this.#fanOut.run(before)
    for (const run of watchers) run()
    for (const group of resealed) this.#groups.reload(group)
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
    this.#groups.reloadAll()
    this.effects.links?.reopened()
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
      if (payload.length > 0) this.#fanOut.add(document, recent, undefined)
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
      if (!document.isBeginning) this.#indexes.drop(document)
      document.begin(entry.life, toPosition(entry.position - 1))
    }
    if (entry.kind === 'erase') return true
    if (document.tailCount === 0) document.tailSinceMs = this.effects.clock.now()
    document.tailCount++
    document.tailBytes += entry.payload.length
    this.#indexes.include(document, entry.payload)
    return false
  }

  #adopt(document: LiveDocument, info: DocumentInfo): void {
    document.adopt(info, this.effects.clock.now())
    for (const entry of document.early.splice(0)) {
      if (entry.position <= document.position) continue
      if (this.#apply(document, entry)) document.ended = true
    }
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

  #sent(document: LiveDocument): void {
    if (!document.compacting && dueWhileOpen(this.#options.compaction, document, this.effects.clock.now()))
      this.#compact(document)
    this.#release(document)
  }

  /** Everything that was on its way is refused: what stands behind a failed commit may build on it. */
  #failed(batch: readonly QueuedItem[], behind: readonly QueuedItem[], code: LogErrorCode): void {
    this.stats.failedCommits++
    // Nobody knows whether it is on the disk: whoever opens the log anew finds out.
    for (const item of batch) if (item.document !== undefined) this.#doubtful.add(item.document.name)
    const all = [...batch, ...behind]
    for (const item of all) {
      item.group.sealing = false
      if (item.document !== undefined && item.draft !== undefined) {
        item.document.pendingCount--
        item.document.pendingBytes -= item.draft.payload.length
        if (item.draft.kind === 'erase') item.document.erasing--
        item.document.isBeginning = false
        // It holds what never became durable; the next push loads it anew.
        this.#indexes.drop(item.document)
        if (item.document.position === 0) item.document.engine = undefined
      }
    }
    for (const item of all) {
      item.receipt?.failed(item.origin?.channel ?? 0, item.counter, item.bytes, code)
      if (item.origin !== undefined) this.#fanOut.soil(item.origin.subscriber)
    }
    this.#fanOut.flush()
    for (const item of all) {
      if (item.document === undefined) continue
      if (item.draft?.kind === 'erase') for (const run of item.document.waiting.splice(0)) run()
      this.#release(item.document)
    }
  }

  #ended(document: LiveDocument): void {
    document.ended = true
    this.#indexes.drop(document)
    for (const run of document.waiting.splice(0)) run()
    for (const attachment of [...document.subscriptions]) {
      attachment.subscriber.erased(attachment)
      this.#fanOut.soil(attachment.subscriber)
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

  #seal(group: LiveGroup): void {
    if (!this.#options.aloneInGroups || group.sealing || group.closed.size === 0) return
    group.sealing = true
    let counter = 0
    for (const replica of group.closed.keys()) counter = Math.max(counter, replicaParts(replica).counter)
    this.#control(group, { kind: 'seal', counter, last: group.closed }, undefined)
  }

  /** Under no epoch: what a policy says is not admitted by one. */
  #control(group: LiveGroup, control: Control, receipt: Receipt | undefined): void {
    this.#queue.add({
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

function fallBehind(document: LiveDocument, from: Position): void {
  for (const attachment of document.subscriptions) {
    if (attachment.state !== 'live') continue
    attachment.state = 'behind'
    attachment.position = from
    attachment.subscriber.holdBack()
  }
}

const noPayload = new Uint8Array(0)
/** Whether an entry that came from elsewhere says something of what the document is now: not of a life that is over (RES7), nor of another engine. */
function tells(document: LiveDocument, entry: Entry): boolean {
  if (entry.kind !== 'update' && entry.kind !== 'erase') return false
  if (entry.life < document.life || (document.ended && entry.life === document.life)) return false
  return entry.kind === 'erase' || entry.life > document.life || (document.engine ?? entry.engine) === entry.engine
}
