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
})
