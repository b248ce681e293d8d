/**
 * Dozens of cycles of chaos.ts, from a seed that stands here; `npm run soak` is the same for as long as one likes. What a `kill -9` or a cut
 * leaves is never less than what was said to be saved.
 */

import { afterEach, expect, it } from 'vitest'
import { Chaos } from './chaos.js'
import { Resources } from './resources.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const seed = 20_261_124
const cycleCount = 36

it('[LOG1] [CLI2] given networks that are cut and nodes and clients that are killed at random, when they recover, then nothing that was saved is lost, nothing is doubled, and all replicas are equal', async () => {
  const report = await new Chaos({ seed, cycleCount, limitMs: 45_000, resources }).run()
  // The faults really happened.
  expect(report.nodeKills).toBeGreaterThan(3)
  expect(report.clientKills).toBeGreaterThan(0)
  expect(report.reopened).toBeGreaterThan(0)
  expect(Object.keys(report.strikes).length).toBeGreaterThan(3)
  expect(report.saved).toBeGreaterThan(100)
}, 120_000)
