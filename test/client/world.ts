/**
 * The world of simulated clients: one clock, one region, devices with disks, and a network that delivers when it is told to. A turn of a
 * client runs to its end before the next, as in a process of its own.
 */

import type { Random } from '@meridian/core/effects'
import type { ErrorCode } from '@meridian/core/errors'
import { MeridianError } from '@meridian/core/errors'
import { parseDocument } from '@meridian/core/ids'
import { Client } from '@meridian/client/client'
import type { Handle } from '@meridian/client/handle'
import type { ClientOptions } from '@meridian/client/options'
import { linkTabs } from '@meridian/client/tab-link'
import { MemoryDisk, MemoryStore } from '@meridian/client/io/store-memory'
import { network } from '@meridian/client/network'
import type { ClientStore, StoreEvent, StoreKey, StoreOperation, StoreRecord } from '@meridian/client/store'
import type { OpenTabPort, TabMessage, TabPort } from '@meridian/client/tabs'
import type { ClientSocket, ClientWorld, SocketEvents } from '@meridian/client/world'
import type { FakeSession } from './fake-region.js'
import { FakeRegion } from './fake-region.js'

/** Mulberry32 (Tommy Ettinger, 2017): small, and the same everywhere. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return {
    uint32() {
      state = (state + 0x6d2b79f5) >>> 0
      let t = Math.imul(state ^ (state >>> 15), state | 1)
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
      return (t ^ (t >>> 14)) >>> 0
    },
  }
}

interface Timer {
  readonly atMs: number
  readonly run: () => void
  done: boolean
}

/** One connection: two queues, each in order. */
class Wire {
  readonly toRegion: Uint8Array[] = []
  readonly toClient: Uint8Array[] = []
  open = false
  ended = false
  session: FakeSession | undefined
  readonly #site: Site | undefined
  readonly #events: SocketEvents

  constructor(site: Site | undefined, events: SocketEvents) {
    this.#site = site
    this.#events = events
  }

  get region(): FakeRegion | undefined {
    return this.#site?.region
  }

  get #isStill(): boolean {
    return this.#site?.state === 'silent' || this.#site?.state === 'busy'
  }

  /** Whether something can happen on it. */
  get isBusy(): boolean {
    if (this.#isStill) return false
    return !this.ended && (!this.open || this.toRegion.length > 0 || this.toClient.length > 0 || this.lostOnRegion)
  }

  /** The region ended it; the client hears of it after what was sent before. */
  lostOnRegion = false

  step(direction: 'up' | 'down'): void {
    if (this.ended || this.#isStill) return
    if (!this.open) {
      if (this.#site?.state !== 'up') return this.cut()
      this.open = true
      this.session = this.#site.region.connect(
        (message) => this.toClient.push(message),
        () => {
          this.lostOnRegion = true
        },
      )
      return this.#events.opened()
    }
    if (direction === 'up') {
      const message = this.toRegion.shift()
      if (message !== undefined && !this.lostOnRegion) this.session?.receive(message)
      return
    }
    const message = this.toClient.shift()
    if (message !== undefined) this.#events.message(message)
    else if (this.lostOnRegion) this.cut()
  }

  /** Both ends lose what is on its way. */
  cut(): void {
    if (this.ended) return
    this.close()
    this.#events.lost()
  }

  close(): void {
    this.ended = true
    if (this.session !== undefined) this.#site?.region.sessions.delete(this.session)
  }
}

/** A disk that may be slow, full or gone, over what outlives the process. */
export class SlowStore implements ClientStore {
  readonly lingerMs = 0
  failure: ErrorCode | undefined
  /** While it is set, a lost store is not made again. */
  renewFailure: ErrorCode | undefined
  held = false
  dead = false
  /** How often somebody asked that it be kept. */
  keepCount = 0
  readonly #inner: MemoryStore
  #isLost = false
  #waiting: (() => void)[] = []
  #listener: (event: StoreEvent) => void = () => undefined

  constructor(disk: MemoryDisk) {
    this.#inner = new MemoryStore(disk)
  }

  async read(prefix: StoreKey): Promise<readonly StoreRecord[]> {
    if (this.dead) await new Promise(() => undefined)
    this.#check()
    return this.#inner.read(prefix)
  }

  async write(batch: readonly StoreOperation[]): Promise<void> {
    if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.dead) await new Promise(() => undefined)
    this.#check()
    if (this.failure !== undefined) throw new MeridianError(this.failure)
    await this.#inner.write(batch)
  }

  watch(listener: (event: StoreEvent) => void): void {
    this.#listener = listener
  }

  tell(event: StoreEvent): void {
    if (!this.dead) this.#listener(event)
  }

  keep(): void {
    this.keepCount++
  }

  /** Somebody has deleted what is on the disk: nothing works until it is renewed. */
  lose(): void {
    this.#isLost = true
    this.tell({ kind: 'lost' })
  }

  async renew(): Promise<void> {
    if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.dead) await new Promise(() => undefined)
    if (this.renewFailure !== undefined) throw new MeridianError(this.renewFailure)
    this.#isLost = false
  }

  release(): void {
    this.held = false
    for (const run of this.#waiting.splice(0)) run()
  }

  async close(): Promise<void> {
    await this.#inner.close()
  }

  #check(): void {
    if (this.#isLost) throw new MeridianError('STORE_FAILED', { message: 'The store is lost.' })
  }
}

export class Device {
  readonly name: string
  readonly world: World
  readonly disk: MemoryDisk
  readonly options: Partial<ClientOptions>
  store: SlowStore
  client: Client
  errors: MeridianError[] = []
  isMetered = false
  #wires: Wire[] = []
  #timers: Timer[] = []
  #alive = { yes: true }

  constructor(world: World, name: string, options: Partial<ClientOptions> = {}, disk = new MemoryDisk()) {
    this.world = world
    this.name = name
    this.disk = disk
    this.options = options
    this.store = new SlowStore(this.disk)
    this.client = this.#start()
  }

  get wire(): Wire | undefined {
    return this.#wires.at(-1)
  }

  get wires(): readonly Wire[] {
    return this.#wires.filter((wire) => !wire.ended)
  }

  get session(): FakeSession | undefined {
    return this.wire?.session
  }

  /** `kill -9`: whatever the disk does not have is gone. Then a new process on the same disk. */
  restart(disk: MemoryDisk = this.disk): void {
    this.kill()
    this.store = new SlowStore(disk)
    this.client = this.#start()
  }

  kill(): void {
    this.#alive.yes = false
    this.store.dead = true
    for (const wire of this.#wires) wire.close()
    this.#wires = []
    this.#timers = []
  }

  open(name: string): Handle {
    return this.client.open(name)
  }

  cut(): void {
    this.wire?.cut()
  }

  /** "Clear site data" under the running process. */
  lose(): void {
    this.disk.records.clear()
    this.store.lose()
  }

  runTimers(nowMs: number): void {
    for (const timer of [...this.#timers]) {
      if (timer.done || timer.atMs > nowMs) continue
      timer.done = true
      timer.run()
    }
    this.#timers = this.#timers.filter((timer) => !timer.done)
  }

  get nextTimerMs(): number | undefined {
    const due = this.#timers.filter((timer) => !timer.done).map((timer) => timer.atMs)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  #start(): Client {
    const alive = { yes: true }
    this.#alive = alive
    const { world } = this
    const guard = (run: () => void) => (): void => {
      if (alive.yes) run()
    }
    const clientWorld: ClientWorld = {
      clock: { now: () => world.wallMs + world.nowMs },
      random: world.random,
      monotonicMs: () => world.nowMs,
      defer: (run) => {
        void Promise.resolve().then(guard(run))
      },
      after: (ms, run) => {
        const timer: Timer = { atMs: world.nowMs + ms, run: guard(run), done: false }
        this.#timers.push(timer)
        return () => {
          timer.done = true
        }
      },
      dial: (url, events): ClientSocket => {
        world.dialled.push(url)
        const wire = new Wire(world.siteAt(url), {
          opened: guard(() => events.opened()),
          message: (bytes) => {
            if (alive.yes) events.message(bytes)
          },
          lost: guard(() => events.lost()),
        })
        this.#wires = [...this.#wires.filter((one) => !one.ended), wire]
        return {
          send: (message) => {
            if (!wire.ended) wire.toRegion.push(message)
          },
          close: () => wire.close(),
        }
      },
      get: (url, timeoutMs) => {
        world.asked++
        const site = world.siteAt(url)
        const answersMs = site === undefined || site.state === 'down' || world.sites.length === 1 ? 0 : site.roundTripMs
        return new Promise((resolve, reject) => {
          const answers = (): boolean => site?.state === 'up' || site?.state === 'busy'
          const isAnswered = answers() && answersMs > 0 && answersMs <= timeoutMs
          clientWorld.after(site?.state === 'silent' ? timeoutMs : Math.min(answersMs, timeoutMs), () => {
            if (isAnswered && answers() && site !== undefined) resolve(world.listOf(site))
            else reject(new Error('no answer'))
          })
        })
      },
      isMetered: () => this.isMetered,
      report: (thrown) => world.reported.push(thrown),
    }
    const onError = (error: MeridianError): void => {
      this.errors.push(error)
    }
    // As a page has it: beside the reading of the device, and not before it.
    return new Client(clientWorld, async () => network, {
      url: world.sites[0]?.url ?? '',
      storage: this.store,
      tenant: 'acme',
      onError,
      ...this.options,
    })
  }
}

/** One tab's end of a browser's channel and locks. What is for it waits in order, as it was posted. */
interface Port {
  readonly device: Device
  readonly tab: string
  readonly inbox: (() => void)[]
  readonly receive: (message: TabMessage) => void
  readonly lost: { run: () => void }
  isOpen: boolean
}

/** Tabs of one browser: one disk, one channel that reorders nothing, and the locks of the browser. */
export class Browser {
  readonly world: World
  readonly disk = new MemoryDisk()
  tabs: Device[] = []
  readonly #options: Partial<ClientOptions>
  #ports: Port[] = []
  #holder: Port | undefined
  #waiting: { port: Port; granted: () => void }[] = []
  #watches: { tab: string; port: Port; gone: () => void }[] = []
  #posted = 0

  constructor(world: World, options: Partial<ClientOptions>) {
    this.world = world
    this.#options = options
  }

  /** Messages that were posted, once each. */
  get postedCount(): number {
    return this.#posted
  }

  get isBusy(): boolean {
    return this.#ports.some((port) => port.inbox.length > 0)
  }

  get leader(): Device | undefined {
    return this.#holder?.device
  }

  open(name = `tab ${this.tabs.length}`): Device {
    let device: Device | undefined
    const made: Port[] = []
    const tabs: OpenTabPort = (tab, receive) => {
      const port = this.#port(tab, receive, () => device)
      made.push(port)
      return this.#end(port)
    }
    device = new Device(this.world, name, { ...this.#options, tabs: linkTabs(tabs) }, this.disk)
    this.tabs.push(device)
    this.world.devices.push(device)
    return device
  }

  /** The tab dies: nothing of it runs any more, what it had posted arrives, and the browser gives back its locks. */
  kill(device: Device): void {
    device.kill()
    this.tabs = this.tabs.filter((one) => one !== device)
    this.world.devices.splice(this.world.devices.indexOf(device), 1)
    for (const port of this.#ports) if (port.device === device) this.#leave(port)
  }

  /** "Clear site data" under running tabs. */
  lose(): void {
    this.disk.records.clear()
    for (const tab of this.tabs) tab.store.lose()
  }

  /** One thing for each tab that something is waiting for; or for one of them. */
  deliver(only?: Device): void {
    for (const port of [...this.#ports]) if (only === undefined || port.device === only) port.inbox.shift()?.()
  }

  #port(tab: string, receive: (message: TabMessage) => void, device: () => Device | undefined): Port {
    const port: Port = {
      get device(): Device {
        const found = device()
        if (found === undefined) throw new Error('a port is used before its tab is there')
        return found
      },
      tab,
      inbox: [],
      receive,
      lost: { run: () => undefined },
      isOpen: true,
    }
    this.#ports.push(port)
    return port
  }

  #end(port: Port): TabPort {
    return {
      post: (message) => {
        if (!port.isOpen) return
        this.#posted++
        for (const other of this.#ports) {
          if (other === port) continue
          const copy = structuredClone(message)
          other.inbox.push(() => other.receive(copy))
        }
      },
      lead: (how, granted, lost) => {
        port.lost.run = lost
        if (how === 'take' && this.#holder !== undefined && this.#holder !== port) {
          const before = this.#holder
          this.#holder = undefined
          before.inbox.push(() => before.lost.run())
          this.#waiting.unshift({ port, granted })
        } else this.#waiting.push({ port, granted })
        this.#grant()
      },
      watch: (tab, gone) => {
        this.#watches.push({ tab, port, gone })
        if (!this.#ports.some((other) => other.tab === tab)) this.#tellGone(tab)
      },
      close: () => this.#leave(port),
    }
  }

  #grant(): void {
    if (this.#holder !== undefined) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#holder = next.port
    next.port.inbox.push(() => {
      if (this.#holder === next.port) next.granted()
    })
  }

  #leave(port: Port): void {
    port.isOpen = false
    port.inbox.length = 0
    this.#ports = this.#ports.filter((other) => other !== port)
    this.#waiting = this.#waiting.filter((one) => one.port !== port)
    this.#watches = this.#watches.filter((one) => one.port !== port)
    if (this.#holder === port) this.#holder = undefined
    this.#tellGone(port.tab)
    this.#grant()
  }

  #tellGone(tab: string): void {
    for (const watch of this.#watches) if (watch.tab === tab) watch.port.inbox.push(watch.gone)
    this.#watches = this.#watches.filter((one) => one.tab !== tab)
  }
}

/** Where a region is. `silent`: nothing goes in or out, and nobody is told. `busy`: it says which regions there are, and gets to no connection. */
export interface Site {
  readonly url: string
  readonly region: FakeRegion
  readonly jurisdiction: string
  state: 'up' | 'down' | 'silent' | 'busy'
  roundTripMs: number
}

export class World {
  readonly random: Random
  /** The first one. */
  readonly region: FakeRegion
  readonly sites: Site[] = []
  readonly devices: Device[] = []
  readonly dialled: string[] = []
  /** Lists of regions that were asked for. */
  asked = 0
  readonly reported: unknown[] = []
  nowMs = 0
  wallMs = Date.UTC(2026, 0, 1)
  readonly browsers: Browser[] = []
  /** Entries travel between regions as they are committed; false: only by `exchange`. */
  isLinked = true
  readonly #sent = new Map<string, number>()

  /** @param regions more than one: a cluster, whose regions exchange entries. */
  constructor(seed = 1, regions: readonly string[] = []) {
    this.random = seeded(seed)
    const jurisdictions = ['IE', 'US', 'IN', 'JP']
    for (const [index, name] of (regions.length === 0 ? ['eu-west'] : regions).entries()) {
      const region = new FakeRegion(seeded(seed + 1 + index), name)
      const url = regions.length === 0 ? 'http://region.test' : `http://${name}.test`
      this.sites.push({ url, region, jurisdiction: jurisdictions[index] ?? 'IE', state: 'up', roundTripMs: 10 + 50 * index })
      if (regions.length > 0) region.others = () => this.sites.map((site) => site.region).filter((other) => other !== region)
    }
    const [first] = this.sites
    if (first === undefined) throw new Error('a world has a region')
    this.region = first.region
  }

  /** False: dialling the first region fails. */
  set reachable(is: boolean) {
    this.site(0).state = is ? 'up' : 'down'
  }

  site(index: number): Site {
    const site = this.sites[index]
    if (site === undefined) throw new Error('there is no such region')
    return site
  }

  siteAt(url: string): Site | undefined {
    return this.sites.find((site) => new URL(url).host === new URL(site.url).host)
  }

  /** What `GET /v1/regions` answers. */
  listOf(site: Site): string {
    const regions = this.sites.map(({ region: { name }, jurisdiction, url }) => {
      return { region: name, jurisdiction, url: url.replace('http', 'ws'), state: 'active' }
    })
    return JSON.stringify({ region: site.region.name, regions })
  }

  /** `kill -9` of a node: sockets are reset, and what was not durable is gone. */
  kill(index: number): void {
    const site = this.site(index)
    site.state = 'down'
    site.region.restart()
    for (const device of this.devices) for (const wire of device.wires) if (wire.region === site.region) wire.cut()
  }

  /** Its disk is destroyed as well: what it alone had is nowhere but on devices. It may come back, empty. */
  destroy(index: number): void {
    this.kill(index)
    this.site(index).region.destroy()
    for (const key of this.#sent.keys()) if (key.startsWith(`${index} `)) this.#sent.set(key, 0)
    for (const key of this.#sent.keys()) if (key.endsWith(` ${index}`)) this.#sent.set(key, 0)
  }

  /** Brings entries of each region that is up to each other one that is; at most `count` on each way. */
  exchange(count = Number.POSITIVE_INFINITY): boolean {
    let moved = false
    for (const [from, source] of this.sites.entries())
      for (const [to, sink] of this.sites.entries()) {
        if (from === to || source.state !== 'up' || sink.state !== 'up') continue
        const key = `${from} ${to}`
        let sent = this.#sent.get(key) ?? 0
        for (let budget = count; budget > 0 && sent < source.region.entries.length; budget--) {
          const entry = source.region.entries[sent++]
          if (entry !== undefined) sink.region.include(entry)
          moved = true
        }
        this.#sent.set(key, sent)
      }
    if (moved) for (const { region } of this.sites) region.tellHeld()
    return moved
  }

  device(name: string, options: Partial<ClientOptions> = {}): Device {
    const device = new Device(this, name, options)
    this.devices.push(device)
    return device
  }

  browser(options: Partial<ClientOptions> = {}): Browser {
    const browser = new Browser(this, options)
    this.browsers.push(browser)
    return browser
  }

  /** Lets promises run out. */
  async turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Delivers everything there is, commits, and lets no time pass. */
  async settle(): Promise<void> {
    for (let round = 0; round < 1_000; round++) {
      await this.turn()
      const busy = this.devices.flatMap((device) => device.wires).filter((wire) => wire.isBusy)
      const talking = this.browsers.filter((browser) => browser.isBusy)
      const exchanged = this.isLinked && this.sites.length > 1 && this.exchange()
      const isWaiting = this.sites.some(({ state, region }) => state === 'up' && region.waitingCount > 0)
      if (busy.length === 0 && talking.length === 0 && !isWaiting && !exchanged) return
      for (const browser of talking) browser.deliver()
      for (const wire of busy) {
        wire.step('up')
        wire.step('down')
      }
      for (const { state, region } of this.sites) if (state === 'up') region.commit()
    }
    throw new Error('the world does not come to rest')
  }

  /** Time passes, timer by timer, and everything is delivered in between. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    for (let round = 0; round < 10_000; round++) {
      await this.settle()
      const due = this.devices.map((device) => device.nextTimerMs).filter((at) => at !== undefined)
      const next = Math.min(untilMs, ...due)
      this.nowMs = Math.max(this.nowMs, next)
      for (const device of this.devices) device.runTimers(this.nowMs)
      if (next >= untilMs && !this.devices.some((device) => (device.nextTimerMs ?? Number.POSITIVE_INFINITY) <= untilMs))
        return this.settle()
    }
    throw new Error('timers do not come to rest')
  }
}

export const documentOf = (name: string) => parseDocument(`acme/${name}`)

export const listOf = (handle: Handle): string[] => handle.ydoc.getArray<string>('list').toArray()

export function add(handle: Handle, text: string): void {
  handle.ydoc.getArray<string>('list').push([text])
}
