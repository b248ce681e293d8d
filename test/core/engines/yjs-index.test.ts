/** The delete set and the state vector of an open document: the fast structures against plain sets of clocks. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { inspectLimits } from '@meridian/core/engine'
import { YjsIndex, YjsIndexDecoding } from '@meridian/core/engines/yjs-index'
import { inspectYjs } from '@meridian/core/engines/yjs-inspect'
import { ClockRanges } from '@meridian/core/engines/yjs-ranges'
import { codeOf, hex } from '../../conformance/engine.js'

function parse(text: string): Uint8Array {
  const digits = text.replaceAll(' ', '')
  const bytes = Uint8Array.from(Buffer.from(digits, 'hex'))
  if (bytes.length * 2 !== digits.length) throw new Error('no hex')
  return bytes
}
/** In hex. */
function varUint(value: number): string {
  return value < 128 ? value.toString(16).padStart(2, '0') : ((value & 127) | 128).toString(16) + varUint(value >>> 7)
}
const inspect = (text: string) => inspectYjs(parse(text), inspectLimits)

const listed = (ranges: ClockRanges): number[][] =>
  Array.from({ length: ranges.count }, (_, index) => [ranges.from(index), ranges.to(index)])

/** Sorted ranges of a set of clocks, the slow way. */
function rangesOf(clocks: ReadonlySet<number>): number[][] {
  const ranges: number[][] = []
  for (const clock of [...clocks].sort((one, other) => one - other)) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === clock) last[1] = clock + 1
    else ranges.push([clock, clock + 1])
  }
  return ranges
}

const range = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 8 })).map(([from, length]) => ({ from, to: from + length }))

describe('an index of very many ranges and clients', () => {
  const index = new YjsIndex()
  index.advance(7, 0, 200_000)
  for (let clock = 0; clock < 100_000; clock += 2) index.delete(7, clock, clock + 1)
  for (let client = 100; client < 30_100; client++) index.advance(client, 0, 1 + (client % 3))
  const bytes = index.encode()

  it('when it is read in steps, then they are several, and it is the same', () => {
    const decoding = new YjsIndexDecoding(bytes)
    let steps = 1
    let decoded = decoding.step()
    for (; decoded === 'more'; decoded = decoding.step()) steps++
    expect(steps).toBe(5)
    expect(hex(decoded.encode())).toBe(hex(bytes))
    expect(hex(YjsIndex.decode(bytes).encode())).toBe(hex(bytes))
  })

  it('when it is cut short, then it is UPDATE_INVALID, in whichever step', () => {
    for (const length of [1, 2, 1_000, 60_000, bytes.length - 1])
      expect(codeOf(() => YjsIndex.decode(bytes.subarray(0, length)))).toBe('UPDATE_INVALID')
  })

  it('when a clock moves after its state vector was asked for, then the next one says so', () => {
    const decoded = YjsIndex.decode(bytes)
    const before = decoded.encodeStateVector()
    expect(decoded.encodeStateVector()).toBe(before)
    decoded.advance(7, 200_000, 200_001)
    expect(Y.decodeStateVector(decoded.encodeStateVector())).toEqual(Y.decodeStateVector(before).set(7, 200_001))
  })
})

describe('ranges of clocks', () => {
  it('given any ranges, when added one by one, then they are those of the set of their clocks, and cover just that', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 40 }), range, (added, asked) => {
        const ranges = new ClockRanges()
        const clocks = new Set<number>()
        for (const { from, to } of added) {
          ranges.add(from, to)
          for (let clock = from; clock < to; clock++) clocks.add(clock)
          expect(listed(ranges)).toEqual(rangesOf(clocks))
        }
        const isCovered = Array.from({ length: asked.to - asked.from }, (_, index) => asked.from + index).every((clock) =>
          clocks.has(clock),
        )
        expect(ranges.covers(asked.from, asked.to)).toBe(isCovered)
      }),
      { numRuns: 300 },
    )
  })

  it('given any ranges, when many are added at once, then they are the same as one by one', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), fc.array(range, { minLength: 9, maxLength: 40 }), (before, added) => {
        const fast = new ClockRanges()
        const slow = new ClockRanges()
        const merged = new ClockRanges()
        for (const { from, to } of before) {
          fast.add(from, to)
          slow.add(from, to)
        }
        for (const { from, to } of added) {
          slow.add(from, to)
          merged.add(from, to)
        }
        const flat = listed(merged).flatMap(([from = 0, to = 0]) => [7, from, to])
        fast.addAll(flat, 0, merged.count)
        expect(listed(fast)).toEqual(listed(slow))
        fast.add(100, 101)
        expect(fast.covers(100, 101)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('given any ranges and many that ascend, when asked whether it covers all of them, then it says what it says of each', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), fc.array(range, { minLength: 1, maxLength: 30 }), (added, asked) => {
        const ranges = new ClockRanges()
        for (const { from, to } of added) ranges.add(from, to)
        const merged = new ClockRanges()
        for (const { from, to } of asked) merged.add(from, to)
        const flat = listed(merged).flatMap(([from = 0, to = 0]) => [7, from, to])
        const each = listed(merged).every(([from = 0, to = 0]) => ranges.covers(from, to))
        expect(ranges.coversAll(flat, 0, merged.count)).toBe(each)
        for (const { from, to } of asked) ranges.add(from, to)
        expect(ranges.coversAll(flat, 0, merged.count)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('given a typist who deletes backwards, when each deletion is added, then one range widens', () => {
    const ranges = new ClockRanges()
    for (let clock = 1000; clock > 0; clock--) ranges.add(clock - 1, clock)
    expect(listed(ranges)).toEqual([[0, 1000]])
  })

  it('given the greatest clock, when added, then it is held', () => {
    const ranges = new ClockRanges()
    ranges.add(0xffff_fffe, 0xffff_ffff)
    ranges.add(0, 1)
    expect(listed(ranges)).toEqual([
      [0, 1],
      [0xffff_fffe, 0xffff_ffff],
    ])
  })
})

describe('the index of a Yjs document', () => {
  it('given a gap that is held, when the update around it is judged, then it is not premature', () => {
    const around = inspect('01 03 01 00 00 02 0a 03 00 01 00')
    const index = new YjsIndex()
    expect(index.judge(around)).toBe('premature')
    index.include(inspect('01 01 01 00 00 04 00'))
    expect(index.judge(around)).toBe('premature')
    index.include(inspect('01 01 01 04 00 01 00'))
    expect(index.judge(around)).toBe('new')
    index.include(around)
    expect(index.next(1)).toBe(6)
    expect(index.judge(around)).toBe('nothing')
  })

  it('given deletions, when judged, then they wait for what they delete and are new just once, in parts too', () => {
    const index = new YjsIndex()
    const deletion = inspect('00 01 01 01 01 03')
    expect(index.judge(deletion)).toBe('premature')
    index.include(inspect('01 01 01 00 00 04 00'))
    expect(index.judge(deletion)).toBe('new')
    index.include(inspect('00 01 01 01 01 02'))
    expect(index.judge(deletion)).toBe('new')
    index.include(deletion)
    expect(index.judge(deletion)).toBe('nothing')
    expect(hex(index.encode())).toBe(hex(parse('01 01 01 04 01 01 03')))
  })

  it('given very many deletions of several clients, when judged, then they are new until the last of them is held', () => {
    const structs = [3, 2, 1].map((client) => `01 ${varUint(client)} 00 00 ${varUint(1000)}`).join('')
    const deletions = (count: number): string =>
      `03 ${[3, 2, 1].map((client) => `${varUint(client)} ${varUint(count)} ${Array.from({ length: count }, (_, n) => `${varUint(n * 3)} 02`).join('')}`).join('')}`
    const index = new YjsIndex()
    index.include(inspect(`03 ${structs} ${deletions(199)}`))
    const more = inspect(`00 ${deletions(200)}`)
    expect(index.judge(inspect(`00 ${deletions(199)}`))).toBe('nothing')
    expect(index.judge(more)).toBe('new')
    index.include(more)
    expect(index.judge(more)).toBe('nothing')
  })

  it('given an update that is premature, when included, then it is a mistake of the caller', () => {
    const index = new YjsIndex()
    expect(() => index.include(inspect('01 01 01 01 00 01 00'))).toThrow(/assertion failed/)
    expect(() => index.include(inspect('00 01 01 01 00 01'))).toThrow(/assertion failed/)
  })

  it.each([
    ['another version', '02 00'],
    ['a client twice', '01 02 01 01 00 00 01 00'],
    ['a client id beyond 32 bits', '01 02 ffffffff0f 01 00 01 01 00'],
    ['a client with nothing', '01 01 01 00 00'],
    ['a clock beyond 32 bits', '01 01 01 8080808010 00'],
    ['a deletion beyond the clock', '01 01 01 04 01 02 03'],
    ['a deletion that joins the one before', '01 01 01 04 02 00 01 00 01'],
    ['an empty deletion', '01 01 01 04 01 00 00'],
    ['a count that is not there', '01 ffffff7f 01 01 00'],
    ['a count of deletions that is not there', '01 01 01 04 ffffff7f 00 01'],
    ['an integer in a longer form than needed', '01 8000'],
  ])('given an encoded index with %s, when decoded, then it is UPDATE_INVALID', (_name, text) => {
    expect(codeOf(() => YjsIndex.decode(parse(text)))).toBe('UPDATE_INVALID')
  })

  it('given any bytes that are an index, when encoded again, then they are the same bytes', () => {
    const small = fc.oneof(fc.constant(0), fc.constant(1), fc.nat(4), fc.nat(255))
    fc.assert(
      fc.property(fc.array(small, { maxLength: 12 }), (tail) => {
        const bytes = Uint8Array.from([1, ...tail])
        const again = codeOf(() => YjsIndex.decode(bytes)) === 'accepted' ? YjsIndex.decode(bytes).encode() : bytes
        expect(hex(again)).toBe(hex(bytes))
      }),
      { numRuns: 2000 },
    )
  })
})
