// What a slow or dead region does to how two others see each other.

import { inCluster, quantile, Sightings } from '../world.mjs'

/** @type {import('../types.mjs').RegionRow} */
export const row = {
  name: 'bystander',
  title: 'eu-west and us-east, 20 ms apart, at 1,000 updates/s, while ap-south is as it is: milliseconds beyond the delay',
  cases: ({ quick }) =>
    ['fine', 'throttled to 20 kB/s', 'silent', 'stopped', 'gone'].map((name) => ({ name, measureMs: quick ? 3_000 : 12_000 })),
  figures: [
    { key: 'p50', label: 'p50', digits: 1 },
    { key: 'p99', label: 'p99', digits: 1 },
    { key: 'max', label: 'max', digits: 1 },
    { key: 'missing', label: 'unseen', digits: 0 },
  ],
  run: ({ name, measureMs }) =>
    inCluster({ delayMs: 20 }, async (cluster) => {
      const sightings = new Sightings()
      const pair = ['eu-west', 'us-east']
      await sightings.open(cluster, { documents: 40, writers: pair, readers: pair })
      const south = cluster.node('ap-south')
      if (name === 'gone') await south.kill()
      else if (name === 'stopped') south.signal('SIGSTOP')
      else if (name === 'silent') cluster.silence('ap-south')
      else if (name !== 'fine')
        for (const one of pair) cluster.proxy('ap-south', one).setWeather({ kind: 'throttle', bytes: 200 })
      await sightings.pace({ rate: 1_000, warmMs: 2_000, measureMs })
      if (name === 'stopped') south.signal('SIGCONT')
      const all = sightings.latencies()
      const over = (/** @type {number} */ share) => quantile(all, share) - 20
      const figures = { p50: over(0.5), p99: over(0.99), max: over(1), missing: sightings.missing }
      sightings.close()
      return figures
    }),
}
