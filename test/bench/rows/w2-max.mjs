// The highest rate that a server keeps up with on the load of w2.

import { Numbering, openPairs, pace, quiet, sleep } from '../lib/load.mjs'
import { atLeast } from '../lib/goals.mjs'

const LOWEST = 1_000
const HIGHEST = 64_000
/** Doubling narrows the rate to a factor of two; each halving between the last that passed and the first that failed takes the root of that. */
const HALVINGS = 3
const P99_MAX_MS = 100

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'w2-max',
  title: '200 documents × 2 clients, the rate doubled, then halved in, until p99 > 100 ms or the server falls behind',
  cases: ({ quick }) => [
    {
      name: 'raised from 1,000/s',
      documents: 200,
      warmMs: quick ? 500 : 1_000,
      measureMs: quick ? 1_500 : 6_000,
      timeoutMs: 180_000,
    },
  ],
  figures: [
    { key: 'best', label: 'highest passing rate /s', digits: 0, ratio: true, goal: atLeast(40_000) },
    { key: 'bestP99Ms', label: 'p99 ms there', digits: 1 },
    { key: 'bestCpuPer1k', label: 'CPU ms / 1,000 there', digits: 1 },
    { key: 'generatorShare', label: 'generator cores there', digits: 2 },
  ],
  notes: [
    '0 is below 1,000/s; 64,000 is the highest rate tried, so read it as "at least".',
    'A step passes when p99 ≤ 100 ms, everything sent is delivered, and deliveries keep 95 % of the rate. Between the last that passed and the first that failed the geometric mean is tried three times: the answer is low by a tenth at most.',
  ],
  async generate(bench) {
    const { documents, warmMs, measureMs } = bench.params
    const numbering = new Numbering()
    const pairs = await openPairs(bench, { documents, prefix: 'w2', onDelivered: (sequence) => numbering.delivered(sequence) })
    const steps = []
    let best = null
    /** @param {number} rate @returns {Promise<boolean>} whether it passed. */
    const attempt = async (rate) => {
      const paced = await pace(bench, { pairs, numbering, rate, warmMs, measureMs })
      const passed =
        !paced.behind && paced.missing === 0 && paced.p99Ms <= P99_MAX_MS && paced.delivered / paced.seconds >= rate * 0.95
      steps.push({ rate, passed, ...paced })
      if (passed) best = { rate, ...paced }
      // What a step that failed left on its way must not weigh on the next one.
      if (!passed) await quiet(bench, { leastMs: 1_000, mostMs: 10_000 })
      else await sleep(200)
      return passed
    }
    let failed = LOWEST
    while (failed <= HIGHEST && (await attempt(failed))) failed *= 2
    for (let halving = 0; best !== null && failed <= HIGHEST && halving < HALVINGS; halving++) {
      const middle = Math.round(Math.sqrt(best.rate * failed) / 100) * 100
      if (!(await attempt(middle))) failed = middle
    }
    return {
      best: best?.rate ?? 0,
      bestP99Ms: best?.p99Ms ?? null,
      bestCpuPer1k: best === null ? null : (best.cpuMs / best.delivered) * 1000,
      generatorShare: best?.generatorShare ?? null,
      steps,
    }
  },
}
