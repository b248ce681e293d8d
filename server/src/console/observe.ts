/** What a region says of itself, asked as anybody may ask: its metrics, and the documents of each collection that it lists. */

import type { RegionId } from '@meridian/core/ids'
import { plannedCollections, plannedRegions, tenant } from './plan.js'

export interface Holding {
  readonly collection: string
  /** Documents that the region lists; undefined where the policy keeps the collection from it. */
  readonly documents: number | undefined
  /** True if there are more than were counted. */
  readonly isMore: boolean
  /** Why it is not kept there, in the region's own words. */
  readonly refusal: string | undefined
}

export interface PeerLag {
  readonly peer: string
  readonly isLinked: boolean
  /** Entries that this region holds and the peer lacks, by the peer's last word, and the age of the oldest of them. */
  readonly entries: number
  readonly seconds: number
}

export interface Observation {
  readonly sessions: number
  readonly entries: number
  readonly refused: number
  readonly holdings: readonly Holding[]
  readonly peers: readonly PeerLag[]
}

const countMax = 500
const waitMs = 2_000

/** Undefined if the region does not answer. */
export async function observe(region: RegionId, url: string): Promise<Observation | undefined> {
  try {
    const [metrics, ...holdings] = await Promise.all([
      readMetrics(url),
      ...plannedCollections.map(({ name }) => readHolding(region, url, name)),
    ])
    return {
      sessions: metrics.sum('meridian_sessions'),
      entries: metrics.sum('meridian_entries_total'),
      refused: metrics.sum('meridian_refused_total'),
      holdings,
      peers: plannedRegions
        .map(({ name }) => name)
        .filter((peer) => peer !== region)
        .map((peer) => ({
          peer,
          isLinked: metrics.sum('meridian_link_open', { peer }) > 0,
          entries: metrics.sum('meridian_link_lag_entries', { peer }),
          seconds: metrics.greatest('meridian_link_lag_seconds', { peer }),
        })),
    }
  } catch {
    return undefined
  }
}

async function readHolding(region: RegionId, url: string, collection: string): Promise<Holding> {
  const response = await ask(`${url}/v1/collections/${tenant}/${collection}?limit=${countMax}`)
  const { documents, next, detail } = await fieldsOf(response)
  if (response.ok && Array.isArray(documents))
    return { collection, documents: documents.length, isMore: typeof next === 'string', refusal: undefined }
  const question = new URLSearchParams({ document: `${tenant}/${collection}/any`, verb: 'store', region })
  const { explanation = detail } = await fieldsOf(await ask(`${url}/v1/policies/${tenant}/explain?${question.toString()}`))
  return { collection, documents: undefined, isMore: false, refusal: typeof explanation === 'string' ? explanation : undefined }
}

async function fieldsOf(response: Response): Promise<Partial<Record<string, unknown>>> {
  const body: unknown = await response.json()
  return typeof body === 'object' && body !== null ? { ...body } : {}
}

const ask = (url: string): Promise<Response> => fetch(url, { signal: AbortSignal.timeout(waitMs) })

/** Samples of the text format of Prometheus. */
export class Samples {
  readonly #samples: readonly { readonly name: string; readonly labels: ReadonlyMap<string, string>; readonly value: number }[]

  constructor(text: string) {
    this.#samples = text.split('\n').flatMap((line) => {
      const match = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
      if (match === null) return []
      const labels = [...(match[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value] as const)
      return [{ name: match[1] ?? '', labels: new Map(labels), value: Number(match[3]) }]
    })
  }

  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#values(name, labels).reduce((sum, value) => sum + value, 0)
  }

  /** 0 if there is none. */
  greatest(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return Math.max(0, ...this.#values(name, labels))
  }

  /** All values of a label, each once. */
  labels(name: string, label: string): string[] {
    return [
      ...new Set(this.#samples.filter((sample) => sample.name === name).flatMap((sample) => sample.labels.get(label) ?? [])),
    ]
  }

  #values(name: string, labels: Readonly<Record<string, string>>): number[] {
    return this.#samples
      .filter(
        (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels.get(key) === value),
      )
      .map(({ value }) => value)
  }
}

const readMetrics = async (url: string): Promise<Samples> => new Samples(await (await ask(`${url}/metrics`)).text())
