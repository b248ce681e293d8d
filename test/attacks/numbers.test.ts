/**
 * Numbers beyond what the wire has. A varUint that goes on and on is an infinity or no number at all for a reader that adds up floats; the
 * first filled the memory of a node that wanted to repeat it in a pong, the second stopped its log.
 */

import { readVarUint } from '@meridian/core/bytes'
import { MeridianError } from '@meridian/core/errors'
import * as decoding from 'lib0/decoding'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { HonestPair, unharmed, underAttack } from './honest.js'
import { Victim } from './victim.js'
import { attachOf, messageOf, rawFrame, varUint, WireClient } from './wire.js'

const repeat = (byte: number, count: number): number[] => Array.from({ length: count }, () => byte)

const numbers: readonly (readonly [string, readonly number[]])[] = [
  ['2^53', [...repeat(0x80, 7), 0x10]],
  ['2^56 - 1', [...repeat(0xff, 7), 0x7f]],
  ['2^63', [...repeat(0x80, 9), 0x01]],
  ['2^700', [...repeat(0x80, 100), 0x01]],
  ['an infinity', [...repeat(0x80, 147), 0x01]],
  ['no number', [...repeat(0x80, 160), 0x00]],
  ['zero in nine bytes', [...repeat(0x80, 8), 0x00]],
]

describe('numbers of the wire', () => {
  it.each(numbers)('given %s, when read, then FRAME_INVALID', (_name, bytes) => {
    expect(() => readVarUint(decoding.createDecoder(Uint8Array.from(bytes)))).toThrow(MeridianError)
  })

  it('given the greatest number and the ends of each length, when read, then they are what was written', () => {
    for (let bits = 0; bits <= 53; bits++) {
      for (const value of [2 ** bits - 1, 2 ** bits].filter(Number.isSafeInteger)) {
        const decoder = decoding.createDecoder(varUint(value))
        expect(readVarUint(decoder)).toBe(value)
        expect(decoding.hasContent(decoder)).toBe(false)
      }
    }
  })

  it('given bytes that end within a number, or at once, when read, then FRAME_INVALID', () => {
    for (const bytes of [[], [0x80], repeat(0x80, 7)])
      expect(() => readVarUint(decoding.createDecoder(Uint8Array.from(bytes)))).toThrow(MeridianError)
  })
})

describe('absurd numbers in frames, to a node', () => {
  let victim: Victim
  let pair: HonestPair

  beforeAll(async () => {
    victim = await Victim.start()
    pair = await HonestPair.start(victim)
  })

  afterAll(async () => {
    await pair?.close()
    await victim?.stop()
  })

  const doc = new Y.Doc()
  doc.getText('t').insert(0, 'x')
  const update = Y.encodeStateAsUpdate(doc)
  /** The number in each place that has one. */
  const frames: readonly (readonly [string, (number: readonly number[]) => Uint8Array])[] = [
    ['the type of a frame', (number) => Uint8Array.from([...number, 0])],
    ['the length of a frame', (number) => Uint8Array.from([8, ...number, 1])],
    ['the nonce of a ping', (number) => rawFrame(8, Uint8Array.from(number))],
    ['the counter of a push', (number) => rawFrame(6, Uint8Array.from([1, ...number, ...update]))],
    ['the channel of a push', (number) => rawFrame(6, Uint8Array.from([...number, 1, ...update]))],
    ['the counter of a resume', (number) => rawFrame(9, Uint8Array.from([1, ...number]))],
    ['the channel of a detach', (number) => rawFrame(4, Uint8Array.from(number))],
    ['the length of a presence', (number) => rawFrame(7, Uint8Array.from([1, ...number, 1]))],
    ['the total of a fragment', (number) => rawFrame(63, Uint8Array.from([...number, 0, 1, 1]))],
    ['the offset of a fragment', (number) => rawFrame(63, Uint8Array.from([9, ...number, 1, 1]))],
    ['the life of an attach', (number) => attachWith({ life: number })],
    ['the channel of an attach', (number) => attachWith({ channel: number })],
    ['the engine of an attach', (number) => attachWith({ engine: number })],
    ['the regions of a cursor', (number) => attachWith({ cursor: number })],
    ['the floor of a cursor', (number) => attachWith({ cursor: [1, 1, 0x78, ...number] })],
    ['the incarnations of a cursor', (number) => attachWith({ cursor: [1, 1, 0x78, 0, ...number] })],
    ['the counter of an incarnation', (number) => attachWith({ cursor: [1, 1, 0x78, 0, 1, ...number, ...repeat(1, 8), 1] })],
    ['a sequence of a cursor', (number) => attachWith({ cursor: [1, 1, 0x78, 0, 1, 1, ...repeat(1, 8), ...number] })],
    ['a sequence of a token', (number) => rawFrame(5, Uint8Array.from([1, 1, 1, 0x78, 0, 1, 1, ...repeat(1, 8), ...number]))],
  ]

  it('[FRAME2, VER3, PUSH1, SES3] given each absurd number in each place, then FRAME_INVALID and nothing else', {
    timeout: 40_000,
  }, async () => {
    const bounds = { growthMb: 300 }
    const answers = new Map<string, string>()
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      await Promise.all(
        frames.map(async ([place, frame]) => {
          for (const [name, number] of numbers) {
            const client = await new WireClient(victim.url).greet()
            client.send(attachOf(1, 'dev/numbers/1'))
            await client.frame('current')
            client.socket.send(messageOf(frame(number)))
            const { goodbye, close } = await client.ended()
            answers.set(`${place}: ${name}`, `${goodbye} ${close}`)
          }
        }),
      )
    })
    expect(verdict).toEqual(unharmed(bounds))
    expect([...answers].filter(([, answer]) => answer !== 'FRAME_INVALID 4400')).toEqual([])
    expect(answers.size).toBe(frames.length * numbers.length)
  })
})

function attachWith(parts: { [part in 'channel' | 'engine' | 'life' | 'cursor']?: readonly number[] }): Uint8Array {
  const name = Buffer.from('dev/numbers/2')
  const { channel = [2], engine = [1], life = [0], cursor = [0] } = parts
  return rawFrame(3, Uint8Array.from([...channel, ...engine, name.length, ...name, ...life, ...cursor, 0]))
}
