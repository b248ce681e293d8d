/** The order of pushes, against a naive node that takes every counter not above its last one for a resend. */

import { Outbox } from '@meridian/client/outbox'
import type { OutboxItem } from '@meridian/client/outbox-item'
import { newItem } from '@meridian/client/outbox-item'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { documentOf } from './world.js'

const names = [documentOf('a/1'), documentOf('a/2'), documentOf('b/1')] as const
const groupOf = (item: OutboxItem): string => item.document.slice(5, 6)
const payloadOf = (age: number): Uint8Array => new Uint8Array(1 + (age % 7)).fill(age)

/** What a node does with counters, and no more: highest admitted by group for ever, what is stopped by connection. */
class NaiveNode {
  readonly taken = new Set<number>()
  readonly #last = new Map<string, number>()
  readonly #names = new Map<number, number>()
  stopped = new Set<string>()
  /** Documents that it serves no more on this connection, which nobody has read yet. */
  denied = new Set<number>()

  receive(item: OutboxItem): void {
    const group = groupOf(item)
    if (this.denied.has(names.indexOf(item.document))) return
    if (this.stopped.has(group)) return
    const same = this.#names.get(item.counter)
    if (same !== undefined && same !== item.age) throw new Error('one name for two edits (OUT3)')
    this.#names.set(item.counter, item.age)
    if (item.counter <= (this.#last.get(group) ?? 0)) return
    this.#last.set(group, item.counter)
    this.taken.add(item.age)
  }

  last(group: string): number {
    return this.#last.get(group) ?? 0
  }
}

describe('the outbox', () => {
  it('[OUT1] [OUT2] [OUT3] [OUT4] given any losses, refusals and documents that come and go, then no edit is taken for the resend of another', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('add' as const), name: fc.nat(2) }) },
      {
        weight: 8,
        arbitrary: fc.record({
          do: fc.constant('pump' as const),
          arrive: fc.integer({ min: 0, max: 5 }),
          windowBytes: fc.constantFrom(6, 20, 40),
        }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('ack' as const), group: fc.constantFrom('a', 'b') }) },
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constantFrom('block' as const, 'unblock' as const, 'deny' as const), name: fc.nat(2) }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('lost' as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('refuse' as const), group: fc.constantFrom('a', 'b') }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const outbox = new Outbox()
        const node = new NaiveNode()
        const items: OutboxItem[] = []
        const saved = new Set<number>()
        const blocked = new Set<number>()
        let wire: OutboxItem[] = []
        let age = 0
        const documents = new Set<string>()
        const pump = (arrive: number, windowBytes: number): void => {
          outbox.pump(
            windowBytes,
            (item) => (blocked.has(names.indexOf(item.document)) ? 'pass' : 'send'),
            (item) => wire.push({ ...item }),
          )
          for (const item of wire.splice(0, arrive)) node.receive(item)
        }
        const ack = (group: string): void => {
          for (const name of node.denied) {
            outbox.withdraw(names[name] ?? names[0])
            wire = wire.filter((item) => names.indexOf(item.document) !== name)
          }
          node.denied.clear()
          for (const item of outbox.acked(node.last(group), (name) => name.slice(5, 6) === group)) saved.add(item.age)
        }
        const refuse = (group: string): void => {
          // The first of the group that is on its way is refused, and what is behind it never counts.
          const first = wire.find((item) => groupOf(item) === group)
          if (first === undefined) return
          wire = wire.filter((item) => groupOf(item) !== group)
          ack(group)
          outbox.dropped(first.counter, (name) => name.slice(5, 6) === group)
        }
        for (const one of steps) {
          if (one.do === 'add') {
            const name = names[one.name] ?? names[0]
            documents.add(name)
            const item = newItem(name, ++age, { opening: 'x', number: age }, payloadOf(age))
            items.push(item)
            outbox.add(item)
          } else if (one.do === 'pump') pump(one.arrive, one.windowBytes)
          else if (one.do === 'ack') ack(one.group)
          else if (one.do === 'refuse') refuse(one.group)
          else if (one.do === 'unblock') blocked.delete(one.name)
          else if (one.do === 'deny') {
            // Its client reads of it before any ack of what comes behind; or, if the connection is lost first, never.
            node.denied.add(one.name)
          } else if (one.do === 'lost') {
            wire = []
            node.denied.clear()
            outbox.disconnected()
          } else {
            blocked.add(one.name)
            outbox.withdraw(names[one.name] ?? names[0])
            wire = wire.filter((item) => names.indexOf(item.document) !== one.name)
          }
          for (const each of saved) expect(node.taken.has(each), `edit ${each} was called saved and is not`).toBe(true)
        }
        blocked.clear()
        for (let round = 0; round < 200 && saved.size < items.length; round++) {
          pump(100, 20)
          ack('a')
          ack('b')
        }
        expect([...saved].sort((x, y) => x - y)).toEqual(items.map((item) => item.age))
        expect([...node.taken].sort((x, y) => x - y)).toEqual(items.map((item) => item.age))
        expect(outbox.sentBytes).toBe(0)
      }),
      { numRuns: 1_000 },
    )
  })

  it('[OUT1] given resends that do not fit the window of a new connection, then nothing new passes them', () => {
    const outbox = new Outbox()
    const sent: string[] = []
    const pump = (windowBytes: number): void =>
      outbox.pump(
        windowBytes,
        () => 'send',
        (item) => sent.push(`${item.age} as ${item.counter}`),
      )
    const add = (age: number, bytes: number): void =>
      outbox.add(newItem(names[0], age, { opening: 'x', number: age }, new Uint8Array(bytes)))
    add(1, 3)
    add(2, 5)
    pump(100)
    outbox.disconnected()
    add(3, 1)
    pump(6)
    expect(sent).toEqual(['1 as 1', '2 as 2', '1 as 1'])
    outbox.acked(1, () => true)
    pump(6)
    expect(sent.slice(3)).toEqual(['2 as 2', '3 as 3'])
  })

  it('[SES3] given a window of n bytes, then n are unacked at most, n + 1 are not, and one item always goes', () => {
    const outbox = new Outbox()
    const sent: number[] = []
    const pump = (windowBytes: number): void =>
      outbox.pump(
        windowBytes,
        () => 'send',
        (item) => sent.push(item.age),
      )
    const add = (age: number, bytes: number): void =>
      outbox.add(newItem(names[0], age, { opening: 'x', number: age }, new Uint8Array(bytes)))
    add(1, 50)
    pump(10)
    expect(sent).toEqual([1])
    add(2, 50)
    pump(99)
    expect(sent).toEqual([1])
    pump(100)
    expect(sent).toEqual([1, 2])
    add(3, 1)
    pump(100)
    expect(sent).toEqual([1, 2])
    outbox.acked(1, () => true)
    pump(100)
    expect(sent).toEqual([1, 2, 3])
  })

  it('given many items that were refused, then queueing them again is not quadratic', () => {
    const outbox = new Outbox()
    for (let age = 1; age <= 50_000; age++) outbox.add(newItem(names[0], age, { opening: 'x', number: age }, payloadOf(age)))
    outbox.pump(
      1e9,
      () => 'send',
      () => undefined,
    )
    const start = performance.now()
    outbox.dropped(1, () => true)
    outbox.pump(
      1e9,
      () => 'send',
      () => undefined,
    )
    outbox.disconnected()
    outbox.pump(
      1e9,
      () => 'send',
      () => undefined,
    )
    for (let counter = 50_001; counter <= 100_000; counter += 500) outbox.acked(counter, () => true)
    expect(performance.now() - start).toBeLessThan(1_000)
  })
})
