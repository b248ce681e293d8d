/**
 * What every engine has to do, whatever its bytes look like. An engine registers with builders that make honest updates of its kind.
 */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Engine, type EngineIndex, engineNameOf, engineNumber, inspectLimits } from '@meridian/core/engine'
import { MeridianError } from '@meridian/core/errors'

export interface EngineBuilders {
  /** The updates of one author who types `text` into a new document, a character each, and deletes nothing. */
  typing(text: string): readonly Uint8Array[]
  /** The updates of several authors who edit one document at the same time, drawn from `seed`, each one after those that it builds on. */
  history(seed: number): readonly Uint8Array[]
  /** The encoded state vector (heads) of a peer that holds `updates`. */
  known(updates: readonly Uint8Array[]): Uint8Array
  /** All that somebody sends who received `updates` and nothing else, what waits for others of them included. */
  sent(updates: readonly Uint8Array[]): Uint8Array
  /** What an app shows of the document that `updates` make. */
  shown(updates: readonly Uint8Array[]): string
  /** Bytes that are no update of this engine. */
  readonly garbage: readonly { readonly name: string; readonly bytes: Uint8Array }[]
}

const seeds = fc.integer({ min: 0, max: 1_000_000 })

export function registerEngineTests(name: string, engine: Engine, builders: EngineBuilders): void {
  const judgeBytes = (index: EngineIndex, update: Uint8Array) => engine.judge(index, engine.inspect(update, inspectLimits))

  const indexOf = (updates: readonly Uint8Array[]): EngineIndex => {
    const index = engine.emptyIndex()
    for (const update of updates) engine.include(index, engine.inspect(update, inspectLimits))
    return index
  }

  /** Includes whichever of `updates` are not premature, again and again. @returns how many added something */
  const takeAll = (index: EngineIndex, updates: readonly Uint8Array[]): number => {
    let taken = 0
    for (let before = -1; before < taken; ) {
      before = taken
      for (const update of updates) {
        if (judgeBytes(index, update) !== 'new') continue
        engine.include(index, engine.inspect(update, inspectLimits))
        taken++
      }
    }
    return taken
  }

  describe(`engine ${name}`, () => {
    it('given histories, when a peer that has some of one gets the differences, then it shows all of it; with all of it, nothing new', () => {
      fc.assert(
        fc.property(seeds, fc.nat(100), (seed, share) => {
          const updates = builders.history(seed)
          const some = updates.slice(0, Math.floor((updates.length * share) / 100))
          const differences = engine.differences(updates, builders.known(some))
          expect(builders.shown([...some, ...differences])).toBe(builders.shown(updates))
          expect(builders.shown([...updates, ...engine.differences(updates, builders.known(updates))])).toBe(
            builders.shown(updates),
          )
          expect(engine.differences(updates, new Uint8Array(0))).toEqual(updates)
        }),
        { numRuns: 50 },
      )
    })

    it('given a typed text, when read, then text and JSON hold it', () => {
      const updates = builders.typing('h\u00e9llo \u{1f30d}')
      expect(engine.read(updates, { kind: 'text' })).toBe('h\u00e9llo \u{1f30d}')
      expect(Object.values(JSON.parse(engine.read(updates, { kind: 'json' })) as object)).toEqual(['h\u00e9llo \u{1f30d}'])
      expect(codeOf(() => engine.read(updates, { kind: 'text', root: 'another' }))).toBe('UPDATE_INVALID')
    })

    it('given an edit, then it is an update that inspection takes, that is new once, and the same for the same author', () => {
      const edit = { kind: 'merge', value: { title: 'x', list: [1, { a: null }], map: { b: true } } } as const
      const update = engine.edit([], edit, 7)
      expect(engine.edit([], edit, 7)).toEqual(update)
      const index = engine.emptyIndex()
      const inspection = engine.inspect(update, inspectLimits)
      expect(engine.judge(index, inspection)).toBe('new')
      engine.include(index, inspection)
      expect(engine.judge(index, inspection)).toBe('nothing')
      expect(JSON.parse(engine.read([update], { kind: 'json' }))).toEqual({
        title: 'x',
        list: [1, { a: null }],
        map: { b: true },
      })
      expect(engine.edit([update], { kind: 'merge', value: { title: 'y' } }, 8)).not.toHaveLength(0)
      expect(engine.edit([update], { kind: 'merge', value: { title: 'x', map: { b: true } } }, 8)).toHaveLength(0)
      expect(codeOf(() => engine.edit([update], edit, 7))).toBe('UPDATE_INVALID')
    })

    it('given its name, when written as a number and read again, then it is the same engine', () => {
      expect(engineNameOf(engineNumber[engine.name])).toBe(engine.name)
    })

    it('given an update, when inspected, then its bytes are counted and its engine named', () => {
      const [update = new Uint8Array()] = builders.typing('a')
      expect(engine.inspect(update, inspectLimits)).toMatchObject({ engine: engine.name, bytes: update.length })
    })

    it('[SES3] given an update of n bytes, when the limit is n and n - 1, then it passes and is UPDATE_TOO_LARGE', () => {
      const [update = new Uint8Array()] = builders.typing('a')
      expect(engine.inspect(update, { ...inspectLimits, updateBytesMax: update.length }).bytes).toBe(update.length)
      expect(codeOf(() => engine.inspect(update, { ...inspectLimits, updateBytesMax: update.length - 1 }))).toBe(
        'UPDATE_TOO_LARGE',
      )
    })

    it('given an index, when it is asked what it holds, then a peer that holds that lacks no update', () => {
      const updates = builders.typing('abc')
      expect(engine.diff(updates, engine.stateVector(indexOf(updates)))).toHaveLength(0)
    })

    it('[SES7] given honest histories, when judged in order, then nothing is premature, and all of it adds nothing the second time', () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          const updates = builders.history(seed)
          const index = engine.emptyIndex()
          for (const update of updates) {
            const inspection = engine.inspect(update, inspectLimits)
            expect(engine.judge(index, inspection)).not.toBe('premature')
            engine.include(index, inspection)
            expect(engine.judge(index, inspection)).toBe('nothing')
          }
          for (const update of updates) expect(judgeBytes(index, update)).toBe('nothing')
        }),
        { numRuns: 30 },
      )
    })

    it('[SES2] given an update whose base is missing, when judged, then it is premature, and new once the base is held', () => {
      const updates = builders.typing('abc')
      const [first = new Uint8Array(), second = new Uint8Array(), third = new Uint8Array()] = updates
      expect(judgeBytes(engine.emptyIndex(), second)).toBe('premature')
      expect(judgeBytes(indexOf([first]), third)).toBe('premature')
      expect(judgeBytes(indexOf([first]), second)).toBe('new')
      expect(judgeBytes(indexOf([first, second]), third)).toBe('new')
    })

    it('[SES2] given what somebody sends who waits for something, when its admissible part is taken, then that is all that could be taken, and applies', () => {
      let partCount = 0
      fc.assert(
        fc.property(seeds, fc.nat(), fc.array(fc.boolean(), { minLength: 64, maxLength: 64 }), (seed, cut, received) => {
          const updates = builders.history(seed)
          const held = updates.slice(0, cut % (updates.length + 1))
          const some = updates.filter((_, at) => received[at % 64] === true)
          const sent = builders.sent(some)
          const index = indexOf(held)
          const inspection = engine.inspect(sent, inspectLimits)
          if (engine.judge(index, inspection) !== 'premature') return
          const part = engine.admissible(sent, engine.basis(index, inspection))
          const all = indexOf(held)
          const taken = takeAll(all, some)
          expect(part.length > 0 || taken === 0).toBe(true)
          if (part.length === 0) return
          partCount++
          const inspected = engine.inspect(part, inspectLimits)
          expect(engine.judge(index, inspected)).not.toBe('premature')
          const overlap = engine.overlap(index, inspected)
          engine.include(index, inspected)
          // Of an update that is premature a part may have been taken.
          for (const update of some.filter((one) => judgeBytes(all, one) !== 'premature'))
            expect(judgeBytes(index, update)).toBe('nothing')
          const again = engine.admissible(sent, engine.basis(index, inspection))
          expect(again.length === 0 || judgeBytes(index, again) === 'nothing').toBe(true)
          const stored = overlap === undefined ? part : engine.cut(part, overlap)
          // It builds on nothing else, and what comes later makes the document whole.
          engine.digest([...held, stored])
          expect(engine.digest([...held, stored, ...updates])).toBe(engine.digest(updates))
        }),
        { numRuns: 60 },
      )
      expect(partCount).toBeGreaterThan(5)
    })

    it('[SES2] given an update that brings what others are to bring, when its admissible part is taken, then there is nothing of that in it, and it applies', () => {
      let foreignCount = 0
      fc.assert(
        fc.property(seeds, fc.nat(), fc.nat(), (seed, cut, salt) => {
          const updates = builders.history(seed)
          const held = updates.slice(0, cut % (updates.length + 1))
          const sent = builders.sent(updates)
          const index = indexOf(held)
          const inspection = engine.inspect(sent, inspectLimits)
          const isForeign = (author: number): boolean => ((author ^ salt) & 1) === 0
          const foreign = engine.foreign(index, inspection, isForeign)
          if (foreign === undefined) return
          foreignCount++
          expect(engine.judge(index, foreign)).toBe('premature')
          const part = engine.admissible(sent, engine.basis(index, inspection, isForeign))
          if (part.length === 0) return
          const inspected = engine.inspect(part, inspectLimits)
          expect(engine.judge(index, inspected)).not.toBe('premature')
          expect(engine.foreign(index, inspected, isForeign)).toBeUndefined()
          const overlap = engine.overlap(index, inspected)
          const stored = overlap === undefined ? part : engine.cut(part, overlap)
          engine.digest([...held, stored])
          expect(engine.digest([...held, stored, ...updates])).toBe(engine.digest(updates))
        }),
        { numRuns: 60 },
      )
      expect(foreignCount > 5 || engine.name === 'automerge').toBe(true)
    })

    it('[SES2] given an update of which nothing is admissible, when its part is asked for, then it is empty', () => {
      const [first = new Uint8Array(), second = new Uint8Array(), third = new Uint8Array()] = builders.typing('abc')
      const admissible = (index: EngineIndex, update: Uint8Array): Uint8Array =>
        engine.admissible(update, engine.basis(index, engine.inspect(update, inspectLimits)))
      expect(admissible(engine.emptyIndex(), second)).toHaveLength(0)
      expect(admissible(indexOf([first]), third)).toHaveLength(0)
      expect(judgeBytes(engine.emptyIndex(), admissible(engine.emptyIndex(), builders.sent([first, third])))).toBe('new')
    })

    it('given an index, when encoded and decoded, then it judges alike and encodes to the same bytes', () => {
      fc.assert(
        fc.property(seeds, fc.nat(), (seed, cut) => {
          const updates = builders.history(seed)
          const index = indexOf(updates.slice(0, cut % (updates.length + 1)))
          const bytes = engine.encodeIndex(index)
          const decoded = engine.decodeIndex(bytes)
          expect(hex(engine.encodeIndex(decoded))).toBe(hex(bytes))
          for (const update of updates) expect(judgeBytes(decoded, update)).toBe(judgeBytes(index, update))
        }),
        { numRuns: 20 },
      )
    })

    it('given an encoded index, when it is cut short or longer by a byte, then it is UPDATE_INVALID', () => {
      const bytes = engine.encodeIndex(indexOf(builders.history(1)))
      for (let length = 0; length < bytes.length; length++)
        expect(codeOf(() => engine.decodeIndex(bytes.subarray(0, length)))).toBe('UPDATE_INVALID')
      expect(codeOf(() => engine.decodeIndex(Uint8Array.from([...bytes, 0])))).toBe('UPDATE_INVALID')
    })

    it('given an update cut short or longer by a byte, when inspected, then it is UPDATE_INVALID', () => {
      for (const update of builders.history(2).slice(0, 10)) {
        for (let length = 0; length < update.length; length++) {
          expect(codeOf(() => engine.inspect(update.subarray(0, length), inspectLimits))).toBe('UPDATE_INVALID')
        }
        expect(codeOf(() => engine.inspect(Uint8Array.from([...update, 0]), inspectLimits))).toBe('UPDATE_INVALID')
      }
    })

    it.each(builders.garbage)('given $name, when inspected, then it is UPDATE_INVALID', ({ bytes }) => {
      expect(codeOf(() => engine.inspect(bytes, inspectLimits))).toBe('UPDATE_INVALID')
    })

    it('given any bytes, when inspected or decoded as an index, then they are taken or refused with a MeridianError', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          expect(['accepted', 'UPDATE_INVALID']).toContain(codeOf(() => engine.inspect(bytes, inspectLimits)))
          expect(['accepted', 'UPDATE_INVALID']).toContain(codeOf(() => engine.decodeIndex(bytes)))
        }),
        { numRuns: 500 },
      )
    })

    it('given any history, when made a snapshot, then it shows the same, has the same digest, and its index holds all of it', () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          const updates = builders.history(seed)
          const state = engine.snapshot(updates)
          expect(builders.shown([state.bytes])).toBe(builders.shown(updates))
          expect(engine.digest([state.bytes])).toBe(engine.digest(updates))
          const index = engine.decodeIndex(state.index)
          for (const update of [...updates, state.bytes]) expect(judgeBytes(index, update)).toBe('nothing')
        }),
        { numRuns: 25 },
      )
    })

    it('given any history, when in another order, twice, or with a snapshot in its middle, then its digest is the same', () => {
      fc.assert(
        fc.property(
          seeds.chain((seed) => {
            const updates = builders.history(seed)
            return fc.tuple(
              fc.constant(updates),
              fc.shuffledSubarray([...updates], { minLength: updates.length }),
              fc.nat(updates.length),
            )
          }),
          ([updates, shuffled, cut]) => {
            const digest = engine.digest(updates)
            expect(digest).toMatch(/^[0-9a-f]{64}$/)
            expect(engine.digest(shuffled)).toBe(digest)
            expect(engine.digest([...updates, ...shuffled])).toBe(digest)
            expect(engine.digest([engine.snapshot(updates.slice(0, cut)).bytes, ...updates.slice(cut)])).toBe(digest)
          },
        ),
        { numRuns: 25 },
      )
    })

    it('given documents that differ, when digested, then the digests differ', () => {
      const digests = ['', 'a', 'ab', 'ba', 'abc'].map((text) => engine.digest(builders.typing(text)))
      expect(new Set(digests).size).toBe(digests.length)
    })

    it('given any peer that holds the beginning, when it gets the difference, then it has all', () => {
      fc.assert(
        fc.property(seeds, fc.nat(), (seed, at) => {
          const updates = builders.history(seed)
          const held = updates.slice(0, at % (updates.length + 1))
          const difference = engine.diff(updates, builders.known(held))
          const all = difference.length === 0 ? held : [...held, difference]
          expect(builders.shown(all)).toBe(builders.shown(updates))
          expect(engine.digest(all)).toBe(engine.digest(updates))
        }),
        { numRuns: 25 },
      )
    })

    it('[SES7] given a peer that holds all of a document where nothing was deleted, when asked for the difference, then it is empty', () => {
      const updates = builders.typing('abc')
      expect(engine.diff(updates, builders.known(updates)).length).toBe(0)
      expect(engine.diff(updates, builders.known(updates.slice(0, 2))).length).toBeGreaterThan(0)
    })

    it('given no updates, when made a snapshot, then it is a document that can be loaded and digested', () => {
      const state = engine.snapshot([])
      expect(engine.digest([state.bytes])).toBe(engine.digest([]))
      expect(hex(engine.encodeIndex(engine.decodeIndex(state.index)))).toBe(hex(engine.encodeIndex(engine.emptyIndex())))
    })

    it('given updates without what they build on, when materialised, then it is UPDATE_INVALID', () => {
      const updates = builders.typing('abc').slice(1)
      expect(codeOf(() => engine.snapshot(updates))).toBe('UPDATE_INVALID')
      expect(codeOf(() => engine.digest(updates))).toBe('UPDATE_INVALID')
    })
  })
}

/** The code of the MeridianError that `call` throws, or `accepted`; anything else that it throws goes on. */
export function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof MeridianError) return error.code
    throw error
  }
  return 'accepted'
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
