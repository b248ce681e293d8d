/**
 * RES1: the one choke point. Whether something may be done with a document in this region, decided from its name alone: pure, cheap,
 * and with the rule that said so. It is asked at every door, and nothing else decides.
 *
 * Before a tenant has a policy its documents are in one group, `tenant/default`, which every region stores (RES0).
 */

import type { Admit, Decision, Verb } from '@meridian/core/effects'
import type { DocumentName, RegionId, TenantId } from '@meridian/core/ids'
import { defaultGroup, documentParts } from '@meridian/core/ids'

/** One tenant's policy, evaluated for a place. Pure; what it cannot decide is no (RES2). */
export type Evaluate = (verb: Verb, document: DocumentName, place: RegionId) => Decision

export interface ResidencyConfig {
  /** The place that is asked about: the region of this node. */
  readonly region: RegionId
  /** The policy of a tenant; undefined while it has none. */
  readonly policyOf?: (tenant: TenantId) => Evaluate | undefined
}

/** Decisions that are kept, one a tenant; above it they are made anew. */
const keptMax = 10_000

export function residency(config: ResidencyConfig): Admit {
  const { region, policyOf } = config
  const defaults = new Map<TenantId, Decision>()
  return (verb, document) => {
    const { tenant } = documentParts(document)
    const policy = policyOf?.(tenant)
    if (policy !== undefined) return policy(verb, document, region)
    let decision = defaults.get(tenant)
    if (decision === undefined) {
      if (defaults.size >= keptMax) defaults.clear()
      decision = { kind: 'yes', group: defaultGroup(tenant), epoch: 0, rule: 'default' }
      defaults.set(tenant, decision)
    }
    return decision
  }
}
