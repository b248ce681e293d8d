// Random schedules of a whole region (test/sim/schedule.ts) for as long as one likes: `npm run schedules -- --count 5000`, and
// `npm run schedules -- --seed 4711` for one again. It prints each seed that fails with what is wrong, and leaves with 1 if one did.

import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { runSchedule } from '../dist/sim/schedule.js'

const { values } = parseArgs({ options: { count: { type: 'string' }, seed: { type: 'string' } } })
const first = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed)
const count = Number(values.count ?? (values.seed === undefined ? 2_000 : 1))
if (!Number.isInteger(first) || !Number.isInteger(count) || count < 1) {
  process.stderr.write('schedules: --seed and --count are whole numbers\n')
  process.exit(2)
}

const total = { edits: 0, saved: 0, restarts: 0, failed: 0 }
/** @type {Record<string, number>} */
const faults = {}
const startedMs = performance.now()
for (let seed = first; seed < first + count; seed++) {
  const report = await runSchedule(seed)
  total.edits += report.edits
  total.saved += report.saved
  total.restarts += report.restarts
  for (const [fault, times] of Object.entries(report.faults)) faults[fault] = (faults[fault] ?? 0) + times
  if (report.wrong.length === 0) continue
  total.failed++
  process.stdout.write(`seed ${seed}: ${JSON.stringify(report.faults)}\n  ${report.wrong.join('\n  ')}\n`)
}
const seconds = Math.round((performance.now() - startedMs) / 1000)
process.stdout.write(
  `schedules: ${count} from seed ${first} in ${seconds} s, ${total.failed} failed; ${total.edits} edits, ${total.saved} saved, ${total.restarts} restarts of the node\n${JSON.stringify(faults)}\n`,
)
process.exitCode = total.failed > 0 ? 1 : 0
