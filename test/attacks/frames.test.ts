/** Bytes that are almost what the wire wants: honest conversations with bytes changed, cut, doubled and moved, and names that are not canonical. */

import * as fc from 'fast-check'
import { errorTable } from '@meridian/core/errors'
import { emptyVersion } from '@meridian/core/version'
import { fragments } from '@meridian/core/wires/native/frame'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { HonestPair, unharmed, underAttack } from './honest.js'
import { textUpdate, typing } from './updates.js'
import { Victim } from './victim.js'
import { attachOf, helloOf, KiB, messageOf, pushOf, rawFrame, varUint, WireClient } from './wire.js'

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

/** What an honest client may say in one message, each with frames of its own. */
const conversations: readonly (() => Buffer)[] = [
  () => messageOf(helloOf(), attachOf(1, 'dev/mutants/1'), pushOf(1, 1, textUpdate('hello', 31)), { type: 'ping', nonce: 1 }),
  () => messageOf(helloOf(), attachOf(1, 'dev/mutants/2'), ...typing(5, 32).map((update, index) => pushOf(1, index + 1, update))),
  () =>
    messageOf(
      helloOf(),
      { ...attachOf(3, 'dev/mutants/3'), cursor: someVersion, seen: someVersion },
      { type: 'seen', channel: 3, seen: emptyVersion },
      pushOf(3, 9, textUpdate('words', 33)),
      { type: 'resume', channel: 3, counter: 9 },
      { type: 'presence', channel: 3, payload: new Uint8Array(20) },
      { type: 'detach', channel: 3 },
    ),
  () =>
    messageOf(
      helloOf(),
      attachOf(4, 'dev/mutants/ä/ö'),
      ...fragments(messageOf(pushOf(4, 1, textUpdate('x'.repeat(40 * KiB), 34)))),
    ),
  () =>
    messageOf(helloOf(), attachOf(5, 'dev/mutants/5'), ...piecesOf(messageOf(pushOf(5, 1, textUpdate('in pieces', 35))), 7), {
      type: 'token',
      token: 'x',
    }),
]

const someVersion = {
  floors: new Map(),
  sequences: new Map([['eu-west#1.0123456789abcdef', 7]]),
} as unknown as typeof emptyVersion

/** A frame as fragments of a few bytes each. */
function piecesOf(frame: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let offset = 0; offset < frame.length; offset += size) {
    const piece = frame.subarray(offset, offset + size)
    pieces.push(rawFrame(63, Buffer.concat([varUint(frame.length), varUint(offset), varUint(piece.length), piece])))
  }
  return pieces
}

/** One change of a conversation; places are parts of its length, so that they fit all of them. */
const mutation = fc.record({
  kind: fc.constantFrom('set', 'set', 'set', 'flip', 'insert', 'remove', 'cut', 'double', 'swap', 'max'),
  place: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  other: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  byte: fc.integer({ min: 0, max: 255 }),
})

type Mutation = typeof mutation extends fc.Arbitrary<infer Value> ? Value : never

const mutant = fc.record({
  conversation: fc.nat(conversations.length - 1),
  mutations: fc.array(mutation, { minLength: 1, maxLength: 4 }),
  /** The hello is left alone, so that what is behind it is read at all. */
  spared: fc.integer({ min: 0, max: 5 }).map((chance) => (chance === 0 ? 0 : helloLength)),
})

const helloLength = messageOf(helloOf()).length

function mutate(
  message: Buffer,
  { mutations, spared }: { readonly mutations: readonly Mutation[]; readonly spared: number },
): Buffer {
  const head = message.subarray(0, spared)
  let bytes = Buffer.from(message.subarray(spared))
  for (const { kind, place, other, byte } of mutations) {
    const at = Math.floor(place * bytes.length)
    const to = Math.floor(other * bytes.length)
    switch (kind) {
      case 'set':
        if (at < bytes.length) bytes[at] = byte
        break
      case 'flip':
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << (byte & 7))
        break
      case 'insert':
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(byte), bytes.subarray(at)])
        break
      case 'remove':
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + (byte & 3))])
        break
      case 'cut':
        bytes = bytes.subarray(0, at)
        break
      case 'double':
        bytes = Buffer.concat([bytes.subarray(0, Math.max(at, to)), bytes.subarray(Math.min(at, to))])
        break
      case 'swap':
        bytes = Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)])
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from('ffffffffffffff7f', 'hex'), bytes.subarray(at + 1)])
    }
  }
  return Buffer.concat([head, bytes])
}

/** Sends a message and says how it went: ended in order, alive, or something that must not be. */
async function say(message: Buffer): Promise<string> {
  const client = await new WireClient(victim.url).open()
  client.socket.send(message)
  client.send({ type: 'ping', nonce: 77 })
  const isAlive = (): boolean => client.frames.some((frame) => frame.type === 'pong' && frame.nonce === 77)
  await client.until('an answer', () => client.end !== undefined || isAlive())
  const { end } = client
  if (end === undefined) {
    client.socket.terminate()
    return 'alive'
  }
  if (end.goodbye === undefined) return `no goodbye, closed with ${end.close}`
  const row = Object.entries(errorTable).find(([code]) => code === end.goodbye)?.[1]
  return row?.close === end.close && row.retry === end.retry ? end.goodbye : `${end.goodbye} with ${end.close} and ${end.retry}`
}

const inOrder = new Set(['alive', 'FRAME_INVALID', 'FRAME_TOO_LARGE', 'NAME_INVALID', 'PROTOCOL_UNSUPPORTED', 'LIMIT_PRESENCE'])

describe('conversations with mistakes', () => {
  it('[FRAME1, FRAME2, FRAME4] given 4,000 of them, then each ends in order or goes on, and what is in the log can be read', {
    timeout: 60_000,
  }, async () => {
    const bounds = { growthMb: 150, entries: 'any' } as const
    const { verdict } = await underAttack(victim, pair, bounds, () =>
      fc.assert(
        fc.asyncProperty(fc.array(mutant, { minLength: 40, maxLength: 40 }), async (mutants) => {
          const answers = await Promise.all(
            mutants.map((one) => say(mutate(conversations[one.conversation]?.() ?? Buffer.alloc(0), one))),
          )
          expect(answers.filter((answer) => !inOrder.has(answer))).toEqual([])
        }),
        { numRuns: 100, endOnFailure: true },
      ),
    )
    expect(verdict).toEqual(unharmed(bounds))
    for (const name of ['1', '2', '3', 'ä/ö', '5']) expect(await load(`dev/mutants/${name}`), name).toBe('loads')
  })

  it('[FRAME2, LIFE1] given 1,000 messages of random bytes, then each ends in order or goes on', {
    timeout: 40_000,
  }, async () => {
    const bounds = { growthMb: 100 }
    const { verdict } = await underAttack(victim, pair, bounds, () =>
      fc.assert(
        fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 400 }), { minLength: 40, maxLength: 40 }), async (messages) => {
          const answers = await Promise.all(
            messages.map((bytes, index) => say(index % 4 === 0 ? Buffer.from(bytes) : messageOf(helloOf(), bytes))),
          )
          expect(answers.filter((answer) => !inOrder.has(answer))).toEqual([])
        }),
        { numRuns: 25, endOnFailure: true },
      ),
    )
    expect(verdict).toEqual(unharmed(bounds))
  })

  /** All that a document holds goes into Yjs, waits for nothing, and is saved and loaded once more. */
  async function load(document: string): Promise<string> {
    const client = await new WireClient(victim.url).open()
    client.send(helloOf(), attachOf(1, document))
    await client.frame('current')
    const doc = new Y.Doc()
    for (const frame of client.frames) if (frame.type === 'update' || frame.type === 'state') Y.applyUpdate(doc, frame.payload)
    await client.close()
    if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null) return 'waits for what never comes'
    const again = new Y.Doc()
    Y.applyUpdate(again, Y.encodeStateAsUpdate(doc))
    return Buffer.from(Y.encodeStateVector(again)).equals(Buffer.from(Y.encodeStateVector(doc))) ? 'loads' : 'loads otherwise'
  }
})

describe('before and behind the hello', () => {
  const bodyOf = (protocol: number, device: string, token: string): Uint8Array =>
    rawFrame(1, Buffer.concat([varUint(protocol), stringOf(device), stringOf(token)]))
  const device = 'ab'.repeat(16)

  it.each([
    ['an attach first', () => messageOf(attachOf(1, 'dev/x/1')), 'FRAME_INVALID'],
    ['a ping first', () => messageOf({ type: 'ping', nonce: 1 }), 'FRAME_INVALID'],
    ['protocol 0', () => bodyOf(0, device, ''), 'PROTOCOL_UNSUPPORTED'],
    ['a device in capitals', () => bodyOf(1, device.toUpperCase(), ''), 'FRAME_INVALID'],
    ['a device of 31 digits', () => bodyOf(1, device.slice(1), ''), 'FRAME_INVALID'],
    ['no device', () => bodyOf(1, '', ''), 'FRAME_INVALID'],
    ['a token of 16 KiB and a byte', () => bodyOf(1, device, 'x'.repeat(16 * KiB + 1)), 'FRAME_INVALID'],
    [
      'a byte too many',
      () => rawFrame(1, Buffer.concat([varUint(1), stringOf(device), stringOf(''), Buffer.of(0)])),
      'FRAME_INVALID',
    ],
    ['half a hello', () => messageOf(helloOf()).subarray(0, 20), 'FRAME_INVALID'],
    [
      'text that is no UTF-8',
      () => rawFrame(1, Buffer.concat([varUint(1), stringOf(device), Buffer.of(2, 0xc3, 0x28)])),
      'FRAME_INVALID',
    ],
  ] as const)('[LIFE1, NAME6] given %s, then %s', async (_what, message, code) => {
    const client = await new WireClient(victim.url).open()
    client.socket.send(message())
    expect(await client.ended()).toMatchObject({ goodbye: code, close: errorTable[code].close })
  })

  it.each([
    ['engine 0', rawFrame(3, Buffer.concat([varUint(1), varUint(0), stringOf('dev/x/1'), Buffer.of(0, 0, 0)])), 'FRAME_INVALID'],
    ['engine 3', rawFrame(3, Buffer.concat([varUint(1), varUint(3), stringOf('dev/x/1'), Buffer.of(0, 0, 0)])), 'FRAME_INVALID'],
    ['a channel above 2^31', rawFrame(4, varUint(2 ** 31 + 1)), 'FRAME_INVALID'],
    ['a push with counter 0', rawFrame(6, Buffer.of(1, 0, 0, 0)), 'FRAME_INVALID'],
    ['a push without a payload', rawFrame(6, Buffer.of(1, 1)), 'FRAME_INVALID'],
    ['a resume with counter 0', rawFrame(9, Buffer.of(1, 0)), 'FRAME_INVALID'],
    [
      'a sequence of 0',
      rawFrame(5, Buffer.concat([Buffer.of(1, 1), stringOf('r'), Buffer.of(0, 1, 1, ...zeros(8), 0)])),
      'FRAME_INVALID',
    ],
    [
      'an incarnation twice',
      rawFrame(5, Buffer.concat([Buffer.of(1, 1), stringOf('r'), Buffer.of(0, 2, ...twice([1, ...zeros(8), 1]))])),
      'FRAME_INVALID',
    ],
    [
      'a region twice',
      rawFrame(5, Buffer.concat([Buffer.of(1, 2), ...twice([stringOf('r'), Buffer.of(1, ...zeros(8), 0)])])),
      'FRAME_INVALID',
    ],
  ] as const)('[VER3, PUSH1] given %s, then %s', async (_what, frame, code) => {
    const client = await new WireClient(victim.url).greet()
    client.socket.send(frame)
    expect(await client.ended()).toMatchObject({ goodbye: code, close: errorTable[code].close })
  })

  it('[FRAME2] given frames of types that nobody knows, then they are skipped; given engine 2, then the document is attached', async () => {
    const client = await new WireClient(victim.url).greet()
    client.send(rawFrame(50, new Uint8Array(1000)), rawFrame(2 ** 40, Buffer.of(1)), {
      ...attachOf(1, 'dev/x/1'),
      engine: 'automerge',
    })
    expect(await client.frame('attached')).toMatchObject({ channel: 1 })
    await client.close()
  })
})

describe('names', () => {
  const long = 'x'.repeat(64)
  it.each([
    ['NAME1', 'nothing', ''],
    ['NAME1', 'no collection', 'dev'],
    ['NAME1', 'no key', 'dev/notes'],
    ['NAME1', 'an empty tenant', '/notes/1'],
    ['NAME1', 'a tenant in capitals', 'DEV/notes/1'],
    ['NAME1', 'a tenant that begins with -', '-dev/notes/1'],
    ['NAME1', 'a tenant of 64', `${long}/notes/1`],
    ['NAME1', 'a collection of 64', `dev/${long}/1`],
    ['NAME1', 'an empty collection', 'dev//1'],
    ['NAME1', 'a collection with a dot', 'dev/../1'],
    ['NAME2', 'an empty key', 'dev/notes/'],
    ['NAME2', 'a key of 513 bytes', `dev/notes/${'x'.repeat(513)}`],
    ['NAME2', 'a key of 513 bytes in 257 characters', `dev/notes/${'ä'.repeat(256)}x`],
    ['NAME2', 'a key that is not in form C', 'dev/notes/a\u0308'],
    ['NAME2', 'a zero in the key', 'dev/notes/a\0b'],
    ['NAME2', 'a line end', 'dev/notes/a\nb'],
    ['NAME2', 'a control character of C1', 'dev/notes/a\u0085b'],
    ['NAME2', 'a #', 'dev/notes/a#b'],
    ['NAME2', 'a ?', 'dev/notes/a?b'],
    ['NAME2, NAME4', 'a % escape', 'dev/notes/a%2fb'],
    ['NAME3', 'an empty segment', 'dev/notes/a//b'],
    ['NAME3', 'a slash at the end', 'dev/notes/a/'],
    ['NAME3', 'a dot', 'dev/notes/./a'],
    ['NAME3', 'two dots', 'dev/notes/../../etc/passwd'],
  ])('[%s] given %s, then NAME_INVALID', async (_rule, _what, name) => {
    const client = await new WireClient(victim.url).greet()
    client.socket.send(rawFrame(3, Buffer.concat([varUint(1), varUint(1), stringOf(name), Buffer.of(0, 0, 0)])))
    expect(await client.ended()).toEqual({ goodbye: 'NAME_INVALID', retry: 'never', close: 4400 })
  })

  it('[NAME1, NAME2] given names at the edge, then they are attached; given another tenant, then ACCESS_DENIED', async () => {
    const client = await new WireClient(victim.url).greet()
    const names = [
      `dev/${'x'.repeat(63)}/1`,
      `dev/notes/${'x'.repeat(512)}`,
      `dev/notes/${'ä'.repeat(256)}`,
      'dev/0/a/b/c',
      'dev/notes/...',
      'dev/notes/__proto__',
    ]
    client.send(...names.map((name, index) => attachOf(index, name)), attachOf(99, 'other/notes/1'))
    for (const index of names.keys()) await client.frame('attached', (frame) => frame.channel === index)
    expect(await client.frame('denied')).toMatchObject({ channel: 99, code: 'ACCESS_DENIED' })
    await client.close()
  })
})

function stringOf(text: string): Uint8Array {
  const bytes = Buffer.from(text)
  return Buffer.concat([varUint(bytes.length), bytes])
}

function zeros(count: number): number[] {
  return Array.from({ length: count }, () => 0)
}

function twice<T>(parts: readonly T[]): T[] {
  return [...parts, ...parts]
}
