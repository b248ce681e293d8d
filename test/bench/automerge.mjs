/**
 * Documents of Automerge through a node and through automerge-repo's own server, interleaved, with the same clients: `Repo`s of automerge-repo in
 * this process, unmodified. CPU is that of the server alone. Run: npm run build && node test/bench/automerge.mjs [--repeats 5] [--quick]
 */
import { mkdirSync, rmSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as A from '@automerge/automerge'
import { Repo } from '@automerge/automerge-repo'
import { WebSocketClientAdapter } from '@automerge/automerge-repo-network-websocket'
import { loadTrace } from '../dist/traces.js'
import { trackDirectory } from './lib/children.mjs'
import { cpuMs } from './lib/cpu.mjs'
import { meridianBy } from './lib/meridian.mjs'
import { spawnServer } from './lib/server.mjs'

const { values } = parseArgs({ options: { repeats: { type: 'string' }, quick: { type: 'boolean', default: false } } })
const { quick } = values
const repeats = Number(values.repeats ?? (quick ? 1 : 5))

const peer = fileURLToPath(new URL('peers/automerge-repo.mjs', import.meta.url))
const ours = meridianBy('meridian', 'automerge-repo')
const targets = {
  meridian: { start: (dir) => ours.start(dir, { node: process.execPath }), path: '/automerge' },
  'automerge-repo': { start: (dir) => spawnServer({ node: process.execPath, args: [peer, dir] }), path: '/' },
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
async function until(condition, what) {
  const end = performance.now() + 120_000
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`)
    await pause(5)
  }
}

const open = []
function connect(server, path) {
  const adapter = new WebSocketClientAdapter(`ws://127.0.0.1:${server.port}${path}`, 500)
  const repo = new Repo({ network: [adapter] })
  open.push(repo)
  return repo
}
async function hangUp() {
  for (const repo of open.splice(0)) await repo.shutdown()
}

/** The document, when it has what its author has. */
async function fetched(repo, handle) {
  const found = await repo.find(handle.url, { allowableStates: ['ready', 'unavailable'] })
  await until(() => found.isReady() && found.heads().join() === handle.heads().join(), 'a document')
  return found
}

/** Edits of `handles`, one each `everyMs`, until each of `readers` has all; clients send at most each 100 ms. */
async function edit(server, { handles, readers, rounds, everyMs }) {
  const before = cpuMs(server.pid)
  for (let round = 0; round < rounds; round++) {
    for (const handle of handles) handle.change((doc) => void (doc.count = round + 1))
    await pause(everyMs)
  }
  await until(() => readers.every((handle) => handle.doc().count === rounds), 'all edits with all')
  return cpuMs(server.pid) - before
}

const paper = paperOf(10)
/** The trace as one author's document, so many edits a change: sync messages of 260,000 changes would be beyond 16 MiB. */
function paperOf(editsOfChange) {
  const { txns, endContent } = loadTrace('automerge-paper')
  const count = quick ? 20_000 : txns.length
  let doc = A.from({ text: '' })
  for (let from = 0; from < count; from += editsOfChange) {
    doc = A.change(doc, (draft) => {
      for (const { patches } of txns.slice(from, Math.min(count, from + editsOfChange)))
        for (const [position, deleted, inserted] of patches) A.splice(draft, ['text'], position, deleted, inserted)
    })
  }
  if (!quick && doc.text !== endContent) throw new Error('the trace does not end in its own content')
  return A.save(doc)
}

const rows = [
  {
    name: 'CPU an update, 20 documents × 2 clients, 80 updates/s (ms)',
    async run({ server, path }) {
      const [writer, reader] = [connect(server, path), connect(server, path)]
      const handles = Array.from({ length: 20 }, () => writer.create({ count: 0, text: 'x'.repeat(1_000) }))
      await pause(500)
      const readers = []
      for (const handle of handles) readers.push(await fetched(reader, handle))
      const rounds = quick ? 4 : 40
      return (await edit(server, { handles, readers, rounds, everyMs: 250 })) / (rounds * handles.length)
    },
  },
  {
    name: 'deliveries a CPU second, 1 document × 20 readers, 5 updates/s',
    higherIsBetter: true,
    async run({ server, path }) {
      const handle = connect(server, path).create({ count: 0, text: 'x'.repeat(1_000) })
      await pause(500)
      const readers = []
      for (let index = 0; index < 20; index++) readers.push(await fetched(connect(server, path), handle))
      const rounds = quick ? 5 : 50
      const ms = await edit(server, { handles: [handle], readers, rounds, everyMs: 200 })
      return (rounds * readers.length) / (ms / 1_000)
    },
  },
  {
    name: 'cold load of automerge-paper by a new client after a restart (ms)',
    async run({ server, path }) {
      const author = connect(server, path)
      const handle = author.import(paper)
      await pause(500)
      await fetched(connect(server, path), handle)
      await pause(2_000)
      await hangUp()
      await server.stop()
      await server.restart()
      const begin = performance.now()
      const found = await connect(server, path).find(handle.url, { allowableStates: ['ready', 'unavailable'] })
      await until(() => found.isReady() && found.heads().join() === handle.heads().join(), 'the paper')
      return performance.now() - begin
    },
  },
  {
    name: 'memory an open document of 10 kB with a client, of 300 (kB RSS)',
    async run({ server, path }) {
      const repo = connect(server, path)
      const warm = repo.create({ text: 'x'.repeat(10_000) })
      await pause(500)
      await fetched(connect(server, path), warm)
      const before = (await server.memory()).rss
      const count = quick ? 30 : 300
      const handles = Array.from({ length: count }, (_, index) =>
        repo.create({ text: `${index} `.repeat(10_000 / `${index} `.length) }),
      )
      const other = connect(server, path)
      await pause(1_000)
      for (const handle of handles) await fetched(other, handle)
      await pause(2_000)
      return ((await server.memory()).rss - before) / count / 1_024
    },
  },
]

const work = fileURLToPath(new URL(`results/automerge-${process.pid}`, import.meta.url))
mkdirSync(work, { recursive: true })
trackDirectory(work)
const median = (numbers) => numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)]
const shown = (number) => (number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2))
const machine = () => `${cpus().length} cores, node ${process.version}, load ${(loadavg()[0] ?? 0).toFixed(2)}`

console.log(`${machine()}; ${repeats} interleaved runs${quick ? ', QUICK: harness check, not figures' : ''}`)
console.log(`\n| | meridian | automerge-repo | ratio |\n|---|---|---|---|`)
for (const row of rows) {
  const figures = new Map(Object.keys(targets).map((name) => [name, []]))
  for (let repeat = 0; repeat < repeats; repeat++) {
    const names = Object.keys(targets)
    if (repeat % 2 === 1) names.reverse()
    for (const name of names) {
      const { start, path } = targets[name]
      const dir = join(work, `${rows.indexOf(row)}-${name}-${repeat}`)
      mkdirSync(dir)
      const server = await start(dir)
      try {
        figures.get(name).push(await row.run({ server, path }))
      } catch (error) {
        console.log(`FAILED ${row.name} · ${name}: ${error}`)
        process.exitCode = 1
      }
      await hangUp()
      await server.kill9()
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
    }
  }
  const [mine = [], theirs = []] = [...figures.values()]
  const cells = [mine, theirs].map((all) =>
    all.length === 0 ? 'FAILED' : `${shown(median(all))} (${shown(Math.min(...all))}–${shown(Math.max(...all))})`,
  )
  console.log(`| ${row.name} | ${cells.join(' | ')} | ${shown(median(mine) / median(theirs))} |`)
}
console.log(`\n${machine()}`)
process.exit()
