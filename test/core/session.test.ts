/** One client connection: what it is told, in which order, within which bounds. */

import { MeridianError } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import { parseDevice, parseGroup, parseRegion, parseTenant } from '@meridian/core/ids'
import type { LogErrorCode } from '@meridian/core/log'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { encodeFrame, protocolVersion } from '@meridian/core/wires/native/frame'
import type { ServerFrame } from '@meridian/core/wires/native/server-frames'
import { describe, expect, test } from 'vitest'
import { groupOf, principal } from '../sim/node.js'
import { attachFrame, Author, dotsOf, joined, notes, payloadsOf, type Peer, textOf, versionOf } from '../sim/peer.js'
import { Rig, type RigOptions } from '../sim/rig.js'

const one = notes('one')
const two = notes('two')

const goodbye = (peer: Peer): string | undefined => peer.of('goodbye')[0]?.code
const denied = (peer: Peer): string[] => peer.of('denied').map((frame) => `${frame.channel} ${frame.code}`)
const hello = { type: 'hello', protocol: protocolVersion, device: parseDevice('1'.repeat(32)), token: 'user' } as const

function attached(rig: Rig, ...documents: DocumentName[]): Peer {
  const peer = rig.peer()
  documents.forEach((document, index) => peer.attach(index + 1, document))
  rig.settle()
  return peer
}

/** A rig whose document `one` holds these texts, a push each. */
function written(texts: readonly string[], options: RigOptions = {}): { rig: Rig; writer: Peer; author: Author } {
  const rig = new Rig(options)
  const writer = attached(rig, one)
  const author = new Author(1)
  texts.forEach((text, index) => writer.push(1, index + 1, author.type(text)))
  rig.settle()
  return { rig, writer, author }
}

describe('greeting', () => {
  test('[LIFE1] given hello, attach and push in one message, when the token is right, then all are answered in one round trip', () => {
    const rig = new Rig()
    const peer = rig.connect()
    peer.send(
      hello,
      { type: 'attach', channel: 1, engine: 'yjs', document: one, life: 0, cursor: versionOf({}), seen: versionOf({}) },
      { type: 'push', channel: 1, counter: 1, payload: new Author(1).type('a') },
    )
    rig.settle()
    expect(peer.frames.map((frame) => frame.type)).toEqual(['welcome', 'replicas', 'group', 'attached', 'current', 'ack'])
    expect(peer.of('welcome')).toMatchObject([{ subject: 'user', region: 'eu-west', heartbeatMs: 30_000 }])
  })

  test('[LIFE1] given anything but a hello, when it comes first, then goodbye', () => {
    const rig = new Rig()
    const peers = [
      rig.connect().send({ type: 'ping', nonce: 1 }),
      rig.connect().hello().hello(),
      rig.connect().send({ ...hello, protocol: 0 }),
    ]
    rig.settle()
    expect(peers.map(goodbye)).toEqual(['FRAME_INVALID', 'FRAME_INVALID', 'PROTOCOL_UNSUPPORTED'])
    expect(rig.hub.sessionCount).toBe(0)
  })

  test('[LIFE2] given a token that is refused, when it is, then goodbye with its code, and nothing that came behind is done', () => {
    const tokens = new Map([['bad', new MeridianError('TOKEN_INVALID')]])
    const rig = new Rig({ tokens })
    const peer = rig.connect().hello('bad').attach(1, one)
    rig.settle()
    expect(peer.take()).toEqual(['goodbye'])
    expect(peer.socket.closedWith).toMatchObject({ code: 4401 })
    expect([rig.hub.documentCount, rig.hub.sessionCount]).toEqual([0, 0])
  })

  test('[SES3] given n and n + 1 bytes before the token is judged, when they come, then they are kept and FRAME_TOO_LARGE', () => {
    const first = encodeClientFrame(hello)
    for (const extra of [0, 1]) {
      const rig = new Rig({ limits: { greetingBytesMax: first.length + 100 } })
      const peer = rig.connect()
      peer.socket.holdTokens = true
      peer.socket.receive(first)
      const filler = encodeFrame(60, (body) => {
        for (let left = 98 + extra; left > 0; left--) body.cbuf[body.cpos++] = 0
      })
      expect(filler).toHaveLength(100 + extra)
      peer.socket.receive(filler)
      expect(goodbye(peer)).toBe(extra === 0 ? undefined : 'FRAME_TOO_LARGE')
      if (extra > 0) continue
      peer.socket.answerToken('user')
      // Once known, a client may send more.
      peer.socket.receive(joined(...Array.from({ length: 50 }, () => filler)))
      expect([peer.of('welcome').length, goodbye(peer)]).toEqual([1, undefined])
    }
  })

  test('[SES3] given a socket that is not known, when greetingMs less a second and greetingMs have passed, then it stays and HELLO_TIMEOUT', () => {
    for (const say of ['nothing', 'hello'] as const) {
      const rig = new Rig({ limits: { greetingMs: 10_000 } })
      const peer = rig.connect()
      peer.socket.holdTokens = true
      if (say === 'hello') peer.hello()
      rig.advance(9000)
      expect(goodbye(peer)).toBeUndefined()
      rig.advance(1000)
      expect(goodbye(peer)).toBe('HELLO_TIMEOUT')
    }
  })

  test('[SES3] given n sessions, when one more comes, then LIMIT_SESSIONS, and when one of them leaves there is room again', () => {
    const rig = new Rig({ hubLimits: { sessionsMax: 2 } })
    const [first] = [rig.peer(), rig.peer()]
    expect(goodbye(rig.peer())).toBe('LIMIT_SESSIONS')
    expect(rig.hub.sessionCount).toBe(2)
    first?.socket.cut()
    expect(rig.hub.sessionCount).toBe(1)
    expect(goodbye(rig.peer())).toBeUndefined()
  })

  test('[SES3] given every way that a session can end, when it has, then it is counted no more, once', () => {
    const tokens = new Map([
      ['bad', new MeridianError('TOKEN_INVALID')],
      ['short', undefined],
    ] as const)
    const rig = new Rig({ tokens: new Map([['bad', tokens.get('bad') ?? principal('x')]]) })
    const ways: ((peer: Peer) => void)[] = [
      (peer) => peer.socket.cut(),
      (peer) => peer.hello('bad'),
      (peer) =>
        peer
          .hello()
          .send({ type: 'ping', nonce: 1 })
          .socket.receive(new Uint8Array([1])),
      (peer) => peer.hello().socket.session.shutdown(),
      (peer) => peer.socket.session.shutdown(),
      (peer) => {
        peer.hello()
        // A socket that says at once that it is gone.
        peer.socket.onClose = () => peer.socket.session.closed()
        peer.socket.session.shutdown()
        peer.socket.session.closed()
      },
      (peer) => {
        peer.hello().attach(1, one)
        rig.settle()
        peer.socket.cut()
        peer.socket.session.closed()
      },
      () => rig.advance(10_000),
    ]
    for (const way of ways) {
      const peer = rig.connect()
      expect(rig.hub.sessionCount).toBe(1)
      way(peer)
      rig.settle()
      expect(rig.hub.sessionCount, way.toString()).toBe(0)
      expect(rig.hub.documentCount).toBe(0)
    }
  })
})

describe('attaching', () => {
  test('[SES1] given commits at every moment of an attach, when it is answered, then no update comes before `current` and none is missed', () => {
    // Every order in which the disk's answers to the attach and to three commits can come.
    for (let order = 0; order < 3 ** 8; order += 7) {
      const { rig, writer, author } = written(['a', 'b'])
      rig.restart()
      const again = rig.peer(writer.number).attach(1, one)
      rig.settle()
      rig.hold('append', 'openGroup', 'openDocument', 'readDocument', 'readSnapshot')
      const reader = rig.peer().attach(1, one)
      for (const text of ['c', 'd', 'e']) again.push(1, author.text.length + 1, author.type(text))
      rig.settle()
      for (let step = order; rig.pending.length > 0; step = Math.floor(step / 3)) {
        const next = rig.pending[(step % 3) % rig.pending.length]
        if (next !== undefined) rig.release(next.operation, next.phase)
      }
      rig.releaseAll()
      const types = reader.frames.map((frame) => frame.type).filter((type) => type !== 'replicas')
      expect(types.slice(0, 3)).toEqual(['welcome', 'group', 'attached'])
      expect(types.filter((type) => type === 'current').length).toBeGreaterThan(0)
      expect(textOf(payloadsOf(reader.frames))).toBe('abcde')
      expect(inOrder(reader.frames), `order ${order}`).toBe(true)
    }
  })

  test('[SES1] given a cursor that covers the document, when it attaches, then nothing but `current` comes and the log is not read', () => {
    const { rig, writer } = written(['a', 'b'])
    const cursor = attached(rig, one).of('current')[0]?.version
    expect(cursor).toBeDefined()
    rig.hold('readDocument', 'readSnapshot')
    const reader = rig.peer().attach(1, one, { cursor: cursor ?? versionOf({}), life: 1 })
    rig.settle()
    expect(reader.take()).toEqual(['welcome', 'replicas', 'group', 'attached', 'current'])
    expect(writer.of('ack')).not.toEqual([])
  })

  test('[SES1] given a cursor in the middle, when it attaches, then what it lacks comes, from memory and from the log alike', () => {
    for (const restart of [false, true]) {
      const { rig } = written(['a', 'b', 'c'])
      const replica = rig.durable[0]?.replica ?? ''
      if (restart) rig.restart()
      const reader = rig.peer().attach(1, one, { cursor: versionOf({ [replica]: 2 }), life: 1 })
      rig.settle()
      expect(payloadsOf(reader.frames)).toEqual([rig.durable[2]?.payload])
      expect(reader.of('attached')).toMatchObject([{ behind: false }])
    }
  })

  test('[LOG4] given a compaction while an attach reads, when it trims what was about to be read, then the reader starts over at the snapshot', () => {
    for (const tell of ['tell', 'quiet'] as const) {
      const { rig } = written(['a', 'b', 'c'])
      rig.restart().hold('readDocument')
      const reader = rig.peer().attach(1, one)
      rig.settle().compact(one, tell)
      rig.releaseAll()
      expect(reader.of('state')).toHaveLength(1)
      expect(textOf(payloadsOf(reader.frames))).toBe('abc')
      expect(reader.of('current')).toHaveLength(1)
    }
  })

  test('[SES1] given a snapshot and a tail, when somebody with nothing attaches, then one state, the tail and `current` come', () => {
    const { rig, writer, author } = written(['a', 'b'])
    rig.compact(one)
    writer.push(1, 3, author.type('c'))
    rig.settle().restart()
    const reader = attached(rig, one)
    expect(reader.frames.map((frame) => frame.type).slice(3)).toEqual(['attached', 'state', 'replicas', 'update', 'current'])
    expect(textOf(payloadsOf(reader.frames))).toBe('abc')
  })

  test('given a log that fails, when a document is opened, then the attach is denied with the code, and a later one is answered', () => {
    for (const operation of ['openGroup', 'openDocument', 'readDocument', 'readSnapshot'] as const) {
      for (const code of ['LOG_UNAVAILABLE', 'DOCUMENT_DAMAGED'] as const satisfies LogErrorCode[]) {
        const { rig, writer, author } = written(['a'])
        rig.compact(one)
        writer.push(1, 2, author.type('b'))
        rig.settle().restart()
        rig.log.failReads((asked) => (asked === operation ? code : undefined))
        const reader = attached(rig, one)
        expect(denied(reader), operation).toEqual([`1 ${code}`])
        expect(rig.hub.documentCount).toBe(0)
        rig.log.failReads(undefined)
        reader.attach(1, one)
        rig.settle()
        expect(textOf(payloadsOf(reader.frames))).toBe('ab')
      }
    }
  })

  test('[ATT1] given a document that is not there and one that the token does not allow, when they are attached, then the log is not asked for the latter', () => {
    const tokens = new Map([['some', principal('some', { grants: [{ match: 'notes/public*', access: 'read' }] })]])
    const rig = new Rig({ tokens })
    const peer = rig.connect().hello('some')
    rig.settle()
    peer.attach(1, notes('secret')).attach(2, notes('public-1'))
    rig.settle()
    expect(denied(peer)).toEqual(['1 ACCESS_DENIED'])
    expect(peer.of('attached')).toMatchObject([{ channel: 2, access: 'read', behind: false }])
    expect(rig.hub.documentCount).toBe(1)
  })

  test('[ATT1] given a forbidden document that exists and one that does not, when they are attached, then both get the very same answer', () => {
    const tokens = new Map([['none', principal('none', { grants: [] })]])
    const rig = new Rig({ tokens })
    attached(rig, one).push(1, 1, new Author(1).type('a'))
    rig.settle()
    const answers = [one, notes('nowhere')].map((document) => {
      const peer = rig.connect().hello('none').attach(1, document)
      rig.settle()
      return peer.of('denied')
    })
    expect(answers[0]).toEqual(answers[1])
    expect(answers[0]).toHaveLength(1)
  })

  test('[ATT1] given a document of another tenant, when it is attached, then ACCESS_DENIED whatever the patterns say', () => {
    const rig = new Rig({ tokens: new Map([['other', principal('other', { tenant: 'globex' })]]) })
    const peer = rig.connect().hello('other').attach(1, one)
    rig.settle()
    expect(denied(peer)).toEqual(['1 ACCESS_DENIED'])
  })

  test('[ATT6] given a document that may not be here, when it is attached, then a redirect, or NOT_PLACED_HERE if nowhere may serve it', () => {
    const redirects = [{ region: parseRegion('us-east'), url: 'https://us.example' }]
    const rig = new Rig({
      admit: (_verb, document) => ({ kind: 'no', rule: 'r1', redirects: document === one ? redirects : [] }),
    })
    const peer = attached(rig, one, two)
    expect(peer.of('redirect')).toEqual([{ type: 'redirect', channel: 1, redirects }])
    expect(denied(peer)).toEqual(['2 NOT_PLACED_HERE'])
  })

  test('[RES3, RES5] given open documents, when the policy no longer lets them be served, then each is redirected or denied, and its pushes are refused', () => {
    let places: ReadonlySet<DocumentName> = new Set([one, two])
    const redirects = [{ region: parseRegion('us-east'), url: 'https://us.example' }]
    const rig = new Rig({
      admit: (_verb, document) =>
        places.has(document)
          ? { kind: 'yes', group: groupOf(document), epoch: 1, rule: 'r1' }
          : { kind: 'no', rule: 'r2', redirects: document === one ? redirects : [] },
    })
    const peer = attached(rig, one, two)
    peer.push(1, 1, new Author(1).type('a'))
    rig.settle()
    peer.take()
    rig.node.review(parseTenant('elsewhere'))
    rig.node.review(parseTenant('acme'))
    rig.settle()
    expect(peer.take()).toEqual([])
    places = new Set([two])
    rig.node.review(parseTenant('acme'))
    rig.settle()
    expect(peer.of('redirect')).toEqual([{ type: 'redirect', channel: 1, redirects }])
    peer.push(1, 2, new Author(1).type('b')).push(2, 3, new Author(2).type('c'))
    rig.settle()
    expect(peer.of('refused').map(({ code }) => code)).toEqual(['NOT_ATTACHED'])
    places = new Set()
    rig.node.review()
    rig.settle()
    expect(denied(peer)).toEqual(['2 NOT_PLACED_HERE'])
    expect(rig.hub.documentCount).toBe(0)
  })

  test('[RES0] given a document in a group by an earlier policy, when another group is decided, then nothing of it is written or served', () => {
    let group = 'acme/default'
    const rig = new Rig({ admit: () => ({ kind: 'yes', group: parseGroup(group), epoch: 1, rule: 'r1' }) })
    const peer = attached(rig, one)
    group = 'acme/other'
    peer.push(1, 1, new Author(1).type('a'))
    const late = attached(rig, one)
    expect(peer.of('refused').map(({ code }) => code)).toEqual(['NOT_PLACED_HERE'])
    expect(denied(late)).toEqual(['1 NOT_PLACED_HERE'])
    rig.node.review()
    rig.settle()
    expect(denied(peer)).toEqual(['1 NOT_PLACED_HERE'])
  })

  test('[RES2] given countries that token and connection attest, when a document is attached, then the choke point is asked with both', () => {
    const asked: (readonly string[] | undefined)[] = []
    const rig = new Rig({
      admit: (verb, document, attested) => {
        if (verb === 'access') asked.push(attested)
        return { kind: 'yes', group: groupOf(document), epoch: 0, rule: 'r1' }
      },
      country: 'DE',
      tokens: new Map([['at home', principal('user', { country: 'FR' })]]),
    })
    rig.connect().hello('user').attach(1, one)
    rig.connect().hello('at home').attach(1, one)
    rig.settle()
    expect(asked).toEqual([['DE'], ['FR', 'DE']])
  })

  test('given a document of one engine, when it is attached with another, then ENGINE_MISMATCH', () => {
    const { rig } = written(['a'])
    const peer = rig.peer().attach(1, one, { engine: 'automerge' })
    rig.settle()
    expect(denied(peer)).toEqual(['1 ENGINE_MISMATCH'])
  })

  test('[SES3] given n documents, when one more is attached, then LIMIT_DOCUMENTS, and when one is detached there is room', () => {
    const rig = new Rig({ limits: { documentsMax: 2 } })
    const peer = attached(rig, one, two, notes('three'))
    expect(denied(peer)).toEqual(['3 LIMIT_DOCUMENTS'])
    peer.send({ type: 'detach', channel: 1 }).attach(3, notes('three'))
    rig.settle()
    expect(peer.of('attached').map((frame) => frame.channel)).toEqual([1, 2, 3])
  })

  test('given a channel that is taken, when it is attached again, then goodbye FRAME_INVALID', () => {
    const rig = new Rig()
    expect(goodbye(attached(rig, one).attach(1, two))).toBe('FRAME_INVALID')
  })

  test('[SES1] given an attach that waits for the log, when it is detached and another one comes on its channel, then only that is answered', () => {
    const { rig } = written(['a'])
    rig.restart().hold('openDocument', 'openGroup', 'readDocument')
    const peer = rig.peer().attach(1, one).send({ type: 'detach', channel: 1 }).attach(1, two)
    rig.releaseAll()
    expect(peer.frames.map((frame) => frame.type).slice(3)).toEqual(['attached', 'current'])
    expect(payloadsOf(peer.frames)).toEqual([])
  })

  test('[SES3] given n + 1 documents to be read, when the log is slow, then n reads are under way, and all of them come', () => {
    const documents = [notes('one'), notes('two'), notes('three')]
    const rig = new Rig({ limits: { readsMax: 2 } })
    const writer = attached(rig, ...documents)
    documents.forEach((_, index) => writer.push(index + 1, index + 1, new Author(index + 1).type('a')))
    rig.settle().restart()
    const { log } = rig
    const read = log.readDocument.bind(log)
    let begun = 0
    log.readDocument = (...asked) => {
      begun++
      read(...asked)
    }
    rig.hold('readDocument')
    const reader = attached(rig, ...documents)
    expect(begun).toBe(2)
    rig.release('readDocument', 'perform').release('readDocument', 'answer')
    expect(begun).toBe(3)
    rig.releaseAll()
    expect(reader.of('current')).toHaveLength(3)
  })

  test('[SES3] given attaches and detaches in a flood, when the log is slow, then the session keeps none of them', () => {
    const { rig } = written(['a'])
    rig.restart().hold('readDocument')
    const peer = rig.peer()
    for (let channel = 1; channel <= 200; channel++) peer.attach(channel, one).send({ type: 'detach', channel })
    rig.settle()
    expect(peer.socket.session).toMatchObject({ documentCount: 0 })
    expect(rig.pending.length).toBeLessThanOrEqual(4)
    rig.releaseAll()
    expect(rig.hub.documentCount).toBe(0)
  })
})

describe('sealed incarnations', () => {
  test('[LOG5] given closed incarnations, when the group is written again, then a seal goes first and floors are told instead of them', () => {
    const { rig } = written(['a'])
    rig.restart()
    const second = attached(rig, one)
    second.push(1, 1, new Author(2).type('b'))
    rig.settle()
    expect(rig.durable.map((entry) => entry.kind)).toEqual(['update', 'control', 'update'])
    const version = attached(rig, one).of('current')[0]?.version
    expect([...(version?.floors ?? [])]).toEqual([['eu-west', { counter: 1, seal: rig.durable[1]?.chain }]])
    expect([...(version?.sequences ?? [])]).toEqual([[rig.log.replica, 2]])
  })

  test('[LOG5] given an older copy of the store, when a client comes whose cursor goes beyond it, then it is told that the node is behind', () => {
    const { rig, writer, author } = written(['a'])
    const copy = rig.store.copy()
    writer.push(1, 2, author.type('b'))
    rig.settle()
    const cursor = attached(rig, one).of('current')[0]?.version ?? versionOf({})
    rig.restart(copy)
    for (const round of ['before', 'after the seal'] as const) {
      const peer = rig.peer().attach(1, one, { cursor, life: 1 })
      rig.settle()
      expect(peer.of('attached'), round).toMatchObject([{ behind: true }])
      expect(textOf(payloadsOf(peer.frames))).toBe('a')
      if (round === 'before') attached(rig, two).push(1, 1, new Author(2).type('x'))
      rig.settle()
    }
    // The same by the session token alone.
    const peer = rig.peer().attach(1, notes('three'), { seen: cursor })
    rig.settle()
    expect(peer.of('attached')).toMatchObject([{ behind: true }])
  })

  test('[LOG2] given an older copy of the store, when it is written, then no dot is given twice', () => {
    const { rig, writer, author } = written(['a'])
    const copy = rig.store.copy()
    writer.push(1, 2, author.type('b'))
    rig.settle().restart(copy)
    attached(rig, one).push(1, 1, new Author(2).type('x'))
    rig.settle()
    const dots = rig.durable.map((entry) => `${entry.replica}:${entry.sequence}`)
    expect(new Set(dots).size).toBe(dots.length)
  })
})

describe('the stream', () => {
  test('given pushes of several clients in one commit, when it is durable, then each reader gets one message and the writers no echo', () => {
    const rig = new Rig()
    const writers = [attached(rig, one), attached(rig, one)]
    const readers = [attached(rig, one), attached(rig, one)]
    rig.hold('append')
    const authors = [new Author(1), new Author(2)]
    // The first commit goes alone; the second one carries what came meanwhile.
    attached(rig, two).push(1, 1, new Author(3).type('x'))
    rig.settle()
    writers.forEach((writer, index) => {
      const author = authors[index] ?? new Author(9)
      writer.push(1, 1, author.type('a')).push(1, 2, author.type('b'))
    })
    rig.settle()
    const before = [...writers, ...readers].map((peer) => peer.socket.sent.length)
    rig.releaseAll()
    expect([...writers, ...readers].map((peer, index) => peer.socket.sent.length - (before[index] ?? 0))).toEqual([1, 1, 1, 1])
    expect(readers.map((reader) => dotsOf(reader.frames))).toEqual([
      ['0:2', '0:3', '0:4', '0:5'],
      ['0:2', '0:3', '0:4', '0:5'],
    ])
    expect(writers.map((writer) => dotsOf(writer.frames))).toEqual([
      ['0:4', '0:5'],
      ['0:2', '0:3'],
    ])
    expect(readers[0]?.socket.sent.at(-1)).toBe(readers[1]?.socket.sent.at(-1))
    expect(writers.map((writer) => writer.frames.at(-1))).toMatchObject([
      { type: 'ack', counter: 2, sequence: 3, inStream: true },
      { type: 'ack', counter: 2, sequence: 5, inStream: true },
    ])
  })

  test('[ATT3] given one update, when it goes to many readers, then it is one object for all of them', () => {
    const rig = new Rig()
    const writer = attached(rig, one)
    const readers = Array.from({ length: 20 }, () => attached(rig, one))
    writer.push(1, 1, new Author(1).type('a'))
    rig.settle()
    const messages = new Set(readers.map((reader) => reader.socket.sent.at(-1)))
    expect(messages.size).toBe(1)
  })
})

describe('large frames', () => {
  test('[FRAME4] seed 3: given updates of one commit that are large together, when they go out, then each is a frame of its own', () => {
    const rig = new Rig()
    const writer = attached(rig, one)
    const reader = attached(rig, one)
    const author = new Author(1)
    writer.push(1, 1, author.type('a'))
    rig.settle().hold('append')
    for (let counter = 2; counter < 6; counter++) writer.push(1, counter, author.type('x'.repeat(150 * 1024)))
    rig.settle().releaseAll()
    expect(dotsOf(reader.frames)).toEqual(['0:1', '0:2', '0:3', '0:4', '0:5'])
    expect(textOf(payloadsOf(reader.frames))).toBe(author.text)
  })

  test('[FRAME3] given messages of 64 KiB, when a larger update is pushed in pieces, then it passes and no message to others is larger', () => {
    const messageBytesMax = 64 * 1024
    const rig = new Rig({ limits: { messageBytesMax } })
    const writer = attached(rig, one)
    const readers = [attached(rig, one), rig.peer()]
    const author = new Author(1)
    const payload = author.type('x'.repeat(200 * 1024))
    writer.sendLarge({ type: 'push', channel: 1, counter: 1, payload })
    rig.settle()
    readers[1]?.attach(1, one)
    rig.settle()
    for (const reader of readers) {
      expect(payloadsOf(reader.frames)).toEqual([payload])
      expect(Math.max(...reader.socket.sent.map((message) => message.bytes.length))).toBeLessThanOrEqual(messageBytesMax)
    }
  })
})

describe('slow readers', () => {
  const small = { bufferedBytesMax: 1000, readBytes: 600, messageBytesMax: 4096 }

  /** A reader of both documents that does not read, and a writer of both. */
  function stalled(options: RigOptions = {}): { rig: Rig; writer: Peer; reader: Peer; author: Author } {
    const rig = new Rig({ limits: small, ...options })
    const writer = attached(rig, one, two)
    const reader = attached(rig, one, two)
    reader.take()
    reader.socket.held = true
    return { rig, writer, reader, author: new Author(1) }
  }

  test('[SES4] given a reader that does not read, when much is written, then its buffer stays at its mark and the rest is read on from memory', () => {
    const { rig, writer, reader, author } = stalled()
    for (let counter = 1; counter <= 100; counter++) {
      writer.push(1, counter, author.type('some text. '.repeat(4)))
      rig.settle()
    }
    expect(reader.socket.bufferedBytesPeak).toBeLessThan(small.bufferedBytesMax + 200)
    reader.socket.release()
    rig.settle()
    expect(reader.socket.bufferedBytesPeak).toBeLessThan(small.bufferedBytesMax + small.readBytes + 200)
    expect(textOf(payloadsOf(reader.frames))).toBe(author.text)
    expect(dotsOf(reader.frames)).toEqual(Array.from({ length: 100 }, (_, index) => `0:${index + 1}`))
    expect(reader.frames.at(-1)).toMatchObject({ type: 'current' })
  })

  test('[SES4] given a reader that does not read, when memory has dropped what it missed, then it is read on from the log, in log order', () => {
    for (const documents of [[1], [1, 2]]) {
      const { rig, writer, reader, author } = stalled({ hubLimits: { tailBytesMax: 500 } })
      const other = new Author(2)
      for (let counter = 1; counter <= 60; counter++) {
        const channel = documents[counter % documents.length] ?? 1
        writer.push(channel, counter, (channel === 1 ? author : other).type('some text. '.repeat(4)))
        rig.settle()
      }
      reader.socket.release()
      rig.settle()
      expect(dotsOf(reader.frames)).toEqual(Array.from({ length: 60 }, (_, index) => `0:${index + 1}`))
      expect(reader.socket.bufferedBytesPeak).toBeLessThan(small.bufferedBytesMax + small.readBytes + 300)
    }
  })

  test('[SES4] given what a slow reader missed was compacted, when it reads on, then it gets the snapshot and what follows', () => {
    for (const tell of ['tell', 'quiet'] as const) {
      for (const documents of [[1], [1, 2]]) {
        const { rig, writer, reader, author } = stalled({ hubLimits: { tailBytesMax: 500 } })
        const other = new Author(2)
        for (let counter = 1; counter <= 60; counter++) {
          const channel = documents[counter % documents.length] ?? 1
          writer.push(channel, counter, (channel === 1 ? author : other).type('some text. '.repeat(4)))
          rig.settle()
          if (counter === 40) rig.compact(one, tell)
        }
        reader.socket.release()
        rig.settle()
        const states = reader.of('state')
        expect(states.length).toBeGreaterThan(0)
        const handle = states[0]?.handle
        const mine = reader.frames.filter((frame) => 'handle' in frame && frame.handle === handle)
        expect(textOf(payloadsOf(mine))).toBe(author.text)
        const currents = reader.of('current').filter((frame) => frame.handle === handle)
        expect(currents.at(-1)?.version).toEqual(attached(rig, one).of('current')[0]?.version)
      }
    }
  })

  test('[PUSH3] given a slow reader that starts over at a snapshot, when its own push is saved meanwhile, then the ack is not in stream', () => {
    const { rig, writer, reader, author } = stalled({ hubLimits: { tailBytesMax: 500 } })
    const mine = new Author(3)
    reader.push(1, 1, mine.type('mine'))
    for (let counter = 1; counter <= 40; counter++) {
      writer.push(1, counter, author.type('some text. '.repeat(4)))
      rig.settle()
    }
    rig.compact(one, 'quiet')
    rig.hold('openDocument', 'readSnapshot')
    reader.socket.release()
    rig.settle()
    // It knows of the trim, and has nothing of what it missed yet.
    expect(reader.of('state')).toEqual([])
    reader.push(1, 2, mine.type('more'))
    rig.settle()
    expect(reader.of('ack').at(-1)).toMatchObject({ counter: 2, inStream: false })
    rig.releaseAll()
    expect(reader.of('state')).toHaveLength(1)
    expect(reader.frames.at(-1)?.type).toBe('current')
  })

  test('[SES4] given a document that is read on from the log, when another one is written meanwhile, then log order is kept across both', () => {
    const { rig, writer, reader, author } = stalled({ hubLimits: { tailBytesMax: 500 } })
    for (let counter = 1; counter <= 40; counter++) {
      writer.push(1, counter, author.type('some text. '.repeat(4)))
      rig.settle()
    }
    rig.hold('readDocument', 'readGroup')
    reader.socket.release()
    rig.settle()
    writer.push(2, 41, new Author(2).type('effect'))
    rig.settle()
    rig.releaseAll()
    expect(dotsOf(reader.frames)).toEqual(Array.from({ length: 41 }, (_, index) => `0:${index + 1}`))
  })

  test('[SES4] given a reader that opens a document of many entries and does not read, when they are in memory, then its buffer stays bounded', () => {
    const rig = new Rig({ limits: small })
    const writer = attached(rig, one)
    const author = new Author(1)
    for (let counter = 1; counter <= 300; counter++) writer.push(1, counter, author.type('some text. '.repeat(4)))
    rig.settle()
    const reader = rig.peer()
    reader.socket.held = true
    reader.attach(1, one)
    rig.settle()
    expect(reader.socket.bufferedBytesPeak).toBeLessThan(small.bufferedBytesMax + small.readBytes + 300)
    writer.push(1, 301, author.type('more'))
    rig.settle()
    reader.socket.release()
    rig.settle()
    expect(textOf(payloadsOf(reader.frames))).toBe(author.text)
    expect(inOrder(reader.frames)).toBe(true)
  })

  test('[FRAME4] given a state larger than a message, when it is sent, then it comes in pieces within the buffer’s mark, and acks pass between them', () => {
    const rig = new Rig({ limits: { messageBytesMax: 300 * 1024, bufferedBytesMax: 300 * 1024 } })
    const writer = attached(rig, one, two)
    const author = new Author(1)
    writer.push(1, 1, author.type('x'.repeat(290 * 1024)))
    rig.settle()
    writer.push(1, 2, author.type('y'.repeat(290 * 1024)))
    rig.settle()
    writer.push(1, 3, author.type('z'.repeat(290 * 1024)))
    rig.settle().compact(one)
    const reader = rig.peer()
    reader.socket.held = true
    reader.attach(1, one).attach(2, two)
    rig.settle()
    expect(reader.socket.bufferedBytesPeak).toBeLessThan(600 * 1024)
    expect(reader.socket.sent.every((message) => message.bytes.length <= 300 * 1024)).toBe(true)
    writer.push(1, 4, author.type('live'))
    rig.settle()
    for (let round = 0; round < 20; round++) {
      reader.socket.drain()
      rig.settle()
    }
    reader.socket.release()
    rig.settle()
    expect(textOf(payloadsOf(reader.frames))).toBe(author.text)
    expect(inOrder(reader.frames)).toBe(true)
    expect(reader.of('current')).not.toEqual([])
  })

  test('[ATT2] given a large update under way, when its document is detached and attached again, then nothing of the first stream counts for the second', () => {
    const rig = new Rig({ limits: { messageBytesMax: 300 * 1024, bufferedBytesMax: 1000 } })
    const writer = attached(rig, one)
    const author = new Author(1)
    const reader = attached(rig, one)
    reader.socket.held = true
    const texts = ['a'.repeat(2000), 'b', 'c', 'd'.repeat(290 * 1024)]
    texts.forEach((text, index) => {
      writer.push(1, index + 1, author.type(text))
      rig.settle()
    })
    // It has read the first update, and reads on from memory until the buffer is full again.
    reader.socket.drain()
    rig.settle()
    // A client that closed and opened again before anything of that reached it.
    const cursor = versionOf({ [rig.log.replica]: 1 })
    const { session } = reader.socket
    session.receive(encodeClientFrame({ type: 'detach', channel: 1 }))
    session.receive(encodeClientFrame(attachFrame(2, one, { life: 1, cursor })))
    for (let round = 0; round < 20; round++) {
      reader.socket.drain()
      rig.settle()
    }
    const second = reader.frames.slice(reader.frames.findIndex((frame) => frame.type === 'attached' && frame.channel === 2))
    const current = second.findIndex((frame) => frame.type === 'current')
    expect(dotsOf(second.slice(0, current))).toEqual(['0:2', '0:3', '0:4'])
  })

  test('[SES3] given a client that sends and does not read, when its buffer passes the mark, then it is not read from until it reads', () => {
    const rig = new Rig({ limits: { ...small, bufferedBytesMax: 50 } })
    const peer = rig.peer()
    peer.socket.held = true
    for (let nonce = 0; nonce < 100; nonce++) peer.send({ type: 'ping', nonce })
    expect(peer.socket.paused).toBe(true)
    expect(peer.socket.bufferedBytesPeak).toBeLessThan(70)
    expect(peer.socket.unreadCount).toBeGreaterThan(70)
    peer.socket.release()
    rig.settle()
    expect(peer.of('pong')).toHaveLength(100)
  })

  test('[SES3] given pushes beyond what may wait for the log over all sessions, when it is slow, then sessions are not read from, and all are again', () => {
    const rig = new Rig({ hubLimits: { pendingBytesMax: 100 } })
    const peers = Array.from({ length: 5 }, () => attached(rig, one))
    // Known to the log already, so that what follows is admitted at once.
    peers.forEach((peer, index) => peer.push(1, 1, new Author(index + 1).type('a')))
    rig.settle().hold('append')
    peers.forEach((peer, index) => {
      for (let counter = 2; counter < 12; counter++) peer.push(1, counter, new Author(100 * counter + index).type('some text'))
    })
    rig.settle()
    expect(rig.hub.pendingBytes).toBeLessThan(250)
    expect(peers.some((peer) => peer.socket.paused)).toBe(true)
    rig.releaseAll().advance(3000)
    expect(peers.map((peer) => peer.of('ack').at(-1)?.counter)).toEqual([11, 11, 11, 11, 11])
    expect(peers.some((peer) => peer.socket.paused)).toBe(false)
  })
})

describe('signs of life', () => {
  test('[SES3] given a silent client, when silenceMs less a second and silenceMs have passed, then it stays and TIMEOUT', () => {
    const rig = new Rig({ limits: { silenceMs: 60_000 } })
    const peer = rig.peer()
    const lively = rig.peer()
    rig.advance(59_000)
    lively.send({ type: 'ping', nonce: 7 })
    expect([goodbye(peer), lively.of('pong')]).toMatchObject([undefined, [{ nonce: 7 }]])
    rig.advance(1000)
    expect([goodbye(peer), goodbye(lively)]).toEqual(['TIMEOUT', undefined])
  })

  test('[LIFE4] given a slow client that is read from no more, when it takes a byte now and then, then it lives, and when it takes none, then TIMEOUT', () => {
    const rig = new Rig({ limits: { silenceMs: 10_000, bufferedBytesMax: 100 } })
    const slow = rig.peer()
    const dead = rig.peer()
    for (const peer of [slow, dead]) {
      peer.socket.held = true
      for (let nonce = 0; nonce < 100; nonce++) peer.send({ type: 'ping', nonce })
      expect(peer.socket.paused).toBe(true)
    }
    for (let round = 0; round < 6; round++) {
      rig.advance(4000)
      slow.socket.drain(10)
    }
    expect([slow.socket.closedWith, dead.socket.closedWith?.code]).toEqual([undefined, 4408])
    slow.socket.release()
    // It may need a moment to say something.
    rig.advance(1000)
    expect(slow.socket.closedWith).toBeUndefined()
  })
})

describe('tokens', () => {
  const later = (rig: Rig, milliseconds: number): number => rig.scheduler.nowMs + milliseconds

  test('[LIFE3] given a token that ends, when it has, then TOKEN_EXPIRED, unless a newer one came', () => {
    const tokens = new Map<string, ReturnType<typeof principal>>()
    const rig = new Rig({ tokens })
    tokens.set('short', principal('ann', { expiresAt: later(rig, 5000) }))
    tokens.set('long', principal('ann', { expiresAt: later(rig, 60_000) }))
    const [peer, renewed] = [rig.connect().hello('short'), rig.connect().hello('short')]
    rig.advance(4000)
    renewed.send({ type: 'token', token: 'long' })
    rig.settle()
    expect(goodbye(peer)).toBeUndefined()
    rig.advance(1000)
    expect([goodbye(peer), goodbye(renewed)]).toEqual(['TOKEN_EXPIRED', undefined])
  })

  test('[LIFE3] given a newer token, when it allows less, then documents are denied or become read-only at once, and pushes with them', () => {
    const tokens = new Map([
      ['all', principal('ann')],
      ['less', principal('ann', { grants: [{ match: 'notes/one', access: 'read' }] })],
    ])
    const rig = new Rig({ tokens })
    const peer = rig.connect().hello('all').attach(1, one).attach(2, two)
    rig.settle()
    peer.send({ type: 'token', token: 'less' })
    rig.settle()
    expect(denied(peer)).toEqual(['2 ACCESS_DENIED'])
    peer.push(1, 1, new Author(1).type('a'))
    rig.settle()
    expect(peer.of('refused')).toMatchObject([{ counter: 1, code: 'WRITE_DENIED' }])
    attached(rig, two).push(1, 1, new Author(2).type('b'))
    rig.settle()
    expect(payloadsOf(peer.frames)).toEqual([])
  })

  test('[LIFE3] given a newer token of somebody else, of another tenant or a bad one, when it comes, then goodbye', () => {
    const tokens = new Map<string, ReturnType<typeof principal> | MeridianError>([
      ['ann', principal('ann')],
      ['bob', principal('bob')],
      ['other', principal('ann', { tenant: 'globex' })],
      ['bad', new MeridianError('TOKEN_INVALID')],
    ])
    for (const token of ['bob', 'other', 'bad']) {
      const rig = new Rig({ tokens })
      const peer = rig.connect().hello('ann').attach(1, one)
      rig.settle()
      peer.send({ type: 'token', token })
      rig.settle()
      expect(goodbye(peer)).toBe('TOKEN_INVALID')
      expect(rig.hub.documentCount).toBe(0)
    }
  })

  test('[SES3] given a token that is being judged, when another one comes, then goodbye', () => {
    const rig = new Rig()
    const peer = rig.peer(1)
    peer.send({ type: 'token', token: 'user-1' }, { type: 'token', token: 'user-1' })
    expect(goodbye(peer)).toBe('FRAME_INVALID')
  })
})

describe('erasing', () => {
  const erase = (rig: Rig, document: DocumentName): void => rig.hub.erase(rig.hub.open(document, groupOf(document)), 0)

  test('[RES7] given sessions that have a document open, when it is erased, then all of them are told, and whoever attaches later', () => {
    const { rig, writer } = written(['a'])
    const reader = attached(rig, one)
    erase(rig, one)
    expect([...writer.of('erased'), ...reader.of('erased')]).toEqual([])
    rig.settle()
    for (const peer of [writer, reader, attached(rig, one)]) expect(peer.of('erased')).toMatchObject([{ channel: 1, life: 1 }])
    rig.restart()
    expect(attached(rig, one).of('erased')).toMatchObject([{ channel: 1, life: 1 }])
  })

  test('[RES7] given an erase that is on its way, when a push comes, then nothing of it is logged behind the erase', () => {
    const { rig, writer, author } = written(['a'])
    rig.hold('append')
    erase(rig, one)
    rig.settle()
    writer.push(1, 2, author.type('b'))
    rig.settle().releaseAll()
    expect(rig.durable.map((entry) => entry.kind)).toEqual(['update', 'erase'])
    expect(writer.of('erased')).toHaveLength(1)
    expect(writer.of('ack').map((ack) => ack.counter)).toEqual([1])
    expect(writer.of('refused')).toMatchObject([{ counter: 2, code: 'ERASED' }])
  })

  test('[RES7] given an erase whose commit fails, when pushes waited behind it, then they go on, and nobody was told', () => {
    const { rig, writer, author } = written(['a'])
    rig.hold('append')
    erase(rig, one)
    rig.settle()
    writer.push(1, 2, author.type('b'))
    rig.settle()
    rig.log.failAppend('LOG_UNAVAILABLE', 'lost')
    rig.releaseAll()
    expect([writer.of('erased'), rig.durable.map((entry) => entry.kind)]).toEqual([[], ['update', 'update']])
    expect(writer.of('ack').at(-1)).toMatchObject({ counter: 2 })
  })

  test('[RES7] given a push that is being committed, when an erase follows it, then it is acked, and its writer told that the document is erased', () => {
    const { rig, writer, author } = written(['a'])
    rig.hold('append')
    writer.push(1, 2, author.type('b'))
    rig.settle()
    erase(rig, one)
    rig.settle().releaseAll()
    expect(writer.of('ack').map((ack) => ack.counter)).toEqual([1, 2])
    expect(writer.of('erased')).toHaveLength(1)
    expect(rig.hub.documentCount).toBe(0)
  })

  test('[RES7] given a document that nobody has open, when it is erased, then nothing of it stays in memory', () => {
    const { rig, writer } = written(['a'])
    writer.send({ type: 'detach', channel: 1 })
    rig.settle()
    erase(rig, one)
    rig.settle()
    expect(rig.durable.map((entry) => entry.kind)).toEqual(['update', 'erase'])
    expect(rig.hub.documentCount).toBe(0)
  })

  test('[RES7] given an erase that failed and is durable all the same, when the log goes on, then everybody is told', () => {
    const { rig, writer } = written(['a'])
    rig.log.failAppend('LOG_UNAVAILABLE', 'kept')
    erase(rig, one)
    rig.settle()
    expect(writer.of('erased')).toEqual([])
    attached(rig, two).push(1, 1, new Author(2).type('x'))
    rig.settle()
    expect(writer.of('erased')).toHaveLength(1)
  })
})

describe('presence', () => {
  const state = (text: string): Uint8Array => new TextEncoder().encode(text)
  const seen = (peer: Peer): string[] =>
    peer.of('presence').map((frame) => `${frame.subject} ${new TextDecoder().decode(frame.payload)}`)

  test('[SES6] given a presence state, when it is sent, then others get it under the name that the node knows, and it is not logged', () => {
    const rig = new Rig()
    const [ann, bob] = [attached(rig, one), attached(rig, one)]
    ann.send({ type: 'presence', channel: 1, payload: state('subject: root') })
    rig.settle()
    expect([seen(bob), seen(ann)]).toEqual([['user-1 subject: root'], []])
    expect(rig.durable).toEqual([])
    const late = attached(rig, one)
    expect(seen(late)).toEqual(['user-1 subject: root'])
  })

  test('[SES6] given a presence state, when its session ends in any way, then others are told that it is gone', () => {
    for (const end of [
      (peer: Peer) => peer.socket.cut(),
      (peer: Peer) => peer.send({ type: 'detach', channel: 1 }),
      (peer: Peer) => peer.send({ type: 'presence', channel: 1, payload: new Uint8Array() }),
      (peer: Peer) => peer.socket.session.shutdown(),
      (peer: Peer) => peer.socket.receive(new Uint8Array([255])),
    ]) {
      const rig = new Rig()
      const [ann, bob] = [attached(rig, one), attached(rig, one)]
      ann.send({ type: 'presence', channel: 1, payload: state('here') })
      end(ann)
      rig.settle()
      expect(seen(bob)).toEqual(['user-1 here', 'user-1 '])
      expect(seen(attached(rig, one))).toEqual([])
    }
  })

  test('[SES3] given n and n + 1 bytes of presence, when they are sent, then they pass and LIMIT_PRESENCE', () => {
    const rig = new Rig({ limits: { presenceBytesMax: 10 } })
    const [ann, bob] = [attached(rig, one), attached(rig, one)]
    ann.send({ type: 'presence', channel: 1, payload: new Uint8Array(10).fill(65) })
    expect([seen(bob), goodbye(ann)]).toEqual([[`user-1 ${'A'.repeat(10)}`], undefined])
    ann.send({ type: 'presence', channel: 1, payload: new Uint8Array(11) })
    expect(goodbye(ann)).toBe('LIMIT_PRESENCE')
  })

  test('[SES6] given a flood of presence, when n a second have gone, then the newest of the rest goes a second later, once', () => {
    const rig = new Rig({ limits: { presencePerSecond: 3 } })
    const [ann, bob] = [attached(rig, one), attached(rig, one)]
    for (let index = 1; index <= 50; index++) ann.send({ type: 'presence', channel: 1, payload: state(`${index}`) })
    rig.settle()
    expect(seen(bob)).toEqual(['user-1 1', 'user-1 2', 'user-1 3'])
    rig.advance(1000)
    expect(seen(bob).slice(3)).toEqual(['user-1 50'])
    rig.advance(3000)
    expect(seen(bob)).toHaveLength(4)
  })

  test('[SES6] given a reader that does not read, when presence floods, then nothing of it is kept for that one', () => {
    const rig = new Rig({ limits: { presencePerSecond: 1000, bufferedBytesMax: 200 } })
    const [ann, bob] = [attached(rig, one), attached(rig, one)]
    bob.socket.held = true
    for (let index = 0; index < 500; index++) ann.send({ type: 'presence', channel: 1, payload: state(`state ${index}`) })
    rig.settle()
    expect(bob.socket.bufferedBytesPeak).toBeLessThan(250)
  })
})

describe('the end', () => {
  test('[LIFE5] given a node that stops, when what is under way is acked, then everybody is told DRAINING with close code 1012', () => {
    const rig = new Rig()
    const peer = attached(rig, one)
    rig.hold('append')
    peer.push(1, 1, new Author(1).type('a'))
    rig.settle()
    let idle = false
    rig.hub.whenIdle(() => {
      idle = true
    })
    expect(idle).toBe(false)
    rig.releaseAll()
    expect(idle).toBe(true)
    for (const socket of [...rig.node.sessions]) socket.session.shutdown()
    rig.hub.close()
    expect(peer.frames.map((frame) => frame.type).slice(-2)).toEqual(['ack', 'goodbye'])
    expect(peer.of('goodbye')).toMatchObject([{ code: 'DRAINING', retry: 'now' }])
    expect(peer.socket.closedWith?.code).toBe(1012)
    expect([rig.hub.sessionCount, rig.hub.documentCount]).toEqual([0, 0])
  })

  test('given a defect of the node, when a frame meets it, then its sender is told INTERNAL and not that its bytes are wrong', () => {
    const rig = new Rig({
      admit: () => {
        throw new TypeError('a defect')
      },
    })
    const peer = attached(rig, one)
    expect(goodbye(peer)).toBe('INTERNAL')
    expect(goodbye(rig.peer())).toBeUndefined()
  })

  test('[FRAME2] given a frame of an unknown type, when it comes, then it is skipped; bytes left over in a known one are an error', () => {
    const rig = new Rig()
    const peer = rig.peer()
    peer.socket.receive(
      joined(
        encodeFrame(60, (body) => body.cbuf.fill(0)),
        encodeClientFrame({ type: 'ping', nonce: 1 }),
      ),
    )
    expect([peer.of('pong').length, goodbye(peer)]).toEqual([1, undefined])
    peer.socket.receive(new Uint8Array([8, 2, 1, 1]))
    expect(goodbye(peer)).toBe('FRAME_INVALID')
  })

  test('[SES3] given a message of n and n + 1 bytes, when it comes, then it is read and FRAME_TOO_LARGE', () => {
    for (const extra of [0, 1]) {
      const rig = new Rig({ limits: { messageBytesMax: 1000 } })
      const peer = rig.peer()
      peer.socket.receive(joined(new Uint8Array([60, 0xe5, 7]), new Uint8Array(997)))
      expect(goodbye(peer)).toBeUndefined()
      peer.socket.receive(joined(new Uint8Array([60, 0xe5 + extra, 7]), new Uint8Array(997 + extra)))
      expect(goodbye(peer)).toBe(extra === 0 ? undefined : 'FRAME_TOO_LARGE')
    }
  })

  test('[SES3] given a frame of n and n + 1 bytes in fragments, when it comes, then it is put together and FRAME_TOO_LARGE', () => {
    const updateBytesMax = 300 * 1024
    const head = 6
    for (const extra of [0, 1]) {
      const rig = new Rig({ limits: { updateBytesMax } })
      const peer = attached(rig, one)
      peer.sendLarge({ type: 'push', channel: 1, counter: 1, payload: new Uint8Array(updateBytesMax + 1024 - head + extra) })
      rig.settle()
      expect(goodbye(peer)).toBe(extra === 0 ? undefined : 'FRAME_TOO_LARGE')
      expect(peer.of('refused').map((frame) => frame.code)).toEqual(extra === 0 ? ['UPDATE_TOO_LARGE'] : [])
    }
  })
})

/** No update of a document stands between its `attached` and what it lacked, and nothing comes for it before `attached`. */
function inOrder(frames: readonly ServerFrame[]): boolean {
  const state = new Map<number, 'receiving' | 'current'>()
  let last = 0
  for (const frame of frames) {
    if (frame.type === 'attached') {
      state.set(frame.handle, 'receiving')
      last = 0
    }
    if (frame.type === 'current') state.set(frame.handle, 'current')
    if (frame.type !== 'update') continue
    if (!state.has(frame.handle)) return false
    // In the order of the log, but for what is sent again.
    if (frame.sequence > last + 1 && last !== 0) return false
    last = Math.max(last, frame.sequence)
  }
  return true
}
