/**
 * A cluster on one machine, to look at: three regions in three jurisdictions, each with a port, a folder and a key of its own, and between each two
 * of them a switch, by which a link is cut and healed. Here is what it is made of; nothing is started.
 */

import { parseRegion, type RegionId } from '@meridian/core/ids'
import { stringify } from 'yaml'

export interface PlannedRegion {
  readonly name: RegionId
  /** ISO 3166-1. */
  readonly jurisdiction: string
  /** As people call it. */
  readonly place: string
  readonly port: number
}

/** Port of the page; the regions follow. */
export const pagePort = 7100

export const plannedRegions: readonly PlannedRegion[] = [
  { name: parseRegion('eu-west'), jurisdiction: 'IE', place: 'Ireland', port: pagePort + 1 },
  { name: parseRegion('us-east'), jurisdiction: 'US', place: 'United States', port: pagePort + 2 },
  { name: parseRegion('ap-south'), jurisdiction: 'IN', place: 'India', port: pagePort + 3 },
]

export interface Pair {
  readonly one: RegionId
  readonly other: RegionId
}

/** Each two of them, once. */
export function pairsOf(regions: readonly PlannedRegion[]): Pair[] {
  return regions.flatMap(({ name: one }, index) => regions.slice(index + 1).map(({ name: other }) => ({ one, other })))
}

/** Tenant that nobody needs a token for, on a node in development mode. */
export const tenant = 'dev'

export interface PlannedCollection {
  readonly name: string
  /** Where its documents may be, for people. */
  readonly where: string
}

export const plannedCollections: readonly PlannedCollection[] = [
  { name: 'notes', where: 'anywhere' },
  { name: 'eu-notes', where: 'in the EEA only' },
  { name: 'us-notes', where: 'in the US only' },
]

/** What the sample says: one collection that may be anywhere, two that are pinned. */
export const samplePolicy = `# Where the notes of tenant ${tenant} may be. Written at the first start; edit it, and start again.
version: 1
tenant: ${tenant}
areas:
  EEA: 2026-01
placements:
  everywhere:
    store: { in: [anywhere] }
    access: { in: [anywhere] }
  europe:
    store: { in: [EEA] }
    access: { in: [EEA] }
    transit: { in: [EEA] }
    backup: { in: [EEA] }
  america:
    store: { in: [US] }
    access: { in: [US] }
    transit: { in: [US] }
    backup: { in: [US] }
collections:
  notes: { placement: everywhere }
  eu-notes: { placement: europe }
  us-notes: { placement: america }
`

export interface ClusterView {
  /** Public keys as in a cluster file. */
  readonly publicKeyOf: (region: RegionId) => string
  /** Port at which the links of this region to that one enter. */
  readonly linkPortOf: (to: RegionId) => number
}

/** The cluster file as one region reads it: all alike but for where its links enter. */
export function clusterFile(regions: readonly PlannedRegion[], { publicKeyOf, linkPortOf }: ClusterView): string {
  const rows = regions.map(({ name, jurisdiction, port }) => [
    name,
    {
      jurisdiction,
      operator: 'this-machine',
      client: `http://127.0.0.1:${port}`,
      link: `ws://127.0.0.1:${linkPortOf(name)}/v1/link`,
      publicKey: publicKeyOf(name),
    },
  ])
  return stringify({ version: 1, regions: Object.fromEntries(rows) })
}
