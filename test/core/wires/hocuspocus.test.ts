/** The wire of Hocuspocus: what every wire does, by messages behind their address; and a socket with several documents. The providers themselves are in test/e2e. */

import type { Principal } from '@meridian/core/effects'
import { encodeAwareness } from '@meridian/core/awareness'
import { MeridianError } from '@meridian/core/errors'
import type { Materialiser } from '@meridian/core/materialised'
import type { Outgoing } from '@meridian/core/outgoing'
import type { Asking, SessionSocket } from '@meridian/core/session'
import { HocuspocusSocket, hocuspocusDoor } from '@meridian/core/wires/hocuspocus/socket'
import { hocuspocusWire } from '@meridian/core/wires/hocuspocus/wire'
import { createDecoder, readVarUint8Array } from 'lib0/decoding'
import { expect, test } from 'vitest'
import { registerWireTests } from '../../conformance/wire.js'
import { principal, region, SimSocket } from '../../sim/node.js'
import { SeededRandom } from '../../sim/random.js'
import { Author } from '../../sim/peer.js'
import { Rig } from '../../sim/rig.js'
import { SimMaterialiser } from '../../sim/materialiser.js'

const materialiser = new SimMaterialiser()
const wire = hocuspocusWire(materialiser as unknown as Materialiser)

const text = (value: string): number[] => [value.length, ...Buffer.from(value)]
const bytes = (value: Uint8Array): number[] =>
  value.length < 128 ? [value.length, ...value] : [(value.length & 127) | 128, value.length >> 7, ...value]
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')

/** A socket as the gateway has it. */
class Client implements SessionSocket {
  readonly rig: Rig
  readonly socket: HocuspocusSocket
  readonly sent: string[] = []
  closedWith: { readonly code: number; readonly reason: string } | undefined
  isPaused = false
  readonly bufferedBytes = 0

  constructor(rig: Rig) {
    this.rig = rig
    materialiser.rig = rig
    this.socket = new HocuspocusSocket(rig.node.hub, this, wire, { region, limits: rig.node.limits })
  }

  send(message: Outgoing): void {
    for (const each of message.messages) this.sent.push(hex(each))
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  close(code: number, reason: string): void {
    this.closedWith ??= { code, reason }
  }

  authenticate(token: string, asking: Asking): void {
    this.rig.node.later(() => {
      const answer: Principal | MeridianError = this.rig.node.authenticate(token)
      if (answer instanceof MeridianError) asking.fail(answer)
      else asking.authenticated(answer)
    })
  }

  say(address: string, ...body: readonly number[]): this {
    this.socket.receive(Uint8Array.from([...text(address), ...body]))
    return this
  }

  open(address: string, token = 'user'): this {
    return this.say(address, 2, 0, ...text(token)).say(address, 0, 0, 1, 0)
  }

  push(address: string, update: Uint8Array): this {
    return this.say(address, 0, 2, ...bytes(update))
  }

  /** What came for an address, without it. */
  of(address: string): string[] {
    const prefix = hex(Uint8Array.from(text(address)))
    return this.sent.filter((frame) => frame.startsWith(prefix)).map((frame) => frame.slice(prefix.length))
  }
}

let users = 0

registerWireTests({
  wire,
  door: hocuspocusDoor(wire),
  open(rig, document, token = `user-${++users}`) {
    materialiser.rig = rig
    const socket = new SimSocket(rig.node)
    const address = text(document.slice(document.indexOf('/') + 1))
    const say = (...body: readonly number[]): void => socket.receive(Uint8Array.from([...address, ...body]))
    const sent: Uint8Array[] = []
    socket.listen((message) => sent.push(new Uint8Array(message.subarray(address.length))))
    say(2, 0, ...text(token))
    say(0, 0, 1, 0)
    const payloads = (...type: readonly number[]): Uint8Array[] =>
      sent.flatMap((frame) =>
        type.every((byte, index) => frame[index] === byte) ? [readVarUint8Array(createDecoder(frame.subarray(type.length)))] : [],
      )
    return {
      push: (update) => say(0, 2, ...bytes(update)),
      show: (state) => say(1, ...bytes(state)),
      get received() {
        return [...payloads(0, 1), ...payloads(0, 2)].filter((update) => update.length > 2)
      },
      get presence() {
        return payloads(1)
      },
      get closedWith() {
        return socket.closedWith?.code
      },
      cut: () => socket.cut(),
    }
  },
  state: encodeAwareness([{ clientId: 5, clock: 1, state: { name: 'x' } }]),
  garbage: [[200], [...text('notes/one'), 99], [...text('notes/one'), 0, 2, 9, 1]].map((each) => Uint8Array.from(each)),
})

const scope = (name: string): string => hex(Uint8Array.from([2, 2, ...text(name)]))
const denied = (reason: string): string => hex(Uint8Array.from([2, 1, ...text(reason)]))

test('[LOG1] given an update, when it is durable, then a SyncStatus says so, and not before', () => {
  const rig = new Rig()
  const client = new Client(rig).open('notes/one')
  rig.settle()
  expect(client.of('notes/one')).toEqual([scope('read-write'), '00000100', '0001020000'])
  client.say('notes/one', 0, 1, 2, 0, 0)
  expect(client.of('notes/one').at(-1)).toBe('0801')
  rig.hold('append')
  client.push('notes/one', new Author(1).type('a'))
  rig.settle()
  expect(client.of('notes/one').filter((frame) => frame === '0801')).toHaveLength(1)
  rig.releaseAll()
  expect(client.of('notes/one').filter((frame) => frame === '0801')).toHaveLength(2)
  expect(rig.durable).toHaveLength(1)
})

test('given several documents and sessions on one socket, when one edits, then each answer has its address', () => {
  const rig = new Rig()
  const client = new Client(rig)
  for (const address of ['notes/one\0a', 'notes/one\0b', 'notes/two']) client.open(address)
  rig.settle()
  const before = client.sent.length
  client.push('notes/one\0a', new Author(1).type('a'))
  rig.settle()
  const kinds = (address: string): string[] => client.of(address).map((frame) => frame.slice(0, 4))
  expect(kinds('notes/one\0a').at(-1)).toBe('0801')
  expect(kinds('notes/one\0b').at(-1)).toBe('0002')
  expect(client.sent).toHaveLength(before + 2)
  client.say('notes/one\0b', 7)
  expect(client.closedWith).toBeUndefined()
})

test('given a client that may only read, when it says what it has, then 0 is said of what is new and 1 of what is not', () => {
  const tokens = new Map([['reader', principal('reader', { grants: [{ match: '*', access: 'read' }] })]])
  const rig = new Rig({ tokens })
  const reader = new Client(rig).open('notes/one', 'reader')
  rig.settle()
  reader.say('notes/one', 0, 1, 2, 0, 0)
  reader.push('notes/one', new Author(1).type('a'))
  rig.settle()
  expect(reader.of('notes/one')).toEqual([scope('readonly'), '00000100', '0001020000', '0801', '0800'])
  expect(rig.durable).toEqual([])
})

test('given a token that is not good, when its client goes on to send, then it is told once, and another token opens the document', () => {
  const tokens = new Map([['bad', new MeridianError('TOKEN_INVALID')]])
  const rig = new Rig({ tokens })
  const client = new Client(rig).open('notes/one', 'bad')
  rig.settle()
  client.push('notes/one', new Author(1).type('a'))
  client.say('notes/one', 3)
  rig.settle()
  expect(client.sent).toEqual([hex(Uint8Array.from(text('notes/one'))) + denied('TOKEN_INVALID')])
  expect(client.isPaused).toBe(false)
  client.open('notes/one')
  rig.settle()
  expect(client.of('notes/one')).toContain(scope('read-write'))
  expect(client.closedWith).toBeUndefined()
})

test('[SES3] given more than a greeting before any token was checked, when it comes, then the socket is closed', () => {
  const rig = new Rig()
  const client = new Client(rig)
  for (let count = 0; count < 70; count++) client.push('notes/one', new Uint8Array(1_000))
  expect(client.closedWith?.reason).toBe('FRAME_TOO_LARGE')
})

test.each([
  ['no address', [200]],
  ['a broadcast', [...text('notes/one'), 6, 1, 65]],
  ['an unknown type', [...text('notes/one'), 99]],
  ['bytes that are not there', [...text('notes/one'), 0, 2, 9, 1]],
  ['bytes behind the message', [...text('notes/one'), 3, 3]],
])('given %s, when it comes, then the socket is closed as FRAME_INVALID', (_what, message) => {
  const rig = new Rig()
  const client = new Client(rig).open('notes/one')
  rig.settle()
  client.socket.receive(Uint8Array.from(message))
  expect(client.closedWith?.code).toBe(4400)
})

test('[SES3] given a message that is too large for the socket, when it comes, then apps are told, and the socket is closed', () => {
  const rig = new Rig()
  const client = new Client(rig).open('notes/one')
  rig.settle()
  client.socket.fail(new MeridianError('FRAME_TOO_LARGE'))
  expect(client.of('notes/one').at(-1)).toBe(denied('FRAME_TOO_LARGE'))
  expect(client.closedWith).toEqual({ code: 4413, reason: 'FRAME_TOO_LARGE' })
})

test('[LOG1] given an update whose commit fails, when its client sends it again as asked, then it is told once that it is saved', () => {
  const rig = new Rig()
  const client = new Client(rig).open('notes/one')
  rig.settle()
  client.say('notes/one', 0, 1, 2, 0, 0)
  const saved = (): number => client.of('notes/one').filter((frame) => frame === '0801').length
  expect(saved()).toBe(1)
  rig.hold('append')
  const update = new Author(1).type('a')
  client.push('notes/one', update)
  rig.settle()
  rig.log.failAppend('LOG_UNAVAILABLE', 'lost')
  rig.releaseAll()
  for (let second = 0; second < 3; second++) {
    rig.advance(1_000)
    client.socket.tick(rig.node.clock.now())
    rig.settle()
  }
  expect(saved()).toBe(1)
  expect(client.of('notes/one').at(-1)).toBe('00000100')
  client.say('notes/one', 0, 1, ...bytes(update))
  rig.settle()
  expect(saved()).toBe(2)
})

test('given messages with bytes changed at random, when they come, then nothing throws, and another socket goes on', () => {
  const random = new SeededRandom(7)
  const rig = new Rig()
  const witness = new Client(rig).open('notes/one')
  rig.settle()
  const address = text('notes/one')
  const shapes = [
    [...address, 2, 0, ...text('user')],
    [...address, 0, 0, 1, 0],
    [...address, 0, 2, ...bytes(new Author(1).type('a'))],
    [...address, 1, ...bytes(encodeAwareness([{ clientId: 5, clock: 1, state: {} }]))],
    [...address, 5, ...text('x')],
    [...address, 7],
  ]
  for (let round = 0; round < 2_000; round++) {
    const client = new Client(rig)
    for (const shape of shapes) {
      const message = Uint8Array.from(shape)
      if (random.uint32() % 2 === 0) message[random.uint32() % message.length] = random.uint32() % 256
      client.socket.receive(message)
    }
    rig.settle()
    client.socket.closed()
  }
  const author = new Author(77)
  witness.push('notes/one', author.type('still here'))
  rig.settle()
  expect(witness.of('notes/one').at(-1)).toBe('0801')
})
