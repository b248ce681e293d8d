/** Who is here, over the model of a region: shown, spaced out, renewed, and gone when its client is, with or without a word. */

import type { Handle } from '@meridian/client/handle'
import { awarenessOf } from '@meridian/client/awareness'
import { MeridianError } from '@meridian/core/errors'
import { expect, test } from 'vitest'
import type { Device } from './world.js'
import { World } from './world.js'

async function twoDevices(): Promise<{ world: World; ann: Device; bob: Device; annNote: Handle; bobNote: Handle }> {
  const world = new World()
  const ann = world.device('ann')
  const bob = world.device('bob')
  const annNote = ann.open('notes/1')
  const bobNote = bob.open('notes/1')
  await world.settle()
  if (bob.session !== undefined) bob.session.subject = 'bob'
  return { world, ann, bob, annNote, bobNote }
}

const shown = (handle: Handle): unknown[] =>
  [...handle.presence.peers.values()]
    .map(({ subject, state }) => ({ subject, state }))
    .sort((a, b) => (a.subject < b.subject ? -1 : 1))

test('[SES6] given a state, when it is set, then others see it with the subject that the node knows', async () => {
  const { world, annNote, bobNote } = await twoDevices()
  bobNote.presence.set({ subject: 'the king', cursor: 3 })
  await world.pass(100)
  expect(shown(annNote)).toEqual([{ subject: 'bob', state: { subject: 'the king', cursor: 3 } }])
  expect(shown(bobNote)).toEqual([])
  expect(bobNote.presence.local).toEqual({ subject: 'the king', cursor: 3 })
  bobNote.presence.setField('cursor', 4)
  await world.pass(100)
  expect(shown(annNote)).toEqual([{ subject: 'bob', state: { subject: 'the king', cursor: 4 } }])
})

test('given peers, when nothing changes, then they are the same object; when something does, listeners hear of it once', async () => {
  const { world, annNote, bobNote } = await twoDevices()
  bobNote.presence.set({ at: 1 })
  await world.pass(100)
  let told = 0
  const end = annNote.presence.subscribe(() => told++)
  const { peers } = annNote.presence
  const [peer] = peers.values()
  // Renewals show nothing new.
  await world.pass(60_000)
  expect(annNote.presence.peers).toBe(peers)
  expect(told).toBe(0)
  bobNote.presence.set({ at: 2 })
  await world.pass(100)
  expect(told).toBe(1)
  expect(annNote.presence.peers).not.toBe(peers)
  expect([...annNote.presence.peers.values()][0]).not.toBe(peer)
  end()
  bobNote.presence.set({ at: 3 })
  await world.pass(100)
  expect(told).toBe(1)
})

test('[SES3] given a burst of states, when time passes, then at most 20 a second go out, and the last one is seen', async () => {
  const { world, bob, annNote, bobNote } = await twoDevices()
  const before = bob.session?.frames.length ?? 0
  for (let count = 1; count <= 1_000; count++) {
    bobNote.presence.set({ count })
    if (count % 10 === 0) await world.pass(10)
  }
  await world.pass(100)
  const sent = bob.session?.frames.slice(before).filter((frame) => frame.type === 'presence').length ?? 0
  expect(sent).toBeGreaterThan(10)
  expect(sent).toBeLessThanOrEqual(22)
  expect(shown(annNote)).toEqual([{ subject: 'bob', state: { count: 1_000 } }])
})

test('[SES6] given a peer, when its document closes, then it is gone at once', async () => {
  const { world, annNote, bobNote } = await twoDevices()
  bobNote.presence.set({})
  await world.pass(100)
  expect(shown(annNote)).toHaveLength(1)
  await bobNote.close()
  await world.pass(100)
  expect(shown(annNote)).toEqual([])
})

test('[SES6] given a peer, when its process is killed and the node notices, then it is gone at once', async () => {
  const { world, bob, annNote, bobNote } = await twoDevices()
  bobNote.presence.set({})
  await world.pass(100)
  const { session } = bob
  bob.kill()
  session?.drop()
  await world.pass(100)
  expect(shown(annNote)).toEqual([])
})

test('[SES6] given a peer, when its connection is cut in silence, then it is gone after 30 seconds and not before 15', async () => {
  const { world, bob, annNote, bobNote } = await twoDevices()
  bobNote.presence.set({})
  await world.pass(100)
  bob.kill()
  await world.pass(15_000)
  expect(shown(annNote)).toHaveLength(1)
  await world.pass(15_001)
  expect(shown(annNote)).toEqual([])
})

test('[SES6] given a cut, when the connection is back, then both see each other again', async () => {
  const { world, ann, bob, annNote, bobNote } = await twoDevices()
  bobNote.presence.set({ who: 'bob' })
  annNote.presence.set({ who: 'ann' })
  await world.pass(100)
  world.reachable = false
  bob.cut()
  ann.cut()
  await world.pass(40_000)
  expect(shown(annNote)).toEqual([])
  world.reachable = true
  await world.pass(40_000)
  expect(shown(annNote)).toEqual([{ subject: 'ann', state: { who: 'bob' } }])
  expect(shown(bobNote)).toEqual([{ subject: 'ann', state: { who: 'ann' } }])
})

test('[SES6] given a client that came back by a new session, when the node gives up the old one, then it stays', async () => {
  const { world, bob, annNote, bobNote } = await twoDevices()
  bobNote.presence.set({ who: 'bob' })
  await world.pass(100)
  const old = bob.session
  bob.cut()
  await world.pass(10_000)
  expect(bob.session).not.toBe(old)
  expect(shown(annNote)).toHaveLength(1)
  old?.drop()
  await world.pass(100)
  expect(shown(annNote)).toHaveLength(1)
})

test('[SES3] given a state that the node would end the connection for, when it is set, then that is refused here and costs nothing', async () => {
  const { world, bob, bobNote } = await twoDevices()
  bobNote.presence.set({ small: true })
  const deep: { a?: unknown } = {}
  let inner = deep
  for (let depth = 0; depth < 40; depth++) {
    const next = {}
    inner.a = next
    inner = next
  }
  for (const state of [{ text: 'x'.repeat(5_000) }, { text: 'ä'.repeat(2_500) }, deep]) {
    expect(() => bobNote.presence.set(state)).toThrow(MeridianError)
  }
  await world.pass(100)
  expect(bobNote.presence.local).toEqual({ small: true })
  expect(bob.client.status.connection.kind).toBe('online')
})

test("given the view that editors take for y-protocols' Awareness, when peers change, then it tells as that does", async () => {
  const { world, annNote, bobNote } = await twoDevices()
  const ann = awarenessOf(annNote)
  const bob = awarenessOf(bobNote)
  expect(awarenessOf(annNote)).toBe(ann)
  expect(ann.clientID).toBe(annNote.ydoc.clientID)
  expect(ann.doc).toBe(annNote.ydoc)
  await world.pass(100)
  const heard: unknown[] = []
  const listener = (changes: unknown, origin: unknown): void => {
    heard.push([changes, origin === 'local'])
  }
  ann.on('change', listener)
  bob.setLocalStateField('cursor', 7)
  ann.setLocalStateField('cursor', 8)
  await world.pass(100)
  expect(heard).toEqual([
    [{ added: [], updated: [ann.clientID], removed: [] }, true],
    [{ added: [], updated: [bob.clientID], removed: [] }, false],
  ])
  expect(ann.getStates()).toEqual(
    new Map([
      [ann.clientID, { cursor: 8 }],
      [bob.clientID, { cursor: 7 }],
    ]),
  )
  heard.length = 0
  bob.setLocalState(null)
  await world.pass(100)
  expect(heard).toEqual([[{ added: [], updated: [], removed: [bob.clientID] }, false]])
  ann.off('change', listener)
  bob.setLocalState({})
  await world.pass(100)
  expect(heard).toHaveLength(1)
})
