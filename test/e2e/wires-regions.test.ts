/** Clients of other servers in a cluster of two regions: they edit together through whatever wire and region, and are told where a document is served. */

import { afterEach, expect, test } from 'vitest'
import { reads, RepoClient } from './automerge-repos.js'
import { Cluster, policyOf } from './cluster.js'
import { HocuspocusClient, hocuspocusVersions } from './hocuspocus-providers.js'
import { Editor, eventually, type ProviderVersion, providerVersions } from './providers.js'
import { Resources } from './resources.js'

const resources = new Resources()
afterEach(() => resources.dispose())

test('[RES5] given two regions, when clients of all wires edit, then all have all; when policy keeps a document in one of them, then clients of the other are told where it is, and dial no more', async () => {
  const everywhere = { notes: ['anywhere'], drafts: ['IE', 'US'], automerge: ['IE', 'US'], 'eu-notes': ['IE'] }
  const cluster = await Cluster.start(resources, { policy: policyOf(everywhere), flags: ['--link-dial-ms', '200'] })
  const [eu, us] = ['eu-west', 'us-east'].map((name) => cluster.door(name).port) as [number, number]
  const websocket = (port: number, room: string, version: ProviderVersion = '3.1'): Editor =>
    resources.own(new Editor({ version, port, room: `dev/${room}` }))
  const hocuspocus = [0, 1].map((index) => resources.own(new HocuspocusClient(hocuspocusVersions[index] ?? '4.8', us)))
  const repo = (port: number): RepoClient => resources.own(new RepoClient({ port }))

  // Together.
  const here = websocket(eu, 'drafts/shared')
  const there = websocket(us, 'drafts/shared')
  const editors = hocuspocus.map((client) => client.open('drafts/shared'))
  await Promise.all([here.synced(), there.synced(), ...editors.map((editor) => editor.synced())])
  here.text.insert(0, 'west ')
  for (const editor of [there, ...editors]) await editor.reads('west ')
  editors[0]?.text.insert(5, 'east')
  for (const editor of [here, there, ...editors]) await editor.reads('west east')
  const [first, second] = [repo(eu), repo(us)]
  const created = first.create('west')
  const other = await second.find(created.url)
  other.change((doc) => void (doc.from = 'east'))
  await reads(created, { text: 'west', from: 'east' })

  // A document that is served in the other region alone.
  const reason = `NOT_PLACED_HERE ws://127.0.0.1:${eu}`
  for (const version of providerVersions) {
    const editor = websocket(us, 'eu-notes/one', version)
    await eventually(() => editor.closes.length > 0, 'the close')
    expect(editor.closes[0]).toEqual({ code: 4421, reason })
    // 1.5 and 2.1 have no final code.
    expect(editor.provider.shouldConnect).toBe(version !== '3.1')
    editor.provider.disconnect()
  }
  for (const client of hocuspocus) expect(await client.open('eu-notes/one').refused()).toBe(reason)
  const served = await websocket(Number(new URL(reason.split(' ')[1] ?? '').port), 'eu-notes/one').synced()
  served.text.insert(0, 'served')
  await websocket(eu, 'eu-notes/one').reads('served')

  // What they have open is narrowed to the other region.
  const edit = await fetch(`${cluster.node('eu-west').url}/v1/policies/dev`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(policyOf({ ...everywhere, drafts: ['IE'], automerge: ['IE'] })),
  })
  expect(edit.status).toBe(200)
  await eventually(() => there.closes.length > 0, 'the close of what was open')
  expect(there.closes).toEqual([{ code: 4421, reason }])
  for (const editor of editors) expect(await editor.refused()).toBe(reason)
  await expect(repo(us).repo.find(created.url)).rejects.toThrow(/unavailable/)
  other.change((doc) => void (doc.text = 'stays on the device'))
  await reads(await repo(eu).find(created.url), { text: 'west', from: 'east' })
  expect(there.provider.shouldConnect).toBe(false)
  expect([there.dialCount, ...hocuspocus.map(({ dialCount }) => dialCount)]).toEqual([1, 1, 1])
  expect([...first.closes, ...second.closes]).toEqual([])
}, 120_000)
