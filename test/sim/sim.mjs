// Simulated clusters (README.md): `npm run sim -- --seed 42` runs one seed, `npm run sim -- --seeds 1000 --minutes 10` as many as there is time for.
// A seed that fails is printed with what is wrong, run twice to see that it repeats, made shorter, and written to a file for `--replay`.
// Leaves with 1 if a seed failed, with 2 if the command was wrong.

import { randomInt } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { draw } from '../dist/sim/cluster/options.js'
import { Reached } from '../dist/sim/cluster/reached.js'
import { run } from '../dist/sim/cluster/run.js'
import { shrink } from '../dist/sim/cluster/shrink.js'

const usage = `sim: --seed N | --seeds N [--from N] [--minutes M] [--keep-going] | --replay FILE | --mutants [--only NAME] [--seeds N]
     [--size mixed|small|large] [--trace] [--no-shrink] [--shrink-seconds N]
`

/** @param {string} message */
function refuse(message) {
  process.stderr.write(`sim: ${message}\n${usage}`)
  process.exit(2)
}

function parse() {
  try {
    return parseArgs({
      options: {
        seed: { type: 'string' },
        seeds: { type: 'string' },
        from: { type: 'string' },
        minutes: { type: 'string' },
        size: { type: 'string', default: 'mixed' },
        replay: { type: 'string' },
        trace: { type: 'boolean', default: false },
        mutants: { type: 'boolean', default: false },
        only: { type: 'string' },
        'keep-going': { type: 'boolean', default: false },
        'no-shrink': { type: 'boolean', default: false },
        'shrink-seconds': { type: 'string', default: '60' },
      },
    }).values
  } catch (thrown) {
    return refuse(thrown instanceof Error ? thrown.message : String(thrown))
  }
}

const values = parse()

/** @param {string} text @param {string} name */
function whole(text, name) {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) refuse(`${name} is a whole number`)
  return value
}

/** @param {string} text */
const say = (text) => process.stdout.write(`${text}\n`)
const print = values.trace ? say : undefined

/** @param {import('../dist/sim/cluster/options.js').Drawn} drawn @param {import('../dist/sim/cluster/run.js').RunReport} report */
async function tell(drawn, report) {
  say(`seed ${report.seed} failed after ${(report.wrongAtMs ?? 0) / 1000} s, trace ${report.hash}`)
  for (const wrong of report.wrong) say(`  ${wrong}`)
  say(`  options ${JSON.stringify(drawn.options)}`)
  const again = await run(drawn)
  if (again.hash !== report.hash) say(`  it does not repeat: the second trace is ${again.hash}`)
  if (values['no-shrink']) return
  const untilMs = performance.now() + whole(values['shrink-seconds'], '--shrink-seconds') * 1000
  const shrunk = await shrink(drawn, report, () => performance.now() < untilMs)
  const file = join(tmpdir(), `sim-${report.seed}.json`)
  writeFileSync(file, JSON.stringify(shrunk.drawn))
  const { options, actions } = shrunk.drawn
  say(
    `  shortest of ${shrunk.runCount} runs: ${actions.length} of ${drawn.actions.length} actions, ${options.deviceCount} devices, faults ${options.faults.join(' ') || 'none'}`,
  )
  for (const wrong of shrunk.report.wrong.slice(0, 3)) say(`    ${wrong}`)
  const faults = actions.filter((action) => action.kind !== 'edit')
  if (faults.length <= 40) for (const { atMs, kind, roll } of faults) say(`    ${(atMs / 1000).toFixed(3)} ${kind} ${roll}`)
  say(`  npm run sim -- --replay ${file} --trace`)
}

if (values.mutants) {
  const { hunt } = await import('./mutants.mjs')
  process.exit(
    await hunt({ only: values.only, seeds: whole(values.seeds ?? '1000', '--seeds'), minutes: Number(values.minutes ?? 60) }),
  )
}

const reached = new Reached()
const startedMs = performance.now()
const seconds = () => (performance.now() - startedMs) / 1000

if (values.replay !== undefined) {
  const drawn = JSON.parse(readFileSync(values.replay, 'utf8'))
  const report = await run(drawn, print)
  reached.add(report)
  for (const wrong of report.wrong) say(wrong)
  say(`trace ${report.hash}`)
} else {
  if (values.size !== 'mixed' && values.size !== 'small' && values.size !== 'large') refuse('--size is mixed, small or large')
  const single = values.seed !== undefined
  const first = single
    ? whole(values.seed ?? '', '--seed')
    : values.from === undefined
      ? randomInt(2 ** 31)
      : whole(values.from, '--from')
  const count = single ? 1 : whole(values.seeds ?? '100', '--seeds')
  const untilS = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes) * 60
  let saidS = 0
  for (let seed = first; seed < first + count && seconds() < untilS; seed++) {
    const drawn = draw(seed, values.size)
    const report = await run(drawn, print)
    reached.add(report)
    if (single) say(`seed ${seed}: trace ${report.hash}, ${report.wrong.length === 0 ? 'all is well' : 'failed'}`)
    // One in a hundred runs twice: the same seed has to be the same run.
    if (report.wrong.length === 0 && seed % 100 === 0 && (await run(drawn)).hash !== report.hash) {
      say(`seed ${seed} does not repeat`)
      reached.failed++
    }
    if (report.wrong.length > 0) {
      await tell(drawn, report)
      if (!values['keep-going']) break
    }
    if (!single && seconds() - saidS > 15) {
      saidS = seconds()
      say(
        `… ${reached.runs} of ${count} seeds from ${first}, ${reached.failed} failed, ${(reached.simulatedMs / 60_000).toFixed(0)} simulated minutes in ${saidS.toFixed(0)} s`,
      )
    }
  }
}
for (const line of reached.lines(seconds())) say(line)
process.exitCode = reached.failed > 0 ? 1 : 0
