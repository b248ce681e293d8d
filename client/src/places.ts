/**
 * The regions that a client knows: those that the app was configured with, and those that any of them has named. What it learns it keeps on
 * the device, so that it can go on when the region that it knew first is gone. Pure; which of them is used is `locate.ts`'s to say.
 */

import type { RegionId } from '@meridian/core/ids'
import { parseRegion } from '@meridian/core/ids'
import { syncUrl, syncUrls } from './sync-url.js'

export interface Place {
  /** The WebSocket URL to dial. */
  readonly url: string
  /** What `GET /v1/regions` is asked at. */
  readonly listUrl: string
  /** The app was configured with it. */
  readonly isGiven: boolean
  /** Undefined until one has said who it is. */
  region: RegionId | undefined
  /** The country whose law holds there; undefined until a list has said so. */
  jurisdiction: string | undefined
  /** It serves what it has, and nobody should go there anew. */
  isLeaving: boolean
  /** Milliseconds of the quickest of the newest answers; undefined until one came. */
  roundTripMs: number | undefined
  /** Nobody goes there before that, unless nothing else answers: it was found and did not hold, in monotonic milliseconds. */
  avoidUntilMs: number
  /** How often in a row a connection to it did not hold. */
  failureCount: number
}

/** A region as an app sees it. */
export interface RegionInfo {
  readonly region: RegionId
  /** The country whose law holds there, as the cluster file says; undefined if nobody has said. */
  readonly jurisdiction: string | undefined
  /** Milliseconds of a round trip; undefined while it was not measured. */
  readonly roundTripMs: number | undefined
}

interface Listed {
  readonly region: RegionId
  readonly jurisdiction: string | undefined
  readonly url: string | undefined
  readonly isLeaving: boolean
}

export class Places {
  readonly #given: Place[]
  #places: Place[]
  /** What is to be kept on the device changed. */
  isChanged = false
  /** A list was read: these are all there are. */
  isListed = false
  /** The URL of the place that served last. */
  last: string | undefined

  /** @param urls what the app was configured with, the one that it likes best first. @throws MeridianError CONFIG_INVALID */
  constructor(urls: readonly string[]) {
    this.#given = syncUrls(urls).map((url) => place(url, true))
    this.#places = [...this.#given]
  }

  /** In the order in which they are liked as long as nothing else is known: the app's, then those of the list. */
  get all(): readonly Place[] {
    return this.#places
  }

  /** Those that have a name by now. */
  get named(): RegionInfo[] {
    const found: RegionInfo[] = []
    for (const { region, jurisdiction, roundTripMs } of this.#places)
      if (region !== undefined && !found.some((one) => one.region === region)) found.push({ region, jurisdiction, roundTripMs })
    return found
  }

  get regionCount(): number {
    return new Set(this.#places.map(({ region, url }) => region ?? url)).size
  }

  /** The place of a region, at this address if it was not known. Undefined if the address is none that may be dialled. */
  of(region: RegionId, url: string): Place | undefined {
    return (
      this.#places.find((one) => one.region === region) ?? this.#list({ region, url, jurisdiction: undefined, isLeaving: false })
    )
  }

  /** The first connection leads there. */
  served({ url }: Place): void {
    if (this.last === url) return
    this.last = url
    this.isChanged = true
  }

  /** A node has answered on a connection to this place. */
  name(found: Place, region: RegionId): void {
    if (found.region === region) return
    found.region = region
    this.#places = this.#places.filter((one) => one === found || one.isGiven || one.region !== region)
    this.isChanged = true
  }

  /** What `GET /v1/regions` answered there. Bytes that are no such answer are none. @returns whether it was one. */
  learn(from: Place, text: string): boolean {
    const answer = parseList(text)
    if (answer === undefined) return false
    const before = JSON.stringify(this.#listed())
    if (answer.region !== undefined) from.region = answer.region
    this.#adopt(answer.regions)
    if (before !== JSON.stringify(this.#listed())) this.isChanged = true
    return true
  }

  /** What the device keeps. */
  encode(): string {
    this.isChanged = false
    return JSON.stringify({ last: this.last, regions: this.#listed() })
  }

  /** What an earlier opening kept. */
  found(text: string): void {
    const answer = parseList(text)
    if (answer === undefined) return
    this.#adopt(answer.regions)
    this.last = answer.last
  }

  #listed(): object[] {
    return this.#places.map(({ region = '', jurisdiction = null, url, isLeaving }) => {
      return { region, jurisdiction, url, state: isLeaving ? 'leaving' : 'active' }
    })
  }

  #adopt(regions: readonly Listed[]): void {
    this.isListed = true
    const names = new Set(regions.map(({ region }) => region))
    this.#places = this.#places.filter((one) => one.isGiven || (one.region !== undefined && names.has(one.region)))
    for (const listed of regions) {
      // The app's own address of a region works where the app is; the list's may not.
      const known = this.#places.find((one) => one.region === listed.region) ?? this.#list(listed)
      if (known === undefined) continue
      known.jurisdiction = listed.jurisdiction
      known.isLeaving = listed.isLeaving
    }
  }

  #list({ region, url }: Listed): Place | undefined {
    if (url === undefined) return undefined
    let dialled: string
    try {
      dialled = syncUrl(url)
    } catch {
      return undefined
    }
    // Tokens go to where a node says that regions are, and never from an encrypted connection to an open one.
    if (this.#given.every((one) => one.url.startsWith('wss:')) && !dialled.startsWith('wss:')) return undefined
    const known = this.#places.find((one) => one.url === dialled)
    if (known !== undefined) {
      known.region ??= region
      return known
    }
    const added = place(dialled, false)
    added.region = region
    this.#places.push(added)
    this.isChanged = true
    return added
  }
}

const place = (url: string, isGiven: boolean): Place => ({
  url,
  listUrl: url.replace(/^ws/, 'http').replace(/\/v1\/sync$/, '/v1/regions'),
  isGiven,
  region: undefined,
  jurisdiction: undefined,
  isLeaving: false,
  roundTripMs: undefined,
  avoidUntilMs: Number.NEGATIVE_INFINITY,
  failureCount: 0,
})

/** Regions of a list that are read; a cluster has a few. */
const regionsMax = 64

interface Answer {
  readonly region: RegionId | undefined
  readonly last: string | undefined
  readonly regions: readonly Listed[]
}

/** Undefined for what is no list; what is no region in it is passed over. */
function parseList(text: string): Answer | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { region, last, regions } = fieldsOf(value)
  if (!Array.isArray(regions)) return undefined
  const listed: Listed[] = []
  for (const one of regions.slice(0, regionsMax)) {
    const { region: name, jurisdiction, url, state } = fieldsOf(one)
    const id = nameOf(name)
    if (id === undefined) continue
    listed.push({ region: id, jurisdiction: textOf(jurisdiction), url: textOf(url), isLeaving: state === 'leaving' })
  }
  return { region: nameOf(region), last: textOf(last), regions: listed }
}

function nameOf(value: unknown): RegionId | undefined {
  try {
    return typeof value === 'string' ? parseRegion(value) : undefined
  } catch {
    return undefined
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
