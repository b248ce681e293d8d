/** Several tabs of one browser over the model of a region: one connection, in step without it, and nothing lost when any of them dies. */

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Handle } from '@meridian/client/handle'
import type { TabMessage } from '@meridian/client/tabs'
import { Tabs as TabsOfOne } from '@meridian/client/tabs'
import type { Browser, Device } from './world.js'
import { add, documentOf, listOf, World } from './world.js'

interface Tabs {
  world: World
  browser: Browser
  one: Device
  two: Device
  first: Handle
  second: Handle
}

async function twoTabs(): Promise<Tabs> {
  const world = new World()
  const browser = world.browser()
  const one = browser.open()
  const first = one.open('notes/1')
  await world.pass(300)
  const two = browser.open()
  const second = two.open('notes/1')
  await world.pass(300)
  return { world, browser, one, two, first, second }
}

const durable = (world: World, name = 'notes/1'): string[] =>
  world.region.doc(documentOf(name)).getArray<string>('list').toArray()

describe('two tabs', () => {
  it('have one connection, and both know of it', async () => {
    const { world, browser, one, two, first, second } = await twoTabs()
    expect(browser.leader).toBe(one)
    expect(world.region.sessions.size).toBe(1)
    expect(world.dialled).toHaveLength(1)
    expect(two.client.status.connection).toEqual(one.client.status.connection)
    expect(two.client.status.connection.kind).toBe('online')
    expect(second.status).toEqual(first.status)
    expect(second.status).toEqual({ kind: 'current', pending: 0, access: 'write' })
    await expect(second.ready).resolves.toBe('device')
  })

  it('[CLI2] push once what either of them makes, and both know when it is saved', async () => {
    const { world, first, second } = await twoTabs()
    add(second, 'from the follower')
    expect(second.pending).toBe(1)
    const saved = second.saved()
    let isSaved = false
    void saved.then(() => {
      isSaved = true
    })
    await world.turn()
    expect(isSaved).toBe(false)
    await world.settle()
    await saved
    expect(durable(world)).toEqual(['from the follower'])
    expect(listOf(first)).toEqual(['from the follower'])
    add(first, 'from the leader')
    await world.turn()
    await world.settle()
    await second.saved()
    expect(listOf(second)).toEqual(['from the follower', 'from the leader'])
    expect([first.pending, second.pending]).toEqual([0, 0])
    expect(world.region.entries).toHaveLength(2)
    expect([world.region.resends, world.region.nothings]).toEqual([0, 0])
  })

  it('are in step without a network, within one delivery', async () => {
    const { world, browser, one, first, second } = await twoTabs()
    world.reachable = false
    one.cut()
    await world.pass(100)
    expect(second.status.kind).toBe('offline')
    add(second, 'a')
    await world.turn()
    browser.deliver()
    expect(listOf(first)).toEqual(['a'])
    add(first, 'b')
    await world.turn()
    browser.deliver()
    browser.deliver()
    await world.settle()
    expect(listOf(second)).toEqual(['a', 'b'])
    expect([first.pending, second.pending]).toEqual([2, 2])
    world.reachable = true
    await world.pass(60_000)
    expect(durable(world)).toEqual(['a', 'b'])
    expect([first.pending, second.pending]).toEqual([0, 0])
  })

  it('show at once what the region sends', async () => {
    const { world, first, second } = await twoTabs()
    const other = world.device('other')
    const theirs = other.open('notes/1')
    await world.settle()
    add(theirs, 'hello')
    await world.turn()
    await world.settle()
    expect([listOf(first), listOf(second)]).toEqual([['hello'], ['hello']])
  })

  it('[SES2] push an edit of a follower only when the device has it', async () => {
    const { world, two, first, second } = await twoTabs()
    two.store.held = true
    add(second, 'slow')
    await world.turn()
    await world.settle()
    expect(listOf(first)).toEqual(['slow'])
    expect(durable(world)).toEqual([])
    two.store.release()
    await world.turn()
    await world.settle()
    expect(durable(world)).toEqual(['slow'])
  })

  it('[SES2] push what a follower could not store, and what one that died had shown', async () => {
    const { world, browser, two, first, second } = await twoTabs()
    two.store.failure = 'STORE_FULL'
    add(second, 'no room')
    await world.turn()
    await world.settle()
    expect(durable(world)).toEqual(['no room'])
    two.store.failure = undefined
    two.store.held = true
    add(second, 'last words')
    await world.turn()
    browser.deliver()
    browser.kill(two)
    await world.turn()
    await world.settle()
    expect(listOf(first)).toEqual(['no room', 'last words'])
    expect(durable(world)).toEqual(['no room', 'last words'])
  })

  it('[CLI2] call no edit saved while the whole state that stands for it is on its way', async () => {
    const { world, browser, one, two, first, second } = await twoTabs()
    add(first, 'x')
    await world.settle()
    // The region lost it, and finds the next edit premature.
    world.region.entries.splice(0)
    world.region.fail({ code: 'LOG_UNAVAILABLE', retryAfterMs: 0 })
    // The leader's own is the older one there, and the younger one in the other tab; neither is pushed before both are there.
    two.store.held = true
    add(second, 'theirs')
    add(first, 'ours')
    await world.turn()
    browser.deliver()
    browser.deliver()
    await world.turn()
    two.store.release()
    let isSaved = false
    const saved = second.saved().then(() => {
      isSaved = true
    })
    // The region commits nothing yet.
    for (let round = 0; round < 20; round++) {
      await world.turn()
      browser.deliver()
      one.wire?.step('up')
      one.wire?.step('down')
    }
    expect(one.session?.frames.filter((frame) => frame.type === 'push').length).toBeGreaterThan(2)
    expect([isSaved, first.pending, second.pending]).toEqual([false, 2, 2])
    await world.pass(1_000)
    await saved
    expect(durable(world).toSorted()).toEqual(['ours', 'theirs', 'x'])
    expect([first.pending, second.pending]).toEqual([0, 0])
  })

  it('[SES1] show what the leader has received and its device cannot take', async () => {
    const { world, one, two } = await twoTabs()
    const followers = two.open('notes/2')
    const theirs = world.device('other').open('notes/2')
    await world.pass(300)
    one.store.failure = 'STORE_FULL'
    add(theirs, 'received')
    await world.settle()
    expect(listOf(followers)).toEqual(['received'])
    // Nobody has it open in the leading tab, which keeps only what is to be written.
    await followers.close()
    const again = two.open('notes/2')
    const leaders = one.open('notes/2')
    await world.pass(400)
    expect([listOf(again), listOf(leaders)]).toEqual([['received'], ['received']])
    one.store.failure = undefined
    await world.pass(60_000)
    one.restart()
    const last = one.open('notes/2')
    await world.pass(400)
    expect(listOf(last)).toEqual(['received'])
  })

  it('[SES2] show what one that died had told the leader, before it and after it is on the device', async () => {
    const { world, browser, one, two, first, second } = await twoTabs()
    two.store.held = true
    add(second, 'last words')
    await world.turn()
    browser.deliver()
    const three = browser.open()
    const third = three.open('notes/1')
    // It hears of the leader, and reads the device.
    for (let round = 0; round < 8; round++) {
      await world.turn()
      browser.deliver(one)
      browser.deliver(three)
    }
    expect(listOf(third)).toEqual([])
    one.store.held = true
    browser.kill(two)
    await world.settle()
    expect([listOf(first), listOf(third)]).toEqual([['last words'], ['last words']])
    one.store.release()
    await world.settle()
    expect(durable(world)).toEqual(['last words'])
  })

  it('[SES1] show an edit that reached the device, and was saved and forgotten, while they read it', async () => {
    const { world, one, two, first, second } = await twoTabs()
    await first.close()
    two.store.held = true
    add(second, 'slow')
    await world.settle()
    // What is read by now comes later.
    let goOn: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const read = one.store.read.bind(one.store)
    one.store.read = async (prefix) => {
      const found = await read(prefix)
      await gate
      return found
    }
    const again = one.open('notes/1')
    await world.settle()
    two.store.release()
    await world.settle()
    expect([durable(world), second.pending, listOf(again)]).toEqual([['slow'], 0, []])
    goOn()
    await world.settle()
    expect(listOf(again)).toEqual(['slow'])
  })

  it('[CLI1] store with an edit what it builds on, of a tab whose store is full', async () => {
    const { world, browser, one, two, first, second } = await twoTabs()
    world.reachable = false
    one.cut()
    two.store.held = true
    add(second, 'cause')
    await world.turn()
    browser.deliver(one)
    add(first, 'effect')
    await first.stored()
    // Both die, and only one of them has written.
    browser.kill(one)
    browser.kill(two)
    const last = browser.open()
    const handle = last.open('notes/1')
    await world.pass(1_000)
    expect(listOf(handle)).toEqual(['cause', 'effect'])
    world.reachable = true
    await world.pass(60_000)
    expect(durable(world)).toEqual(['cause', 'effect'])
  })

  it('[CLI2] hear what became of an edit that the leader took over and their own store took late', async () => {
    const { world, two, second } = await twoTabs()
    two.store.failure = 'STORE_FULL'
    add(second, 'late')
    await world.settle()
    expect([durable(world), second.pending]).toEqual([['late'], 0])
    two.store.failure = undefined
    await world.pass(60_000)
    await second.close()
    const again = two.open('notes/1')
    await world.pass(300)
    expect([listOf(again), again.pending]).toEqual([['late'], 0])
  })

  it('[CLI2] hear what became of an edit that they found on the device, whether or not somebody opens its document', async () => {
    const { world, browser, one, second } = await twoTabs()
    one.store.held = true
    add(second, 'saved')
    await world.settle()
    expect([durable(world), second.pending]).toEqual([['saved'], 0])
    // That it is saved was said before it listens, and does not stand on the device yet.
    const three = browser.open()
    await world.settle()
    expect(three.client.pending).toBe(0)
    const third = three.open('notes/1')
    one.store.release()
    await world.pass(300)
    expect(third.status).toEqual({ kind: 'current', pending: 0, access: 'write' })
  })

  it('go on at once when the leader dies in mid-push, and nothing is there twice', async () => {
    const { world, browser, one, first, second } = await twoTabs()
    add(first, 'a')
    add(second, 'b')
    await world.turn()
    for (let each = 0; each < 4; each++) {
      browser.deliver()
      await world.turn()
    }
    one.wire?.step('up')
    world.region.commit()
    const { nowMs } = world
    // Its acks never arrive.
    browser.kill(one)
    await world.turn()
    await world.settle()
    expect(world.nowMs).toBe(nowMs)
    await second.saved()
    expect(listOf(second).toSorted()).toEqual(['a', 'b'])
    expect(durable(world).toSorted()).toEqual(['a', 'b'])
    expect(second.status).toEqual({ kind: 'current', pending: 0, access: 'write' })
    expect(world.region.sessions.size).toBe(1)
  })

  it('do without a leader that was frozen, when one of them is used', async () => {
    const { world, browser, one, two, second } = await twoTabs()
    const deliver = browser.deliver.bind(browser)
    // One is frozen: nothing reaches it.
    browser.deliver = (only) => {
      for (const tab of browser.tabs) if (tab !== one && (only === undefined || only === tab)) deliver(tab)
    }
    const frozen = { ...Object.getOwnPropertyDescriptor(Object.getPrototypeOf(browser), 'isBusy') }
    Object.defineProperty(browser, 'isBusy', { configurable: true, get: () => false })
    add(second, 'typed')
    two.client.probe()
    for (let each = 0; each < 50; each++) {
      browser.deliver(two)
      await world.pass(100)
    }
    expect(browser.leader).toBe(two)
    expect(durable(world)).toEqual(['typed'])
    // It wakes up.
    browser.deliver = deliver
    Object.defineProperty(browser, 'isBusy', { ...frozen, configurable: true })
    await world.pass(1_000)
    expect(one.client.status.connection.kind).toBe('online')
    expect(world.region.sessions.size).toBe(1)
  })

  it('[SES6] are both present in a document that the leader has not open, and in one that it opens and closes', async () => {
    const world = new World()
    const browser = world.browser()
    const one = browser.open()
    one.open('notes/1')
    await world.pass(300)
    const two = browser.open()
    const second = two.open('notes/2')
    const theirs = world.device('others').open('notes/2')
    await world.pass(300)
    const shown = (handle: Handle): unknown[] => [...handle.presence.peers.values()].map(({ state }) => state['tab'])
    second.presence.set({ tab: 2 })
    theirs.presence.set({ tab: 3 })
    await world.pass(300)
    expect(browser.leader).toBe(one)
    expect(shown(theirs)).toEqual([2])
    expect(shown(second)).toEqual([3])
    const first = one.open('notes/2')
    await world.pass(300)
    expect(shown(first)).toContain(2)
    expect(shown(theirs)).toEqual([2])
    await first.close()
    second.presence.set({ tab: 4 })
    await world.pass(300)
    expect(shown(theirs)).toEqual([4])
    browser.kill(two)
    await world.pass(300)
    expect(shown(theirs)).toEqual([])
  })

  it('[RES7] hear in both that a document was erased', async () => {
    const { world, first, second } = await twoTabs()
    world.region.erase(documentOf('notes/1'))
    await world.settle()
    expect([first.status.kind, second.status.kind]).toEqual(['erased', 'erased'])
  })

  it('[RES7] hear that a document was erased before they opened it', async () => {
    const { world, one, two, second } = await twoTabs()
    await second.close()
    world.region.erase(documentOf('notes/1'))
    await world.settle()
    const again = two.open('notes/1')
    await world.settle()
    expect([one.client.status.connection.kind, again.status.kind]).toEqual(['online', 'erased'])
  })

  it('[CLI2] hear in both that an edit was refused for good', async () => {
    const { world, first, second } = await twoTabs()
    world.region.faults = { ...world.region.faults, push: () => ({ code: 'UPDATE_INVALID', retryAfterMs: 0 }) }
    add(second, 'bad')
    const saved = second.saved()
    saved.catch(() => undefined)
    await world.turn()
    await world.settle()
    await expect(saved).rejects.toThrow('UPDATE_INVALID')
    expect([first.status.kind, second.status.kind]).toEqual(['refused', 'refused'])
  })

  it('[SES6] are each a peer of the other, and of others, and gone when they are', async () => {
    const { world, browser, two, first, second } = await twoTabs()
    const other = world.device('other')
    const theirs = other.open('notes/1')
    await world.settle()
    first.presence.set({ tab: 1 })
    second.presence.set({ tab: 2 })
    theirs.presence.set({ tab: 3 })
    await world.pass(200)
    const shown = (handle: Handle): unknown[] =>
      [...handle.presence.peers.values()].map(({ state }) => state['tab']).sort((a, b) => Number(a) - Number(b))
    expect([shown(first), shown(second), shown(theirs)]).toEqual([
      [2, 3],
      [1, 3],
      [1, 2],
    ])
    browser.kill(two)
    await world.pass(200)
    expect([shown(first), shown(theirs)]).toEqual([[3], [1]])
  })

  it('sign out together, and nothing stays on the device', async () => {
    const { world, browser, one, two, second } = await twoTabs()
    world.reachable = false
    one.cut()
    add(second, 'never pushed')
    await world.turn()
    await world.settle()
    expect(browser.disk.records.size).toBeGreaterThan(0)
    await two.client.signOut()
    await world.pass(1_000)
    expect([one.client.status.connection.kind, two.client.status.connection.kind]).toEqual(['closed', 'closed'])
    expect(browser.disk.records.size).toBe(0)
  })

  it('leave what somebody has signed in to since, when a tab thaws that had not heard of the sign-out', async () => {
    const { world, browser, one, two, second } = await twoTabs()
    world.reachable = false
    one.cut()
    add(second, 'of before')
    await world.settle()
    // Nothing reaches the frozen tab until the other one has signed out, and somebody has signed in there and written.
    two.store.held = true
    await one.client.signOut()
    browser.disk.records.set('["of after"]', { key: ['of after'], value: Uint8Array.of(1) })
    two.store.release()
    await world.pass(1_000)
    expect(two.client.status.connection.kind).toBe('closed')
    expect([...browser.disk.records.keys()]).toEqual(['["of after"]'])
  })
})

describe('a tab that comes to lead', () => {
  const noEffects = {
    ...{ after: () => () => undefined, connection: () => undefined, promoted: () => undefined, demoted: () => undefined },
    ...{
      led: () => undefined,
      interest: () => undefined,
      gone: () => undefined,
      flushedLate: () => undefined,
      heard: () => undefined,
    },
  }
  const noPort = { post: () => undefined, lead: () => undefined, watch: () => undefined, close: () => undefined }
  const connection = { kind: 'idle' } as const

  it('says so only when it has read the device', () => {
    const posted: TabMessage[] = []
    let receive: (message: TabMessage) => void = () => undefined
    let isReady = false
    const port = (_tab: string, heard: (message: TabMessage) => void) => {
      receive = heard
      return {
        ...noPort,
        post: (message: TabMessage) => posted.push(message),
        lead: (_how: string, granted: () => void) => granted(),
      }
    }
    const tabs = new TabsOfOne('one', port, { ...noEffects, connection: () => (isReady ? connection : undefined) })
    receive({ type: 'hello', tab: 'two' })
    isReady = true
    tabs.announce()
    receive({ type: 'hello', tab: 'two' })
    const leads = posted.filter(({ type }) => type === 'leads')
    expect(leads).toEqual([
      { type: 'leads', tab: 'one', connection: undefined, isNew: false },
      { type: 'leads', tab: 'one', connection, isNew: true },
      { type: 'leads', tab: 'one', connection, isNew: false },
    ])
  })

  it('is told what the others have then, and again when it comes to lead again', () => {
    let receive: (message: TabMessage) => void = () => undefined
    let count = 0
    const port = (_tab: string, heard: (message: TabMessage) => void) => {
      receive = heard
      return noPort
    }
    void new TabsOfOne('two', port, { ...noEffects, led: () => count++ })
    const counts: number[] = []
    for (const message of [
      { connection: undefined, isNew: false },
      { connection, isNew: true },
      { connection, isNew: false },
      { connection, isNew: true },
    ]) {
      receive({ type: 'leads', tab: 'one', ...message })
      counts.push(count)
    }
    expect(counts).toEqual([0, 1, 1, 2])
  })
})

const documents = ['notes/1', 'notes/2'] as const

type Step =
  | { readonly do: 'edit' | 'remove' | 'save'; readonly tab: number; readonly document: number }
  | {
      readonly do: 'up' | 'down' | 'deliver' | 'cut' | 'kill' | 'hold' | 'release' | 'fill' | 'free' | 'stored' | 'close'
      readonly tab: number
    }
  | { readonly do: 'open' | 'commit' | 'turn' | 'restart' | 'lose' }
  | { readonly do: 'pass'; readonly ms: number }

const tab = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('edit' as const), tab, document: fc.nat(1) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'save' as const, 'save' as const), tab, document: fc.nat(1) }),
  },
  { weight: 24, arbitrary: fc.record({ do: fc.constantFrom('up' as const, 'down' as const, 'deliver' as const), tab }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'hold' as const, 'release' as const, 'stored' as const), tab }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('fill' as const, 'free' as const), tab }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'close' as const), tab }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constantFrom('open' as const, 'commit' as const, 'turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'lose' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(10, 300, 3_000) }) },
)

interface Edit {
  readonly text: string
  readonly document: number
  readonly tab: Device
  /** Its tab lives, or the device has it, or a region saved it. */
  isKept: boolean
  isStored: boolean
  isRemoved: boolean
}

const nothingWrong = {
  early: [] as string[],
  reported: [] as unknown[],
  pending: [] as number[],
  different: [] as string[],
  doubled: [] as string[],
  lost: [] as string[],
  sessions: 1,
  /** What another browser finds when it opens, and what this one's device holds by itself. */
  lostOnDevice: [] as string[],
}

export class Run {
  readonly world: World
  readonly browser: Browser
  readonly edits: Edit[] = []
  readonly #handles = new Map<Device, Map<number, Handle>>()
  readonly #early: string[] = []
  #count = 0

  constructor(seed: number, replicated: boolean) {
    this.world = new World(seed)
    this.world.region.faults = { ...this.world.region.faults, replicated }
    this.world.region.unackedBytesMax = 200
    this.browser = this.world.browser({ compactCount: 6 })
    this.browser.open()
  }

  async do(one: Step): Promise<void> {
    const { world, browser } = this
    switch (one.do) {
      case 'open':
        if (browser.tabs.length < 3) browser.open()
        return
      case 'commit':
        return world.region.commit()
      case 'turn':
        return world.turn()
      case 'restart':
        return world.region.restart()
      case 'lose':
        // What tabs that are gone had stored is promised no more, and what is stored now only when somebody asks again.
        for (const edit of this.edits) {
          edit.isStored = false
          if (!browser.tabs.includes(edit.tab) && !durable(world, documents[edit.document]).includes(edit.text))
            edit.isKept = false
        }
        return browser.lose()
      case 'pass':
        world.nowMs += one.ms
        for (const device of [...world.devices]) device.runTimers(world.nowMs)
        return world.turn()
      default:
        break
    }
    const device = browser.tabs[one.tab % browser.tabs.length]
    if (device === undefined) return
    switch (one.do) {
      case 'edit': {
        const text = `e${this.#count++}`
        this.edits.push({ text, document: one.document, tab: device, isKept: true, isStored: false, isRemoved: false })
        return add(this.#handle(device, one.document), text)
      }
      case 'remove': {
        const list = this.#handle(device, one.document).ydoc.getArray<string>('list')
        const [first] = list.toArray()
        for (const edit of this.edits) if (edit.text === first) edit.isRemoved = true
        if (first !== undefined) list.delete(0, 1)
        return
      }
      case 'save':
        return this.#save(device, one.document)
      case 'stored':
        return this.#store(device)
      case 'up':
      case 'down':
        return device.wire?.step(one.do)
      case 'deliver':
        return browser.deliver(device)
      case 'cut':
        return device.cut()
      case 'hold':
        device.store.held = true
        return
      case 'release':
        device.store.release()
        return world.turn()
      case 'fill':
        device.store.failure = 'STORE_FULL'
        return
      case 'free':
        device.store.failure = undefined
        return
      case 'close': {
        const handles = this.#handles.get(device)
        for (const [document, handle] of handles ?? []) {
          handles?.delete(document)
          void handle.close()
          return
        }
        return
      }
      case 'kill':
        if (browser.tabs.length === 1) return
        for (const edit of this.edits) if (edit.tab === device && !edit.isStored) edit.isKept = false
        return browser.kill(device)
    }
  }

  async finish(): Promise<typeof nothingWrong> {
    const { world, browser } = this
    const devices = browser.tabs
    for (const device of devices) device.store.release()
    for (const device of devices) device.store.failure = undefined
    for (const device of devices) for (const document of [0, 1]) this.#handle(device, document)
    await world.pass(120_000)
    const different: string[] = []
    const doubled: string[] = []
    const lost: string[] = []
    const pending = devices.map((device) => device.client.pending).filter((count) => count > 0)
    const held: string[][] = []
    for (const [each, name] of documents.entries()) {
      const region = durable(world, name)
      held.push(region)
      for (const device of devices) {
        if (listOf(this.#handle(device, each)).join() !== region.join()) different.push(`${name} in ${device.name}`)
      }
      doubled.push(...region.filter((text, index) => region.indexOf(text) !== index))
      const expected = this.edits.filter((edit) => edit.document === each && edit.isKept && !edit.isRemoved)
      lost.push(...expected.map((edit) => edit.text).filter((text) => !region.includes(text)))
    }
    const sessions = world.region.sessions.size
    // All tabs close, and one opens without a network: the device alone has everything.
    for (const device of devices) browser.kill(device)
    world.reachable = false
    const last = browser.open()
    const lostOnDevice: string[] = []
    const handles = documents.map((name) => last.open(name))
    await world.pass(1_000)
    for (const [each, handle] of handles.entries()) {
      const shown = listOf(handle)
      lostOnDevice.push(...(held[each] ?? []).filter((text) => !shown.includes(text)))
    }
    return { early: this.#early, reported: world.reported, pending, different, doubled, lost, sessions, lostOnDevice }
  }

  #handle(device: Device, document: number): Handle {
    let handles = this.#handles.get(device)
    if (handles === undefined) {
      handles = new Map()
      this.#handles.set(device, handles)
    }
    let handle = handles.get(document)
    if (handle === undefined) {
      handle = device.open(documents[document] ?? documents[0])
      handles.set(document, handle)
    }
    return handle
  }

  #save(device: Device, document: number): void {
    const handle = this.#handle(device, document)
    const shown = listOf(handle)
    handle.saved().then(
      () => {
        const there = durable(this.world, documents[document] ?? '')
        for (const edit of this.edits) {
          if (
            edit.document === document &&
            edit.isKept &&
            !edit.isRemoved &&
            shown.includes(edit.text) &&
            !there.includes(edit.text)
          )
            this.#early.push(edit.text)
        }
      },
      () => undefined,
    )
  }

  async #store(device: Device): Promise<void> {
    const mine = this.edits.filter((edit) => edit.tab === device)
    const handles = [...(this.#handles.get(device)?.values() ?? [])]
    if (handles.length === 0) return
    Promise.all(handles.map((handle) => handle.stored())).then(
      () => {
        for (const edit of mine) edit.isStored = true
      },
      () => undefined,
    )
    await this.world.turn()
  }
}

describe('schedules that lost an edit once', () => {
  const on = (tab: number): { readonly tab: number; readonly document: number } => ({ tab, document: 0 })
  const open = { do: 'open' } as const
  const turn = { do: 'turn' } as const
  const lose = { do: 'lose' } as const
  const schedules: Readonly<Record<string, readonly Step[]>> = {
    'a copy was read before the store was lost, and taken in after it was written anew': [
      { do: 'deliver', tab: 0 },
      open,
      turn,
      { do: 'up', tab: 0 },
      { do: 'edit', ...on(0) },
      open,
      { do: 'edit', ...on(0) },
      { do: 'edit', ...on(2) },
      { do: 'up', tab: 0 },
      { do: 'up', tab: 0 },
      { do: 'kill', tab: 2 },
      lose,
    ],
    'a tab said that an edit was stored, the store was lost, and the tab died': [
      { do: 'deliver', tab: 0 },
      open,
      { do: 'deliver', tab: 0 },
      { do: 'edit', ...on(1) },
      turn,
      { do: 'pass', ms: 300 },
      turn,
      { do: 'up', tab: 0 },
      { do: 'edit', ...on(0) },
      open,
      { do: 'edit', ...on(0) },
      { do: 'edit', ...on(0) },
      { do: 'up', tab: 0 },
      { do: 'deliver', tab: 0 },
      { do: 'kill', tab: 0 },
      lose,
    ],
    'the last edit of a tab came, after the word of its end, to one that does not lead': [
      { do: 'hold', tab: 0 },
      open,
      open,
      { do: 'edit', ...on(0) },
      { do: 'up', tab: 0 },
      { do: 'up', tab: 0 },
      { do: 'kill', tab: 0 },
      { do: 'edit', ...on(1) },
      { do: 'deliver', tab: 0 },
      { do: 'cut', tab: 0 },
      turn,
      { do: 'deliver', tab: 0 },
      { do: 'cut', tab: 0 },
      { do: 'remove', ...on(0) },
      turn,
      { do: 'edit', ...on(0) },
    ],
    'such an edit came to the one that leads, when others had opened since': [
      open,
      { do: 'edit', ...on(0) },
      { do: 'edit', ...on(1) },
      { do: 'kill', tab: 0 },
      { do: 'up', tab: 0 },
      { do: 'up', tab: 0 },
      { do: 'deliver', tab: 0 },
      open,
      { do: 'close', tab: 0 },
      { do: 'remove', tab: 0, document: 1 },
      { do: 'remove', ...on(0) },
      { do: 'edit', ...on(0) },
      lose,
    ],
    'a store that was lost, and not made again yet, was said to have an edit': [
      { do: 'edit', ...on(0) },
      open,
      open,
      { do: 'hold', tab: 0 },
      open,
      lose,
      { do: 'up', tab: 0 },
      { do: 'cut', tab: 0 },
      { do: 'up', tab: 0 },
      { do: 'up', tab: 0 },
      { do: 'edit', ...on(1) },
      { do: 'stored', tab: 0 },
      { do: 'cut', tab: 0 },
      { do: 'kill', tab: 0 },
      { do: 'kill', tab: 0 },
      open,
    ],
  }
  it.each(Object.keys(schedules))('[SES2] %s', async (name) => {
    const run = new Run(0, false)
    for (const one of schedules[name] ?? []) await run.do(one)
    expect(await run.finish()).toEqual(nothingWrong)
  })
})

describe('tabs under any schedule', () => {
  const runs = Number(process.env['MERIDIAN_CLIENT_RUNS'] ?? 150)
  const seed = process.env['MERIDIAN_CLIENT_SEED']

  it('[SES1] [SES2] [CLI1] [CLI2] lose nothing, double nothing, and are never early', { timeout: 1_000_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 120 }),
        fc.nat(1_000_000),
        fc.boolean(),
        async (steps, worldSeed, replicated) => {
          const run = new Run(worldSeed, replicated)
          for (const one of steps) await run.do(one)
          expect(await run.finish()).toEqual(nothingWrong)
        },
      ),
      {
        numRuns: runs,
        ...(seed === undefined ? {} : { seed: Number(seed) }),
        endOnFailure: process.env['MERIDIAN_CLIENT_SHRINK'] === undefined,
      },
    )
  })
})
