/**
 * A short run of the fuzzer (test/fuzz); a long one is `npm run fuzz`. More here with MERIDIAN_FUZZ_RUNS, from another seed with MERIDIAN_FUZZ_SEED.
 */
import { expect, it } from 'vitest'
import { fuzzHonest, fuzzMutated } from '../../fuzz/fuzz.js'

const count = Number(process.env['MERIDIAN_FUZZ_RUNS'] ?? 20_000)
const seed = Number(process.env['MERIDIAN_FUZZ_SEED'] ?? 1)

it(
  'given mutated updates, when accepted and new, then they apply without a throw, save, load, and leave nothing waiting',
  () => {
    const seen = fuzzMutated({ seed, count })
    // The generator is at fault if it never gets there.
    expect(Math.min(seen.refused, seen.premature, seen.nothing, seen.new, seen.trimmed)).toBeGreaterThan(count / 500)
    expect(seen.parts).toBeGreaterThan(count / 2_000)
    expect(seen.crossed).toBeLessThan(seen.new / 20)
  },
  60_000 + count,
)

it('given honest histories, and what is merged, cut off and answered from them, when judged, then none is refused or premature', () => {
  expect(fuzzHonest({ seed, count: 10_000 }).count).toBeGreaterThanOrEqual(10_000)
}, 60_000)
