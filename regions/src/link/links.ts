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
 * - LOG3 When the log opened anew, every group is asked for again: a commit that failed may be there all the same.
 */

import type { EngineName } from '@meridian/core/engine'
import type { MeridianError } from '@meridian/core/errors'
import { type GroupId, groupTenant, type RegionId, type ReplicaId, type TenantId } from '@meridian/core/ids'
import type { Done, Foreign, GroupInfo, Included, LinkedLog } from '@meridian/core/log'
import type { Chain, Version } from '@meridian/core/version'
import type { StopReason } from '@meridian/core/wires/link/frames'
import { isPlace, peersOf, type Topology } from '../topology.js'
import { HeldGroup } from './held-group.js'
import { type Lag, LagMeter } from './lag.js'
import { Link } from './link.js'
import type { LinkOptions } from './options.js'
import type { LinkPlacement } from './placement.js'
import type { LinkAlarm } from './port.js'

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
}

/** A group whose opening failed is tried again so much later. */
const retryMs = 500

export class Links {
  readonly #config: LinksConfig
  readonly #effects: LinksEffects
  readonly #groups = new Map<GroupId, Opening | Opened>()
  readonly #links = new Map<RegionId, Link>()
  readonly #meters = new Map<string, LagMeter>()
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

  /** Whether a link to that region is open. */
  isLinked(region: RegionId): boolean {
    return this.#links.has(region)
  }

  reopened(): void {
    for (const [group, known] of this.#groups) if (known.kind === 'open') this.#reread(group, known.held)
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
    if (this.#retries.size === 0) return
    const nowMs = this.#effects.nowMs()
    for (const [group, atMs] of [...this.#retries]) {
      if (nowMs < atMs) continue
      this.#retries.delete(group)
      const known = this.#groups.get(group)
      if (known?.kind === 'open') this.#reread(group, known.held)
      else this.#open(group)
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
    else news(known.held)
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
          this.#groups.set(group, { kind: 'open', held })
          this.#place(held)
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
