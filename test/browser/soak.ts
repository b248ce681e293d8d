/**
 * Two real browsers with two tabs each and one real node, cycle after cycle: two authors type what people typed (`friendsforever`), each in
 * a browser, while tabs are killed and reloaded, browsers are set offline and back, and the node is killed by `kill -9`. All choices come
 * from the seed; the instants at which they hit are those of the machine.
 *
 * - CLI2 What a page was told is saved is in every tab when all is quiet, whatever was killed since.
 * - SES2 All tabs and the region end equal: nothing is missing, nothing is there twice.
 * - What a killed tab had not stored is typed again by its author, as people do; the text ends as it did when it was written.
 */

import { SeededRandom } from '../sim/random.js'
import { concurrentUpdates, loadTrace } from '../traces.js'
import { readFresh, textOf } from '../e2e/devices.js'
import { NodeProcess } from '../e2e/node-process.js'
import type { Resources } from '../e2e/resources.js'
import type { Step } from '../e2e/typing.js'
import { Authors } from '../e2e/typing.js'
import { pause } from '../e2e/waiting.js'
import type { GivenUpdate, NotesPage } from './pages/notes.js'
import type { Tab } from './profile.js'
import { Profile } from './profile.js'
import { bundlePage, pageEntry, Site } from './site.js'

export interface BrowserSoakOptions {
  readonly seed: number
  readonly cycleCount: number
  /** Milliseconds after which no new cycle begins. Default: none. */
  readonly limitMs?: number
  /** Edits that each author types in a cycle. Default: so many that the trace ends with the cycles, and what is left is typed in peace. */
  readonly burstCount?: number
  readonly resources: Resources
  readonly say?: (line: string) => void
}

export interface BrowserSoakReport {
  readonly cycles: number
  readonly faults: Readonly<Record<string, number>>
  /** Edits typed, of all that the trace has. */
  readonly edits: number
  readonly editsOfTrace: number
  /** Times that a page was told that all is saved. */
  readonly saved: number
  readonly nodeStarts: number
  readonly seconds: number
}

/** Milliseconds for all tabs to be saved and equal once nothing is in their way. */
const quietMs = 180_000
/** Milliseconds that an author waits for what an edit builds on, while things fail. */
const burstMs = 3_000
const document = 'chats/friends'
const faultNames = ['kill a tab', 'reload a tab', 'offline', 'kill the node', 'nothing'] as const

/** One author in a browser of their own. */
interface Person {
  readonly profile: Profile
  readonly tabs: Tab<NotesPage>[]
  readonly steps: readonly Step[]
  /** Edits that are everywhere. */
  confirmed: number
  /** What they made of the client of this number was called saved, so far. */
  readonly client: number
  savedClock: number
}

export class BrowserSoak {
  readonly #options: BrowserSoakOptions
  readonly #random: SeededRandom
  readonly #faults: Record<string, number> = {}
  readonly #people: Person[] = []
  #node: NodeProcess | undefined
  #url = ''
  #savedCount = 0

  constructor(options: BrowserSoakOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
  }

  /** @throws Error for what is lost, doubled or not everywhere. */
  async run(): Promise<BrowserSoakReport> {
    const startedMs = performance.now()
    const { cycleCount, limitMs = Number.POSITIVE_INFINITY, resources, say } = this.#options
    const trace = loadTrace('friendsforever')
    const authors = new Authors(concurrentUpdates(trace))
    const node = resources.own(await NodeProcess.start({ directory: resources.directory() }))
    const site = resources.own(await Site.start(await bundlePage(pageEntry('notes.ts'))))
    this.#node = node
    this.#url = `${site.url}?node=${encodeURIComponent(node.url)}`
    for (const author of [0, 1]) {
      const profile = await Profile.open()
      resources.later(() => profile.close())
      const tabs = [await this.#open(profile), await this.#open(profile)]
      this.#people.push({ profile, tabs, steps: authors.steps(author), confirmed: 0, client: author + 1, savedClock: 0 })
    }
    const total = authors.count(0) + authors.count(1)
    const burst = this.#options.burstCount ?? Math.max(20, Math.ceil(total / 2 / cycleCount))
    let cycles = 0
    for (; cycles < cycleCount && performance.now() - startedMs < limitMs; cycles++) {
      const name = this.#random.pick(faultNames)
      await this.#cycle(name, burst).catch((cause: unknown) => {
        throw new Error(`cycle ${cycles + 1}, ${name}`, { cause })
      })
      if ((cycles + 1) % 10 === 0)
        say?.(`${cycles + 1} cycles, ${this.#editCount} of ${total} edits, ${node.startCount} starts of the node`)
    }
    if (this.#options.burstCount === undefined)
      while (this.#editCount < total) await Promise.all(this.#people.map((person) => this.#finish(person, 500)))
    const text = await this.#expectEqual()
    const edits = this.#editCount
    if (edits === total && text !== trace.endContent) throw new Error('the text does not end as it did when it was written')
    const fresh = await readFresh(node.url, document, (ydoc) => textOf(ydoc).toString())
    if (fresh !== text) throw new Error('the region has another text than the tabs')
    return {
      cycles,
      faults: this.#faults,
      edits,
      editsOfTrace: total,
      saved: this.#savedCount,
      nodeStarts: node.startCount,
      seconds: Math.round((performance.now() - startedMs) / 1_000),
    }
  }

  get #editCount(): number {
    return this.#people.reduce((count, { confirmed }) => count + confirmed, 0)
  }

  async #open(profile: Profile): Promise<Tab<NotesPage>> {
    const tab = await profile.open<NotesPage>(this.#url)
    await tab.call('open', document)
    return tab
  }

  async #cycle(name: (typeof faultNames)[number], burst: number): Promise<void> {
    this.#faults[name] = (this.#faults[name] ?? 0) + 1
    // Who types does not stop for what happens around them; a tab that dies takes its typing with it.
    const typing = this.#people.map((person) => this.#type(person, this.#random.below(2), burst).catch(() => undefined))
    await pause(this.#random.between(0, 400))
    await this.#strike(name, this.#random.pick(this.#people), this.#random.below(2))
    await Promise.all(typing)
    await this.#quiet()
    await this.#expectSaved()
    await Promise.all(this.#people.map((person) => this.#finish(person, burst)))
    await this.#expectEqual()
  }

  async #type(person: Person, place: number, burst: number): Promise<void> {
    const tab = person.tabs[place]
    const given = await tab?.call('give', updatesOf(person, burst), burstMs)
    if (given === undefined || given === 0 || !(await tab?.call('saved', this.#random.between(0, 600)))) return
    this.#savedCount++
    person.savedClock = person.steps[person.confirmed + given - 1]?.clock ?? 0
  }

  async #strike(name: (typeof faultNames)[number], { profile, tabs }: Person, place: number): Promise<void> {
    const tab = tabs[place]
    switch (name) {
      case 'kill a tab':
        await tab?.kill()
        tabs[place] = await this.#open(profile)
        return
      case 'reload a tab':
        await tab?.reload()
        await tab?.call('open', document)
        return
      case 'offline':
        await profile.setOffline(true)
        await pause(this.#random.between(200, 2_500))
        await profile.setOffline(false)
        return
      case 'kill the node':
        await this.#node?.kill()
        await pause(this.#random.between(0, 1_000))
        await this.#node?.start()
        return
      case 'nothing':
        return
    }
  }

  /** The author types again what went down with a tab, and goes on where it ended. */
  async #finish(person: Person, burst: number): Promise<void> {
    const given = await person.tabs[this.#random.below(2)]?.call('give', updatesOf(person, burst), burstMs)
    person.confirmed += given ?? 0
  }

  get #tabs(): Tab<NotesPage>[] {
    return this.#people.flatMap(({ tabs }) => tabs)
  }

  async #quiet(): Promise<void> {
    for (const tab of this.#tabs)
      if (!(await tab.call('saved', quietMs)))
        throw new Error(`a tab is not saved after ${quietMs / 1_000} s: ${JSON.stringify(await tab.call('status'))}`)
  }

  async #expectSaved(): Promise<void> {
    for (const { client, savedClock } of this.#people)
      await eventually(async () => {
        const clocks = await Promise.all(this.#tabs.map((tab) => tab.call('clock', client)))
        return clocks.every((clock) => clock >= savedClock) || `saved of author ${client}: ${savedClock}, there: ${clocks.join()}`
      })
  }

  /** @returns the text that all have. */
  async #expectEqual(): Promise<string> {
    await this.#quiet()
    let text = ''
    await eventually(async () => {
      const texts = await Promise.all(this.#tabs.map((tab) => tab.call('text')))
      text = texts[0] ?? ''
      return texts.every((other) => other === text) || `lengths of the texts: ${texts.map(({ length }) => length).join()}`
    })
    return text
  }
}

function updatesOf({ steps, confirmed }: Person, count: number): GivenUpdate[] {
  return steps
    .slice(confirmed, confirmed + count)
    .map(({ update, needs }) => ({ update: Buffer.from(update).toString('base64'), needs: [...needs] }))
}

/** @param check true, or what is wrong still. */
async function eventually(check: () => Promise<true | string>): Promise<void> {
  const endMs = performance.now() + quietMs
  for (;;) {
    const found = await check()
    if (found === true) return
    if (performance.now() > endMs) throw new Error(`not so after ${quietMs / 1_000} s: ${found}`)
    await pause(20)
  }
}
