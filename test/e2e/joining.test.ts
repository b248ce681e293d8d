/** Regions as processes that come new, come back from an older copy, and leave (LINK6). */

import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import * as Y from 'yjs'
import type { RegionStatus } from '@meridian/server/http/region-status'
import { traceTextName } from '../traces.js'
import { SeededRandom } from '../sim/random.js'
import { Cluster } from './cluster.js'
import { Device, textOf } from './devices.js'
import type { NodeProcess } from './node-process.js'
import { Resources } from './resources.js'
import { onDocument, pause, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const urlOf = (node: NodeProcess, name: string): string => `${node.url}/v1/documents/dev/${name}`

function update(text: string): Uint8Array<ArrayBuffer> {
  const ydoc = new Y.Doc()
  ydoc.getText(traceTextName).insert(0, text)
  return Uint8Array.from(Y.encodeStateAsUpdate(ydoc))
}

async function push(node: NodeProcess, name: string, text: string): Promise<number> {
  const headers = { 'content-type': 'application/octet-stream' }
  const answer = await fetch(urlOf(node, name), { method: 'POST', headers, body: update(text) })
  await answer.arrayBuffer()
  return answer.status
}

/** Pushes to each of these documents, a few at once. */
async function pushAll(node: NodeProcess, names: readonly string[], text: string): Promise<void> {
  const left = [...names]
  const work = async (): Promise<void> => {
    for (let name = left.pop(); name !== undefined; name = left.pop()) expect(await push(node, name, text)).toBeLessThan(300)
  }
  await Promise.all(Array.from({ length: 8 }, work))
}

async function read(node: NodeProcess, name: string): Promise<unknown> {
  const answer = await fetch(urlOf(node, name), { headers: { accept: 'application/json' } })
  return [answer.status, await answer.json()]
}

const statusOf = async (node: NodeProcess): Promise<RegionStatus> =>
  (await (await fetch(`${node.url}/v1/region`)).json()) as RegionStatus

/** Looks until it is so. */
async function eventually(look: () => Promise<boolean>, what: string, limitMs = 60_000): Promise<void> {
  const end = performance.now() + limitMs
  for (;;) {
    if (await look()) return
    if (performance.now() > end) throw new Error(`waited for ${what}`)
    await pause(50)
  }
}

/** Somebody writes to random documents until told to stop, as far as the region lets. */
function load(node: NodeProcess, names: readonly string[], seed: number): () => Promise<void> {
  const random = new SeededRandom(seed)
  let isOver = false
  const done = (async () => {
    for (let turn = 0; !isOver; turn++) {
      await push(node, random.pick(names), `${turn} `).catch(() => undefined)
      await pause(4)
    }
  })()
  return async () => {
    isOver = true
    await done
  }
}

/** Folds these documents in every region, whose logs then let go of their entries. */
async function forget(cluster: Cluster, regions: readonly string[], names: readonly string[]): Promise<void> {
  for (let turn = 0; turn < 6; turn++) for (const region of regions) await pushAll(cluster.node(region), names, `${turn} `)
  await cluster.settled()
  for (const region of regions)
    await eventually(
      async () => ((await cluster.node(region).metrics()).get('meridian_compactions_total{result="done"}') ?? 0) > 0,
      'a compaction',
    )
  // The log lets go of what all regions hold in passes, a few seconds apart, and nothing says when it has.
  await pause(12_000)
}

/** In full it is some thousand documents, and takes half a minute longer. */
const isFull = process.env['REGIONS_FULL'] === '1'
const flags = ['--link-dial-ms', '300', '--compaction-idle-entries', '6']

it('[LINK6] given two regions with many documents and entries that are gone, when a third is added under load and is cut and killed half-way, then it serves nothing before it has joined, and all converge', async () => {
  const names = ['ap-south', 'eu-west', 'us-east'] as const
  const cluster = await Cluster.start(resources, { names, later: ['ap-south'], delayMs: 2, flags })
  const [west, east] = [cluster.node('eu-west'), cluster.node('us-east')]
  const documents = Array.from({ length: isFull ? 3_000 : 600 }, (_, index) => `notes/${index}`)
  const some = documents.slice(0, 300)
  await pushAll(west, documents, 'once upon a time '.repeat(8))
  await forget(cluster, ['eu-west', 'us-east'], documents.slice(0, 5))
  const loads = [load(west, some, 1), load(east, some, 2)]

  cluster.write(names)
  for (const name of ['eu-west', 'us-east']) cluster.proxy('ap-south', name).setWeather({ kind: 'throttle', bytes: 1_500 })
  await cluster.start('ap-south')
  cluster.write(names)
  const south = cluster.node('ap-south')
  const joined = async (): Promise<number> => (await south.metrics()).get('meridian_link_joined_documents_total') ?? 0
  await eventually(async () => (await joined()) > 100, 'documents of a region that joins')
  const isJoining = async (): Promise<boolean> => (await statusOf(south)).joining.length > 0
  expect(await isJoining()).toBe(true)
  const answer = await fetch(urlOf(south, 'notes/7'))
  const problem = (await answer.json()) as { code?: string }
  // It may have joined meanwhile; then this says nothing.
  const answered = [answer.status, problem.code]
  expect(answered).toEqual((await isJoining()) ? [503, 'JOINING'] : answered)
  const waiting = resources.own(new Device({ url: south.url })).open('notes/7')
  for (const name of ['eu-west', 'us-east']) cluster.proxy('ap-south', name).cut()
  await south.restart()
  for (const name of ['eu-west', 'us-east']) cluster.heal('ap-south', name)
  await eventually(
    async () => (await statusOf(south)).joining.length === 0 && (await statusOf(south)).peers.length === 2,
    'the end of the join',
  )
  await within(waiting.ready, 'a client that waited for the region')
  await until(() => textOf(waiting.ydoc).toString().includes('once upon'), onDocument(waiting.ydoc), { what: 'its document' })
  for (const stop of loads) await stop()
  await cluster.settled()
  await eventually(
    async () => (await Promise.all(names.map((name) => statusOf(cluster.node(name))))).every((one) => one.isInStep),
    'regions in step',
  )
  for (const name of [...some.slice(0, 150), ...documents.slice(-100)]) {
    const [first, ...others] = await Promise.all(names.map((region) => read(cluster.node(region), name)))
    for (const other of others) expect(other, name).toEqual(first)
    expect(JSON.stringify(first)).toContain('once upon')
  }
}, 240_000)

it('[LINK6] [LOG2] given a region that is restored from an older copy while cut off, when it has written and heals, then it takes what differs, no dot is reused, and all converge', async () => {
  const names = ['eu-west', 'us-east'] as const
  const cluster = await Cluster.start(resources, { delayMs: 2, flags })
  const [west, east] = names.map((name) => cluster.node(name)) as [NodeProcess, NodeProcess]
  const documents = Array.from({ length: 400 }, (_, index) => `notes/${index}`)
  await pushAll(west, documents, 'before the copy ')
  await cluster.settled()
  await east.stop()
  const copy = join(resources.directory(), 'copy')
  cpSync(east.directory, copy, { recursive: true })
  await east.start()
  const changed = documents.slice(0, 40)
  await pushAll(west, changed, 'after the copy ')
  await pushAll(east, changed, 'lost in the copy ')
  await forget(cluster, names, documents.slice(0, 5))
  await cluster.settled()

  const proxy = cluster.proxy(...names)
  proxy.refuse()
  await east.kill()
  rmSync(east.directory, { recursive: true })
  cpSync(copy, east.directory, { recursive: true })
  await east.start()
  await pushAll(east, documents.slice(20, 60), 'written by the copy ')
  await pushAll(west, documents.slice(30, 70), 'meanwhile elsewhere ')
  cluster.heal(...names)
  await eventually(async () => (await statusOf(east)).isInStep && (await statusOf(west)).isInStep, 'regions in step')
  await cluster.settled()
  const metrics = await east.metrics()
  const taken = metrics.get('meridian_link_joined_documents_total') ?? 0
  expect(taken).toBeGreaterThan(0)
  expect(taken).toBeLessThan(150)
  for (const name of documents) {
    const [one, other] = await Promise.all([west, east].map((node) => read(node, name)))
    expect(one, name).toEqual(other)
  }
  const text = JSON.stringify(await read(west, 'notes/35'))
  for (const part of ['before the copy', 'after the copy', 'lost in the copy', 'written by the copy', 'meanwhile elsewhere'])
    expect(text).toContain(part)
  const stopped = [...metrics].filter(([key]) => key.startsWith('meridian_link_stopped'))
  expect(stopped).toEqual([])
}, 240_000)

it('given a region that leaves, when the others hold all of it, then it sends clients away and says that it may be switched off, and the others go on without it', async () => {
  const cluster = await Cluster.start(resources, { delayMs: 2, flags: ['--link-dial-ms', '300'] })
  const [west, east] = ['eu-west', 'us-east'].map((name) => cluster.node(name)) as [NodeProcess, NodeProcess]
  expect(await push(east, 'notes/last', 'the last words ')).toBe(200)
  cluster.write(cluster.names, { 'us-east': 'leaving' })
  await eventually(async () => (await statusOf(east)).maySwitchOff, 'a region that may be switched off')
  expect((await statusOf(west)).maySwitchOff).toBe(false)
  expect(await push(east, 'notes/last', 'too late ')).toBe(421)
  await east.stop()
  cluster.write(cluster.names, { 'us-east': 'removed' })
  await eventually(async () => (await statusOf(west)).peers.length === 0, 'a region without peers')
  expect(JSON.stringify(await read(west, 'notes/last'))).toContain('the last words')
  expect(await push(west, 'notes/last', 'and more ')).toBe(200)
}, 60_000)
