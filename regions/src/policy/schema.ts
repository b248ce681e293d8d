/**
 * What a placement policy says, version 1 of its language, first form: `store`, `access`, `transit` and `backup` in plaintext. `parse.ts` makes one of
 * these from a file, `evaluate.ts` decides by it. docs/policies.md says how to write one.
 *
 * Rules stand at four levels, from wide to narrow: the tenant, a class, a placement, and a branch of a placement that matches on named parts of
 * keys. All of them hold together. A rule is named by where it stands:
 *
 * ```
 * acme                               tenant
 * acme.class.health                  class
 * acme.patients.clinical             placement `patients.clinical`
 * acme.patients.clinical.where[0]    its first branch; `.otherwise` if none matches
 * ```
 */

import type { TenantId } from '@meridian/core/ids'
import type { KeyPattern } from './key-pattern.js'
import type { PlaceTerm } from './place.js'

export const policyVersion = 1

/** The verbs that this version holds. */
export const servedVerbs = ['store', 'access', 'transit', 'backup'] as const
export type ServedVerb = (typeof servedVerbs)[number]

/** The rest of the vocabulary: known, and refused, because a rule that nobody holds is worse than none. */
export const laterVerbs = ['process', 'key', 'log'] as const
export const laterFields = ['ciphertext', 'eraseWithin', 'retain', 'record'] as const

export type Form = 'plaintext' | 'ciphertext'

export interface Replicas {
  /** Copies that the rule asks for; a policy whose regions are fewer is not valid. */
  readonly min: number
  /** Copies that there are at most; Infinity: every region that may. */
  readonly max: number
  /** What no two copies share. */
  readonly spread: 'region' | 'jurisdiction'
}

export interface Constraint {
  /** Only there; undefined says nothing. */
  readonly in: readonly PlaceTerm[] | undefined
  /** Never there; wins over everything. */
  readonly not: readonly PlaceTerm[]
  /** Rather there, the first most. Of `store` in placements and branches only. */
  readonly prefer: readonly PlaceTerm[]
  readonly replicas: Replicas | undefined
  /** Whether exceptions may widen its `in`. */
  readonly exceptable: boolean
}

export type Rules = Readonly<Partial<Record<ServedVerb, Constraint>>>

export interface Branch {
  /** Values that a named part of the key must have; all of them, and of each one of these. */
  readonly when: ReadonlyMap<string, ReadonlySet<string>>
  readonly rules: Rules
}

export interface Placement {
  readonly name: string
  /** The named parts of keys whose values are part of its groups' identity (RES0). */
  readonly by: readonly string[]
  readonly rules: Rules
  /** If there are any, one must match, or `otherwise` holds, or there is no place. */
  readonly where: readonly Branch[]
  readonly otherwise: Rules | undefined
}

/** A collection, or a section of its documents. */
export interface Subject {
  readonly placement: string | undefined
  readonly class: string | undefined
}

export interface Collection extends Subject {
  readonly keys: KeyPattern | undefined
  readonly sections: ReadonlyMap<string, Subject>
}

/** Widens the `in` of one exceptable rule for a time. */
export interface Exception {
  readonly rule: string
  readonly verb: ServedVerb
  readonly to: readonly PlaceTerm[]
  /** Why it is allowed, for people. */
  readonly basis: string
  /** Key ids of who approved it, two at least. */
  readonly approvers: readonly string[]
  readonly fromMs: number
  readonly untilMs: number
}

export interface Policy {
  readonly tenant: TenantId
  readonly rules: Rules
  readonly classes: ReadonlyMap<string, Rules>
  readonly placements: ReadonlyMap<string, Placement>
  readonly collections: ReadonlyMap<string, Collection>
  readonly exceptions: readonly Exception[]
}

/** A rule with the name that it is explained by. */
export interface Level {
  readonly name: string
  readonly rules: Rules
}

export const classRule = (tenant: string, name: string): string => `${tenant}.class.${name}`
export const placementRule = (tenant: string, name: string): string => `${tenant}.${name}`
export const branchRule = (tenant: string, name: string, index: number): string => `${tenant}.${name}.where[${index}]`
export const otherwiseRule = (tenant: string, name: string): string => `${tenant}.${name}.otherwise`

/** Every rule of a policy by its name. */
export function* levelsOf(policy: Policy): Iterable<Level> {
  const { tenant } = policy
  yield { name: tenant, rules: policy.rules }
  for (const [name, rules] of policy.classes) yield { name: classRule(tenant, name), rules }
  for (const { name, rules, where, otherwise } of policy.placements.values()) {
    yield { name: placementRule(tenant, name), rules }
    for (const [index, branch] of where.entries()) yield { name: branchRule(tenant, name, index), rules: branch.rules }
    if (otherwise !== undefined) yield { name: otherwiseRule(tenant, name), rules: otherwise }
  }
}
