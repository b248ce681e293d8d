/**
 * Updates with bytes changed, for as long as one likes, and honest ones by the million: `npm run fuzz -- --count 10000000 --seed 7 --minutes 60`, or
 * `npm run fuzz -- --honest 1000000`; `--reordered` takes honest ones in any order, `--broken` makes valid ones that break one rule each. It says with which seed it ran and how far it came, and leaves with 1 at the first finding.
 */

import './seeded-ids.js'
import { parseArgs } from 'node:util'
import { fuzzBroken, fuzzHonest, fuzzMutated, fuzzReordered } from './fuzz.js'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100000' },
    honest: { type: 'string' },
    reordered: { type: 'string' },
    broken: { type: 'string' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '10' },
  },
})

function number(name: string, text: string): number {
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  process.stderr.write(`fuzz: --${name} ${text}: expected a number above 0\n`)
  return process.exit(2)
}

// Most mutations are refused, and nobody reads where.
Error.stackTraceLimit = 0

const seed = number('seed', values.seed)
const minutes = number('minutes', values.minutes)
const kinds = { honest: fuzzHonest, reordered: fuzzReordered, broken: fuzzBroken } as const
const kind = (['honest', 'reordered', 'broken'] as const).find((one) => values[one] !== undefined)
const count = kind === undefined ? number('count', values.count) : number(kind, values[kind] ?? '')
const began = performance.now()
const isOver = (): boolean => performance.now() - began > minutes * 60_000
const report = (kind === undefined ? fuzzMutated : kinds[kind])({ seed, count, isOver })
const seconds = (performance.now() - began) / 1000
process.stdout.write(
  `fuzz: --seed ${seed}, ${report.count} of ${count} ${kind ?? 'mutated'} updates in ${seconds.toFixed(1)} s, ` +
    `${Math.round(report.count / seconds)} a second\n${JSON.stringify(report)}\n`,
)
