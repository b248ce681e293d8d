import { jurisdictions, isJurisdiction } from '@meridian/regions/areas/jurisdiction'
import { publishedAreas } from '@meridian/regions/areas/published'
import { onlyHead } from '@meridian/regions/policy/combine'
import { decide } from '@meridian/regions/policy/combine'
import { explain, formatTime } from '@meridian/regions/policy/explain'
import { matchKey, parseKeyPattern } from '@meridian/regions/policy/key-pattern'
import { validate } from '@meridian/regions/policy/validate'
import { formatFinding, Plain } from '@meridian/regions/plain'
import { areLinked, parseTopology } from '@meridian/regions/topology'
import { parseRegion } from '@meridian/core/ids'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ask, cluster, flawsOf, may, nameOf, placeOf, policyOf, ruling, skewMs } from '../policies.js'

const four = cluster({
  'eu-central': 'DE',
  'eu-west': 'IE',
  'us-east': 'US',
  'ch-zurich': { jurisdiction: 'CH', state: 'removed' },
})

/** The policy of the picture in PLACEMENT: one section in the EEA and Switzerland. */
const patients = (clinical: object = {}, others: object = {}): object => ({
  version: 1,
  tenant: 'acme',
  areas: { EEA: '2026-01' },
  placements: { 'patients.clinical': { store: { in: ['EEA', 'CH'] }, access: { in: ['anywhere'] }, ...clinical } },
  collections: { patients: { keys: ':residence/:id', sections: { clinical: { placement: 'patients.clinical' } } } },
  ...others,
})
const clinical = 'acme/patients/ch/7f#clinical'

describe('explain', () => {
  it('[RES1] prints what the design shows, to the letter', () => {
    const policy = policyOf(patients())
    const question = ask('store', clinical, 'us-east')
    expect(
      explain(question, ruling(policy, question, four, may, 41)),
    ).toBe(`DENY store plaintext acme/patients/ch/7f#clinical at us-east
  rule   acme.patients.clinical  store in [EEA, CH]   (policy epoch 41, EEA@2026-01)
  nearest allowed  eu-central, eu-west
  would be allowed by  adding US to store.in, or an exception (rule is not exceptable)`)
  })

  it.each([
    [
      'a not',
      patients({ store: { in: ['anywhere'], not: ['US'] } }),
      ask('store', clinical, 'us-east'),
      'taking US out of store.not; no exception can',
    ],
    ['a collection that is not known', patients(), ask('store', 'acme/notes/1', 'eu-west'), 'adding the collection'],
    ['a section that is not known', patients(), ask('store', 'acme/patients/ch/1#x', 'eu-west'), 'adding the section'],
    ['a key of another pattern', patients(), ask('store', 'acme/patients/1#clinical', 'eu-west'), 'a key of the pattern'],
    ['a document without a placement', patients(), ask('store', 'acme/patients/ch/1', 'eu-west'), 'naming a placement'],
    ['a region that is not known', patients(), ask('store', clinical, 'eu-north'), 'adding the region to the cluster file'],
    ['a region that is gone', patients(), ask('store', clinical, 'ch-zurich'), 'a region that is active'],
    ['another tenant', patients(), ask('store', 'other/patients/ch/7f#clinical', 'eu-west'), 'asking the policy of the tenant'],
    ['ciphertext', patients(), { ...ask('store', clinical, 'eu-west'), form: 'ciphertext' as const }, 'asking for plaintext'],
    [
      'a client of whom nobody says where',
      patients({ access: { in: ['EEA'] } }),
      ask('access', clinical, '?'),
      'that attests the country',
    ],
    [
      'a not and a client of whom nobody says where',
      patients({ access: { in: ['anywhere'], not: ['US'] } }),
      ask('access', clinical, '?'),
      'that attests the country',
    ],
    ['storing at a client', patients(), { ...ask('store', clinical, 'eu-west'), place: placeOf('IE') }, 'adding the region'],
    [
      'copies enough elsewhere',
      patients({ store: { in: ['EEA'], prefer: ['eu-west'], replicas: { max: 1 } } }),
      ask('store', clinical, 'eu-central'),
      'a higher replicas.max',
    ],
  ])('[RES2] given %s, then it is denied, and the words say what would help', (_, value, question, words) => {
    const answer = ruling(policyOf(value), question, four)
    expect(answer.kind).toBe('no')
    expect(explain(question, answer)).toContain(words)
    // Reason and rule go to logs, and hold nothing of the key (RES6).
    expect(JSON.stringify([answer.rule, answer.reason])).not.toContain('7f')
  })

  it('says of an allowed one its group, and when the exception that allows it ends', () => {
    const value = patients(
      { store: { in: ['EEA'], exceptable: true } },
      {
        exceptions: [
          {
            rule: 'acme.patients.clinical',
            verb: 'store',
            to: ['US'],
            basis: 'b',
            approvers: ['a', 'b'],
            from: '2026-01-01',
            until: '2026-06-01',
          },
        ],
      },
    )
    const question = ask('store', clinical, 'us-east')
    expect(explain(question, ruling(policyOf(value), question, four))).toBe(`ALLOW store plaintext ${clinical} at us-east
  rule   acme.patients.clinical  store in [EEA]   (policy epoch 1, EEA@2026-01)
  group  acme/patients.clinical
  by an exception until  2026-06-01T00:00:00Z`)
  })

  it('writes times as ISO 8601 does', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true }), (date) => {
        expect(formatTime(date.getTime())).toBe(`${date.toISOString().slice(0, 19)}Z`)
      }),
    )
  })
})

describe('precedence', () => {
  const onBoth = (tenant: object, placement: object, where = 'us-east'): string =>
    ruling(policyOf(patients({ store: placement }, { rules: { store: tenant } })), ask('store', clinical, where), four).kind

  it('[RES1] a not of any level wins over every in and over exceptions; all in sets are intersected', () => {
    expect(onBoth({ not: ['US'] }, { in: ['US'] })).toBe('no')
    expect(onBoth({ in: ['US'] }, { in: ['anywhere'], not: ['us-east'] })).toBe('no')
    expect(onBoth({ in: ['US', 'IE'] }, { in: ['EEA'] })).toBe('no')
    expect(onBoth({ in: ['US', 'IE'] }, { in: ['EEA'] }, 'eu-west')).toBe('yes')
    const excepted = {
      rule: 'acme.patients.clinical',
      verb: 'store',
      to: ['US'],
      basis: 'b',
      approvers: ['a', 'b'],
      from: '2026-01-01',
      until: '2027-01-01',
    }
    const value = patients(
      { store: { in: ['EEA'], exceptable: true } },
      { rules: { store: { not: ['US'] } }, exceptions: [excepted] },
    )
    expect(ruling(policyOf(value), ask('store', clinical, 'us-east'), four).kind).toBe('no')
    expect(validate(policyOf(value), { nowMs: may, skewMs }).map(formatFinding)).toEqual([
      'exceptions[0].to[0]: a not of the tenant or of the same rule names US, and no exception overrides a not',
    ])
  })

  it('[RES2] an area outside of its time allows nothing, and what it excludes it excludes for ever', () => {
    const own = (from: string, until: string): object => ({ OURS: { members: ['US'], sources: ['s'], from, until } })
    const answer = (areas: object, store: object): string =>
      ruling(policyOf({ ...patients({ store }), areas }), ask('store', clinical, 'us-east'), four).kind
    expect(answer(own('2026-01-01', '2027-01-01'), { in: ['OURS'] })).toBe('yes')
    expect(answer(own('2025-01-01', '2026-01-01'), { in: ['OURS'] })).toBe('no')
    expect(answer(own('2026-06-01', '2027-01-01'), { in: ['OURS'] })).toBe('no')
    expect(answer(own('2025-01-01', '2026-01-01'), { in: ['anywhere'], not: ['OURS'] })).toBe('no')
  })

  it('[RES0] gives groups by placement and values of key parts, whatever their regions are', () => {
    const value = {
      version: 1,
      tenant: 'acme',
      placements: {
        a: { by: ['residence'], store: { in: ['anywhere'] }, access: { in: ['anywhere'] } },
        b: { store: { in: ['anywhere'] }, access: { in: ['anywhere'] } },
      },
      collections: {
        x: { placement: 'a', keys: ':residence/*' },
        y: { placement: 'a', keys: 'old/:residence/:id' },
        z: { placement: 'b' },
      },
    }
    const group = (name: string): unknown => {
      const answer = ruling(policyOf(value), ask('store', name, 'eu-west'), four)
      return answer.kind === 'yes' ? answer.group : answer.rule
    }
    expect(['acme/x/ch/1/2', 'acme/x/de/1', 'acme/y/old/ch/9', 'acme/z/ch/1', 'acme/x/ch'].map(group)).toEqual([
      'acme/a/ch',
      'acme/a/de',
      'acme/a/ch',
      'acme/b',
      'acme.x',
    ])
  })

  it('[RES3] several heads must all say yes and agree on the group, and their no is frozen', () => {
    const narrow = policyOf(patients({ store: { in: ['DE'] } }))
    const wide = policyOf(patients())
    const other = policyOf({
      ...patients(),
      placements: { other: { store: { in: ['anywhere'] }, access: { in: ['anywhere'] } } },
      collections: { patients: { keys: ':residence/:id', sections: { clinical: { placement: 'other' } } } },
    })
    const kind = (heads: readonly ReturnType<typeof policyOf>[], place: string): unknown => {
      const answer = ruling(heads, ask('store', clinical, place), four)
      return answer.kind === 'yes' ? 'yes' : [answer.isFrozen, answer.nearest]
    }
    expect(kind([wide], 'eu-west')).toBe('yes')
    expect(kind([wide, narrow], 'eu-west')).toEqual([true, ['eu-central']])
    expect(kind([wide, narrow], 'eu-central')).toBe('yes')
    expect(kind([narrow], 'eu-west')).toEqual([false, ['eu-central']])
    expect(kind([wide, other], 'eu-west')).toEqual([true, []])
    const none = { tenant: narrow.tenant, epoch: 0, heads: [], unreadableCount: 0 }
    const question = { verb: 'store' as const, name: nameOf(clinical), place: placeOf('eu-west'), form: 'plaintext' as const }
    const around = { topology: four, moment: { nowMs: may, skewMs } }
    expect(decide(none, question, around)).toMatchObject({ kind: 'no', isFrozen: true })
    expect(decide({ ...onlyHead(wide, 1), unreadableCount: 1 }, question, around)).toMatchObject({
      kind: 'no',
      isFrozen: true,
      nearest: [],
    })
  })
})

describe('copies', () => {
  const six = { a: 'DE', b: 'DE', c: 'FR', d: { jurisdiction: 'IE', state: 'leaving' }, e: 'IE', f: 'ES' }
  const regions = (replicas: object, prefer: string[] = [], topology = cluster(six)): readonly string[] => {
    const answer = ruling(
      policyOf(patients({ store: { in: ['EEA'], prefer, replicas } })),
      ask('store', clinical, 'zz'),
      topology,
    )
    return answer.kind === 'no' ? answer.nearest : []
  }

  it('[RES0] are in the preferred regions, then in the order of the cluster file, and spread as asked', () => {
    expect(regions({ max: 2 })).toEqual(['a', 'b'])
    expect(regions({ max: 2, spread: 'jurisdiction' })).toEqual(['a', 'c'])
    expect(regions({ max: 2 }, ['f', 'FR'])).toEqual(['f', 'c'])
    expect(regions({ spread: 'jurisdiction' })).toEqual(['a', 'c', 'e', 'f'])
  })

  it('a region that is added at the end takes nothing over, and one that leaves keeps its copy beside its successor', () => {
    expect(regions({ max: 2 }, [], cluster({ ...six, g: 'DE' }))).toEqual(['a', 'b'])
    const leaving = cluster({ ...six, a: { jurisdiction: 'DE', state: 'leaving' } })
    const policy = policyOf(patients({ store: { in: ['EEA'], replicas: { max: 2 } } }))
    const holds = ['a', 'b', 'c', 'd'].filter((region) => ruling(policy, ask('store', clinical, region), leaving).kind === 'yes')
    expect(holds).toEqual(['a', 'b', 'c'])
  })
})

describe('a policy file', () => {
  it.each([
    [
      'a field that is not known',
      patients({ stores: {} }),
      'placements.patients.clinical.stores: there is no field stores here; there are store, access, transit, backup',
    ],
    [
      'a verb of a later form',
      patients({ process: { in: ['EEA'] } }),
      'placements.patients.clinical.process: process is not served by this version',
    ],
    ['ciphertext', patients({ store: { ciphertext: { in: ['US'] } } }), 'store.ciphertext: the form ciphertext is not served'],
    ['an obligation', patients({ eraseWithin: '30d' }), 'eraseWithin is not served'],
    ['another version', patients({}, { version: 2 }), 'version: expected a whole number from 1 to 1'],
    ['an area without its version', patients({}, { areas: {} }), 'say which version of EEA is meant: under areas, EEA: 2026-01'],
    ['an area version that is not there', patients({}, { areas: { EEA: '2020-01' } }), 'there is no version 2020-01 of EEA'],
    ['a country that is none', patients({ store: { in: ['XX'] } }), 'XX is neither a country code nor an area'],
    ['an empty in', patients({ store: { in: [] } }), 'an empty list allows no place at all'],
    [
      'nothing about access',
      { ...patients(), placements: { 'patients.clinical': { store: { in: ['EEA'] } } } },
      'access: say where',
    ],
    ['a region in access', patients({ access: { in: ['eu-west'] } }), 'access is judged by the country'],
    [
      'a class that is not known',
      { ...patients(), collections: { patients: { placement: 'patients.clinical', class: 'secret' } } },
      'there is no class secret',
    ],
    [
      'a placement that is not known',
      { ...patients(), collections: { patients: { placement: 'x' } } },
      'there is no such placement',
    ],
    [
      'a placement of a reserved name',
      patients({}, { placements: { control: {} } }),
      'placements.control: a placement does not begin',
    ],
    [
      'a branch on a part that is not in by',
      patients({ where: [{ when: { residence: 'ch' }, store: { in: ['CH'] } }] }),
      'add residence there',
    ],
    [
      'groups by a part that keys do not name',
      patients({ by: ['country'] }),
      'its groups are by country, which the keys here do not name',
    ],
    ['max below min', patients({ store: { in: ['EEA'], replicas: { min: 3, max: 2 } } }), 'max is less than min'],
    [
      'an exception without an end',
      patients(
        { store: { in: ['EEA'], exceptable: true } },
        {
          exceptions: [
            { rule: 'acme.patients.clinical', verb: 'store', to: ['US'], basis: 'b', approvers: ['a', 'b'], from: '2026-01-01' },
          ],
        },
      ),
      'an exception has an end',
    ],
    [
      'an exception of one approver, twice',
      patients(
        { store: { in: ['EEA'], exceptable: true } },
        {
          exceptions: [
            {
              rule: 'acme.patients.clinical',
              verb: 'store',
              to: ['US'],
              basis: 'b',
              approvers: ['a', 'a'],
              from: '2026-01-01',
              until: '2027-01-01',
            },
          ],
        },
      ),
      'needs two approvers',
    ],
    [
      'an exception of a rule that has none',
      patients(
        {},
        {
          exceptions: [
            {
              rule: 'acme.patients.clinical',
              verb: 'store',
              to: ['US'],
              basis: 'b',
              approvers: ['a', 'b'],
              from: '2026-01-01',
              until: '2027-01-01',
            },
          ],
        },
      ),
      'is not exceptable',
    ],
    [
      'a date that is none',
      patients({}, { areas: { OURS: { members: ['US'], sources: ['s'], from: '2026-02-30' } } }),
      'there is no such date',
    ],
    ['nothing', undefined, 'the file: expected fields'],
  ])('[RES2] given %s, then it is refused with its path and advice', (_, value, flaw) => {
    expect(flawsOf(value).join('\n')).toContain(flaw)
  })

  it.each([
    [
      'sets that exclude each other',
      patients({ store: { in: ['EEA'] } }, { rules: { store: { in: ['US'] } } }),
      'placements.patients.clinical.store: nothing is left',
    ],
    ['a not that takes all', patients({ store: { in: ['DE'], not: ['EEA'] } }), 'nothing is left'],
    ['a preference outside', patients({ store: { in: ['EEA'], prefer: ['US'] } }), 'prefers US, which is outside'],
    ['fewer regions than copies', patients({ store: { in: ['EEA'], replicas: { min: 3 } } }), 'only 2 of the 3 copies'],
    [
      'fewer countries than copies',
      patients({ store: { in: ['DE'], replicas: { min: 2, spread: 'jurisdiction' } } }),
      'only 1 of the 2 copies',
    ],
    ['no region at all', patients({ store: { in: ['JP'] } }), 'no region of the cluster may hold it'],
  ])('given %s, then it cannot be met', (_, value, flaw) => {
    expect(validate(policyOf(value), { nowMs: may, skewMs }, four).map(formatFinding).join('\n')).toContain(flaw)
  })

  it('[RES5] given regions whose link is left out, then another region may not relay and it cannot be met', () => {
    const cut = cluster({ 'eu-central': 'DE', 'eu-west': 'IE', 'us-east': 'US' }, [['eu-west', 'eu-central']])
    expect(validate(policyOf(patients()), { nowMs: may, skewMs }, cut).map(formatFinding).join()).toContain(
      'no other region may relay',
    )
    expect(areLinked(cut, parseRegion('eu-west'), parseRegion('eu-central'))).toBe(false)
    expect(areLinked(cut, parseRegion('eu-west'), parseRegion('us-east'))).toBe(true)
  })

  it('[RES2] given any values, then reading ends with an answer', () => {
    const fields = fc.constantFrom(
      'version',
      'tenant',
      'placements',
      'collections',
      'store',
      'in',
      'where',
      'when',
      'a',
      '__proto__',
    )
    const tree = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom<unknown>(1, 'acme', 'EEA', null, true),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(fields, tie('any'), { maxKeys: 4 }),
      ),
    })).any
    fc.assert(
      fc.property(tree, (value) => {
        expect(['parsed', 'invalid']).toContain(parseTopology(value).kind)
        expect(Array.isArray(flawsOf(value))).toBe(true)
      }),
    )
  })
})

describe('a cluster file', () => {
  const region = {
    jurisdiction: 'IE',
    operator: 'tests',
    client: 'ws://127.0.0.1:7101',
    link: 'ws://127.0.0.1:7101/v1/link',
    publicKey: Buffer.alloc(32, 9).toString('base64'),
  }
  it.each([
    ['a country that is none', { a: { ...region, jurisdiction: 'XX' } }, 'regions.a.jurisdiction: XX is no country code'],
    ['an address without TLS', { a: { ...region, client: 'ws://a.example.com' } }, 'regions.a.client: outside of this machine'],
    ['a key that is none', { a: { ...region, publicKey: 'AAAA' } }, 'regions.a.publicKey: expected an Ed25519 public key'],
    ['one key of two regions', { a: region, b: region }, 'regions.b.publicKey: a has this key already'],
    [
      'a successor that is not there',
      { a: { ...region, state: 'replaced', replacedBy: 'b' } },
      'regions.a.replacedBy: there is no such region',
    ],
    ['no regions', {}, 'regions: name at least one region'],
  ])('[RES2] given %s, then it is refused with its path', (_, regions, flaw) => {
    const outcome = parseTopology({ version: 1, regions })
    expect(outcome.kind === 'invalid' ? outcome.findings.map(formatFinding).join('\n') : 'parsed').toContain(flaw)
  })
})

describe('shipped areas', () => {
  it('hold codes of ISO 3166 only, with sources, and EEA is the EU and three', () => {
    expect(jurisdictions.length).toBe(249)
    for (const { members, sources, fromMs } of publishedAreas) {
      expect([...members.keys()].filter((code) => !isJurisdiction(code))).toEqual([])
      expect([...members.values()].filter(({ untilMs }) => Number.isNaN(untilMs))).toEqual([])
      expect([sources.length > 0, Number.isFinite(fromMs)]).toEqual([true, true])
    }
    const sizes = Object.fromEntries(publishedAreas.map(({ name, version, members }) => [`${name}@${version}`, members.size]))
    expect(sizes).toEqual({
      'EU@2020-02': 27,
      'EU@2026-01': 27,
      'EEA@2021-01': 30,
      'EEA@2026-01': 30,
      'EU-ADEQUATE@2026-01': 13,
      'EU-ADEQUATE@2026-02': 14,
    })
  })
})

describe('key patterns', () => {
  it('match whole segments and give the values of named parts', () => {
    const match = (text: string, key: string): unknown => {
      const pattern = parseKeyPattern(text)
      return typeof pattern === 'string' ? pattern : matchKey(pattern, key)
    }
    expect(match(':residence/:id', 'ch/7f')).toEqual(['ch', '7f'])
    expect(match(':residence/:id', 'ch/7f/1')).toBeUndefined()
    expect(match(':residence/:id', 'ch')).toBeUndefined()
    expect(match(':residence/*', 'ch/7f/1')).toEqual(['ch'])
    expect(match(':residence/*', 'ch')).toBeUndefined()
    expect(match('old/:id', 'old/1')).toEqual(['1'])
    expect(match('old/:id', 'older/1')).toBeUndefined()
    expect(match('*', 'x')).toContain('stands for the rest')
    expect(match(':a/:a', 'x/y')).toContain('twice')
  })
})

it('reads dates as Date does, and refuses such as are none', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1970, max: 2199 }),
      fc.integer({ min: 0, max: 13 }),
      fc.integer({ min: 0, max: 32 }),
      (year, month, day) => {
        const text = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
        const date = new Date(`${text}T00:00:00Z`)
        const isDate = !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
        expect(new Plain(text).time()).toBe(isDate ? date.getTime() : undefined)
      },
    ),
  )
})
