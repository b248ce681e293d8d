/** What every `ClientStore` does, whatever it is made of: written against the contract in client/src/store.ts and nothing else. */

import type { ClientStore, StoreKey, StoreRecord } from '@meridian/client/store'
import { beginsWith, compareKeys, keyText } from '@meridian/client/store'
import { MeridianError, toMeridianError } from '@meridian/core/errors'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

/** One place where records are kept, and its openings. */
export interface StorePlace {
  open(): Promise<ClientStore>
  /** Opens it with room for a few kilobytes only; absent where that cannot be arranged. */
  openSmall?(): Promise<ClientStore>
  /** Closes what is open and removes everything. */
  remove(): Promise<void>
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const plain = (records: readonly StoreRecord[]): [StoreKey, number[]][] => records.map(({ key, value }) => [key, [...value]])

export function registerClientStoreTests(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`client store: ${name}`, () => {
    let place: StorePlace
    let store: ClientStore

    beforeEach(async () => {
      place = await makePlace()
      store = await place.open()
    })
    afterEach(() => place.remove())

    const put = (key: StoreKey, ...values: number[]) => ({ kind: 'put', key, value: bytes(...values) }) as const

    it('[CLI1] given what was written, when the store is opened again, then it is there, empty values too', async () => {
      await store.write([put(['a', 1], 1, 2, 3), put(['a', 2])])
      await store.close()
      store = await place.open()
      expect(plain(await store.read(['a']))).toEqual([
        [
          ['a', 1],
          [1, 2, 3],
        ],
        [['a', 2], []],
      ])
    })

    it('given one batch, then later operations win over earlier ones', async () => {
      await store.write([put(['a', 1], 1), put(['b', 1], 1)])
      await store.write([put(['a', 1], 2), { kind: 'delete', key: ['a', 1] }, { kind: 'clear', prefix: ['b'] }, put(['b', 2], 2)])
      expect(plain(await store.read([]))).toEqual([[['b', 2], [2]]])
    })

    it('given writes that are not waited for, then they take effect in the order of their calls', async () => {
      const writes = Array.from({ length: 20 }, (_, index) => store.write([put(['a'], index), put(['n', index], index)]))
      await Promise.all(writes)
      expect(plain(await store.read(['a']))).toEqual([[['a'], [19]]])
      expect(await store.read(['n'])).toHaveLength(20)
    })

    it('given a prefix, then only keys that begin with it part by part are read or cleared', async () => {
      await store.write([
        put(['doc', 'a'], 1),
        put(['doc', 'a', 'x'], 2),
        put(['doc', 'ab', 'x'], 3),
        put(['doc'], 4),
        put(['doc', 1], 5),
      ])
      expect(plain(await store.read(['doc', 'a']))).toEqual([
        [['doc', 'a'], [1]],
        [['doc', 'a', 'x'], [2]],
      ])
      await store.write([{ kind: 'clear', prefix: ['doc', 'a'] }])
      expect((await store.read(['doc'])).map(({ key }) => key)).toEqual([['doc'], ['doc', 1], ['doc', 'ab', 'x']])
    })

    it('given keys of any characters and numbers, then they come back as they were, in the order of keys', async () => {
      const keys: StoreKey[] = [
        ['log', 'a/ü/😀/\u0000', 0],
        ['log', 'a/ü/😀/\u0000', 10],
        ['log', 'a/ü/😀/\u0000', 9],
        ['log', 'a/ü/😀/\u0000', Number.MAX_SAFE_INTEGER],
        ['log', '', 2 ** 32],
        ['log', '\u007e\u007f\u0080\uffff', 1],
        ['log', '\u007e', 1],
        ['log', 7],
      ]
      await store.write(keys.map((key, index) => put(key, index)))
      expect((await store.read(['log'])).map(({ key }) => key)).toEqual([...keys].sort(compareKeys))
      for (const [index, key] of keys.entries()) expect(plain(await store.read(key))).toEqual([[key, [index]]])
    })

    it('given values that are changed after a write or a read, then what is stored stays', async () => {
      const value = bytes(1, 2)
      await store.write([{ kind: 'put', key: ['a'], value }])
      value[0] = 9
      const [first] = await store.read(['a'])
      if (first !== undefined) first.value[0] = 8
      expect(plain(await store.read(['a']))).toEqual([[['a'], [1, 2]]])
    })

    it('given a view of a larger buffer, then only the view is stored', async () => {
      await store.write([{ kind: 'put', key: ['a'], value: bytes(0, 1, 2, 3).subarray(1, 3) }])
      expect(plain(await store.read(['a']))).toEqual([[['a'], [1, 2]]])
    })

    it('given a large batch, then all of it is there', async () => {
      const value = new Uint8Array(256 * 1024).fill(7)
      await store.write(Array.from({ length: 40 }, (_, index) => ({ kind: 'put', key: ['big', index], value }) as const))
      const records = await store.read(['big'])
      expect(records).toHaveLength(40)
      expect(records.every((record) => record.value.length === value.length)).toBe(true)
    })

    it('given a closed store, then reading and writing are STORE_FAILED, and closing again is nothing', async () => {
      await store.close()
      await store.close()
      await expect(store.read([])).rejects.toMatchObject({ code: 'STORE_FAILED' })
      await expect(store.write([put(['a'], 1)])).rejects.toBeInstanceOf(MeridianError)
    })

    it('given no room, then a batch is STORE_FULL and nothing of it is written, and with room again it is', async () => {
      await store.write([put(['a'], 1)])
      await store.close()
      // A store without a bound of its own has nothing to show here but that it keeps what it has.
      store = await (place.openSmall ?? place.open)()
      const large = { kind: 'put', key: ['b'], value: new Uint8Array(1024 * 1024) } as const
      const full =
        place.openSmall === undefined
          ? 'STORE_FULL'
          : await store.write([put(['a'], 2), large]).catch((thrown: unknown) => toMeridianError(thrown).code)
      expect(full).toBe('STORE_FULL')
      expect(plain(await store.read([]))).toEqual([[['a'], [1]]])
      await store.close()
      store = await place.open()
      await store.write([put(['a'], 2), large])
      expect(await store.read([])).toHaveLength(2)
    })

    it('does what a map of sorted keys does, for any batches', async () => {
      const part = fc.oneof(fc.constantFrom('a', 'b', 'ab', '', '\u0000', 'ü'), fc.nat(300))
      const key = fc.array(part, { minLength: 1, maxLength: 3 })
      const operation = fc.oneof(
        { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), key, value: fc.uint8Array({ maxLength: 4 }) }) },
        { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), prefix: key }) },
      )
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(operation, { maxLength: 8 }), { maxLength: 8 }), key, async (batches, prefix) => {
          await store.write([{ kind: 'clear', prefix: [] }])
          const oracle = new Map<string, StoreRecord>()
          for (const batch of batches) {
            await store.write(batch)
            for (const one of batch) {
              if (one.kind === 'put') oracle.set(keyText(one.key), one)
              else if (one.kind === 'delete') oracle.delete(keyText(one.key))
              else for (const [text, record] of oracle) if (beginsWith(record.key, one.prefix)) oracle.delete(text)
            }
          }
          const all = [...oracle.values()].sort((a, b) => compareKeys(a.key, b.key))
          expect(plain(await store.read([]))).toEqual(plain(all))
          expect(plain(await store.read(prefix))).toEqual(plain(all.filter((record) => beginsWith(record.key, prefix))))
        }),
        { numRuns: 60 },
      )
    })
  })
}
