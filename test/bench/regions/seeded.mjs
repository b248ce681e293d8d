// Two regions, one of which begins with a store of many documents.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Cluster } from '../../dist/e2e/cluster.js'
import { Resources } from '../../dist/e2e/resources.js'
import { Author, eachMarker } from '../lib/marker.mjs'
import { sleep, until } from '../lib/load.mjs'
import { wire } from '../wires/native.mjs'

const seeder = fileURLToPath(new URL('../lib/seed.mjs', import.meta.url))
const names = ['eu-west', 'us-east']
const policy = {
  version: 1,
  tenant: 'dev',
  placements: { default: { store: { in: ['anywhere'] }, access: { in: ['anywhere'] } } },
  collections: { bench: { placement: 'default' } },
}
/** Of a join of a million documents. */
const limitMs = 900_000

/**
 * @typedef {object} World
 * @property {Cluster} cluster
 * @property {{ bytes: number, firstMs: number }} wan bytes on the socket between the two, both ways, and when the first of them came.
 */

const rssMb = (/** @type {number | undefined} */ pid) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid ?? 'self'}/status`, 'utf8'))?.[1] ?? 0) / 1024
const peakMb = (/** @type {number | undefined} */ pid) =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid ?? 'self'}/status`, 'utf8'))?.[1] ?? 0) / 1024

/** Until both say that they hold the same, and a document of the far end is there. @param {Cluster} cluster @param {number} documents */
async function inStep(cluster, documents) {
  const begin = performance.now()
  const isThere = async () => {
    const answer = await fetch(`${cluster.node('us-east').url}/v1/documents/dev/bench/seed-${documents - 1}`)
    await answer.arrayBuffer()
    return answer.status === 200
  }
  while (!(await isThere())) {
    if (performance.now() - begin > limitMs) throw new Error('the second region does not get what the first one holds')
    await sleep(100)
  }
}

/** @template T @param {number} documents @param {(world: World, resources: Resources) => Promise<T>} work */
async function begin(documents, work) {
  const resources = new Resources()
  try {
    const wan = { bytes: 0, firstMs: 0 }
    const tap = () => (/** @type {Buffer} */ piece) => {
      if (wan.bytes === 0) wan.firstMs = performance.now()
      wan.bytes += piece.length
    }
    const cluster = await Cluster.start(resources, { names, later: names, policy, tap, flags: ['--link-dial-ms', '200'] })
    const directory = join(dirname(cluster.fileOf('eu-west')), 'data')
    await promisify(execFile)(process.execPath, [seeder, directory, String(documents)])
    cluster.write(names)
    await cluster.start('eu-west')
    return await work({ cluster, wan }, resources)
  } finally {
    await resources.dispose()
  }
}

/** @param {number} documents */
export const joinSeeded = (documents) =>
  begin(documents, async ({ cluster, wan }) => {
    const giver = cluster.node('eu-west')
    await sleep(1_000)
    const before = rssMb(giver.pid)
    await cluster.start('us-east')
    cluster.write(names)
    const from = performance.now()
    await inStep(cluster, documents)
    const seconds = (performance.now() - Math.max(from, wan.firstMs)) / 1000
    return {
      seconds,
      documentsPerS: documents / seconds,
      megabytesPerS: wan.bytes / 1e6 / seconds,
      bytesEach: wan.bytes / documents,
      giverMb: peakMb(giver.pid) - before,
      joinerMb: peakMb(cluster.node('us-east').pid),
    }
  })

/** @template T @param {{ documents: number }} options @param {(world: World) => Promise<T>} work @returns {Promise<T>} */
export const seededCluster = ({ documents }, work) =>
  begin(documents, async (world) => {
    await world.cluster.start('us-east')
    world.cluster.write(names)
    await inStep(world.cluster, documents)
    await world.cluster.settled(limitMs)
    return work(world)
  })

/**
 * Cuts the link, does something, heals it.
 * @param {World} world @param {() => Promise<(() => Promise<void>) | undefined>} work what it returns waits until the other region has all.
 */
export async function settledBytes({ cluster, wan }, work) {
  const proxy = cluster.proxy('eu-west', 'us-east')
  proxy.refuse()
  await sleep(500)
  const arrived = await work.call(undefined)
  wan.bytes = 0
  cluster.heal('eu-west', 'us-east')
  if (!(await until(() => wan.bytes > 0, 30_000))) throw new Error('the link is not dialled')
  await (arrived?.() ?? sleep(800))
  const ms = performance.now() - wan.firstMs
  await sleep(300)
  return { bytes: wan.bytes, ms }
}

/**
 * Entries in some documents of the first region.
 * @param {World} world @param {number} entries @param {number} documents
 * @returns {Promise<() => Promise<void>>} waits until the second has them.
 */
export async function writeMissed({ cluster }, entries, documents) {
  const open = (/** @type {string} */ region, /** @type {string} */ name, /** @type {object} */ hooks) =>
    wire.connect({ host: '127.0.0.1', port: cluster.node(region).port, documents: [name], ...hooks })
  const names = Array.from({ length: documents }, (_, index) => `bench/missed-${Math.random().toString(36).slice(2)}-${index}`)
  const numbers = new Set()
  const readers = await Promise.all(
    names.map((name) =>
      open('us-east', name, {
        onUpdate: (
          /** @type {number} */ _at,
          /** @type {Uint8Array} */ bytes,
          /** @type {number} */ start,
          /** @type {number} */ end,
        ) => eachMarker(bytes, start, end, (number) => numbers.add(number)),
      }),
    ),
  )
  let acked = 0
  const writers = await Promise.all(
    names.map((name) =>
      open('eu-west', name, { onAck: (/** @type {number} */ from, /** @type {number} */ to) => (acked += to - from + 1) }),
    ),
  )
  const authors = names.map((_, index) => new Author(9_000 + index))
  for (let number = 0; number < entries; number++) {
    writers[number % documents]?.push(0, authors[number % documents]?.type(number) ?? new Uint8Array(0))
    writers[number % documents]?.flush()
    if (number % 50 === 49) await sleep(5)
  }
  if (!(await until(() => acked === entries, 30_000))) throw new Error(`${acked} of ${entries} were saved`)
  for (const one of writers) one.close()
  return async () => {
    const isThere = await until(() => numbers.size === entries, 60_000)
    for (const one of readers) one.close()
    if (!isThere) throw new Error(`${numbers.size} of ${entries} came`)
  }
}
