/** The gateway with real sockets: what a client may do, and what it costs nobody else when it does something else. */

import { randomBytes } from 'node:crypto'
import { putVarUint, varUintLength } from '@meridian/core/bytes'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { MeridianNode } from '@meridian/server/node'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { attach, hello, RawClient } from '../support/raw-client.js'
import { RawSocket, rawWebSocket, upgradeRequest, webSocketFrame } from '../support/raw-socket.js'
import { startTestNode, useTestNode } from '../support/running-node.js'

const KiB = 1024

/** A frame of a type that no version knows, `length` bytes in all: it is skipped, and fills a message. */
function filler(length: number): Uint8Array {
  for (let body = length - 3; body > 0; body--) {
    if (1 + varUintLength(body) + body !== length) continue
    const frame = new Uint8Array(length)
    putVarUint(frame, putVarUint(frame, 0, 50), body)
    return frame
  }
  throw new Error(`no frame has ${length} bytes`)
}

/** A message of exactly `length` bytes that begins with a hello. */
function greetingOf(length: number): Uint8Array {
  const first = encodeClientFrame(hello())
  return Buffer.concat([first, filler(length - first.length)])
}

/** One update a text, of an author of its own. */
function updateOf(text: string, clientID = 1): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = clientID
  doc.getText('t').insert(0, text)
  return Y.encodeStateAsUpdate(doc)
}

async function metric(node: MeridianNode, name: string): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text()
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.split(' ')[1])
}

/** The node still serves: a client comes in, writes and is acked. */
async function expectServing(node: MeridianNode): Promise<void> {
  const client = await new RawClient(node.url).greet()
  client.send(attach(1, 'dev/notes/serving'), {
    type: 'push',
    channel: 1,
    counter: Date.now(),
    payload: updateOf('x', Math.floor(Math.random() * 2 ** 31)),
  })
  await client.frame('ack')
  client.socket.close()
  await client.closed
}

describe('a session over a real socket', () => {
  const shared = useTestNode()

  it('[LOG1, SES1] given two clients, when one pushes, then it is acked and the other gets the update, and the writer no echo', async () => {
    const node = shared()
    const writer = await new RawClient(node.url).greet()
    const reader = await new RawClient(node.url).greet()
    writer.send(attach(1, 'dev/notes/1'))
    reader.send(attach(7, 'dev/notes/1'))
    await Promise.all([writer.frame('current'), reader.frame('current')])
    const payload = updateOf('hello')
    writer.send({ type: 'push', channel: 1, counter: 1, payload })
    expect(await writer.frame('ack')).toMatchObject({ counter: 1, sequence: 1, inStream: true })
    const update = await reader.frame('update')
    expect(Buffer.from(update.payload).equals(payload)).toBe(true)
    expect(writer.frames.map((frame) => frame.type)).not.toContain('update')
  })

  it('[SES3] a large update goes out and comes in as fragments that fit into messages', async () => {
    const node = shared()
    const payload = updateOf('x'.repeat(3 * KiB * KiB))
    const writer = await new RawClient(node.url).greet()
    writer.send(attach(1, 'dev/notes/large'))
    await writer.frame('current')
    const { fragments } = await import('@meridian/core/wires/native/frame')
    for (const piece of fragments(encodeClientFrame({ type: 'push', channel: 1, counter: 1, payload }), 1024 * 1024))
      writer.socket.send(piece)
    await writer.frame('ack')
    const reader = await new RawClient(node.url).greet()
    let largest = 0
    reader.socket.on('message', (data: Buffer) => {
      largest = Math.max(largest, data.length)
    })
    reader.send(attach(1, 'dev/notes/large'))
    await reader.frame('current')
    expect(Buffer.from((await reader.frame('update')).payload).equals(payload)).toBe(true)
    expect(largest).toBeLessThanOrEqual(KiB * KiB)
  })

  it('echoes the subprotocol meridian.v1 and no other, and takes no compression', async () => {
    const node = shared()
    const socket = await new RawSocket(node.port).connected()
    const offers = {
      'Sec-WebSocket-Protocol': 'bearer.secret, meridian.v1',
      'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
    }
    const answer = await socket.write(upgradeRequest(offers)).until('\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 101 /)
    expect(answer).toMatch(/Sec-WebSocket-Protocol: meridian\.v1\r\n/)
    expect(answer.toLowerCase()).not.toContain('extensions')
    const other = await new RawSocket(node.port).connected()
    expect(await other.write(upgradeRequest({ 'Sec-WebSocket-Protocol': 'bearer.secret' })).until('\r\n\r\n')).not.toContain(
      'Sec-WebSocket-Protocol',
    )
  })
})

describe('before a client is known', () => {
  const shared = useTestNode({ 'limits.closeMs': '100' })

  it('[SES3] given greetingBytesMax bytes, then it is welcome; given one more, then FRAME_TOO_LARGE', async () => {
    const { node } = await startTestNode({ 'limits.greetingBytesMax': '65600' })
    const exact = await new RawClient(node.url).open()
    exact.socket.send(greetingOf(65_600))
    await exact.frame('welcome')
    const over = await new RawClient(node.url).open()
    over.socket.send(greetingOf(65_601))
    expect(await over.frame('goodbye')).toMatchObject({ code: 'FRAME_TOO_LARGE', retry: 'never' })
    expect(await over.closed).toEqual({ code: 4413, reason: 'FRAME_TOO_LARGE' })
  })

  it('[SES3] given a message that never ends, then no more than greetingBytesMax of it is taken', async () => {
    const node = shared()
    const socket = await rawWebSocket(node)
    socket.write(webSocketFrame(new Uint8Array(0), { length: KiB * KiB }))
    for (let index = 0; index < 80 && socket.socket.writable; index++) socket.write(new Uint8Array(KiB))
    expect(await socket.rest()).toContain('FRAME_TOO_LARGE')
    await expectServing(node)
  })

  it('[SES3] given a message in endless fragments, or pings without end, then they count as well', async () => {
    const node = shared()
    const fragments = await rawWebSocket(node)
    fragments.write(webSocketFrame(new Uint8Array(KiB), { final: false }))
    const fragment = webSocketFrame(new Uint8Array(KiB), { opcode: 0, final: false })
    for (let index = 0; index < 80 && fragments.socket.writable; index++) fragments.write(fragment)
    expect(await fragments.rest()).toContain('FRAME_TOO_LARGE')
    // Pings that come faster than they can be answered end the socket; slower ones count.
    const pings = await rawWebSocket(node)
    const ping = webSocketFrame(new Uint8Array(100), { opcode: 9 })
    for (let index = 0; index < 800 && pings.socket.writable; index++) pings.write(ping)
    await pings.closed
  })

  it('[SES3] given a socket that says nothing after its upgrade, then HELLO_TIMEOUT', async () => {
    const { node } = await startTestNode({ 'limits.greetingMs': '100' })
    const client = await new RawClient(node.url).open()
    expect(await client.frame('goodbye')).toMatchObject({ code: 'HELLO_TIMEOUT', retry: 'backoff' })
    expect((await client.closed).code).toBe(4408)
  })

  it('[SES3] given connections that say nothing at all, or a header letter by letter, then they are closed', async () => {
    const { node } = await startTestNode({ 'limits.requestMs': '500' })
    const silent = await new RawSocket(node.port).connected()
    const slow = await new RawSocket(node.port).connected()
    slow.write('GET /healthz HTTP/1.1\r\nHost: 127')
    await Promise.all([silent.closed, slow.closed])
    expect(slow.text).toMatch(/^(HTTP\/1\.1 408 |$)/)
    await expectServing(node)
  })

  it('[SES3] given more unknown sockets than greetingSocketsMax, then the oldest give way and an honest client comes in', async () => {
    const { node } = await startTestNode({ 'limits.greetingSocketsMax': '10' })
    const known = await new RawClient(node.url).greet()
    const silent = await Promise.all(Array.from({ length: 10 }, () => new RawSocket(node.port).connected()))
    const upgraded = await Promise.all(Array.from({ length: 10 }, () => rawWebSocket(node)))
    await Promise.all(silent.map((socket) => socket.closed))
    await expectServing(node)
    expect(await metric(node, 'meridian_unknown_sockets')).toBeLessThanOrEqual(10)
    expect(await metric(node, 'meridian_evicted_sockets_total')).toBeGreaterThanOrEqual(10)
    expect(upgraded.filter((socket) => !socket.socket.destroyed).length).toBeLessThanOrEqual(10)
    known.send({ type: 'ping', nonce: 5 })
    expect(await known.frame('pong')).toMatchObject({ nonce: 5 })
  })

  it('[SES3] given more sessions than sessionsMax, then LIMIT_SESSIONS, and the others go on', async () => {
    const { node } = await startTestNode({ 'limits.sessionsMax': '2' })
    const first = await new RawClient(node.url).greet()
    const second = await new RawClient(node.url).greet()
    const third = await new RawClient(node.url).open()
    expect(await third.frame('goodbye')).toMatchObject({ code: 'LIMIT_SESSIONS', retry: 'backoff' })
    expect((await third.closed).code).toBe(4429)
    second.socket.close()
    await second.closed
    await expectServing(node)
    first.send({ type: 'ping', nonce: 1 })
    await first.frame('pong')
  })
})

describe('messages that are not right', () => {
  const shared = useTestNode({ 'limits.requestMs': '500', 'limits.closeMs': '100' })

  it('[SES3] given a message of messageBytesMax, then it is taken; given one more byte, then FRAME_TOO_LARGE', async () => {
    const { node } = await startTestNode({ 'limits.messageBytesMax': String(64 * KiB) })
    const client = await new RawClient(node.url).greet()
    client.socket.send(filler(64 * KiB))
    client.send({ type: 'ping', nonce: 9 })
    await client.frame('pong')
    client.socket.send(filler(64 * KiB + 1))
    expect(await client.frame('goodbye')).toMatchObject({ code: 'FRAME_TOO_LARGE' })
    expect(await client.closed).toEqual({ code: 4413, reason: 'FRAME_TOO_LARGE' })
  })

  it('given a header that claims 2^62 bytes, then it ends at the header', async () => {
    const node = shared()
    const client = await rawWebSocket(node)
    client.write(webSocketFrame(encodeClientFrame(hello())))
    await client.until('eu-west#')
    const header = webSocketFrame(new Uint8Array(0), { length: 65_536 })
    header.writeBigUInt64BE(2n ** 62n, 2)
    client.write(header)
    expect(await client.rest()).toContain('FRAME_TOO_LARGE')
  })

  it.each([
    ['a text message', webSocketFrame(Buffer.from('hello'), { opcode: 1 })],
    ['text that is no UTF-8', webSocketFrame(Buffer.from([0xff, 0xfe]), { opcode: 1 })],
    ['a compressed message, which nobody agreed on', webSocketFrame(Buffer.from([1, 2, 3]), { reserved: 4 })],
    ['a message without a mask', webSocketFrame(Buffer.from([1, 2, 3]), { masked: false })],
    ['an opcode that is none', webSocketFrame(Buffer.from([1]), { opcode: 5 })],
    ['a continuation of nothing', webSocketFrame(Buffer.from([1]), { opcode: 0 })],
    ['a ping in pieces', webSocketFrame(Buffer.from([1]), { opcode: 9, final: false })],
    ['a ping that is too long', webSocketFrame(Buffer.alloc(126), { opcode: 9 })],
    ['a close with half a code', webSocketFrame(Buffer.from([3]), { opcode: 8 })],
    ['a frame that ends beyond its message', webSocketFrame(Buffer.from([6, 200, 1]))],
    ['a second hello', webSocketFrame(encodeClientFrame(hello()))],
  ])('given %s, then FRAME_INVALID, for that client only', async (_, bytes) => {
    const node = shared()
    const client = await rawWebSocket(node)
    client.write(webSocketFrame(encodeClientFrame(hello())))
    await client.until('eu-west#')
    client.write(bytes)
    const answer = await client.rest()
    expect(answer).toContain('[FRAME_INVALID]')
    // The close frame: opcode 8, then 4400 and the code.
    expect(answer).toContain(`\x88\x0f${String.fromCharCode(4400 >> 8, 4400 & 255)}FRAME_INVALID`)
    await expectServing(node)
  })

  it('[SES3] given more fragments than fragmentsMax, then FRAME_INVALID', async () => {
    const { node } = await startTestNode({ 'limits.fragmentsMax': '4' })
    const greeting = encodeClientFrame(hello())
    const inPieces = (count: number): Buffer =>
      Buffer.concat(
        Array.from({ length: count }, (_, index) => {
          const payload = index === 0 ? greeting : new Uint8Array(0)
          return webSocketFrame(payload, { opcode: index === 0 ? 2 : 0, final: index === count - 1 })
        }),
      )
    const four = await rawWebSocket(node)
    expect(await four.write(inPieces(4)).until('eu-west#')).toContain('eu-west#')
    const five = await rawWebSocket(node)
    expect(await five.write(inPieces(5)).rest()).toContain('[FRAME_INVALID]')
  })

  it('given random bytes before and after the upgrade, then the node goes on', async () => {
    const node = shared()
    const plain = Array.from({ length: 20 }, async () => {
      const socket = await new RawSocket(node.port).connected()
      socket.write(randomBytes(2_000))
      await socket.closed
    })
    const upgraded = Array.from({ length: 40 }, async (_, index) => {
      const socket = await rawWebSocket(node)
      if (index % 2 === 0) socket.write(webSocketFrame(encodeClientFrame(hello())))
      socket.write(index % 4 < 2 ? randomBytes(500) : webSocketFrame(randomBytes(500)))
      socket.socket.end()
      await socket.closed
    })
    await Promise.all([...plain, ...upgraded])
    await expectServing(node)
  })

  it('given sockets that reset in the middle, then the node goes on', async () => {
    const node = shared()
    for (const part of ['', 'GET /v1/', upgradeRequest(), `${upgradeRequest()}\x82`]) {
      const socket = await new RawSocket(node.port).connected()
      socket.write(part)
      socket.socket.resetAndDestroy()
      await socket.closed
    }
    await expectServing(node)
  })
})

describe('upgrades that are not right', () => {
  const shared = useTestNode({ allowedOrigins: 'https://app.example' })

  it.each([
    ['another path', upgradeRequest({}, '/v2/sync'), 404, 'Not found'],
    ['a path below it', upgradeRequest({}, '/v1/sync/more'), 404, 'Not found'],
    ['the origin of a page elsewhere', upgradeRequest({ Origin: 'https://evil.example' }), 403, 'ORIGIN_DENIED'],
    ['the origin null', upgradeRequest({ Origin: 'null' }), 403, 'ORIGIN_DENIED'],
    ['a name that is not ours', upgradeRequest({ Host: 'rebound.example' }), 421, 'Misdirected'],
    ['no name', upgradeRequest({ Host: '' }), 421, 'Misdirected'],
    ['no key', upgradeRequest({ 'Sec-WebSocket-Key': '' }), 400, 'Sec-WebSocket-Key'],
    ['another version', upgradeRequest({ 'Sec-WebSocket-Version': '7' }), 400, 'Sec-WebSocket-Version'],
    ['another method', upgradeRequest().replace('GET', 'POST'), 405, 'Invalid HTTP method'],
  ])('given %s, then it is refused with a status and a reason', async (_, request, status, reason) => {
    const node = shared()
    const socket = await new RawSocket(node.port).connected()
    const answer = await socket.write(request).rest()
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toContain(reason)
    await expectServing(node)
  })

  it('given an upgrade to something else, then the request is answered as if it had not asked', async () => {
    const node = shared()
    const socket = await new RawSocket(node.port).connected()
    const answer = await socket.write(upgradeRequest({ Upgrade: 'h2c' }, '/healthz')).rest()
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK[^]*"alive"/)
  })

  it('given the origin of a page of this machine, or of the list, then it comes in', async () => {
    const node = shared()
    for (const origin of ['http://localhost:5173', 'http://127.0.0.1', 'https://app.example']) {
      const client = await new RawClient(node.url, { origin }).greet()
      client.socket.close()
      await client.closed
    }
    const other = new RawClient(node.url, { origin: 'https://app.example.evil.example' })
    expect((await other.closed).code).toBe(1006)
  })
})

describe('clients that do not read', () => {
  it('[SES4] given a reader that stops, then it costs its mark at most, and gets everything once it reads again', async () => {
    const mark = 128 * KiB
    const { node } = await startTestNode({ 'limits.bufferedBytesMax': String(mark) })
    const reader = await new RawClient(node.url).greet()
    reader.send(attach(1, 'dev/notes/slow'))
    await reader.frame('current')
    reader.socket.pause()
    const writer = await new RawClient(node.url).greet()
    writer.send(attach(1, 'dev/notes/slow'))
    await writer.frame('current')
    const count = 60
    const doc = new Y.Doc()
    doc.clientID = 1
    const updates: Uint8Array[] = []
    doc.on('update', (update: Uint8Array) => updates.push(update))
    for (let index = 0; index < count; index++) doc.getText('t').insert(0, 'x'.repeat(200 * KiB))
    let worst = 0
    for (const [index, payload] of updates.entries()) {
      writer.send({ type: 'push', channel: 1, counter: index + 1, payload })
      await writer.frame('ack', (ack) => ack.counter > index)
      if (index % 10 === 9) worst = Math.max(worst, await metric(node, 'meridian_socket_buffer_bytes'))
    }
    expect(worst).toBeGreaterThan(0)
    expect(worst).toBeLessThan(mark + 600 * KiB)
    reader.socket.resume()
    await reader.frame('update', (update) => update.sequence === count)
    const copy = new Y.Doc()
    // A compaction may have passed by meanwhile: then a state stands for what was trimmed.
    for (const frame of reader.frames) if (frame.type === 'update' || frame.type === 'state') Y.applyUpdate(copy, frame.payload)
    expect(copy.getText('t').length).toBe(count * 200 * KiB)
  })

  it('[SES4] given a client that asks and does not read the answers, then it is not read from any more', async () => {
    const { node } = await startTestNode({ 'limits.bufferedBytesMax': String(64 * KiB) })
    const socket = await rawWebSocket(node)
    socket.write(webSocketFrame(encodeClientFrame(hello())))
    await socket.until('eu-west#')
    socket.socket.pause()
    const pings = webSocketFrame(
      Buffer.concat(Array.from({ length: 10_000 }, () => encodeClientFrame({ type: 'ping', nonce: 2 ** 31 }))),
    )
    // What the kernel takes on both sides is more than nothing: go on until it takes no more.
    let written = 0
    while (socket.socket.write(pings) || written < 64 * KiB * KiB) {
      written += pings.length
      if (socket.socket.writableLength > 16 * KiB * KiB) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await metric(node, 'meridian_socket_buffer_bytes')).toBeLessThan(1024 * KiB)
    await expectServing(node)
  })
})

describe('stopping', () => {
  it('given clients, when the node drains, then each push is acked or not made, and all are told DRAINING and 1012', async () => {
    const { node, lines } = await startTestNode()
    const client = await new RawClient(node.url).greet()
    client.send(attach(1, 'dev/notes/1'))
    await client.frame('current')
    client.send({ type: 'push', channel: 1, counter: 1, payload: updateOf('x') })
    await client.frame('ack')
    await node.drain()
    expect(client.frames.at(-1)).toMatchObject({ type: 'goodbye', code: 'DRAINING', retry: 'now' })
    expect(await client.closed).toEqual({ code: 1012, reason: 'DRAINING' })
    expect(lines.map((line) => line['msg'])).toEqual(['draining', 'closed'])
  })

  it('given a client that does not answer the close, then it is not ready meanwhile, takes nobody, and is done in time', async () => {
    const { node } = await startTestNode({ drainMs: '300' })
    const stubborn = await rawWebSocket(node)
    stubborn.write(webSocketFrame(encodeClientFrame(hello())))
    await stubborn.until('eu-west#')
    const drained = node.drain()
    await stubborn.until('DRAINING')
    const ready = await fetch(`${node.url}/readyz`)
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'not ready', reasons: ['The node is stopping.'] }])
    const late = await new RawSocket(node.port).connected()
    const answer = await late.write(upgradeRequest()).rest()
    expect(answer).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: 1[^]*"code":"DRAINING"/)
    await drained
    await stubborn.closed
    await expect(fetch(`${node.url}/healthz`)).rejects.toThrow('fetch failed')
  })

  it('given two calls of each, then they stop once', async () => {
    const { node } = await startTestNode()
    await Promise.all([node.drain(), node.drain(), node.close(), node.close()])
  })
})
