/**
 * Simulated clusters: a few fixed seeds, and every planted bug still fits its source. A seed that fails is printed; `npm run sim -- --seed N` runs it
 * again and makes it shorter. Fresh seeds are for `npm run sim`, as long as docs/bugs.md has some that are open.
 */

import { describe, expect, it } from 'vitest'
import { draw } from './cluster/options.js'
import { run } from './cluster/run.js'
import { applied, mutants } from './mutants.mjs'

const minutesMs = 60_000

async function expectAllWell(seed: number): Promise<string> {
  const { wrong, faults, hash } = await run(draw(seed))
  expect({ seed, wrong, faults }).toEqual({ seed, wrong: [], faults })
  return hash
}

describe('a cluster of regions under any schedule', () => {
  it('[LOG1] [LOG2] [LINK2] [LINK4] [SES2] [SES5] [CLI1] [CLI2] loses nothing, doubles nothing, keeps causes before effects and comes to rest, for fixed seeds', {
    timeout: 5 * minutesMs,
  }, async () => {
    for (const seed of [9, 10, 28]) await expectAllWell(seed)
  })

  it('given a seed, when it runs twice, then everything happens in the same order at the same time', {
    timeout: 5 * minutesMs,
  }, async () => {
    expect(await expectAllWell(26)).toBe(await expectAllWell(26))
  })
})

describe('planted bugs', () => {
  it.each(mutants())('$name [$breaks]: its lines stand once in $file', (mutant) => {
    expect(applied(mutant)).not.toBe('')
  })
})
