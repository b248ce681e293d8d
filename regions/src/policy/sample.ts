/**
 * Names that stand for others: one for each of the branches that a collection's placement may take. So what a policy does with a collection can be
 * asked without a document of it.
 */

import type { Path } from '../plain.js'
import type { PlacedName } from './evaluate.js'
import type { Collection, Placement, Policy, Rules } from './schema.js'

export interface Sample {
  readonly className: string | undefined
  readonly collection: string
  readonly of: Collection
  readonly section: string | undefined
}

export interface End {
  readonly rules: Rules
  readonly path: Path
  /** Values of key parts that lead here. */
  readonly values: ReadonlyMap<string, string>
}

/** What a placement comes to for some key: each of its branches alone, and `otherwise`; itself if it has none. */
export function endsOf(placement: Placement): End[] {
  const path: Path = ['placements', placement.name]
  if (placement.where.length === 0) return [{ rules: {}, path, values: new Map() }]
  const ends: End[] = placement.where.map((branch, index) => ({
    rules: branch.rules,
    path: [...path, 'where', index],
    values: new Map([...branch.when].map(([part, values]) => [part, [...values][0] ?? ''])),
  }))
  if (placement.otherwise !== undefined)
    ends.push({ rules: placement.otherwise, path: [...path, 'otherwise'], values: new Map() })
  return ends
}

/** A name that leads to an end of a placement; what is not said of it is a word that no branch is likely to match. */
export function sampleName(policy: Policy, { collection, of, section }: Sample, values: ReadonlyMap<string, string>): PlacedName {
  const segments = of.keys?.segments ?? []
  const key = segments.map((segment) => {
    if (segment.kind === 'word') return segment.word
    return segment.kind === 'part' ? (values.get(segment.name) ?? '\u0001') : '\u0001'
  })
  return { tenant: policy.tenant, collection, key: key.length === 0 ? '\u0001' : key.join('/'), section }
}

/** One name for each end of the collection's own placement; none if the collection has no place of its own. */
export function sampleNames(policy: Policy, collection: string): readonly PlacedName[] {
  const of = policy.collections.get(collection)
  const placement = of?.placement === undefined ? undefined : policy.placements.get(of.placement)
  if (of === undefined || placement === undefined) return []
  return endsOf(placement).map(({ values }) =>
    sampleName(policy, { className: of.class, collection, of, section: undefined }, values),
  )
}
