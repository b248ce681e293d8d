/**
 * A region with many clients that edit dies, by `kill -9` or by a cut that nobody is told of: all go on in the next one (CLI3). What a region saved
 * is not lost, though its disk is, and nothing is there twice.
 *
 * `FAILOVER_FULL=1`: 200 clients, and says how long it took until the first write was saved; otherwise fewer.
 */

import { rm } from 'node:fs/promises'
import type { Handle } from '@meridian/client'
import { connect, type Store } from '@meridian/client'
import { afterEach, expect, it } from 'vitest'
import { Cluster } from './cluster.js'
import { readFresh } from './devices.js'
import { Resources } from './resources.js'
import { every, onDocument, onHandle, onStore, pause, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const isFull = process.env['FAILOVER_FULL'] === '1'
const clientCount = isFull ? 200 : 20
const documentCount = clientCount / 10
const editEveryMs = 500
const names = ['eu-west', 'us-east', 'ap-south']

const listOf = (handle: Handle) => handle.ydoc.getArray<string>('list')
const regionOf = ({ status: { connection } }: Store): string =>
  connection.kind === 'online' ? connection.region : connection.kind

/** Somebody who adds a line now and then, and knows which ones were saved. */
class Writer {
  readonly store: Store
  readonly handle: Handle
  readonly made: string[] = []
  readonly saved = new Set<string>()
  readonly #name: string
  #timer: NodeJS.Timeout | undefined

  constructor(cluster: Cluster, index: number) {
    this.#name = `writer ${index}`
    this.store = connect({ url: cluster.door('eu-west').url })
    this.handle = this.store.open(`notes/${index % documentCount}`)
  }

  begin(): void {
    this.#timer = setInterval(() => {
      // What a test that ends leaves unsaved is no failure of its own.
      this.write().catch(() => undefined)
    }, editEveryMs)
  }

  /** Resolves when it is saved. */
  async write(): Promise<void> {
    const text = `${this.#name}: ${this.made.length}`
    this.made.push(text)
    listOf(this.handle).push([text])
    await this.handle.saved()
    this.saved.add(text)
  }

  end(): void {
    clearInterval(this.#timer)
  }

  async dispose(): Promise<void> {
    this.end()
    await this.store.close()
  }
}

const percentile = (sorted: readonly number[], share: number): number =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)

interface Loss {
  readonly how: 'kill' | 'cut'
  lose(cluster: Cluster): Promise<void>
  /** After everybody went on elsewhere. */
  after(cluster: Cluster): Promise<void>
}

const losses: readonly Loss[] = [
  {
    how: 'kill',
    lose: async (cluster) => void (await cluster.node('eu-west').kill()),
    after: (cluster) => rm(cluster.node('eu-west').directory, { recursive: true }),
  },
  {
    how: 'cut',
    lose: (cluster) => Promise.resolve(cluster.silence('eu-west')),
    // What it has saved and nobody else knows is gone as well.
    after: async (cluster) => {
      await cluster.node('eu-west').kill()
      await rm(cluster.node('eu-west').directory, { recursive: true })
    },
  },
]

it.each(losses)(
  '[CLI3] [SES2] [SES5] given a region whose clients edit, when it is lost ($how) and then its disk, then all go on in the next one, and nothing is lost or doubled',
  async ({ how, lose, after }) => {
    const cluster = await Cluster.start(resources, { names })
    const writers = Array.from({ length: clientCount }, (_, index) => resources.own(new Writer(cluster, index)))
    await Promise.all(writers.map(({ handle }) => within(handle.ready, 'a client')))
    for (const { store } of writers)
      await until(() => store.regions.length === names.length, every(20), { what: 'the list of regions' })
    for (const writer of writers) writer.begin()
    await Promise.all(writers.map((writer) => within(writer.write(), 'a first edit to be saved')))
    await pause(2_000)

    const lostAt = performance.now()
    const tookMs: number[] = []
    await lose(cluster)
    const firsts = writers.map(async (writer) => {
      await writer.write()
      tookMs.push(performance.now() - lostAt)
    })
    await within(Promise.all(firsts), () => `first edits to be saved: ${tookMs.length} of ${clientCount} were`)
    tookMs.sort((a, b) => a - b)
    // Not where it was: by a cut, an ack of what had arrived may come after all, and did not.
    for (const { store } of writers)
      await until(() => names.slice(1).includes(regionOf(store)), onStore(store), {
        what: () => `a region, not ${regionOf(store)}`,
      })
    await after(cluster)
    await pause(1_000)
    for (const writer of writers) writer.end()
    for (const { handle } of writers) await until(() => handle.pending === 0, onHandle(handle), { what: 'all to be saved' })
    for (let index = 0; index < documentCount; index++) {
      const expected = writers.filter((_, writer) => writer % documentCount === index).flatMap(({ made }) => made)
      const isThere = (list: readonly string[]): boolean => list.length >= expected.length
      for (const { handle } of writers.filter((_, writer) => writer % documentCount === index)) {
        await until(() => isThere(listOf(handle).toArray()), onDocument(handle.ydoc), { what: 'all lines at a client' })
        expect(listOf(handle).toArray().sort()).toEqual(expected.sort())
      }
      for (const name of names.slice(1)) {
        let list: string[] = []
        const read = async (): Promise<boolean> => {
          const url = cluster.node(name).url
          list = await readFresh(url, `notes/${index}`, (ydoc) => ydoc.getArray<string>('list').toArray())
          return isThere(list)
        }
        for (let round = 0; round < 100 && !(await read()); round++) await pause(100)
        expect(list.sort(), `notes/${index} in ${name}`).toEqual(expected.sort())
      }
    }
    if (isFull) {
      const where = names.map((name) => `${name} ${writers.filter(({ store }) => regionOf(store) === name).length}`)
      const times = [0.5, 0.99, 1].map((share) => `${percentile(tookMs, share)} ms`)
      console.info(
        `${how}, ${clientCount} clients, first saved write: p50, p99 and last ${times.join(', ')}; now in ${where.join(', ')}`,
      )
    }
  },
  180_000,
)
