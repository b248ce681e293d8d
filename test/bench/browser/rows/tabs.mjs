// From a keystroke in one tab to the moment when the other shows it, offline.

import { atMost } from '../../lib/goals.mjs'

/** @type {import('../run.mjs').BrowserRow} */
export const row = {
  name: 'tabs',
  title: 'keystroke to the other tab, offline',
  cases: ({ quick }) => [{ name: 'two tabs', count: quick ? 20 : 100 }],
  figures: [
    { key: 'p50Ms', label: 'p50, ms', digits: 2, ratio: true, goal: atMost(10) },
    { key: 'p95Ms', label: 'p95, ms', digits: 2 },
  ],
  only: ({ page }) => page !== undefined,
  async run({ open, params, repeat }) {
    const one = await open()
    await one.call('open', `keys-${repeat}`)
    const two = await open()
    await two.call('open', `keys-${repeat}`)
    await two.call('echo')
    const times = (await one.call('latencies', params.count)).toSorted(
      (/** @type {number} */ a, /** @type {number} */ b) => a - b,
    )
    await one.close()
    await two.close()
    return { p50Ms: times[Math.floor(times.length * 0.5)], p95Ms: times[Math.floor(times.length * 0.95)] }
  },
}
