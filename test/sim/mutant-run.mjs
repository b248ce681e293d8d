// Seeds of simulated clusters until one goes wrong, for a process that has a planted bug in it. Its last line says what was found.

import { draw } from '../dist/sim/cluster/options.js'
import { run } from '../dist/sim/cluster/run.js'

const [from = 1, count = 1, seconds = 60] = process.argv.slice(2).map(Number)
const untilMs = performance.now() + seconds * 1000
let seeds = 0
let found = { seed: /** @type {number | undefined} */ (undefined), wrong: '' }
for (let seed = from; seed < from + count && performance.now() < untilMs; seed++) {
  seeds++
  const report = await run(draw(seed))
  const [wrong] = report.wrong
  if (wrong === undefined) continue
  found = { seed, wrong: wrong.split('\n')[0] ?? '' }
  break
}
process.stdout.write(`${JSON.stringify({ ...found, seeds })}\n`)
