/** Awareness updates against y-protocols' own class, and against whoever wishes us ill. */

import * as fc from 'fast-check'
import * as encoding from 'lib0/encoding'
import { afterEach, describe, expect, it } from 'vitest'
import { Awareness as Foreign, applyAwarenessUpdate, encodeAwarenessUpdate } from 'y-protocols/awareness'
import * as Y from 'yjs'
import type { AwarenessEntry } from '@meridian/core/awareness'
import { Awareness, awarenessLimits, decodeAwareness, encodeAwareness, expiryMs, lastWords } from '@meridian/core/awareness'
import { MeridianError } from '@meridian/core/errors'

const opened: Foreign[] = []

function foreign(clientId: number): Foreign {
  const doc = new Y.Doc()
  doc.clientID = clientId
  const awareness = new Foreign(doc)
  opened.push(awareness)
  return awareness
}

afterEach(() => {
  for (const awareness of opened.splice(0)) awareness.destroy()
})

function raw(entries: readonly { clientId: number; clock: number; json: string }[], count = entries.length): Uint8Array {
  const body = encoding.createEncoder()
  encoding.writeVarUint(body, count)
  for (const { clientId, clock, json } of entries) {
    encoding.writeVarUint(body, clientId)
    encoding.writeVarUint(body, clock)
    encoding.writeVarString(body, json)
  }
  return encoding.toUint8Array(body)
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (thrown) {
    return thrown instanceof MeridianError ? thrown.code : `no MeridianError: ${String(thrown)}`
  }
  return undefined
}

/** A key `__proto__` is refused, which has its own test. */
const value = fc.jsonValue({ maxDepth: 2 }).filter((one) => !JSON.stringify(one).includes('__proto__'))

const entry = fc.record({
  clientId: fc.integer({ min: 1, max: 4 }),
  clock: fc.nat(6),
  state: fc.option(fc.dictionary(fc.constantFrom('user', 'cursor'), value), { nil: null }),
})

/** As it comes back from JSON; -0 and the order of equal keys are nobody's business. */
const clean = (entries: readonly AwarenessEntry[]): AwarenessEntry[] => JSON.parse(JSON.stringify(entries)) as AwarenessEntry[]

describe('an awareness update', () => {
  it('is the same bytes as those of y-protocols, and comes back as it was', () => {
    const other = foreign(7)
    other.setLocalState({ user: { name: 'Ada' } })
    const bytes = encodeAwarenessUpdate(other, [7])
    const entries: AwarenessEntry[] = [{ clientId: 7, clock: 1, state: { user: { name: 'Ada' } } }]
    expect(Buffer.from(encodeAwareness(entries)).toString('hex')).toBe(Buffer.from(bytes).toString('hex'))
    expect(decodeAwareness(bytes)).toEqual(entries)
  })

  it('comes back whatever the states', () => {
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        expect(decodeAwareness(encodeAwareness(entries))).toEqual(clean(entries))
      }),
    )
  })

  it('[SES3] of any bytes is decoded or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const code = codeOf(() => decodeAwareness(bytes))
        expect([undefined, 'FRAME_INVALID', 'LIMIT_PRESENCE']).toContain(code)
      }),
      { numRuns: 2_000 },
    )
  })

  const one = (json: string, clock = 1): Uint8Array => raw([{ clientId: 1, clock, json }])
  const deep = (depth: number): string => `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`
  it.each([
    ['more clients than it has', raw([{ clientId: 1, clock: 1, json: '{}' }], 2), 'FRAME_INVALID'],
    ['bytes behind the last client', raw([{ clientId: 1, clock: 1, json: '{}' }], 0), 'FRAME_INVALID'],
    ['a million clients', raw([], 1_000_000), 'LIMIT_PRESENCE'],
    ['a state that is too long', one(JSON.stringify({ a: 'x'.repeat(awarenessLimits.stateBytesMax) })), 'LIMIT_PRESENCE'],
    ['a state that is a number', one('7'), 'FRAME_INVALID'],
    ['a state that is a list', one('[]'), 'FRAME_INVALID'],
    ['a state that is no JSON', one('{'), 'FRAME_INVALID'],
    ['a state that is nothing', one(''), 'FRAME_INVALID'],
    ['a state as deep as allowed', one(deep(awarenessLimits.depthMax)), undefined],
    ['a state one deeper', one(deep(awarenessLimits.depthMax + 1)), 'LIMIT_PRESENCE'],
    ['a state that would be another prototype', one('{"a":[{"__proto__":{"admin":true}}]}'), 'FRAME_INVALID'],
    ['the same in disguise', one('{"\\u005f_proto__":1}'), 'FRAME_INVALID'],
    ['a clock that nobody reaches again', one('{}', 2 ** 31 + 1), 'FRAME_INVALID'],
    ['a harmless constructor', one('{"constructor":1,"toString":2}'), undefined],
  ])('[SES3] with %s', (_, bytes, code) => {
    expect(codeOf(() => decodeAwareness(bytes))).toBe(code)
  })
})

describe('the table', () => {
  it('holds the same states and clocks as y-protocols after the same updates', () => {
    fc.assert(
      fc.property(fc.array(fc.array(entry, { maxLength: 5 }), { maxLength: 12 }), (updates) => {
        // 4 is its own: it has a state, which nobody else may end.
        const other = foreign(4)
        other.setLocalState({ mine: true })
        const table = new Awareness()
        const own = new Set([4])
        table.set(4, { mine: true }, 0)
        for (const update of updates) {
          // Another device that gives itself our client id is out of question here: y-protocols believes it, and so do we.
          applyAwarenessUpdate(other, encodeAwareness(update), 'test')
          table.merge(decodeAwareness(encodeAwareness(update)), 0, own)
        }
        expect(new Map(table.entries().map(({ clientId, state }) => [clientId, state]))).toEqual(other.states)
        for (const [clientId, { clock }] of other.meta) expect(table.get(clientId)?.clock ?? 0).toBe(clock)
      }),
      { numRuns: 500 },
    )
  })

  it('is the same whatever the order and however often, but for null at an equal clock, which wins', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(entry, { selector: ({ clientId, clock }) => `${clientId} ${clock}` }),
        fc.nat(),
        (entries, turn) => {
          const a = new Awareness()
          a.merge(entries, 0)
          const b = new Awareness()
          const at = entries.length === 0 ? 0 : turn % entries.length
          b.merge([...entries.slice(at), ...entries.slice(0, at), ...entries].reverse(), 0)
          expect(new Set(b.entries())).toEqual(new Set(a.entries()))
        },
      ),
    )
  })

  it('says what became of whom', () => {
    const table = new Awareness()
    const none = { added: [], updated: [], renewed: [], removed: [] }
    const at = (clock: number, state: AwarenessEntry['state']): AwarenessEntry[] => [{ clientId: 1, clock, state }]
    expect(table.merge(at(1, { a: 1 }), 0)).toEqual({ ...none, added: [1] })
    expect(table.merge(at(1, { a: 2 }), 0)).toEqual(none)
    expect(table.merge(at(2, { a: 1 }), 0)).toEqual({ ...none, renewed: [1] })
    expect(table.merge(at(3, { a: 2 }), 0)).toEqual({ ...none, updated: [1] })
    expect(table.merge(at(3, null), 0)).toEqual({ ...none, removed: [1] })
    expect(table.merge(at(3, null), 0)).toEqual(none)
    expect(table.merge(at(4, null), 0)).toEqual(none)
    expect(table.merge(at(5, {}), 0)).toEqual({ ...none, added: [1] })
  })

  it('[SES6] ends what is not renewed, keeps its clock for as long again, and then forgets it', () => {
    const table = new Awareness()
    table.merge([{ clientId: 1, clock: 5, state: {} }], 1_000)
    table.set(2, {}, 1_000)
    const own = new Set([2])
    expect(table.dueMs(own)).toBe(1_000 + expiryMs)
    expect(table.expire(999 + expiryMs, own).removed).toEqual([])
    expect(table.expire(1_000 + expiryMs, own).removed).toEqual([1])
    expect(table.merge([{ clientId: 1, clock: 5, state: {} }], 1_000 + expiryMs).added).toEqual([])
    expect(table.entries().map(({ clientId }) => clientId)).toEqual([2])
    table.expire(1_000 + 2 * expiryMs, own)
    expect(table.get(1)).toBeUndefined()
    expect(table.dueMs(own)).toBeUndefined()
  })

  it('[SES6] lets nobody else end its own clients, and has the others told', () => {
    const table = new Awareness()
    table.set(2, { here: true }, 0)
    expect(table.merge([{ clientId: 2, clock: 4, state: null }], 0, new Set([2])).renewed).toEqual([2])
    expect(table.get(2)).toEqual({ clientId: 2, clock: 5, state: { here: true } })
  })

  it("[SES6] has last words that y-protocols' clients take for every client of a session", () => {
    const other = foreign(9)
    const table = new Awareness()
    table.set(1, { tab: 1 }, 0)
    table.set(2, { tab: 2 }, 0)
    table.set(3, { tab: 3 }, 0)
    table.set(3, null, 0)
    applyAwarenessUpdate(other, encodeAwareness(table.entries()), 'test')
    expect([...other.states.keys()].sort((a, b) => a - b)).toEqual([1, 2, 9])
    const words = lastWords(table.entries())
    expect(words.map(({ clientId, clock, state }) => [clientId, clock, state])).toEqual([
      [1, 2, null],
      [2, 2, null],
    ])
    applyAwarenessUpdate(other, encodeAwareness(words), 'test')
    expect([...other.states.keys()]).toEqual([9])
  })
})
