/**
 * The areas that are shipped: compared with their sources in the month that a version is named for. A mistake here is corrected by a new
 * version and never in place, because policies name versions. None of this is legal advice.
 */

import type { Area, AreaMember } from './area.js'
import type { Jurisdiction } from './jurisdiction.js'

const eu = 'AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK'
const eea = `${eu} IS LI NO`
/** The decision on the United Kingdom ends by itself (Article 12 of the decision as renewed on 19 December 2025). */
const adequate = 'AD AR CH FO GB<2031-12-27 GG IL IM JE JP KR NZ UY'

const treaty = 'Treaty on European Union, Article 52, https://eur-lex.europa.eu/eli/treaty/teu_2016/art_52/oj'
const withdrawal = 'Agreement on the withdrawal of the United Kingdom, OJ L 29, 31.1.2020, p. 7'
const agreement = 'Agreement on the European Economic Area, Article 126, https://www.efta.int/eea-agreement'
const decisions =
  'Commission decisions under Article 45 of Regulation (EU) 2016/679, https://commission.europa.eu/law/law-topic/data-protection/international-dimension-data-protection/adequacy-decisions_en'
const renewal = 'Renewal of the decision on the United Kingdom, 19 December 2025, in force until 27 December 2031'
const partial =
  'Left out are Canada and the United States: their decisions hold for commercial organisations and for certified ones only, which a place alone does not tell.'

/** All versions of all areas, each name's newest last. */
export const publishedAreas: readonly Area[] = [
  area('EU', '2020-02', '2020-02-01', eu, [treaty, withdrawal]),
  area('EU', '2026-01', '2020-02-01', eu, [treaty, withdrawal]),
  area('EEA', '2021-01', '2021-01-01', eea, [agreement, withdrawal]),
  area('EEA', '2026-01', '2021-01-01', eea, [agreement, withdrawal]),
  area('EU-ADEQUATE', '2026-01', '2025-12-19', adequate, [decisions, renewal], partial),
  area(
    'EU-ADEQUATE',
    '2026-02',
    '2026-02-01',
    `BR ${adequate}`,
    [decisions, renewal, 'Decision on Brazil, January 2026'],
    partial,
  ),
]

/** By name, and by name and version: `EEA@2026-01`. */
const byVersion = new Map(publishedAreas.map((one) => [`${one.name}@${one.version}`, one]))
const newest = new Map(publishedAreas.map((one) => [one.name, one]))

export const publishedArea = (name: string, version: string): Area | undefined => byVersion.get(`${name}@${version}`)

/** The newest version of an area, for advice only: a policy says which one it means. */
export const newestArea = (name: string): Area | undefined => newest.get(name)

function area(name: string, version: string, from: string, list: string, sources: readonly string[], note = ''): Area {
  const members = new Map<Jurisdiction, AreaMember>()
  for (const word of list.split(' ')) {
    const [code = '', until] = word.split('<')
    // The table above is checked by a test against the codes of ISO 3166.
    members.set(code as Jurisdiction, { code: code as Jurisdiction, untilMs: until === undefined ? Infinity : Date.parse(until) })
  }
  return { name, version, fromMs: Date.parse(from), untilMs: Infinity, members, sources, note }
}
