/**
 * The cluster: which regions there are, in which jurisdictions, and which of them are linked. Every node of a cluster has the same file, and
 * nothing in it is secret. A region is known by what stands here and never by what it says of itself (RES2).
 *
 * ```yaml
 * version: 1
 * regions:
 *   eu-west:
 *     jurisdiction: IE
 *     operator: example-hosting
 *     operatorLaw: IE
 *     client: wss://eu-west.example.com
 *     link: wss://eu-west.example.com/v1/link
 *     publicKey: <Ed25519, 32 bytes in base64>
 *   us-old: { …, state: replaced, replacedBy: us-east }
 * without: [[eu-west, ap-south]]
 * ```
 *
 * Regions are added at the end: where a placement wants fewer copies than regions may hold one, the order of this file decides after the
 * placement's own preference, and so a new region takes nothing over. The name of a region that is gone is never used again, because its
 * dots are for ever (LOG2); its line stays.
 */

import type { RegionId } from '@meridian/core/ids'
import { parseRegion } from '@meridian/core/ids'
import { isJurisdiction, type Jurisdiction } from './areas/jurisdiction.js'
import { type Finding, Plain } from './plain.js'

export const topologyVersion = 1

/**
 * `active`: holds and serves. `leaving`: still holds what it held, while others take over; nobody is sent there. `removed`, `replaced`: is no
 * place any more; what it wrote stays under its name.
 */
export type RegionState = 'active' | 'leaving' | 'removed' | 'replaced'
const states: readonly RegionState[] = ['active', 'leaving', 'removed', 'replaced']

export interface Region {
  readonly name: RegionId
  /** The country whose law holds at the site. */
  readonly jurisdiction: Jurisdiction
  /** Who runs the site. */
  readonly operator: string
  /** The home law of the operator; undefined if the file does not say. */
  readonly operatorLaw: Jurisdiction | undefined
  /** Where clients connect. */
  readonly clientUrl: string
  /** Where other regions connect. */
  readonly linkUrl: string
  /** Ed25519, 32 bytes in base64; what the region proves itself with on a link. */
  readonly publicKey: string
  readonly state: RegionState
  /** The region that stands for it now; only of a replaced one. */
  readonly replacedBy: RegionId | undefined
}

export interface Topology {
  /** In the order of the file. */
  readonly regions: ReadonlyMap<RegionId, Region>
  /** Pairs without a link, as `linkName` names them. */
  readonly without: ReadonlySet<string>
}

export type TopologyOutcome =
  | { readonly kind: 'parsed'; readonly topology: Topology; readonly warnings: readonly Finding[] }
  | { readonly kind: 'invalid'; readonly findings: readonly Finding[] }

export const regionPattern = /^[a-z0-9][a-z0-9-]{0,62}$/
export const regionExpected = '1 to 63 of a-z, 0-9 and -, not beginning with -'
/** 43 characters of base64 and one `=` are 32 bytes; the last character holds four bits only. */
const keyPattern = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/
const urlPattern = /^(?:https?|wss?):\/\/([^/?#\s@]+)(?:\/[^?#\s]*)?$/
const linkUrlPattern = /^wss?:\/\/([^/?#\s@]+)(?:\/[^?#\s]*)?$/
const loopbackPattern = /^(?:127(?:\.[0-9]{1,3}){3}|localhost|\[::1\])(?::[0-9]+)?$/

/** A cluster file's values as a topology, or everything that is wrong with it. */
export function parseTopology(value: unknown): TopologyOutcome {
  const top = new Plain(value)
  const { findings } = top
  if (!top.isMapping(['version', 'regions', 'without'])) return { kind: 'invalid', findings }
  top.at('version').count(topologyVersion, topologyVersion)
  const regions = new Map<RegionId, Region>()
  for (const [name, plain] of top.at('regions').entries(regionPattern, regionExpected)) {
    const region = readRegion(parseRegion(name), plain)
    if (region !== undefined) regions.set(region.name, region)
  }
  if (regions.size === 0 && findings.length === 0) top.at('regions').refuse('name at least one region')
  const without = readWithout(top.at('without'), regions)
  const topology = { regions, without }
  checkReplaced(top.at('regions'), topology)
  checkKeys(top.at('regions'), topology)
  if (findings.length === 0) checkConnected(top, topology)
  if (findings.some(({ level }) => level === 'error')) return { kind: 'invalid', findings }
  return { kind: 'parsed', topology, warnings: findings }
}

/** The name of the link between two regions, the same from both ends. */
export const linkName = (one: RegionId, other: RegionId): string => (one < other ? `${one} ${other}` : `${other} ${one}`)

/** Whether bytes may be there at all, before any policy is asked. */
export const isPlace = (region: Region): boolean => region.state === 'active' || region.state === 'leaving'

/** Whether two regions keep a link: both are places, and the file does not leave the link out. */
export function areLinked(topology: Topology, one: RegionId, other: RegionId): boolean {
  const a = topology.regions.get(one)
  const b = topology.regions.get(other)
  return (
    one !== other && a !== undefined && b !== undefined && isPlace(a) && isPlace(b) && !topology.without.has(linkName(one, other))
  )
}

/** The regions that this one keeps links with, in the order of the file. */
export const peersOf = (topology: Topology, region: RegionId): readonly Region[] =>
  [...topology.regions.values()].filter((other) => areLinked(topology, region, other.name))

/** The region that proves itself with this key; undefined for a stranger and for one that is gone. */
export function regionOfKey(topology: Topology, publicKey: string): Region | undefined {
  for (const region of topology.regions.values()) if (region.publicKey === publicKey && isPlace(region)) return region
  return undefined
}

/** Whether entries get from each of these regions to each other without leaving them (RES5: no other region may relay them). */
export function areConnected(topology: Topology, names: readonly RegionId[]): boolean {
  const [first] = names
  if (first === undefined) return true
  const reached = new Set([first])
  for (const from of reached) for (const to of names) if (areLinked(topology, from, to)) reached.add(to)
  return reached.size === new Set(names).size
}

function readRegion(name: RegionId, plain: Plain): Region | undefined {
  const fields = ['jurisdiction', 'operator', 'operatorLaw', 'client', 'link', 'publicKey', 'state', 'replacedBy']
  if (!plain.isMapping(fields)) return undefined
  const jurisdiction = readJurisdiction(plain.at('jurisdiction'))
  const operator = plain.at('operator').text(/^\S.{0,126}\S$/, 'who runs the site, 2 to 128 characters')
  const law = plain.at('operatorLaw')
  const operatorLaw = law.isAbsent ? undefined : readJurisdiction(law)
  const clientUrl = readUrl(plain.at('client'), urlPattern, 'an address such as wss://eu-west.example.com')
  const linkUrl = readUrl(plain.at('link'), linkUrlPattern, 'an address such as wss://eu-west.example.com/v1/link')
  const publicKey = plain.at('publicKey').text(keyPattern, 'an Ed25519 public key: 32 bytes in base64, 44 characters')
  const given = plain.at('state')
  const state = given.isAbsent ? 'active' : given.oneOf(states)
  const successor = plain.at('replacedBy')
  const by = successor.isAbsent ? undefined : successor.text(regionPattern, 'the name of a region')
  if (jurisdiction === undefined || operator === undefined || clientUrl === undefined || linkUrl === undefined) return undefined
  if (publicKey === undefined || state === undefined) return undefined
  const replacedBy = by === undefined ? undefined : parseRegion(by)
  return { name, jurisdiction, operator, operatorLaw, clientUrl, linkUrl, publicKey, state, replacedBy }
}

function readJurisdiction(plain: Plain): Jurisdiction | undefined {
  const code = plain.text(/^[A-Z]{2}$/, 'a country code of ISO 3166-1, such as IE')
  if (code === undefined) return undefined
  return isJurisdiction(code) ? code : plain.refuse(`${code} is no country code of ISO 3166-1`)
}

/** Bytes of documents cross the network between machines only under TLS. */
function readUrl(plain: Plain, pattern: RegExp, expected: string): string | undefined {
  const url = plain.text(pattern, expected)
  if (url === undefined) return undefined
  const host = pattern.exec(url)?.[1] ?? ''
  const plainText = url.startsWith('ws:') || url.startsWith('http:')
  if (plainText && !loopbackPattern.test(host))
    return plain.refuse('outside of this machine an address begins with wss:// or https://')
  return url
}

function readWithout(plain: Plain, regions: ReadonlyMap<RegionId, Region>): Set<string> {
  const pairs = new Set<string>()
  for (const pair of plain.items()) {
    const names = pair.items().map((item) => {
      const name = item.text(regionPattern, 'the name of a region')
      if (name === undefined) return undefined
      const region = parseRegion(name)
      return regions.has(region) ? region : item.refuse('there is no such region')
    })
    const [one, other] = names
    if (names.length !== 2) pair.refuse('expected two regions, such as [eu-west, us-east]')
    else if (one !== undefined && one === other) pair.refuse('a region has no link with itself; name two')
    else if (one !== undefined && other !== undefined) pairs.add(linkName(one, other))
  }
  return pairs
}

function checkReplaced(plain: Plain, { regions }: Topology): void {
  for (const region of regions.values()) {
    const at = plain.at(region.name).at('replacedBy')
    const { replacedBy } = region
    if (region.state !== 'replaced') {
      if (replacedBy !== undefined)
        at.refuse('only a region in the state replaced is replaced by another; set its state, or take this out')
      continue
    }
    if (replacedBy === undefined) at.refuse('name the region that stands for it now')
    else if (replacedBy === region.name) at.refuse('a region is not replaced by itself; give the new one a name of its own')
    else if (!regions.has(replacedBy)) at.refuse('there is no such region')
  }
}

function checkKeys(plain: Plain, { regions }: Topology): void {
  const owners = new Map<string, RegionId>()
  for (const region of regions.values()) {
    const owner = owners.get(region.publicKey)
    if (owner === undefined) owners.set(region.publicKey, region.name)
    else plain.at(region.name).at('publicKey').refuse(`${owner} has this key already; each region has one of its own`)
  }
}

function checkConnected(top: Plain, topology: Topology): void {
  const places = [...topology.regions.values()].filter(isPlace).map(({ name }) => name)
  if (!areConnected(topology, places)) {
    top.at('without').refuse('some regions cannot reach each other over the links that are left; take a pair out of this list')
  }
}
