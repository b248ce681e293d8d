/** The native wire: what every wire does, and its two answers that carry no document. */

import { nativeWire } from '@meridian/core/wires/native/wire'
import { expect, test } from 'vitest'
import { registerWireTests } from '../../conformance/wire.js'
import { principal } from '../../sim/node.js'
import { Author, notes, payloadsOf, Peer } from '../../sim/peer.js'
import { Rig } from '../../sim/rig.js'

registerWireTests({
  wire: nativeWire,
  open(rig, document, token) {
    const peer = rig.connect().hello(token)
    peer.attach(1, document)
    let counter = 0
    return {
      push: (update) => void peer.push(1, ++counter, update),
      show: (payload) => void peer.send({ type: 'presence', channel: 1, payload }),
      get received() {
        return payloadsOf(peer.frames)
      },
      get presence() {
        return peer.of('presence').map((frame) => frame.payload)
      },
      get closedWith() {
        return peer.socket.closedWith?.code
      },
      cut: () => peer.socket.cut(),
    }
  },
  state: new Uint8Array([1, 2, 3]),
  garbage: [new Uint8Array([1]), new Uint8Array([6, 1, 0]), new Uint8Array([255, 255, 255, 255, 255, 255, 255, 255, 255, 1])],
})

test('[PUSH9] given a channel that is not attached, when pushes come, then each is refused, nothing is stored, and others go on', () => {
  const rig = new Rig()
  const peer: Peer = rig.peer().attach(1, notes('one'))
  rig.settle()
  peer.push(7, 1, new Author(1).type('a')).push(7, 2, new Author(1).type('b')).push(1, 3, new Author(2).type('c'))
  rig.settle()
  expect(peer.of('refused')).toMatchObject([
    { channel: 7, counter: 1, code: 'NOT_ATTACHED' },
    { channel: 7, counter: 2, code: 'NOT_ATTACHED' },
  ])
  expect(peer.of('ack').at(-1)?.counter).toBe(3)
  expect(rig.durable).toHaveLength(1)
})

test('[LIFE3] given a newer token, when it is good, then `granted` says for how long', () => {
  const tokens = new Map([['first', principal('user')]])
  const rig = new Rig({ tokens })
  tokens.set('second', principal('user', { expiresAt: rig.scheduler.nowMs + 60_000 }))
  const peer = rig.connect().hello('first')
  rig.settle()
  peer.send({ type: 'token', token: 'second' })
  rig.settle()
  expect(peer.of('granted')).toEqual([{ type: 'granted', expiresInMs: 60_000 }])
})
