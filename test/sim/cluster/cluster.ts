/**
 * A whole cluster in one process: regions, the wires between them, devices and their network, under one seed and one clock. It does what it is
 * told (actions.ts) and tells the history what became of it.
 */

import { MemoryDisk } from '@meridian/client/io/store-memory'
import type { Principal } from '@meridian/core/effects'
import { assert, MeridianError } from '@meridian/core/errors'
import { parseDocument, parseRegion } from '@meridian/core/ids'
import { hubLimits, sessionLimits } from '@meridian/core/limits'
import type { LinkOptions } from '@meridian/regions/link/options'
import { parseTopology, type Topology } from '@meridian/regions/topology'
import { Device } from '../device.js'
import { Network } from '../network.js'
import { principal } from '../node.js'
import { SeededRandom } from '../random.js'
import { Scheduler } from '../scheduler.js'
import { Trace } from '../trace.js'
import { linkTabs } from '@meridian/client/tab-link'
import { Between } from './between.js'
import { Browser } from './browser.js'
import { History, listOf, newSeen, type Seen, type Target, type Watched } from './history.js'
import type { ClusterOptions } from './options.js'
import { Site } from './site.js'
import { addedTexts } from './texts.js'

/** Small bounds, so that a short run meets them. */
const tightLimits = {
  bufferedBytesMax: 2_048,
  readBytes: 1_024,
  unackedBytesMax: 4_096,
  waitingPushesMax: 16,
  // No less than a greeting may have.
  messageBytesMax: 64 * 1024,
  readsMax: 1,
}
const tightHub = { batchEntriesMax: 4, batchBytesMax: 4_096, pendingBytesMax: 8_192, tailBytesMax: 2_048 }
const tightLinks: Partial<LinkOptions> = {
  ...{ windowBytes: 2_048, batchBytes: 700, batchEntries: 8, socketBytes: 3_000, socketControlBytes: 6_000, messageBytes: 1_500 },
  ...{ silenceMs: 900, heartbeatMs: 250, quietMs: 400 },
}
/** Milliseconds: so that dead sockets are found within a run. */
export const times = { silenceMs: 8_000, greetingMs: 4_000, waitMs: 2_000 }

const tenants = ['acme', 'globex'] as const
const regionNames = ['eu-west', 'us-east', 'ap-south', 'sa-east', 'af-south'] as const

export interface Member {
  readonly device: Device
  /** Of which it is one tab of several. */
  readonly browser: Browser | undefined
  readonly targets: readonly Target[]
  readonly watched: Map<Target, Watched>
  seen: Seen
  site: Site
}

export class Cluster {
  readonly options: ClusterOptions
  readonly scheduler = new Scheduler()
  readonly trace: Trace
  readonly history: History
  readonly sites: readonly Site[]
  readonly members: readonly Member[]
  readonly targets: readonly Target[]
  readonly network: Network
  readonly between: Between
  readonly limits = { ...sessionLimits, ...times }
  readonly hubLimits = { ...hubLimits }
  tokensDown = false
  /** Nothing fails any more. */
  isHealed = false
  /** Something of a device ran since it was last false, so that promises may hang on it. */
  isTouched = false
  readonly faults: Record<string, number> = {}
  editCount = 0
  savedCount = 0
  readonly random: SeededRandom

  readonly #topology: Topology

  constructor(options: ClusterOptions, print?: (line: string) => void) {
    this.options = options
    this.trace = new Trace(this.scheduler, print)
    this.history = new History(options.regionCount, (what) => this.trace.note('X', what.slice(0, 160)))
    if (options.bounds === 'tight') {
      Object.assign(this.limits, tightLimits)
      Object.assign(this.hubLimits, tightHub)
    }
    this.targets = targetsOf(options)
    this.#topology = topologyOf(options)
    this.random = new SeededRandom(options.seed ^ 0x5eed)
    const { random } = this
    this.sites = Array.from({ length: options.regionCount }, (_, index) => this.#makeSite(index, random.fork()))
    this.network = new Network({
      scheduler: this.scheduler,
      random: random.fork(),
      node: (url) => this.sites.find((site) => url.includes(`//${site.id}.test`))?.node,
      arrived: ({ device, url }, direction, message) =>
        this.trace.note(direction === 'up' ? '>' : '<', `d${device}`, url.slice(5, 7), message),
    })
    this.between = new Between({
      ...{ scheduler: this.scheduler, random: random.fork(), trace: this.trace, sites: this.sites },
      delayMs: options.betweenMs,
    })
    const members: Member[] = []
    for (let number = 0; number < options.deviceCount; number++)
      members.push(this.#makeMember(number, random.fork(), members.at(-1)))
    this.members = members
  }

  struck(kind: string): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1
  }

  /** `kill -9` of a device's process, and a new one on its disk. */
  restart(member: Member): void {
    this.forget(member)
    this.history.killed(member.device.number)
    this.isTouched = true
    member.browser?.killed(member.device)
    member.device.restart()
  }

  wake(member: Member): void {
    if (!member.device.isAsleep) return
    this.isTouched = true
    member.device.wake()
  }

  /** After a crash or a restart of its process: nothing of the one before is looked at any more. */
  forget(member: Member): void {
    member.watched.clear()
    member.seen = newSeen()
  }

  open(member: Member, target: Target): Watched {
    const held = member.watched.get(target)
    if (held !== undefined) return held
    const handle = member.device.open(target.path)
    const watched: Watched = {
      ...{ handle, device: member.device.number, target, shown: new Set<string>(), order: [], unjudged: [] },
      ...{ fresh: [...listOf(handle.ydoc)], hasLost: false, isCompared: false, changed: true },
    }
    member.watched.set(target, watched)
    const list = handle.ydoc.getArray<string>('list')
    list.observe((_event, transaction) => {
      watched.changed = true
      watched.fresh.push(...addedTexts(transaction, list))
      if (transaction.deleteSet.clients.size > 0) watched.hasLost = true
    })
    handle.subscribe(() => {
      watched.changed = true
    })
    // What is refused, or closed before it is ready, is seen by its status.
    handle.ready.catch(() => undefined)
    return watched
  }

  openAll(member: Member): void {
    for (const target of member.targets) this.open(member, target)
  }

  /** What the last turn changed on screens. */
  look(): void {
    for (const member of this.members) {
      let isChanged = false
      for (const watched of member.watched.values()) {
        if (!watched.changed) continue
        watched.changed = false
        isChanged = true
        if (!member.device.hasFailedRead) this.history.loaded(watched)
        this.history.shows(watched, member.seen)
      }
      // What could not be read shows when it can be, document by document.
      if (!isChanged || member.device.hasFailedRead) continue
      const mine = [...member.watched.values()]
      for (const one of mine) this.history.ordered(one, mine)
    }
  }

  /** The bounds that hold at every moment (SES3). */
  checkBounds(): void {
    for (const { node } of this.sites) {
      if (node === undefined) continue
      this.history.hold('SES3')
      // One is always taken, whatever its size.
      const most = this.hubLimits.pendingBytesMax + this.limits.updateBytesMax
      if (node.hub.pendingBytes > most) this.history.fail(`[SES3] a hub holds ${node.hub.pendingBytes} bytes`)
    }
  }

  #makeSite(index: number, random: SeededRandom): Site {
    const { options } = this
    const site: Site = new Site({
      ...{ index, id: parseRegion(regionNames[index] ?? `region-${index}`), scheduler: this.scheduler, random },
      limits: this.limits,
      hubLimits: this.hubLimits,
      compaction: {
        openEntries: options.compactEntries,
        openBytes: options.compactEntries < 100 ? 2_000 : 1024 * 1024,
        idleEntries: options.compactEntries,
        ageMs: 600_000,
        restMs: 5_000,
      },
      diskMs: options.diskMs,
      skewMs: options.skewMs === 0 ? 0 : random.between(-options.skewMs, options.skewMs),
      aloneInGroups: options.regionCount === 1,
      principal: (token, nowMs) => principalOf(token, nowMs),
      onTrim: () => {
        this.history.trimmed = true
      },
      onDurable: (entries, drafts) => {
        for (const { replica, sequence, kind, document, payload } of entries)
          this.trace.note('=', `r${index}`, `${replica} ${sequence} ${kind} ${document ?? ''}`, payload)
        this.history.durable(index, entries, drafts)
      },
      onStates: (states) => {
        for (const { document, life, ended } of states) this.trace.note('s', `r${index}`, `${document} ${life} ${ended}`)
        this.history.stated(index, states)
      },
      onAdopted: (group, version) => {
        this.trace.note(
          's',
          `r${index}`,
          `${group} ${[...version.sequences].map(([replica, last]) => `${replica} ${last}`).join(' ')}`,
        )
        this.history.adopted(index, group, version)
      },
      onDied: (node) => {
        this.network.nodeDied(node)
        this.between.died(site)
      },
      topology: this.#topology,
      linkOptions: options.bounds === 'tight' ? tightLinks : {},
      onAlarm: ({ peer, reason, door, detail }) => {
        this.trace.note('?', site.id, `${peer} ${reason} ${door}`)
        this.history.fail(`[LINK8] a group stands still between ${site.id} and ${peer}, ${door}: ${reason}, ${detail}`)
      },
    })
    return site
  }

  /** @param neighbour the one before, of whose browser it may be another tab. */
  #makeMember(number: number, random: SeededRandom, neighbour: Member | undefined): Member {
    const { options } = this
    // Tabs are pairs of one tenant: 0 and 1, 4 and 5, …
    const isTab = number % 4 < 2 && Math.floor(number / 4) < options.tabPairs
    const shares = isTab && number % 4 === 1 ? neighbour : undefined
    const browser = shares?.browser ?? (isTab ? new Browser(this.scheduler, random.fork(), this.trace) : undefined)
    // One in four is of another tenant.
    const tenant = tenants[number % 4 === 3 ? 1 : 0]
    const site = shares?.site ?? random.pick(this.sites)
    let made: Device | undefined
    const device = new Device(
      {
        scheduler: this.scheduler,
        network: this.network,
        token: () => this.#token(number, tenant),
        touched: () => {
          this.isTouched = true
        },
      },
      number,
      random,
      shares?.device.disk ?? new MemoryDisk(),
      {
        ...{ compactCount: options.foldCount, tenant, url: site.url },
        ...(browser === undefined ? {} : { tabs: linkTabs(browser.opener(() => made)) }),
      },
    )
    made = device
    if (options.skewMs > 0) device.skewMs = random.between(-options.skewMs, options.skewMs)
    const all = this.targets.filter((target) => target.tenant === tenant)
    // In a large world nobody has everything open.
    const targets = all.length <= 8 ? all : Array.from({ length: 8 }, () => random.pick(all))
    return { device, browser, targets: shares?.targets ?? [...new Set(targets)], watched: new Map(), seen: newSeen(), site }
  }

  /** As an app's own server would hand it out: a JWT by its shape, with nothing to verify. */
  async #token(device: number, tenant: string): Promise<string> {
    if (this.tokensDown) throw new Error('the token service is down')
    const exp = Math.floor((this.scheduler.nowMs + this.options.tokenMs) / 1000)
    return `sim.${Buffer.from(JSON.stringify({ sub: `user-${device}`, tenant, exp })).toString('base64url')}.sim`
  }
}

function principalOf(token: string, nowMs: number): Principal | MeridianError {
  const text = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
  const claims = JSON.parse(text) as { sub: string; tenant: string; exp: number }
  const expiresAt = claims.exp * 1000
  if (expiresAt <= nowMs) return new MeridianError('TOKEN_EXPIRED')
  return principal(claims.sub, { expiresAt, tenant: claims.tenant })
}

function topologyOf(options: ClusterOptions): Topology {
  const regions = Object.fromEntries(
    regionNames.slice(0, options.regionCount).map((name, index) => [
      name,
      {
        ...{ jurisdiction: ['IE', 'US', 'IN', 'BR', 'ZA'][index], operator: 'example-hosting' },
        ...{ client: `wss://${name}.test`, link: `wss://${name}.test/v1/link` },
        publicKey: Buffer.alloc(32, index + 1).toString('base64'),
      },
    ]),
  )
  const outcome = parseTopology({ version: 1, regions, without: [] })
  assert(outcome.kind === 'parsed', 'a cluster file that is right')
  return outcome.topology
}

function targetsOf(options: ClusterOptions): Target[] {
  const targets: Target[] = []
  for (const tenant of tenants) {
    for (let number = 0; number <= options.documentCount; number++) {
      const isDoomed = number === options.documentCount
      const path = isDoomed ? 'notes/doomed' : `${number % 3 === 2 ? 'tasks' : 'notes'}/${number}`
      targets.push({ tenant, path, name: parseDocument(`${tenant}/${path}`), isDoomed })
    }
  }
  return targets
}
