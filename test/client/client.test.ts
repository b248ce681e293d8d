/** The client as an app sees it, against the model of a region: every promise of ARCHITECTURE that a session can break. */

import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { MeridianError } from '@meridian/core/errors'
import { parseRegion } from '@meridian/core/ids'
import { noFaults } from './fake-region.js'
import { add, documentOf, listOf, World } from './world.js'

const note = documentOf('notes/1')
const durable = (world: World, document = note): unknown[] => world.region.doc(document).getArray('list').toArray()

/** A promise that is looked at later; that it rejects meanwhile is no surprise. */
function kept<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  const pending = Symbol('pending')
  const result = await Promise.race([
    promise.then(
      () => 'resolved',
      (thrown: unknown) => (thrown instanceof MeridianError ? thrown.code : String(thrown)),
    ),
    new Promise((resolve) => setImmediate(() => resolve(pending))),
  ])
  return result === pending ? 'pending' : String(result)
}

describe('saving', () => {
  it('[CLI2] given an edit, when it is pushed but not durable, then saved() waits, and resolves with the ack', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    add(handle, 'x')
    const saved = kept(handle.saved())
    await world.turn()
    device.wire?.step('up')
    expect(await outcomeOf(saved)).toBe('pending')
    expect(handle.status).toEqual({ kind: 'current', pending: 1, access: 'write' })
    world.region.commit()
    device.wire?.step('down')
    expect(await outcomeOf(saved)).toBe('pending')
    await world.settle()
    expect(await outcomeOf(saved)).toBe('resolved')
    expect(handle.pending).toBe(0)
    expect(durable(world)).toEqual(['x'])
  })

  it('[CLI2] given nothing to save, when saved() is asked for, then it resolves', async () => {
    const world = new World()
    const handle = world.device('a').open('notes/1')
    await expect(handle.saved()).resolves.toBeUndefined()
  })

  it('[CLI2] given a wait that is aborted, then it ends with the reason and the edit goes on', async () => {
    const world = new World()
    const handle = world.device('a').open('notes/1')
    add(handle, 'x')
    const controller = new AbortController()
    const saved = handle.saved({ signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(saved).rejects.toThrow('enough')
    await expect(handle.saved({ signal: controller.signal })).rejects.toThrow('enough')
    await world.settle()
    expect(durable(world)).toEqual(['x'])
  })

  it('[CLI2] given a handle or store that is closed, then its waits reject with CLOSED and the edit is pushed on', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    add(handle, 'x')
    const saved = kept(handle.saved())
    void handle.close()
    await expect(saved).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(handle.saved()).rejects.toMatchObject({ code: 'CLOSED' })
    await world.settle()
    expect(durable(world)).toEqual(['x'])
    expect(device.session?.frames.at(-1)).toMatchObject({ type: 'detach' })
    const other = device.open('notes/2')
    add(other, 'y')
    const lost = other.saved()
    const closing = device.client.close()
    await expect(lost).rejects.toMatchObject({ code: 'CLOSED' })
    await closing
    expect(() => device.open('notes/3')).toThrow('CLOSED')
    expect(other.status).toEqual({ kind: 'closed', pending: 0 })
  })

  it('[CLI2] given an unsaved edit of an earlier process, when saved() is asked for before the device was read, then it waits for that edit too', async () => {
    const world = new World()
    world.reachable = false
    const device = world.device('a')
    const before = device.open('notes/1')
    add(before, 'x')
    await before.stored()
    device.restart()
    const saved = kept(device.open('notes/1').saved())
    await world.settle()
    expect(await outcomeOf(saved)).toBe('pending')
    world.reachable = true
    await world.pass(2_000)
    expect(await outcomeOf(saved)).toBe('resolved')
    expect(durable(world)).toEqual(['x'])
  })

  it('[CLI2] given two placement groups, when one has saved its pushes, then edits of the other are not called saved', async () => {
    const world = new World()
    world.region.placements.set('tasks', 'elsewhere')
    const device = world.device('a')
    const here = device.open('notes/1')
    const there = device.open('tasks/1')
    await world.settle()
    add(here, 'x')
    await world.turn()
    add(there, 'y')
    await world.turn()
    const saved = kept(here.saved())
    while ((device.wire?.toRegion.length ?? 0) > 0) device.wire?.step('up')
    world.region.commit(world.region.groupOf(documentOf('tasks/1')))
    while ((device.wire?.toClient.length ?? 0) > 0) device.wire?.step('down')
    expect([await outcomeOf(saved), here.pending, there.pending]).toEqual(['pending', 1, 0])
    await world.settle()
    expect(await outcomeOf(saved)).toBe('resolved')
  })

  it('[SES2] given edits of one turn, when the turn ends, then they are one push', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    for (const text of ['a', 'b', 'c']) add(handle, text)
    await world.settle()
    expect(device.session?.frames.filter((frame) => frame.type === 'push')).toHaveLength(1)
    expect(durable(world)).toEqual(['a', 'b', 'c'])
  })
})

describe('opening', () => {
  it('[CLI1] given no network, when a document of the device is opened, then it is ready from the device', async () => {
    const world = new World()
    const device = world.device('a')
    add(device.open('notes/1'), 'x')
    await world.settle()
    world.reachable = false
    device.restart()
    const handle = device.open('notes/1')
    await expect(handle.ready).resolves.toBe('device')
    expect(listOf(handle)).toEqual(['x'])
  })

  it('[CLI1] given no network and nothing on the device, when opened, then it can be edited at once and is ready from nowhere', async () => {
    const world = new World()
    world.reachable = false
    const device = world.device('a')
    const handle = device.open('notes/1')
    add(handle, 'x')
    expect(await outcomeOf(handle.ready)).toBe('pending')
    await world.settle()
    await expect(handle.ready).resolves.toBe('nowhere')
    expect(handle.status).toEqual({ kind: 'offline', pending: 1 })
    expect(device.client.status.connection).toEqual({ kind: 'waiting', code: 'TIMEOUT' })
    world.reachable = true
    await world.pass(2_000)
    expect(durable(world)).toEqual(['x'])
  })

  it('[CLI1] given nothing on the device and a region, when opened, then it is ready with what the region has', async () => {
    const world = new World()
    add(world.device('a').open('notes/1'), 'x')
    await world.settle()
    const handle = world.device('b').open('notes/1')
    expect(await outcomeOf(handle.ready)).toBe('pending')
    await world.settle()
    await expect(handle.ready).resolves.toBe('region')
    expect(listOf(handle)).toEqual(['x'])
  })

  it('given two handles of one document, then they share one Y.Doc until the last is closed, and the next has a client id of its own', async () => {
    const world = new World()
    const device = world.device('a')
    const one = device.open('notes/1')
    const two = device.open('notes/1')
    expect(two.ydoc).toBe(one.ydoc)
    await world.settle()
    await one.close()
    add(two, 'x')
    await world.settle()
    expect(durable(world)).toEqual(['x'])
    await two.close()
    const three = device.open('notes/1')
    await world.settle()
    expect(three.ydoc).not.toBe(one.ydoc)
    expect(three.ydoc.clientID).not.toBe(one.ydoc.clientID)
    expect(listOf(three)).toEqual(['x'])
  })

  it('given a listener, then it hears of every change once and not after its end', async () => {
    const world = new World()
    const handle = world.device('a').open('notes/1')
    const seen: string[] = []
    const end = handle.subscribe(() => seen.push(`${handle.status.kind} ${handle.status.pending}`))
    await world.settle()
    add(handle, 'x')
    await world.settle()
    expect(seen).toEqual(['offline 0', 'syncing 0', 'current 0', 'current 1', 'current 0'])
    expect(handle.status).toBe(handle.status)
    end()
    add(handle, 'y')
    await world.settle()
    expect(seen).toHaveLength(5)
  })

  it('given a name that is not canonical, then open throws NAME_INVALID', () => {
    const device = new World().device('a')
    for (const name of ['', 'notes', 'Notes/1', 'notes/', 'notes/a//b', 'notes/a#b'])
      expect(() => device.open(name), name).toThrow('NAME_INVALID')
  })
})

describe('crashes and losses', () => {
  it('[SES2] given an edit on the device, when the process is killed before it was sent, then the next one pushes it though nobody opens the document', async () => {
    const world = new World()
    world.reachable = false
    const device = world.device('a')
    const handle = device.open('notes/1')
    add(handle, 'x')
    await handle.stored()
    device.restart()
    world.reachable = true
    await world.pass(2_000)
    expect(durable(world)).toEqual(['x'])
    expect(device.client.pending).toBe(0)
    expect([...device.disk.records.keys()].filter((key) => key.startsWith('["out"'))).toEqual([])
  })

  it('[SES2] given a push whose ack was lost, when the client connects again, then the resend is recognised by its name', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    add(handle, 'x')
    await world.turn()
    device.wire?.step('up')
    world.region.commit()
    device.cut()
    await world.pass(2_000)
    expect(await outcomeOf(handle.saved())).toBe('resolved')
    expect(world.region.resends).toBe(1)
    expect(world.region.entries).toHaveLength(1)
  })

  it('[SES7] given a push whose ack was lost, when the process is killed, then its new name adds nothing and no dot', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    add(handle, 'x')
    await world.turn()
    device.wire?.step('up')
    world.region.commit()
    device.restart()
    await world.settle()
    expect(world.region.nothings).toBe(1)
    expect(world.region.entries).toHaveLength(1)
    expect(device.client.pending).toBe(0)
  })

  it('[OUT3] given a copied store, when both copies push, then no edit is taken for a resend of the other', async () => {
    const world = new World()
    const device = world.device('a')
    add(device.open('notes/1'), 'x')
    await world.settle()
    await device.client.close()
    const twin = world.device('twin')
    twin.restart(device.disk)
    device.restart()
    add(device.open('notes/1'), 'from the first')
    add(twin.open('notes/1'), 'from the copy')
    await world.pass(1_000)
    expect(durable(world).map(String).sort()).toEqual(['from the copy', 'from the first', 'x'])
    expect(world.region.resends).toBe(0)
  })

  it('[OUT2] given a push that was passed over while a later one was saved, when its document is served again, then it has a new name', async () => {
    const world = new World()
    const device = world.device('a')
    const one = device.open('notes/1')
    const two = device.open('notes/2')
    await world.settle()
    add(one, 'x')
    add(two, 'y')
    await world.turn()
    device.cut()
    let denied = true
    world.region.faults = {
      ...noFaults,
      attach: (document) => (denied && document === note ? { code: 'DOCUMENT_DAMAGED', retryAfterMs: 1_000 } : undefined),
    }
    await world.pass(1_000)
    expect(durable(world, documentOf('notes/2'))).toEqual(['y'])
    expect(one.status).toEqual({ kind: 'waiting', pending: 1, code: 'DOCUMENT_DAMAGED' })
    denied = false
    await world.pass(60_000)
    expect(durable(world)).toEqual(['x'])
    expect(world.region.resends).toBe(0)
  })

  it('[SES2] given a document that waits for its region, when it is closed and opened again, then the end of the first wait takes nothing of it', async () => {
    const world = new World()
    const device = world.device('a')
    world.region.faults = { ...noFaults, attach: () => ({ code: 'LOG_UNAVAILABLE', retryAfterMs: 1_000 }) }
    const first = device.open('notes/1')
    await world.settle()
    expect(first.status.kind).toBe('waiting')
    await first.close()
    // Still being read, or its own wait has just begun, when that of the first one ends.
    const second = device.open('notes/1')
    add(second, 'x')
    await world.pass(20_000)
    world.region.faults = noFaults
    await world.pass(60_000)
    expect([second.status, durable(world)]).toEqual([{ kind: 'current', pending: 0, access: 'write' }, ['x']])
  })

  it('[SES1] given a client in sync, when it connects again, then the region sends no update', async () => {
    const world = new World()
    const device = world.device('a')
    const other = world.device('b')
    const handle = device.open('notes/1')
    const theirs = other.open('notes/1')
    add(handle, 'x')
    await world.settle()
    add(theirs, 'y')
    await world.settle()
    device.cut()
    await world.pass(2_000)
    expect(device.session?.said).toEqual(['welcome', 'group', 'attached', 'current'])
    device.restart()
    device.open('notes/1')
    await world.settle()
    expect(device.session?.said).toEqual(['welcome', 'group', 'attached', 'current'])
  })

  it('[SES5] given a region restored from an older copy, when clients come back, then what it lost comes from them and every promise holds again', async () => {
    const world = new World()
    const a = world.device('a')
    const b = world.device('b')
    const one = a.open('notes/1')
    const two = b.open('notes/1')
    for (const text of ['1', '2', '3']) {
      add(one, text)
      await world.settle()
    }
    await one.saved()
    one.ydoc.getArray('list').delete(0, 1)
    await world.settle()
    world.region.restore(1)
    expect(durable(world)).toEqual(['1'])
    await world.pass(5_000)
    expect(durable(world)).toEqual(['2', '3'])
    expect([listOf(one), listOf(two)]).toEqual([
      ['2', '3'],
      ['2', '3'],
    ])
    b.restart()
    const three = b.open('notes/1')
    await world.settle()
    expect(b.session?.said).toEqual(['welcome', 'group', 'attached', 'current'])
    // It is over: the next connection finds nothing missing.
    a.cut()
    const before = world.region.entries.length
    add(one, '4')
    await world.pass(5_000)
    expect(world.region.entries).toHaveLength(before + 1)
    expect(listOf(three)).toEqual(['2', '3', '4'])
    // Nor does the next process.
    a.restart()
    a.open('notes/1')
    await world.settle()
    expect(a.session?.said).toEqual(['welcome', 'group', 'attached', 'current'])
  })

  it('[CAUSE] given two documents of a group that are attached at once, when the effect comes before its cause, then both show in one turn', async () => {
    const world = new World()
    const writer = world.device('writer')
    const reader = world.device('reader')
    const cause = writer.open('notes/cause')
    const effect = writer.open('notes/effect')
    // The reader attaches the effect's document first.
    const effectSeen = reader.open('notes/effect')
    const causeSeen = reader.open('notes/cause')
    await world.settle()
    reader.cut()
    add(cause, 'cause')
    await world.settle()
    add(effect, 'effect')
    await world.settle()
    const seen: string[] = []
    effectSeen.ydoc.on('update', () => seen.push(`effect with ${listOf(causeSeen).length}`))
    causeSeen.ydoc.on('update', () => seen.push('cause'))
    for (let step = 0; step < 60; step++) {
      world.nowMs += 100
      reader.runTimers(world.nowMs)
      await world.turn()
      reader.wire?.step('up')
      reader.wire?.step('down')
      await world.turn()
      // Nothing of one document alone: between two turns it is both or none.
      expect(listOf(causeSeen).length).toBe(listOf(effectSeen).length)
    }
    expect(listOf(effectSeen)).toEqual(['effect'])
  })

  it('[SES2] given an ack that is not replicated, then the edit is kept, pushed again to a region that lacks it, and forgotten when told', async () => {
    const world = new World()
    world.region.faults = { ...noFaults, replicated: false }
    const device = world.device('a')
    const handle = device.open('notes/1')
    add(handle, 'x')
    await world.settle()
    expect(await outcomeOf(handle.saved())).toBe('resolved')
    expect(handle.pending).toBe(0)
    const marks = (): number => [...device.disk.records.keys()].filter((key) => key.startsWith('["out"')).length
    await world.turn()
    expect(marks()).toBe(1)
    device.restart()
    await world.settle()
    expect(world.region.entries).toHaveLength(1)
    expect(marks()).toBe(1)
    world.region.restore(0)
    await world.pass(3_000)
    expect(durable(world)).toEqual(['x'])
    const { replica } = world.region
    device.session?.say({ type: 'replicated', group: 1, version: { floors: new Map(), sequences: new Map([[replica, 1]]) } })
    device.session?.flush()
    await world.settle()
    await world.turn()
    expect(marks()).toBe(0)
  })
})

describe('found by random schedules', () => {
  it('given a document that is closed before it was loaded, when it is opened again, then it is attached', async () => {
    const world = new World()
    const device = world.device('a')
    void device.open('notes/1').close()
    await world.turn()
    const handle = device.open('notes/1')
    add(world.device('b').open('notes/1'), 'x')
    await world.settle()
    expect(listOf(handle)).toEqual(['x'])
  })

  it('[SES2] given a group that drops what comes after a refusal, when a document is opened and edited meanwhile, then its push is not lost in it', async () => {
    const world = new World()
    const device = world.device('a')
    const one = device.open('notes/1')
    await world.settle()
    let refusals = 1
    world.region.faults = { ...noFaults, push: () => (refusals-- > 0 ? { code: 'LOG_FULL', retryAfterMs: 500 } : undefined) }
    add(one, 'x')
    await world.settle()
    // The push goes right behind the attach, whose group is not known yet.
    const two = device.open('notes/2')
    add(two, 'y')
    const saved = kept(two.saved())
    await world.pass(5_000)
    expect(await outcomeOf(saved)).toBe('resolved')
    expect(durable(world, documentOf('notes/2'))).toEqual(['y'])
  })
})

describe('updates from elsewhere', () => {
  it('given an update that is applied before what it builds on, when that comes from the region, then it is pushed', async () => {
    const world = new World()
    const one = world.device('a').open('notes/1')
    const two = world.device('b').open('notes/1')
    await world.settle()
    const doc = new Y.Doc()
    const updates: Uint8Array[] = []
    doc.on('update', (update: Uint8Array) => updates.push(update))
    doc.getArray('list').push(['first'])
    doc.getArray('list').push(['second'])
    Y.applyUpdate(one.ydoc, updates[1] ?? new Uint8Array())
    await world.settle()
    expect(durable(world)).toEqual([])
    Y.applyUpdate(two.ydoc, updates[0] ?? new Uint8Array())
    await world.settle()
    expect(durable(world)).toEqual(['first', 'second'])
    expect(listOf(two)).toEqual(['first', 'second'])
  })
})

describe('found by longer random schedules', () => {
  it('[OUT4] given a push for a document that is denied, when that word is lost with the connection, then its name is not taken for a saved one', async () => {
    const world = new World()
    const device = world.device('a')
    const one = device.open('notes/1')
    const two = device.open('notes/2')
    add(one, 'x')
    add(two, 'y')
    let denials = 1
    world.region.faults = {
      ...noFaults,
      attach: (document) => (document === note && denials-- > 0 ? { code: 'LOG_UNAVAILABLE', retryAfterMs: 100 } : undefined),
    }
    await world.turn()
    device.wire?.step('up')
    await world.turn()
    while ((device.wire?.toRegion.length ?? 0) > 0) device.wire?.step('up')
    // The second document's push is durable, the first one's was dropped, and the client reads nothing of it.
    world.region.commit()
    device.cut()
    const saved = kept(one.saved())
    await world.pass(3_000)
    expect(await outcomeOf(saved)).toBe('resolved')
    expect(durable(world)).toEqual(['x'])
    expect(durable(world, documentOf('notes/2'))).toEqual(['y'])
  })
})

describe('found with a real node', () => {
  it('[CLI2] given an ack that comes before the answer to the attach, then it counts', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    add(handle, 'x')
    await world.turn()
    device.cut()
    world.region.slow = true
    const saved = kept(handle.saved())
    await world.pass(2_000)
    expect(device.session?.said).toEqual(['welcome', 'group', 'replicas', 'ack'])
    expect(await outcomeOf(saved)).toBe('pending')
    world.region.answer()
    await world.settle()
    expect(await outcomeOf(saved)).toBe('resolved')
    expect(handle.status).toEqual({ kind: 'current', pending: 0, access: 'write' })
  })
})

describe('refusals', () => {
  it('[SES2] given a full log, when pushes are refused, then they wait, come again in order, and are saved', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    let full = true
    world.region.faults = { ...noFaults, push: () => (full ? { code: 'LOG_FULL', retryAfterMs: 500 } : undefined) }
    add(handle, 'x')
    await world.settle()
    add(handle, 'y')
    await world.settle()
    expect(handle.status).toEqual({ kind: 'waiting', pending: 2, code: 'LOG_FULL' })
    expect(await outcomeOf(handle.saved())).toBe('pending')
    const other = device.open('notes/2')
    await world.settle()
    // It waits for nothing, until it has an edit, too.
    expect(other.status).toEqual({ kind: 'current', pending: 0, access: 'write' })
    add(other, 'z')
    await world.pass(5_000)
    expect(handle.status).toEqual({ kind: 'waiting', pending: 2, code: 'LOG_FULL' })
    expect(other.status).toEqual({ kind: 'waiting', pending: 1, code: 'LOG_FULL' })
    full = false
    await world.pass(30_000)
    expect(durable(world)).toEqual(['x', 'y'])
    expect(await outcomeOf(handle.saved())).toBe('resolved')
    expect([handle.status, other.status]).toEqual([
      { kind: 'current', pending: 0, access: 'write' },
      { kind: 'current', pending: 0, access: 'write' },
    ])
  })

  it('[SES2] given a commit that failed, when the refusal names no channel, then everything behind it is pushed again', async () => {
    const world = new World()
    const device = world.device('a')
    const one = device.open('notes/1')
    const two = device.open('notes/2')
    await world.settle()
    add(one, 'x')
    await world.turn()
    add(two, 'y')
    await world.turn()
    while ((device.wire?.toRegion.length ?? 0) > 0) device.wire?.step('up')
    world.region.fail({ code: 'LOG_UNAVAILABLE', retryAfterMs: 500 })
    await world.settle()
    expect(one.status).toEqual({ kind: 'waiting', pending: 1, code: 'LOG_UNAVAILABLE' })
    await world.pass(5_000)
    expect(one.status).toEqual({ kind: 'current', pending: 0, access: 'write' })
    expect(durable(world)).toEqual(['x'])
    expect(durable(world, documentOf('notes/2'))).toEqual(['y'])
  })

  it('[SES2] given one push that is refused for good, then it is set aside, told, and the others are saved', async () => {
    const world = new World()
    const device = world.device('a')
    const bad = device.open('notes/1')
    const good = device.open('notes/2')
    await world.settle()
    world.region.faults = {
      ...noFaults,
      push: (document) => (document === note ? { code: 'UPDATE_INVALID', retryAfterMs: 0 } : undefined),
    }
    add(bad, 'x')
    await world.turn()
    add(good, 'y')
    const saved = kept(bad.saved())
    await world.settle()
    expect(await outcomeOf(saved)).toBe('UPDATE_INVALID')
    expect(bad.status).toEqual({ kind: 'refused', pending: 0, code: 'UPDATE_INVALID' })
    expect(durable(world, documentOf('notes/2'))).toEqual(['y'])
    // What builds on it can never be saved: said at once, and nobody else is held up for it twice.
    add(bad, 'z')
    await world.settle()
    expect(await outcomeOf(bad.saved())).toBe('UPDATE_INVALID')
    add(good, 'more')
    await world.settle()
    expect(durable(world, documentOf('notes/2'))).toEqual(['y', 'more'])
    // Kept on the device, and tried once more by the next opening: the limit may have been raised.
    world.region.faults = noFaults
    device.restart()
    await world.settle()
    expect(durable(world)).toEqual(['x', 'z'])
  })

  it('[SES3] given an update above the limit of the welcome, then it is set aside without being sent', async () => {
    const world = new World()
    world.region.updateBytesMax = 1_000
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    add(handle, 'x'.repeat(2_000))
    await world.settle()
    expect(await outcomeOf(handle.saved())).toBe('UPDATE_TOO_LARGE')
    expect(device.session?.frames.filter((frame) => frame.type === 'push')).toEqual([])
  })

  it('[SES2] given a push that comes too early, then the whole state goes in its place and saved() is still true', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    add(handle, 'x')
    await world.settle()
    // The region lost it without a new incarnation, which no honest one does; it can only find the next edit premature.
    world.region.entries.splice(0)
    world.region.fail({ code: 'LOG_UNAVAILABLE', retryAfterMs: 0 })
    add(handle, 'y')
    await world.turn()
    add(handle, 'z')
    const saved = kept(handle.saved())
    await world.pass(10_000)
    expect(await outcomeOf(saved)).toBe('resolved')
    expect(durable(world)).toEqual(['x', 'y', 'z'])
  })

  it('[SES2] given a node that saves nothing and says only that too much waits, then another connection is tried', async () => {
    const world = new World()
    const { region } = world
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    const isStuck = (): boolean => world.dialled.length === 1
    const [admit, judge] = [region.admit.bind(region), region.judge.bind(region)]
    let swallowed = 0
    region.judge = (...push) => (isStuck() ? 'new' : judge(...push))
    region.admit = (push) => {
      if (isStuck()) swallowed++
      else admit(push)
    }
    region.faults = {
      ...region.faults,
      push: () => (isStuck() && swallowed > 0 ? { code: 'LIMIT_UNACKED', retryAfterMs: 0 } : undefined),
    }
    add(handle, 'x')
    await world.settle()
    add(handle, 'y')
    await world.pass(120_000)
    expect(world.dialled.length).toBeGreaterThan(1)
    expect([swallowed, durable(world), handle.pending]).toEqual([1, ['x', 'y'], 0])
  })

  it('[SES2] given a device that cannot be read when the client opens, then it shows and pushes what is there when it can be', async () => {
    const world = new World()
    const device = world.device('a')
    world.reachable = false
    add(device.open('notes/1'), 'x')
    add(device.open('notes/2'), 'y')
    await world.pass(1_000)
    device.restart()
    const read = device.store.read.bind(device.store)
    let isBroken = true
    device.store.read = async (prefix) => {
      if (isBroken) throw new MeridianError('STORE_FAILED')
      return read(prefix)
    }
    const handle = device.open('notes/1')
    world.reachable = true
    await world.pass(1_000)
    add(handle, 'z')
    await world.pass(1_000)
    expect(listOf(handle)).toEqual(['z'])
    isBroken = false
    await world.pass(60_000)
    expect(listOf(handle).toSorted()).toEqual(['x', 'z'])
    expect([durable(world).map(String).sort(), durable(world, documentOf('notes/2')), device.client.pending]).toEqual([
      ['x', 'z'],
      ['y'],
      0,
    ])
  })

  it('[RES7] given a document that was erased, then its copy and its unsaved edits go from the device, and waits reject with ERASED', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    add(handle, 'x')
    await world.settle()
    world.reachable = false
    device.cut()
    add(handle, 'late')
    const saved = kept(handle.saved())
    world.region.erase(note)
    world.reachable = true
    await world.pass(3_000)
    expect(await outcomeOf(saved)).toBe('ERASED')
    expect(handle.status).toEqual({ kind: 'erased', pending: 0 })
    await world.turn()
    expect([...device.disk.records.keys()].filter((key) => key.includes('notes/1'))).toEqual([])
    expect(await outcomeOf(handle.saved())).toBe('ERASED')
  })

  it('given a document that the token does not allow, then status says so, edits stay, and a new token brings them', async () => {
    const world = new World()
    const device = world.device('a')
    let allowed = false
    world.region.faults = { ...noFaults, attach: () => (allowed ? undefined : { code: 'ACCESS_DENIED', retryAfterMs: 0 }) }
    const handle = device.open('notes/1')
    add(handle, 'x')
    const saved = kept(handle.saved())
    await world.settle()
    expect(await outcomeOf(saved)).toBe('ACCESS_DENIED')
    await expect(handle.ready).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    expect(handle.status).toEqual({ kind: 'refused', pending: 1, code: 'ACCESS_DENIED' })
    allowed = true
    device.client.refreshToken('new')
    await world.pass(1_000)
    expect(durable(world)).toEqual(['x'])
    expect(device.session?.token).toEqual(['new'])
  })

  it('given read access, then edits are set aside at once, and go with a token that may write', async () => {
    const world = new World()
    world.region.readOnly.add(note)
    const device = world.device('a')
    const handle = device.open('notes/1')
    add(handle, 'x')
    await world.settle()
    expect(await outcomeOf(handle.saved())).toBe('WRITE_DENIED')
    expect(handle.status).toEqual({ kind: 'refused', pending: 0, code: 'WRITE_DENIED' })
    world.region.readOnly.clear()
    device.client.refreshToken('new')
    await world.pass(1_000)
    expect(durable(world)).toEqual(['x'])
    expect(handle.status).toEqual({ kind: 'current', pending: 0, access: 'write' })
  })

  it('given a redirect, then status names the regions, and the rest of the store goes on', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    const other = device.open('notes/2')
    await world.settle()
    const attach = device.session?.frames.find((frame) => frame.type === 'attach' && frame.document === note)
    const redirects = [{ region: parseRegion('us-east'), url: 'https://us-east.test' }]
    device.session?.say({ type: 'redirect', channel: attach?.type === 'attach' ? attach.channel : 0, redirects })
    device.session?.flush()
    add(handle, 'x')
    add(other, 'y')
    await world.settle()
    expect(handle.status).toEqual({ kind: 'redirected', pending: 1, redirects })
    expect(durable(world, documentOf('notes/2'))).toEqual(['y'])
  })
})

describe('a store that fails', () => {
  it('[CLI1] given a full disk, then status says so, edits go on to the region, and are on the device when there is room', async () => {
    const world = new World()
    const device = world.device('a')
    const handle = device.open('notes/1')
    await world.settle()
    device.store.failure = 'STORE_FULL'
    add(handle, 'x')
    await expect(handle.stored()).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(device.client.status.storage).toEqual({ kind: 'full', code: 'STORE_FULL' })
    await world.settle()
    expect(durable(world)).toEqual(['x'])
    device.store.failure = undefined
    await world.pass(2_000)
    expect(device.client.status.storage).toEqual({ kind: 'fine' })
    await handle.stored()
    world.reachable = false
    device.restart()
    const again = device.open('notes/1')
    await again.ready
    expect(listOf(again)).toEqual(['x'])
  })

  it('given many records of an open document, then they become one snapshot, and unsaved edits stay in the outbox', async () => {
    const world = new World()
    const device = world.device('a', { compactCount: 8 })
    const handle = device.open('notes/1')
    for (let n = 0; n < 40; n++) {
      if (n === 36) {
        world.reachable = false
        device.cut()
      }
      add(handle, String(n))
      await world.settle()
    }
    await handle.stored()
    const keys = [...device.disk.records.keys()]
    expect(keys.filter((key) => key.includes('"log"')).length).toBeLessThan(16)
    expect(keys.filter((key) => key.includes('"snap"'))).toHaveLength(1)
    expect(keys.filter((key) => key.startsWith('["out"'))).toHaveLength(4)
    device.restart()
    world.reachable = true
    await world.pass(2_000)
    expect(durable(world)).toEqual(Array.from({ length: 40 }, (_, n) => String(n)))
  })
})

describe('the connection of a store', () => {
  it('given a node that goes silent, then it is pinged, given up, and dialled again', async () => {
    const world = new World()
    const device = world.device('a')
    device.open('notes/1')
    await world.settle()
    const first = device.wire
    // From now on nothing reaches the client, and nothing says that it is gone.
    const mute = first?.session
    if (first !== undefined && mute !== undefined) first.session = { receive: () => undefined } as never
    await world.pass(31_000)
    expect(first?.ended).toBe(true)
    expect(device.client.status.connection.kind).toMatch(/online|waiting|connecting/)
    await world.pass(2_000)
    expect(device.client.status.connection.kind).toBe('online')
  })

  it('given a token function, then it is asked at each connect and before the end of a token, and its failure is tried again', async () => {
    const world = new World()
    const jwt = (exp: number): string => `x.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.x`
    const asked: number[] = []
    let fails = 1
    const device = world.device('a', {
      token: () => {
        asked.push(world.nowMs)
        if (fails-- > 0) throw new Error('no network')
        return jwt((world.wallMs + world.nowMs) / 1000 + 600)
      },
    })
    device.open('notes/1')
    await world.settle()
    expect(device.client.status.connection).toEqual({ kind: 'waiting', code: 'TOKEN_INVALID' })
    await world.pass(700_000)
    expect(device.client.status.connection.kind).toBe('online')
    expect(device.session?.token.length).toBeGreaterThanOrEqual(2)
    expect(device.errors.map((error) => error.code)).toEqual(['TOKEN_INVALID'])
    expect(asked.length).toBeLessThan(6)
  })

  it('given a token that the node takes no more, then nothing is dialled until there is a new one', async () => {
    const world = new World()
    const device = world.device('a', { token: 'old', tenant: 'acme' })
    const handle = device.open('notes/1')
    await world.settle()
    device.session?.goodbye('TOKEN_EXPIRED', 'never')
    add(handle, 'x')
    const saved = kept(handle.saved())
    await world.pass(100_000)
    expect(device.client.status.connection).toEqual({ kind: 'refused', code: 'TOKEN_EXPIRED' })
    expect(await outcomeOf(saved)).toBe('TOKEN_EXPIRED')
    expect(world.dialled).toHaveLength(1)
    device.client.refreshToken('new')
    await world.pass(1_000)
    expect(durable(world)).toEqual(['x'])
    expect(device.session?.token).toEqual(['new'])
  })

  it('given more documents and edits than a greeting takes, then the rest follows the welcome, in order', async () => {
    const world = new World()
    world.reachable = false
    const device = world.device('a')
    const handles = Array.from({ length: 400 }, (_, n) => device.open(`notes/${'long-name-'.repeat(12)}${n}`))
    for (const handle of handles) add(handle, handle.name.repeat(3))
    await world.turn()
    await world.pass(10)
    world.reachable = true
    await world.pass(3_000)
    expect(device.client.pending).toBe(0)
    expect(world.region.entries).toHaveLength(400)
  })

  it('given an observer that throws, then it is reported and nothing else suffers', async () => {
    const world = new World()
    const a = world.device('a')
    const handle = a.open('notes/1')
    const other = world.device('b').open('notes/1')
    await world.settle()
    handle.ydoc.getArray('list').observe(() => {
      throw new Error('of the app')
    })
    add(other, 'x')
    await world.settle()
    add(other, 'y')
    await world.settle()
    expect(listOf(handle)).toEqual(['x', 'y'])
    expect(a.errors.map((error) => String(error.cause))).toEqual(['Error: of the app', 'Error: of the app'])
  })
})
