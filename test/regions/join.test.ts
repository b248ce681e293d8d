/** Regions that are new to a group, or behind what others keep as entries (LINK6). */

import { describe, expect, test } from 'vitest'
import { documentOf, JoinModel, type JoinRegion } from './join-model.js'

const all = (model: JoinModel): JoinRegion[] => model.regions

/** Writes to random documents for so long, and folds some. */
function load(model: JoinModel, writers: readonly JoinRegion[], { ms, documents }: { ms: number; documents: number }): void {
  for (let passed = 0; passed < ms; passed += 20) {
    for (const region of writers) {
      model.write(region, documentOf(model.random.below(documents)), model.random.chance(0.02) ? 3000 : 12)
      if (model.random.chance(0.3)) model.compact(region, documentOf(model.random.below(documents)))
    }
    model.run(20)
  }
}

function foldAll(model: JoinModel, region: JoinRegion, documents: number): void {
  for (let index = 0; index < documents; index++) model.compact(region, documentOf(index))
  model.run(400)
}

function expectEqual(model: JoinModel): void {
  const [first, ...rest] = all(model).filter(({ links }) => links !== undefined)
  if (first === undefined) throw new Error('no region')
  const contents = model.contents(first)
  for (const region of rest) expect(model.contents(region)).toEqual(contents)
  expect(model.alarms).toEqual([])
}

describe('LINK6', { timeout: 120_000 }, () => {
  test('[LINK6] given regions whose entries are gone, when a new one comes under load and is cut and killed half-way, then it joins by state and converges', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const model = new JoinModel(seed, 3)
      const [west, east, south] = all(model) as [JoinRegion, JoinRegion, JoinRegion]
      model.start(west)
      model.start(east)
      load(model, [west, east], { ms: 1500, documents: 120 })
      for (const region of [west, east]) foldAll(model, region, 120)
      expect(model.settle(20_000), `seed ${seed}`).toBe(true)
      for (const region of [west, east]) foldAll(model, region, 120)
      // They learn of the new one at their next start.
      model.start(south)
      model.restart(west)
      model.restart(east)
      load(model, [west, east], { ms: 400 + model.random.below(400), documents: 120 })
      if (seed % 3 === 0) model.restart(south)
      if (seed % 3 === 1) model.cutAll(south)
      load(model, [west, east], { ms: 300, documents: 120 })
      model.heal()
      load(model, all(model), { ms: 500, documents: 140 })
      expect(model.settle(60_000), `seed ${seed}: ${JSON.stringify([...(south.links?.joins() ?? [])])}`).toBe(true)
      expect(south.joinCount, `seed ${seed}`).toBeGreaterThan(0)
      expectEqual(model)
    }
  })

  test('[LINK6] [LOG2] given a region restored from an older copy that writes while cut off, when it heals, then only what differs is sent, no dot is reused and all converge', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const model = new JoinModel(seed, 2 + (seed % 2))
      const [west, east] = all(model) as [JoinRegion, JoinRegion]
      for (const region of all(model)) model.start(region)
      load(model, all(model), { ms: 1500, documents: 200 })
      expect(model.settle(20_000), `seed ${seed}`).toBe(true)
      for (const region of all(model)) foldAll(model, region, 200)
      const copy = east.store.copy()
      load(model, all(model), { ms: 300, documents: 20 })
      expect(model.settle(20_000), `seed ${seed}`).toBe(true)
      for (const region of all(model)) foldAll(model, region, 20)
      model.run(1000)
      model.cutAll(east)
      model.restore(east, copy)
      model.run(50)
      load(model, [west, east], { ms: 400, documents: 60 })
      model.heal()
      load(model, [west], { ms: 300, documents: 60 })
      if (seed % 3 === 0) model.restart(east)
      expect(model.settle(60_000), `seed ${seed}: ${JSON.stringify([...(east.links?.joins() ?? [])])}`).toBe(true)
      expect(east.joinCount, `seed ${seed}`).toBeGreaterThan(0)
      // 20 documents changed before the restore, 60 while it was cut off; 200 are there.
      expect(east.links?.joined.documents).toBeLessThan(100)
      expectEqual(model)
    }
  })
})
