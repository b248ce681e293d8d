/** Updates of Yjs that are none, or that would do harm later: refused for their push, with nothing of them stored. */

import { encodePush } from '@meridian/core/wires/native/client-frames'
import { fragments } from '@meridian/core/wires/native/frame'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { HonestPair, unharmed, underAttack } from './honest.js'
import { atClock, hex, textUpdate } from './updates.js'
import { Victim } from './victim.js'
import { attachOf, helloOf, MiB, pushOf, WireClient } from './wire.js'

let victim: Victim
let pair: HonestPair

beforeAll(async () => {
  victim = await Victim.start({ flags: ['--limits-wait-ms', '100'] })
  pair = await HonestPair.start(victim)
})

afterAll(async () => {
  await pair?.close()
  await victim?.stop()
})

const v2 = (): Uint8Array => {
  const doc = new Y.Doc()
  doc.getText('t').insert(0, 'hello')
  return Y.encodeStateAsUpdateV2(doc)
}

const deepValue = (levels: number): Uint8Array =>
  Buffer.concat([hex('01 01 01 00 08 01 01 74 01'), hex('75 01'.repeat(levels)), hex('7f 00')])

const keyed = (key: string): Uint8Array => {
  const name = Buffer.from(key).toString('hex')
  return hex(`01 01 01 00 08 01 01 74 01 76 01 ${key.length.toString(16).padStart(2, '0')} ${name} 7f 00`)
}

const huge = 'ff ff ff ff ff ff ff 0f'

/** With `first`, client 1 has the clocks 0 to 2. */
const first = textUpdate('abc', 1)

const bad: readonly (readonly [string, Uint8Array, string])[] = [
  ['one byte', hex('00'), 'UPDATE_INVALID'],
  ['random text', Buffer.from('hello, world'), 'UPDATE_INVALID'],
  ['a byte behind the end', Buffer.concat([textUpdate('x', 2), hex('00')]), 'UPDATE_INVALID'],
  ['an update cut in half', textUpdate('hello', 2).subarray(0, 9), 'UPDATE_INVALID'],
  ['encoding V2', v2(), 'UPDATE_INVALID'],
  ['2^52 clients declared', hex(`${huge} 00`), 'UPDATE_INVALID'],
  ['2^52 structs declared', hex(`01 ${huge} 01 00 04 01 01 74 01 61 00`), 'UPDATE_INVALID'],
  ['2^52 clients of deletions declared', hex(`00 ${huge}`), 'UPDATE_INVALID'],
  ['2^52 deletions declared', hex(`00 01 01 ${huge} 00 01`), 'UPDATE_INVALID'],
  ['2^52 values declared', hex(`01 01 01 00 08 01 01 74 ${huge} 7f 00`), 'UPDATE_INVALID'],
  ['2^52 keys declared', hex(`01 01 01 00 08 01 01 74 01 76 ${huge} 01 61 7f 00`), 'UPDATE_INVALID'],
  ['2^52 bytes of text declared', hex(`01 01 01 00 04 01 01 74 ${huge} 61 00`), 'UPDATE_INVALID'],
  ['a clock of 2^52', hex(`01 01 01 ${huge} 04 01 01 74 01 61 00`), 'UPDATE_INVALID'],
  ['a client of 2^52', hex(`01 01 ${huge} 00 04 01 01 74 01 61 00`), 'UPDATE_INVALID'],
  ['an endless number', hex(`${'80'.repeat(200)} 01`), 'UPDATE_INVALID'],
  ['a text of length 0', hex('01 01 01 03 84 01 02 00 00'), 'UPDATE_INVALID'],
  ['garbage of length 0', hex('01 01 01 03 00 00 00'), 'UPDATE_INVALID'],
  ['deleted content of length 0', hex('01 01 01 03 81 01 02 00 00'), 'UPDATE_INVALID'],
  ['no values', hex('01 01 01 03 88 01 02 00 00'), 'UPDATE_INVALID'],
  ['a letter behind a gap', hex('01 02 01 03 0a 05 84 01 02 01 61 00'), 'PREMATURE'],
  ['a client without structs', hex('01 00 01 00 00'), 'UPDATE_INVALID'],
  ['a client twice', hex('02 01 01 03 00 01 01 01 04 00 01 00'), 'UPDATE_INVALID'],
  ['a deletion of length 0', hex('00 01 01 01 00 00'), 'UPDATE_INVALID'],
  ['values 100,000 levels deep', deepValue(100_000), 'UPDATE_INVALID'],
  ['the key __proto__', keyed('__proto__'), 'UPDATE_INVALID'],
  ['garbage of 2^52 under the id of somebody else', hex(`01 01 01 03 00 ${huge} 00`), 'UPDATE_INVALID'],
  ['an item that waits for itself', hex('01 01 01 03 84 01 03 01 61 00'), 'UPDATE_INVALID'],
  ['a clock ahead', atClock(1, 9), 'PREMATURE'],
  ['a deletion ahead of its clock', hex('00 01 01 01 03 05'), 'PREMATURE'],
  ['a deletion of a client that nobody knows', hex('00 01 63 01 00 01'), 'PREMATURE'],
  ['an item next to one that nobody has', hex('01 01 05 00 84 63 07 01 61 00'), 'PREMATURE'],
]

describe('updates', () => {
  it('[PUSH5, PUSH6] given each of those that are wrong, then it is refused, and the same session goes on behind a resume', {
    timeout: 30_000,
  }, async () => {
    const bounds = { growthMb: 120, entries: 2 * bad.length }
    const answers = new Map<string, unknown>()
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      await Promise.all(
        bad.map(async ([what, update], index) => {
          const client = await new WireClient(victim.url).greet()
          client.send(
            attachOf(1, `dev/bad/${index}`),
            pushOf(1, 1, first),
            pushOf(1, 2, update),
            pushOf(1, 3, textUpdate('dropped', 3)),
          )
          const code = await Promise.any([
            client.frame('refused', (frame) => frame.counter === 2).then((frame) => frame.code),
            client.frame('ack', (frame) => frame.counter >= 2).then(() => 'taken'),
          ])
          client.send({ type: 'resume', channel: 1, counter: 4 }, pushOf(1, 4, textUpdate('goes on', 4)))
          await client.frame('ack', (ack) => ack.counter === 4)
          const reader = await new WireClient(victim.url).greet()
          reader.send(attachOf(1, `dev/bad/${index}`))
          await reader.frame('current')
          const doc = new Y.Doc()
          for (const frame of reader.frames) if (frame.type === 'update') Y.applyUpdate(doc, frame.payload)
          answers.set(what, { code, text: doc.getText('t').toString() })
          await client.close()
          await reader.close()
        }),
      )
    })
    // In which order the two authors stand is for Yjs to say.
    const expected = bad.map(
      ([what, , code]) => [what, { code, text: expect.stringMatching(/^(abcgoes on|goes onabc)$/) }] as const,
    )
    expect(Object.fromEntries(answers)).toEqual(Object.fromEntries(expected))
    expect(verdict).toEqual(unharmed(bounds))
  })

  it('[SES3] given an update of updateBytesMax, then it is taken; given a byte more, then it is refused or its frame is too large', {
    timeout: 30_000,
  }, async () => {
    const small = await Victim.start({ flags: ['--limits-update-bytes-max', String(MiB)] })
    try {
      const overhead = textUpdate('x'.repeat(MiB / 2), 5).length - MiB / 2
      const exact = textUpdate('x'.repeat(MiB - overhead), 5)
      expect(exact.length).toBe(MiB)
      const over = textUpdate('x'.repeat(MiB - overhead + 1), 5)
      const client = await new WireClient(small.url).greet()
      client.send(attachOf(1, 'dev/bad/large'))
      for (const piece of fragments(encodePush(1, 1, exact))) client.socket.send(piece)
      await client.frame('ack', (ack) => ack.counter === 1)
      for (const piece of fragments(encodePush(1, 2, over))) client.socket.send(piece)
      expect(await client.frame('refused')).toMatchObject({ counter: 2, code: 'UPDATE_TOO_LARGE' })
      await client.close()
    } finally {
      await small.stop()
    }
  })

  it('[PUSH1, PUSH4] given counters of all sizes and repeated ones, then the log keeps each push once', {
    timeout: 30_000,
  }, async () => {
    const bounds = { growthMb: 100, entries: 2 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await new WireClient(victim.url).greet()
      client.send(attachOf(1, 'dev/bad/counters'), pushOf(1, 1, textUpdate('one', 6)))
      await client.frame('ack', (ack) => ack.counter === 1)
      client.send(pushOf(1, 2 ** 53 - 1, textUpdate('last', 7)))
      await client.frame('ack', (ack) => ack.counter === 2 ** 53 - 1)
      // Known ones: acked and not logged, whatever they hold.
      for (const counter of [1, 2, 5, 2 ** 53 - 1]) client.send(pushOf(1, counter, textUpdate('again', counter % 1000)))
      client.send({ type: 'ping', nonce: 3 })
      await client.frame('pong')
      await client.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it('[PUSH5] given 3,000 updates with bytes changed, then each is refused, taken or waits, and readers can load what is left', {
    timeout: 60_000,
  }, async () => {
    const bounds = { growthMb: 150, entries: 'any' } as const
    const source = new Y.Doc()
    source.clientID = 41
    source.getText('t').insert(0, 'häßlich', { bold: true })
    source.getMap('m').set('k', { a: [1, 'two', null], b: 1.5 })
    source.getArray('a').insert(0, [new Y.Text('nested'), 3])
    source.getText('t').delete(1, 3)
    const sound = Y.encodeStateAsUpdate(source)
    let document = 0
    const codes = new Set<string>()
    const { verdict } = await underAttack(victim, pair, bounds, () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.array(fc.tuple(fc.nat(sound.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 }),
            { minLength: 50, maxLength: 50 },
          ),
          async (changes) => {
            const name = `dev/mutated/${document++}`
            // A session each, so that one which waits holds up no other.
            await Promise.all(
              changes.map(async (places) => {
                const update = Buffer.from(sound)
                for (const [place, byte] of places) update[place] = byte
                const client = await new WireClient(victim.url).open()
                client.send(helloOf(), attachOf(1, name), pushOf(1, 1, update))
                await client.frame('current')
                client.send({ type: 'ping', nonce: 1 })
                await client.frame('pong')
                for (const frame of client.frames) if (frame.type === 'refused') codes.add(frame.code)
                client.socket.terminate()
              }),
            )
            const reader = await new WireClient(victim.url).greet()
            reader.send(attachOf(1, name))
            await reader.frame('current')
            const doc = new Y.Doc()
            for (const frame of reader.frames) if (frame.type === 'update') Y.applyUpdate(doc, frame.payload)
            await reader.close()
            Y.applyUpdate(new Y.Doc(), Y.encodeStateAsUpdate(doc))
            expect(doc.store.pendingStructs).toBe(null)
          },
        ),
        { numRuns: 60, endOnFailure: true },
      ),
    )
    // What names bytes that nobody has may wait, and is refused where too much waits already (SES2).
    expect(codes).toContain('UPDATE_INVALID')
    codes.delete('PREMATURE')
    expect([...codes]).toEqual(['UPDATE_INVALID'])
    expect(verdict).toEqual(unharmed(bounds))
  })
})
