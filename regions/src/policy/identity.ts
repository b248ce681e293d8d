/**
 * RES0: what makes the groups of a collection what they are: its placement, the parts of keys that the placement's groups are by, and the pattern that
 * names them. An edit that changes one of these moves documents.
 */

import type { Policy } from './schema.js'

/** Collections that a policy puts into other groups than any of these do. Such that are new, or gone, are none of them. */
export function movedCollections(before: readonly Policy[], after: Policy): readonly string[] {
  const moved: string[] = []
  for (const collection of after.collections.keys()) {
    const known = before.filter((policy) => policy.collections.has(collection))
    const identity = identityOf(after, collection)
    if (known.length > 0 && known.every((policy) => identityOf(policy, collection) !== identity)) moved.push(collection)
  }
  return moved
}

/** The pattern counts only where a value of it is part of a group. */
function identityOf(policy: Policy, name: string): string {
  const collection = policy.collections.get(name)
  const subjects = [['', collection] as const, ...(collection?.sections ?? [])]
  return JSON.stringify(
    subjects.map(([section, subject]) => {
      const by = policy.placements.get(subject?.placement ?? '')?.by ?? []
      return [section, subject?.placement ?? null, by, by.length === 0 ? null : (collection?.keys?.text ?? null)]
    }),
  )
}
