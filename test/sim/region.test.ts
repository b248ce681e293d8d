/**
 * Random schedules of a whole region: seeds that found something once, a fixed set, and fresh ones as long as their time lasts. A seed that
 * fails is printed; `npm run schedules -- --seed N` runs it again, and it becomes a named test here.
 */

import { describe, expect, it } from 'vitest'
import { runSchedule } from './schedule.js'

const fixedCount = 40
/** Milliseconds for fresh seeds; `npm run schedules` has all the time that it is given. */
const freshMs = 6_000
const firstFresh = Number(process.env['MERIDIAN_SEED'] ?? Date.now() % 1_000_000_000)

async function expectAllWell(seed: number): Promise<void> {
  const { wrong, faults } = await runSchedule(seed)
  expect({ seed, wrong, faults }).toEqual({ seed, wrong: [], faults })
}

describe('a region under any schedule', () => {
  it.each([
    [2, 'a reader of a busy document never pinged, and the node took it for dead'],
    [15, 'a document that was opened while it was still pushed for said current before it was loaded'],
    [20, 'a failed commit that was durable after all was passed by the commit that found it out'],
    [354, 'a document that nobody had open stayed in memory after it was erased'],
    [
      102_917,
      'a document that was closed while it waited took the one that was opened after it out of the machine, with its edits',
    ],
  ])('[SES5] seed %i: %s', (seed) => expectAllWell(seed))

  it('[LOG1] [LOG2] [SES1] [SES2] [CLI2] loses nothing, doubles nothing and comes to rest, for fixed seeds', {
    timeout: 120_000,
  }, async () => {
    for (let seed = 1_000; seed < 1_000 + fixedCount; seed++) await expectAllWell(seed)
  })

  it(`and for fresh ones, from seed ${firstFresh}`, { timeout: 120_000 }, async () => {
    const until = performance.now() + freshMs
    for (let seed = firstFresh; performance.now() < until; seed++) await expectAllWell(seed)
  })
})
