/**
 * Real clients, one real node, and what happens to them: the network is cut, swallows, delays and throttles at random, the node is killed
 * by `kill -9` or stopped at random instants, clients are closed and opened again on their stores, and one is a process that is killed as well.
 * All choices come from the seed; the instants at which they hit are those of the machine.
 *
 * After each kill the node is audited alone, while every client is locked out, so that none of them can bring back what it had lost:
 *
 * - LOG1, CLI2 What a region said was saved is there, and so is what another client had received.
 * - No word is doubled, none that was deleted is back, and none is there that nobody typed.
 * - CLI1 What a device stored is on it after a `kill -9`, and gets to the region.
 *
 * From time to time, and at the end, everybody is given a good network: then all that was ever typed is there and all replicas are equal.
 */

import type { Handle } from '@meridian/client'
import { connect } from '@meridian/client'
import * as Y from 'yjs'
import { SeededRandom } from '../sim/random.js'
import { concurrentUpdates, loadTrace } from '../traces.js'
import { ClientProcess } from './client-process.js'
import { CutProxy } from './cut-proxy.js'
import { digestOf, readFresh, textOf } from './devices.js'
import type { Deed } from './ledger.js'
import { Ledger } from './ledger.js'
import { NodeProcess } from './node-process.js'
import type { Resources } from './resources.js'
import { Authors } from './typing.js'
import { nextPush, onDocument, pause, turn, until, within } from './waiting.js'

export interface ChaosOptions {
  readonly seed: number
  /** Cycles at most. */
  readonly cycleCount: number
  /** Milliseconds after which no new cycle begins. */
  readonly limitMs: number
  readonly resources: Resources
  readonly say?: (line: string) => void
}

export interface ChaosReport {
  readonly cycles: number
  readonly nodeKills: number
  readonly nodeStops: number
  readonly clientKills: number
  readonly reopened: number
  readonly strikes: Readonly<Record<string, number>>
  readonly dials: number
  /** Words typed; those of which a region told their author that they were saved; words that were known to be durable because another client had them first. */
  readonly words: number
  readonly saved: number
  readonly received: number
  readonly audits: number
  readonly convergences: number
  readonly entries: number
  readonly compactions: number
  readonly seconds: number
}

const typistCount = 3
/** Cycles after which everybody goes on in new lists, so that an audit costs the same at the end of a soak. */
const epochCycles = 60
const convergeCycles = 12
const deedsMax = 40
const friends = 'chats/friends'
const childList = 'lists/child'
/** Small, so that compaction and scrubbing are under way when the node dies. */
const nodeFlags = [
  ...['--compaction-open-entries', '300', '--compaction-idle-entries', '60', '--compaction-rest-ms', '0'],
  ...['--store-scrub-interval-ms', '1000'],
]

export class Chaos {
  readonly #options: ChaosOptions
  readonly #random: SeededRandom
  readonly #ledger = new Ledger('child')
  readonly #typists: Typist[] = []
  readonly #friends: Friend[] = []
  readonly #lists: string[] = []
  readonly #authors: Authors
  readonly #endContent: string
  readonly #strikes: Record<string, number> = {}
  readonly #proxies: CutProxy[] = []
  #node: NodeProcess | undefined
  #child: ClientProcess | undefined
  #cycle = 0
  #stops = 0
  #audits = 0
  #convergences = 0
  /** By opening of the node: each counts from nothing. */
  readonly #entries = new Map<number, number>()
  readonly #compactions = new Map<number, number>()

  constructor(options: ChaosOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    const trace = loadTrace('friendsforever')
    this.#authors = new Authors(concurrentUpdates(trace))
    this.#endContent = trace.endContent
  }

  /** @throws Error that says what is wrong, with the seed and the cycle */
  async run(): Promise<ChaosReport> {
    const { seed, cycleCount, limitMs, say } = this.#options
    const startedMs = performance.now()
    try {
      await this.#open()
      while (this.#cycle < cycleCount && performance.now() - startedMs < limitMs) {
        await this.#runCycle(
          new SeededRandom(this.#random.uint32()),
          share(this.#cycle + 1, cycleCount, performance.now() - startedMs, limitMs),
        )
        this.#cycle++
        if (this.#cycle % 50 === 0) say?.(`cycle ${this.#cycle}: ${JSON.stringify(await this.#report(startedMs))}`)
      }
      await this.#finish()
      return await this.#report(startedMs)
    } catch (thrown) {
      throw new Error(`seed ${seed}, cycle ${this.#cycle}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
        cause: thrown,
      })
    }
  }

  async #open(): Promise<void> {
    const { resources } = this.#options
    const directory = resources.directory()
    const node = resources.own(await NodeProcess.start({ directory: `${directory}/node`, flags: nodeFlags }))
    this.#node = node
    this.#newLists()
    const proxy = async (): Promise<CutProxy> => {
      const one = resources.own(await CutProxy.start({ port: () => node.port }))
      this.#proxies.push(one)
      return one
    }
    for (let index = 0; index < typistCount; index++) {
      const typist = new Typist(`typist${index}`, await proxy(), `${directory}/typist-${index}.db`, this.#ledger)
      this.#typists.push(resources.own(typist))
      typist.open(this.#lists)
    }
    for (const author of [0, 1]) {
      const friend = new Friend(author, await proxy(), `${directory}/friend-${author}.db`, this.#authors)
      this.#friends.push(resources.own(friend))
      friend.open()
    }
    const childProxy = await proxy()
    this.#child = resources.own(
      new ClientProcess({
        url: childProxy.url,
        path: `${directory}/child.db`,
        document: childList,
        name: 'child',
        ledger: this.#ledger,
      }),
    )
    this.#child.start()
  }

  async #runCycle(random: SeededRandom, quota: number): Promise<void> {
    const node = running(this.#node)
    if (this.#cycle > 0 && this.#cycle % epochCycles === 0) {
      this.#newLists()
      for (const typist of this.#typists) typist.open(this.#lists.slice(-2))
    }
    this.#heal()
    const work = { over: false }
    const typing = [
      ...this.#typists.map((typist) => typist.work(random.fork(), work)),
      ...this.#friends.map((friend) => friend.work(Math.ceil(quota * this.#authors.count(friend.author)), random.fork(), work)),
    ]
    const misfortunes = random.below(4)
    for (let index = 0; index < misfortunes; index++) {
      await pause(random.below(25))
      const struck = random.pick(this.#proxies).strike(random)
      this.#strikes[struck] = (this.#strikes[struck] ?? 0) + 1
    }
    await pause(random.below(60))
    const end = random.pick(['kill', 'kill', 'kill', 'kill', 'stop', 'go on', 'go on'] as const)
    const clientDies = random.chance(0.2)
    // In either order: the client while its node lives, and while it does not.
    const clientFirst = random.chance(0.5)
    if (clientDies && clientFirst) await this.#killChild()
    if (end === 'kill') await node.kill()
    else if (end === 'stop') await this.#stopNode(node)
    work.over = true
    if (end !== 'go on') {
      for (const proxy of this.#proxies) proxy.refuse()
      if (clientDies && !clientFirst) await this.#killChild()
      await Promise.all([node.start(), ...typing])
      await this.#audit('durable', this.#lists.slice(-2), `after ${end}`)
    } else if (clientDies && !clientFirst) await this.#killChild()
    await Promise.all(typing)
    if (this.#cycle % convergeCycles === convergeCycles - 1) await this.#converge(this.#lists.slice(-2))
  }

  async #killChild(): Promise<void> {
    await this.#child?.kill()
    this.#child?.start()
  }

  async #stopNode(node: NodeProcess): Promise<void> {
    this.#stops++
    await this.#count(node)
    const exit = await node.stop()
    if (exit.code !== 0) throw new Error(`a stopped node ended with ${exit.signal ?? exit.code}`)
  }

  #newLists(): void {
    for (const kind of ['a', 'b']) this.#lists.push(`lists/${kind}-${this.#lists.length}`)
  }

  #heal(): void {
    for (const proxy of this.#proxies) proxy.setWeather({ kind: 'fine' })
    for (const one of [...this.#typists, ...this.#friends]) one.reconnect()
  }

  /** The node alone: what it holds now is all that is safe. */
  async #audit(claim: 'durable' | 'complete', lists: readonly string[], when: string): Promise<void> {
    const node = running(this.#node)
    this.#audits++
    const wrong = [...(this.#child?.wrong ?? [])]
    for (const list of [...lists, childList]) {
      const words = await readFresh(node.url, list, (ydoc) => ydoc.getArray('list').toJSON() as unknown[])
      wrong.push(...this.#ledger.audit(list, words, claim))
    }
    const clocks = await readFresh(node.url, friends, (ydoc) => [1, 2].map((client) => Y.getState(ydoc.store, client)))
    for (const friend of this.#friends) {
      const other = this.#friends[1 - friend.author]
      const least = Math.max(friend.savedClock, other?.clockOf(friend.author) ?? 0)
      if ((clocks[friend.author] ?? 0) < least)
        wrong.push(`author ${friend.author} is at ${clocks[friend.author]} and was saved or received up to ${least}`)
    }
    if (wrong.length > 0) throw new Error(`${when}: ${wrong.length} things are wrong: ${wrong.slice(0, 8).join('; ')}`)
  }

  /** With a good network everything gets everywhere. */
  async #converge(lists: readonly string[]): Promise<void> {
    const node = running(this.#node)
    this.#convergences++
    this.#heal()
    const all = [...this.#typists, ...this.#friends]
    const impatient = setInterval(() => {
      for (const one of all) one.reconnect()
    }, 50)
    try {
      await this.#child?.rest()
      await Promise.all(all.map((one) => one.allSaved()))
      await this.#audit('complete', lists, 'converged')
      for (const list of lists) {
        const digest = await readFresh(node.url, list, digestOf)
        for (const typist of this.#typists) await typist.reaches(list, digest)
      }
      const digest = await readFresh(node.url, friends, digestOf)
      for (const friend of this.#friends) await friend.reaches(digest)
      await this.#count(node)
    } finally {
      clearInterval(impatient)
    }
    this.#child?.goOn()
  }

  async #finish(): Promise<void> {
    const node = running(this.#node)
    this.#heal()
    const all = [...this.#typists, ...this.#friends]
    const impatient = setInterval(() => {
      for (const one of all) one.reconnect()
    }, 50)
    await Promise.all(this.#friends.map((friend) => friend.giveRest()))
    clearInterval(impatient)
    await this.#converge(this.#lists.slice(-2))
    await this.#child?.rest()
    for (const proxy of this.#proxies) proxy.refuse()
    for (const end of ['nothing', 'stop', 'kill'] as const) {
      if (end === 'stop') await this.#stopNode(node)
      if (end === 'kill') await node.kill()
      if (end !== 'nothing') await node.start()
      await this.#audit('complete', this.#lists, `at the end, after ${end}`)
      const text = await readFresh(node.url, friends, (ydoc) => textOf(ydoc).toString())
      if (text !== this.#endContent) throw new Error(`friendsforever ends with another text after ${end}`)
    }
  }

  /** The counters of this opening of the node; a killed one takes what it counted since the last look with it. Nothing may be damaged. */
  async #count(node: NodeProcess): Promise<void> {
    const metrics = await node.metrics()
    this.#entries.set(node.startCount, metrics.get('meridian_entries_total') ?? 0)
    this.#compactions.set(node.startCount, metrics.get('meridian_compactions_total{result="done"}') ?? 0)
    const damaged = metrics.get('meridian_damaged_records') ?? 0
    const failed = metrics.get('meridian_failed_commits_total') ?? 0
    if (damaged > 0 || failed > 0) throw new Error(`${damaged} damaged records, ${failed} failed commits`)
  }

  async #report(startedMs: number): Promise<ChaosReport> {
    const node = running(this.#node)
    return {
      cycles: this.#cycle,
      nodeKills: node.killCount,
      nodeStops: this.#stops,
      clientKills: this.#child?.killCount ?? 0,
      reopened: sum([...this.#typists, ...this.#friends].map(({ reopened }) => reopened)),
      strikes: this.#strikes,
      dials: sum(this.#proxies.map(({ connectionCount }) => connectionCount)),
      words: this.#ledger.wordCount,
      saved: this.#ledger.savedCount,
      received: this.#ledger.receivedCount,
      audits: this.#audits,
      convergences: this.#convergences,
      entries: sum(this.#entries.values()),
      compactions: sum(this.#compactions.values()),
      seconds: Math.round((performance.now() - startedMs) / 1000),
    }
  }
}

/** How much of the whole should be done by now: by cycles or by time, whichever is further. */
const share = (cycle: number, cycleCount: number, ms: number, limitMs: number): number =>
  Math.min(1, Math.max(cycle / cycleCount, ms / limitMs))

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}

function running(node: NodeProcess | undefined): NodeProcess {
  if (node === undefined) throw new Error('there is no node yet')
  return node
}

/** One device with a SQLite store behind its own piece of network. */
class Networked {
  readonly proxy: CutProxy
  readonly errors = new Set<string>()
  reopened = 0
  readonly #path: string
  #store: ReturnType<typeof connect> | undefined

  constructor(proxy: CutProxy, path: string) {
    this.proxy = proxy
    this.#path = path
  }

  store(): ReturnType<typeof connect> {
    this.#store ??= connect({
      url: this.proxy.url,
      storage: { path: this.#path },
      compactCount: 40,
      onError: (error) => this.errors.add(error.code),
    })
    return this.#store
  }

  openDocument(name: string): Handle {
    const handle = this.store().open(name)
    handle.ready.catch(() => undefined)
    return handle
  }

  reconnect(): void {
    if (this.#store?.status.connection.kind === 'waiting') this.#store.reconnect()
  }

  async closeStore(): Promise<void> {
    await this.#store?.close()
    this.#store = undefined
  }

  async dispose(): Promise<void> {
    await this.closeStore()
  }
}

interface Work {
  over: boolean
}

/** Types unique words into lists and deletes some of its own. */
class Typist extends Networked {
  readonly name: string
  readonly #ledger: Ledger
  readonly #handles = new Map<string, Handle>()
  readonly #deeds = new Map<string, Deed[]>()
  readonly #own = new Map<string, string[]>()
  #count = 0

  constructor(name: string, proxy: CutProxy, path: string, ledger: Ledger) {
    super(proxy, path)
    this.name = name
    this.#ledger = ledger
  }

  open(lists: readonly string[]): void {
    for (const list of lists) {
      const handle = this.openDocument(list)
      handle.ydoc.getArray('list').observe((event, transaction) => {
        if (transaction.local) return
        for (const { insert } of event.changes.delta) {
          if (!Array.isArray(insert)) continue
          for (const word of insert) if (typeof word === 'string' && !word.startsWith(this.name)) this.#ledger.received(word)
        }
      })
      this.#handles.set(list, handle)
    }
  }

  async work(random: SeededRandom, work: Work): Promise<void> {
    let count = 0
    while (!work.over && count < deedsMax) {
      const list = random.pick([...this.#handles.keys()].slice(-2))
      const burst = random.between(1, 5)
      for (let index = 0; index < burst; index++, count++) {
        if (random.chance(0.15)) this.#delete(list, random)
        else this.#insert(list, random)
        if (random.chance(0.7)) await nextPush()
      }
      this.#watch(list)
      if (random.chance(0.02)) await this.#reopen()
      if (random.chance(0.5)) await turn()
      else await pause(random.below(8))
    }
  }

  async allSaved(): Promise<void> {
    for (const [list, handle] of this.#handles) {
      await within(
        handle.saved(),
        () => `${this.name} to be saved in ${list}: ${JSON.stringify([handle.status, this.store().status])}`,
      )
      this.#ledger.saved(this.#deeds.get(list)?.splice(0) ?? [])
    }
  }

  async reaches(list: string, digest: string): Promise<void> {
    const ydoc = this.#handles.get(list)?.ydoc
    if (ydoc === undefined) return
    await until(() => digestOf(ydoc) === digest, onDocument(ydoc), { what: `${this.name} to have what the node has of ${list}` })
  }

  #insert(list: string, random: SeededRandom): void {
    const array = this.#handles.get(list)?.ydoc.getArray<string>('list')
    if (array === undefined) return
    const word = `${this.name}-${++this.#count}`
    this.#done({ document: list, word, kind: 'insert' })
    this.#own.set(list, [...(this.#own.get(list) ?? []).slice(-50), word])
    array.insert(random.below(array.length + 1), [word])
  }

  #delete(list: string, random: SeededRandom): void {
    const array = this.#handles.get(list)?.ydoc.getArray<string>('list')
    const own = this.#own.get(list)
    if (array === undefined || own === undefined || own.length === 0) return
    const word = random.pick(own)
    const index = array.toArray().indexOf(word)
    // A copy that is still being read from the device does not hold it yet.
    if (index < 0) return
    this.#own.set(
      list,
      own.filter((other) => other !== word),
    )
    this.#done({ document: list, word, kind: 'delete' })
    array.delete(index)
  }

  #done(deed: Deed): void {
    this.#ledger.made(deed)
    const deeds = this.#deeds.get(deed.document)
    if (deeds === undefined) this.#deeds.set(deed.document, [deed])
    else deeds.push(deed)
  }

  /** Closing the store rejects it, which is no answer. */
  #watch(list: string): void {
    const deeds = this.#deeds.get(list) ?? []
    const claimed = [...deeds]
    this.#handles
      .get(list)
      ?.saved()
      .then(
        () => {
          this.#ledger.saved(claimed)
          const left = new Set(claimed)
          this.#deeds.set(
            list,
            (this.#deeds.get(list) ?? []).filter((deed) => !left.has(deed)),
          )
        },
        () => undefined,
      )
  }

  async #reopen(): Promise<void> {
    this.reopened++
    const lists = [...this.#handles.keys()]
    this.#handles.clear()
    await this.closeStore()
    this.open(lists)
  }
}

/** One author of friendsforever. */
class Friend extends Networked {
  readonly author: number
  savedClock = 0
  readonly #authors: Authors
  #handle: Handle | undefined
  #given = 0

  constructor(author: number, proxy: CutProxy, path: string, authors: Authors) {
    super(proxy, path)
    this.author = author
    this.#authors = authors
  }

  open(): void {
    this.#handle = this.openDocument(friends)
  }

  clockOf(author: number): number {
    return this.#handle === undefined ? 0 : Y.getState(this.#handle.ydoc.store, author + 1)
  }

  async work(quota: number, random: SeededRandom, work: Work): Promise<void> {
    const handle = this.#handle
    if (handle === undefined) return
    while (!work.over && this.#given < quota) {
      const to = Math.min(quota, this.#given + random.between(1, 40))
      await this.#give(handle, to)
      if (random.chance(0.03)) {
        this.reopened++
        await this.closeStore()
        this.open()
        return
      }
      if (random.chance(0.5)) await turn()
      else await pause(random.below(6))
    }
  }

  async giveRest(): Promise<void> {
    const handle = this.#handle
    if (handle === undefined) return
    const count = this.#authors.count(this.author)
    while (this.#given < count) {
      await until(() => this.#authors.mayGive(this.author, this.#given, handle.ydoc), onDocument(handle.ydoc), {
        what: () => `author ${this.author} to see what update ${this.#given} builds on; ${JSON.stringify(handle.status)}`,
      })
      await this.#give(handle, this.#given + 64)
      await turn()
    }
  }

  async allSaved(): Promise<void> {
    const handle = this.#handle
    if (handle !== undefined)
      await within(
        handle.saved(),
        () => `author ${this.author} to be saved: ${JSON.stringify([handle.status, this.store().status])}`,
      )
  }

  async reaches(digest: string): Promise<void> {
    const ydoc = this.#handle?.ydoc
    if (ydoc !== undefined)
      await until(() => digestOf(ydoc) === digest, onDocument(ydoc), { what: `author ${this.author} to have what the node has` })
  }

  async #give(handle: Handle, to: number): Promise<void> {
    while (this.#given < to && this.#authors.mayGive(this.author, this.#given, handle.ydoc)) {
      await this.#authors.give(this.author, this.#given++, handle.ydoc)
    }
    const clock = Y.getState(handle.ydoc.store, this.author + 1)
    handle.saved().then(
      () => {
        this.savedClock = Math.max(this.savedClock, clock)
      },
      () => undefined,
    )
  }
}
