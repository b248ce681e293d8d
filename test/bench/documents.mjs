/**
 * What documents cost that nobody holds open: the load of the longest trace over HTTP right after a restart, and the memory of closed documents.
 * Run: npm run build && node --expose-gc test/bench/documents.mjs
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as Y from 'yjs'
import { loadConfig } from '@meridian/server/config'
import { createLogger } from '@meridian/server/io/logging'
import { startNode } from '@meridian/server/node'
import { loadTrace, sequentialUpdates } from '../dist/traces.js'

const program = fileURLToPath(new URL('../../server/bin/meridian.js', import.meta.url))
const runCount = 5
const octets = { 'content-type': 'application/octet-stream' }

/** A node as a process of its own. */
async function start(dataDir, ...flags) {
  const child = spawn(
    process.execPath,
    [program, 'node', '--dev', '--port', '0', '--data', dataDir, '--log-format', 'json', ...flags],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  let text = ''
  for await (const chunk of child.stdout) {
    text += chunk
    const url = /"url":"([^"]+)"/.exec(text)?.[1]
    if (url !== undefined) return { url, child, stop: () => stop(child) }
  }
  throw new Error(text)
}

async function stop(child) {
  child.kill('SIGTERM')
  await once(child, 'exit')
}

const expected = async (response, status) => {
  if (response.status !== status) throw new Error(`${response.status} ${await response.text()}`)
  return response
}

/** CPU time of all threads of a process so far, in milliseconds; Linux only. */
function cpuMs({ pid }) {
  let nanoseconds = 0
  for (const task of readdirSync(`/proc/${pid}/task`))
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
  return nanoseconds / 1e6
}

async function loads(dataDir) {
  const updates = sequentialUpdates(loadTrace('automerge-paper'), 7)
  const tail = 300
  const name = '/v1/documents/dev/bench/paper'
  const seeding = await start(dataDir, '--compaction-idle-entries', '2')
  const page = 2_000
  for (let from = 0; from < updates.length - tail; from += page) {
    const body = Y.mergeUpdates(updates.slice(from, Math.min(from + page, updates.length - tail)))
    await expected(await fetch(seeding.url + name, { method: 'POST', headers: octets, body }), 200)
  }
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  await seeding.stop()
  const typing = await start(dataDir)
  for (const body of updates.slice(-tail))
    await expected(await fetch(typing.url + name, { method: 'POST', headers: octets, body }), 200)
  await typing.stop()
  const times = { updates: [], update: [], text: [] }
  const cpu = { updates: [], update: [], text: [] }
  let bytes = 0
  for (let run = 0; run < runCount; run++) {
    for (const as of ['updates', 'update', 'text']) {
      const node = await start(dataDir)
      // The connection and the code paths of HTTP, not of documents, are warm: as for any client but the first.
      await expected(await fetch(`${node.url}/healthz`), 200)
      const time = async () => {
        const startedAt = performance.now()
        const cpuBefore = cpuMs(node.child)
        const response = await expected(await fetch(`${node.url}${name}?as=${as}`), 200)
        bytes = (await response.arrayBuffer()).byteLength
        cpu[as].push(cpuMs(node.child) - cpuBefore)
        return performance.now() - startedAt
      }
      times[as].push(await time())
      await node.stop()
    }
  }
  const median = (list) => list.sort((one, other) => one - other)[list.length >> 1].toFixed(1)
  console.log(
    `automerge-paper, ${updates.length} edits, ${tail} behind the snapshot, ${bytes} bytes of text; ms after a restart (CPU): as stored ${median(times.updates)} (${median(cpu.updates)}), one update ${median(times.update)} (${median(cpu.update)}), text ${median(times.text)} (${median(cpu.text)})`,
  )
}

async function closed(dataDir) {
  const outcome = loadConfig({
    environment: {},
    flags: new Map(
      Object.entries({
        dev: true,
        port: '0',
        dataDir,
        'materialise.bytesMax': '1048576',
        'limits.tailBytesMax': '0',
        'log.level': 'silent',
      }),
    ),
    readText: () => '',
  })
  const node = await startNode(outcome.config, { logger: createLogger(outcome.config) })
  let made = 0
  const make = async (count) => {
    for (let left = count; left > 0; left -= 50) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const doc = new Y.Doc()
          doc.getText('t').insert(0, 'x'.repeat(200))
          const url = `${node.url}/v1/documents/dev/bench/closed-${made++}`
          await (
            await expected(await fetch(url, { method: 'POST', headers: octets, body: Y.encodeStateAsUpdate(doc) }), 200)
          ).text()
        }),
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    for (let index = 0; index < 4; index++) globalThis.gc()
    const { heapUsed, external, rss } = process.memoryUsage()
    return { live: heapUsed + external, rss }
  }
  // Without the tail, whose bytes are bounded by themselves; the caches of names fill first.
  await make(10_000)
  const before = await make(50)
  const count = 20_000
  const after = await make(count)
  console.log(
    `${count} closed documents: ${((after.live - before.live) / count).toFixed(3)} bytes live each, ${((after.rss - before.rss) / count).toFixed(1)} bytes of RSS`,
  )
  await node.close()
}

const wanted = process.argv[2]
for (const run of [loads, closed]) {
  if (wanted !== undefined && wanted !== run.name) continue
  const dataDir = mkdtempSync(join(tmpdir(), 'meridian-bench-'))
  try {
    await run(dataDir)
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
}
