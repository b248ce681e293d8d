/** The pushes of one session in one group: in order, bounded, and each told what became of it. */

import type { Engine } from '@meridian/core/engine'
import { inspectLimits } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import type { DocumentName } from '@meridian/core/ids'
import type { LogErrorCode } from '@meridian/core/log'
import { emptyVersion, include } from '@meridian/core/version'
import { YjsIndex } from '@meridian/core/engines/yjs-index'
import { describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { groupOf, principal } from '../sim/node.js'
import { Author, notes, payloadsOf, type Peer, textOf, versionOf } from '../sim/peer.js'
import { Rig } from '../sim/rig.js'

const one = notes('one')
const two = notes('two')

const acked = (peer: Peer): number[] => peer.of('ack').map((ack) => ack.counter)
const refused = (peer: Peer): string[] => peer.of('refused').map((frame) => `${frame.counter} ${frame.code}`)
const written = (rig: Rig, document: DocumentName): string => textOf(rig.entriesOf(document).map((entry) => entry.payload))

/** A varUint of two bytes. */
const lengthOf = (length: number): number[] => [128 | (length & 127), length >> 7]

function attached(rig: Rig, ...documents: DocumentName[]): Peer {
  const peer = rig.peer()
  documents.forEach((document, index) => peer.attach(index + 1, document))
  rig.settle()
  return peer
}

describe('what adds nothing', () => {
  test('[SES7] given an update that is held already, when it is pushed, then it gets no dot and is acked at once', () => {
    const rig = new Rig()
    const update = new Author(1).type('a')
    const writer = attached(rig, one)
    const other = attached(rig, one)
    writer.push(1, 1, update)
    rig.settle()
    other.push(1, 5, update)
    rig.settle()
    expect(rig.durable).toHaveLength(1)
    expect(other.of('ack')).toMatchObject([{ counter: 5, replica: 0, sequence: 1, inStream: true, replicated: true }])
    expect(payloadsOf(writer.frames)).toEqual([])
  })

  test('[SES7] given an update that is on its way into the log, when it is pushed again, then it is acked only when that is durable', () => {
    const rig = new Rig()
    const update = new Author(1).type('a')
    const writer = attached(rig, one)
    const other = attached(rig, one)
    rig.hold('append')
    writer.push(1, 1, update)
    rig.settle()
    other.push(1, 5, update)
    rig.settle()
    expect(acked(other)).toEqual([])
    rig.releaseAll()
    expect(acked(other)).toEqual([5])
    expect(rig.durable).toHaveLength(1)
  })

  test('[SES7] given an update that is on its way into the log, when its commit fails, then who pushed it again is told too', () => {
    const rig = new Rig()
    const update = new Author(1).type('a')
    const writer = attached(rig, one)
    const other = attached(rig, one)
    rig.hold('append')
    writer.push(1, 1, update)
    rig.settle()
    other.push(1, 5, update)
    rig.settle()
    rig.log.failAppend('LOG_UNAVAILABLE', 'lost')
    rig.releaseAll()
    expect([refused(writer), refused(other)]).toEqual([['1 LOG_UNAVAILABLE'], ['5 LOG_UNAVAILABLE']])
    expect([...acked(writer), ...acked(other)]).toEqual([])
  })
})

describe('resends', () => {
  test('[SES2] given a saved push, when it is sent again on the same and on another session, then it is acked and not logged again', () => {
    const rig = new Rig()
    const author = new Author(1)
    const [first, second] = [author.type('a'), author.type('b')]
    const writer = attached(rig, one)
    writer.push(1, 3, first).push(1, 4, second)
    rig.settle()
    writer.push(1, 3, first)
    rig.settle()
    expect(acked(writer)).toEqual([4, 4])
    const again = rig.peer(writer.number).attach(1, one)
    rig.settle()
    again.push(1, 3, first).push(1, 4, second)
    rig.settle()
    expect(acked(again).at(-1)).toBe(4)
    expect(rig.durable).toHaveLength(2)
  })

  test('[SES2] given a push whose session died before its commit, when it is sent again meanwhile, then it is logged once and acked when durable', () => {
    const rig = new Rig()
    const update = new Author(1).type('a')
    const writer = attached(rig, one)
    rig.hold('append')
    writer.push(1, 1, update)
    rig.settle()
    writer.socket.cut()
    const again = rig.peer(writer.number).attach(1, one)
    rig.settle()
    again.push(1, 1, update)
    rig.settle()
    expect(acked(again)).toEqual([])
    rig.releaseAll()
    expect(acked(again)).toEqual([1])
    expect(rig.durable).toHaveLength(1)
  })

  test('[SES2] given a refused push, when those behind it come, then they are dropped until the client resumes', () => {
    const rig = new Rig()
    const author = new Author(1)
    const updates = ['a', 'b', 'c'].map((text) => author.type(text))
    const [a = new Uint8Array(), b = new Uint8Array(), c = new Uint8Array()] = updates
    const writer = attached(rig, one)
    writer
      .push(1, 1, a)
      .push(1, 2, new Uint8Array([9, 9, 9]))
      .push(1, 3, b)
    rig.settle()
    expect(refused(writer)).toEqual(['2 UPDATE_INVALID'])
    writer.push(1, 4, c)
    writer.send({ type: 'resume', channel: 1, counter: 1 }).push(1, 4, c)
    rig.settle()
    expect(written(rig, one)).toBe('a')
    writer.send({ type: 'resume', channel: 1, counter: 3 }).push(1, 3, b).push(1, 4, c)
    rig.settle()
    expect(acked(writer)).toEqual([1, 4])
    expect(written(rig, one)).toBe('abc')
  })

  test('[SES2] given a refused push behind one whose commit then fails, when the client resumes, then it was told of both and nothing is acked that is lost', () => {
    const rig = new Rig()
    const author = new Author(1)
    const first = author.type('a')
    const writer = attached(rig, one)
    rig.hold('append')
    writer.push(1, 1, first).push(1, 2, new Uint8Array([9, 9, 9]))
    rig.settle()
    rig.log.failAppend('LOG_UNAVAILABLE', 'lost')
    rig.releaseAll()
    expect(refused(writer)).toEqual(['2 UPDATE_INVALID', '1 LOG_UNAVAILABLE'])
    writer.send({ type: 'resume', channel: 1, counter: 1 }).push(1, 1, first)
    rig.settle()
    expect(acked(writer)).toEqual([1])
    expect(written(rig, one)).toBe('a')
  })
})

describe('what comes too early', () => {
  test('[SES2] given a premature push, when the gap fills from another session, then it is admitted, and those behind it', () => {
    const rig = new Rig()
    const author = new Author(1)
    const [a, b, c] = ['a', 'b', 'c'].map((text) => author.type(text))
    const writer = attached(rig, one)
    const other = attached(rig, one)
    writer.push(1, 1, b ?? new Uint8Array()).push(1, 2, c ?? new Uint8Array())
    rig.settle()
    expect([...acked(writer), ...rig.durable]).toEqual([])
    other.push(1, 1, a ?? new Uint8Array())
    rig.settle()
    expect(acked(writer)).toEqual([2])
    expect(rig.durable.map((entry) => entry.payload)).toEqual([a, b, c].map((update) => new Uint8Array(update ?? [])))
  })

  test('[SES2] given a premature push, when it has waited for waitMs and not a second less, then it is refused and nothing of it is logged', () => {
    const rig = new Rig({ limits: { waitMs: 2000 } })
    const author = new Author(1)
    author.type('a')
    const late = author.type('b')
    const writer = attached(rig, one)
    writer.push(1, 1, late)
    rig.advance(1000)
    expect(refused(writer)).toEqual([])
    rig.advance(1000)
    expect(refused(writer)).toEqual(['1 PREMATURE'])
    expect(rig.durable).toEqual([])
  })

  test('[SES2] given a premature push that waits, when its message is overwritten, then what is admitted later is as it came', () => {
    const rig = new Rig()
    const author = new Author(1)
    const [a = new Uint8Array(), b = new Uint8Array()] = ['a', 'b'].map((text) => author.type(text))
    const writer = attached(rig, one)
    // What a socket hands over in Node.js is a Buffer, whose slice is a view.
    const message = Buffer.concat([Uint8Array.of(6, b.length + 2, 1, 1), b])
    writer.socket.receive(message)
    rig.settle()
    message.fill(0)
    attached(rig, one).push(1, 1, a)
    rig.settle()
    expect(written(rig, one)).toBe('ab')
  })

  test('[SES2] given a premature push in one group, when another group is written, then that one goes on', () => {
    const rig = new Rig({
      admit: (_verb, document) => ({
        kind: 'yes',
        group: document === two ? groupOf(two) : (`${groupOf(one)}-other` as ReturnType<typeof groupOf>),
        epoch: 0,
        rule: '',
      }),
    })
    const author = new Author(1)
    author.type('a')
    const writer = attached(rig, one, two)
    writer.push(1, 1, author.type('b')).push(2, 2, new Author(2).type('x'))
    rig.settle()
    expect(acked(writer)).toEqual([2])
  })
})

describe('what a session has seen', () => {
  const token = versionOf({ [`eu-west#9.${'a'.repeat(16)}`]: 3 })

  test('[SES5] given a log that could not be asked what it held when it was opened anew, when somebody claims it, then it is asked again', () => {
    const rig = new Rig()
    const writer = attached(rig, one)
    const author = new Author(1)
    rig.log.failAppend('LOG_UNAVAILABLE', 'kept')
    writer.push(1, 1, author.type('a'))
    rig.settle()
    rig.log.failReads((operation) => (operation === 'openGroup' ? 'LOG_UNAVAILABLE' : undefined))
    writer.send({ type: 'resume', channel: 1, counter: 2 }).push(1, 2, new Author(2).type('b'))
    rig.settle()
    rig.log.failReads(undefined)
    const [kept] = rig.durable
    const seen = versionOf(kept === undefined ? {} : { [kept.replica]: kept.sequence })
    const reader = rig.peer().attach(1, one, { seen })
    rig.settle()
    reader.push(1, 1, new Author(3).type('c'))
    rig.advance(3_000)
    expect([refused(reader), acked(reader)]).toEqual([[], [1]])
  })

  test('[SES5] given a token that the region does not cover, when a push waits for waitMs, then it is refused with what is missing', () => {
    const rig = new Rig()
    const writer = rig.peer().attach(1, one, { seen: token })
    rig.settle()
    expect(writer.of('attached')).toMatchObject([{ behind: true }])
    writer.push(1, 1, new Author(1).type('a'))
    rig.advance(1000)
    expect(refused(writer)).toEqual([])
    rig.advance(1000)
    expect(writer.of('refused')).toMatchObject([{ counter: 1, code: 'NOT_YET_VISIBLE', missing: token }])
    expect(rig.durable).toEqual([])
  })

  test('[SES5] given a token that the region comes to cover, when it does, then the push that waits is admitted', () => {
    const rig = new Rig()
    const writer = rig.peer().attach(1, one, { seen: token })
    rig.settle()
    writer.push(1, 1, new Author(1).type('a'))
    rig.settle()
    const { version } = rig.hub.open(one, groupOf(one)).group
    for (const [replica, sequence] of token.sequences) include(version, replica, sequence)
    rig.advance(1000)
    expect(acked(writer)).toEqual([1])
  })

  test('[SES5] given a push that waits for a lost part of its token, when the client rescues and says what it has seen, then it is admitted', () => {
    const rig = new Rig()
    const writer = rig.peer().attach(1, one, { seen: token })
    rig.settle()
    writer.push(1, 1, new Author(1).type('a'))
    rig.settle()
    expect(acked(writer)).toEqual([])
    writer.send({ type: 'seen', channel: 1, seen: emptyVersion })
    rig.settle()
    expect(acked(writer)).toEqual([1])
  })
})

describe('the bound of what is unacked', () => {
  test('[SES3] given n bytes unacked, when a push makes it n and n + 1, then it passes and is LIMIT_UNACKED', () => {
    const author = new Author(1)
    const [first, second] = [author.type('a'), author.type('b')]
    for (const extra of [0, -1]) {
      const rig = new Rig({ limits: { unackedBytesMax: first.length + second.length + extra } }).hold('append')
      const writer = attached(rig, one)
      writer.push(1, 1, first).push(1, 2, second)
      rig.settle()
      expect(refused(writer)).toEqual(extra === 0 ? [] : ['2 LIMIT_UNACKED'])
      rig.releaseAll()
      expect(acked(writer)).toEqual([extra === 0 ? 2 : 1])
    }
  })

  test('[SES3] given n pushes that wait, when one more comes, then LIMIT_UNACKED for that one, and those in front of it go on', () => {
    const author = new Author(1)
    const rig = new Rig({ limits: { waitingPushesMax: 2 } })
    const writer = attached(rig, one)
    rig.hold('lastPush')
    for (let counter = 1; counter <= 3; counter++) writer.push(1, counter, author.type('a'))
    rig.settle()
    expect(refused(writer)).toEqual(['3 LIMIT_UNACKED'])
    rig.releaseAll()
    expect([acked(writer).at(-1), rig.durable.length]).toEqual([2, 2])
  })

  test('[SES3] given nothing unacked, when one push is larger than the bound, then it passes', () => {
    const rig = new Rig({ limits: { unackedBytesMax: 1 } })
    const writer = attached(rig, one)
    writer.push(1, 1, new Author(1).type('a long text'))
    rig.settle()
    expect(acked(writer)).toEqual([1])
  })

  test('[SES2] given pushes that wait, when one beyond the bound is refused, then those that waited are admitted and only then acked', () => {
    const author = new Author(1)
    const updates = ['a', 'b', 'c'].map((text) => author.type(text))
    const [a = new Uint8Array(), b = new Uint8Array(), c = new Uint8Array()] = updates
    const rig = new Rig({ limits: { unackedBytesMax: a.length + b.length } })
    rig.hold('lastPush')
    const writer = attached(rig, one)
    writer.push(1, 1, a).push(1, 2, b).push(1, 3, c)
    rig.settle()
    expect(refused(writer)).toEqual(['3 LIMIT_UNACKED'])
    rig.releaseAll()
    expect(acked(writer)).toEqual([2])
    writer.send({ type: 'resume', channel: 1, counter: 3 }).push(1, 3, c)
    rig.settle()
    expect(acked(writer)).toEqual([2, 3])
    expect(written(rig, one)).toBe('abc')
  })

  test('[SES3] given every way that a push can end, when it has, then nothing of it is counted any more', () => {
    const author = new Author(1)
    const first = author.type('a')
    author.type('gap')
    const premature = author.type('c')
    const next = new Author(2).type('x')
    const rig = new Rig({ limits: { unackedBytesMax: 300, updateBytesMax: 200 } })
    const writer = attached(rig, one)
    let counter = 0
    const resume = (): void => {
      writer.send({ type: 'resume', channel: 1, counter: counter + 1 })
    }
    // The bound would be reached within a few rounds if one way left a byte behind.
    for (let round = 0; round < 30; round++) {
      writer.push(1, ++counter, first)
      rig.settle()
      writer.push(1, counter, first)
      rig.settle()
      writer.push(1, ++counter, new Uint8Array(100).fill(9))
      rig.settle()
      resume()
      writer.push(1, ++counter, new Uint8Array(201))
      rig.settle()
      resume()
      writer.push(1, ++counter, premature)
      rig.advance(2000)
      resume()
      rig.log.failAppend('LOG_UNAVAILABLE', 'lost')
      writer.push(1, ++counter, new Author(100 + round).type('y'))
      rig.settle()
      resume()
    }
    expect(new Set(refused(writer).map((text) => text.split(' ')[1]))).toEqual(
      new Set(['UPDATE_INVALID', 'UPDATE_TOO_LARGE', 'PREMATURE', 'LOG_UNAVAILABLE']),
    )
    writer.push(1, ++counter, next)
    rig.settle()
    expect(acked(writer).at(-1)).toBe(counter)
  })
})

describe('what is looked into beside the loop', () => {
  const large = 'x'.repeat(300)
  const limits = { inlineBytesMax: 200 }

  test('[SES3] given a push of n bytes and of n + 1, when it is looked into, then that is in its turn and beside the loop', () => {
    const update = new Author(1).type(large)
    for (const [bytes, count] of [
      [update.length, 0],
      [update.length - 1, 1],
    ] as const) {
      const rig = new Rig({ hubLimits: { inlineBytesMax: bytes } })
      const writer = attached(rig, one)
      writer.push(1, 1, update)
      rig.settle()
      expect([acked(writer), rig.node.asideCount]).toEqual([[1], count])
    }
  })

  test('[SES2] given a large push before small ones, when they come in one message, then they are admitted in order, and once', () => {
    const rig = new Rig({ hubLimits: limits })
    const author = new Author(1)
    const updates = ['a', large, 'b', 'c'].map((text) => author.type(text))
    const writer = attached(rig, one)
    updates.forEach((update, index) => writer.push(1, index + 1, update))
    rig.settle()
    expect(acked(writer).at(-1)).toBe(4)
    expect(rig.entriesOf(one).map((entry) => entry.payload)).toEqual(updates)
    expect(rig.node.asideCount).toBe(1)
  })

  test('given a large push, when its message is overwritten meanwhile, then what is looked into and stored is as it came', () => {
    const rig = new Rig({ hubLimits: limits })
    const update = new Author(1).type(large)
    const writer = attached(rig, one)
    const message = Buffer.concat([Uint8Array.of(6, ...lengthOf(update.length + 2), 1, 1), update])
    writer.socket.receive(message)
    message.fill(0)
    rig.settle()
    expect(written(rig, one)).toBe(large)
  })

  test('[SES2] given a large push of which others bring a part while it is looked into and cut, then what is stored overlaps nothing', () => {
    const work: number[] = []
    for (let steps = 0; steps < 6; steps++) {
      const rig = new Rig({ hubLimits: limits })
      const author = new Author(1)
      const pieces = ['a', 'b', 'c', 'd'].map((text) => author.type(text))
      author.type(large)
      const whole = Y.encodeStateAsUpdate(author.doc)
      const writer = attached(rig, one)
      const other = attached(rig, one)
      // Both are known to the log and the index is loaded, so that what follows is only what is meant.
      writer.push(1, 1, new Author(2).type('-'))
      other.push(1, 1, pieces[0] ?? whole)
      rig.settle()
      writer.push(1, 2, whole)
      for (const [index, piece] of pieces.entries()) {
        if (index === 0) continue
        for (let step = 0; step < steps; step++) rig.scheduler.step()
        other.push(1, index + 1, piece)
      }
      rig.settle()
      expect([acked(writer).at(-1), acked(other).at(-1)]).toEqual([2, 4])
      expect(written(rig, one)).toContain(`abcd${large}`)
      const index = yjsEngine.emptyIndex()
      for (const { payload } of rig.entriesOf(one)) {
        const inspection = yjsEngine.inspect(payload, inspectLimits)
        expect(yjsEngine.judge(index, inspection)).toBe('new')
        expect(yjsEngine.overlap(index, inspection)).toBeUndefined()
        yjsEngine.include(index, inspection)
      }
      work.push(rig.node.asideCount)
    }
    // One inspection and one cut, and one cut more for each piece that came between.
    expect([Math.min(...work), Math.max(...work)]).toEqual([2, 4])
  })

  test('given a large push that is not valid, when it was looked into, then it is refused, those behind it are dropped, and the next is admitted', () => {
    const rig = new Rig({ hubLimits: limits })
    const author = new Author(1)
    const writer = attached(rig, one)
    const good = author.type('a')
    writer.push(1, 1, new Uint8Array(300).fill(9)).push(1, 2, good)
    rig.settle()
    expect(refused(writer)).toEqual(['1 UPDATE_INVALID'])
    expect(rig.durable).toEqual([])
    writer.send({ type: 'resume', channel: 1, counter: 1 }).push(1, 1, good)
    rig.settle()
    expect(acked(writer)).toEqual([1])
  })

  test('given a large push whose session ends while it is looked into, then nothing is stored, and the document is let go', () => {
    const rig = new Rig({ hubLimits: limits })
    const writer = attached(rig, one)
    writer.push(1, 1, new Author(1).type(large))
    writer.socket.cut()
    rig.settle()
    expect(rig.durable).toEqual([])
    expect(rig.hub.documentCount).toBe(0)
  })

  test('[SES2] given a large push that comes too early, when it was looked into late, then it waits for waitMs from then on', () => {
    const rig = new Rig({ hubLimits: limits, limits: { waitMs: 2000 } })
    const author = new Author(1)
    author.type('a')
    const late = author.type(large)
    const writer = attached(rig, one)
    writer.push(1, 1, late)
    rig.advance(1000)
    expect(refused(writer)).toEqual([])
    rig.advance(2000)
    expect(refused(writer)).toEqual(['1 PREMATURE'])
  })

  test('[SES3] given very many small updates in one message, when they are admitted, then no turn looks into more than the bound and one update', () => {
    let inTurn = 0
    let most = 0
    const engine: Engine = {
      ...yjsEngine,
      inspect: (update, most_) => {
        inTurn += update.length
        most = Math.max(most, inTurn)
        return yjsEngine.inspect(update, most_)
      },
    }
    const rig = new Rig({ hubLimits: limits, engines: { yjs: engine } })
    const author = new Author(1)
    const updates = Array.from({ length: 100 }, (_, index) => author.type(String(index % 10)))
    const writer = attached(rig, one)
    const longest = Math.max(...updates.map((update) => update.length))
    writer.send(...updates.map((payload, index) => ({ type: 'push', channel: 1, counter: index + 1, payload }) as const))
    do inTurn = 0
    while (rig.scheduler.step())
    expect(acked(writer).at(-1)).toBe(100)
    expect(rig.durable).toHaveLength(100)
    expect(most).toBeLessThan(limits.inlineBytesMax + longest)
  })

  test('given a document with large entries and no snapshot, when the node starts again, then its index is read beside the loop, in order', () => {
    const rig = new Rig({ hubLimits: limits })
    const author = new Author(1)
    const writer = attached(rig, one)
    for (const [index, text] of ['a', large, 'b', large, 'c'].entries()) writer.push(1, index + 1, author.type(text))
    rig.settle().restart()
    const again = attached(rig, one)
    again.push(1, 6, author.type('d'))
    rig.settle()
    expect(acked(again)).toEqual([6])
    expect(rig.node.asideCount).toBe(2)
    expect(written(rig, one)).toBe(`a${large}b${large}cd`)
  })
})

describe('what is refused', () => {
  test('[SES3] given an update of n and of n + 1 bytes, when it is pushed, then it passes and is UPDATE_TOO_LARGE', () => {
    const update = new Author(1).type('a'.repeat(100))
    for (const [bytes, expected] of [
      [update.length, []],
      [update.length - 1, ['1 UPDATE_TOO_LARGE']],
    ] as const) {
      const rig = new Rig({ limits: { updateBytesMax: bytes } })
      const writer = attached(rig, one)
      writer.push(1, 1, update)
      rig.settle()
      expect(refused(writer)).toEqual(expected)
    }
  })

  test('[SES3] given a document of n and of n + 1 bytes, when an update makes it so, then it passes and is DOCUMENT_TOO_LARGE, and reads go on', () => {
    const author = new Author(1)
    const first = author.type('a'.repeat(100))
    const second = author.type('b'.repeat(100))
    const bytes = first.length + second.length
    for (const [documentBytesMax, text, expected] of [
      [bytes, 'both', []],
      [bytes - 1, 'first', ['2 DOCUMENT_TOO_LARGE']],
    ] as const) {
      // Both at once: what is on its way counts as what is stored.
      const rig = new Rig({ limits: { documentBytesMax } })
      const writer = attached(rig, one)
      writer.push(1, 1, first).push(1, 2, second)
      rig.settle()
      expect(refused(writer)).toEqual(expected)
      const reader = attached(rig, one)
      expect(textOf(payloadsOf(reader.frames))).toBe('a'.repeat(100) + (text === 'both' ? 'b'.repeat(100) : ''))
    }
  })

  test('[SES3] given as many authors as a document may have, when one more comes, then DOCUMENT_TOO_LARGE, and nothing of it is held', () => {
    const rig = new Rig({ limits: { documentAuthorsMax: 2 } })
    const writer = attached(rig, one)
    const authors = [1, 2, 3].map((client) => new Author(client))
    authors.forEach((author, index) => writer.push(1, index + 1, author.type(`${index}`)))
    rig.settle()
    expect([refused(writer), acked(writer).at(-1)]).toEqual([['3 DOCUMENT_TOO_LARGE'], 2])
    writer.send({ type: 'resume', channel: 1, counter: 3 }).push(1, 3, authors[0]?.type('more') ?? new Uint8Array())
    rig.settle()
    expect(acked(writer).at(-1)).toBe(3)
  })

  test('[SES3] given a document at its bound, when its entries are folded, then there is room again', () => {
    const author = new Author(1)
    const updates = Array.from({ length: 20 }, () => author.type('a'))
    const bytes = updates.reduce((sum, update) => sum + update.length, 0)
    const rig = new Rig({ limits: { documentBytesMax: bytes } })
    const writer = attached(rig, one)
    updates.forEach((update, index) => writer.push(1, index + 1, update))
    rig.settle()
    const more = author.type('b')
    writer.push(1, 21, more)
    rig.settle()
    expect([refused(writer), rig.compactions]).toEqual([['21 DOCUMENT_TOO_LARGE'], [one]])
    rig.compact(one)
    writer.send({ type: 'resume', channel: 1, counter: 21 }).push(1, 21, more)
    rig.settle()
    expect(acked(writer).at(-1)).toBe(21)
  })

  test('[SES3] given commits that fail, when they were refused, then their bytes count no more', () => {
    const update = new Author(1).type('a'.repeat(100))
    const rig = new Rig({ limits: { documentBytesMax: update.length } })
    const writer = attached(rig, one)
    for (let counter = 1; counter <= 5; counter++) {
      rig.log.failAppend('LOG_UNAVAILABLE', 'lost')
      writer.push(1, counter, update).send({ type: 'resume', channel: 1, counter: counter + 1 })
      rig.settle()
      writer.send({ type: 'resume', channel: 1, counter: counter + 1 })
    }
    writer.push(1, 6, update)
    rig.settle()
    expect(acked(writer).at(-1)).toBe(6)
  })

  test('given a token that reads only, when it pushes, then WRITE_DENIED, and nothing is logged', () => {
    const tokens = new Map([['reader', principal('reader', { grants: [{ match: 'notes/*', access: 'read' }] })]])
    const rig = new Rig({ tokens })
    const reader = rig.connect().hello('reader').attach(1, one)
    rig.settle()
    expect(reader.of('attached')).toMatchObject([{ access: 'read' }])
    reader.push(1, 1, new Author(1).type('a'))
    rig.settle()
    expect(refused(reader)).toEqual(['1 WRITE_DENIED'])
    expect(rig.durable).toEqual([])
  })

  test('given a first push that is refused, when another engine opens the document, then nothing of the first one is left', () => {
    const other: Engine = { ...yjsEngine, name: 'automerge', emptyIndex: yjsEngine.emptyIndex }
    const rig = new Rig({ engines: { yjs: yjsEngine, automerge: other } })
    const bad = rig.peer().attach(1, one)
    rig.settle()
    bad.push(1, 1, new Uint8Array([9, 9, 9]))
    rig.settle()
    expect(refused(bad)).toEqual(['1 UPDATE_INVALID'])
    const good = rig.peer().attach(1, one, { engine: 'automerge' })
    rig.settle()
    good.push(1, 1, new Author(1).type('a'))
    rig.settle()
    expect([good.of('denied'), refused(good), acked(good)]).toEqual([[], [], [1]])
    expect(rig.durable.map((entry) => entry.engine)).toEqual(['automerge'])
  })

  test('[LOG3] given a first push whose commit failed, when another engine opens the document, then nothing of the first one is left', () => {
    const other: Engine = { ...yjsEngine, name: 'automerge' }
    const rig = new Rig({ engines: { yjs: yjsEngine, automerge: other } })
    const first = rig.peer().attach(1, one)
    rig.settle()
    rig.log.failAppend('LOG_FULL', 'lost')
    first.push(1, 1, new Author(1).type('a'))
    rig.settle()
    const good = rig.peer().attach(1, one, { engine: 'automerge' })
    rig.settle()
    expect(good.of('denied')).toEqual([])
  })

  test('given a log that cannot be read for a moment, when a push was refused for it, then the next one passes though others hold the document open', () => {
    for (const code of ['LOG_UNAVAILABLE'] as const satisfies LogErrorCode[]) {
      const rig = new Rig()
      const update = new Author(1).type('a')
      attached(rig, one).push(1, 1, update)
      rig.settle().restart()
      const writer = attached(rig, one)
      const next = new Author(2).type('b')
      rig.log.failReads((operation) => (operation === 'readDocument' ? code : undefined))
      writer.push(1, 1, next)
      rig.settle()
      expect(refused(writer)).toEqual([`1 ${code}`])
      rig.log.failReads(undefined)
      writer.send({ type: 'resume', channel: 1, counter: 1 }).push(1, 1, next)
      rig.settle()
      expect(acked(writer)).toEqual([1])
      expect(attached(rig, one).of('current')).toHaveLength(1)
    }
  })

  test('given what this device pushed cannot be read, when it pushes, then it is refused with the code, and asked anew after a resume', () => {
    const rig = new Rig()
    const writer = attached(rig, one)
    rig.log.failReads((operation) => (operation === 'lastPush' ? 'LOG_UNAVAILABLE' : undefined))
    const update = new Author(1).type('a')
    writer.push(1, 1, update)
    rig.settle()
    expect(refused(writer)).toEqual(['1 LOG_UNAVAILABLE'])
    rig.log.failReads(undefined)
    writer.send({ type: 'resume', channel: 1, counter: 1 }).push(1, 1, update)
    rig.settle()
    expect(acked(writer)).toEqual([1])
  })

  /** More than one step of reading. */
  const largeIndex = (() => {
    const index = new YjsIndex()
    index.advance(1, 0, 80_000)
    for (let clock = 0; clock < 80_000; clock += 2) index.delete(1, clock, clock + 1)
    return index.encode()
  })()

  test.each([
    ['is no index', new Uint8Array([7]), 'DOCUMENT_DAMAGED'],
    ['ends too early', largeIndex.subarray(0, -1), 'DOCUMENT_DAMAGED'],
    ['is large', largeIndex, undefined],
  ])(
    'given a snapshot whose index %s, when a push needs it, then that push is told, and the connection lives',
    (_, index, code) => {
      const rig = new Rig()
      attached(rig, one).push(1, 1, new Author(1).type('a'))
      rig.settle().compact(one)
      const held = rig.store.documents.get(one)
      if (held?.snapshot !== undefined) held.snapshot = { ...held.snapshot, state: { ...held.snapshot.state, index } }
      rig.restart()
      const writer = attached(rig, one)
      writer.push(1, 1, new Author(2).type('b'))
      rig.settle()
      expect(refused(writer)).toEqual(code === undefined ? [] : [`1 ${code}`])
      expect(acked(writer)).toEqual(code === undefined ? [1] : [])
      expect(writer.of('goodbye')).toEqual([])
    },
  )
})
