// `npm run bench:regions`: whole regions as processes, with a network of proxies between them that delays, cuts and counts. Rows are files of rows/.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findNode24 } from '../lib/node24.mjs'
import { show, summary, table } from '../lib/report.mjs'

const ROWS = ['visibility', 'bystander', 'wan', 'resume', 'joining', 'reconciliation', 'failover']

const { values: given } = parseArgs({
  options: {
    only: { type: 'string' },
    repeats: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (given.help) {
  console.log(`node test/bench/regions/run.mjs [--only ${ROWS.join(',')}] [--repeats 3] [--quick] [--full]

  --quick  one short run of each: shows that the harness works, its figures are noise
  --full   also the sizes that take minutes: 10^6 documents`)
  process.exit(0)
}

const names = given.only === undefined ? ROWS : given.only.split(',').map((name) => name.trim())
for (const name of names) {
  if (ROWS.includes(name)) continue
  console.error(`--only: there is no ${name}; there are ${ROWS.join(', ')}`)
  process.exit(2)
}
const repeats = given.quick ? 1 : Number(given.repeats)
if (!Number.isInteger(repeats) || repeats < 1 || repeats > 100) {
  console.error('--repeats: a number from 1 to 100')
  process.exit(2)
}

// Regions run as this process does.
if (Number(process.versions.node.split('.')[0]) < 24) {
  const { path } = findNode24()
  const again = spawnSync(path, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exit(again.status ?? 1)
}

/** @type {Record<string, unknown>} */
const results = {}
let failures = 0
for (const name of names) {
  /** @type {{ row: import('./types.mjs').RegionRow }} */
  const { row } = await import(`./rows/${name}.mjs`)
  console.log(`\n## ${row.name}: ${row.title}\n`)
  const head = ['', ...row.figures.map(({ label }) => label)]
  const lines = [head]
  /** @type {string[]} */
  const remarks = []
  for (const params of row.cases({ quick: given.quick, full: given.full })) {
    /** @type {Record<string, number>[]} */
    const runs = []
    const count = row.once === true ? 1 : repeats
    for (let run = 0; run < count; run++) {
      process.stderr.write(`${row.name}, ${params.name}: run ${run + 1} of ${count}\n`)
      try {
        runs.push(await row.run(params))
      } catch (error) {
        failures++
        remarks.push(`${params.name}: a run FAILED: ${error instanceof Error ? error.stack : String(error)}`)
      }
    }
    results[`${row.name}, ${params.name}`] = runs
    lines.push([
      params.name,
      ...row.figures.map(({ key, digits, goal }) => {
        const one = summary(runs.map((result) => result[key]).filter((value) => value !== undefined))
        if (one === undefined) return runs.length === 0 ? 'FAILED' : '–'
        const median = show(one.median, digits)
        const shown = one.count === 1 ? median : `${median} (${show(one.min, digits)}–${show(one.max, digits)})`
        const wanted = goal?.(params)
        if (wanted === undefined) return shown
        return `${shown} [≤ ${show(wanted, digits)} ${one.median <= wanted ? 'met' : 'MISSED'}]`
      }),
    ])
  }
  console.log(table(lines))
  for (const note of [...remarks, ...(row.notes ?? [])]) console.log(`(${note})`)
}

const where = fileURLToPath(new URL('../results/', import.meta.url))
mkdirSync(where, { recursive: true })
const file = join(where, `regions-${new Date().toISOString().replace(/[:.]/g, '').slice(0, 17)}.json`)
const machine = { cores: cpus().length, cpu: cpus()[0]?.model, node: process.version, load: loadavg()[0] }
writeFileSync(file, JSON.stringify({ machine, repeats, quick: given.quick, results }, null, 2))
console.log(
  `\nmachine: ${machine.cores} cores (${machine.cpu}), node ${machine.node}, load ${machine.load?.toFixed(2)} at the end; ${repeats} runs each`,
)
process.exit(failures > 0 ? 1 : 0)
