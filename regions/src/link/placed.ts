/** What links ask of placement, answered by the policies of a region and its one choke point. */

import { controlGroup, type GroupId, groupTenant, type RegionId } from '@meridian/core/ids'
import type { Policies } from '../policies.js'
import type { Residency } from '../residency.js'
import type { LinkPlacement } from './placement.js'

export const placedBy = (policies: Policies, residency: Residency): LinkPlacement => ({
  may: (verb, document, region) => residency.may(verb, document, { kind: 'region', region }),
  policyOf: (group) => policies.stateOf(group),
  isPlaced: (group, region) => isPlaced(policies, group, region),
})

/**
 * A region that knows nothing of a tenant takes the edits of its policy from whoever has them, and has none to tell: only a region that is named by
 * them offers them.
 */
function isPlaced(policies: Policies, group: GroupId, region: RegionId): boolean {
  const tenant = groupTenant(group)
  if (group === controlGroup(tenant) && policies.historyOf(tenant) === undefined) return true
  return policies.keepersOf(group).has(region)
}
