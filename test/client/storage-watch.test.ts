/** What a client does when its store is lost, evicted, wiped or full, over the model of a region. */

import { MeridianError } from '@meridian/core/errors'
import { describe, expect, it } from 'vitest'
import type { Browser, Device } from './world.js'
import { add, documentOf, listOf, World } from './world.js'

const durable = (world: World, name = 'notes/1'): string[] =>
  world.region.doc(documentOf(name)).getArray<string>('list').toArray()

describe('a store that is lost under a running client', () => {
  it('[SES2] [CLI1] given edits that nobody saved, then they are told, stored again, and pushed once by the next process', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    add(handle, 'saved')
    await world.settle()
    world.reachable = false
    device.cut()
    await world.pass(100)
    add(handle, 'before')
    await handle.stored()
    device.lose()
    add(handle, 'after')
    await handle.stored()
    expect(device.client.status.storage).toEqual({ kind: 'lost' })
    expect(handle.pending).toBe(2)
    device.restart()
    const again = device.open('notes/1')
    await expect(again.ready).resolves.toBe('device')
    expect(listOf(again)).toEqual(['saved', 'before', 'after'])
    expect(device.client.status.storage).toEqual({ kind: 'fine' })
    world.reachable = true
    await world.pass(60_000)
    expect(durable(world)).toEqual(['saved', 'before', 'after'])
    expect([again.pending, world.region.resends]).toEqual([0, 0])
  })

  it('[SES1] given documents of which memory has no copy, then the region sends them whole when they are opened', async () => {
    const world = new World()
    const device = world.device('a')
    const closed = device.open('notes/1')
    const open = device.open('notes/2')
    await world.settle()
    add(closed, 'x')
    add(open, 'y')
    await world.settle()
    await closed.close()
    await world.settle()
    device.lose()
    await world.settle()
    expect([...device.disk.records.keys()].filter((key) => key.includes('notes/1'))).toEqual([])
    const again = device.open('notes/1')
    await world.settle()
    await expect(again.ready).resolves.toBe('region')
    expect([listOf(again), listOf(open)]).toEqual([['x'], ['y']])
    world.reachable = false
    device.restart()
    const offline = [device.open('notes/1'), device.open('notes/2')]
    await world.pass(100)
    expect(offline.map(listOf)).toEqual([['x'], ['y']])
  })

  it('[SES1] given a document that only another tab has open, then the leader takes it whole from the region again', async () => {
    const world = new World()
    const browser = world.browser()
    const leader = browser.open()
    await world.pass(300)
    const follower = browser.open()
    const handle = follower.open('notes/1')
    await world.pass(300)
    add(handle, 'x')
    await world.pass(300)
    expect(browser.leader).toBe(leader)
    // The follower, which has the only copy in memory, dies before it has written anything.
    follower.store.held = true
    browser.lose()
    await world.settle()
    browser.kill(follower)
    await world.pass(300)
    browser.kill(leader)
    world.reachable = false
    const offline = browser.open()
    const first = offline.open('notes/1')
    await world.pass(1_000)
    expect(listOf(first)).toEqual(['x'])
    browser.kill(offline)
    // Whether or not the copy is there, a cursor that claims more would hide it for ever.
    world.reachable = true
    const last = browser.open().open('notes/1')
    await world.pass(60_000)
    expect(listOf(last)).toEqual(['x'])
  })

  it('[OUT3] given pushes before and after, then no name is used twice, and the next opening has another device', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    add(handle, 'a')
    await world.settle()
    device.lose()
    add(handle, 'b')
    await world.turn()
    await world.settle()
    device.restart()
    add(device.open('notes/1'), 'c')
    await world.pass(60_000)
    const names = world.region.entries.map((entry) => `${entry.device} ${entry.counter}`)
    expect(names).toHaveLength(3)
    expect(new Set(names).size).toBe(3)
    expect(new Set(world.region.entries.map((entry) => entry.device)).size).toBe(2)
    expect(durable(world).toSorted()).toEqual(['a', 'b', 'c'])
  })

  it('[CLI1] given a browser that makes no new one for a while, then that is told, edits go on to the region, and are stored when it does', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    device.store.renewFailure = 'STORE_FAILED'
    add(handle, 'x')
    device.lose()
    await expect(handle.stored()).rejects.toMatchObject({ code: 'STORE_FAILED' })
    expect(device.client.status.storage).toEqual({ kind: 'failing', code: 'STORE_FAILED' })
    await world.settle()
    expect(durable(world)).toEqual(['x'])
    device.store.renewFailure = undefined
    await world.pass(60_000)
    expect(device.client.status.storage).toEqual({ kind: 'lost' })
    await handle.stored()
    world.reachable = false
    device.restart()
    const again = device.open('notes/1')
    await again.ready
    expect(listOf(again)).toEqual(['x'])
  })

  it('[CLI1] given a store that is closed before it was renewed, then it is tried once more, and what memory has is stored', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    world.reachable = false
    device.cut()
    device.store.renewFailure = 'STORE_FAILED'
    add(handle, 'x')
    device.lose()
    await world.turn()
    device.store.renewFailure = undefined
    await device.client.close()
    device.restart()
    const again = device.open('notes/1')
    await again.ready
    expect(listOf(again)).toEqual(['x'])
  })

  it.each([0, 1, 2, 3, 4, 5, 6])(
    '[SES2] given one that is lost again %d turns after it was, then it is made again',
    async (turns) => {
      const world = new World()
      const device = world.device('a')
      const handle = device.open('notes/1')
      await world.settle()
      add(handle, 'x')
      device.lose()
      for (let each = 0; each < turns; each++) await Promise.resolve()
      device.lose()
      await handle.stored()
      await world.settle()
      expect(durable(world)).toEqual(['x'])
      world.reachable = false
      device.restart()
      const again = device.open('notes/1')
      await again.ready
      expect(listOf(again)).toEqual(['x'])
    },
  )

  it('given a write that was on its way to it, then that it ended well is not believed', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    world.reachable = false
    device.cut()
    device.store.held = true
    add(handle, 'x')
    let isStored = false
    void handle.stored().then(() => {
      isStored = true
    })
    await world.turn()
    device.lose()
    await world.turn()
    expect(isStored).toBe(false)
    device.store.release()
    await world.settle()
    expect(isStored).toBe(true)
    device.restart()
    const again = device.open('notes/1')
    await again.ready
    expect(listOf(again)).toEqual(['x'])
  })
})

describe('a tab that opens while the device does not have what another one shows', () => {
  it.each([
    ['a slow device', (one: Device) => (one.store.held = true)],
    ['a full device', (one: Device) => (one.store.failure = 'STORE_FULL')],
    ['a lost store that is not made again yet', (one: Device, browser: Browser) => ((one.store.held = true), browser.lose())],
  ])('[CLI1] given %s, then it shows it, too', async (_, fail) => {
    const world = new World()
    const browser = world.browser()
    const one = browser.open()
    const first = one.open('notes/1')
    await world.pass(300)
    fail(one, browser)
    const other = world.device('other').open('notes/1')
    await world.settle()
    add(other, 'x')
    await world.turn()
    await world.settle()
    expect(listOf(first)).toEqual(['x'])
    const second = browser.open().open('notes/1')
    await world.pass(1_000)
    expect(listOf(second)).toEqual(['x'])
  })

  it('[CLI1] given a leader that says too late that it has written, then it shows it when that is said', async () => {
    const world = new World()
    const browser = world.browser()
    const one = browser.open()
    await world.pass(300)
    one.store.held = true
    const first = one.open('notes/1')
    add(first, 'x')
    await world.turn()
    const two = browser.open()
    const second = two.open('notes/1')
    await world.turn()
    // It reads the device after a while without an answer.
    world.nowMs += 300
    two.runTimers(world.nowMs)
    await world.turn()
    one.store.release()
    await world.pass(1_000)
    expect(listOf(second)).toEqual(['x'])
  })

  it('[CLI1] given a tab that made the store again before the one that leads had noticed, then it shows it when that has', async () => {
    const world = new World()
    const browser = world.browser()
    const one = browser.open()
    const first = one.open('notes/1')
    await world.pass(300)
    add(first, 'x')
    await world.pass(300)
    browser.disk.records.clear()
    const second = browser.open().open('notes/1')
    await world.pass(1_000)
    one.store.lose()
    await world.pass(1_000)
    expect(listOf(second)).toEqual(['x'])
  })
})

describe('what else happens to a store', () => {
  it('given one that was evicted before, then that is told, and stays told after a full disk', async () => {
    const world = new World()
    const device = world.device('a')
    device.store.tell({ kind: 'evicted' })
    const handle = device.open('notes/1')
    await world.settle()
    expect(device.client.status.storage).toEqual({ kind: 'evicted' })
    device.store.failure = 'STORE_FULL'
    add(handle, 'x')
    await world.settle()
    expect(device.client.status.storage).toEqual({ kind: 'full', code: 'STORE_FULL' })
    device.store.failure = undefined
    await world.pass(60_000)
    expect(device.client.status.storage).toEqual({ kind: 'evicted' })
  })

  it('given a user who signed out in another tab, then it is closed, and neither writes nor pushes', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    const before = device.disk.records.size
    add(handle, 'never pushed')
    device.store.tell({ kind: 'wiped' })
    await world.settle()
    expect(device.client.status.connection.kind).toBe('closed')
    expect(handle.status.kind).toBe('closed')
    expect(device.disk.records.size).toBe(before)
    expect(durable(world)).toEqual([])
  })

  it('given one that cannot be reached, then that is reported and told, until it can', async () => {
    const world = new World()
    const device = world.device('a')
    await world.settle()
    device.store.failure = 'STORE_FAILED'
    device.store.tell({ kind: 'failed', error: new MeridianError('STORE_FAILED') })
    await world.settle()
    expect(device.errors.map(({ code }) => code)).toEqual(['STORE_FAILED'])
    expect(device.client.status.storage).toEqual({ kind: 'failing', code: 'STORE_FAILED' })
    device.store.failure = undefined
    await world.pass(60_000)
    expect(device.client.status.storage).toEqual({ kind: 'fine' })
  })

  it('given a first edit, and not before, then the browser is asked to keep it', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    expect(device.store.keepCount).toBe(0)
    add(handle, 'x')
    await world.settle()
    expect(device.store.keepCount).toBe(1)
  })
})
