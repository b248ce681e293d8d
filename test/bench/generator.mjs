// The load generator: one process a run, which drives one row against one server and reports to the runner over IPC.

import { cpuMs } from './lib/cpu.mjs'

/**
 * What a row's `generate` is given.
 *
 * @typedef {object} Bench
 * @property {Record<string, any>} params the case's parameters.
 * @property {import('./lib/types.mjs').Wire} wire
 * @property {string} host
 * @property {number} port
 * @property {number} pid the server's.
 * @property {() => number} serverCpuMs
 * @property {(what: string) => Promise<any>} ask has the runner do something with the server: `stall-start`, `stall-stop`, `restart`,
 *   `memory`, `recover`.
 */

let nextId = 0
/** @type {Map<number, (answer: any) => void>} */
const waiting = new Map()

/** @param {any} job */
async function run(job) {
  const { wire } = await import(`./wires/${job.wire}.mjs`)
  const { row } = await import(`./rows/${job.row}.mjs`)
  /** @type {Bench} */
  const bench = {
    params: job.params,
    wire,
    host: '127.0.0.1',
    port: job.port,
    pid: job.pid,
    serverCpuMs: () => cpuMs(bench.pid),
    ask: (what) =>
      new Promise((resolve) => {
        const id = nextId++
        waiting.set(id, resolve)
        process.send?.({ ask: what, id })
      }),
  }
  return row.generate(bench)
}

process.on('disconnect', () => process.exit(1))
process.on('message', async (/** @type {any} */ message) => {
  if (message.answerTo !== undefined) {
    waiting.get(message.answerTo)?.(message.answer)
    waiting.delete(message.answerTo)
    return
  }
  let result
  try {
    result = { result: await run(message.job) }
  } catch (error) {
    result = { failed: String(error instanceof Error ? error.stack : error) }
  }
  process.send?.(result, () => process.exit(0))
})
