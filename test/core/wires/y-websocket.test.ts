/** The wire of y-websocket: what every wire does, by messages as the providers make them. The providers themselves are in test/e2e. */

import type { Materialiser } from '@meridian/core/materialised'
import { decodeAwareness, encodeAwareness } from '@meridian/core/awareness'
import { isOfAnotherLife } from '@meridian/core/wires/y-protocols/copy'
import { yWebsocketWire } from '@meridian/core/wires/y-websocket/wire'
import { expect, test } from 'vitest'
import * as Y from 'yjs'
import { registerWireTests, type WireClient } from '../../conformance/wire.js'
import { SimMaterialiser } from '../../sim/materialiser.js'
import { principal, SimSocket } from '../../sim/node.js'
import { SeededRandom } from '../../sim/random.js'
import { Author, notes, textOf } from '../../sim/peer.js'
import { Rig } from '../../sim/rig.js'

const materialiser = new SimMaterialiser()
const wire = yWebsocketWire(materialiser as unknown as Materialiser)

const sync = (type: number, bytes: Uint8Array): Uint8Array => message(0, type, bytes)
function message(...parts: readonly (number | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...varUint(part.length), ...part])))
}
function varUint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varUint(value >>> 7)]
}
function bytesAt(frame: Uint8Array, offset: number): Uint8Array {
  let at = offset
  while ((frame[at] ?? 0) >= 128) at++
  return frame.subarray(at + 1)
}

interface YClient extends WireClient {
  readonly socket: SimSocket
  readonly sent: Uint8Array[]
}

let clients = 0

function open(rig: Rig, document: string, token = `user-${++clients}`, stateVector: Uint8Array = new Uint8Array([0])): YClient {
  materialiser.rig = rig
  rig.node.wire = wire
  const socket = new SimSocket(rig.node, { path: document, token })
  const sent: Uint8Array[] = []
  socket.listen((bytes) => sent.push(new Uint8Array(bytes)))
  socket.receive(sync(0, stateVector))
  return {
    socket,
    sent,
    push: (update) => socket.receive(sync(2, update)),
    show: (state) => socket.receive(message(1, state)),
    get received() {
      return sent.flatMap((frame) => {
        if (frame[0] !== 0 || (frame[1] !== 1 && frame[1] !== 2)) return []
        const update = bytesAt(frame, 2)
        return update.length === 2 ? [] : [update]
      })
    },
    get presence() {
      return sent.flatMap((frame) => (frame[0] === 1 ? [bytesAt(frame, 1)] : []))
    },
    get closedWith() {
      return socket.closedWith?.code
    },
    cut: () => socket.cut(),
  }
}

registerWireTests({
  wire,
  open,
  state: encodeAwareness([{ clientId: 5, clock: 1, state: { name: 'x' } }]),
  garbage: [new Uint8Array([9]), new Uint8Array([0, 2, 200]), new Uint8Array([0, 7, 0]), new Uint8Array([0, 2, 3, 1, 2, 3])],
})

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')

test('[SES1] given a log that takes its time, when a client says step 1, then nothing is answered before it was read, and the answer is whole', () => {
  const rig = new Rig()
  const writer = open(rig, notes('one'))
  rig.settle()
  expect(writer.sent.map(hex)).toEqual(['00000100', '0001020000'])
  writer.push(new Author(1).type('kept'))
  rig.settle().restart()
  rig.hold('readDocument')
  const reader = open(rig, notes('one'))
  rig.settle()
  expect(reader.sent.filter((frame) => frame[1] !== 0)).toEqual([])
  rig.releaseAll()
  expect(reader.received).toHaveLength(1)
  expect(reader.sent.filter((frame) => frame[0] === 0 && frame[1] === 1)).toHaveLength(1)
})

test('[SES2] given an update that comes before what it builds on, when that comes behind it, then both are stored at once', () => {
  const rig = new Rig()
  const writer = open(rig, notes('one'))
  rig.settle()
  const author = new Author(1)
  const [first, second] = [author.type('a'), author.type('b')]
  writer.push(second)
  writer.push(first)
  rig.settle()
  expect(rig.durable).toHaveLength(2)
})

test('[SES2] given an update whose ground never comes, when it waited, then the node asks again for what it lacks', () => {
  const rig = new Rig()
  const writer = open(rig, notes('one'))
  rig.settle()
  const author = new Author(1)
  author.type('a')
  writer.push(author.type('b'))
  rig.settle()
  const before = writer.sent.length
  rig.advance(30_000)
  const asked = (): number => writer.sent.slice(before).filter((frame) => hex(frame) === '00000100').length
  expect(asked()).toBe(0)
  rig.advance(10_000)
  expect(asked()).toBe(1)
})

/** A client that received an update without what that builds on: its own edits it can send, that one only along with them. */
function waiting(author: Author): {
  readonly author: Author
  readonly foundation: Uint8Array
  state(known?: Uint8Array): Uint8Array
} {
  const other = new Author(2)
  const foundation = other.type('under')
  author.apply(other.type(' over'))
  expect(author.doc.store.pendingStructs).not.toBeNull()
  return { author, foundation, state: (known) => Y.encodeStateAsUpdate(author.doc, known) }
}

test('[SES2] given a client that waits for something itself, when it sends all that it has, then its own edits are stored at once, and others get them', () => {
  const rig = new Rig()
  const client = open(rig, notes('one'))
  const reader = open(rig, notes('one'))
  rig.settle()
  const { author, foundation, state } = waiting(new Author(1))
  author.type('mine')
  client.push(state())
  rig.settle()
  expect(rig.durable).toHaveLength(1)
  expect(textOf(reader.received)).toBe('mine')
  client.push(author.type('!'))
  rig.settle()
  expect(textOf(reader.received)).toBe('mine!')
  // Within the time that the rest waits for its ground.
  reader.push(foundation)
  rig.settle()
  expect(textOf([...reader.received, foundation]).split(' ')).toEqual(author.apply(foundation).text.split(' '))
  expect(rig.durable).toHaveLength(4)
})

test('[SES2] given the rest of it, when it waited in vain, then it is asked for again when its ground has come, and not in between', () => {
  const rig = new Rig()
  const client = open(rig, notes('one'))
  const reader = open(rig, notes('one'))
  rig.settle()
  const { author, foundation, state } = waiting(new Author(1))
  author.type('mine')
  client.push(state())
  rig.advance(10_000)
  const before = client.sent.length
  const asked = () => client.sent.slice(before).filter((frame) => frame[0] === 0 && frame[1] === 0)
  client.push(author.type('!'))
  rig.advance(10_000)
  expect(asked()).toEqual([])
  reader.push(foundation)
  rig.advance(2_000)
  expect(asked()).toHaveLength(1)
  client.push(state(asked()[0]?.subarray(3)))
  rig.settle()
  expect(textOf([...reader.received, foundation])).toBe(author.apply(foundation).text)
  expect(client.closedWith).toBeUndefined()
})

test('[SES2, SES3] given a large update of a client that waits, when it is looked into beside the loop, then the same holds', () => {
  const rig = new Rig({ hubLimits: { inlineBytesMax: 512 } })
  const client = open(rig, notes('one'))
  const reader = open(rig, notes('one'))
  rig.settle()
  const { author, foundation, state } = waiting(new Author(1))
  author.type('mine'.repeat(300))
  client.push(state())
  rig.settle()
  expect(textOf(reader.received)).toBe('mine'.repeat(300))
  reader.push(foundation)
  rig.settle()
  expect(textOf([...reader.received, foundation])).toBe(author.apply(foundation).text)
  // The whole, its part and what is admissible of it; the part again; the cut of the whole.
  expect(rig.node.asideCount).toBe(4)
})

test('[SES2] given updates without a ground and one that is valid, when the former waited too long, then only they are dropped', () => {
  const rig = new Rig()
  const client = open(rig, notes('one'))
  const reader = open(rig, notes('one'))
  rig.settle()
  const author = new Author(1)
  author.type('a')
  for (let count = 0; count < 5; count++) client.push(author.type('b'))
  rig.advance(1_000)
  const late = new Author(3)
  late.type('c')
  client.push(late.type('d'))
  rig.advance(1_500)
  expect(reader.received).toEqual([])
  reader.push(new Author(3).type('c'))
  rig.settle()
  expect(textOf([...reader.received, ...rig.durable.map((entry) => entry.payload)])).toBe('cd')
})

test('given a client that may only read, when it edits, then it is told once, nothing is stored, and it is not asked for anything', () => {
  const tokens = new Map([['reader', principal('reader', { grants: [{ match: '*', access: 'read' }] })]])
  const rig = new Rig({ tokens })
  const reader = open(rig, notes('one'), 'reader')
  rig.settle()
  reader.push(new Author(1).type('a'))
  reader.push(new Author(2).type('a'))
  rig.settle()
  expect(reader.sent.filter((frame) => frame[0] === 2)).toHaveLength(1)
  expect(reader.sent.map(hex)).not.toContain('00000100')
  expect(rig.durable).toEqual([])
})

test('[SES6] given a presence state, when its own client says it, then it gets it back, and what others pass on is not theirs', () => {
  const rig = new Rig()
  const [first, second] = [open(rig, notes('one')), open(rig, notes('one'))]
  rig.settle()
  const state = encodeAwareness([{ clientId: 5, clock: 1, state: { name: 'x' } }])
  second.show(encodeAwareness([{ clientId: 6, clock: 1, state: {} }]))
  first.show(state)
  rig.settle()
  expect(first.presence.map(hex)).toContain(hex(state))
  const before = first.presence.length
  second.show(state)
  rig.settle()
  expect(first.presence).toHaveLength(before)
})

test('[LOG1] given a step 1 while an update is on its way, when that is not durable, then the node does not say that it holds it', () => {
  const rig = new Rig()
  const writer = open(rig, notes('one'))
  rig.settle().hold('append')
  writer.push(new Author(1).type('a'))
  rig.settle()
  const told = (client: YClient): string[] => client.sent.filter((frame) => frame[0] === 0 && frame[1] === 0).map(hex)
  const other = open(rig, notes('one'))
  rig.settle()
  expect(told(other)).toEqual([])
  rig.log.failAppend('LOG_UNAVAILABLE', 'lost')
  rig.releaseAll()
  rig.advance(3_000)
  expect(told(other)).toEqual(['00000100'])
  const third = open(rig, notes('one'))
  rig.settle()
  writer.push(new Author(2).type('b'))
  rig.settle()
  expect(told(third)).toEqual(['00000100'])
})

test('[LOG1] given a step 1 while an update is on its way, when that is durable, then the node says that it holds it', () => {
  const rig = new Rig()
  const writer = open(rig, notes('one'))
  rig.settle().hold('append')
  writer.push(new Author(1).type('a'))
  const other = open(rig, notes('one'))
  rig.settle().releaseAll()
  expect(other.sent.filter((frame) => frame[0] === 0 && frame[1] === 0).map(hex)).toEqual(['000003010101'])
})

test('[SES6] given a client that came again before its old connection was found dead, when that ends, then others are not told that the client is gone', () => {
  const rig = new Rig()
  const witness = open(rig, notes('one'))
  const before = open(rig, notes('one'))
  rig.settle()
  const state = encodeAwareness([{ clientId: 5, clock: 3, state: { name: 'x' } }])
  before.show(state)
  rig.settle()
  const after = open(rig, notes('one'))
  rig.settle()
  after.show(state)
  rig.settle()
  before.cut()
  rig.settle()
  const entries = (client: YClient) => client.presence.flatMap((update) => decodeAwareness(update))
  expect(entries(witness).filter((entry) => entry.state === null)).toEqual([])
  after.cut()
  rig.settle()
  expect(entries(witness).at(-1)).toEqual({ clientId: 5, clock: 4, state: null })
})

test('[SES6] given a state that a tab passed on for another one, when that comes with a newer clock, then it is its own again', () => {
  const rig = new Rig()
  const witness = open(rig, notes('one'))
  const [tab, other] = [open(rig, notes('one')), open(rig, notes('one'))]
  rig.settle()
  other.show(encodeAwareness([{ clientId: 6, clock: 1, state: {} }]))
  other.show(encodeAwareness([{ clientId: 5, clock: 1, state: {} }]))
  tab.show(encodeAwareness([{ clientId: 7, clock: 1, state: {} }]))
  tab.show(encodeAwareness([{ clientId: 5, clock: 2, state: {} }]))
  rig.settle()
  other.cut()
  rig.settle()
  const gone = witness.presence.flatMap((update) => decodeAwareness(update)).filter((entry) => entry.state === null)
  expect(gone.map((entry) => entry.clientId)).toEqual([6])
})

test('[SES3] given a token that takes its time, when more than a greeting comes meanwhile, then nothing of it is read before, and all of it afterwards', () => {
  const rig = new Rig()
  materialiser.rig = rig
  rig.node.wire = wire
  const socket = new SimSocket(rig.node, { path: notes('one'), token: 'slow' })
  socket.receive(sync(2, new Author(1).type('x'.repeat(100_000))))
  socket.receive(sync(0, new Uint8Array([0])))
  expect(socket.unreadCount).toBe(2)
  rig.settle()
  expect(socket.unreadCount).toBe(0)
  expect(socket.closedWith).toBeUndefined()
  expect(rig.durable).toHaveLength(1)
})

test('[SES6] given a client that gets no echo, when time passes, then something comes before it takes the socket for dead', () => {
  const rig = new Rig()
  const silent = open(rig, notes('one'))
  rig.settle()
  const before = silent.sent.length
  rig.advance(29_000)
  expect(silent.sent.slice(before).map(hex)).toEqual(['010100'])
})

test('[SES3] given a presence state that is too large, when it comes again and again, then its client is told once and stays', () => {
  const rig = new Rig()
  const [large, other] = [open(rig, notes('one')), open(rig, notes('one'))]
  rig.settle()
  for (const clock of [1, 2]) large.show(encodeAwareness([{ clientId: 5, clock, state: { name: 'x'.repeat(5_000) } }]))
  rig.settle()
  expect(large.sent.filter((frame) => frame[0] === 2)).toHaveLength(1)
  expect(large.closedWith).toBeUndefined()
  expect(other.presence).toEqual([])
})

test('[SES6] given a client that comes again with the clock that it had, when it says so, then it is told to take a newer one', () => {
  const rig = new Rig()
  const client = open(rig, notes('one'))
  rig.settle()
  client.show(encodeAwareness([{ clientId: 5, clock: 3, state: {} }]))
  client.show(encodeAwareness([{ clientId: 5, clock: 5, state: {} }]))
  rig.settle()
  expect(client.presence.flatMap((update) => decodeAwareness(update))).toEqual([
    { clientId: 5, clock: 3, state: {} },
    { clientId: 5, clock: 4, state: null },
    { clientId: 5, clock: 5, state: {} },
  ])
})

test.each([
  ['nothing', '00', '02 05 03 06 01', false],
  ['some of the authors of this life', '02 05 01 09 02', '02 05 03 06 01', false],
  ['none of them', '01 09 02', '02 05 03 06 01', true],
  ['only the seed that this life has, too', '01 01 02', '02 01 02 06 01', false],
  ['the seed and others', '02 01 02 09 01', '02 01 02 06 01', true],
])('[RES7] given a copy with %s, when its client comes to a later life, then it is told apart', (_what, known, held, another) => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(text.split(' ').map((part) => Number.parseInt(part, 16)))
  expect(isOfAnotherLife(bytes(known), bytes(held))).toBe(another)
})

/** Clients that say who they are, as providers do when they connect. */
function openAs(rig: Rig, author: Author, token: string): YClient {
  const client = open(rig, notes('one'), token)
  client.show(encodeAwareness([{ clientId: author.doc.clientID, clock: 1, state: {} }]))
  rig.settle()
  return client
}

/** An author who has what these hold, and writes under this id. */
function posing(clientId: number, updates: readonly Uint8Array[]): Author {
  const author = new Author(99)
  for (const update of updates) author.apply(update)
  author.doc.clientID = clientId
  return author
}

test('[SES2] given somebody who is there, when another writes under their id, then that is not taken, their own edits are, and the rest of what the other sends', () => {
  const rig = new Rig()
  const ada = new Author(1)
  const mallory = new Author(2)
  const [victim, attacker] = [openAs(rig, ada, 'ada'), openAs(rig, mallory, 'mallory')]
  const first = ada.type('a')
  victim.push(first)
  rig.settle()
  mallory.apply(first)
  attacker.push(posing(1, [first]).type('forged'))
  attacker.push(mallory.type('b'))
  rig.settle().advance(40_000)
  victim.push(ada.type('c'))
  rig.settle()
  const stored = textOf(rig.durable.map(({ payload }) => payload))
  expect([...stored].sort().join('')).toBe('abc')
  expect([victim.closedWith, attacker.closedWith]).toEqual([undefined, undefined])
  // Both in one, as a provider sends it when it is asked.
  const both = posing(1, [first, ada.type('d')])
  both.type('forged')
  both.doc.clientID = 2
  const known = Y.encodeStateVector(ada.doc)
  attacker.push(Y.mergeUpdates([Y.encodeStateAsUpdate(both.doc, known), mallory.type('e')]))
  rig.settle()
  expect([...textOf(rig.durable.map(({ payload }) => payload))].sort().join('')).toBe('abce')
})

test('[SES2] given somebody who is there, when another deletes what they wrote, or the same user writes from elsewhere, then that is stored', () => {
  const rig = new Rig()
  const ada = new Author(1)
  const bob = new Author(2)
  const [first, second, tab] = [openAs(rig, ada, 'ada'), openAs(rig, bob, 'bob'), openAs(rig, new Author(3), 'ada')]
  const typed = ada.type('abc')
  first.push(typed)
  bob.apply(typed)
  second.push(bob.edit((doc) => doc.getText('text').delete(1, 1)))
  tab.push(ada.type('d'))
  rig.settle()
  expect(textOf(rig.durable.map(({ payload }) => payload))).toBe('acd')
})

/** A provider: says who it is, sends what it makes, and answers what it is asked. */
class Provider {
  readonly author: Author
  readonly #rig: Rig
  readonly #token: string
  #client: YClient
  #answered = 0
  #clock = 1

  constructor(rig: Rig, clientId: number, token: string) {
    this.author = new Author(clientId)
    this.#rig = rig
    this.#token = token
    this.#client = this.#dial()
  }

  get closedWith(): number | undefined {
    return this.#client.closedWith
  }

  #dial(): YClient {
    const client = open(this.#rig, notes('one'), this.#token, Y.encodeStateVector(this.author.doc))
    client.show(encodeAwareness([{ clientId: this.author.doc.clientID, clock: this.#clock++, state: {} }]))
    this.#answered = 0
    return client
  }

  reconnect(): void {
    this.#client.cut()
    this.#client = this.#dial()
  }

  push(update: Uint8Array): void {
    this.#client.push(update)
  }

  answer(): void {
    this.#client.socket.session.heard()
    for (const frame of this.#client.sent.slice(this.#answered))
      if (frame[0] === 0 && frame[1] === 0) this.push(Y.encodeStateAsUpdate(this.author.doc, new Uint8Array(bytesAt(frame, 2))))
    this.#answered = this.#client.sent.length
  }
}

/** Seconds until the node holds all that these have, while they answer. */
function secondsUntilHeld(rig: Rig, providers: readonly Provider[]): number {
  const all = new Author(99)
  for (const { author } of providers) all.apply(Y.encodeStateAsUpdate(author.doc))
  for (let seconds = 0; ; seconds++) {
    const held = new Author(98)
    for (const { payload } of rig.durable) held.apply(payload)
    if (hex(Y.encodeStateAsUpdate(held.doc)) === hex(Y.encodeStateAsUpdate(all.doc))) return seconds
    if (seconds > 600) throw new Error(`held: ${held.text}, made: ${all.text}`)
    rig.advance(1_000)
    for (const provider of providers) provider.answer()
    rig.settle()
  }
}

test('[SES2] given two who have each what the other has not sent yet, when both send all, then both are stored at once, however their edits build on one another', () => {
  const rig = new Rig()
  const [ada, bob] = [new Provider(rig, 1, 'ada'), new Provider(rig, 2, 'bob')]
  for (let turn = 0; turn < 6; turn++) {
    bob.author.apply(ada.author.type('a'))
    ada.author.apply(bob.author.type('b'))
  }
  rig.settle()
  for (const { author, push } of [ada, bob].map((each) => ({ author: each.author, push: each.push.bind(each) })))
    push(Y.encodeStateAsUpdate(author.doc))
  rig.settle()
  expect(secondsUntilHeld(rig, [ada, bob])).toBeLessThan(2)
})

test('[SES2] given people who edit, send late, pass on what others wrote and come again, when they have had time, then all of it is stored, and nobody was closed', () => {
  const slowest: number[] = []
  for (let seed = 1; seed <= 40; seed++) {
    const random = new SeededRandom(seed)
    const rig = new Rig({ seed })
    const providers = ['ada', 'bob', 'cyd', 'cyd'].map((token, index) => new Provider(rig, index + 1, token))
    rig.settle()
    for (let step = 0; step < 60; step++) {
      const one = random.pick(providers)
      const other = random.pick(providers)
      const roll = random.uint32() % 10
      if (roll < 4) {
        const update = one.author.type(String.fromCharCode(97 + (step % 26)))
        // Some get lost, as on a socket that breaks.
        if (roll < 3) one.push(update)
      } else if (roll < 7) other.author.apply(Y.encodeStateAsUpdate(one.author.doc))
      else if (roll < 8) one.push(Y.encodeStateAsUpdate(one.author.doc))
      else if (roll < 9) one.reconnect()
      else rig.advance(1_000)
      for (const provider of providers) if (random.uint32() % 2 === 0) provider.answer()
      rig.settle()
    }
    for (const provider of providers) provider.reconnect()
    slowest.push(secondsUntilHeld(rig, providers))
    expect(providers.map(({ closedWith }) => closedWith)).toEqual(providers.map(() => undefined))
  }
  expect(Math.max(...slowest)).toBeLessThan(10)
})

test('[SES2] given an edit of somebody who has left, when another has it, then it is taken once the lease of their id is over', () => {
  const rig = new Rig()
  const [ada, bob] = [new Author(1), new Author(2)]
  const [first, second] = [openAs(rig, ada, 'ada'), openAs(rig, bob, 'bob')]
  bob.apply(ada.type('unsent'))
  first.cut()
  second.push(Y.encodeStateAsUpdate(bob.doc))
  rig.settle()
  expect(rig.durable).toEqual([])
  const before = second.sent.length
  for (let seconds = 0; seconds < 70; seconds++) {
    rig.advance(1_000)
    second.socket.session.heard()
  }
  expect(second.sent.slice(before).filter((frame) => frame[0] === 0 && frame[1] === 0)).not.toEqual([])
  second.push(Y.encodeStateAsUpdate(bob.doc))
  rig.settle()
  expect(textOf(rig.durable.map(({ payload }) => payload))).toBe('unsent')
})
