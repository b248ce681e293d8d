/**
 * Whether a policy that can be read can also be met: something is left of every placement, in each of its branches, and with a cluster file also that
 * enough regions are, that they can reach each other without a region that may not hold the group, and that preferences are for regions that may.
 */

import type { RegionId } from '@meridian/core/ids'
import type { Area } from '../areas/area.js'
import { type Jurisdiction, jurisdictions } from '../areas/jurisdiction.js'
import { newestArea } from '../areas/published.js'
import type { Finding, Path } from '../plain.js'
import { areConnected, type Topology } from '../topology.js'
import { storingRegions, type Surroundings } from './evaluate.js'
import { excludedBy, formatTerm, isWithin, type KnownPlace, type Moment, type PlaceTerm } from './place.js'
import { endsOf, type Sample, sampleName } from './sample.js'
import type { Constraint, Level, Placement, Policy, Replicas, Rules, ServedVerb } from './schema.js'
import { levelsOf, servedVerbs } from './schema.js'

/** Findings beyond those of the schema. Errors mean that the policy is not to be applied. */
export function validate(policy: Policy, moment: Moment, topology?: Topology): Finding[] {
  const findings: Finding[] = []
  checkAreas(policy, moment, findings)
  if (topology !== undefined) findings.push(...unknownRegions(policy, topology))
  for (const exception of policy.exceptions.entries()) checkException(policy, exception, moment, findings)
  for (const [name, subject] of subjects(policy)) {
    const placement = policy.placements.get(name)
    if (placement === undefined) continue
    for (const [index, ends] of endsOf(placement).entries()) {
      const path: Path = ends.path
      const levels = [
        policy.rules,
        ...(subject.className === undefined ? [] : [policy.classes.get(subject.className) ?? {}]),
        placement.rules,
        ends.rules,
      ]
      for (const verb of servedVerbs) checkLeft(levels, verb, path, moment, topology, findings)
      checkPreference(levels, path, moment, topology, findings)
      if (topology !== undefined)
        checkRegions(policy, subject, { placement, index, path, levels }, { topology, moment }, findings)
    }
  }
  for (const name of policy.placements.keys()) {
    if (!subjects(policy).has(name)) findings.push(warning(['placements', name], 'no collection or section has this placement'))
  }
  return findings
}

/** Regions that rules and exceptions name and the cluster file does not: a slip, which in a `not` would open a place. */
export function unknownRegions(policy: Policy, topology: Topology): Finding[] {
  const findings: Finding[] = []
  const check = (terms: readonly PlaceTerm[], path: Path): void => {
    for (const term of terms)
      if (term.kind === 'region' && !topology.regions.has(term.region))
        findings.push(
          error(
            path,
            `names ${term.region}, which the cluster file does not know; it knows ${[...topology.regions.keys()].join(', ')}`,
          ),
        )
  }
  for (const { path, rules } of placedRules(policy)) {
    for (const verb of servedVerbs) {
      check(rules[verb]?.in ?? [], [...path, verb, 'in'])
      check(rules[verb]?.not ?? [], [...path, verb, 'not'])
    }
  }
  for (const [index, { to }] of policy.exceptions.entries()) check(to, ['exceptions', index, 'to'])
  return findings
}

/** Every rule with its place in the file. */
function* placedRules(policy: Policy): Iterable<{ readonly path: Path; readonly rules: Rules }> {
  yield { path: ['rules'], rules: policy.rules }
  for (const [name, rules] of policy.classes) yield { path: ['classes', name], rules }
  for (const { name, rules, where, otherwise } of policy.placements.values()) {
    const path: Path = ['placements', name]
    yield { path, rules }
    for (const [index, branch] of where.entries()) yield { path: [...path, 'where', index], rules: branch.rules }
    if (otherwise !== undefined) yield { path: [...path, 'otherwise'], rules: otherwise }
  }
}

const error = (path: Path, message: string): Finding => ({ level: 'error', code: 'unsatisfiable', path, message })
const warning = (path: Path, message: string): Finding => ({ level: 'warning', code: 'unsatisfiable', path, message })

/** One collection or section for each placement; all of one placement have the same class. */
function subjects(policy: Policy): Map<string, Sample> {
  const found = new Map<string, Sample>()
  for (const [collection, of] of policy.collections) {
    if (of.placement !== undefined) found.set(of.placement, { className: of.class, collection, of, section: undefined })
    for (const [section, subject] of of.sections) {
      if (subject.placement !== undefined) found.set(subject.placement, { className: subject.class, collection, of, section })
    }
  }
  return found
}

/** Contradictory sets: a verb for which no place is left. */
function checkLeft(
  levels: readonly Rules[],
  verb: ServedVerb,
  path: Path,
  moment: Moment,
  topology: Topology | undefined,
  findings: Finding[],
): void {
  const stated = levels.flatMap((rules) => rules[verb] ?? [])
  if (stated.every((constraint) => constraint.in === undefined)) return
  if (placesLeft(stated, moment, topology)) return
  findings.push(
    error(
      [...path, verb],
      `nothing is left: the places of its rules and of those above it exclude each other; widen an in or shorten a not`,
    ),
  )
}

function placesLeft(constraints: readonly Constraint[], moment: Moment, topology: Topology | undefined): boolean {
  const passes = (place: KnownPlace): boolean =>
    constraints.every(
      (one) => (one.in === undefined || isWithin(one.in, place, moment)) && excludedBy(one.not, place) === undefined,
    )
  for (const code of jurisdictions) if (passes({ region: undefined, jurisdiction: code })) return true
  // Rules that name regions are about a cluster; without its file nothing can be said of them.
  if (topology === undefined) return constraints.some((one) => (one.in ?? []).some(({ kind }) => kind === 'region'))
  for (const region of topology.regions.values()) if (passes({ region, jurisdiction: region.jurisdiction })) return true
  return false
}

function checkPreference(
  levels: readonly Rules[],
  path: Path,
  moment: Moment,
  topology: Topology | undefined,
  findings: Finding[],
): void {
  const stated = levels.flatMap((rules) => rules.store ?? [])
  for (const term of stated.flatMap(({ prefer }) => prefer)) {
    if (term.kind === 'region' && topology === undefined) continue
    if (term.kind === 'region' && topology?.regions.get(term.region) === undefined) {
      findings.push(error([...path, 'store'], `prefers ${term.region}, which the cluster file does not know`))
    } else if (!placesLeft([...stated, only(term)], moment, topology)) {
      findings.push(
        error(
          [...path, 'store'],
          `prefers ${formatTerm(term)}, which is outside of where it may be; take it out of prefer, or add it to in`,
        ),
      )
    }
  }
}

const only = (term: PlaceTerm): Constraint => ({ in: [term], not: [], prefer: [], replicas: undefined, exceptable: false })

interface Ending {
  readonly placement: Placement
  readonly index: number
  readonly path: Path
  readonly levels: readonly Rules[]
}

function checkRegions(policy: Policy, sample: Sample, ending: Ending, surroundings: Surroundings, findings: Finding[]): void {
  const { topology } = surroundings
  const end = endsOf(ending.placement)[ending.index]
  const path = [...ending.path, 'store']
  const regions = storingRegions(policy, sampleName(policy, sample, end?.values ?? new Map()), surroundings)
  const replicas = ending.levels.reduce<Replicas | undefined>((found, rules) => rules.store?.replicas ?? found, undefined)
  const min = replicas?.min ?? 1
  const counted = active(topology, regions, replicas?.spread ?? 'region')
  if (counted < min) {
    const few =
      counted === 0
        ? 'no region of the cluster may hold it'
        : `only ${counted} of the ${min} copies that it asks for have a region`
    findings.push(error(path, `${few}; add regions there, widen in, or lower replicas.min`))
  } else if (!areConnected(topology, regions)) {
    findings.push(
      error(
        path,
        `its regions (${regions.join(', ')}) reach each other over no links of their own, and no other region may relay; add a link to the cluster file`,
      ),
    )
  }
}

function active(topology: Topology, names: readonly RegionId[], spread: Replicas['spread']): number {
  const shares = new Set<string>()
  for (const name of names) {
    const region = topology.regions.get(name)
    if (region?.state === 'active') shares.add(spread === 'region' ? region.name : region.jurisdiction)
  }
  return shares.size
}

/** Areas whose time is over or has not begun, and such that have a newer version. */
function checkAreas(policy: Policy, moment: Moment, findings: Finding[]): void {
  const seen = new Set<Area>()
  for (const { rules } of levelsOf(policy)) {
    for (const verb of servedVerbs) {
      for (const term of [...(rules[verb]?.in ?? []), ...(rules[verb]?.not ?? [])]) if (term.kind === 'area') seen.add(term.area)
    }
  }
  for (const area of seen) {
    const path: Path = ['areas', area.name]
    if (moment.nowMs >= area.untilMs)
      findings.push(error(path, 'its time is over, so that it allows nothing any more; write a newer one'))
    else if (moment.nowMs < area.fromMs) findings.push(warning(path, 'its time has not begun, so that it allows nothing yet'))
    const newest = newestArea(area.name)
    if (area.version !== '' && newest !== undefined && newest.version > area.version)
      findings.push(warning(path, `there is a newer version, ${newest.version}; what differs is a change of the policy`))
  }
}

function checkException(
  policy: Policy,
  [index, exception]: readonly [number, Policy['exceptions'][number]],
  moment: Moment,
  findings: Finding[],
): void {
  const path: Path = ['exceptions', index]
  if (moment.nowMs >= exception.untilMs) findings.push(warning([...path, 'until'], 'it has ended and does nothing; take it out'))
  const levels: readonly Level[] = [...levelsOf(policy)]
  for (const [place, term] of exception.to.entries()) {
    const codes = codesOf(term)
    const barred = codes.length > 0 && codes.every((code) => isBarred(levels, exception, code))
    if (barred)
      findings.push(
        error(
          [...path, 'to', place],
          `a not of the tenant or of the same rule names ${formatTerm(term)}, and no exception overrides a not`,
        ),
      )
  }
}

const codesOf = (term: PlaceTerm): readonly Jurisdiction[] =>
  term.kind === 'jurisdiction' ? [term.code] : term.kind === 'area' ? [...term.area.members.keys()] : []

function isBarred(levels: readonly Level[], { rule, verb }: Policy['exceptions'][number], code: Jurisdiction): boolean {
  const place: KnownPlace = { region: undefined, jurisdiction: code }
  return levels.some(
    ({ name, rules }, index) => (index === 0 || name === rule) && excludedBy(rules[verb]?.not ?? [], place) !== undefined,
  )
}
