/**
 * Honest updates with bytes changed: what inspection takes and judging calls new has to be safe to apply. More runs with
 * MERIDIAN_FUZZ_RUNS (mutated updates, about 10,000 a second), from another seed with MERIDIAN_FUZZ_SEED.
 *
 * Not held against inspection, because it shows in no bytes but only in the document: an item whose origin and right origin stand in
 * the wrong order or in different lists (Yjs takes it, and the order of such a list then depends on who loads it), and a list
 * item among the entries of a map (Yjs throws when it collects it). The engine has to survive both.
 */
import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { type Inspection, inspectLimits } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { YjsIndex } from '@meridian/core/engines/yjs-index'
import { codeOf } from '../../conformance/engine.js'
import { makeHistory, randomOf } from './yjs-edits.js'

const runCount = Number(process.env['MERIDIAN_FUZZ_RUNS'] ?? 20_000)
const seedFirst = Number(process.env['MERIDIAN_FUZZ_SEED'] ?? 1)
const runsPerHistory = 150
const timeoutMs = 10_000 + runCount

it(
  'given mutated updates, when accepted and new, then they apply without a throw, save, load, and leave nothing waiting',
  () => {
    const seen = { refused: 0, premature: 0, nothing: 0, new: 0, trimmed: 0, crossed: 0 }
    for (let seed = seedFirst, runs = 0; runs < runCount; seed++) {
      const random = randomOf(seed)
      const { updates } = makeHistory(seed, { authorCount: 1 + (seed % 3), stepCount: 6 + random(40) })
      if (updates.length < 2) continue
      const cut = random(updates.length)
      const base = updates.slice(0, cut)
      const index = new YjsIndex()
      for (const update of base) yjsEngine.include(index, yjsEngine.inspect(update, inspectLimits))
      const encoded = index.encode()
      const sources = [
        updates[cut],
        updates[random(updates.length)],
        yjsEngine.snapshot(updates).bytes,
        Y.mergeUpdates(updates.slice(cut, cut + 4)),
      ]
      for (let run = 0; run < runsPerHistory; run++, runs++) {
        const source = sources[random(sources.length)] ?? new Uint8Array()
        const mutated = mutate(source, updates[random(updates.length)] ?? source, random)
        if (codeOf(() => yjsEngine.inspect(mutated, inspectLimits)) !== 'accepted') {
          seen.refused++
          continue
        }
        const inspection = yjsEngine.inspect(mutated, inspectLimits)
        const held = YjsIndex.decode(encoded)
        const judgement = yjsEngine.judge(held, inspection)
        seen[judgement]++
        if (judgement !== 'new') continue
        const trimmed = yjsEngine.trim(held, inspection, mutated)
        if (trimmed !== mutated) seen.trimmed++
        try {
          if (checkApplied(base, held, mutated, trimmed, inspection, random(2) === 0) === 'crossed') seen.crossed++
        } catch (cause) {
          throw new Error(`seed ${seed}, run ${run}, after ${base.length} updates: ${Buffer.from(mutated).toString('hex')}`, {
            cause,
          })
        }
      }
    }
    // The generator is at fault if it never gets there.
    expect(Math.min(seen.refused, seen.premature, seen.nothing, seen.new, seen.trimmed)).toBeGreaterThan(runCount / 500)
    expect(seen.crossed).toBeLessThan(seen.new / 20)
  },
  timeoutMs,
)

/** Applies what was judged new to a plain document of Yjs and to the engine's own. */
function checkApplied(
  base: readonly Uint8Array[],
  held: YjsIndex,
  mutated: Uint8Array,
  trimmed: Uint8Array,
  inspection: Inspection,
  gc: boolean,
): 'sound' | 'crossed' {
  const doc = applied([...base, trimmed], gc) ?? applied([...base, trimmed], false)
  if (doc === undefined) throw new Error('Yjs throws')
  expect(doc.store.pendingStructs).toBeNull()
  expect(doc.store.pendingDs).toBeNull()
  yjsEngine.include(held, inspection)
  for (const [client, clock] of Y.decodeStateVector(Y.encodeStateVector(doc))) expect(held.next(client)).toBe(clock)

  const saved = Y.encodeStateAsUpdate(doc)
  yjsEngine.inspect(saved, inspectLimits)
  const loaded = new Y.Doc()
  loaded.clientID = 0xffff_fff1
  Y.applyUpdate(loaded, saved)
  expect(loaded.store.pendingStructs).toBeNull()
  expect(loaded.store.pendingDs).toBeNull()

  const state = yjsEngine.snapshot([...base, mutated])
  const index = yjsEngine.decodeIndex(state.index)
  expect(yjsEngine.judge(index, inspection)).toBe('nothing')
  expect(yjsEngine.judge(held, yjsEngine.inspect(state.bytes, inspectLimits))).not.toBe('premature')
  yjsEngine.diff([...base, mutated], new Uint8Array())
  if (yjsEngine.digest([state.bytes]) === yjsEngine.digest([...base, mutated])) return 'sound'
  expect(isCrossed(doc, trimmed)).toBe(true)
  return 'crossed'
}

/** Nothing if Yjs throws what it throws when it finds garbage that is none. */
function applied(updates: readonly Uint8Array[], gc: boolean): Y.Doc | undefined {
  const doc = new Y.Doc({ gc })
  doc.clientID = 0xffff_fff0
  try {
    for (const update of updates) Y.applyUpdate(doc, update)
    return doc
  } catch (error) {
    if (gc && error instanceof Error && error.message === 'Unexpected case') return undefined
    throw error
  }
}

/** Whether an item of the update has neighbours that are in different lists or in the wrong order. */
function isCrossed(doc: Y.Doc, update: Uint8Array): boolean {
  return Y.decodeUpdate(update).structs.some((struct) => {
    if (!(struct instanceof Y.Item) || struct.origin === null) return false
    const left: unknown = Y.getItem(doc.store, struct.origin)
    if (left instanceof Y.Item && left.parentSub !== null && struct.length > 1) return true
    if (struct.rightOrigin === null) return false
    const right: unknown = Y.getItem(doc.store, struct.rightOrigin)
    if (!(left instanceof Y.Item) || !(right instanceof Y.Item)) return left instanceof Y.Item || right instanceof Y.Item
    if (left.parent !== right.parent || left.parentSub !== right.parentSub) return true
    if (left === right) return struct.origin.clock >= struct.rightOrigin.clock
    for (let item = left.right; item !== null; item = item.right) if (item === right) return false
    return true
  })
}

/** Bytes that mean something in this format: kinds with and without flags, counts, and the ends of ranges. */
const telling = [0, 1, 2, 3, 4, 6, 7, 8, 10, 0x27, 0x7f, 0x80, 0x81, 0x84, 0x87, 0xc4, 0xff, 117, 118]

function mutate(update: Uint8Array, other: Uint8Array, random: (below: number) => number): Uint8Array {
  const bytes = [...update]
  for (let edits = 1 + random(3); edits > 0; edits--) {
    const at = random(bytes.length + 1)
    switch (random(8)) {
      case 0:
        bytes[at] = random(256)
        break
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
        break
      case 2:
        bytes.splice(at, 0, random(256))
        break
      case 3:
        bytes.splice(at, 1)
        break
      case 4:
        bytes[at] = telling[random(telling.length)] ?? 0
        break
      case 5:
        bytes[at] = ((bytes[at] ?? 0) + (random(2) === 0 ? 1 : 255)) & 0xff
        break
      case 6: {
        const from = random(other.length + 1)
        bytes.splice(at, random(4), ...other.subarray(from, from + random(12)))
        break
      }
      default: {
        const from = random(bytes.length + 1)
        bytes.splice(at, 0, ...bytes.slice(from, from + 1 + random(12)))
      }
    }
  }
  return Uint8Array.from(bytes)
}
