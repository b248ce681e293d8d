// Runs one server process and keeps hold of it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { track } from './children.mjs'

const PRELOAD = new URL('./preload.mjs', import.meta.url).href

/**
 * @param {object} options
 * @param {string} options.node
 * @param {string[]} options.args what follows the binary; `--import` of the preload is put before it.
 * @param {Record<string, string>} [options.env] added to the runner's own.
 * @param {RegExp} [options.ready] matched against the output; group 1 is the port. `READY <port>` unless given.
 * @param {number} [options.port] if the server was told its port: then `ready` needs no group.
 * @param {number} [options.readyMs] 60,000 unless given.
 * @returns {Promise<import('./types.mjs').Server>}
 */
export async function spawnServer({ node, args, env = {}, ready = /^READY (\d+)/m, port: givenPort, readyMs = 60_000 }) {
  /** @type {import('node:child_process').ChildProcess} */
  let child
  let output = ''

  const start = async () => {
    output = ''
    server.spawnedAt = performance.now()
    // For profiles: BENCH_NODE_ARGS='--cpu-prof --cpu-prof-dir=somewhere'.
    const extra = process.env['BENCH_NODE_ARGS']?.split(' ') ?? []
    child = spawn(node, [...extra, '--import', PRELOAD, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env, MERIDIAN_BENCH_SERVER: '1' },
    })
    const mine = child
    track(mine)
    mine.on('error', () => {})
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`server not ready after ${readyMs} ms\n${output}`)), readyMs)
      const read = (/** @type {Buffer} */ data) => {
        output = (output + data.toString()).slice(-8192)
        const match = ready.exec(output)
        if (match === null) return
        clearTimeout(timer)
        server.port = givenPort ?? Number(match[1])
        resolve(undefined)
      }
      mine.stdout?.on('data', read)
      mine.stderr?.on('data', read)
      mine.on('exit', (code, signal) => {
        clearTimeout(timer)
        reject(new Error(`server ended (${signal ?? code}) before it was ready\n${output}`))
      })
    }).catch((error) => {
      mine.kill('SIGKILL')
      throw error
    })
    server.pid = mine.pid ?? -1
  }

  const gone = () => child.exitCode !== null || child.signalCode !== null
  const end = async (/** @type {NodeJS.Signals} */ signal) => {
    if (gone()) return
    const exited = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
    await exited
    clearTimeout(timer)
  }

  /** @type {import('./types.mjs').Server} */
  const server = {
    pid: -1,
    port: -1,
    spawnedAt: 0,
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    restart: async () => {
      await end('SIGKILL')
      await start()
    },
    stalls: (what) =>
      new Promise((resolve) => {
        const mine = child
        const timer = setTimeout(done, 5_000, null)
        /** @param {any} message */
        function done(message) {
          clearTimeout(timer)
          mine.off('message', done)
          resolve(message?.bench === 'stopped' ? { maxMs: message.maxMs, p99Ms: message.p99Ms } : null)
        }
        mine.on('message', done)
        if (mine.connected) mine.send({ bench: what }, () => {})
        else done(null)
      }),
    memory: () =>
      new Promise((resolve, reject) => {
        const mine = child
        const timer = setTimeout(() => reject(new Error('the server did not say what it holds')), 60_000)
        /** @param {any} message */
        function done(message) {
          if (message?.bench !== 'memory') return
          clearTimeout(timer)
          mine.off('message', done)
          resolve({ rss: message.rss, live: message.live })
        }
        mine.on('message', done)
        mine.send({ bench: 'memory' }, () => {})
      }),
    tail: () => output,
    alive: () => !gone(),
  }
  await start()
  return server
}

/** A port that was free a moment ago, for servers that must be told theirs. @returns {Promise<number>} */
export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
