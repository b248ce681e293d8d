/** Whose author ids are whose while a document is open. */

import { leaseMs, Writers } from '@meridian/core/writers'
import { expect, test } from 'vitest'

const [one, other] = [{}, {}]

test('given an id that a session has claimed, when others ask, then it is of another; of nobody else, and not of the same subject', () => {
  const writers = new Writers()
  writers.claim(7, one, 'ada', 0)
  expect(['ada', 'bob', undefined].map((subject) => writers.isOfOther(7, subject, 0))).toEqual([false, true, true])
  expect(writers.isOfOther(8, 'bob', 0)).toBe(false)
})

test('given an id that is claimed twice, when the first has it, then the second does not get it, and goes on under the first until its lease is over', () => {
  const writers = new Writers()
  writers.claim(7, one, 'ada', 0)
  writers.claim(7, other, 'bob', 1)
  expect(writers.isOfOther(7, 'bob', 1)).toBe(true)
  writers.release(one, 10)
  expect(writers.isOfOther(7, 'bob', 10 + leaseMs - 1)).toBe(true)
  expect(writers.isOfOther(7, 'bob', 10 + leaseMs)).toBe(false)
  writers.claim(7, other, 'bob', 10 + leaseMs)
  expect(writers.isOfOther(7, 'ada', 10 + leaseMs)).toBe(true)
})

test('given a subject that is there twice, when one session ends, then the id is bound by the other', () => {
  const writers = new Writers()
  writers.claim(7, one, 'ada', 0)
  writers.claim(7, other, 'ada', 0)
  writers.claim(8, other, 'ada', 0)
  writers.release(one, 0)
  expect(writers.isOfOther(7, 'bob', 2 * leaseMs)).toBe(true)
  // A session has one id.
  expect(writers.isOfOther(8, 'bob', 0)).toBe(false)
  writers.release(other, 0)
  writers.release(other, leaseMs)
  expect(writers.isOfOther(7, 'bob', leaseMs)).toBe(false)
})

test('[SES3] given many that came and went, when their leases are more than are kept, then the oldest are forgotten', () => {
  const writers = new Writers()
  writers.claim(1, one, 'ada', 0)
  for (let id = 2; id < 5_000; id++) {
    const holder = {}
    writers.claim(id, holder, 'ada', 0)
    writers.release(holder, 0)
  }
  expect([1, 2, 4_999].map((id) => writers.isOfOther(id, 'bob', 0))).toEqual([true, false, true])
})
