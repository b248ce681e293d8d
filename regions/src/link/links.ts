/**
 * All links of one node: which groups stand on which, and what each of them hears of the log. It outlives every connection.
 *
 * ```
 *   socket ──▶ connect ──▶ Link ──▶ streams of the groups that both regions hold ──▶ include ──▶ log ──▶ hub
 *   hub ────▶ appended, included ──▶ HeldGroup ──▶ every link that shares the group
 * ```
 *
 * - RES6 A group is spoken of on a link only if it belongs in both regions.
 * - LINK1 A group that a region hears of for the first time is opened when a peer speaks of it, and then its stream begins.
 * - LINK6 A group whose peers do not have what it lacks as entries any more joins: nothing of it is served, accepted or spoken of before it holds what
 *   another region held when its transfer was over.
 * - LOG3 When the log opened anew, every group is asked for again: a commit that failed may be there all the same.
 */

import type { EngineName } from '@meridian/core/engine'
import { MeridianError } from '@meridian/core/errors'
import { type DocumentName, type GroupId, groupTenant, type RegionId, type ReplicaId, type TenantId } from '@meridian/core/ids'
import type { Done, DocumentState, Foreign, GroupInfo, Included, LinkedLog } from '@meridian/core/log'
import type { FarPresence } from '@meridian/core/presence-board'
import type { Chain, Version } from '@meridian/core/version'
import { covers } from '@meridian/core/version'
import type { StopReason } from '@meridian/core/wires/link/frames'
import { isPlace, peersOf, type Topology } from '../topology.js'
import { HeldGroup } from './held-group.js'
import { Joiner, type JoinPhase, type JoinStats } from './joiner.js'
import { type Lag, LagMeter } from './lag.js'
import { Link } from './link.js'
import { type LinkOptions, linkOptions } from './options.js'
import type { LinkPlacement } from './placement.js'
import { type LinkAlarm, type PresenceEffects, refusalOf } from './port.js'

export interface LinksEffects {
  /** Milliseconds by a clock that never jumps. */
  nowMs(): number
  readonly log: LinkedLog
  /** Into the log, and out of it to whoever listens on this node, before `done`. */
  include(entries: readonly Foreign[], done: Done<Included>): void
  /** A region has told what it holds of a group durably. */
  held(group: GroupId, region: RegionId, version: Version): void
  /** As `LinkEffects.merge`. */
  merge(engine: EngineName, updates: readonly Uint8Array[]): Uint8Array | undefined
  alarm(alarm: LinkAlarm): void
  /** 64 bits of a digest that nobody can steer. */
  digest(bytes: Uint8Array): bigint
  random(bytes: number): Uint8Array
  /** As `JoinerEffects.mergeStates`. */
  mergeStates(here: DocumentState, there: DocumentState): DocumentState | undefined
  /** From here on nothing of the group is served or accepted; then `beginJoin` of the log. */
  beginJoin(group: GroupId, done: Done<void>): void
  /** The group may be served again. */
  endJoin(group: GroupId): void
  readonly presence: PresenceEffects
}

/** What a link asks of its socket. */
export interface LinkSocket {
  send(message: Uint8Array): void
  /** Bytes that were taken and not yet given to the network. */
  bufferedBytes(): number
  /** Undefined: its owner closed it. */
  close(error: MeridianError | undefined): void
}

export interface LinksConfig {
  readonly here: RegionId
  readonly topology: () => Topology
  readonly placement: LinkPlacement
  readonly effects: LinksEffects
  readonly options?: Partial<LinkOptions>
}

/** One group on one link, as an operator sees it. */
export interface LinkStatus extends Lag {
  readonly peer: RegionId
  readonly group: GroupId
  readonly stopped: StopReason | undefined
}

interface Opening {
  readonly kind: 'opening'
  /** What became durable meanwhile; what is read from the log may hold it or not. */
  readonly news: ((held: HeldGroup) => void)[]
}

interface Opened {
  readonly kind: 'open'
  readonly held: HeldGroup
  /** It was joined, and is served once it holds this: what documents held that were read later than the group (LINK6). */
  until: Version | undefined
  /** `includeCount` of what is held, and when that was found to have grown while a peer said that this region is behind. */
  grown: { readonly count: number; readonly atMs: number } | undefined
}

interface Joining {
  readonly kind: 'joining'
  readonly joiner: Joiner
  /** The log knows. */
  isBegun: boolean
  retryAtMs: number
  attempts: number
}

/** One peer, as an operator sees it: over all groups that both hold. */
export interface PeerStatus extends Lag {
  readonly peer: RegionId
  readonly isOpen: boolean
  readonly groups: number
  /** Groups that stand still until somebody acts, and of which this region waits for what the peer no longer has as entries. */
  readonly stopped: number
  readonly behind: number
  /** The peer holds all that this region does of every group that belongs in both. */
  readonly isInStep: boolean
}

/** A group that joins, as an operator sees it. */
export interface JoinStatus extends Readonly<JoinStats> {
  readonly group: GroupId
  readonly peer: RegionId | undefined
  readonly phase: JoinPhase
}

/** A link that ended may be back so soon, and with it what was shown there: cursors do not flicker for that (SES6). */
const presenceGraceMs = 4_000

/** A group whose opening failed is tried again so much later. */
const retryMs = 500

export class Links {
  readonly #config: LinksConfig
  readonly #effects: LinksEffects
  readonly #groups = new Map<GroupId, Opening | Opened | Joining>()
  readonly #links = new Map<RegionId, Link>()
  readonly #joining = new Map<GroupId, Joining>()
  /** Documents that somebody has open here (SES6). */
  readonly #watched = new Map<GroupId, Set<DocumentName>>()
  /** By group whose transfer is over: what it has to hold before it is served. */
  readonly #untils = new Map<GroupId, Version>()
  /** Of transfers that are over. */
  readonly #joined: JoinStats = { documents: 0, bytes: 0, comparedBytes: 0, roundTrips: 0 }
  readonly #meters = new Map<string, LagMeter>()
  /** Regions to which a link has ended, and until when what they show is borne. */
  readonly #graces = new Map<RegionId, number>()
  /** Groups that could not be opened, and when they are tried again. */
  readonly #retries = new Map<GroupId, number>()
  #isClosed = false

  constructor(config: LinksConfig) {
    this.#config = config
    this.#effects = config.effects
  }

  /** Every group of the log is opened, so that peers hear of it. Once, at the start. */
  begin(done: Done<void>): void {
    this.#effects.log.listGroups((outcome) => {
      if (outcome.kind === 'failed') return done(outcome)
      for (const group of outcome.value) this.#open(group)
      done({ kind: 'done', value: undefined })
    })
  }

  get links(): ReadonlyMap<RegionId, Link> {
    return this.#links
  }

  /** How many regions hold a group, this one included. */
  regionCount(group: GroupId): number {
    let count = 0
    for (const region of this.#config.topology().regions.values())
      if (isPlace(region) && this.#config.placement.isPlaced(group, region.name)) count++
    return Math.max(1, count)
  }

  get groupCount(): number {
    return this.#groups.size
  }

  /** A socket whose other end has proved to be this region. The newest counts: an older one is half open, or its end has begun anew. */
  connect(peer: RegionId, socket: LinkSocket): Link {
    this.#links.get(peer)?.close(undefined)
    const { log } = this.#effects
    const link: Link = new Link({
      here: this.#config.here,
      peer,
      ...(this.#config.options === undefined ? {} : { options: this.#config.options }),
      effects: {
        nowMs: () => this.#effects.nowMs(),
        send: (message) => socket.send(message),
        bufferedBytes: () => socket.bufferedBytes(),
        close: (error) => {
          if (this.#links.get(peer) === link) this.#links.delete(peer)
          socket.close(error)
        },
        readGroup: (group, after, limit, done) => log.readLinked(group, after, limit, done),
        seekGroup: (group, version, done) => log.seekGroup(group, version, done),
        include: (entries, done) =>
          this.#effects.include(entries, (outcome) => {
            // What was left out is held as well, by a commit that failed and is durable after all: nobody has told of it (LOG3).
            const included = outcome.kind === 'done' && outcome.value.kind === 'included' ? outcome.value.entries : undefined
            if (included !== undefined && included.length < entries.length) this.included(entries)
            done(outcome)
          }),
        merge: (engine, updates) => this.#effects.merge(engine, updates),
        may: (verb, document, region) => this.#config.placement.may(verb, document, region),
        policyOf: (group) => this.#config.placement.policyOf(group),
        alarm: (alarm) => this.#effects.alarm(alarm),
        wanted: (group) => {
          if (this.#isShared(group, peer)) this.#open(group)
        },
        acked: (group, version) => {
          log.retain(group, peer, version)
          this.#effects.held(group, peer, version)
        },
        behind: (group) => this.#behind(group, peer),
        log,
        digest: (bytes) => this.#effects.digest(bytes),
        presence: {
          shown: (document) => this.#effects.presence.shown(document),
          hear: (region, document, state) => this.#effects.presence.hear(region, document, state),
          suspect: (region) => {
            this.#effects.presence.suspect(region)
            this.#graces.set(region, this.#effects.nowMs() + presenceGraceMs)
          },
          watched: (group) => this.#watched.get(group) ?? [],
        },
      },
    })
    this.#links.set(peer, link)
    for (const known of this.#groups.values())
      if (known.kind === 'open' && this.#isShared(known.held.group, peer)) link.share(known.held)
    link.open()
    return link
  }

  appended(group: GroupId, replica: ReplicaId, sequence: number, chain: Chain | undefined): void {
    this.#tell(group, (held) => held.append(replica, sequence, chain))
  }

  included(entries: readonly Foreign[]): void {
    const byGroup = new Map<GroupId, Foreign[]>()
    for (const entry of entries) {
      const list = byGroup.get(entry.group)
      if (list === undefined) byGroup.set(entry.group, [entry])
      else list.push(entry)
    }
    for (const [group, list] of byGroup) this.#tell(group, (held) => held.include(list))
  }

  /** Somebody has a document open here, or nobody any more: what others show in it is wanted (SES6). */
  watchPresence(group: GroupId, document: DocumentName, isWatched: boolean): void {
    const documents = this.#watched.get(group)
    if (isWatched) {
      if (documents === undefined) this.#watched.set(group, new Set([document]))
      else documents.add(document)
    } else if (documents?.delete(document) === true && documents.size === 0) this.#watched.delete(group)
    for (const link of this.#links.values()) link.presence.watch(group, document, isWatched)
  }

  showPresence(group: GroupId, document: DocumentName, state: FarPresence): void {
    for (const link of this.#links.values()) link.presence.show(group, document, state)
  }

  /** Whether a link to that region is open. */
  isLinked(region: RegionId): boolean {
    return this.#links.has(region)
  }

  reopened(): void {
    for (const [group, known] of this.#groups) if (known.kind === 'open') this.#reread(group, known.held)
  }

  /** The cluster file was read again: links to regions that are no peers any more end, and what is kept for whom is said anew (LOG4). */
  topologyChanged(): void {
    const peers = new Set(peersOf(this.#config.topology(), this.#config.here).map(({ name }) => name))
    for (const [peer, link] of [...this.#links])
      if (!peers.has(peer)) link.close(new MeridianError('LINK_REFUSED', { message: 'The cluster file was changed.' }))
    for (const [group, known] of this.#groups) {
      if (known.kind !== 'open') continue
      this.#place(known.held)
      this.#effects.log.setPeers(group, this.#peersOf(group), (outcome) => {
        if (outcome.kind === 'failed') this.#later(group)
      })
    }
  }

  /** A tenant's policy was edited here, or the cluster file: what may be shared is shared, and what may not any more ends at once (RES3). */
  review(tenant: TenantId): void {
    for (const [group, known] of this.#groups) {
      if (known.kind !== 'open' || groupTenant(group) !== tenant) continue
      this.#place(known.held)
      // A failure leaves the log with what it kept for, which is asked for again at the next start.
      this.#effects.log.setPeers(group, this.#peersOf(group), () => undefined)
    }
    for (const link of this.#links.values()) link.review(tenant)
  }

  /** Every 10 ms or so. */
  tick(): void {
    for (const link of [...this.#links.values()]) link.tick()
    const nowMs = this.#effects.nowMs()
    for (const joining of this.#joining.values()) this.#goOnJoining(joining, nowMs)
    for (const [region, untilMs] of this.#graces) {
      if (nowMs < untilMs) continue
      this.#graces.delete(region)
      this.#effects.presence.lost(region)
    }
    if (this.#retries.size === 0) return
    for (const [group, atMs] of [...this.#retries]) {
      if (nowMs < atMs) continue
      this.#retries.delete(group)
      const known = this.#groups.get(group)
      if (known?.kind === 'open') {
        this.#effects.log.setPeers(group, this.#peersOf(group), (outcome) => {
          if (outcome.kind === 'failed') this.#later(group)
        })
        this.#reread(group, known.held)
      } else this.#open(group)
    }
  }

  /** Every group on every link that is open: how far the peer is. */
  *status(): Iterable<LinkStatus> {
    const nowMs = this.#effects.nowMs()
    const used = new Set<string>()
    for (const [peer, link] of this.#links) {
      for (const { group, held, known, stopped } of link.groups()) {
        const key = `${peer} ${group}`
        used.add(key)
        const meter = this.#meters.get(key) ?? new LagMeter()
        this.#meters.set(key, meter)
        yield { peer, group, stopped, ...meter.measure(held, known, nowMs) }
      }
    }
    for (const key of this.#meters.keys()) if (!used.has(key)) this.#meters.delete(key)
  }

  /** Every region that this one keeps a link with, connected or not. */
  peers(): PeerStatus[] {
    const lags = [...this.status()]
    const isComplete = [...this.#groups.values()].every(({ kind }) => kind === 'open')
    return peersOf(this.#config.topology(), this.#config.here).map(({ name: peer }) => {
      const link = this.#links.get(peer)
      const own = lags.filter((status) => status.peer === peer)
      const shared = [...this.#groups.keys()].filter((group) => this.#isShared(group, peer)).length
      const isOpen = link?.isOpen === true
      const stopped = own.filter((status) => status.stopped !== undefined).length
      const entries = own.reduce((sum, status) => sum + status.entries, 0)
      const behind = own.filter(({ group }) => link?.stream(group)?.receiver.behindSinceMs !== undefined).length
      return {
        ...{ peer, isOpen, groups: shared, stopped, behind, entries },
        seconds: Math.max(0, ...own.map((status) => status.seconds)),
        isInStep: isOpen && isComplete && stopped === 0 && behind === 0 && entries === 0 && own.length === shared,
      }
    })
  }

  /** Groups of which nothing is served, because they join or have just joined (LINK6). */
  *joins(): Iterable<JoinStatus> {
    for (const [group, known] of this.#groups) {
      if (known.kind === 'joining') {
        const { joiner } = known
        yield { group, peer: joiner.peer, phase: joiner.phase, ...joiner.stats }
      } else if (known.kind === 'open' && known.until !== undefined)
        yield { group, peer: undefined, phase: 'adopted', documents: 0, bytes: 0, comparedBytes: 0, roundTrips: 0 }
    }
  }

  /** What transfers to this region have brought since the start, those under way too. */
  get joined(): Readonly<JoinStats> {
    const sum = { ...this.#joined }
    for (const { joiner } of this.#joining.values()) addStats(sum, joiner.stats)
    return sum
  }

  /** Whether every peer that is connected holds all that this region does, but for what a stop keeps from it. */
  get isCaughtUp(): boolean {
    for (const link of this.#links.values())
      for (const { held, known, stopped } of link.groups()) if (stopped === undefined && held.aheadOf(known) > 0) return false
    return true
  }

  close(error?: MeridianError): void {
    this.#isClosed = true
    for (const link of [...this.#links.values()]) link.close(error)
  }

  #isShared(group: GroupId, peer: RegionId): boolean {
    const { placement, here } = this.#config
    return placement.isPlaced(group, here) && placement.isPlaced(group, peer)
  }

  /** Whom the log keeps entries for: linked regions where the group belongs, connected or not. */
  #peersOf(group: GroupId): RegionId[] {
    return peersOf(this.#config.topology(), this.#config.here)
      .map(({ name }) => name)
      .filter((peer) => this.#isShared(group, peer))
  }

  #tell(group: GroupId, news: (held: HeldGroup) => void): void {
    const known = this.#groups.get(group)
    if (known === undefined) this.#open(group)
    else if (known.kind === 'opening') known.news.push(news)
    else if (known.kind === 'open') news(known.held)
    // Of a group that joins everything is read again when that is over.
  }

  #open(group: GroupId): void {
    if (this.#groups.has(group) || this.#isClosed) return
    const opening: Opening = { kind: 'opening', news: [] }
    this.#groups.set(group, opening)
    const { log } = this.#effects
    log.setPeers(group, this.#peersOf(group), (outcome) => {
      if (outcome.kind === 'failed') this.#later(group)
      else
        this.#read(group, (info, chains) => {
          const held = new HeldGroup(group, info, chains)
          for (const news of opening.news) news(held)
          if (info.joining === true) this.#join(held)
          else this.#opened(held)
        })
    })
  }

  #opened(held: HeldGroup): void {
    const { group } = held
    const until = this.#untils.get(group)
    const opened: Opened = { kind: 'open', held, until, grown: undefined }
    this.#groups.set(group, opened)
    this.#place(held)
    if (until === undefined) return
    const look = (): void => {
      if (opened.until === undefined || !covers(held.version, opened.until)) return
      opened.until = undefined
      this.#untils.delete(group)
      unwatch()
      this.#effects.endJoin(group)
    }
    const unwatch = held.watch(look)
    look()
  }

  /**
   * A peer does not have what is lacking here as entries. Others may bring it, and while they bring anything they are waited for: a region that took
   * the group by state is ahead of what it can send.
   */
  #behind(group: GroupId, peer: RegionId): void {
    const known = this.#groups.get(group)
    if (known?.kind !== 'open' || known.until !== undefined) return
    const nowMs = this.#effects.nowMs()
    const { joinAfterMs } = linkOptions(this.#config.options)
    const { includeCount } = known.held
    if (known.grown?.count !== includeCount) known.grown = { count: includeCount, atMs: nowMs }
    const sinceMs = this.#links.get(peer)?.stream(group)?.receiver.behindSinceMs ?? nowMs
    if (nowMs - Math.max(known.grown.atMs, sinceMs) >= joinAfterMs) this.#join(known.held)
  }

  #join(held: HeldGroup): void {
    const { group } = held
    const { log } = this.#effects
    const joiner = new Joiner(group, {
      log,
      digest: (bytes) => this.#effects.digest(bytes),
      random: (bytes) => this.#effects.random(bytes),
      mergeStates: (here, there) => this.#effects.mergeStates(here, there),
      isFork: (other) => held.forkWith(other) !== undefined,
      refusalOf: (document) => refusalOf(this.#config.placement, document, this.#config.here),
      failed: (reason, detail) => {
        const peer = joiner.peer ?? this.#config.here
        this.#effects.alarm({ group, peer, reason, door: 'ingress', detail })
      },
      adopted: (until) => this.#adopted(group, joiner, until),
    })
    const joining: Joining = { kind: 'joining', joiner, isBegun: false, retryAtMs: 0, attempts: 0 }
    this.#groups.set(group, joining)
    this.#joining.set(group, joining)
    for (const link of this.#links.values()) link.unshare(group)
    this.#effects.beginJoin(group, (outcome) => {
      if (outcome.kind === 'done') joining.isBegun = true
      else {
        this.#joining.delete(group)
        this.#groups.set(group, { kind: 'opening', news: [] })
        this.#effects.endJoin(group)
        this.#later(group)
      }
    })
  }

  /** Asks the next of the regions that may have the group. */
  #goOnJoining(joining: Joining, nowMs: number): void {
    const { joiner } = joining
    if (!joining.isBegun || joiner.phase !== 'waiting' || nowMs < joining.retryAtMs) return
    const links = [...this.#links.values()].filter((link) => link.isOpen && this.#isShared(joiner.group, link.peer))
    joining.retryAtMs = nowMs + retryMs
    links[joining.attempts++ % links.length]?.join(joiner)
  }

  #adopted(group: GroupId, joiner: Joiner, until: Version): void {
    this.#joining.delete(group)
    addStats(this.#joined, joiner.stats)
    this.#untils.set(group, until)
    const opening: Opening = { kind: 'opening', news: [] }
    this.#groups.set(group, opening)
    this.#effects.log.setPeers(group, this.#peersOf(group), (outcome) => {
      if (outcome.kind === 'failed') return this.#later(group)
      this.#read(group, (info, chains) => {
        const held = new HeldGroup(group, info, chains)
        for (const news of opening.news) news(held)
        this.#opened(held)
      })
    })
  }

  #reread(group: GroupId, held: HeldGroup): void {
    this.#read(group, (info, chains) => held.reopen(info, chains))
  }

  /** On the links where it belongs, and on no other. */
  #place(held: HeldGroup): void {
    for (const [peer, link] of this.#links) {
      if (this.#isShared(held.group, peer)) link.share(held)
      else link.unshare(held.group)
    }
  }

  #read(group: GroupId, run: (info: GroupInfo, chains: ReadonlyMap<ReplicaId, Chain>) => void): void {
    const { log } = this.#effects
    log.openGroup(group, (opened) => {
      if (opened.kind === 'failed') return this.#later(group)
      log.seekGroup(group, opened.value.version, (sought) => {
        if (sought.kind === 'failed') return this.#later(group)
        if (!this.#isClosed) run(opened.value, sought.value.chains)
      })
    })
  }

  #later(group: GroupId): void {
    if (this.#isClosed) return
    if (this.#groups.get(group)?.kind === 'opening') this.#groups.delete(group)
    this.#retries.set(group, this.#effects.nowMs() + retryMs)
  }
}

function addStats(sum: JoinStats, more: Readonly<JoinStats>): void {
  sum.documents += more.documents
  sum.bytes += more.bytes
  sum.comparedBytes += more.comparedBytes
  sum.roundTrips += more.roundTrips
}
