import type { Verb } from '@meridian/core/effects'
import { parseDocument, parseRegion, type TenantId } from '@meridian/core/ids'
import { type EffectivePolicy, onlyHead } from '@meridian/regions/policy/combine'
import { forwardClock } from '@meridian/regions/policy/forward-clock'
import { Residency } from '@meridian/regions/residency'
import type { Topology } from '@meridian/regions/topology'
import { describe, expect, it } from 'vitest'
import { cluster, exampleValues, policyOf } from './policies.js'

const region = parseRegion('eu-west')
const verbs: readonly Verb[] = ['store', 'process', 'access', 'transit', 'backup', 'key', 'log']
const clock = { now: () => 0 }
const three = cluster({ 'eu-west': 'IE', 'us-east': 'US', 'ap-south': 'IN' })
const notes = (within: string): EffectivePolicy =>
  onlyHead(
    policyOf({
      version: 1,
      tenant: 'acme',
      placements: { notes: { store: { in: [within] }, access: { in: ['anywhere'] } } },
      collections: { notes: { placement: 'notes' } },
    }),
    7,
  )

function inCluster(
  policy: EffectivePolicy | undefined,
  options: { readonly keptMax?: number; readonly topology?: Topology } = {},
) {
  const state = { policy, nowMs: 0, asked: 0 }
  const residency = new Residency({
    region,
    clock: forwardClock({ now: () => state.nowMs }, 0),
    topology: () => options.topology ?? three,
    policyOf: (tenant: TenantId) => {
      state.asked++
      return tenant === 'acme' ? state.policy : undefined
    },
    ...(options.keptMax === undefined ? {} : { keptMax: options.keptMax }),
  })
  return { residency, state }
}

describe('residency of a node without a cluster', () => {
  it('[RES0, RES1] given a tenant without a policy, then every verb is allowed, in the group default, under epoch 0, by a named rule', () => {
    const { admit } = new Residency({ region, clock })
    for (const verb of verbs) {
      expect(admit(verb, parseDocument('acme/notes/a/b'))).toEqual({
        kind: 'yes',
        group: 'acme/default',
        epoch: 0,
        rule: 'default',
      })
    }
  })

  it('[SES3] given many documents of one tenant, then one answer a verb and place is kept for all of them', () => {
    const residency = new Residency({ region, clock })
    for (let index = 0; index < 100; index++) residency.admit('store', parseDocument(`acme/notes/${index}`))
    expect(residency.keptCount).toBe(1)
    residency.admit('access', parseDocument('acme/notes/1'))
    residency.admit('store', parseDocument('other/notes/1'))
    expect(residency.keptCount).toBe(3)
  })

  it('[RES0] given two tenants, then their documents are in groups of their own', () => {
    const { admit } = new Residency({ region, clock })
    const groupOf = (name: string): unknown => {
      const decision = admit('store', parseDocument(name))
      return decision.kind === 'yes' ? decision.group : decision
    }
    expect([groupOf('a/notes/1'), groupOf('b/notes/1'), groupOf('a/other/2')]).toEqual(['a/default', 'b/default', 'a/default'])
  })

  it('[RES2] given another region, or ciphertext, then it is not known and closed', () => {
    const residency = new Residency({ region, clock })
    const document = parseDocument('acme/notes/1')
    expect(residency.may('store', document, { kind: 'region', region: parseRegion('us-east') }).kind).toBe('no')
    expect(residency.may('store', document, { kind: 'region', region }, 'ciphertext').kind).toBe('no')
    expect(residency.storedIn(document)).toEqual([region])
  })

  it('[RES2] given a policy and no cluster file, then no region is known and all is closed', () => {
    const { admit } = new Residency({ region, clock, policyOf: () => notes('anywhere') })
    expect(admit('store', parseDocument('acme/notes/1'))).toEqual({ kind: 'no', rule: 'acme', redirects: [] })
  })
})

describe('residency of a node in a cluster', () => {
  it('[RES2, RES3] given a tenant whose policy is not known, then every verb is closed', () => {
    const { residency } = inCluster(undefined)
    for (const verb of verbs) {
      expect(residency.admit(verb, parseDocument('acme/notes/1'), ['IE'])).toEqual({
        kind: 'no',
        rule: 'unknown policy',
        redirects: [],
      })
    }
    expect(residency.storedIn(parseDocument('acme/notes/1'))).toEqual([])
  })

  it('[RES1] given a policy, then it alone decides, with its epoch and its rule', () => {
    const { residency } = inCluster(notes('IE'))
    const document = parseDocument('acme/notes/1')
    expect(residency.admit('store', document)).toEqual({ kind: 'yes', group: 'acme/notes', epoch: 7, rule: 'acme.notes' })
    expect(residency.admit('access', document)).toEqual({ kind: 'yes', group: 'acme/notes', epoch: 7, rule: 'acme.notes' })
    expect(residency.may('store', document, { kind: 'region', region: parseRegion('us-east') }).kind).toBe('no')
    expect(residency.admit('store', parseDocument('acme/other/1'))).toEqual({ kind: 'no', rule: 'acme', redirects: [] })
  })

  it('[RES5] given a document that is placed elsewhere, when a client attaches, then it is redirected there by address', () => {
    const { residency } = inCluster(notes('US'))
    expect(residency.admit('access', parseDocument('acme/notes/1'), ['IE'])).toEqual({
      kind: 'no',
      rule: 'acme.notes',
      redirects: [{ region: 'us-east', url: 'wss://us-east.example.com' }],
    })
  })

  it('[RES5] given a client whom no region may serve, when the document is stored elsewhere, then it is sent nowhere', () => {
    const policy = policyOf({
      version: 1,
      tenant: 'acme',
      placements: { notes: { store: { in: ['US'] }, access: { in: ['US'] } } },
      collections: { notes: { placement: 'notes' } },
    })
    const { residency } = inCluster(onlyHead(policy, 1))
    const redirects = (country: string): number => {
      const decision = residency.admit('access', parseDocument('acme/notes/1'), [country])
      return decision.kind === 'no' ? decision.redirects.length : -1
    }
    expect([redirects('US'), redirects('IE')]).toEqual([1, 0])
  })

  it('[RES2] given a rule about access, then a client counts by the country that is attested, and without one it is closed and not redirected', () => {
    const { residency, state } = inCluster(onlyHead(policyOf(exampleValues('gdpr')), 1))
    state.nowMs = Date.UTC(2026, 4, 1)
    const document = parseDocument('acme/customers/1')
    const answer = (...attested: readonly string[]): unknown => residency.admit('access', document, attested)
    expect(answer('FR')).toMatchObject({ kind: 'yes', rule: 'acme.class.personal' })
    expect(answer('FR', 'DE')).toMatchObject({ kind: 'yes', rule: 'acme.class.personal' })
    for (const attested of [[], ['IN'], ['XX'], ['eu-west'], ['FR', 'IN'], ['IN', 'FR'], ['FR', 'T1']]) {
      expect(answer(...attested)).toEqual({ kind: 'no', rule: 'acme.class.personal', redirects: [] })
    }
  })

  it('[RES3] given a new edit, when it is asked again, then the kept answer is not used', () => {
    const { residency, state } = inCluster(notes('IE'))
    const document = parseDocument('acme/notes/1')
    expect(residency.admit('store', document).kind).toBe('yes')
    expect(residency.admit('store', document)).toBe(residency.admit('store', document))
    state.policy = notes('US')
    expect(residency.admit('store', document).kind).toBe('no')
    state.policy = undefined
    expect(residency.admit('store', document).kind).toBe('no')
  })

  it('given an exception, when its end less the skew comes, then the kept answer is closed, and a clock that is set back opens nothing', () => {
    const { residency, state } = inCluster(onlyHead(policyOf(exampleValues('gdpr')), 1))
    const answer = (): string => residency.admit('access', parseDocument('acme/customers/1'), ['US']).kind
    const until = Date.UTC(2027, 7, 1)
    state.nowMs = Date.UTC(2026, 1, 1) + 59_999
    expect(answer()).toBe('no')
    state.nowMs += 1
    expect(answer()).toBe('yes')
    state.nowMs = until - 60_001
    expect(answer()).toBe('yes')
    state.nowMs = until - 60_000
    expect(answer()).toBe('no')
    state.nowMs = until - 3_600_000
    expect(answer()).toBe('no')
  })

  it('[SES3] given more answers than are kept, then no more are kept, and each is still right', () => {
    const { residency } = inCluster(notes('IE'), { keptMax: 100 })
    const wrong: number[] = []
    let most = 0
    for (let index = 0; index < 1_000; index++) {
      const decision = residency.admit('store', parseDocument(index % 2 === 0 ? `acme/notes/${index}` : `t${index}/notes/1`))
      if (decision.kind !== (index % 2 === 0 ? 'yes' : 'no')) wrong.push(index)
      most = Math.max(most, residency.keptCount)
    }
    expect(wrong).toEqual([])
    expect(most).toBe(100)
  })
})
