/**
 * RES3: a tenant's policy is the set of its heads, the edits that no other edit replaces. A decision is yes only if every head says yes, and puts the
 * document into the same group. Several heads, or none, freeze: their no stops service and egress and starts neither a move nor an erasure.
 */

import type { GroupId, RegionId, TenantId } from '@meridian/core/ids'
import { type Area, changesOf } from '../areas/area.js'
import {
  evaluate,
  groupOf,
  groupRegions,
  type PlacedName,
  type Question,
  type Reason,
  storingRegions,
  type Surroundings,
} from './evaluate.js'
import type { Moment, PlaceTerm } from './place.js'
import { levelsOf, type Policy } from './schema.js'

/** What holds for a tenant now. */
export interface EffectivePolicy {
  readonly tenant: TenantId
  /** How many edits are known, so that it grows with each; 0 without any. Entries carry the one that they were admitted under. */
  readonly epoch: number
  readonly heads: readonly Policy[]
  /** Heads that this version cannot read. Any makes every answer no. */
  readonly unreadableCount: number
}

/** A policy by itself, as if it were the only edit. */
export const onlyHead = (policy: Policy, epoch: number): EffectivePolicy => ({
  tenant: policy.tenant,
  epoch,
  heads: [policy],
  unreadableCount: 0,
})

export type Ruling =
  | { readonly kind: 'yes'; readonly group: GroupId; readonly epoch: number; readonly rule: string; readonly reason: Reason }
  | {
      readonly kind: 'no'
      readonly epoch: number
      readonly rule: string
      readonly reason: Reason
      /** The policy that said so, for explaining; undefined if none did. */
      readonly head: Policy | undefined
      /** No move and no erasure follows from this answer. */
      readonly isFrozen: boolean
      /** Regions that store the document and take clients, the preferred first. */
      readonly nearest: readonly RegionId[]
    }

export function decide(effective: EffectivePolicy, question: Question, surroundings: Surroundings): Ruling {
  const { epoch, heads } = effective
  const isFrozen = heads.length !== 1 || effective.unreadableCount > 0
  const no = (rule: string, reason: Reason, head: Policy | undefined): Ruling => {
    const { regions } = surroundings.topology
    const nearest = storedIn(effective, question.name, surroundings).filter((region) => regions.get(region)?.state === 'active')
    return { kind: 'no', epoch, rule, reason, head, isFrozen, nearest }
  }
  if (effective.unreadableCount > 0) return no(effective.tenant, { kind: 'unknown', what: 'edit' }, undefined)
  let first: (Ruling & { readonly kind: 'yes' }) | undefined
  for (const head of heads) {
    const answer = evaluate(head, question, surroundings)
    if (answer.kind === 'no') return no(answer.rule, answer.reason, head)
    if (first !== undefined && first.group !== answer.group) return no(effective.tenant, { kind: 'heads disagree' }, head)
    first ??= { ...answer, epoch }
  }
  return first ?? no(effective.tenant, { kind: 'unknown', what: 'policy' }, undefined)
}

/** The regions that store a document: those that every head names, in the order of the first; none if heads disagree about its group. */
export function storedIn(effective: EffectivePolicy, name: PlacedName, surroundings: Surroundings): readonly RegionId[] {
  const [first, ...others] = effective.heads
  if (first === undefined || effective.unreadableCount > 0) return []
  let regions = storingRegions(first, name, surroundings)
  const group = groupOf(first, name)
  for (const head of others) {
    if (groupOf(head, name) !== group) return []
    const also = storingRegions(head, name, surroundings)
    regions = regions.filter((region) => also.includes(region))
  }
  return regions
}

/** The regions that keep a group: those that every head names. */
export function keptIn(effective: EffectivePolicy, group: GroupId, surroundings: Surroundings): readonly RegionId[] {
  const [first, ...others] = effective.heads
  if (first === undefined || effective.unreadableCount > 0) return []
  let regions = groupRegions(first, group, surroundings)
  for (const head of others) {
    const also = groupRegions(head, group, surroundings)
    regions = regions.filter((region) => also.includes(region))
  }
  return regions
}

/**
 * When an answer may change by the passing of time alone: the next moment after `nowMs` at which an exception or a membership begins or ends.
 * Infinity if nothing of the policy has a time.
 */
export function nextChangeMs(effective: EffectivePolicy, { nowMs, skewMs }: Moment): number {
  let next = Infinity
  const consider = (at: number): void => {
    if (at > nowMs && at < next) next = at
  }
  for (const head of effective.heads) {
    for (const { fromMs, untilMs } of head.exceptions) {
      consider(fromMs + skewMs)
      consider(untilMs - skewMs)
    }
    for (const area of areasOf(head)) for (const at of changesOf(area, skewMs)) consider(at)
  }
  return next
}

function areasOf(policy: Policy): Set<Area> {
  const areas = new Set<Area>()
  const add = (terms: readonly PlaceTerm[]): void => {
    for (const term of terms) if (term.kind === 'area') areas.add(term.area)
  }
  for (const { rules } of levelsOf(policy)) {
    for (const constraint of Object.values(rules)) for (const terms of [constraint.in ?? [], constraint.prefer]) add(terms)
  }
  for (const { to } of policy.exceptions) add(to)
  return areas
}
