// Browsers and a node for as long as one likes (test/browser/soak.ts): `npm run soak:browser -- --cycles 200 --minutes 30 --seed 7`. It ends by
// itself, says with which seed it ran, and leaves with 1 when something that was saved is lost, doubled or not everywhere.
//
// The same seed makes the same choices; when they hit depends on the machine, so a failure may take a few runs to come again.

import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { BrowserSoak } from '../dist/browser/soak.js'
import { Resources } from '../dist/e2e/resources.js'

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '200' },
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string' },
  },
})

/**
 * @param {string} name
 * @param {string} text
 * @param {number} least
 */
function number(name, text, least) {
  const value = Number(text)
  if (Number.isFinite(value) && value >= least) return value
  process.stderr.write(`soak:browser: --${name} ${text}: expected a number from ${least}\n`)
  return process.exit(2)
}

const seed = values.seed === undefined ? randomInt(2 ** 32) : number('seed', values.seed, 0)
const cycleCount = number('cycles', values.cycles, 1)
const minutes = number('minutes', values.minutes, 0.1)

/** @param {string} line */
const say = (line) => process.stdout.write(`${line}\n`)

const resources = new Resources()
say(`soak:browser: --seed ${seed} --cycles ${cycleCount} --minutes ${minutes}, Node.js ${process.version}`)
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => process.exit(130))
try {
  const report = await new BrowserSoak({ seed, cycleCount, limitMs: minutes * 60_000, resources, say }).run()
  say(`soak: nothing lost, nothing doubled, all replicas equal\n${JSON.stringify(report, undefined, 2)}`)
} catch (thrown) {
  say(`soak: FAILED\n${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`)
  process.exitCode = 1
} finally {
  await resources.dispose()
  // Everything is closed, so the process ends by itself; what keeps it is a leak, of the client's or of ours, and is named.
  setTimeout(() => {
    say(`soak: FAILED: everything is closed and the process does not end: ${process.getActiveResourcesInfo().join(', ')}`)
    process.exit(1)
  }, 30_000).unref()
}
