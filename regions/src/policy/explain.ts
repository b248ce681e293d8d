/**
 * A decision in words, for people who may know the name of the document. Never for a log: it spells the name (RES6).
 *
 * ```
 * DENY store plaintext acme/patients/ch/7f#clinical at us-east
 *   rule   acme.patients.clinical  store in [EEA, CH]   (policy epoch 41, EEA@2026-01)
 *   nearest allowed  eu-central, eu-west
 *   would be allowed by  adding US to store.in, or an exception (rule is not exceptable)
 * ```
 */

import { unreachable } from '@meridian/core/errors'
import { formatArea } from '../areas/area.js'
import type { Ruling } from './combine.js'
import type { PlacedName, Question, Reason, Unknown, Voice } from './evaluate.js'
import { formatTerm, type KnownPlace, type Place, type PlaceTerm } from './place.js'

export function explain(question: Question, ruling: Ruling): string {
  const { verb, form, name, place } = question
  const lines = [`${ruling.kind === 'yes' ? 'ALLOW' : 'DENY'} ${verb} ${form} ${formatName(name)} at ${formatPlace(place)}`]
  lines.push(`  rule   ${ruling.rule}  ${said(ruling.reason)}   (${source(ruling)})`)
  if (ruling.kind === 'yes') {
    lines.push(`  group  ${ruling.group}`)
    const { reason } = ruling
    if (reason.kind === 'allowed' && reason.exceptionUntilMs !== undefined)
      lines.push(`  by an exception until  ${formatTime(reason.exceptionUntilMs)}`)
    return lines.join('\n')
  }
  lines.push(`  nearest allowed  ${ruling.nearest.length === 0 ? 'none' : ruling.nearest.join(', ')}`)
  lines.push(`  would be allowed by  ${remedy(ruling.reason)}`)
  if (ruling.isFrozen && ruling.head !== undefined)
    lines.push(
      '  frozen  several edits of the policy hold side by side and all must say yes; an edit that names them all replaces them',
    )
  return lines.join('\n')
}

export const formatName = (name: PlacedName): string =>
  `${name.tenant}/${name.collection}/${name.key}${name.section === undefined ? '' : `#${name.section}`}`

export const formatPlace = (place: Place): string =>
  place.kind === 'region' ? place.region : `a client in ${place.jurisdiction ?? 'an unknown country'}`

/** What the rule says, in a few words. */
function said(reason: Reason): string {
  switch (reason.kind) {
    case 'allowed':
      return saidIn(reason.voice)
    case 'outside':
      return saidIn(reason.voices[0])
    case 'not':
      return `${reason.voice.verb} not [${reason.voice.constraint.not.map(formatTerm).join(', ')}]`
    case 'not chosen':
      return `${saidIn(reason.voice)}, ${reason.replicas.max === Infinity ? 'one copy' : `at most ${reason.replicas.max} copies`}${reason.replicas.spread === 'jurisdiction' ? ', each in another country' : ''}`
    case 'unknown':
      return unknownWords[reason.what]
    case 'gone':
      return 'the region is gone by the cluster file'
    case 'heads disagree':
      return 'edits of the policy disagree about the group'
    default:
      return unreachable(reason)
  }
}

const saidIn = ({ verb, constraint }: Voice): string =>
  constraint.in === undefined ? verb : `${verb} in [${constraint.in.map(formatTerm).join(', ')}]`

const unknownWords: Readonly<Record<Unknown, string>> = {
  policy: 'no policy of this tenant is known here',
  edit: 'an edit of the policy cannot be read by this version',
  tenant: 'the policy is of another tenant',
  collection: 'the policy does not know the collection',
  section: 'the policy does not know the section',
  key: 'the key does not match the pattern of its collection',
  placement: 'the policy gives it no placement',
  branch: 'no branch of the placement matches the key',
  region: 'the cluster file does not know the region',
  form: 'the form is not served by this version',
  rule: 'no rule says where',
}

function source(ruling: Ruling): string {
  const { reason } = ruling
  const terms = termsOf(reason)
  const versions = new Set<string>()
  for (const term of terms) if (term.kind === 'area' && term.area.version !== '') versions.add(formatArea(term.area))
  return [`policy epoch ${ruling.epoch}`, ...versions].join(', ')
}

function termsOf(reason: Reason): readonly PlaceTerm[] {
  if (reason.kind === 'outside') return reason.voices[0].constraint.in ?? []
  if (reason.kind === 'not') return reason.voice.constraint.not
  return reason.kind === 'allowed' || reason.kind === 'not chosen' ? (reason.voice.constraint.in ?? []) : []
}

function remedy(reason: Reason): string {
  switch (reason.kind) {
    case 'outside': {
      const [first, ...others] = reason.voices
      const added = addition(reason.place)
      if (added === undefined) return 'a token or connection that attests the country of the client'
      const more = others.map(({ rule, verb }) => ` and to ${verb}.in of ${rule}`).join('')
      const isExceptable = reason.voices.every(({ constraint }) => constraint.exceptable)
      return `adding ${added} to ${first.verb}.in${more}, or an exception${isExceptable ? '' : ' (rule is not exceptable)'}`
    }
    case 'not': {
      if (reason.place.jurisdiction === undefined) return 'a token or connection that attests the country of the client'
      return `taking ${formatTerm(reason.term)} out of ${reason.voice.verb}.not; no exception can`
    }
    case 'not chosen':
      return 'a higher replicas.max, or preferring this region in store.prefer'
    case 'unknown':
      return unknownRemedies[reason.what]
    case 'gone':
      return 'a region that is active in the cluster file'
    case 'heads disagree':
      return 'an edit of the policy that names all of its heads'
    case 'allowed':
      return 'nothing more'
    default:
      return unreachable(reason)
  }
}

const addition = (place: KnownPlace): string | undefined => place.jurisdiction

const unknownRemedies: Readonly<Record<Unknown, string>> = {
  policy: 'a policy that names this region',
  edit: 'a version of Meridian that can read the edit',
  tenant: 'asking the policy of the tenant in the name',
  collection: 'adding the collection to collections, with a placement',
  section: 'adding the section to sections of its collection, with a placement',
  key: 'a key of the pattern in keys of its collection',
  placement: 'naming a placement for the collection or section',
  branch: 'a branch in where that matches, or otherwise',
  region: 'adding the region to the cluster file',
  form: 'asking for plaintext',
  rule: 'a rule that says where, with in',
}

/** `2026-07-01T12:00:00Z`, without the clock of the world. */
export function formatTime(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000)
  const days = Math.floor(seconds / 86_400)
  const rest = seconds - days * 86_400
  const { year, month, day } = civilDate(days)
  const pad = (value: number, length = 2): string => String(value).padStart(length, '0')
  const time = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60].map((part) => pad(part)).join(':')
  return `${pad(year, 4)}-${pad(month)}-${pad(day)}T${time}Z`
}

/** The date of a day since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms", civil_from_days). */
function civilDate(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day }
}
