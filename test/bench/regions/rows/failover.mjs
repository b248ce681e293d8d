// A region dies under 200 clients: the test that asserts that nothing is lost says how long it took.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../../', import.meta.url))

/** @type {import('../types.mjs').RegionRow} */
export const row = {
  name: 'failover',
  title: '200 clients that write twice a second, their region is lost: milliseconds until each has a write saved elsewhere',
  cases: () => [
    { name: 'kill -9 (reset)', how: 'kill', goal: 3_000 },
    { name: 'silent cut', how: 'cut', goal: 8_000 },
  ],
  figures: [
    { key: 'p50', label: 'p50', digits: 0 },
    { key: 'p99', label: 'p99', digits: 0, goal: ({ goal }) => goal },
    { key: 'max', label: 'last', digits: 0 },
  ],
  notes: ['all clients are one process, which shares two cores with three regions.'],
  run: ({ how }) => {
    const args = ['vitest', 'run', '--project', 'e2e', 'test/e2e/failover.test.ts', '-t', `\\(${how}\\)`]
    const { stdout } = spawnSync('npx', args, { cwd: root, env: { ...process.env, FAILOVER_FULL: '1' }, encoding: 'utf8' })
    const found = new RegExp(`${how}, \\d+ clients.*?p99 and last (\\d+) ms, (\\d+) ms, (\\d+) ms`).exec(stdout)
    if (found === null) return Promise.reject(new Error(`no figures:\n${stdout.slice(-2_000)}`))
    const [p50 = 0, p99 = 0, max = 0] = found.slice(1).map(Number)
    return Promise.resolve({ p50, p99, max })
  },
}
