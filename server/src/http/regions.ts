/**
 * `GET /v1/regions`: which regions there are, where each is, and where clients reach it. From the cluster file, in which nothing is secret, so
 * it asks no token, as `/version` does not. Clients keep it, and measure by it how far each region is (docs/http.md).
 */

import type { RegionId } from '@meridian/core/ids'
import { isPlace, type Topology } from '@meridian/regions/topology'

export const regionsPath = '/v1/regions'

export interface ListedRegion {
  readonly region: string
  /** Null for a node that is in no cluster: nobody has said. */
  readonly jurisdiction: string | null
  /** Null for a node that is in no cluster: it is where it was asked. */
  readonly url: string | null
  /** `leaving`: it still serves what it has, and nobody should go there anew. */
  readonly state: 'active' | 'leaving'
}

export interface RegionList {
  /** The region that answers. */
  readonly region: string
  /** In the order of the cluster file. */
  readonly regions: readonly ListedRegion[]
}

/** @param topology undefined: the node is alone. */
export function regionList(region: RegionId, topology: Topology | undefined): RegionList {
  if (topology === undefined) return { region, regions: [{ region, jurisdiction: null, url: null, state: 'active' }] }
  const regions: ListedRegion[] = []
  for (const one of topology.regions.values()) {
    if (!isPlace(one)) continue
    const state = one.state === 'leaving' ? 'leaving' : 'active'
    regions.push({ region: one.name, jurisdiction: one.jurisdiction, url: one.clientUrl, state })
  }
  return { region, regions }
}
