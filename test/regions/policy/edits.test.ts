/** RES3: edits as control entries, and what a set of them comes to. */

import { decodeControl, encodeControl } from '@meridian/core/entry'
import { MeridianError } from '@meridian/core/errors'
import { type EditId, parseEdit, parseRegion, parseTenant, type RegionId } from '@meridian/core/ids'
import { editId, type PolicyEdit, signedBytes } from '@meridian/core/policy-edit'
import { decide } from '@meridian/regions/policy/combine'
import { controlRegions, foldEdits, nextEdit, type PolicyHistory } from '@meridian/regions/policy/edits'
import { namedRegions } from '@meridian/regions/policy/named-regions'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ask, cluster, may, policyOf, skewMs } from '../policies.js'

const tenant = parseTenant('acme')
const topology = cluster({ 'eu-west': 'IE', 'eu-central': 'DE', 'us-east': 'US', 'ap-south': 'IN', 'jp-east': 'JP' })
const around = { topology, moment: { nowMs: may, skewMs } }
const places = [...topology.regions.keys()]
const anyone = (): boolean => true

const notesIn = (within: readonly string[], not: readonly string[] = []): object => ({
  version: 1,
  tenant: 'acme',
  placements: { notes: { store: { in: within, not }, access: { in: ['anywhere'] } } },
  collections: { notes: { placement: 'notes' } },
})

const edit = (policy: unknown, parents: readonly EditId[] = [], epoch = parents.length + 1): PolicyEdit => ({
  kind: 'policy',
  tenant,
  epoch,
  parents,
  author: 'key-1',
  policy: typeof policy === 'string' ? policy : JSON.stringify(policy),
  signature: new Uint8Array(),
})

const fold = (edits: readonly PolicyEdit[]): PolicyHistory => foldEdits(tenant, edits, anyone)

/** Where a note may be stored by a history. */
const allowed = (history: PolicyHistory): RegionId[] =>
  places.filter((place) => decide(history.effective, ask('store', 'acme/notes/1', place), around).kind === 'yes')

function outcomeOf(bytes: Uint8Array): unknown {
  try {
    decodeControl(bytes)
    return 'decoded'
  } catch (thrown) {
    return thrown instanceof MeridianError ? 'refused' : thrown
  }
}

const sets = fc.subarray(['IE', 'DE', 'US', 'IN', 'JP'], { minLength: 1 })
const policies = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(sets, fc.subarray(['US', 'IN'])).map(([within, not]) => notesIn(within, not)) },
  { weight: 1, arbitrary: fc.constantFrom<unknown>('{', '{"version":9}') },
)
/** Edits of several authors, each of which names some of those before it. */
const histories = fc
  .array(fc.tuple(policies, fc.array(fc.boolean(), { minLength: 7, maxLength: 7 })), { minLength: 1, maxLength: 7 })
  .map((steps) => {
    const edits: PolicyEdit[] = []
    for (const [policy, chance] of steps) {
      const parents = edits.filter((_, index) => chance[index] === true).map(editId)
      edits.push(edit(policy, [...new Set(parents)], edits.length + 1))
    }
    return edits
  })

describe('edits as bytes', () => {
  const some = fc.record({
    kind: fc.constant('policy' as const),
    tenant: fc.constant(tenant),
    epoch: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    parents: fc.uniqueArray(
      fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => parseEdit(Buffer.from(bytes).toString('hex'))),
      { maxLength: 5 },
    ),
    author: fc.string({ minLength: 1, maxLength: 30, unit: 'grapheme-ascii' }),
    policy: fc.json(),
    signature: fc.uint8Array({ maxLength: 64 }),
  })

  it('[RES3] decode(encode(x)) = x, and the name of an edit is of what is signed and not of the signature', () => {
    fc.assert(
      fc.property(some, (one) => {
        const back = decodeControl(encodeControl(one))
        expect(back).toEqual(one)
        expect(editId({ ...one, signature: new Uint8Array(3) })).toBe(editId(one))
        expect(editId({ ...one, epoch: one.epoch === 1 ? 2 : 1 })).not.toBe(editId(one))
        expect(signedBytes(one)).toEqual(signedBytes({ ...one, signature: new Uint8Array(3) }))
      }),
    )
  })

  it('[LOG5] seals are as they were', () => {
    expect(Buffer.from(encodeControl({ kind: 'seal', counter: 3, last: new Map() })).toString('hex')).toBe('01010300')
  })

  it('[SES3] given any bytes, then decoding answers or throws a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, isEdit) => {
        expect(['decoded', 'refused']).toContain(outcomeOf(isEdit ? Uint8Array.of(1, 2, ...bytes) : bytes))
      }),
      { numRuns: 500 },
    )
    expect(() => decodeControl(Uint8Array.of(1, 3))).toThrow('newer kind')
  })
})

describe('a history', () => {
  it('[RES3] is the same in whatever order edits come, and however often', () => {
    fc.assert(
      fc.property(
        histories.chain((edits) =>
          fc.tuple(fc.constant(edits), fc.shuffledSubarray([...edits, ...edits], { minLength: 2 * edits.length })),
        ),
        ([edits, others]) => {
          const one = fold(edits)
          const other = fold(others)
          expect(other.heads.map(({ id }) => id)).toEqual(one.heads.map(({ id }) => id))
          expect([other.effective.epoch, allowed(other)]).toEqual([one.effective.epoch, allowed(one)])
        },
      ),
    )
  })

  it('[RES3] says yes only where every head says yes, and no to everything while a head cannot be read', () => {
    fc.assert(
      fc.property(histories, (edits) => {
        const history = fold(edits)
        const each = history.heads.map((head) =>
          head.policy === undefined ? [] : allowed(fold([{ ...head.edit, parents: [] }])),
        )
        expect(allowed(history)).toEqual(places.filter((place) => each.every((list) => list.includes(place))))
      }),
    )
  })

  it('[RES3] a concurrent edit never widens: with one more that names nobody, no region is allowed that was not', () => {
    fc.assert(
      fc.property(histories, policies, (edits, policy) => {
        const before = allowed(fold(edits))
        const after = allowed(fold([...edits, edit(policy, [], 99)]))
        expect(after.filter((place) => !before.includes(place))).toEqual([])
      }),
    )
  })

  it('[RES3] an edit whose parents have not come holds already, beside what is there', () => {
    const first = edit(notesIn(['IE', 'US']))
    const second = edit(notesIn(['IE', 'US', 'JP']), [editId(first)])
    const third = edit(notesIn(['IE']), [editId(second)])
    expect(allowed(fold([first, third]))).toEqual(['eu-west'])
    expect(allowed(fold([first, second, third]))).toEqual(['eu-west'])
  })

  it('[RES3] its epoch grows with each edit that comes', () => {
    fc.assert(
      fc.property(histories, (edits) => {
        let last = 0
        for (let count = 1; count <= edits.length; count++) {
          const { epoch } = fold(edits.slice(0, count)).effective
          expect(epoch).toBeGreaterThanOrEqual(last)
          last = epoch
        }
      }),
    )
  })

  it('[RES3] an edit that names all heads replaces them, and ends the freeze', () => {
    fc.assert(
      fc.property(histories, (edits) => {
        const before = fold(edits)
        const next: PolicyEdit = { ...nextEdit(before, 'key-1', notesIn(['DE'])), signature: new Uint8Array() }
        const after = fold([...edits, next])
        expect(after.heads.map(({ id }) => id)).toEqual([editId(next)])
        expect(after.effective.epoch).toBeGreaterThan(before.effective.epoch)
        expect(allowed(after)).toEqual(['eu-central'])
      }),
    )
    expect(() => nextEdit(fold([]), 'key-1', { version: 1 })).toThrow('meridian policy validate')
  })

  it('[RES2] without an edit, and with edits of strangers only, everything is closed', () => {
    expect(allowed(fold([]))).toEqual([])
    const forged = edit(notesIn(['anywhere']))
    const history = foldEdits(tenant, [forged, edit(notesIn(['IE']))], (one) => one !== forged)
    expect([allowed(history), history.refused]).toEqual([['eu-west'], [editId(forged)]])
    const foreign = { ...edit(notesIn(['IE'])), tenant: parseTenant('other') }
    expect(fold([foreign]).refused).toEqual([editId(foreign)])
  })
})

describe('where a policy goes', () => {
  const at = (history: PolicyHistory, reached: Record<string, readonly PolicyEdit[]> = {}): unknown =>
    [
      ...controlRegions(
        history,
        topology,
        around.moment,
        new Map(Object.entries(reached).map(([region, edits]) => [parseRegion(region), new Set(edits.map(editId))])),
      ),
    ].sort()

  it('[RES3] to the regions that its rules name, by store, transit, backup and exceptions, and to no other', () => {
    const named = (value: unknown): unknown => [...namedRegions(policyOf(value), topology, around.moment)]
    expect(named(notesIn(['IE', 'DE', 'US'], ['US']))).toEqual(['eu-west', 'eu-central'])
    const value = {
      version: 1,
      tenant: 'acme',
      placements: { notes: { store: { in: ['IE'], exceptable: true }, backup: { in: ['DE'] }, access: { in: ['anywhere'] } } },
      collections: { notes: { placement: 'notes' } },
    }
    expect(named(value)).toEqual(['eu-west', 'eu-central'])
    const exceptions = [
      {
        rule: 'acme.notes',
        verb: 'store',
        to: ['JP'],
        basis: 'b',
        approvers: ['a', 'b'],
        from: '2027-01-01',
        until: '2028-01-01',
      },
    ]
    expect(named({ ...value, exceptions })).toEqual(['eu-west', 'eu-central', 'jp-east'])
  })

  it('[RES3] a region that an edit cuts off gets that edit, until it is known to hold it, and nothing after it', () => {
    const first = edit(notesIn(['IE', 'US']))
    const second = edit(notesIn(['IE']), [editId(first)], 2)
    const third = edit(notesIn(['IE', 'DE']), [editId(second)], 3)
    expect(at(fold([first]))).toEqual(['eu-west', 'us-east'])
    expect(at(fold([first, second]), { 'us-east': [first] })).toEqual(['eu-west', 'us-east'])
    expect(at(fold([first, second]), { 'us-east': [first, second] })).toEqual(['eu-west'])
    expect(at(fold([first, second, third]), { 'us-east': [first] })).toEqual(['eu-central', 'eu-west', 'us-east'])
    expect(at(fold([first, second, third]), { 'us-east': [first, second] })).toEqual(['eu-central', 'eu-west'])
  })
})
