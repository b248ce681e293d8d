/**
 * Reads a policy from plain values. What is not known is refused and never ignored; what is known and not served by this version is refused with
 * the code `not served`. So whatever comes out of here can be held, and what cannot be read leaves the tenant without that policy: closed (RES2).
 */

import { parseTenant } from '@meridian/core/ids'
import type { Area, AreaMember } from '../areas/area.js'
import { isJurisdiction, type Jurisdiction } from '../areas/jurisdiction.js'
import { newestArea, publishedArea } from '../areas/published.js'
import { type Finding, Plain } from '../plain.js'
import { type KeyPattern, parseKeyPattern, partExpected, partPattern } from './key-pattern.js'
import { readRules, readTerms, type RulesContext } from './parse-rules.js'
import {
  type Branch,
  type Collection,
  type Exception,
  levelsOf,
  type Placement,
  type Policy,
  policyVersion,
  type Rules,
  servedVerbs,
  type Subject,
} from './schema.js'

export type PolicyOutcome =
  | { readonly kind: 'parsed'; readonly policy: Policy; readonly warnings: readonly Finding[] }
  | { readonly kind: 'invalid'; readonly findings: readonly Finding[] }

const labelPattern = /^[a-z0-9][a-z0-9-]{0,62}$/
const labelExpected = '1 to 63 of a-z, 0-9 and -, not beginning with -'
/** Labels with dots between them; at most 127 characters, so that a group's name stays below its bound. */
const placementPattern = /^(?=.{1,127}$)[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62})*$/
const areaPattern = /^[A-Z][A-Z0-9-]{1,31}$/
const keyIdPattern = /^[a-zA-Z0-9][a-zA-Z0-9._:-]{0,127}$/
/** First labels of placements that would make the name of a rule or a group ambiguous. */
const reserved = new Set(['class', 'control'])

export function parsePolicy(value: unknown): PolicyOutcome {
  const top = new Plain(value)
  const { findings } = top
  const sections = ['version', 'tenant', 'areas', 'rules', 'classes', 'placements', 'collections', 'exceptions']
  if (!top.isMapping(sections)) return { kind: 'invalid', findings }
  if (top.at('version').count(policyVersion, policyVersion) === undefined) return { kind: 'invalid', findings }
  const tenant = top.at('tenant').text(labelPattern, `the tenant: ${labelExpected}`)
  const context: RulesContext = { areas: readAreas(top.at('areas')) }
  const rules = readRules(top.at('rules'), 'tenant', context)
  const classes = new Map<string, Rules>()
  for (const [name, plain] of top.at('classes').entries(labelPattern, labelExpected)) {
    // A class without rules is written `personal: {}`.
    classes.set(name, readRules(plain, 'class', context))
  }
  const placements = new Map<string, Placement>()
  for (const [name, plain] of top
    .at('placements')
    .entries(placementPattern, `labels with dots between them, a label ${labelExpected}`)) {
    const placement = readPlacement(name, plain, context)
    if (placement !== undefined) placements.set(name, placement)
  }
  const collections = new Map<string, Collection>()
  for (const [name, plain] of top.at('collections').entries(labelPattern, labelExpected)) {
    const collection = readCollection(plain)
    if (collection !== undefined) collections.set(name, collection)
  }
  if (tenant === undefined) return { kind: 'invalid', findings }
  const bare: Policy = { tenant: parseTenant(tenant), rules, classes, placements, collections, exceptions: [] }
  checkSubjects(top, bare)
  checkStated(top, bare)
  const policy = { ...bare, exceptions: readExceptions(top.at('exceptions'), bare, context) }
  if (findings.some(({ level }) => level === 'error')) return { kind: 'invalid', findings }
  return { kind: 'parsed', policy, warnings: findings }
}

/** `EEA: 2026-01` names a version of a published area; a mapping with members is an area of the tenant's own. */
function readAreas(plain: Plain): Map<string, Area> {
  const areas = new Map<string, Area>()
  for (const [name, item] of plain.entries(areaPattern, '2 to 32 of A-Z, 0-9 and -, beginning with a letter')) {
    if (isJurisdiction(name)) item.refuse(`${name} is a country code; give the area another name`)
    else {
      const area = typeof item.value === 'string' ? readPinned(name, item) : readOwnArea(name, item)
      if (area !== undefined) areas.set(name, area)
    }
  }
  return areas
}

function readPinned(name: string, plain: Plain): Area | undefined {
  const version = plain.text(/^[0-9]{4}-[0-9]{2}$/, 'a version, such as 2026-01')
  if (version === undefined) return undefined
  const newest = newestArea(name)
  if (newest === undefined) return plain.refuse(`no area ${name} is published; write its members, sources and from`)
  return (
    publishedArea(name, version) ?? plain.refuse(`there is no version ${version} of ${name}; the newest is ${newest.version}`)
  )
}

function readOwnArea(name: string, plain: Plain): Area | undefined {
  if (!plain.isMapping(['members', 'sources', 'from', 'until', 'note'])) return undefined
  if (newestArea(name) !== undefined) return plain.refuse(`${name} is a published area; give your own another name`)
  const members = new Map<Jurisdiction, AreaMember>()
  for (const item of plain.at('members').items()) {
    const code = item.text(/^[A-Z]{2}$/, 'a country code of ISO 3166-1, such as IE')
    if (code === undefined) continue
    if (isJurisdiction(code)) members.set(code, { code, untilMs: Infinity })
    else item.refuse(`${code} is no country code of ISO 3166-1`)
  }
  const sources: string[] = []
  for (const item of plain.at('sources').items()) {
    const source = item.text(/^\S.{0,500}$/, 'where the list is from, in up to 500 characters')
    if (source !== undefined) sources.push(source)
  }
  if (sources.length === 0) plain.at('sources').refuse('say where the list is from: [the law, or your own decision]')
  if (plain.at('members').isAbsent) plain.at('members').refuse('name the countries: [IN, SG]; [] for none yet')
  const fromMs = plain.at('from').time()
  const until = plain.at('until')
  const untilMs = until.isAbsent ? Infinity : until.time()
  const noted = plain.at('note')
  const note = noted.isAbsent ? '' : (noted.text(/^[^]{1,2000}$/, 'up to 2000 characters') ?? '')
  if (fromMs === undefined || untilMs === undefined) return undefined
  if (untilMs <= fromMs) return until.refuse('until is not after from')
  return { name, version: '', fromMs, untilMs, members, sources, note }
}

function readPlacement(name: string, plain: Plain, context: RulesContext): Placement | undefined {
  if (reserved.has(name.split('.')[0] ?? ''))
    return plain.refuse('a placement does not begin with class or control; both mean something else')
  const rules = readRules(plain, 'placement', context, ['by', 'where', 'otherwise'])
  const by: string[] = []
  for (const item of plain.at('by').items()) {
    const part = item.text(partPattern, `the name of a key part: ${partExpected}`)
    if (part !== undefined && by.includes(part)) item.refuse('it stands there twice')
    else if (part !== undefined) by.push(part)
  }
  const where: Branch[] = []
  for (const item of plain.at('where').items()) where.push(readBranch(item, by, context))
  const other = plain.at('otherwise')
  if (!other.isAbsent && where.length === 0) other.refuse('otherwise is for when no branch of where matches, and there is none')
  const otherwise = other.isAbsent ? undefined : readRules(other, 'placement', context)
  return { name, by, rules, where, otherwise }
}

function readBranch(plain: Plain, by: readonly string[], context: RulesContext): Branch {
  const rules = readRules(plain, 'placement', context, ['when'])
  const when = new Map<string, ReadonlySet<string>>()
  for (const [part, item] of plain.at('when').entries(partPattern, `the name of a key part: ${partExpected}`)) {
    const values = new Set<string>()
    for (const one of Array.isArray(item.value) ? item.items() : [item]) {
      const value = one.text(/^[^/]{1,512}$/, 'a segment of a key, or a list of them')
      if (value !== undefined) values.add(value)
    }
    if (!by.includes(part)) item.refuse(`a rule matches on parts that are named in by: add ${part} there`)
    else if (values.size === 0) item.refuse('an empty list matches nothing; name a value')
    else when.set(part, values)
  }
  if (when.size === 0) plain.at('when').refuse('say what it matches on, such as { residence: [ch, de] }')
  return { when, rules }
}

function readCollection(plain: Plain): Collection | undefined {
  if (!plain.isMapping(['placement', 'class', 'keys', 'sections'])) return undefined
  const given = plain.at('keys')
  const sections = new Map<string, Subject>()
  for (const [name, item] of plain.at('sections').entries(labelPattern, labelExpected)) {
    if (item.isMapping(['placement', 'class'])) sections.set(name, readSubject(item))
  }
  const keys = given.isAbsent ? undefined : readKeys(given)
  return { ...readSubject(plain), keys, sections }
}

function readSubject(plain: Plain): Subject {
  const placement = plain.at('placement')
  const classified = plain.at('class')
  return {
    placement: placement.isAbsent ? undefined : placement.text(placementPattern, 'the name of a placement'),
    class: classified.isAbsent ? undefined : classified.text(labelPattern, 'the name of a class'),
  }
}

function readKeys(plain: Plain): KeyPattern | undefined {
  const text = plain.text(/^.{1,512}$/, 'a pattern of keys, such as :residence/:id')
  if (text === undefined) return undefined
  const pattern = parseKeyPattern(text)
  return typeof pattern === 'string' ? plain.refuse(pattern) : pattern
}

/** Collections and sections name placements and classes that exist, and all of one placement have one class: a group has one set of rules. */
function checkSubjects(top: Plain, policy: Policy): void {
  const classOf = new Map<string, string | undefined>()
  const check = (plain: Plain, subject: Subject, keys: KeyPattern | undefined): void => {
    if (subject.class !== undefined && !policy.classes.has(subject.class))
      plain.at('class').refuse(`there is no class ${subject.class}; add it under classes, with rules or as {}`)
    if (subject.placement === undefined) return
    const placement = policy.placements.get(subject.placement)
    if (placement === undefined) {
      // A placement that is there and could not be read has its own finding.
      if (top.at('placements').at(subject.placement).isAbsent)
        plain.at('placement').refuse('there is no such placement; add it under placements')
      return
    }
    const missing = placement.by.filter((part) => keys?.parts.includes(part) !== true)
    if (missing.length > 0)
      plain
        .at('placement')
        .refuse(`its groups are by ${missing.join(', ')}, which the keys here do not name; add :${missing.join('/:')} to keys`)
    if (classOf.has(placement.name) && classOf.get(placement.name) !== subject.class)
      plain
        .at('class')
        .refuse('another collection or section of the same placement has another class; give this one a placement of its own')
    classOf.set(placement.name, subject.class)
  }
  for (const [name, collection] of policy.collections) {
    const plain = top.at('collections').at(name)
    if (collection.placement === undefined && collection.sections.size === 0)
      plain.at('placement').refuse('say which placement it has')
    check(plain, collection, collection.keys)
    for (const [section, subject] of collection.sections) {
      const part = plain.at('sections').at(section)
      if (subject.placement === undefined) part.at('placement').refuse('say which placement it has')
      check(part, subject, collection.keys)
    }
  }
}

/** Where a document is stored and from where it may be reached is said and never guessed. */
function checkStated(top: Plain, policy: Policy): void {
  for (const [name, subject] of subjectsByPlacement(policy)) {
    const placement = policy.placements.get(name)
    if (placement === undefined) continue
    const wide = [policy.rules, subject.class === undefined ? {} : (policy.classes.get(subject.class) ?? {}), placement.rules]
    const ends = [
      ...placement.where.map((branch) => branch.rules),
      ...(placement.otherwise === undefined ? [] : [placement.otherwise]),
    ]
    for (const verb of ['store', 'access'] as const) {
      const stated = (rules: Rules): boolean => rules[verb]?.in !== undefined
      if (wide.some(stated) || (ends.length > 0 && ends.every(stated))) continue
      top.at('placements').at(name).at(verb).refuse(`say where: ${verb}: { in: [anywhere] }, or only some places`)
    }
  }
}

function subjectsByPlacement(policy: Policy): Map<string, Subject> {
  const subjects = new Map<string, Subject>()
  for (const name of policy.placements.keys()) subjects.set(name, { placement: name, class: undefined })
  for (const collection of policy.collections.values()) {
    for (const subject of [collection, ...collection.sections.values()]) {
      if (subject.placement !== undefined) subjects.set(subject.placement, subject)
    }
  }
  return subjects
}

function readExceptions(plain: Plain, policy: Policy, context: RulesContext): Exception[] {
  const levels = new Map([...levelsOf(policy)].map((level) => [level.name, level.rules]))
  const exceptions: Exception[] = []
  for (const item of plain.items()) {
    if (!item.isMapping(['rule', 'verb', 'to', 'basis', 'approvers', 'from', 'until'])) continue
    const rule = item.at('rule').text(/^.{1,256}$/, 'the name of a rule, such as acme.patients.clinical')
    const verb = item.at('verb').oneOf(servedVerbs)
    const basis = item.at('basis').text(/^\S.{0,500}$/, 'why it is allowed, in up to 500 characters')
    const approvers = new Set<string>()
    for (const one of item.at('approvers').items()) {
      const approver = one.text(keyIdPattern, 'the id of a key')
      if (approver !== undefined) approvers.add(approver)
    }
    if (approvers.size < 2) item.at('approvers').refuse('an exception needs two approvers or more, each another key id')
    const fromMs = item.at('from').time()
    if (item.at('until').isAbsent) item.at('until').refuse('an exception has an end: say until when')
    const untilMs = item.at('until').isAbsent ? undefined : item.at('until').time()
    if (rule === undefined || verb === undefined) continue
    const to = readTerms(item.at('to'), verb, context)
    if (to.length === 0) item.at('to').refuse('name the places that it allows')
    const constraint = levels.get(rule)?.[verb]
    if (!levels.has(rule)) item.at('rule').refuse('there is no such rule')
    else if (constraint?.exceptable !== true) item.at('rule').refuse(`its ${verb} is not exceptable, so it can have no exception`)
    if (fromMs === undefined || untilMs === undefined || basis === undefined) continue
    if (untilMs <= fromMs) item.at('until').refuse('until is not after from')
    exceptions.push({ rule, verb, to, basis, approvers: [...approvers], fromMs, untilMs })
  }
  return exceptions
}
