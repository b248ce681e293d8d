/** A client that knows several regions: which it talks to, how it goes to the next one and back, and what it takes along (CLI3, SES5). */

import type { Redirect } from '@meridian/core/effects'
import { toMeridianError } from '@meridian/core/errors'
import { parseRegion } from '@meridian/core/ids'
import type { Handle } from '@meridian/client/handle'
import { describe, expect, it } from 'vitest'
import type { Device } from './world.js'
import { add, documentOf, listOf, World } from './world.js'

const regions = ['eu-west', 'us-east', 'ap-south']

const regionOf = (device: Device): string | undefined => {
  const { connection } = device.client.status
  return connection.kind === 'online' ? connection.region : undefined
}

/** A device that is online in the first region and has heard of the others. */
async function online(world: World, name = 'ann', options: Parameters<World['device']>[1] = {}): Promise<Device> {
  const device = world.device(name, options)
  await world.pass(3_000)
  return device
}

/** Milliseconds until it holds. */
async function passUntil(world: World, holds: () => boolean, mostMs: number): Promise<number> {
  const fromMs = world.nowMs
  while (!holds() && world.nowMs < fromMs + mostMs) await world.pass(50)
  expect(holds(), `within ${mostMs} ms`).toBe(true)
  return world.nowMs - fromMs
}

async function saved(world: World, handle: Handle): Promise<void> {
  const promise = handle.saved()
  await world.settle()
  await promise
}

const texts = (world: World, index: number, name: string): string[] =>
  world.site(index).region.doc(documentOf(name)).getArray<string>('list').toArray()

describe('the regions that a client knows', () => {
  it('[CLI3] given one address, when it is online, then it hears of the others and keeps them on the device', async () => {
    const world = new World(1, regions)
    const device = await online(world)
    expect(regionOf(device)).toBe('eu-west')
    expect(world.dialled).toEqual(['ws://eu-west.test/v1/sync'])
    device.kill()
    world.kill(0)
    device.restart()
    device.open('notes/1')
    await passUntil(world, () => regionOf(device) === 'us-east', 8_000)
  })

  it('[CLI3] given the region that served last, when the device starts again, then that is dialled first', async () => {
    const world = new World(2, regions)
    const device = await online(world)
    world.kill(0)
    await passUntil(world, () => regionOf(device) === 'us-east', 8_000)
    await world.settle()
    world.dialled.length = 0
    device.restart()
    await world.pass(100)
    expect(world.dialled).toEqual(['ws://us-east.test/v1/sync'])
  })

  it('given several addresses, when the first is dead, then the next is taken', async () => {
    const world = new World(3, regions)
    world.kill(0)
    const device = world.device('ann', { url: ['https://eu-west.test', 'https://us-east.test'] })
    await passUntil(world, () => regionOf(device) === 'us-east', 8_000)
  })

  it('given a far region that was named first, then it goes to a near one, once', async () => {
    const world = new World(4, regions)
    world.site(0).roundTripMs = 200
    const device = await online(world)
    await world.pass(60_000)
    expect(regionOf(device)).toBe('us-east')
    expect(world.dialled).toHaveLength(2)
    await world.pass(3_600_000)
    expect(world.dialled).toHaveLength(2)
  })

  it('given equals, then it stays where the app said', async () => {
    const world = new World(5, regions)
    for (const site of world.sites) site.roundTripMs = 30
    world.site(1).roundTripMs = 25
    const device = await online(world)
    await world.pass(3_600_000)
    expect(regionOf(device)).toBe('eu-west')
    expect(world.dialled).toHaveLength(1)
  })

  it('given a user who pays for what is sent, then nothing is measured', async () => {
    const world = new World(6, regions)
    const device = world.device('ann')
    await world.pass(5_000)
    const before = world.asked
    device.isMetered = true
    await world.pass(3_600_000)
    expect(world.asked).toBe(before)
  })
})

describe('a region that is lost', () => {
  it('[CLI3] given a kill, then it goes on in the next region, says where it goes, and saves there what was not', async () => {
    const world = new World(10, regions)
    const device = await online(world)
    const handle = device.open('notes/1')
    add(handle, 'saved before')
    await saved(world, handle)
    const seen: unknown[] = []
    device.client.subscribe(() => seen.push(device.client.status.connection))
    world.kill(0)
    add(handle, 'made meanwhile')
    const tookMs = await passUntil(world, () => handle.pending === 0, 3_000)
    expect(regionOf(device)).toBe('us-east')
    expect(seen).toContainEqual({ kind: 'connecting', region: 'us-east' })
    expect(texts(world, 1, 'notes/1')).toEqual(['saved before', 'made meanwhile'])
    expect(tookMs).toBeLessThan(1_500)
  })

  it('[CLI3] given a cut without a word, when edits wait, then it is noticed within seconds', async () => {
    const world = new World(11, regions)
    const device = await online(world)
    const handle = device.open('notes/1')
    await world.pass(1_000)
    world.site(0).state = 'silent'
    add(handle, 'made meanwhile')
    await passUntil(world, () => handle.pending === 0, 8_000)
    expect(regionOf(device)).toBe('us-east')
  })

  it('[CLI3] given a cut without a word, when nobody edits, then it is noticed, too', async () => {
    const world = new World(12, regions)
    const device = await online(world)
    device.open('notes/1')
    await world.pass(1_000)
    world.site(0).state = 'silent'
    await passUntil(world, () => regionOf(device) === 'us-east', 14_000)
  })

  it('given one region only, then its silence is borne as before', async () => {
    const world = new World(13)
    const device = await online(world)
    device.open('notes/1')
    await world.pass(1_000)
    world.site(0).state = 'silent'
    await world.pass(10_000)
    expect(regionOf(device)).toBe('eu-west')
  })

  it('given its own network that was gone for a moment, then it stays', async () => {
    const world = new World(14, regions)
    const device = await online(world)
    for (let round = 0; round < 5; round++) {
      device.cut()
      await world.pass(30_000)
      expect(regionOf(device)).toBe('eu-west')
    }
  })

  it('[CLI3] given a region that is there again, then it goes back later, and not at once', async () => {
    const world = new World(15, regions)
    const device = await online(world)
    await world.pass(20_000)
    world.kill(0)
    await passUntil(world, () => regionOf(device) === 'us-east', 8_000)
    world.site(0).state = 'up'
    await world.pass(9_000)
    expect(regionOf(device)).toBe('us-east')
    await passUntil(world, () => regionOf(device) === 'eu-west', 180_000)
  })

  it('[CLI3] given a region that comes and goes, then it is left alone for longer each time', async () => {
    const world = new World(16, regions)
    const device = await online(world)
    await world.pass(20_000)
    const moves: number[] = []
    for (let second = 0; second < 3_600; second++) {
      const { state } = world.site(0)
      if (state === 'up' && regionOf(device) === 'eu-west') {
        moves.push(second)
        world.kill(0)
      } else if (state === 'down' && second % 5 === 0) world.site(0).state = 'up'
      await world.pass(1_000)
    }
    expect(moves.length).toBeLessThan(20)
    expect(moves.length).toBeGreaterThan(1)
  }, 60_000)

  it('given nobody who answers, then all are tried in turn, more and more seldom', async () => {
    const world = new World(17, regions)
    const device = await online(world)
    const handle = device.open('notes/1')
    for (const index of [0, 1, 2]) world.kill(index)
    await world.pass(600_000)
    const count = world.dialled.length
    expect(count).toBeLessThan(60)
    expect(new Set(world.dialled).size).toBe(3)
    world.site(2).state = 'up'
    add(handle, 'kept')
    await passUntil(world, () => handle.pending === 0, 60_000)
    expect(regionOf(device)).toBe('ap-south')
  })
})

describe('regions that are slow, all of them', () => {
  it('given dials that take long, then the next one is waited for longer', async () => {
    const world = new World(29, regions)
    const device = await online(world)
    for (const index of [1, 2]) world.site(index).state = 'busy'
    world.kill(0)
    const times: number[] = []
    for (let count = world.dialled.length; times.length < 4; count = world.dialled.length) {
      await passUntil(world, () => world.dialled.length > count, 60_000)
      times.push(world.nowMs)
    }
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    // In the end what it waits for a greeting ends before that.
    expect(Math.min(...waits.slice(1))).toBeGreaterThan((waits[0] ?? 0) * 1.4)
    for (const index of [1, 2]) world.site(index).state = 'up'
    await passUntil(world, () => regionOf(device) !== undefined, 60_000)
  })
})

describe('what goes along', () => {
  it('[SES5] given a region lost for good with what it alone had, then those who hold it bring it back, once', async () => {
    const world = new World(20, regions)
    world.isLinked = false
    const [ann, bob] = [await online(world, 'ann'), await online(world, 'bob')]
    const [one, other] = [ann.open('notes/1'), bob.open('notes/1')]
    add(one, 'everywhere')
    await saved(world, one)
    world.exchange()
    add(one, 'there only')
    await saved(world, one)
    expect(listOf(other)).toEqual(['everywhere', 'there only'])
    world.destroy(0)
    await passUntil(world, () => regionOf(ann) === 'us-east' && regionOf(bob) === 'us-east', 8_000)
    await world.pass(5_000)
    expect(texts(world, 1, 'notes/1')).toEqual(['everywhere', 'there only'])
    expect([listOf(one), listOf(other)]).toEqual([texts(world, 1, 'notes/1'), texts(world, 1, 'notes/1')])
    expect(one.pending + other.pending).toBe(0)
  })

  it('[SES2] given an edit that its region alone has, then it is kept on the device until another one has it', async () => {
    const world = new World(21, regions)
    world.isLinked = false
    const device = await online(world)
    const handle = device.open('notes/1')
    add(handle, 'one')
    await saved(world, handle)
    const kept = (): number => [...device.disk.records.keys()].filter((key) => key.includes('out')).length
    expect(kept()).toBe(1)
    world.exchange()
    await world.settle()
    expect(kept()).toBe(0)
  })

  it('[SES2] given a device that starts again after its region is gone for good, then what it kept goes to the next one, unopened', async () => {
    const world = new World(22, regions)
    world.isLinked = false
    const device = await online(world)
    const handle = device.open('notes/1')
    add(handle, 'there only')
    await saved(world, handle)
    device.kill()
    world.destroy(0)
    device.restart()
    await world.pass(10_000)
    expect(texts(world, 1, 'notes/1')).toEqual(['there only'])
  })
})

describe('saved in more regions than one', () => {
  it('[CLI2] given n regions, then it waits until as many hold the edits', async () => {
    const world = new World(30, regions)
    world.isLinked = false
    const device = await online(world)
    const handle = device.open('notes/1')
    add(handle, 'one')
    const done: number[] = []
    for (const count of [1, 2, 3]) void handle.saved({ regions: count }).then(() => done.push(count))
    await world.settle()
    expect(done).toEqual([1])
    world.site(2).state = 'down'
    world.exchange()
    await world.settle()
    expect(done).toEqual([1, 2])
    world.site(2).state = 'up'
    world.exchange()
    await world.settle()
    expect(done).toEqual([1, 2, 3])
    await handle.saved({ regions: 3 })
  })

  it('[CLI2] given more regions than there are, then it is refused at once, with or without a connection', async () => {
    const world = new World(31, regions)
    const device = await online(world)
    const handle = device.open('notes/1')
    await expect(handle.saved({ regions: 4 })).rejects.toMatchObject({ code: 'REGIONS_TOO_FEW' })
    for (const index of [0, 1, 2]) world.kill(index)
    await world.pass(1_000)
    await expect(handle.saved({ regions: 4 })).rejects.toMatchObject({ code: 'REGIONS_TOO_FEW' })
    await expect(handle.saved({ regions: 0 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('[CLI2] given a node that is alone, or an older one, then it says so', async () => {
    for (const [protocol, code] of [
      [3, 'REGIONS_TOO_FEW'],
      [2, 'PROTOCOL_UNSUPPORTED'],
    ] as const) {
      const world = new World(32)
      world.region.protocol = protocol
      const device = await online(world)
      const handle = device.open('notes/1')
      await world.settle()
      const codes: unknown[] = []
      handle.saved({ regions: 2 }).catch((error: unknown) => codes.push(toMeridianError(error).code))
      await world.settle()
      expect(codes).toEqual([code])
    }
  })

  it('[CLI2] given a region that is lost before another one had it, then it is saved when those that are left have it', async () => {
    const world = new World(33, regions)
    world.isLinked = false
    const device = await online(world)
    const handle = device.open('notes/1')
    add(handle, 'one')
    let isDone = false
    void handle.saved({ regions: 2 }).then(() => (isDone = true))
    await world.settle()
    world.destroy(0)
    await passUntil(world, () => regionOf(device) === 'us-east', 8_000)
    await world.pass(2_000)
    expect(isDone).toBe(false)
    world.exchange()
    await world.pass(1_000)
    expect(isDone).toBe(true)
    expect(texts(world, 2, 'notes/1')).toEqual(['one'])
  })

  it('[CLI2] given a tab without the connection, then it hears of it, too', async () => {
    const world = new World(34, regions)
    world.isLinked = false
    const browser = world.browser()
    const [first, second] = [browser.open(), browser.open()]
    await world.pass(3_000)
    expect(browser.leader).toBe(first)
    const handle = second.open('notes/1')
    add(handle, 'one')
    let isDone = false
    void handle.saved({ regions: 2 }).then(() => (isDone = true))
    await world.pass(1_000)
    expect([handle.pending, isDone]).toEqual([0, false])
    world.exchange()
    await world.pass(1_000)
    expect(isDone).toBe(true)
  })
})

describe('documents that may not be where the others are', () => {
  const usEast = [{ region: parseRegion('us-east'), url: 'wss://us-east.test' }]
  const elsewhere = (world: World, redirects: readonly Redirect[] = usEast): void => {
    for (const { region } of world.sites)
      if (!redirects.some((one) => one.region === region.name)) region.elsewhere.set('us-notes', redirects)
  }
  const regionsOf = (device: Device): (string | undefined)[] => device.wires.map((wire) => wire.region?.name)

  it('[RES5] given a redirect, then a second connection leads there, for those only, and nothing of them is pushed here', async () => {
    const world = new World(40, regions)
    elsewhere(world)
    const device = await online(world)
    const handles = ['notes/1', 'us-notes/1', 'us-notes/2'].map((name) => device.open(name))
    for (const handle of handles) add(handle, 'one')
    await world.pass(1_000)
    expect(regionsOf(device)).toEqual(['eu-west', 'us-east'])
    expect(handles.map(({ pending, status }) => [pending, status.kind])).toEqual([
      [0, 'current'],
      [0, 'current'],
      [0, 'current'],
    ])
    expect(world.site(1).region.entries.filter(({ document }) => document.includes('us-notes')).length).toBe(2)
    expect(world.sites.flatMap(({ region }) => region.misplaced)).toEqual([])
    await handles[1]?.close()
    await world.pass(100)
    expect(regionsOf(device)).toEqual(['eu-west', 'us-east'])
    await handles[2]?.close()
    await world.pass(20_000)
    expect(regionsOf(device)).toEqual(['eu-west'])
  })

  it('[RES5] given a redirect of an earlier opening, then the next one goes there at once', async () => {
    const world = new World(41, regions)
    elsewhere(world)
    const device = await online(world)
    add(device.open('us-notes/1'), 'one')
    await world.pass(1_000)
    device.restart()
    const handle = device.open('us-notes/1')
    await world.pass(1_000)
    add(handle, 'two')
    await world.pass(100)
    expect(world.site(0).region.sessions.size).toBe(1)
    for (const session of world.site(0).region.sessions)
      expect(session.frames.filter(({ type }) => type === 'attach' || type === 'push')).toEqual([])
    expect(texts(world, 1, 'us-notes/1')).toEqual(['one', 'two'])
  })

  it('given a region that is lost, then its documents wait, are edited, and go on when it is there again', async () => {
    const world = new World(42, regions)
    elsewhere(world)
    const device = await online(world)
    const [here, there] = [device.open('notes/1'), device.open('us-notes/1')]
    await world.pass(1_000)
    world.kill(1)
    add(here, 'one')
    add(there, 'one')
    await world.pass(5_000)
    expect([here.pending, there.pending]).toEqual([0, 1])
    world.site(1).state = 'up'
    await passUntil(world, () => there.pending === 0, 60_000)
    expect(texts(world, 1, 'us-notes/1')).toEqual(['one'])
  })

  it('[CLI3] given two regions that may, when the one in use is lost, then the other one is taken', async () => {
    const world = new World(43, regions)
    elsewhere(world, [...usEast, { region: parseRegion('ap-south'), url: 'wss://ap-south.test' }])
    const device = await online(world)
    const handle = device.open('us-notes/1')
    add(handle, 'one')
    await world.pass(1_000)
    expect(regionsOf(device)).toEqual(['eu-west', 'us-east'])
    world.kill(1)
    add(handle, 'two')
    await passUntil(world, () => handle.pending === 0, 4_000)
    expect(regionsOf(device)).toEqual(['eu-west', 'ap-south'])
    expect(texts(world, 2, 'us-notes/1')).toEqual(['one', 'two'])
    expect(world.sites.flatMap(({ region }) => region.misplaced)).toEqual([])
  })

  it('given that the first connection moves to where they may be, then the second one ends', async () => {
    const world = new World(44, regions)
    elsewhere(world)
    const device = await online(world)
    const handles = ['notes/1', 'us-notes/1'].map((name) => device.open(name))
    await world.pass(1_000)
    expect(regionsOf(device)).toEqual(['eu-west', 'us-east'])
    world.kill(0)
    for (const handle of handles) add(handle, 'one')
    await world.pass(15_000)
    expect(regionsOf(device)).toEqual(['us-east'])
    expect(handles.map(({ pending }) => pending)).toEqual([0, 0])
    expect(texts(world, 1, 'us-notes/1')).toEqual(['one'])
  })

  it('given regions that redirect in a ring, then the document rests', async () => {
    const world = new World(45, regions)
    const [eu, us] = [world.site(0).region, world.site(1).region]
    eu.elsewhere.set('us-notes', usEast)
    us.elsewhere.set('us-notes', [{ region: eu.name, url: 'wss://eu-west.test' }])
    const device = await online(world)
    const handle = device.open('us-notes/1')
    await world.pass(10_000)
    expect(handle.status.kind).toBe('redirected')
    expect(world.dialled.length).toBeLessThan(10)
  })
})
