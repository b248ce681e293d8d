/**
 * Links between regions against the model of a cluster (link-model.ts), with random schedules and with named ones. A failing seed prints itself;
 * MERIDIAN_LINK_SEED=n runs that one alone, MERIDIAN_LINK_SEEDS=n as many.
 */

import type { GroupId } from '@meridian/core/ids'
import type { MutableVersion } from '@meridian/core/version'
import { covers, merge, mutableVersion } from '@meridian/core/version'
import { describe, expect, test } from 'vitest'
import type { MemoryStore } from '../sim/memory-log.js'
import { SeededRandom } from '../sim/random.js'
import { Model, pair, type Region, versionOf } from './link-model.js'

const only = process.env['MERIDIAN_LINK_SEED']
const seedCount = Number(process.env['MERIDIAN_LINK_SEEDS'] ?? 200)
const seeds = only === undefined ? Array.from({ length: seedCount }, (_, index) => index + 1) : [Number(only)]

interface Client {
  readonly tokens: Map<GroupId, MutableVersion>
}

interface Plan {
  readonly regionCount: number
  readonly without: readonly (readonly [number, number])[]
  readonly cutForEver: readonly [number, number]
  readonly slow: number | undefined
}

/** Three to six regions: a full mesh, or one with links left out that stays connected also when one pair is cut for ever. */
function planOf(random: SeededRandom): Plan {
  const regionCount = random.between(3, 6)
  const pairs: [number, number][] = []
  for (let one = 0; one < regionCount; one++) for (let other = one + 1; other < regionCount; other++) pairs.push([one, other])
  const cutForEver = random.pick(pairs)
  const without: [number, number][] = []
  if (random.chance(0.5)) {
    for (const candidate of pairs) {
      const gone = [...without, candidate, cutForEver]
      if (random.chance(0.5) && isConnected(regionCount, pairs, gone)) without.push(candidate)
    }
  }
  return { regionCount, without, cutForEver, slow: random.chance(0.4) ? random.below(regionCount) : undefined }
}

function isConnected(count: number, pairs: readonly [number, number][], gone: readonly (readonly [number, number])[]): boolean {
  const names = new Set(gone.map(([one, other]) => pair(one, other)))
  const reached = new Set([0])
  for (let round = 0; round < count; round++) {
    for (const [one, other] of pairs) {
      if (names.has(pair(one, other))) continue
      if (reached.has(one)) reached.add(other)
      else if (reached.has(other)) reached.add(one)
    }
  }
  return reached.size === count
}

function chaos(seed: number): Model {
  const random = new SeededRandom(seed * 7919)
  const plan = planOf(random)
  const model = new Model({
    seed,
    regionCount: plan.regionCount,
    without: plan.without,
    delayMs: (from, to) => (from === plan.slow || to === plan.slow ? 250 : 5 + ((from * 7 + to * 13) % 60)),
  })
  if (plan.slow !== undefined) {
    const slow = model.regions[plan.slow]
    if (slow !== undefined) slow.diskMs = 60
  }
  const clients: Client[] = Array.from({ length: 6 }, () => ({
    tokens: new Map(model.groups.map((group) => [group, mutableVersion()])),
  }))
  const copies = new Map<Region, MemoryStore>()
  model.run(100)
  for (let step = 0; step < 260; step++) {
    model.run(random.between(1, 30))
    for (let writes = random.below(3); writes > 0; writes--) roam(model, random, clients)
    fault(model, random, plan, copies)
  }
  for (const name of [...model.cut]) if (name !== pair(...plan.cutForEver)) model.cut.delete(name)
  model.cut.add(pair(...plan.cutForEver))
  for (const region of model.regions) if (region.log === undefined) model.start(region)
  return model
}

/** A client reads in one region, and writes in another as soon as that has what it saw. */
function roam(model: Model, random: SeededRandom, clients: readonly Client[]): void {
  const client = random.pick(clients)
  const group = random.chance(0.8) ? model.groups[0] : model.groups[1]
  const token = group === undefined ? undefined : client.tokens.get(group)
  if (group === undefined || token === undefined) return
  const reading = random.pick(model.regions)
  if (reading.isUp && covers(versionOf(reading, group), token)) merge(token, versionOf(reading, group))
  const writing = random.pick(model.regions)
  if (!writing.isUp || !covers(versionOf(writing, group), token)) return
  const bytes = random.chance(0.05) ? 3000 : random.between(8, 200)
  model.write(writing, group, token, bytes)
}

function fault(model: Model, random: SeededRandom, plan: Plan, copies: Map<Region, MemoryStore>): void {
  const [one, other] = [random.below(plan.regionCount), random.below(plan.regionCount)]
  const region = random.pick(model.regions)
  if (random.chance(0.04) && one !== other) model.cutPair(one, other, random.chance(0.5) ? 'closed' : 'half open')
  if (random.chance(0.06)) {
    const name = random.pick([...model.cut, ''])
    if (name !== pair(...plan.cutForEver)) model.cut.delete(name)
  }
  if (random.chance(0.02)) model.cutPair(...plan.cutForEver, 'closed')
  if (random.chance(0.012) && region.isUp) model.crash(region)
  else if (random.chance(0.1) && region.log === undefined) model.start(region)
  if (random.chance(0.01) && region.log?.state === 'open')
    region.log.failAppend('LOG_UNAVAILABLE', random.chance(0.5) ? 'kept' : 'lost')
  if (random.chance(0.01)) copies.set(region, region.store.copy())
  const copy = copies.get(region)
  if (copy !== undefined && region.isUp && random.chance(0.01)) model.restore(region, copy)
}

describe('links under random schedules', () => {
  test('[LINK1] [LINK2] [LINK3] [LINK4] given cuts, crashes, restored copies, lost acks and roaming clients, when it heals, then all is everywhere, in causal order, once', {
    timeout: 300_000,
  }, () => {
    const all = { writes: 0, messages: 0, pulls: 0, worstMs: 0, worstMessages: 0 }
    for (const seed of seeds) {
      try {
        const model = chaos(seed)
        const tookMs = model.settle(30_000)
        expect(tookMs, 'all versions are equal at last').toBeDefined()
        const [first, ...rest] = model.regions.map((region) => model.contents(region))
        for (const other of rest) expect(other).toEqual(first)
        expect(model.alarms).toEqual([])
        // Quiet: nothing but heartbeats, and digests that are equal.
        model.run(2000)
        const before = model.messageCount
        model.run(2000)
        const links = model.regions.reduce((sum, region) => sum + region.links.size, 0)
        expect(model.messageCount - before, 'a quiet cluster is quiet').toBeLessThanOrEqual(links * (2000 / 250 + 1))
        model.tally()
        expect(model.gapCount, 'nothing was claimed that was not sent').toBe(0)
        // No livelock: messages are bounded by what there is to say and by time, whatever the schedule.
        const useful = model.writeCount * (model.regions.length - 1)
        const perUseful = model.messageCount / Math.max(useful, 1)
        all.writes += model.writeCount
        all.messages += model.messageCount
        all.pulls += model.pullCount
        all.worstMs = Math.max(all.worstMs, tookMs ?? 0)
        all.worstMessages = Math.max(all.worstMessages, perUseful)
      } catch (thrown) {
        throw new Error(`seed ${seed}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown })
      }
    }
    console.info(`${seeds.length} seeds`, all)
    if (only === undefined) expect(all.pulls, 'pulls happen').toBeGreaterThan(0)
  })
})
