/** Regions as processes, with a network between them that is slow, is cut, and loses one of them now and then. */

import type { Handle } from '@meridian/client'
import { afterEach, expect, it } from 'vitest'
import * as Y from 'yjs'
import { type ConcurrentUpdate, concurrentUpdates, loadTrace } from '../traces.js'
import { SeededRandom } from '../sim/random.js'
import { Cluster } from './cluster.js'
import { Device, digestOf, readFresh, textOf } from './devices.js'
import type { NodeProcess } from './node-process.js'
import { Resources } from './resources.js'
import { Authors } from './typing.js'
import { nextPush, onDocument, pause, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

/**
 * In full the authors of the trace wait for each other 882 times, which takes a minute and a half where they are 80 ms apart. By default it is the
 * beginning of the trace and a shorter way.
 */
const isFull = process.env['REGIONS_FULL'] === '1'
const delayMs = isFull ? 40 : 2

/** What a document holds that was given these updates, without any region. */
function textAfter(updates: readonly ConcurrentUpdate[]): string {
  const ydoc = new Y.Doc()
  for (const { update } of updates) Y.applyUpdate(ydoc, update)
  return textOf(ydoc).toString()
}

const device = (node: NodeProcess, path?: string): Device => resources.own(new Device({ url: node.url, path }))

it('[LINK1] given two regions with a client each, when both type, then each sees the other at once, by HTTP too, and after both restarted', async () => {
  const cluster = await Cluster.start(resources)
  const [west, east] = ['eu-west', 'us-east'].map((name) => cluster.node(name)) as [NodeProcess, NodeProcess]
  const here = device(west).open('notes/shared')
  const there = device(east).open('notes/shared')
  await within(Promise.all([here.ready, there.ready]), 'both clients')
  textOf(here.ydoc).insert(0, 'from the west. ')
  await until(() => textOf(there.ydoc).toString().includes('west'), onDocument(there.ydoc), { what: 'the words of the west' })
  textOf(there.ydoc).insert(0, 'from the east, which builds on that. ')
  await until(() => textOf(here.ydoc).toString().includes('east'), onDocument(here.ydoc), { what: 'the words of the east' })
  await within(Promise.all([here.saved(), there.saved()]), 'both to be saved')
  const text = 'from the east, which builds on that. from the west. '
  for (const node of [west, east]) {
    const answer = await fetch(`${node.url}/v1/documents/dev/notes/shared`, { headers: { accept: 'application/json' } })
    expect(await answer.json()).toEqual({ text })
    expect(await readFresh(node.url, 'notes/shared', (ydoc) => textOf(ydoc).toString())).toBe(text)
  }
  await cluster.settled()
  await Promise.all([west.restart(), east.stop().then(() => east.start())])
  textOf(here.ydoc).insert(0, 'again. ')
  await until(() => textOf(there.ydoc).toString().startsWith('again'), onDocument(there.ydoc), {
    what: 'words after the restart',
  })
}, 60_000)

it('[SES6] given a document that two regions have open, when somebody shows something, leaves, and is killed with its region, then the other one sees that', async () => {
  const cluster = await Cluster.start(resources)
  const [west, east] = ['eu-west', 'us-east'].map((name) => cluster.node(name)) as [NodeProcess, NodeProcess]
  const here = device(west).open('notes/shared')
  const there = device(east).open('notes/shared')
  await within(Promise.all([here.ready, there.ready]), 'both clients')
  const seen = (handle: Handle): unknown[] => [...handle.presence.peers.values()].map(({ state }) => state)
  const sees = (handle: Handle, states: unknown[]): Promise<void> =>
    until(
      () => JSON.stringify(seen(handle)) === JSON.stringify(states),
      (check) => handle.presence.subscribe(check),
      { what: () => `${JSON.stringify(states)}: ${JSON.stringify(seen(handle))}` },
    )
  // The first words make the group known to both.
  textOf(here.ydoc).insert(0, 'words')
  await until(() => textOf(there.ydoc).toString() === 'words', onDocument(there.ydoc), { what: 'the words' })
  here.presence.set({ cursor: 3 })
  await sees(there, [{ cursor: 3 }])
  there.presence.set({ cursor: 1 })
  await sees(here, [{ cursor: 1 }])
  // Who comes later sees what is shown already, also after the link was cut.
  const late = device(east).open('notes/shared')
  await until(
    () => seen(late).length === 2,
    (check) => late.presence.subscribe(check),
    { what: 'two others' },
  )
  // A link that is back at once is not noticed, and what is shown after it was.
  cluster.proxy('eu-west', 'us-east').cut()
  here.presence.set({ cursor: 4 })
  await sees(there, [{ cursor: 4 }])
  there.presence.set(null)
  await sees(here, [])
  await west.kill()
  await sees(there, [])
}, 60_000)

it('[RES7] given a document that both regions have open, when it is erased in one, then it is gone in the other', async () => {
  const cluster = await Cluster.start(resources)
  const [west, east] = ['eu-west', 'us-east'].map((name) => cluster.node(name)) as [NodeProcess, NodeProcess]
  const here = device(west).open('notes/secret')
  await within(here.ready, 'a client')
  textOf(here.ydoc).insert(0, 'to be forgotten')
  await within(here.saved(), 'the words to be saved')
  const there = device(east).open('notes/secret')
  await until(() => textOf(there.ydoc).toString() === 'to be forgotten', onDocument(there.ydoc), {
    what: 'the words in the other region',
  })
  const url = (node: NodeProcess): string => `${node.url}/v1/documents/dev/notes/secret`
  expect((await fetch(url(east), { method: 'DELETE' })).ok).toBe(true)
  await until(
    () => here.status.kind === 'erased',
    (check) => here.subscribe(check),
    { what: () => `erased: ${JSON.stringify(here.status)}` },
  )
  for (const node of [west, east]) expect((await fetch(url(node))).status).toBe(410)
}, 60_000)

it('[LINK2] [LINK3] given friendsforever, each author in a region of its own, when the link is cut again and again and both regions are killed, then both end with its text', async () => {
  const trace = loadTrace('friendsforever')
  const replay = concurrentUpdates(trace)
  const all = isFull ? replay.all : replay.all.slice(0, 3_000)
  const authors = new Authors({ all, authors: [0, 1].map((author) => all.filter(({ agent }) => agent === author)) })
  const text = isFull ? trace.endContent : textAfter(all)
  const cluster = await Cluster.start(resources, { delayMs, flags: ['--link-dial-ms', '300'] })
  const names = ['eu-west', 'us-east'] as const
  const random = new SeededRandom(11)
  const proxy = cluster.proxy(...names)
  const handles = names.map((name, author) =>
    device(cluster.node(name), `${resources.directory()}/${author}.db`).open('chats/friends'),
  )
  await within(Promise.all(handles.map((handle) => handle.ready)), 'both authors')

  let isOver = false
  const faults: string[] = []
  const trouble = async (): Promise<void> => {
    while (!isOver && (isFull || faults.length < 8)) {
      await pause(random.between(200, 1_200))
      if (faults.length % 4 === 3) {
        const name = random.pick(names)
        faults.push(`kill ${name}`)
        await cluster.node(name).restart()
        continue
      }
      faults.push(proxy.strike(random))
      await pause(random.between(50, 600))
      cluster.heal(...names)
    }
  }
  const troubled = trouble()
  await Promise.all(handles.map((handle, author) => authors.giveAll(author, handle)))
  await within(Promise.all(handles.map((handle) => handle.saved())), 'both authors to be saved')
  isOver = true
  await troubled
  cluster.heal(...names)
  for (const { ydoc } of handles) {
    await until(() => textOf(ydoc).toString() === text, onDocument(ydoc), { what: 'an author to have the end text' })
  }
  await cluster.settled()
  const read = (ydoc: Parameters<typeof digestOf>[0]) => ({ digest: digestOf(ydoc), length: textOf(ydoc).length })
  const expected = names.map(() => read(handles[0]?.ydoc as never))
  await expect
    .poll(() => Promise.all(names.map((name) => readFresh(cluster.node(name).url, 'chats/friends', read))), {
      timeout: 30_000,
      interval: 500,
    })
    .toEqual(expected)
  expect(faults.filter((fault) => fault.startsWith('kill')).length).toBeGreaterThan(0)
  const stopped = await Promise.all(
    names.map(async (name) =>
      [...(await cluster.node(name).metrics())].filter(([key]) => key.startsWith('meridian_link_stopped')),
    ),
  )
  expect(stopped.flat()).toEqual([])
}, 240_000)

it('[LINK3] given three regions of which one pair is cut for good, when each writes and reads, then all goes through the third', async () => {
  const cluster = await Cluster.start(resources, { names: ['ap-south', 'eu-west', 'us-east'], delayMs: 10 })
  cluster.proxy('ap-south', 'us-east').refuse()
  const handles = cluster.names.map((name) => device(cluster.node(name)).open('notes/through'))
  await within(Promise.all(handles.map((handle) => handle.ready)), 'the clients')
  for (let round = 0; round < 30; round++) {
    for (const [index, handle] of handles.entries()) textOf(handle.ydoc).insert(0, `${index}.${round} `)
    await pause(10)
  }
  await within(Promise.all(handles.map((handle) => handle.saved())), 'all to be saved')
  for (const { ydoc } of handles)
    await until(() => textOf(ydoc).toString().split(' ').length === 91, onDocument(ydoc), {
      what: () => `all words; there are ${textOf(ydoc).toString().split(' ').length - 1}`,
    })
  expect(new Set(handles.map(({ ydoc }) => textOf(ydoc).toString())).size).toBe(1)
}, 60_000)

it('[LINK2] [SES1] given a writer of A and then B, and one elsewhere that answers each B with a C, when links are cut and a region is killed, then no observer anywhere sees an effect without its cause', async () => {
  const cluster = await Cluster.start(resources, {
    names: ['ap-south', 'eu-west', 'us-east'],
    delayMs: 3,
    flags: ['--link-dial-ms', '300'],
  })
  const random = new SeededRandom(5)
  const names = ['causes/a', 'causes/b', 'causes/c'] as const
  const open = (region: string): Handle[] => {
    const client = device(cluster.node(region), `${resources.directory()}/device.db`)
    return names.map((name) => client.open(name))
  }
  const observers = cluster.names.map(open)
  const [writer, reactor] = [open('eu-west'), open('us-east')]
  const all = [...observers, writer, reactor]
  await within(Promise.all(all.flat().map((handle) => handle.ready)), 'the clients')
  const count = (handle: Handle | undefined): number => handle?.ydoc.getArray('count').length ?? 0
  const broken: string[] = []
  for (const [index, handles] of all.entries()) {
    let isDue = false
    const look = (): void => {
      isDue = false
      const [a, b, c] = handles.map(count) as [number, number, number]
      if (a < b || b < c) broken.push(`observer ${index}: ${a} ${b} ${c}`)
    }
    // What one message brings is applied in one turn, a document at a time.
    for (const handle of handles)
      handle.ydoc.on('afterTransaction', () => {
        if (!isDue) queueMicrotask(look)
        isDue = true
      })
  }
  reactor[1]?.ydoc.on('afterTransaction', () => {
    for (let next = count(reactor[2]); next < count(reactor[1]); next++) reactor[2]?.ydoc.getArray('count').push([next])
  })

  const rounds = 200
  for (let round = 0; round < rounds; round++) {
    for (const handle of writer.slice(0, 2)) {
      handle.ydoc.getArray('count').push([round])
      await nextPush()
    }
    await pause(5)
    if (round % 40 === 30) random.pick([...cluster.proxies.values()]).cut()
    if (round === 60) cluster.proxy('eu-west', 'us-east').refuse()
    if (round === 100) await cluster.node('ap-south').restart()
    if (round === 150) cluster.heal('eu-west', 'us-east')
  }
  for (const handles of all) {
    const last = handles[2] as Handle
    await until(() => count(last) === rounds, onDocument(last.ydoc), { what: () => `${rounds} of C; there are ${count(last)}` })
    expect(handles.map(count)).toEqual([rounds, rounds, rounds])
  }
  expect(broken).toEqual([])
}, 90_000)
