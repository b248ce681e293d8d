/** The thread that looks into large updates: it answers as the engine does, in order, and ends with its limits. */

import type { Inspection } from '@meridian/core/engine'
import { inspectLimits } from '@meridian/core/engine'
import type { AsideError } from '@meridian/core/engine-aside'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { UpdateThread } from '@meridian/server/io/update-thread'
import { expect, it, onTestFinished } from 'vitest'
import * as Y from 'yjs'
import { makeHistory } from '../../core/engines/yjs-edits.js'

function open(rest: Partial<{ memoryMb: number; timeMs: number }> = {}): UpdateThread {
  const thread = new UpdateThread({ yjs: yjsEngine }, { memoryMb: 256, timeMs: 30_000, ...rest })
  onTestFinished(() => thread.close())
  return thread
}

const inspect = (thread: UpdateThread, update: Uint8Array): Promise<Inspection | AsideError> =>
  new Promise((resolve) => thread.inspect('yjs', update, inspectLimits, resolve))

const timeoutMs = 60_000

it('given honest updates, when inspected and cut in the thread, then the answers are those of the engine', {
  timeout: timeoutMs,
}, async () => {
  const thread = open()
  const { updates } = makeHistory(7)
  const whole = Y.mergeUpdates([...updates])
  const kept = new Uint8Array(whole)
  expect(await inspect(thread, whole)).toEqual(yjsEngine.unpack(yjsEngine.pack(yjsEngine.inspect(whole, inspectLimits))))
  const index = yjsEngine.emptyIndex()
  for (const update of updates.slice(0, 5)) yjsEngine.include(index, yjsEngine.inspect(update, inspectLimits))
  const overlap = yjsEngine.overlap(index, yjsEngine.inspect(whole, inspectLimits)) ?? new Uint8Array()
  const cut = await new Promise<Uint8Array | AsideError>((resolve) => thread.cut('yjs', whole, overlap, resolve))
  expect(cut).toEqual(yjsEngine.cut(whole, overlap))
  const basis = yjsEngine.basis(index, yjsEngine.inspect(whole, inspectLimits))
  const part = await new Promise<Uint8Array | AsideError>((resolve) => thread.admissible('yjs', whole, basis, resolve))
  expect(part).toEqual(yjsEngine.admissible(whole, basis))
  expect(whole).toEqual(kept)
})

it('given several at once and one that is not valid, when inspected, then each gets its answer, in order', {
  timeout: timeoutMs,
}, async () => {
  const thread = open()
  const good = makeHistory(3).updates[0] ?? new Uint8Array()
  const order: number[] = []
  const asked = [good, Uint8Array.of(9, 9, 9), good].map((update, place) =>
    inspect(thread, update).then((answer) => {
      order.push(place)
      return typeof answer === 'string' ? answer : answer.bytes
    }),
  )
  expect(await Promise.all(asked)).toEqual([good.length, 'UPDATE_INVALID', good.length])
  expect(order).toEqual([0, 1, 2])
})

it('[SES3] given an update that takes too long, when its time is over, then it is UPDATE_TOO_LARGE, and the next gets a new thread', {
  timeout: timeoutMs,
}, async () => {
  const thread = open({ timeMs: 1 })
  expect(await inspect(thread, makeHistory(3).updates[0] ?? new Uint8Array())).toBe('UPDATE_TOO_LARGE')
  expect(await inspect(thread, makeHistory(3).updates[0] ?? new Uint8Array())).toBe('UPDATE_TOO_LARGE')
})

it('given a thread that is closed, when asked, then it answers that nobody can do it now', { timeout: timeoutMs }, async () => {
  const thread = open()
  await thread.close()
  expect(await inspect(thread, Uint8Array.of(0, 0))).toBe('LOG_UNAVAILABLE')
})
