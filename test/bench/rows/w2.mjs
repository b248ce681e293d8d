// Many documents with two clients each, one of which writes: the usual load of a collaborative application.

import { Numbering, openPairs, pace } from '../lib/load.mjs'
import { atMost } from '../lib/goals.mjs'

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'w2',
  title: '200 documents × 2 clients, one writes',
  cases: ({ quick }) => [
    {
      name: '1,000 updates/s',
      documents: 200,
      rate: 1000,
      // The measured time covers one cycle of Hocuspocus' 10 s store debounce.
      warmMs: quick ? 1_000 : 2_000,
      measureMs: quick ? 4_000 : 12_000,
      timeoutMs: 90_000,
    },
  ],
  figures: [
    { key: 'cpuPer1k', label: 'CPU ms / 1,000 updates', digits: 1, ratio: true, goal: atMost(180) },
    { key: 'p50Ms', label: 'p50 ms', digits: 2 },
    { key: 'p99Ms', label: 'p99 ms', digits: 2, ratio: true, goal: atMost(10) },
    { key: 'maxMs', label: 'max ms', digits: 1 },
    { key: 'stallMs', label: 'longest stall ms', digits: 1, goal: atMost(25) },
    { key: 'missing', label: 'undelivered', digits: 0 },
  ],
  notes: [
    'longest stall: the longest time between two firings of a 5 ms timer in the server, so an upper bound that reads 5–6 when idle.',
  ],
  async generate(bench) {
    const { documents, rate, warmMs, measureMs } = bench.params
    const numbering = new Numbering()
    const pairs = await openPairs(bench, { documents, prefix: 'w2', onDelivered: (sequence) => numbering.delivered(sequence) })
    await pace(bench, { pairs, numbering, rate, warmMs: 0, measureMs: warmMs })
    await bench.ask('stall-start')
    const paced = await pace(bench, { pairs, numbering, rate, warmMs: 200, measureMs })
    const stalls = await bench.ask('stall-stop')
    return {
      cpuPer1k: paced.behind ? null : (paced.cpuMs / paced.delivered) * 1000,
      p50Ms: paced.p50Ms,
      p99Ms: paced.p99Ms,
      maxMs: paced.maxMs,
      stallMs: stalls?.maxMs ?? null,
      missing: paced.missing,
      paced,
    }
  },
}
