/** Reads the rules of one level: verbs, and for each `in`, `not`, `prefer`, `replicas`. */

import { parseRegion } from '@meridian/core/ids'
import type { Area } from '../areas/area.js'
import { isJurisdiction } from '../areas/jurisdiction.js'
import { newestArea, publishedArea } from '../areas/published.js'
import type { Plain } from '../plain.js'
import { regionPattern } from '../topology.js'
import type { PlaceTerm } from './place.js'
import { type Constraint, laterFields, laterVerbs, type Replicas, type Rules, type ServedVerb, servedVerbs } from './schema.js'

/** Where rules stand: what else may be said there. */
export type LevelKind = 'tenant' | 'class' | 'placement'

export interface RulesContext {
  /** Areas that the policy names at its top, by name. */
  readonly areas: ReadonlyMap<string, Area>
}

/** Copies that one rule may ask for. */
export const replicasMax = 256

const termExpected = 'a region (eu-west), a country (IE), an area (EEA), or anywhere'

/** Verbs of a mapping that may hold `others` beside them. */
export function readRules(plain: Plain, kind: LevelKind, context: RulesContext, others: readonly string[] = []): Rules {
  if (plain.isAbsent) return {}
  if (!plain.isMapping([...servedVerbs, ...laterVerbs, ...laterFields, ...others])) return {}
  for (const word of [...laterVerbs, ...laterFields]) {
    const later = plain.at(word)
    if (!later.isAbsent && !others.includes(word))
      later.refuse(`${word} is not served by this version, and nothing would hold it; take it out, or wait`, 'not served')
  }
  const rules: Partial<Record<ServedVerb, Constraint>> = {}
  for (const verb of servedVerbs) {
    const constraint = readConstraint(plain.at(verb), verb, kind, context)
    if (constraint !== undefined) rules[verb] = constraint
  }
  return rules
}

function readConstraint(plain: Plain, verb: ServedVerb, kind: LevelKind, context: RulesContext): Constraint | undefined {
  if (plain.isAbsent) return undefined
  const ordered = verb === 'store' && kind === 'placement'
  const fields = ordered ? ['in', 'not', 'prefer', 'replicas', 'exceptable'] : ['in', 'not', 'exceptable']
  const ciphertext = plain.at('ciphertext')
  if (!ciphertext.isAbsent) {
    return ciphertext.refuse(
      'the form ciphertext is not served by this version, and nothing would hold it; take it out',
      'not served',
    )
  }
  if (!plain.isMapping(fields)) return undefined
  const within = plain.at('in')
  const constraint: Constraint = {
    in: within.isAbsent ? undefined : readTerms(within, verb, context),
    not: readTerms(plain.at('not'), verb, context),
    prefer: readTerms(plain.at('prefer'), verb, context),
    replicas: readReplicas(plain.at('replicas')),
    exceptable: plain.at('exceptable').boolean(false),
  }
  if (constraint.in?.length === 0 && Array.isArray(within.value) && within.value.length === 0)
    within.refuse('an empty list allows no place at all; name one, or take it out')
  if (constraint.exceptable && constraint.in === undefined) {
    plain.at('exceptable').refuse('an exception widens `in`, and there is none here; take this out')
  }
  return constraint
}

export function readTerms(plain: Plain, verb: ServedVerb, context: RulesContext): PlaceTerm[] {
  const terms: PlaceTerm[] = []
  for (const item of plain.items()) {
    const term = readTerm(item, context)
    if (term?.kind === 'region' && verb === 'access')
      item.refuse('access is judged by the country that a client is in; name countries or areas')
    else if (term !== undefined) terms.push(term)
  }
  return terms
}

function readTerm(plain: Plain, { areas }: RulesContext): PlaceTerm | undefined {
  const text = plain.text(/^(?:[a-z0-9][a-z0-9-]{0,62}|[A-Z][A-Z0-9-]{1,31}(?:@[0-9]{4}-[0-9]{2})?)$/, termExpected)
  if (text === undefined) return undefined
  if (text === 'anywhere') return { kind: 'anywhere' }
  if (regionPattern.test(text)) return { kind: 'region', region: parseRegion(text) }
  if (isJurisdiction(text)) return { kind: 'jurisdiction', code: text }
  const named = areas.get(text)
  if (named !== undefined) return { kind: 'area', area: named }
  const [name = '', version = ''] = text.split('@')
  const published = publishedArea(name, version)
  if (published !== undefined) return { kind: 'area', area: published }
  const newest = newestArea(name)
  if (newest === undefined)
    return plain.refuse(`${text} is neither a country code nor an area that is known; write its countries under areas`)
  if (version !== '') return plain.refuse(`there is no version ${version} of ${name}; the newest is ${newest.version}`)
  return plain.refuse(`say which version of ${name} is meant: under areas, ${name}: ${newest.version}`)
}

function readReplicas(plain: Plain): Replicas | undefined {
  if (plain.isAbsent || !plain.isMapping(['min', 'max', 'spread'])) return undefined
  const low = plain.at('min')
  const high = plain.at('max')
  const spreading = plain.at('spread')
  const min = low.isAbsent ? 1 : low.count(1, replicasMax)
  const max = high.isAbsent ? Infinity : high.count(1, replicasMax)
  const spread = spreading.isAbsent ? 'region' : spreading.oneOf(['region', 'jurisdiction'] as const)
  if (min === undefined || max === undefined || spread === undefined) return undefined
  if (min > max) return high.refuse('max is less than min')
  return { min, max, spread }
}
