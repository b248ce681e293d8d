/**
 * A whole region in one process: log, node, network and devices under one seed and one clock. It does what it is told: crashes, restarts,
 * restores, compacts, erases. What is drawn when stands in schedule.ts, what must hold in ledger.ts.
 */

import { MemoryDisk } from '@meridian/client/io/store-memory'
import type { CompactionPolicy } from '@meridian/core/compaction'
import type { Principal } from '@meridian/core/effects'
import type { Draft, Entry } from '@meridian/core/entry'
import { MeridianError } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import type { HubLimits, SessionLimits } from '@meridian/core/limits'
import { Device } from './device.js'
import type { LogTiming } from './memory-log.js'
import { MemoryLog, MemoryStore } from './memory-log.js'
import { Network } from './network.js'
import { groupOf, principal, region as regionId, SimNode } from './node.js'
import type { SeededRandom } from './random.js'
import { foldedBy } from './rig.js'
import { Scheduler } from './scheduler.js'

export interface RegionOptions {
  readonly random: SeededRandom
  readonly deviceCount: number
  readonly limits: Partial<SessionLimits>
  readonly hubLimits: Partial<HubLimits>
  readonly compaction: CompactionPolicy
  /** Log records of an open document after which a device folds them. */
  readonly compactCount: number
  /** Milliseconds that a token lasts. */
  readonly tokenMs: number
  /** A compaction drops what its snapshot covers. */
  onTrim(): void
  onDurable(entries: readonly Entry[], drafts: readonly Draft[]): void
}

/** Milliseconds of a commit or a read; one now and then takes much longer, so that much happens meanwhile. */
const logMs = { most: 4, hiccup: 600 }

export class Region {
  readonly scheduler = new Scheduler()
  readonly random: SeededRandom
  readonly network: Network
  readonly devices: Device[]
  readonly options: RegionOptions
  store = new MemoryStore(regionId)
  log: MemoryLog
  /** None while the process is down. */
  node: SimNode | undefined
  /** Copies of the store, as an operator keeps them. */
  readonly backups: MemoryStore[] = []
  tokensDown = false
  /** Crashes, by which an answer of an earlier process is told from one of this. */
  restarts = 0

  constructor(options: RegionOptions) {
    this.options = options
    this.random = options.random
    this.network = new Network({ scheduler: this.scheduler, random: this.random.fork(), node: () => this.node })
    this.log = this.#openLog()
    this.node = this.#startNode()
    this.devices = Array.from(
      { length: options.deviceCount },
      (_, number) =>
        new Device(
          { scheduler: this.scheduler, network: this.network, token: () => this.#token(number) },
          number,
          this.random.fork(),
          new MemoryDisk(),
          { compactCount: options.compactCount },
        ),
    )
  }

  /** `kill -9` of the node. Its machine resets the sockets. */
  crash(): void {
    if (this.node === undefined) return
    this.restarts++
    const { node } = this
    node.crash()
    this.node = undefined
    this.log.crash()
    this.network.nodeDied(node)
  }

  /** SIGTERM: clients are told, what is on its way is answered, and the log closes. */
  drain(): void {
    const { node, log } = this
    if (node === undefined) return
    this.restarts++
    this.node = undefined
    for (const socket of [...node.sessions]) socket.session.shutdown()
    node.hub.whenIdle(() => {
      node.hub.close()
      log.close(() => node.crash())
    })
  }

  /** A new process, on what the disk holds or on an older copy of it. */
  start(store: MemoryStore = this.store): void {
    if (this.node !== undefined) return
    // A drained process that is not through yet is killed first: two never have one directory.
    if (this.log.state !== 'closed') this.log.crash()
    this.store = store
    this.log = this.#openLog()
    this.node = this.#startNode()
  }

  /** RES7; nothing if the node is down or the document cannot be loaded now. */
  erase(document: DocumentName): void {
    const { node } = this
    if (node === undefined) return
    const live = node.hub.open(document, groupOf(document))
    const go = (): void => {
      if (node.alive && this.node === node && live.state === 'ready' && !live.ended) node.hub.erase(live, 0)
    }
    if (live.state === 'loading') live.waiting.push(go)
    else go()
  }

  #openLog(): MemoryLog {
    const random = this.random.fork()
    const timing: LogTiming = (step, run) => {
      const isSlow = random.chance(0.01)
      const ms = step.operation === 'reopen' ? random.between(0, 300) : random.between(0, isSlow ? logMs.hiccup : logMs.most)
      this.scheduler.after(ms, run)
    }
    return new MemoryLog(this.store, { timing, random: this.random.fork(), onDurable: this.options.onDurable })
  }

  #startNode(): SimNode {
    const { log, options } = this
    const node: SimNode = new SimNode({
      scheduler: this.scheduler,
      random: this.random.fork(),
      log,
      limits: options.limits,
      hubLimits: options.hubLimits,
      compaction: options.compaction,
      tokens: { get: (token) => this.#principal(token) },
      compact: (document) => node.later(() => this.#compact(node, document), this.random.between(0, 200)),
    })
    const tick = (): void => {
      node.tick()
      node.later(tick, 1_000)
    }
    node.later(tick, 1_000)
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
      this.random.between(0, 100),
    )
  }

  /** As an app's own server would hand it out: a JWT by its shape, with nothing to verify. */
  async #token(device: number): Promise<string> {
    if (this.tokensDown) throw new Error('the token service is down')
    const claims = {
      sub: `user-${device}`,
      tenant: 'acme',
      exp: Math.floor((this.scheduler.nowMs + this.options.tokenMs) / 1000),
    }
    return `sim.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sim`
  }

  #principal(token: string): Principal | MeridianError {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string; exp: number }
    const expiresAt = claims.exp * 1000
    if (expiresAt <= this.scheduler.nowMs) return new MeridianError('TOKEN_EXPIRED')
    return principal(claims.sub, { expiresAt })
  }
}
