// A cluster of real nodes with proxies between them, and writers and readers on the native wire.

import { Cluster, policyOf } from '../../dist/e2e/cluster.js'
import { Resources } from '../../dist/e2e/resources.js'
import { Author, eachMarker } from '../lib/marker.mjs'
import { quantile, until } from '../lib/load.mjs'
import { wire } from '../wires/native.mjs'

export const regions = ['eu-west', 'us-east', 'ap-south']
const policy = policyOf({ bench: ['anywhere'] })

/**
 * @template T
 * @param {Record<string, any>} options of `Cluster`.
 * @param {(cluster: Cluster, resources: Resources) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function inCluster(options, work) {
  const resources = new Resources()
  try {
    const cluster = await Cluster.start(resources, { names: regions, policy, ...options })
    await cluster.settled()
    return await work(cluster, resources)
  } finally {
    await resources.dispose()
  }
}

/**
 * Documents with one writer and readers elsewhere. Each update carries its number; the first sight of it in each other region is its visibility there.
 */
export class Sightings {
  /** @type {Float64Array} when each number was sent. */
  #sentAt = new Float64Array(1 << 20)
  #next = 0
  /** Milliseconds from push to sight, by `from to`. @type {Map<string, number[]>} */
  #seen = new Map()
  #awaited = 0
  #sightings = 0
  #isMeasured = false
  #first = 0
  /** @type {{ author: Author, writer: import('../lib/types.mjs').Connection, readers: import('../lib/types.mjs').Connection[] }[]} */
  #documents = []

  /**
   * @param {Cluster} cluster
   * @param {{ documents: number, writers?: string[], readers?: string[], prefix?: string }} options
   */
  async open(cluster, { documents, writers = regions, readers = regions, prefix = 'seen' }) {
    for (let index = 0; index < documents; index++) {
      const from = writers[index % writers.length]
      const name = `bench/${prefix}-${index}`
      const connect = (/** @type {string} */ region, /** @type {object} */ hooks) =>
        wire.connect({ host: '127.0.0.1', port: cluster.node(region).port, documents: [name], ...hooks })
      const elsewhere = readers.filter((region) => region !== from)
      this.#documents.push({
        author: new Author(5_000 + index),
        writer: await connect(from, {}),
        readers: await Promise.all(
          elsewhere.map((to) => {
            const path = `${from} ${to}`
            /** @type {number[]} */
            const list = this.#seen.get(path) ?? []
            this.#seen.set(path, list)
            let newest = -1
            return connect(to, {
              onUpdate: (
                /** @type {number} */ _at,
                /** @type {Uint8Array} */ bytes,
                /** @type {number} */ start,
                /** @type {number} */ end,
              ) =>
                eachMarker(bytes, start, end, (number) => {
                  if (number <= newest) return
                  newest = number
                  this.#sightings++
                  if (this.#isMeasured && number >= this.#first) list.push(performance.now() - (this.#sentAt[number] ?? 0))
                }),
            })
          }),
        ),
      })
    }
  }

  /** Open loop. @param {{ rate: number, warmMs: number, measureMs: number }} how */
  async pace({ rate, warmMs, measureMs }) {
    const begin = performance.now()
    let sent = 0
    const total = Math.ceil((rate * (warmMs + measureMs)) / 1000)
    await new Promise((resolve) => {
      const tick = () => {
        const now = performance.now()
        if (!this.#isMeasured && now - begin >= warmMs) {
          this.#isMeasured = true
          this.#first = this.#next
        }
        const due = Math.min(total, Math.floor(((now - begin) * rate) / 1000))
        for (; sent < due; sent++) {
          const one = this.#documents[this.#next % this.#documents.length]
          if (one === undefined) break
          one.writer.push(0, one.author.type(this.#next))
          this.#sentAt[this.#next++] = performance.now()
          one.writer.flush()
          this.#awaited += one.readers.length
        }
        if (sent < total) setTimeout(tick, 1)
        else resolve(undefined)
      }
      tick()
    })
    await until(() => this.#sightings >= this.#awaited, 15_000)
    this.#isMeasured = false
  }

  get missing() {
    return this.#awaited - this.#sightings
  }

  /** @param {(path: string) => boolean} [which] by `from to`; all if absent. @returns {Float64Array} sorted milliseconds. */
  latencies(which = () => true) {
    return Float64Array.from([...this.#seen].filter(([path]) => which(path)).flatMap(([, list]) => list)).sort()
  }

  /** Between measurements. */
  clear() {
    for (const list of this.#seen.values()) list.length = 0
  }

  close() {
    for (const { writer, readers } of this.#documents) for (const connection of [writer, ...readers]) connection.close()
    this.#documents = []
  }
}

export { quantile, until }
