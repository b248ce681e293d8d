/** One region of a simulated cluster: its disk, its process and its end of each link. It does what it is told; what must hold stands in history.ts. */

import { createHash } from 'node:crypto'
import type { CompactionPolicy } from '@meridian/core/compaction'
import type { Principal } from '@meridian/core/effects'
import { yjsEngine } from '@meridian/core/engines/yjs'
import type { Draft, Entry } from '@meridian/core/entry'
import type { MeridianError } from '@meridian/core/errors'
import type { DocumentName, RegionId } from '@meridian/core/ids'
import type { HubLimits, SessionLimits } from '@meridian/core/limits'
import { MemoryLog, MemoryStore, type LogTiming } from '../memory-log.js'
import { groupOf, SimNode } from '../node.js'
import type { SeededRandom } from '../random.js'
import { foldedBy } from '../rig.js'
import type { Scheduler } from '../scheduler.js'
import type { Hub } from '@meridian/core/hub'
import { Links } from '@meridian/regions/link/links'
import { mergeStates } from '@meridian/regions/link/merge-states'
import type { LinkOptions } from '@meridian/regions/link/options'
import { placedEverywhere } from '@meridian/regions/link/placement'
import type { LinkAlarm } from '@meridian/regions/link/port'
import type { Topology } from '@meridian/regions/topology'
import type { RegionWire } from './region-wire.js'

export interface SiteOptions {
  readonly index: number
  readonly id: RegionId
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  readonly limits: Partial<SessionLimits>
  readonly hubLimits: Partial<HubLimits>
  readonly compaction: CompactionPolicy
  readonly diskMs: number
  readonly skewMs: number
  readonly aloneInGroups: boolean
  readonly topology: Topology
  readonly linkOptions: Partial<LinkOptions>
  onAlarm(alarm: LinkAlarm): void
  principal(token: string, nowMs: number): Principal | MeridianError
  onTrim(): void
  onDurable(entries: readonly Entry[], drafts: readonly Draft[]): void
  /** The process has died; its machine resets what it can reach. */
  onDied(node: SimNode): void
}

const linkTickMs = 10

/** Milliseconds of a commit or a read that takes much longer, so that much happens meanwhile. */
const hiccupMs = 600

export class Site {
  readonly index: number
  readonly id: RegionId
  readonly url: string
  readonly options: SiteOptions
  store: MemoryStore
  log: MemoryLog
  /** None while the process is down. */
  node: SimNode | undefined
  /** Copies of the store, as an operator keeps them. */
  readonly backups: MemoryStore[] = []
  skewMs: number
  /** Milliseconds of a commit or a read, at most. */
  diskMs: number
  restarts = 0
  links: Links
  /** On its way to its end. */
  #draining: SimNode | undefined
  #isLinking = false

  constructor(options: SiteOptions) {
    this.options = options
    this.index = options.index
    this.id = options.id
    this.url = `http://${options.id}.test`
    this.skewMs = options.skewMs
    this.diskMs = options.diskMs
    this.store = new MemoryStore(options.id)
    this.log = this.#openLog()
    this.links = this.#makeLinks(() => {
      throw new Error('no process yet')
    })
    this.node = this.#startNode()
  }

  get nowMs(): number {
    return this.options.scheduler.nowMs + this.skewMs
  }

  /** `kill -9`. */
  crash(): void {
    const { node } = this
    if (node === undefined) return
    this.restarts++
    this.node = undefined
    node.crash()
    this.log.crash()
    this.options.onDied(node)
  }

  /** SIGTERM: clients are told, what is on its way is answered, and the log closes. */
  drain(): void {
    const { node, log } = this
    if (node === undefined || node.isStopped) return
    this.restarts++
    this.node = undefined
    this.#draining = node
    for (const socket of [...node.sessions]) socket.session.shutdown()
    node.hub.whenIdle(() => {
      node.hub.close()
      log.close(() => this.#drained(node))
    })
  }

  #drained(node: SimNode): void {
    if (this.#draining !== node) return
    this.#draining = undefined
    node.crash()
    this.options.onDied(node)
  }

  /** A new process, on what the disk holds or on an older copy of it. */
  start(store: MemoryStore = this.store): void {
    if (this.node !== undefined) return
    // A drained process that is not through yet is killed first: two never have one directory.
    if (this.log.state !== 'closed') this.log.crash()
    if (this.#draining !== undefined) this.#drained(this.#draining)
    this.store = store
    this.log = this.#openLog()
    this.node = this.#startNode()
  }

  /** Up, running, and ready for links. */
  get mayConnect(): boolean {
    return this.node !== undefined && !this.node.isStopped && this.#isLinking
  }

  /** One end of a wire to another region is here; the handshake went well. */
  connect(peer: Site, wire: RegionWire, end: 0 | 1): void {
    const { node, links } = this
    if (node === undefined) return wire.close(end)
    const link = links.connect(peer.id, {
      send: (message) => wire.send(end, message),
      bufferedBytes: () => wire.bufferedBytes(end),
      close: () => wire.close(end),
    })
    wire.listen(end, {
      receive: (message) => node.enter(() => link.receive(message)),
      drained: () => node.enter(() => link.drained()),
      lost: () => node.enter(() => link.close(undefined)),
    })
  }

  /** RES7; nothing if the node is down or the document cannot be loaded now. */
  erase(document: DocumentName): void {
    const { node } = this
    if (node === undefined || node.isStopped) return
    const live = node.hub.open(document, groupOf(document))
    const go = (): void => {
      if (node.alive && this.node === node && live.state === 'ready' && !live.ended && live.engine !== undefined)
        node.hub.erase(live, 0)
    }
    if (live.state === 'loading') live.waiting.push(go)
    else go()
  }

  #openLog(): MemoryLog {
    const { options } = this
    const random = options.random.fork()
    const timing: LogTiming = (step, run) => {
      const isSlow = random.chance(0.01)
      const ms = step.operation === 'reopen' ? random.between(0, 300) : random.between(0, isSlow ? hiccupMs : this.diskMs)
      options.scheduler.after(ms, () => {
        // The disk works while its process is stopped, and is not heard.
        if (step.phase === 'answer' && this.node !== undefined) this.node.enter(run)
        else run()
      })
    }
    return new MemoryLog(this.store, { timing, random: options.random.fork(), onDurable: options.onDurable })
  }

  /** As server/src/io/region-links.ts puts them together. */
  #makeLinks(hub: () => Hub): Links {
    const { log, options } = this
    return new Links({
      here: options.id,
      topology: () => options.topology,
      placement: placedEverywhere,
      options: options.linkOptions,
      effects: {
        nowMs: () => options.scheduler.nowMs,
        log,
        include: (entries, done) =>
          log.include(entries, (outcome) => {
            if (outcome.kind === 'failed') hub().includeFailed(entries)
            else if (outcome.value.kind === 'included') hub().included(outcome.value.entries)
            done(outcome)
          }),
        held: (group, peer, version) => hub().held(group, peer, version),
        merge: (engine, updates) => (engine === 'yjs' ? yjsEngine.merge(updates) : undefined),
        alarm: (alarm) => options.onAlarm(alarm),
        digest: (bytes) => createHash('sha256').update(bytes).digest().readBigUInt64LE(),
        random: (bytes) => Uint8Array.from({ length: bytes }, () => options.random.below(256)),
        mergeStates: (here, there) => mergeStates({ yjs: yjsEngine }, here, there),
        beginJoin: (group, done) => hub().beginJoin(group, () => log.beginJoin(group, done)),
        endJoin: (group) => hub().endJoin(group),
        presence: {
          shown: (document) => hub().presence.shown(document),
          hear: (peer, document, state) => hub().presence.hear(peer, document, state),
          suspect: (peer) => hub().presence.suspect(peer),
          lost: (peer) => hub().presence.lost(peer),
        },
      },
    })
  }

  #beginLinks(node: SimNode): void {
    this.links.begin((outcome) => {
      if (this.node !== node) return
      // A node that cannot read its log does not start; whoever watches it tries again.
      if (outcome.kind === 'failed') node.later(() => this.#beginLinks(node), 500)
      else this.#isLinking = true
    })
    const tick = (): void => {
      this.links.tick()
      node.later(tick, linkTickMs)
    }
    node.later(tick, linkTickMs)
  }

  #startNode(): SimNode {
    const { log, options } = this
    this.#isLinking = false
    const links = this.#makeLinks(() => node.hub)
    this.links = links
    const node: SimNode = new SimNode({
      scheduler: options.scheduler,
      random: options.random.fork(),
      log,
      region: options.id,
      clock: { now: () => this.nowMs },
      aloneInGroups: options.aloneInGroups,
      ...(options.aloneInGroups ? {} : { links }),
      limits: options.limits,
      hubLimits: options.hubLimits,
      compaction: options.compaction,
      tokens: { get: (token) => options.principal(token, this.nowMs) },
      compact: (document) => node.later(() => this.#compact(node, document), options.random.between(0, 200)),
    })
    const tick = (): void => {
      node.tick()
      node.later(tick, 1_000)
    }
    node.later(tick, 1_000)
    this.node = node
    if (!options.aloneInGroups) this.#beginLinks(node)
    return node
  }

  #compact(node: SimNode, document: DocumentName): void {
    const held = this.store.documents.get(document)
    if (this.node !== node || held === undefined || held.ended || held.entries.length === 0)
      return node.hub.compacted(document, undefined)
    const { snapshot, info } = foldedBy(this.store, document)
    this.options.onTrim()
    node.later(
      () =>
        this.log.putSnapshot(snapshot, { trim: true }, (outcome) => {
          if (node.alive) node.hub.compacted(document, outcome.kind === 'done' ? info : undefined)
        }),
      this.options.random.between(0, 100),
    )
  }
}
