/**
 * Places in rules, and places that are asked about. A rule names regions (`eu-west`), jurisdictions (`IE`), areas (`EEA`), or `anywhere`; asked
 * about is a region, or the jurisdiction that a client's token or connection attests.
 */

import type { RegionId } from '@meridian/core/ids'
import { type Area, isMember } from '../areas/area.js'
import type { Jurisdiction } from '../areas/jurisdiction.js'
import type { Region } from '../topology.js'

export type PlaceTerm =
  | { readonly kind: 'anywhere' }
  | { readonly kind: 'region'; readonly region: RegionId }
  | { readonly kind: 'jurisdiction'; readonly code: Jurisdiction }
  | { readonly kind: 'area'; readonly area: Area }

/** Where something would happen: at a region, or where a client is; undefined if nobody attests where that is. */
export type Place =
  | { readonly kind: 'region'; readonly region: RegionId }
  | { readonly kind: 'client'; readonly jurisdiction: Jurisdiction | undefined }

/** What the cluster file knows of a place. */
export interface KnownPlace {
  readonly region: Region | undefined
  readonly jurisdiction: Jurisdiction | undefined
}

export interface Moment {
  readonly nowMs: number
  /** How far the clock may be off, in milliseconds. */
  readonly skewMs: number
}

export function formatTerm(term: PlaceTerm): string {
  switch (term.kind) {
    case 'anywhere':
      return 'anywhere'
    case 'region':
      return term.region
    case 'jurisdiction':
      return term.code
    case 'area':
      return term.area.name
  }
}

/** Whether a place is surely among what an `in` names. `anywhere` takes in a place that nobody knows. */
export function isWithin(terms: readonly PlaceTerm[], place: KnownPlace, moment: Moment): boolean {
  for (const term of terms) {
    switch (term.kind) {
      case 'anywhere':
        return true
      case 'region':
        if (place.region?.name === term.region) return true
        break
      case 'jurisdiction':
        if (place.jurisdiction === term.code) return true
        break
      case 'area':
        if (place.jurisdiction !== undefined && isMember(term.area, place.jurisdiction, moment.nowMs, moment.skewMs)) return true
        break
    }
  }
  return false
}

/** The first of what a `not` names that a place may be in: a place that nobody knows may be in each, and a member that was one still is. */
export function excludedBy(terms: readonly PlaceTerm[], place: KnownPlace): PlaceTerm | undefined {
  return terms.find((term) => {
    switch (term.kind) {
      case 'anywhere':
        return true
      case 'region':
        return place.region?.name === term.region
      case 'jurisdiction':
        return place.jurisdiction === undefined || place.jurisdiction === term.code
      case 'area':
        return place.jurisdiction === undefined || term.area.members.has(place.jurisdiction)
    }
    return true
  })
}
