/** The Automerge engine against the conformance suite, and what is Automerge's own: chunks, checksums, columns, contradictions. */
import { deflateRawSync } from 'node:zlib'
import * as A from '@automerge/automerge'
import { describe, expect, it } from 'vitest'
import { inspectLimits } from '@meridian/core/engine'
import { automergeWithContent as engine } from '@meridian/core/engines/automerge-content'
import { initializeAutomerge, limitMemory } from '@meridian/core/io/automerge-wasm'
import { codeOf, hex, registerEngineTests } from '../../conformance/engine.js'
import { actorOf, automergeHeads, automergeHistory, automergeReader, shownAutomerge } from './automerge-edits.js'
import { bodyOf, chunkOf, mutateAutomerge } from './automerge-mutations.js'

await initializeAutomerge(512)

function typed(text: string, author = 1): Uint8Array[] {
  let doc = A.init<{ text: string }>({ actor: actorOf(author) })
  const changes: Uint8Array[] = []
  for (const [index, character] of [...text].entries()) {
    const heads = A.getHeads(doc)
    doc = A.change(doc, { time: 0 }, (draft) => {
      if (index === 0) draft.text = character
      else A.splice(draft, ['text'], draft.text.length, 0, character)
    })
    changes.push(...A.getChangesSince(doc, heads))
  }
  A.free(doc)
  return changes
}

const [someUpdate = new Uint8Array()] = typed('a')
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

registerEngineTests('automerge', engine, {
  typing: typed,
  history: automergeHistory,
  known: automergeHeads,
  sent: (updates) => Uint8Array.from(Buffer.concat(updates)),
  shown: shownAutomerge,
  garbage: [
    { name: 'no bytes', bytes: new Uint8Array() },
    { name: 'an update of Yjs', bytes: bytes('01 01 01 00 04 01 04 74 65 78 74 01 61 00') },
    { name: 'a whole document', bytes: A.save(automergeReader([someUpdate])) },
    { name: 'a chunk with a wrong checksum', bytes: someUpdate.map((byte, at) => (at === 5 ? byte ^ 1 : byte)) },
    { name: 'the same change twice', bytes: Uint8Array.from([...someUpdate, ...someUpdate]) },
  ],
})

const inspect = (update: Uint8Array) => engine.inspect(update, inspectLimits)
const indexOf = (updates: readonly Uint8Array[]) => {
  const index = engine.emptyIndex()
  for (const update of updates) engine.include(index, inspect(update))
  return index
}

it('[SES3] given a module of wasm, when its memory is limited, then it grows to that and no further', () => {
  // One memory of a page, exported as m.
  const module = bytes('0061736d 01000000 0503 010001 0705 01016d0200')
  const memoryOf = (limited: Uint8Array): WebAssembly.Memory =>
    new WebAssembly.Instance(new WebAssembly.Module(limited.slice())).exports['m'] as WebAssembly.Memory
  const memory = memoryOf(limitMemory(module, 300))
  memory.grow(299)
  expect(() => memory.grow(1)).toThrow(RangeError)
  memoryOf(module).grow(300)
})

describe('Automerge chunks from strangers', () => {
  it('given bytes of honest changes changed and checksums made right, then inspection refuses what Automerge could not save and load', () => {
    const seen = mutateAutomerge(1, 1_000)
    expect(seen.refused).toBeGreaterThan(400)
    expect(seen.new).toBeGreaterThan(20)
    // What speaks of things that the document never had only the document could tell: it is left out when content is read.
    expect(seen.failures.filter((failure) => !/Panic|mismatching heads|missing ops/.test(failure))).toEqual([])
  })

  it('given a few bytes that claim very many operations, then they are refused before anything is expanded', () => {
    const runOf = (count: number): number[] => {
      const leb: number[] = []
      for (let rest = count; ; rest = Math.floor(rest / 128)) {
        leb.push(rest > 63 ? (rest & 127) | 128 : rest)
        if (rest < 64) return leb
      }
    }
    const change = (count: number): Uint8Array => {
      // Nulls that are put at one key of the root, with their columns: key, insertion, action, value, what they replace.
      const columns = [
        [0x15, [...runOf(count), 1, 0x6b]],
        [0x34, varUint(count)],
        [0x42, [...runOf(count), 1]],
        [0x56, [...runOf(count), 0]],
        [0x70, [...runOf(count), 0]],
      ] as const
      const metas = columns.flatMap(([specification, data]) => [specification, data.length])
      const data = columns.flatMap(([, column]) => column)
      return chunkOf(Uint8Array.from([0, 1, 7, 1, 1, 0, 0, 0, columns.length, ...metas, ...data]))
    }
    inspect(change(30_000))
    for (const count of [40_000, 2 ** 31, 2 ** 40]) expect(codeOf(() => inspect(change(count)))).toBe('UPDATE_INVALID')
  })

  it('given a long text that is pasted and deleted at once, then both are taken, in few bytes', () => {
    const text = 'x'.repeat(100_000)
    const pasted = A.from<Record<string, unknown>>({ text })
    const heads = A.getHeads(pasted)
    const emptied = A.change(pasted, (draft) => A.splice(draft, ['text'], 0, text.length))
    const [deletion = new Uint8Array()] = A.getChangesSince(emptied, heads)
    expect(deletion.length).toBeLessThan(200)
    const index = indexOf(A.getAllChanges(emptied))
    expect(engine.judge(index, inspect(deletion))).toBe('nothing')
  })

  it('given compressed chunks and documents, then they are refused', () => {
    for (const type of [0, 2, 3, 255]) expect(codeOf(() => inspect(chunkOf(bodyOf(someUpdate), type)))).toBe('UPDATE_INVALID')
    expect(codeOf(() => inspect(chunkOf(bodyOf(someUpdate))))).toBe('accepted')
  })

  it('given another change of the same author and number, or one that leaves a number free, then it contradicts, and digests agree whoever came first', () => {
    const [one = new Uint8Array()] = typed('a')
    const [other = new Uint8Array(), second = new Uint8Array()] = typed('bc')
    expect(engine.judge(indexOf([one]), inspect(other))).toBe('contradiction')
    expect(engine.judge(engine.emptyIndex(), inspect(Uint8Array.from([...one, ...other])))).toBe('contradiction')
    const gap = A.encodeChange({ ...A.decodeChange(second), seq: 3 })
    expect(engine.judge(indexOf([other]), inspect(gap))).toBe('contradiction')
    const early = A.encodeChange({ ...A.decodeChange(second), startOp: 1 })
    expect(codeOf(() => inspect(early))).toBe('accepted')
    expect(engine.judge(indexOf([other]), inspect(early))).toBe('contradiction')
    // Two regions took one each.
    expect(engine.digest([one, other, second])).toBe(engine.digest([other, second, one]))
    expect(engine.read([one, other, second], { kind: 'json' })).toBe(engine.read([other, second, one], { kind: 'json' }))
  })

  it('given a change that speaks of what its document never had, then the rest of the document is read and edited', () => {
    const updates = typed('abc')
    const [, second = new Uint8Array(), third = new Uint8Array()] = updates
    const decoded = A.decodeChange(second)
    const foreign = A.encodeChange({
      ...decoded,
      actor: actorOf(9),
      seq: 1,
      ops: decoded.ops.map((op) => ({ ...op, obj: `1@${actorOf(9)}` })),
    })
    expect(third.length).toBeGreaterThan(0)
    expect(engine.read([...updates, foreign], { kind: 'text' })).toBe('abc')
    const edited = engine.edit([...updates, foreign], { kind: 'merge', value: { text: 'abcd' } }, 9)
    expect(engine.read([...updates, foreign, edited], { kind: 'text' })).toBe('abcd')
  })

  it('given a whole document, alone or with changes behind it, when it is translated, then it is the update that its changes are', () => {
    const updates = automergeHistory(7)
    const doc = A.applyChanges(A.init<Record<string, unknown>>(), updates.slice(0, 10))[0]
    const translated = engine.translate(Uint8Array.from(Buffer.concat([A.save(doc), ...updates.slice(10)])))
    expect(engine.digest([translated])).toBe(engine.digest(updates))
    inspect(translated)
    const saved = A.save(doc)
    expect(codeOf(() => engine.translate(saved.map((byte, at) => (at === saved.length - 3 ? byte ^ 1 : byte))))).toBe(
      'UPDATE_INVALID',
    )
    expect(codeOf(() => engine.translate(saved.subarray(0, 20)))).toBe('UPDATE_INVALID')
    expect(engine.translate(new Uint8Array())).toHaveLength(0)
    const [change = new Uint8Array()] = updates
    const body = deflateRawSync(bodyOf(change))
    const compressed = Uint8Array.from([...change.subarray(0, 8), 2, ...varUint(body.length), ...body])
    expect(hex(engine.translate(compressed))).toBe(hex(change))
  })

  it('given an inspection, when it is packed and unpacked for another thread, then it judges alike', () => {
    const updates = automergeHistory(5)
    const whole = engine.snapshot(updates).bytes
    const inspection = engine.unpack(engine.pack(inspect(whole)))
    expect(engine.judge(engine.emptyIndex(), inspection)).toBe('new')
    expect(engine.judge(indexOf(updates), inspection)).toBe('nothing')
    const index = engine.emptyIndex()
    engine.include(index, inspection)
    expect(hex(engine.stateVector(index))).toBe(hex(automergeHeads(updates)))
    expect(hex(engine.encodeIndex(index))).toBe(hex(engine.snapshot(updates).index))
  })

  it('given a state of which some is held, then the overlap is what is held, and the rest is cut', () => {
    const updates = typed('abcdef')
    const whole = engine.snapshot(updates).bytes
    const index = indexOf(updates.slice(0, 3))
    const overlap = engine.overlap(index, inspect(whole)) ?? new Uint8Array()
    expect(hex(engine.cut(whole, overlap))).toBe(hex(Buffer.concat(updates.slice(3))))
    expect(engine.overlap(index, inspect(updates[3] ?? new Uint8Array()))).toBeUndefined()
  })
})

function varUint(value: number): number[] {
  const bytes_: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes_.push(rest > 127 ? (rest % 128) | 128 : rest)
    if (rest < 128) return bytes_
  }
}
