/**
 * One policy asked about one document, verb and place: yes or no with the rule that said so. Pure; whatever is in doubt is no (RES2).
 *
 * Precedence, as the design has it: what the platform never does > any `not` > the intersection of all matching `in`, tenant to section > live
 * exceptions > preferences. What the platform never does: nothing is in a region that the cluster file does not know or that is gone, and a
 * region that may not store a document neither relays nor processes it nor names it in its logs (RES5, RES6).
 */

import type { Verb } from '@meridian/core/effects'
import type { GroupId, RegionId } from '@meridian/core/ids'
import { parseGroup } from '@meridian/core/ids'
import type { Topology } from '../topology.js'
import { isPlace } from '../topology.js'
import { matchKey } from './key-pattern.js'
import { excludedBy, isWithin, type KnownPlace, type Moment, type Place, type PlaceTerm } from './place.js'
import {
  branchRule,
  classRule,
  type Constraint,
  type Form,
  type Level,
  otherwiseRule,
  type Placement,
  placementRule,
  type Policy,
  type Replicas,
  type ServedVerb,
  type Subject,
} from './schema.js'

/** A document, or a section of one. */
export interface PlacedName {
  readonly tenant: string
  readonly collection: string
  readonly key: string
  readonly section: string | undefined
}

export interface Question {
  readonly verb: Verb
  readonly name: PlacedName
  readonly place: Place
  readonly form: Form
}

export interface Surroundings {
  readonly topology: Topology
  readonly moment: Moment
}

/** A rule that has a word in a decision. */
export interface Voice {
  readonly rule: string
  readonly verb: ServedVerb
  readonly constraint: Constraint
}

export type Unknown =
  | 'policy'
  | 'edit'
  | 'tenant'
  | 'collection'
  | 'section'
  | 'key'
  | 'placement'
  | 'branch'
  | 'region'
  | 'form'
  | 'rule'

/** Why. Holds no part of a key: names are data (RES6). */
export type Reason =
  /** By this rule, and beyond its `in` by an exception that ends. */
  | { readonly kind: 'allowed'; readonly voice: Voice; readonly exceptionUntilMs: number | undefined }
  | { readonly kind: 'unknown'; readonly what: Unknown }
  /** The region is removed or replaced. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'not'; readonly voice: Voice; readonly term: PlaceTerm; readonly place: KnownPlace }
  /** Outside of the `in` of all these, the narrowest first. */
  | { readonly kind: 'outside'; readonly voices: readonly [Voice, ...Voice[]]; readonly place: KnownPlace }
  /** It could be there, and there are enough copies elsewhere. */
  | { readonly kind: 'not chosen'; readonly voice: Voice; readonly replicas: Replicas }
  /** Heads of the policy put the document in different groups. */
  | { readonly kind: 'heads disagree' }

export type Answer =
  | { readonly kind: 'yes'; readonly group: GroupId; readonly rule: string; readonly reason: Reason }
  | { readonly kind: 'no'; readonly rule: string; readonly reason: Reason }

interface Resolved {
  readonly group: GroupId
  /** Wide to narrow. */
  readonly levels: readonly Level[]
}

export function evaluate(policy: Policy, question: Question, surroundings: Surroundings): Answer {
  const { verb, place } = question
  if (question.form !== 'plaintext') return unknown(policy.tenant, 'form')
  const resolved = resolve(policy, question.name)
  if (resolved.kind === 'no') return resolved
  if (place.kind === 'client') {
    if (verb !== 'access') return unknown(policy.tenant, 'region')
    return judge(policy, resolved, 'access', { region: undefined, jurisdiction: place.jurisdiction }, surroundings.moment)
  }
  const region = surroundings.topology.regions.get(place.region)
  if (region === undefined) return unknown(policy.tenant, 'region')
  if (!isPlace(region)) return { kind: 'no', rule: policy.tenant, reason: { kind: 'gone' } }
  const known: KnownPlace = { region, jurisdiction: region.jurisdiction }
  if (verb === 'backup') return judge(policy, resolved, 'backup', known, surroundings.moment)
  const stored = mayStore(policy, resolved, known, surroundings)
  if (stored.kind === 'no' || verb === 'store') return stored
  if (verb === 'access') return judge(policy, resolved, 'access', known, surroundings.moment)
  // What the platform itself does with a document, it does where it stores it.
  return verb === 'transit' ? judge(policy, resolved, 'transit', known, surroundings.moment) : stored
}

/** The regions that store a document by this policy: first the preferred, then in the order of the cluster file. */
export function storingRegions(policy: Policy, name: PlacedName, surroundings: Surroundings): readonly RegionId[] {
  const resolved = resolve(policy, name)
  return resolved.kind === 'no' ? [] : chosenRegions(policy, resolved, surroundings)
}

/**
 * The regions that keep a group, whatever document of it is meant: those that store it and may relay it. A group has one set of rules, because
 * what its placement matches on stands in its name. None for a group that the policy does not have.
 */
export function groupRegions(policy: Policy, group: GroupId, surroundings: Surroundings): readonly RegionId[] {
  const [tenant, name = '', ...values] = group.split('/')
  const placement = policy.placements.get(name)
  if (tenant !== policy.tenant || placement === undefined || placement.by.length !== values.length) return []
  const subject = subjectOf(policy, name)
  if (subject === undefined) return []
  const resolved = resolveIn(policy, placement, subject, (part) => values[placement.by.indexOf(part)])
  if (resolved.kind === 'no') return []
  const { topology, moment } = surroundings
  return chosenRegions(policy, resolved, surroundings).filter((region) => {
    const known: KnownPlace = { region: topology.regions.get(region), jurisdiction: topology.regions.get(region)?.jurisdiction }
    return judge(policy, resolved, 'transit', known, moment).kind === 'yes'
  })
}

/** Any collection or section of a placement: all of one placement have one class. */
function subjectOf(policy: Policy, placement: string): Subject | undefined {
  for (const collection of policy.collections.values()) {
    for (const subject of [collection, ...collection.sections.values()]) if (subject.placement === placement) return subject
  }
  return undefined
}

/** The group of a document by this policy; undefined if it has no place. */
export function groupOf(policy: Policy, name: PlacedName): GroupId | undefined {
  const resolved = resolve(policy, name)
  return resolved.kind === 'no' ? undefined : resolved.group
}

type Resolution = (Resolved & { readonly kind: 'resolved' }) | (Answer & { readonly kind: 'no' })

/** From a name to its group and its rules: a few look-ups, and no directory. */
function resolve(policy: Policy, name: PlacedName): Resolution {
  const { tenant } = policy
  if (name.tenant !== tenant) return unknown(tenant, 'tenant')
  const collection = policy.collections.get(name.collection)
  if (collection === undefined) return unknown(tenant, 'collection')
  const values = collection.keys === undefined ? [] : matchKey(collection.keys, name.key)
  if (values === undefined) return unknown(`${tenant}.${name.collection}`, 'key')
  const subject = name.section === undefined ? collection : collection.sections.get(name.section)
  if (subject === undefined) return unknown(`${tenant}.${name.collection}`, 'section')
  const placement = subject.placement === undefined ? undefined : policy.placements.get(subject.placement)
  if (placement === undefined) return unknown(`${tenant}.${name.collection}`, 'placement')
  const parts = collection.keys?.parts ?? []
  return resolveIn(policy, placement, subject, (part) => values[parts.indexOf(part)])
}

/** From a placement, and the values of the parts of keys that it matches on, to a group and its rules. */
function resolveIn(
  policy: Policy,
  placement: Placement,
  subject: Subject,
  valueOf: (part: string) => string | undefined,
): Resolution {
  const { tenant } = policy
  const levels: Level[] = [{ name: tenant, rules: policy.rules }]
  if (subject.class !== undefined) {
    const rules = policy.classes.get(subject.class)
    if (rules === undefined) return unknown(placementRule(tenant, placement.name), 'rule')
    levels.push({ name: classRule(tenant, subject.class), rules })
  }
  levels.push({ name: placementRule(tenant, placement.name), rules: placement.rules })
  if (placement.where.length > 0) {
    let matched = false
    for (const [index, branch] of placement.where.entries()) {
      let matches = true
      for (const [part, wanted] of branch.when) matches &&= wanted.has(valueOf(part) ?? '')
      if (matches) levels.push({ name: branchRule(tenant, placement.name, index), rules: branch.rules })
      matched ||= matches
    }
    if (!matched) {
      if (placement.otherwise === undefined) return unknown(placementRule(tenant, placement.name), 'branch')
      levels.push({ name: otherwiseRule(tenant, placement.name), rules: placement.otherwise })
    }
  }
  let group = `${tenant}/${placement.name}`
  for (const part of placement.by) {
    const value = valueOf(part)
    if (value === undefined) return unknown(placementRule(tenant, placement.name), 'key')
    group += `/${value}`
  }
  return { kind: 'resolved', group: parseGroup(group), levels }
}

function unknown(rule: string, what: Unknown): Answer & { readonly kind: 'no' } {
  return { kind: 'no', rule, reason: { kind: 'unknown', what } }
}

/** `not` and `in` of one verb at one place. */
function judge(policy: Policy, resolved: Resolved, verb: ServedVerb, place: KnownPlace, moment: Moment): Answer {
  // What nobody says of a transit or a backup is what is said of storing.
  const stated = resolved.levels.some(({ rules }) => rules[verb]?.in !== undefined)
  const bounding = stated || verb === 'access' ? verb : 'store'
  for (const { name, rules } of resolved.levels) {
    for (const one of bounding === verb ? [verb] : [verb, bounding]) {
      const constraint = rules[one]
      const term = constraint === undefined ? undefined : excludedBy(constraint.not, place)
      if (constraint === undefined || term === undefined) continue
      return { kind: 'no', rule: name, reason: { kind: 'not', voice: { rule: name, verb: one, constraint }, term, place } }
    }
  }
  let narrowest: Voice | undefined
  let exceptionUntilMs: number | undefined
  const outside: Voice[] = []
  for (const { name, rules } of resolved.levels) {
    const constraint = rules[bounding]
    if (constraint?.in === undefined) continue
    narrowest = { rule: name, verb: bounding, constraint }
    if (isWithin(constraint.in, place, moment)) continue
    const until = constraint.exceptable ? exceptionUntil(policy, name, bounding, place, moment) : undefined
    if (until === undefined) outside.unshift(narrowest)
    else exceptionUntilMs = Math.min(exceptionUntilMs ?? Infinity, until)
  }
  const [first, ...rest] = outside
  if (first !== undefined) return { kind: 'no', rule: first.rule, reason: { kind: 'outside', voices: [first, ...rest], place } }
  if (narrowest === undefined) return unknown(policy.tenant, 'rule')
  return {
    kind: 'yes',
    group: resolved.group,
    rule: narrowest.rule,
    reason: { kind: 'allowed', voice: narrowest, exceptionUntilMs },
  }
}

/** When the last live exception that lets a rule reach a place ends; undefined without one. */
function exceptionUntil(policy: Policy, rule: string, verb: ServedVerb, place: KnownPlace, moment: Moment): number | undefined {
  let until: number | undefined
  for (const exception of policy.exceptions) {
    if (exception.rule !== rule || exception.verb !== verb || !isLive(exception, moment)) continue
    if (isWithin(exception.to, place, moment)) until = Math.max(until ?? 0, exception.untilMs)
  }
  return until
}

/** A clock that is off closes an exception too early and opens it too late, and never the other way. */
const isLive = (exception: { readonly fromMs: number; readonly untilMs: number }, { nowMs, skewMs }: Moment): boolean =>
  nowMs - skewMs >= exception.fromMs && nowMs + skewMs < exception.untilMs

function mayStore(policy: Policy, resolved: Resolved, place: KnownPlace, surroundings: Surroundings): Answer {
  const answer = judge(policy, resolved, 'store', place, surroundings.moment)
  if (answer.kind === 'no' || place.region === undefined) return answer
  const chosen = replicasOf(resolved)
  if (chosen === undefined || isUnbounded(chosen.replicas)) return answer
  if (chosenRegions(policy, resolved, surroundings).includes(place.region.name)) return answer
  return { kind: 'no', rule: chosen.voice.rule, reason: { kind: 'not chosen', ...chosen } }
}

/** The number of copies that the narrowest rule asks for. */
function replicasOf(resolved: Resolved): { readonly voice: Voice; readonly replicas: Replicas } | undefined {
  for (let index = resolved.levels.length - 1; index >= 0; index--) {
    const level = resolved.levels[index]
    const constraint = level?.rules.store
    if (level === undefined || constraint?.replicas === undefined) continue
    return { voice: { rule: level.name, verb: 'store', constraint }, replicas: constraint.replicas }
  }
  return undefined
}

const isUnbounded = (replicas: Replicas): boolean => replicas.max === Infinity && replicas.spread === 'region'

/**
 * The regions that take the copies. One that leaves keeps its place and lends it to the next, so that both hold what moves. The choice depends on
 * policy and cluster file alone, and a region that is added at the end of that file changes it for nobody who has enough copies.
 */
function chosenRegions(policy: Policy, resolved: Resolved, surroundings: Surroundings): readonly RegionId[] {
  const { topology, moment } = surroundings
  const allowed = [...topology.regions.values()].filter(
    (region) =>
      isPlace(region) && judge(policy, resolved, 'store', { region, jurisdiction: region.jurisdiction }, moment).kind === 'yes',
  )
  const preferred = resolved.levels.flatMap(({ rules }) => rules.store?.prefer ?? [])
  const rank = (region: (typeof allowed)[number]): number => {
    const found = preferred.findIndex((term) => isWithin([term], { region, jurisdiction: region.jurisdiction }, moment))
    return found < 0 ? preferred.length : found
  }
  const ordered =
    preferred.length === 0
      ? allowed
      : allowed
          .map((region) => ({ region, rank: rank(region) }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ region }) => region)
  const replicas = replicasOf(resolved)?.replicas
  if (replicas === undefined || isUnbounded(replicas)) return ordered.map(({ name }) => name)
  const chosen: RegionId[] = []
  const taken = new Set<string>()
  let count = 0
  for (const region of ordered) {
    const share = replicas.spread === 'jurisdiction' ? region.jurisdiction : region.name
    if (count >= replicas.max) break
    if (taken.has(share)) continue
    chosen.push(region.name)
    if (region.state !== 'active') continue
    taken.add(share)
    count++
  }
  return chosen
}
