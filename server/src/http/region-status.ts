/**
 * How a region stands with the others, for whoever adds or removes one (`meridian region status`). Groups are named by a digest, since their names
 * hold those of tenants (RES6).
 */

import type { JoinStatus, PeerStatus } from '@meridian/regions/link/links'
import type { RegionState } from '@meridian/regions/topology'
import { groupDigest } from './group-digest.js'

export interface RegionStatus {
  readonly region: string
  readonly state: RegionState
  /** Clients that are connected. */
  readonly sessions: number
  readonly groups: number
  readonly peers: readonly (Omit<PeerStatus, 'peer'> & { readonly region: string; readonly state: RegionState })[]
  readonly joining: readonly (Omit<JoinStatus, 'group' | 'peer'> & {
    readonly group: string
    readonly from: string | undefined
  })[]
  /** Nothing joins here, and every peer holds all that this region does. */
  readonly isInStep: boolean
  /** The region is leaving, nobody is connected, and the others hold all of it. */
  readonly maySwitchOff: boolean
}

export interface StatusSources {
  readonly region: string
  readonly stateOf: (region: string) => RegionState
  readonly sessions: number
  /** Entries that clients handed in and that are not durable yet. */
  readonly isWriting: boolean
  readonly groups: number
  readonly peers: readonly PeerStatus[]
  readonly joins: readonly JoinStatus[]
}

export function regionStatus(sources: StatusSources): RegionStatus {
  const { region, stateOf, sessions, groups, isWriting } = sources
  const peers = sources.peers.map(({ peer, ...status }) => ({ region: peer, state: stateOf(peer), ...status }))
  const joining = sources.joins.map(({ group, peer, ...status }) => ({ group: groupDigest(group), from: peer, ...status }))
  // What a region that goes itself holds is no reason to stay, and none to go.
  const stay = peers.filter(({ state }) => state === 'active')
  const isInStep = joining.length === 0 && stay.every((peer) => peer.isInStep)
  const maySwitchOff = stateOf(region) === 'leaving' && isInStep && stay.length > 0 && sessions === 0 && !isWriting
  return { region, state: stateOf(region), sessions, groups, peers, joining, isInStep, maySwitchOff }
}
