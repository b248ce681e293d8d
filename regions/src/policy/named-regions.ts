/**
 * The regions that the rules of a policy name: those that may store, relay or back up something by it. The policy itself goes there and nowhere else
 * (RES3), and to a region that an edit has cut off until that region knows so.
 */

import type { RegionId } from '@meridian/core/ids'
import { isPlace, type Region, type Topology } from '../topology.js'
import { excludedBy, isWithin, type KnownPlace, type Moment } from './place.js'
import type { Policy, Rules, ServedVerb, Subject } from './schema.js'

const held: readonly ServedVerb[] = ['store', 'transit', 'backup']

export function namedRegions(policy: Policy, topology: Topology, moment: Moment): ReadonlySet<RegionId> {
  const named = new Set<RegionId>()
  const chains = [...ruleChains(policy)]
  for (const region of topology.regions.values()) {
    const place: KnownPlace = { region, jurisdiction: region.jurisdiction }
    // An exception that has not begun is known to whom it will let in; one that has ended is known to whom it let in.
    const isExcepted = policy.exceptions.some(({ to }) => isWithin(to, place, moment))
    if (isPlace(region) && (isExcepted || chains.some((chain) => isNamed(chain, region, moment)))) named.add(region.name)
  }
  return named
}

function isNamed(chain: readonly Rules[], region: Region, moment: Moment): boolean {
  const place: KnownPlace = { region, jurisdiction: region.jurisdiction }
  return held.some((verb) => {
    const constraints = chain.flatMap((rules) => rules[verb] ?? [])
    return (
      constraints.some((one) => one.in !== undefined) &&
      constraints.every(
        (one) => (one.in === undefined || isWithin(one.in, place, moment)) && excludedBy(one.not, place) === undefined,
      )
    )
  })
}

/** The rules that hold together, for each collection, section and branch. */
function* ruleChains(policy: Policy): Iterable<readonly Rules[]> {
  for (const collection of policy.collections.values()) {
    for (const subject of [collection, ...collection.sections.values()]) yield* chainsOf(policy, subject)
  }
}

function* chainsOf(policy: Policy, subject: Subject): Iterable<readonly Rules[]> {
  const placement = subject.placement === undefined ? undefined : policy.placements.get(subject.placement)
  if (placement === undefined) return
  const above = [policy.rules, subject.class === undefined ? {} : (policy.classes.get(subject.class) ?? {}), placement.rules]
  if (placement.where.length === 0) yield above
  for (const { rules } of placement.where) yield [...above, rules]
  if (placement.otherwise !== undefined) yield [...above, placement.otherwise]
}
