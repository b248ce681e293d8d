/**
 * RES3: the edits of a tenant's policy, folded into what holds. Edits are a set: in whatever order they come, the same ones come to the same policy.
 *
 * - A head is an edit that no known edit names as its parent. All heads hold at once, and each must say yes.
 * - An edit whose parents have not come yet holds all the same. So an edit that arrives only ever narrows what heads allow, unless it names them.
 * - A head that this version cannot read says no to everything; one that is not authentic is set aside and replaces nothing.
 */

import { MeridianError } from '@meridian/core/errors'
import type { EditId, RegionId, TenantId } from '@meridian/core/ids'
import { editId, policyBytesMax, type PolicyEdit } from '@meridian/core/policy-edit'
import type { Topology } from '../topology.js'
import type { EffectivePolicy } from './combine.js'
import { namedRegions } from './named-regions.js'
import { parsePolicy } from './parse.js'
import type { Moment } from './place.js'
import type { Policy } from './schema.js'

export interface KnownEdit {
  readonly id: EditId
  readonly edit: PolicyEdit
  /** What it says; undefined if this version cannot read it. */
  readonly policy: Policy | undefined
}

export interface PolicyHistory {
  readonly tenant: TenantId
  readonly edits: ReadonlyMap<EditId, KnownEdit>
  /** Sorted, so that the same set is the same list everywhere. */
  readonly heads: readonly KnownEdit[]
  readonly effective: EffectivePolicy
  /** Edits that are of another tenant or not signed by who they say. Worth an alarm. */
  readonly refused: readonly EditId[]
}

/**
 * @param isAuthentic whether the signature is of the author's key, and that key may edit the policy of this tenant. Pure for the same edit.
 */
export function foldEdits(
  tenant: TenantId,
  edits: Iterable<PolicyEdit>,
  isAuthentic: (edit: PolicyEdit) => boolean,
): PolicyHistory {
  const known = new Map<EditId, KnownEdit>()
  const refused = new Set<EditId>()
  const replaced = new Set<EditId>()
  let epoch = 0
  for (const edit of edits) {
    const id = editId(edit)
    if (known.has(id)) continue
    if (edit.tenant !== tenant || !isAuthentic(edit)) {
      refused.add(id)
      continue
    }
    // The same edit with a signature that is right may come after one that is not.
    refused.delete(id)
    known.set(id, { id, edit, policy: readPolicy(edit) })
    for (const parent of edit.parents) replaced.add(parent)
    epoch = Math.max(epoch, edit.epoch)
  }
  const heads = [...known.values()].filter(({ id }) => !replaced.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1))
  const readable = heads.flatMap(({ policy }) => policy ?? [])
  const effective: EffectivePolicy = {
    tenant,
    epoch: Math.max(epoch, known.size),
    heads: readable,
    unreadableCount: heads.length - readable.length,
  }
  return { tenant, edits: known, heads, effective, refused: [...refused].sort() }
}

/** An edit that replaces all heads of a history; the signature is the caller's to make, over `signedBytes`. */
export function nextEdit(history: PolicyHistory, author: string, policy: unknown): Omit<PolicyEdit, 'signature'> {
  const outcome = parsePolicy(policy)
  if (outcome.kind === 'invalid' || outcome.policy.tenant !== history.tenant)
    throw new MeridianError('CONFIG_INVALID', {
      message: 'An edit holds a policy of its tenant that is right; `meridian policy validate` says what is not.',
    })
  const text = JSON.stringify(policy)
  // A unit of a string is three bytes of UTF-8 at most.
  if (3 * text.length > policyBytesMax)
    throw new MeridianError('CONFIG_INVALID', {
      message: `A policy is ${Math.floor(policyBytesMax / 3)} characters of JSON at most.`,
    })
  return {
    kind: 'policy',
    tenant: history.tenant,
    epoch: history.effective.epoch + 1,
    parents: history.heads.map(({ id }) => id),
    author,
    policy: text,
  }
}

/**
 * Whom the control group of a tenant goes to: the regions that a head names, and those that some edit named, until they are known to hold edits that
 * come to a policy which no longer names them. A region that was cut off must hear of it, or it would go on serving by what it knew.
 *
 * @param reached the edits that each region is known to hold; a region that is missing counts as holding none.
 */
export function controlRegions(
  history: PolicyHistory,
  topology: Topology,
  moment: Moment,
  reached: ReadonlyMap<RegionId, ReadonlySet<EditId>>,
): ReadonlySet<RegionId> {
  const named = (edit: KnownEdit): ReadonlySet<RegionId> =>
    edit.policy === undefined ? new Set() : namedRegions(edit.policy, topology, moment)
  const namesOf = new Map([...history.edits.values()].map((edit) => [edit.id, named(edit)]))
  const regions = new Set<RegionId>()
  for (const { id } of history.heads) for (const region of namesOf.get(id) ?? []) regions.add(region)
  for (const [, names] of namesOf) {
    for (const region of names) {
      if (regions.has(region)) continue
      const holds = [...(reached.get(region) ?? [])].flatMap((id) => history.edits.get(id) ?? [])
      const replaced = new Set(holds.flatMap(({ edit }) => edit.parents))
      const isTold = holds.length > 0 && holds.every(({ id }) => replaced.has(id) || namesOf.get(id)?.has(region) !== true)
      if (!isTold) regions.add(region)
    }
  }
  return regions
}

function readPolicy(edit: PolicyEdit): Policy | undefined {
  let value: unknown
  try {
    value = JSON.parse(edit.policy)
  } catch {
    // Not JSON: as unreadable as a newer version, and it says no.
    return undefined
  }
  const outcome = parsePolicy(value)
  return outcome.kind === 'parsed' && outcome.policy.tenant === edit.tenant ? outcome.policy : undefined
}
