// `npm run bench`: every row against every target, interleaved, each run with a server, a store and a generator of its own.
// README.md says what is measured and how a target or a wire is added.

import { fork } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { track, trackDirectory } from './lib/children.mjs'
import { findNode24 } from './lib/node24.mjs'
import { installPeers } from './lib/peers.mjs'
import { report, show } from './lib/report.mjs'

const here = new URL('./', import.meta.url)
/** In the order of the tables; whatever else is in targets/ follows. One that has no file prints `not run`. */
const EXPECTED = ['meridian', 'meridian-yjs', 'y-websocket', 'hocuspocus', 'raw-ws', 'raw-net', 'raw-log']
const TARGETS = [...new Set([...EXPECTED, ...readdirSync(new URL('targets/', here)).map((file) => file.replace(/\.mjs$/, ''))])]
const ROWS = ['w2', 'w2-max', 'w1', 'w3', 'w4', 'w5', 'w6', 'load', 'paused', 'start']

const { values: given } = parseArgs({
  options: {
    only: { type: 'string' },
    targets: { type: 'string' },
    repeats: { type: 'string' },
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (given.help) {
  console.log(`node test/bench/run.mjs [--only ${ROWS.join(',')}] [--targets ${TARGETS.join(',')}] [--repeats 5] [--quick]`)
  process.exit(0)
}

/** @param {string | undefined} list @param {string[]} known @param {string} flag */
function choose(list, known, flag) {
  if (list === undefined) return known
  const chosen = list.split(',').map((name) => name.trim())
  for (const name of chosen) {
    if (known.includes(name)) continue
    console.error(`${flag}: there is no ${name}; there are ${known.join(', ')}`)
    process.exit(2)
  }
  return chosen
}

const quick = given.quick
const repeats = Number(given.repeats ?? (quick ? 1 : 5))
if (!Number.isInteger(repeats) || repeats < 1 || repeats > 100) {
  console.error('--repeats: a number from 1 to 100')
  process.exit(2)
}
const rowNames = choose(given.only, ROWS, '--only')
const targetNames = choose(given.targets, TARGETS, '--targets')

const resultsDir = fileURLToPath(new URL('results/', here))
// Stores are kept beside the results, on a real disk: a tmpfs would make fdatasync free.
const workDir = join(resultsDir, `work-${process.pid}`)
mkdirSync(workDir, { recursive: true })
trackDirectory(workDir)
// What a runner that was itself killed has left behind. Its servers and generators have ended with their IPC channel.
for (const name of readdirSync(resultsDir)) {
  const owner = /^work-(\d+)$/.exec(name)?.[1]
  if (owner !== undefined && !existsSync(`/proc/${owner}`)) rmSync(join(resultsDir, name), { recursive: true, force: true })
}

const node = findNode24()
installPeers()
const startOptions = { node: node.path }
const startedAt = new Date()
const machine = {
  cores: cpus().length,
  cpu: cpus()[0]?.model ?? 'unknown',
  memoryGb: Math.round(totalmem() / 2 ** 30),
  node: node.version,
  runner: process.version,
  fileSystem: `0x${statfsSync(workDir).type.toString(16)}`,
  loadAtStart: loadavg()[0] ?? 0,
}
const machineLine = () =>
  `machine: ${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, node ${machine.node}, file system ${machine.fileSystem}, ` +
  `load ${machine.loadAtStart.toFixed(2)} at the start, ${(loadavg()[0] ?? 0).toFixed(2)} now; ` +
  `${repeats} interleaved run${repeats === 1 ? '' : 's'}${quick ? ', QUICK: harness check, not figures' : ''}`

/** @type {{ name: string, target?: import('./lib/types.mjs').Target, notRun?: string }[]} */
const targets = await Promise.all(
  targetNames.map(async (name) => {
    const file = new URL(`targets/${name}.mjs`, here)
    if (!existsSync(file)) return { name, notRun: `there is no test/bench/targets/${name}.mjs` }
    try {
      /** @type {{ target: import('./lib/types.mjs').Target }} */
      const { target } = await import(file.href)
      const wire = new URL(`wires/${target.wire}.mjs`, here)
      const notRun = existsSync(wire) ? target.unavailable?.() : `there is no test/bench/wires/${target.wire}.mjs`
      return notRun === undefined ? { name, target } : { name, target, notRun }
    } catch (error) {
      return { name, notRun: String(error) }
    }
  }),
)

/**
 * Forks a generator for one case against a running server.
 * @param {any} row @param {any} params @param {import('./lib/types.mjs').Target} target @param {import('./lib/types.mjs').Server} server
 * @param {string} dir
 * @returns {Promise<Record<string, any>>}
 */
function generate(row, params, target, server, dir) {
  return new Promise((resolve, reject) => {
    const child = fork(new URL('generator.mjs', here), [], {
      execPath: node.path,
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    track(child)
    let errors = ''
    child.stderr?.on('data', (data) => {
      errors = (errors + data.toString()).slice(-4096)
    })
    /** @param {Error | null} error @param {Record<string, any>} [result] */
    const finish = (error, result) => {
      clearTimeout(timer)
      clearInterval(watch)
      child.removeAllListeners('message')
      if (error !== null) child.kill('SIGKILL')
      if (error === null && result !== undefined) resolve(result)
      else reject(error ?? new Error('no result'))
    }
    const timer = setTimeout(() => finish(new Error(`no result after ${params.timeoutMs} ms`)), params.timeoutMs)
    // A row that means to kill its server says so by asking for its restart or its files; any other death ends the run early.
    const watch = setInterval(() => {
      if (!server.alive() && row.name !== 'w5') finish(new Error(`the server died\n${server.tail()}`))
    }, 500)
    child.on('exit', (code, signal) => finish(new Error(`the generator ended (${signal ?? code})\n${errors}`)))
    child.on('message', async (/** @type {any} */ message) => {
      if (message.ask !== undefined) {
        try {
          const answer = await asked(message.ask)
          if (child.connected) child.send({ answerTo: message.id, answer })
        } catch (error) {
          finish(new Error(`${message.ask}: ${error}`))
        }
      } else if (message.failed !== undefined) {
        finish(new Error(`${message.failed}\n${server.tail()}`))
      } else {
        finish(null, message.result)
      }
    })
    /** @param {string} what */
    const asked = async (what) => {
      switch (what) {
        case 'stall-start':
          return server.stalls('start')
        case 'stall-stop':
          return server.stalls('stop')
        case 'restart':
          await server.restart()
          return { port: server.port, pid: server.pid }
        case 'memory':
          return server.memory()
        case 'recover':
          return (await target.recover?.(dir)) ?? null
        default:
          throw new Error('unknown')
      }
    }
    child.send({ job: { row: row.name, params, wire: target.wire, port: server.port, pid: server.pid } })
  })
}

/** @param {any} row @param {any} params @param {import('./lib/types.mjs').Target} target @param {number} repeat @param {string} keptDir */
async function runOnce(row, params, target, repeat, keptDir) {
  const loadBefore = loadavg()[0] ?? 0
  if (row.drive !== undefined) {
    const { wire } = await import(`./wires/${target.wire}.mjs`)
    return { ...(await row.drive({ target, wire, params, keptDir, startOptions })), loadBefore }
  }
  const dir = join(workDir, `${row.name}-${target.name}-${repeat}`)
  mkdirSync(dir, { recursive: true })
  const server = await target.start(dir, startOptions)
  try {
    return { ...(await generate(row, params, target, server, dir)), loadBefore }
  } finally {
    // A profile is written at an orderly end only.
    if (process.env['BENCH_NODE_ARGS'] !== undefined) await server.stop()
    await server.kill9()
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** @param {string} rowName */
async function runRow(rowName) {
  const { row } = await import(`./rows/${rowName}.mjs`)
  /** @type {import('./lib/report.mjs').CaseResult[]} */
  const cases = []
  for (const bare of row.cases({ quick })) {
    const params = { ...bare, ...row.prepare?.(bare) }
    /** @type {import('./lib/report.mjs').CaseResult} */
    const one = {
      params,
      targets: targets
        .filter(({ target }) => target === undefined || row.only === undefined || row.only(target))
        .map(({ name, notRun }) => ({ name, ...(notRun === undefined ? {} : { notRun }), runs: [], failures: [] })),
    }
    cases.push(one)
    for (let repeat = 0; repeat < repeats; repeat++) {
      // Each repeat starts with another target, so that none always follows the same one.
      for (let turn = 0; turn < one.targets.length; turn++) {
        const entry = one.targets[(turn + repeat) % one.targets.length]
        const target = targets.find(({ name }) => name === entry.name)?.target
        if (entry.notRun !== undefined || target === undefined) continue
        const begin = performance.now()
        const label = `${row.name} · ${params.name} · ${repeat + 1}/${repeats} · ${entry.name}`
        const keptDir = join(workDir, `kept-${row.name}-${entry.name}`)
        let outcome
        try {
          const run = await runOnce(row, params, target, repeat, keptDir)
          entry.runs.push(run)
          const figure = row.figures[0]
          outcome = run[figure.key] === null ? `${figure.label}: –` : `${figure.label}: ${show(run[figure.key], figure.digits)}`
        } catch (error) {
          entry.failures.push(String(error instanceof Error ? error.message : error))
          outcome = `FAILED: ${entry.failures.at(-1)?.split('\n')[0]}`
        }
        console.log(
          `  ${label} · ${outcome} · ${((performance.now() - begin) / 1000).toFixed(0)} s, load ${(loadavg()[0] ?? 0).toFixed(1)}`,
        )
      }
    }
  }
  return { row, cases }
}

console.log(machineLine())
/** @type {any[]} */
const all = []
const file = join(resultsDir, `${startedAt.toISOString().replaceAll(':', '').slice(0, 17)}.json`)
for (const rowName of rowNames) {
  const { row, cases } = await runRow(rowName)
  console.log(`${report(row, cases)}\n`)
  all.push({ row: rowName, cases })
  // Written after each row, so that a run that is cut short leaves what it has.
  writeFileSync(
    file,
    JSON.stringify(
      { startedAt: startedAt.toISOString(), machine: { ...machine, loadAtEnd: loadavg()[0] }, quick, repeats, rows: all },
      null,
      1,
    ),
  )
}
console.log(`\n${machineLine()}\nresults: test/bench/results/${file.slice(resultsDir.length)}`)
if (
  all.some(({ cases }) =>
    cases.some((/** @type {any} */ one) => one.targets.some((/** @type {any} */ target) => target.failures.length > 0)),
  )
) {
  process.exitCode = 1
}
