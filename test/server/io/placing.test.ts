/** Placement between regions: what crosses links, where policies go, and each door alone. */

import { parseDocument, parseRegion } from '@meridian/core/ids'
import { placedBy } from '@meridian/regions/link/placed'
import { type LinkPlacement, placedEverywhere } from '@meridian/regions/link/placement'
import { fileEdit, Policies } from '@meridian/regions/policies'
import { Residency } from '@meridian/regions/residency'
import { afterEach, describe, expect, it } from 'vitest'
import { every, until } from '../../e2e/waiting.js'
import { pinned, startClusterNode, startClusterNodes } from '../support/cluster-nodes.js'
import { LinkedRegion, type LinkedRegionOptions, placesOf, topologyOf } from '../support/linked-region.js'
import type { RunningNode } from '../support/running-node.js'

const waitFor = (condition: () => boolean, what: string): Promise<void> => until(condition, every(10), { what, limitMs: 30_000 })
const eventually = async (condition: () => Promise<boolean>, what: string): Promise<void> => {
  for (let left = 3_000; left > 0; left--) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`waited in vain for ${what}`)
}

const open: LinkedRegion[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((region) => region.close()))
})
async function start(options: LinkedRegionOptions): Promise<LinkedRegion> {
  const region = await LinkedRegion.start(options)
  open.push(region)
  return region
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const free = parseDocument('acme/notes/1')
const kept = parseDocument('acme/eu-notes/1')

describe('the doors of a link, each alone', () => {
  /** A placement whose group is shared and whose documents are judged: as if an entry had got into a group where it does not belong. */
  async function two(open: 'egress' | 'ingress') {
    const places = await placesOf(['eu-west', 'us-east'])
    const topology = topologyOf(places)
    const clock = { now: () => Date.now() }
    const judged = (region: string): LinkPlacement => {
      const policies = new Policies({ clock, topology: () => topology, isAuthentic: () => true })
      const tenant = parseDocument('acme/notes/1').split('/')[0] as never
      policies.include([fileEdit(tenant, pinned('acme', { notes: { store: ['anywhere'] }, 'eu-notes': { store: ['IE'] } }))])
      const residency = new Residency({
        region: parseRegion(region),
        clock,
        topology: () => topology,
        policyOf: (one) => policies.policyOf(one),
      })
      return { ...placedBy(policies, residency), isPlaced: () => true }
    }
    const careless = (region: string): LinkPlacement => ({ ...judged(region), may: placedEverywhere.may })
    const [first, second] = places
    if (first === undefined || second === undefined) throw new Error('two places')
    const one = await start({ place: first, topology, placement: open === 'egress' ? careless('eu-west') : judged('eu-west') })
    const other = await start({
      place: second,
      topology,
      placement: open === 'ingress' ? careless('us-east') : judged('us-east'),
    })
    return { one, other }
  }

  it.each(['egress', 'ingress'] as const)(
    '[RES1, LINK8] given a door that lets everything pass at %s, when a pinned entry comes, then the other door keeps it inside, with an alarm',
    async (open) => {
      const { one, other } = await two(open)
      await one.write(free, bytes('free'))
      await waitFor(() => other.payloads(free).length === 1, 'what may cross')
      await one.write(kept, bytes('canary'))
      const door = open === 'egress' ? 'ingress' : 'egress'
      const guard = open === 'egress' ? other : one
      await waitFor(() => guard.lines.some((line) => line['door'] === door), 'the alarm')
      await one.write(free, bytes('behind it'))
      expect(guard.lines.find((line) => line['door'] === door)).toMatchObject({ reason: 'residency', detail: 'acme.eu-notes' })
      expect(other.payloads(kept)).toEqual([])
      // Nothing is skipped: what stands behind it waits with it.
      expect(other.payloads(free)).toHaveLength(1)
      expect(JSON.stringify(guard.lines)).not.toContain('eu-notes/1')
    },
  )
})

describe('a cluster under a policy', () => {
  const names = ['eu-west', 'us-east', 'ap-south'] as const
  const open = pinned('dev', {
    notes: { store: ['anywhere'] },
    'eu-notes': { store: ['IE'] },
    'far-notes': { store: ['IE', 'US'] },
  })
  const json = { 'content-type': 'application/json' }
  const put = async (url: string, path: string, value: unknown, headers: Record<string, string> = {}): Promise<number> =>
    (await fetch(`${url}${path}`, { method: 'PUT', body: JSON.stringify(value), headers: { ...json, ...headers } })).status
  const create = (url: string, document: string, text: string): Promise<number> =>
    put(url, `/v1/documents/${document}`, { text }, { 'if-none-match': '*' })
  const reads = async (url: string, document: string): Promise<number> => (await fetch(`${url}/v1/documents/${document}`)).status
  const policy = async (url: string): Promise<Record<string, unknown>> =>
    (await (await fetch(`${url}/v1/policies/dev`)).json()) as Record<string, unknown>
  const headsOf = async (url: string): Promise<string> => (await fetch(`${url}/v1/policies/dev`)).headers.get('etag') ?? 'none'

  it('[RES0, RES1, LINK8] given collections of three reaches, when each is written, then each is where it may be and nowhere else', async () => {
    const cluster = await startClusterNodes(names, { policies: { dev: open } })
    const [eu, us, ap] = [cluster.url('eu-west'), cluster.url('us-east'), cluster.url('ap-south')]
    expect(await create(eu, 'dev/eu-notes/1', 'x')).toBe(201)
    expect(await create(eu, 'dev/far-notes/1', 'x')).toBe(201)
    expect(await create(eu, 'dev/notes/1', 'x')).toBe(201)
    await eventually(async () => (await reads(ap, 'dev/notes/1')) === 200, 'what may be anywhere')
    await eventually(async () => (await reads(us, 'dev/far-notes/1')) === 200, 'what may be in two')
    expect(await reads(us, 'dev/eu-notes/1')).toBe(421)
    expect(await reads(ap, 'dev/far-notes/1')).toBe(421)
    expect(await create(us, 'dev/eu-notes/2', 'x')).toBe(421)
  })

  it('[RES3] given an edit in one region, when it is answered, then it comes to the regions that it names and to no other, and what they refuse changes', async () => {
    const cluster = await startClusterNodes(names, {})
    const [eu, us, ap] = [cluster.url('eu-west'), cluster.url('us-east'), cluster.url('ap-south')]
    const two = pinned('dev', { notes: { store: ['IE', 'US'] } })
    expect(await create(us, 'dev/notes/1', 'x')).toBe(421)
    expect(await put(eu, '/v1/policies/dev', two)).toBe(200)
    await eventually(async () => (await headsOf(us)) === (await headsOf(eu)), 'the edit in the other region')
    expect(await create(us, 'dev/notes/1', 'x')).toBe(201)
    await eventually(async () => (await reads(eu, 'dev/notes/1')) === 200, 'the document')
    expect((await fetch(`${ap}/v1/policies/dev`)).status).toBe(404)
    expect(await reads(ap, 'dev/notes/1')).toBe(421)
  })

  it('[RES3] given a narrowing, when it is made, then egress and service stop at once, also in the region that it shuts out', async () => {
    const cluster = await startClusterNodes(names, { policies: { dev: pinned('dev', { notes: { store: ['IE', 'US'] } }) } })
    const [eu, us] = [cluster.url('eu-west'), cluster.url('us-east')]
    expect(await create(eu, 'dev/notes/1', 'x')).toBe(201)
    await eventually(async () => (await reads(us, 'dev/notes/1')) === 200, 'the document')
    expect(await put(eu, '/v1/policies/dev', pinned('dev', { notes: { store: ['IE'] } }))).toBe(200)
    expect(await create(eu, 'dev/notes/2', 'canary')).toBe(201)
    await eventually(async () => (await reads(us, 'dev/notes/1')) === 421, 'the refusal')
    expect(await headsOf(us)).toBe(await headsOf(eu))
    expect(await reads(eu, 'dev/notes/2')).toBe(200)
  })

  it('[RES3] given edits of two regions that did not know of each other, when they meet, then both are kept, both must say yes, and one that names both ends it', async () => {
    const base = pinned('dev', { notes: { store: ['anywhere'] }, drafts: { store: ['anywhere'] } })
    const cluster = await startClusterNodes(names, { policies: { dev: base }, start: ['eu-west'] })
    const first = cluster.nodes.get('eu-west')
    const kept = pinned('dev', { notes: { store: ['IE', 'US'] }, drafts: { store: ['IE'] } })
    expect(await put(cluster.url('eu-west'), '/v1/policies/dev', kept)).toBe(200)
    await first?.node.close()
    const again = (region: string, dataDir?: string): Promise<RunningNode> =>
      startClusterNode(cluster.places, region, {
        policies: { dev: base },
        ...(dataDir === undefined ? {} : { flags: { all: { dataDir } } }),
      })
    const us = (await again('us-east')).node.url
    const other = pinned('dev', { notes: { store: ['IE', 'US'] }, drafts: { store: ['US', 'IE'] } })
    expect(await put(us, '/v1/policies/dev', other)).toBe(200)
    expect(await create(us, 'dev/drafts/1', 'x')).toBe(201)
    const eu = (await again('eu-west', first?.config.dataDir)).node.url
    await eventually(async () => (await headsOf(eu)).includes('.') && (await headsOf(us)).includes('.'), 'both heads in both')
    expect(await policy(eu)).toMatchObject({ frozen: true, epoch: 3, heads: [{}, {}] })
    expect(await reads(us, 'dev/drafts/1')).toBe(421)
    expect(await create(us, 'dev/notes/1', 'x')).toBe(201)
    await eventually(async () => (await reads(eu, 'dev/notes/1')) === 200, 'what both allow')
    expect(await put(eu, '/v1/policies/dev', other)).toBe(200)
    await eventually(async () => (await reads(us, 'dev/drafts/1')) === 200, 'what the new head allows')
    await eventually(async () => (await reads(eu, 'dev/drafts/1')) === 200, 'the document that waited')
  })
})
