/**
 * What links ask of placement: the seam between what crosses between regions and the policy that says what may (RES1). Each door asks on its own:
 * the sender about the region at the other end, the receiver about its own, and either alone keeps a pinned byte inside (LINK8).
 */

import type { DocumentName, GroupId, RegionId } from '@meridian/core/ids'
import type { Permission, PolicyState } from './port.js'

export interface LinkPlacement {
  /** Asked for each entry, at egress about the peer and at ingress about this region; cheap. [hot] */
  may(verb: 'transit' | 'store', document: DocumentName, region: RegionId): Permission
  /** What this region knows of the policy of the group's tenant (RES3). */
  policyOf(group: GroupId): PolicyState
  /** Whether the group belongs in a region at all. Between two regions only groups that belong in both are spoken of (RES6). */
  isPlaced(group: GroupId, region: RegionId): boolean
}

/** Without policies: every group is in every region of the cluster. */
export const placedEverywhere: LinkPlacement = {
  may: () => ({ kind: 'yes', rule: 'default' }),
  policyOf: () => ({ epoch: 0, heads: 0n }),
  isPlaced: () => true,
}
