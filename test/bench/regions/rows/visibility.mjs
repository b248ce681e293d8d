// How long after a push in one region a reader in another sees it, beyond the way between them.

import { cpuMs } from '../../lib/cpu.mjs'
import { inCluster, quantile, regions, Sightings } from '../world.mjs'

/** @type {import('../types.mjs').RegionRow} */
export const row = {
  name: 'visibility',
  title: '3 regions, 60 documents, a writer in one and a reader in each other: milliseconds beyond the one-way delay',
  cases: ({ quick }) =>
    [
      { rate: 2_000, delayMs: 40 },
      { rate: 2_000, delayMs: 0 },
      { rate: 200, delayMs: 40 },
    ].map((one) => ({
      ...one,
      name: `${one.rate} updates/s, ${one.delayMs} ms apart`,
      warmMs: 2_000,
      measureMs: quick ? 3_000 : 15_000,
    })),
  figures: [
    { key: 'p50', label: 'p50 ms over the floor', digits: 1, goal: () => 5 },
    { key: 'p99', label: 'p99 ms over the floor', digits: 1, goal: () => 25 },
    { key: 'max', label: 'max', digits: 1 },
    { key: 'cpu', label: 'CPU ms of all regions / 1,000 updates', digits: 0 },
    { key: 'missing', label: 'unseen', digits: 0 },
  ],
  notes: [
    'three nodes, the network between them and the load share two cores, and the network is a proxy with timers of a millisecond: its part is in the figures.',
  ],
  run: ({ rate, delayMs, warmMs, measureMs }) =>
    inCluster(delayMs === 0 ? {} : { delayMs }, async (cluster) => {
      const sightings = new Sightings()
      await sightings.open(cluster, { documents: 60 })
      const pids = regions.map((name) => cluster.node(name).pid ?? 0)
      const used = () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0)
      const before = used()
      await sightings.pace({ rate, warmMs, measureMs })
      const after = used()
      const all = sightings.latencies()
      const over = (/** @type {number} */ share) => quantile(all, share) - delayMs
      const figures = { p50: over(0.5), p99: over(0.99), max: over(1), missing: sightings.missing }
      sightings.close()
      return { ...figures, cpu: ((after - before) / ((rate * (warmMs + measureMs)) / 1000)) * 1000 }
    }),
}
