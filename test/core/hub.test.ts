/** The hub: batches into the log, commits out of it, and documents that come and go meanwhile. */

import { describe, expect, test } from 'vitest'
import { Author, dotsOf, notes, payloadsOf, textOf } from '../sim/peer.js'
import { Rig } from '../sim/rig.js'

const one = notes('one')
const two = notes('two')

describe('what is durable', () => {
  test('[LOG1] given a push, when its commit runs, then nobody sees it and it is not acked, until it is durable and answered', () => {
    const rig = new Rig()
    const writer = rig.peer().attach(1, one)
    const reader = rig.peer().attach(1, one)
    rig.settle().hold('append')
    writer.take()
    reader.take()
    writer.push(1, 1, new Author(1).type('a'))
    rig.settle()
    expect([...writer.take(), ...reader.take()]).toEqual([])
    rig.release('append', 'perform')
    expect([...writer.take(), ...reader.take()]).toEqual([])
    rig.release('append', 'answer')
    expect(writer.take()).toEqual(['ack'])
    expect(reader.take()).toEqual(['update'])
  })

  test('[LOG3] given pushes that arrive while a commit runs, when it ends, then one commit carries them all', () => {
    const rig = new Rig()
    const writers = [1, 2, 3].map(() => rig.peer().attach(1, one))
    rig.settle().hold('append')
    const authors = writers.map((_, index) => new Author(index + 1))
    writers.forEach((writer, index) => writer.push(1, 1, authors[index]?.type('a') ?? new Uint8Array()))
    rig.settle()
    expect(rig.log.appendCount).toBe(1)
    writers.forEach((writer, index) => writer.push(1, 2, authors[index]?.type('b') ?? new Uint8Array()))
    rig.settle()
    expect(rig.log.appendCount).toBe(1)
    rig.releaseAll()
    expect(rig.log.appendCount).toBe(2)
    expect(writers.map((writer) => writer.of('ack').at(-1)?.counter)).toEqual([2, 2, 2])
    expect(rig.durable.map((entry) => entry.sequence)).toEqual([1, 2, 3, 4, 5, 6])
  })
})

describe('one commit', () => {
  const author = new Author(1)
  const first = author.type('a')
  const updates = ['b', 'c', 'd'].map((text) => author.type(text))
  const bytes = updates.reduce((sum, update) => sum + update.length, 0)

  test.each([
    ['n entries', { batchEntriesMax: 3 }, 2],
    ['n + 1 entries', { batchEntriesMax: 2 }, 3],
    ['n bytes', { batchBytesMax: bytes }, 2],
    ['n + 1 bytes', { batchBytesMax: bytes - 1 }, 3],
  ])(
    '[SES3] given %s that wait, when the commit before them is answered, then one carries them, or the rest goes into the next',
    (_, hubLimits, commits) => {
      const rig = new Rig({ hubLimits })
      const writer = rig.peer().attach(1, one)
      rig.settle().hold('append')
      writer.push(1, 1, first)
      rig.settle()
      updates.forEach((update, index) => writer.push(1, index + 2, update))
      rig.settle().releaseAll()
      expect([rig.durable.length, rig.log.appendCount]).toEqual([4, commits])
    },
  )
})

describe('documents that come and go', () => {
  test('[ATT2] given a document that everybody left, when somebody opens it while its entries are still in memory, then all of them come', () => {
    const rig = new Rig()
    const author = new Author(1)
    const writer = rig.peer().attach(1, one)
    rig.settle()
    writer.push(1, 1, author.type('kept'))
    rig.settle()
    writer.send({ type: 'detach', channel: 1 })
    rig.settle()
    expect(rig.hub.documentCount).toBe(0)
    const reader = rig.peer().attach(1, one)
    rig.settle()
    expect(textOf(payloadsOf(reader.frames))).toBe('kept')
    expect(dotsOf(reader.frames)).toEqual(['0:1'])
  })

  test('[ATT2] given a push that waits behind another, when its channel is detached and another session opens the document, then that one gets it', () => {
    const rig = new Rig()
    const author = new Author(1)
    const gap = author.type('a')
    const early = author.type('b')
    const writer = rig.peer().attach(1, one).attach(2, two)
    rig.settle()
    writer.push(1, 1, early).push(2, 2, new Author(2).type('late')).send({ type: 'detach', channel: 2 })
    rig.settle()
    const other = rig.peer().attach(1, one).attach(2, two)
    rig.settle()
    expect(other.of('current')).toHaveLength(2)
    other.push(1, 1, gap)
    rig.settle()
    expect(writer.of('ack').map((ack) => ack.counter)).toEqual([2])
    expect(payloadsOf(other.frames)).toHaveLength(2)
    expect(rig.hub.documentCount).toBe(2)
    other.send({ type: 'detach', channel: 2 })
    expect(rig.hub.documentCount).toBe(1)
  })
})

describe('a log that fails', () => {
  test('[LOG3] given a failed commit, when the log is open again, then there is no gap and the new replica is told before it is used', () => {
    const rig = new Rig()
    const author = new Author(1)
    const writer = rig.peer().attach(1, one)
    const reader = rig.peer().attach(1, one)
    rig.settle()
    const first = author.type('a')
    writer.push(1, 1, first)
    rig.settle()
    rig.log.failAppend('LOG_FULL', 'lost')
    const second = author.type('b')
    writer.push(1, 2, second)
    rig.settle()
    expect(writer.of('refused')).toMatchObject([{ counter: 2, code: 'LOG_FULL', retryAfterMs: 500 }])
    expect(reader.of('update')).toHaveLength(1)
    writer.send({ type: 'resume', channel: 1, counter: 2 }).push(1, 2, second)
    rig.settle()
    expect(rig.durable.map((entry) => [entry.position, entry.sequence])).toEqual([
      [1, 1],
      [2, 1],
    ])
    for (const peer of [writer, reader]) {
      const told = peer.frames.flatMap((frame) => {
        if (frame.type === 'replicas') return [`${frame.first}+${frame.ids.length}`]
        return (frame.type === 'update' || frame.type === 'ack') && frame.sequence > 0 ? [`use ${frame.replica}`] : []
      })
      expect(told).toEqual(['0+1', 'use 0', '1+1', 'use 1'])
    }
    expect(textOf(payloadsOf(reader.frames))).toBe('ab')
  })

  test('[SES5] given a failed commit that is durable after all, when the next one finds it out, then nothing of that passes it', () => {
    const rig = new Rig()
    const writer = rig.peer().attach(1, one).attach(2, notes('two'))
    const reader = rig.peer().attach(1, one).attach(2, notes('two'))
    rig.settle()
    rig.log.failAppend('LOG_UNAVAILABLE', 'kept')
    const cause = new Author(1).type('cause')
    writer.push(1, 1, cause)
    rig.settle()
    writer.send({ type: 'resume', channel: 1, counter: 1 }).push(1, 1, cause).push(2, 2, new Author(2).type('effect'))
    rig.settle()
    // What comes twice does no harm; what comes first counts.
    expect([...new Set(payloadsOf(reader.frames).map((payload) => textOf([payload])))]).toEqual(['cause', 'effect'])
  })

  test('[SES2] given a restart, when a saved push is sent again, then its old replica is told before the ack names it', () => {
    const rig = new Rig()
    const update = new Author(1).type('a')
    const before = rig.peer(7).attach(1, one)
    rig.settle()
    before.push(1, 1, update)
    rig.settle().restart()
    const again = rig.peer(7).attach(1, one)
    rig.settle()
    again.push(1, 1, update)
    rig.settle()
    const [ack] = again.of('ack')
    const ids = again.of('replicas').flatMap((frame) => frame.ids)
    expect(ack).toMatchObject({ counter: 1, sequence: 1 })
    expect(ids[ack?.replica ?? -1]).toBe(rig.durable[0]?.replica)
    expect(rig.durable).toHaveLength(1)
  })

  test('[LOG3] given a commit that failed and is durable all the same, when the log is open again, then live readers get it too', () => {
    const rig = new Rig()
    const author = new Author(1)
    const writer = rig.peer().attach(1, one)
    const reader = rig.peer().attach(1, one)
    rig.settle()
    writer.push(1, 1, author.type('a'))
    rig.settle()
    rig.log.failAppend('LOG_UNAVAILABLE', 'kept')
    const second = author.type('b')
    writer.push(1, 2, second)
    rig.settle()
    const third = author.type('c')
    writer.send({ type: 'resume', channel: 1, counter: 2 }).push(1, 2, second).push(1, 3, third)
    rig.settle()
    expect(writer.of('ack').at(-1)?.counter).toBe(3)
    expect(textOf(payloadsOf(reader.frames))).toBe('abc')
    const late = rig.peer().attach(1, one)
    rig.settle()
    expect(textOf(payloadsOf(late.frames))).toBe('abc')
    const cursor = reader.of('current').at(-1)?.version
    expect(cursor).toEqual(late.of('current').at(-1)?.version)
  })

  test('[SES1] seed 13: given a failed commit that is durable, when nobody has its document open any more, then whoever opens it gets what its version says', () => {
    const rig = new Rig()
    const writer = rig.peer().attach(1, one)
    rig.settle()
    rig.log.failAppend('LOG_UNAVAILABLE', 'kept')
    writer.push(1, 1, new Author(1).type('a')).send({ type: 'detach', channel: 1 })
    rig.settle()
    expect(rig.hub.documentCount).toBe(0)
    const reader = rig.peer().attach(1, one)
    rig.settle()
    expect(textOf(payloadsOf(reader.frames))).toBe('a')
  })

  test('[LOG5] given a commit of a new incarnation that a read shows before it is answered, when it is answered, then the closed one is sealed by the next append', () => {
    const rig = new Rig({ hubLimits: { tailBytesMax: 1 } })
    const author = new Author(1)
    const writer = rig.peer().attach(1, one)
    rig.settle()
    writer.push(1, 1, author.type('a'))
    rig.settle()
    rig.log.failAppend('LOG_FULL', 'lost')
    const second = author.type('b')
    writer.push(1, 2, second)
    rig.settle().hold('append')
    writer.send({ type: 'resume', channel: 1, counter: 2 }).push(1, 2, second)
    rig.settle().release('append', 'perform')
    const reader = rig.peer().attach(1, one)
    rig.settle()
    expect(reader.of('replicas').flatMap((frame) => frame.ids)).toHaveLength(2)
    rig.releaseAll()
    writer.push(1, 3, author.type('c'))
    rig.settle()
    expect(rig.durable.map((entry) => entry.kind)).toEqual(['update', 'update', 'control', 'update'])
  })

  test('[LOG3] seed 103: given a failed commit that is durable, when what it holds cannot be read, then its readers are sent away and get all of it when they come again', () => {
    const rig = new Rig()
    const author = new Author(1)
    const writer = rig.peer().attach(1, one)
    const reader = rig.peer().attach(1, one)
    rig.settle()
    rig.log.failAppend('LOG_UNAVAILABLE', 'kept')
    writer.push(1, 1, author.type('a'))
    rig.settle()
    rig.log.failReads((operation) => (operation === 'openDocument' ? 'LOG_UNAVAILABLE' : undefined))
    rig.peer().attach(1, two).push(1, 1, new Author(2).type('x'))
    rig.peer()
    rig.log.failReads(undefined)
    const third = rig.peer().attach(1, two)
    rig.settle()
    rig.log.failReads((operation) => (operation === 'openDocument' ? 'LOG_UNAVAILABLE' : undefined))
    third.push(1, 1, new Author(3).type('y'))
    rig.settle()
    expect(reader.of('denied')).toMatchObject([{ channel: 1, code: 'LOG_UNAVAILABLE' }])
    rig.log.failReads(undefined)
    reader.attach(2, one)
    rig.settle()
    expect(textOf(payloadsOf(reader.frames))).toBe('a')
  })
})
