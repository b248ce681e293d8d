/** When a document's tail is folded: the bounds, and the rest between two foldings of one that is written to fast. */

import { compactionPolicy as policy, dueWhenIdle, dueWhileOpen } from '@meridian/core/compaction'
import { describe, expect, test } from 'vitest'

const tail = (count: number, bytes = 0, snapshotBytes = 0) => ({
  tailCount: count,
  tailBytes: bytes,
  snapshotBytes,
  tailSinceMs: 1_000,
})
const rested = 1_000 + policy.restMs
const { openEntries, openBytes, idleEntries } = policy

describe('an open document', () => {
  test.each([
    ['entries', tail(openEntries - 1), tail(openEntries)],
    ['bytes', tail(1, openBytes - 1), tail(1, openBytes)],
    ['bytes behind a snapshot', tail(1, openBytes + 499, 500), tail(1, openBytes + 500, 500)],
  ])('that has rested is due at its bound of %s', (_what, below, at) => {
    expect(dueWhileOpen(policy, below, rested)).toBe(false)
    expect(dueWhileOpen(policy, at, rested)).toBe(true)
    expect(dueWhileOpen(policy, at, rested - 1)).toBe(false)
  })

  test.each([
    ['entries', tail(4 * openEntries - 1), tail(4 * openEntries)],
    ['bytes', tail(1, 4 * openBytes - 1), tail(1, 4 * openBytes)],
  ])('that has not rested is due at four times its bound of %s', (_what, below, at) => {
    expect(dueWhileOpen(policy, below, 1_000)).toBe(false)
    expect(dueWhileOpen(policy, at, 1_000)).toBe(true)
  })

  test('with as many entries as an idle one may have is due when it is old', () => {
    expect(dueWhileOpen(policy, tail(idleEntries), 1_000 + policy.ageMs - 1)).toBe(false)
    expect(dueWhileOpen(policy, tail(idleEntries), 1_000 + policy.ageMs)).toBe(true)
    expect(dueWhileOpen(policy, tail(idleEntries - 1), 1_000 + policy.ageMs)).toBe(false)
  })
})

test('given a document that everybody left, then it is due at far less, whether it has rested or not', () => {
  expect(dueWhenIdle(policy, tail(idleEntries - 1), 1_000)).toBe(false)
  expect(dueWhenIdle(policy, tail(idleEntries), 1_000)).toBe(true)
})
