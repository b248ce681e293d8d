/**
 * Areas: named, dated, sourced sets of jurisdictions. An area is data with a range in which it holds, and a policy names one version of it: a new
 * version is a change of the policy, and no update of the software moves a document.
 *
 * Where time or membership is in doubt, an area is read against whoever asks: for `in` only members that hold now count, for `not` all that
 * ever did (RES2).
 */

import type { Jurisdiction } from './jurisdiction.js'

export interface AreaMember {
  readonly code: Jurisdiction
  /** When its membership ends by what is known today, in milliseconds since 1970; Infinity without an end. */
  readonly untilMs: number
}

export interface Area {
  /** `EEA`, or a tenant's own. */
  readonly name: string
  /** `2026-01`: the month in which the list was compared with its sources; empty for a tenant's own. */
  readonly version: string
  /** The area holds from here on, in milliseconds since 1970. */
  readonly fromMs: number
  /** It holds no more from here on; Infinity without an end. */
  readonly untilMs: number
  readonly members: ReadonlyMap<Jurisdiction, AreaMember>
  /** Where the list is from: titles and addresses of the law. */
  readonly sources: readonly string[]
  /** What the list leaves out, or does not say. */
  readonly note: string
}

/** `EEA@2026-01`, and the name alone for a tenant's own. */
export const formatArea = (area: Area): string => (area.version === '' ? area.name : `${area.name}@${area.version}`)

/**
 * Whether a jurisdiction is in the area now, so that something may be there.
 *
 * @param skewMs how far the clock may be off: ends come this much sooner, beginnings this much later.
 */
export function isMember(area: Area, code: Jurisdiction, nowMs: number, skewMs: number): boolean {
  const member = area.members.get(code)
  if (member === undefined) return false
  return nowMs - skewMs >= area.fromMs && nowMs + skewMs < Math.min(area.untilMs, member.untilMs)
}

/** The moments at which what an area holds changes, as `isMember` sees them. */
export function* changesOf(area: Area, skewMs: number): Iterable<number> {
  yield area.fromMs + skewMs
  yield area.untilMs - skewMs
  for (const member of area.members.values()) yield member.untilMs - skewMs
}
