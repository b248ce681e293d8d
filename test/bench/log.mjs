/**
 * What a durable append costs in the SQLite log, the whole process with its threads counted:
 *
 *   node test/bench/log.mjs [--driver node|libsql] [--rounds 5] [--seek 1000,100000,1000000] [--states 100000]
 *
 * Closed loop: one batch of 1, 64 and 512 entries in flight. Open loop: 1,000 and 40,000 entries a second, arrivals of each millisecond
 * as one batch if nothing is in flight, else joined to the next, as the hub does. 200 documents, 400 devices, 200 bytes an entry. `include`: the same entries from another region,
 * in batches of 64 and 512, one in flight. With `--seek` instead: what a link pays to find its place and read 100 entries that a region has missed, in a
 * log of so many documents of one entry each. With `--states` instead: a region that is new takes so many documents from another, by lists, reads and puts
 * of 200 at a time; each has a snapshot of 1,000 bytes and two entries of 100.
 */

import { rmSync } from 'node:fs'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'

const { values } = parseArgs({
  options: {
    driver: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string' },
    seek: { type: 'string' },
    states: { type: 'string' },
  },
})
const documents = Array.from({ length: 200 }, (_, index) => `acme/notes/${index}`)
const devices = Array.from({ length: 400 }, (_, index) => (index * 2_654_435_761).toString(16).padStart(32, '0').slice(-32))
const payload = new Uint8Array(200).fill(7)
let counter = 0

function draft() {
  counter++
  const document = documents[(counter * 7919) % documents.length]
  const push = { device: devices[(counter * 31) % devices.length], counter }
  return {
    group: 'acme/default',
    document,
    engine: 'yjs',
    life: 1,
    kind: 'update',
    epoch: 0,
    time: 1_790_000_000_000 * 1024 + counter,
    payload,
    push,
  }
}

const append = (log, drafts) =>
  new Promise((resolve, reject) =>
    log.append(drafts, (outcome) =>
      outcome.kind === 'done' ? resolve(outcome.value) : reject(new Error(`${outcome.code} ${outcome.cause}`)),
    ),
  )

const ask = (asking) =>
  new Promise((resolve, reject) =>
    asking((outcome) =>
      outcome.kind === 'done' ? resolve(outcome.value) : reject(new Error(`${outcome.code} ${outcome.cause}`)),
    ),
  )

let included = 0

function foreign() {
  const { push: _push, ...entry } = draft()
  included++
  return { ...entry, replica: 'us-east#1.00000000000000aa', sequence: included, chain: BigInt(included) }
}

async function includeLoop(log, batch, seconds) {
  included = 0
  const lag = []
  const until = performance.now() + seconds * 1000
  const from = performance.now()
  const cpu = process.cpuUsage()
  let entries = 0
  while (performance.now() < until) {
    const batched = Array.from({ length: batch }, foreign)
    const asked = performance.now()
    await ask((done) => log.include(batched, done))
    lag.push(performance.now() - asked)
    entries += batch
  }
  return figures({ from, cpu, entries, commits: lag.length, lag })
}

/** A region that has all but the last 100 entries comes back: seek and read, ten times, in a log of `count` documents. */
async function seekIn(count) {
  included = 0
  const directory = mkdtempSync(join(tmpdir(), 'meridian-bench-log-'))
  const options = { directory, region: 'eu-west', scrubBytesPerSecond: 0 }
  let log = await openSqliteLog(options)
  const group = 'acme/default'
  for (let made = 0; made < count; ) {
    const batch = []
    for (; batch.length < 2000 && made < count; made++) batch.push({ ...foreign(), document: `acme/notes/${made}` })
    await ask((done) => log.include(batch, done))
  }
  await new Promise((resolve) => log.close(resolve))
  const opening = performance.now()
  log = await openSqliteLog(options)
  const openMs = performance.now() - opening
  const version = { floors: new Map(), sequences: new Map([['us-east#1.00000000000000aa', count - 100]]) }
  const seekMs = []
  const readMs = []
  for (let round = 0; round < 20; round++) {
    const from = performance.now()
    const { position } = await ask((done) => log.seekGroup(group, version, done))
    const between = performance.now()
    const { entries } = await ask((done) => log.readLinked(group, position, { bytes: 1 << 20, entries: 512 }, done))
    if (entries.length !== 100) throw new Error(`${entries.length} entries instead of 100`)
    seekMs.push(between - from)
    readMs.push(performance.now() - between)
  }
  await new Promise((resolve) => log.close(resolve))
  rmSync(directory, { recursive: true })
  const middle = (list) => list.sort((one, other) => one - other)[Math.floor(list.length / 2)].toFixed(2)
  console.log(
    `${count.toLocaleString('en').padStart(9)} documents: open ${openMs.toFixed(0)} ms, seek ${middle(seekMs)} ms, read of 100 missed ${middle(readMs)} ms (medians of 20)`,
  )
}

/** LINK6 without a network between: what both logs cost, in one process. */
async function transfer(count) {
  const replica = 'us-east#1.00000000000000aa'
  const group = 'acme/default'
  const versionOf = (sequence) => ({ floors: new Map(), sequences: new Map([[replica, sequence]]) })
  const place = () => mkdtempSync(join(tmpdir(), 'meridian-bench-log-'))
  const directories = [place(), place()]
  const [from, to] = await Promise.all(
    directories.map((directory) => openSqliteLog({ directory, region: 'eu-west', scrubBytesPerSecond: 0 })),
  )
  const { push: _push, ...plain } = draft()
  await ask((done) => from.beginJoin(group, done))
  const stateOf = (number) => {
    const document = `acme/notes/${String(number).padStart(8, '0')}`
    const entry = { ...plain, group, document, replica, payload: payload.subarray(0, 100), chain: 7n }
    return {
      ...{ document, engine: 'yjs', life: 1, ended: false, version: versionOf(3 * number) },
      snapshot: {
        version: versionOf(3 * number - 2),
        state: { bytes: new Uint8Array(1000).fill(number), index: new Uint8Array(40) },
      },
      entries: [1, 0].map((back) => ({ ...entry, sequence: 3 * number - back })),
    }
  }
  const adopted = { version: versionOf(3 * count), chains: new Map([[replica, 7n]]), sealed: new Map(), seals: new Map() }
  const putMs = performance.now()
  for (let number = 1; number <= count; ) {
    const states = []
    for (; states.length < 200 && number <= count; number++) states.push(stateOf(number))
    await ask((done) => from.putStates(group, states, done))
  }
  await ask((done) => from.adopt(group, adopted, done))
  const seconds = (performance.now() - putMs) / 1000
  console.log(`puts alone: ${Math.round(count / seconds).toLocaleString('en')} documents/s`)
  const listFrom = performance.now()
  for (let after = '', more = true; more; ) {
    const page = await ask((done) => from.listGroup(group, after, 1000, done))
    more = page.length === 1000
    after = page.at(-1)?.document ?? ''
  }
  console.log(
    `list with versions: ${Math.round(count / ((performance.now() - listFrom) / 1000)).toLocaleString('en')} documents/s`,
  )
  await ask((done) => to.beginJoin(group, done))
  const rssFrom = process.memoryUsage().rss
  const cpu = process.cpuUsage()
  const begun = performance.now()
  let rss = 0
  let moved = 0
  for (let after = ''; moved < count; ) {
    const page = await ask((done) => from.listGroup(group, after, 200, done))
    const states = await Promise.all(page.map(({ document }) => ask((done) => from.readState(document, done))))
    await ask((done) => to.putStates(group, states, done))
    after = page.at(-1).document
    moved += page.length
    rss = Math.max(rss, process.memoryUsage().rss)
  }
  await ask((done) => to.adopt(group, adopted, done))
  const used = process.cpuUsage(cpu)
  const took = (performance.now() - begun) / 1000
  console.log(
    `transfer of ${count.toLocaleString('en')}: ${Math.round(count / took).toLocaleString('en')} documents/s, ${((used.user + used.system) / count).toFixed(0)} us of CPU a document, ${((count * 1240) / took / 1e6).toFixed(1)} MB/s of state, at most ${((rss - rssFrom) / 1e6).toFixed(0)} MB more memory`,
  )
  await Promise.all([from, to].map((log) => new Promise((resolve) => log.close(resolve))))
  for (const directory of directories) rmSync(directory, { recursive: true })
}

async function closedLoop(log, batch, seconds) {
  const lag = []
  const until = performance.now() + seconds * 1000
  const from = performance.now()
  const cpu = process.cpuUsage()
  let entries = 0
  while (performance.now() < until) {
    const drafts = Array.from({ length: batch }, draft)
    const asked = performance.now()
    await append(log, drafts)
    lag.push(performance.now() - asked)
    entries += batch
  }
  return figures({ from, cpu, entries, commits: lag.length, lag })
}

function openLoop(log, perSecond, seconds) {
  return new Promise((resolve) => {
    const lag = []
    const from = performance.now()
    const cpu = process.cpuUsage()
    let due = 0
    let commits = 0
    let waiting = []
    let inFlight = false
    const send = () => {
      if (inFlight || waiting.length === 0) return
      const batch = waiting
      waiting = []
      inFlight = true
      commits++
      log.append(
        batch.map((one) => one.draft),
        (outcome) => {
          inFlight = false
          if (outcome.kind !== 'done') throw new Error(outcome.code)
          const now = performance.now()
          for (const one of batch) lag.push(now - one.at)
          send()
        },
      )
    }
    const timer = setInterval(() => {
      const now = performance.now()
      const wanted = Math.min(perSecond * seconds, Math.floor(((now - from) / 1000) * perSecond))
      for (; due < wanted; due++) waiting.push({ draft: draft(), at: from + ((due + 1) / perSecond) * 1000 })
      send()
      if (due === perSecond * seconds && waiting.length === 0 && !inFlight) {
        clearInterval(timer)
        resolve(figures({ from, cpu, entries: due, commits, lag }))
      }
    }, 1)
  })
}

function figures({ from, cpu, entries, commits, lag }) {
  const used = process.cpuUsage(cpu)
  const seconds = (performance.now() - from) / 1000
  lag.sort((a, b) => a - b)
  const at = (share) => lag[Math.min(lag.length - 1, Math.floor(lag.length * share))]
  return {
    'entries/s': entries / seconds,
    'commits/s': commits / seconds,
    'cpu us/entry': (used.user + used.system) / entries,
    'cpu us/commit': (used.user + used.system) / commits,
    p50: at(0.5),
    p99: at(0.99),
    max: lag.at(-1),
  }
}

if (values.seek !== undefined) {
  console.log(`Node ${process.version}`)
  for (const count of values.seek.split(',')) await seekIn(Number(count))
  process.exit()
}

if (values.states !== undefined) {
  console.log(`Node ${process.version}`)
  await transfer(Number(values.states))
  process.exit()
}

const seconds = Number(values.seconds)
const rows = [
  ['closed, batch 1', (log) => closedLoop(log, 1, seconds)],
  ['closed, batch 64', (log) => closedLoop(log, 64, seconds)],
  ['closed, batch 512', (log) => closedLoop(log, 512, seconds)],
  ['include, batch 64', (log) => includeLoop(log, 64, seconds)],
  ['include, batch 512', (log) => includeLoop(log, 512, seconds)],
  ['open, 1,000/s', (log) => openLoop(log, 1000, seconds)],
  ['open, 40,000/s', (log) => openLoop(log, 40_000, seconds)],
].filter(([name]) => values.only === undefined || name.includes(values.only))
const results = new Map(rows.map(([name]) => [name, []]))
let driver = ''
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [name, run] of rows) {
    const directory = mkdtempSync(join(tmpdir(), 'meridian-bench-log-'))
    const log = await openSqliteLog({
      directory,
      region: 'eu-west',
      ...(values.driver === undefined ? {} : { driver: values.driver }),
      scrubBytesPerSecond: 0,
    })
    driver = log.status().driver
    await append(log, documents.map(draft))
    await new Promise((resolve) => setTimeout(resolve, 300))
    results.get(name).push(await run(log))
    await new Promise((resolve) => log.close(resolve))
    rmSync(directory, { recursive: true })
  }
}
console.log(`Node ${process.version}, ${driver}, ${values.rounds} rounds of ${seconds} s: median (min–max)`)
for (const [name, list] of results) {
  const cells = Object.keys(list[0]).map((key) => {
    const sorted = list.map((one) => one[key]).sort((a, b) => a - b)
    const print = (number) => (number >= 100 ? Math.round(number).toLocaleString('en') : number.toFixed(2))
    return `${key} ${print(sorted[Math.floor(sorted.length / 2)])} (${print(sorted[0])}–${print(sorted.at(-1))})`
  })
  console.log(`${name.padEnd(18)} ${cells.join('  ')}`)
}
