import type { Decision } from '@meridian/core/effects'
import { parseDocument, parseRegion } from '@meridian/core/ids'
import { type Evaluate, residency } from '@meridian/regions/residency'
import { describe, expect, it } from 'vitest'

const region = parseRegion('eu-west')
const verbs = ['store', 'process', 'access', 'transit', 'backup', 'key', 'log'] as const

describe('residency', () => {
  it('[RES0, RES1] given a tenant without a policy, then every verb is allowed, in the group default, under epoch 0, by a named rule', () => {
    const admit = residency({ region })
    for (const verb of verbs) {
      expect(admit(verb, parseDocument('acme/notes/a/b'))).toEqual({
        kind: 'yes',
        group: 'acme/default',
        epoch: 0,
        rule: 'default',
      })
    }
  })

  it('[RES0] given two tenants, then their documents are in groups of their own', () => {
    const admit = residency({ region })
    const groupOf = (name: string): unknown => {
      const decision = admit('store', parseDocument(name))
      return decision.kind === 'yes' ? decision.group : decision
    }
    expect([groupOf('a/notes/1'), groupOf('b/notes/1'), groupOf('a/other/2')]).toEqual(['a/default', 'b/default', 'a/default'])
  })

  it('[RES1] given a tenant with a policy, then the policy alone decides, for this region', () => {
    const asked: unknown[] = []
    const no: Decision = { kind: 'no', rule: 'acme.notes', redirects: [] }
    const policy: Evaluate = (verb, document, place) => {
      asked.push([verb, document, place])
      return no
    }
    const admit = residency({ region, policyOf: (tenant) => (tenant === 'acme' ? policy : undefined) })
    expect(admit('access', parseDocument('acme/notes/1'))).toBe(no)
    expect(admit('access', parseDocument('other/notes/1')).kind).toBe('yes')
    expect(asked).toEqual([['access', 'acme/notes/1', 'eu-west']])
  })

  it('[SES3] given more tenants than are kept, then each still has its own answer', () => {
    const admit = residency({ region })
    const wrong: number[] = []
    for (let index = 0; index < 20_500; index++) {
      const decision = admit('store', parseDocument(`t${index}/notes/1`))
      if (decision.kind !== 'yes' || decision.group !== `t${index}/default`) wrong.push(index)
    }
    expect(wrong).toEqual([])
  })
})
