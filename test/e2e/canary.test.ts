/** A pinned collection between three regions: nothing of it is in any byte that the other regions store, send or log, whatever happens. */

import { randomBytes } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import { canary, filesIn, sightings, WireRecord } from './canaries.js'
import { Cluster, policyOf } from './cluster.js'
import { Device, textOf } from './devices.js'
import type { NodeProcess } from './node-process.js'
import { Resources } from './resources.js'
import { every, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const names = ['ap-south', 'eu-west', 'us-east']
const text = async (url: string, init?: RequestInit): Promise<string> => (await fetch(url, init)).text()

it('[RES1, RES3, RES5, RES6, LINK8] given canaries in contents, keys and presence of a pinned collection, when it is edited, read, erased, cut off, killed and narrowed, then no other region stores, sends or logs one', async () => {
  const records = new Map<string, WireRecord>()
  const cluster = await Cluster.start(resources, {
    names,
    policy: policyOf({ notes: ['anywhere'], 'eu-notes': ['IE'], drafts: ['IE', 'US'] }),
    // What is looked at is what regions do; a client that goes to another one asks there under the names that it has.
    clientsStay: true,
    flags: ['--log-level', 'trace', '--log-format', 'json', '--link-dial-ms', '200'],
    tap: (one, other) => {
      const record = new WireRecord()
      records.set(`${one} ${other}`, record)
      return record.tap
    },
  })
  const node = (name: string): NodeProcess => cluster.node(name)
  const eu = node('eu-west')
  const others = [node('us-east'), node('ap-south')]
  const pinned = {
    content: canary('content'),
    key: canary('key'),
    presence: canary('presence'),
    second: canary('second'),
    seeded: canary('seeded'),
    erased: canary('erased'),
    narrowed: canary('narrowed'),
  }
  const free = { content: canary('freecontent'), key: canary('freekey') }
  const asked = { key: canary('askedkey') }

  const device = resources.own(new Device({ url: eu.url }))
  const write = async (name: string, content: string): Promise<void> => {
    const handle = device.open(name)
    textOf(handle.ydoc).insert(0, content)
    await within(handle.saved(), 'the edit')
  }
  await write(`eu-notes/${pinned.key}`, pinned.content)
  device.open(`eu-notes/${pinned.key}`).presence.set({ name: pinned.presence })
  await write(`notes/${free.key}`, free.content)
  const seed = (collection: string, key: string, content: string): Promise<number> =>
    fetch(`${eu.url}/v1/documents/dev/${collection}/${key}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', 'if-none-match': '*' },
      body: JSON.stringify({ text: content }),
    }).then(({ status }) => status)
  expect(await seed('eu-notes', pinned.seeded, pinned.seeded)).toBe(201)
  expect(await seed('eu-notes', pinned.erased, pinned.erased)).toBe(201)
  expect((await fetch(`${eu.url}/v1/documents/dev/eu-notes/${pinned.erased}`, { method: 'DELETE' })).status).toBe(200)
  await cluster.settled()

  // Others ask for it by every door, under names that only they know.
  for (const other of others) {
    const away = resources.own(new Device({ url: other.url }))
    const handle = away.open(`eu-notes/${asked.key}`)
    await until(() => handle.status.kind === 'redirected', every(10), { what: 'the redirect' })
    for (const path of [`documents/dev/eu-notes/${asked.key}`, `collections/dev/eu-notes`, `collections/dev/eu-notes/changes`])
      expect((await fetch(`${other.url}/v1/${path}`)).status).toBe(421)
  }

  // The network is cut in the midst of edits, regions die, and the pinned one writes on.
  cluster.proxy('eu-west', 'us-east').cut()
  await write(`eu-notes/${pinned.second}`, pinned.second)
  await Promise.all([eu.restart(), node('us-east').restart()])
  cluster.proxy('ap-south', 'eu-west').cut()
  await write('notes/after', randomBytes(8).toString('hex'))
  await cluster.settled()

  // What was in two regions is narrowed to one; what is written then stays in it.
  await write('drafts/one', 'before')
  await cluster.settled()
  const edit = await fetch(`${eu.url}/v1/policies/dev`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(policyOf({ notes: ['anywhere'], 'eu-notes': ['IE'], drafts: ['IE'] })),
  })
  expect(edit.status).toBe(200)
  await write('drafts/one', pinned.narrowed)
  await write(`drafts/${pinned.narrowed}`, pinned.narrowed)
  await write('notes/last', 'last')
  await cluster.settled()

  const metrics = await Promise.all([eu, ...others].map(({ url }) => text(`${url}/metrics`)))
  await device.dispose()
  await Promise.all([...cluster.nodes.values()].map((one) => one.stop()))
  const wires: Record<string, Uint8Array> = {}
  for (const [pair, record] of records) wires[`link ${pair}`] = await record.bytes()
  const said: Record<string, Uint8Array> = {}
  for (const name of names) said[`log ${name}`] = Buffer.from(node(name).output)
  for (const [index, metric] of metrics.entries()) said[`metrics ${index}`] = Buffer.from(metric)
  const stores = { ...filesIn(node('us-east').directory, 'us-east'), ...filesIn(node('ap-south').directory, 'ap-south') }

  // The search finds what is there: in the store of the region itself, and in what may cross.
  const own = sightings({ content: pinned.content, key: pinned.key }, filesIn(eu.directory, 'eu-west'))
  expect(own.map((sighting) => sighting.split(' ').slice(0, 2).join(' '))).toEqual(
    expect.arrayContaining(['content plain', 'key plain']),
  )
  for (const [name, places] of [
    ['us-east', filesIn(node('us-east').directory, 'us-east')],
    ['ap-south', filesIn(node('ap-south').directory, 'ap-south')],
    ['the link to us-east', { link: wires['link eu-west us-east'] ?? Buffer.alloc(0) }],
    ['the link to ap-south', { link: wires['link ap-south eu-west'] ?? Buffer.alloc(0) }],
  ] as const)
    expect(sightings(free, places).length, name).toBeGreaterThan(1)

  expect(sightings(pinned, { ...stores, ...wires, ...said })).toEqual([])
  // Names are data: not even in what a region says of a document that it refused, or that it holds.
  expect(sightings({ ...asked, free: free.key }, said)).toEqual([])
  expect(sightings(asked, { ...stores, ...wires })).toEqual([])
}, 120_000)
