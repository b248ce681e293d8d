/**
 * A short run of the fuzzer (test/fuzz); a long one is `npm run fuzz`. More here with MERIDIAN_FUZZ_RUNS, from another seed with MERIDIAN_FUZZ_SEED.
 */
import { expect, it } from 'vitest'
import { fuzzBroken, fuzzHonest, fuzzMutated, fuzzReordered } from '../../fuzz/fuzz.js'

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

it('given valid updates that break one rule each, when inspected, then each is refused for that, and what it was made of is taken', () => {
  const { count: broken, sound } = fuzzBroken({ seed, count: 10_000 })
  expect(Math.min(broken, sound)).toBeGreaterThanOrEqual(10_000)
}, 60_000)

it('[SES2] given honest updates in any order, when what is premature waits and its admissible part goes first, then all of it is stored', () => {
  const report = fuzzReordered({ seed, count: 4_000 })
  expect(report.count).toBeGreaterThanOrEqual(4_000)
  expect(Math.min(report.premature, report.parts)).toBeGreaterThan(100)
}, 60_000)
