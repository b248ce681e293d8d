/** What lies below the wire: TCP, HTTP and WebSocket as no library would speak them. */

import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HonestPair, unharmed, underAttack } from './honest.js'
import { Victim } from './victim.js'
import { filler, helloOf, KiB, MiB, messageOf, Raw, upgradeRequest, WireClient, webSocketFrame } from './wire.js'

let victim: Victim
let pair: HonestPair

beforeAll(async () => {
  victim = await Victim.start({ flags: ['--limits-request-ms', '1000', '--limits-close-ms', '200'] })
  pair = await HonestPair.start(victim)
})

afterAll(async () => {
  await pair?.close()
  await victim?.stop()
})

const timeout = 40_000
const invalid = '4400 FRAME_INVALID'
const tooLarge = '4413 FRAME_TOO_LARGE'

const bomb = deflateRawSync(Buffer.alloc(64 * MiB), { level: 9 })

describe('frames of WebSocket', () => {
  it.each([
    ['text', webSocketFrame(Buffer.from('hello'), { opcode: 1 })],
    ['text that is no UTF-8', webSocketFrame(Buffer.from([0xc3, 0x28]), { opcode: 1 })],
    [
      'a text in pieces',
      webSocketFrame(Buffer.from('hel'), { opcode: 1, final: false }),
      webSocketFrame(Buffer.from('lo'), { opcode: 0 }),
    ],
    ['no mask', webSocketFrame(Buffer.of(1), { masked: false })],
    ['reserved bit 1, a compressed message that nobody agreed on', webSocketFrame(bomb, { reserved: 4 })],
    ['reserved bit 2', webSocketFrame(Buffer.of(1), { reserved: 2 })],
    ['reserved bit 3', webSocketFrame(Buffer.of(1), { reserved: 1 })],
    ['opcode 3', webSocketFrame(Buffer.of(1), { opcode: 3 })],
    ['opcode 11', webSocketFrame(Buffer.of(1), { opcode: 11 })],
    ['a continuation of nothing', webSocketFrame(Buffer.of(1), { opcode: 0 })],
    ['a message within a message', webSocketFrame(Buffer.of(1), { final: false }), webSocketFrame(Buffer.of(1))],
    ['a ping in pieces', webSocketFrame(Buffer.of(1), { opcode: 9, final: false })],
    ['a ping of 126 bytes', webSocketFrame(Buffer.alloc(126), { opcode: 9 })],
    ['a close of one byte', webSocketFrame(Buffer.of(3), { opcode: 8 })],
    ['a close with code 1005', webSocketFrame(Buffer.of(3, 0xed), { opcode: 8 })],
    ['a close whose reason is no UTF-8', webSocketFrame(Buffer.of(3, 0xe8, 0xff), { opcode: 8 })],
  ])('[FRAME1] given %s, before and after the welcome, then FRAME_INVALID', async (_what, ...frames) => {
    for (const start of [Raw.known, Raw.webSocket]) {
      const raw = await start(victim.port)
      for (const frame of frames) raw.write(frame)
      expect(await raw.closing()).toBe(invalid)
    }
  })

  it.each([
    ['2^62 bytes', 2n ** 62n],
    ['1 MiB and a byte', BigInt(MiB + 1)],
  ])('[FRAME3, SES3] given a header that claims %s, then FRAME_TOO_LARGE, before any of it came', async (_what, length) => {
    const raw = await Raw.known(victim.port)
    raw.write(webSocketFrame(new Uint8Array(0), { length }))
    expect(await raw.closing()).toBe(tooLarge)
  })

  it('[FRAME3, SES3] given n and n + 1 bytes of each bound of a message, then the first is taken and the second is not', {
    timeout,
  }, async () => {
    const first = messageOf(helloOf())
    const outcome = async (client: WireClient, sign: 'replicas' | 'pong'): Promise<string> => {
      await client.until('an answer', () => client.end !== undefined || client.frames.some(({ type }) => type === sign))
      const { end } = client
      client.socket.terminate()
      return end === undefined ? 'taken' : `${end.goodbye} ${end.close}`
    }
    const before = async (length: number): Promise<string> => {
      const client = await new WireClient(victim.url).open()
      client.socket.send(Buffer.concat([first, filler(length - first.length)]))
      return outcome(client, 'replicas')
    }
    const behind = async (length: number): Promise<string> => {
      const client = await new WireClient(victim.url).greet()
      client.socket.send(filler(length))
      client.send({ type: 'ping', nonce: 1 })
      return outcome(client, 'pong')
    }
    const inFragments = async (count: number): Promise<string> => {
      const client = await new WireClient(victim.url).greet()
      for (let index = 0; index < count; index++)
        client.socket.send(index === 0 ? messageOf({ type: 'ping', nonce: 1 }) : '', { fin: index === count - 1, binary: true })
      return outcome(client, 'pong')
    }
    expect([await before(64 * KiB), await before(64 * KiB + 1)]).toEqual(['taken', 'FRAME_TOO_LARGE 4413'])
    expect([await behind(MiB), await behind(MiB + 1)]).toEqual(['taken', 'FRAME_TOO_LARGE 4413'])
    expect([await inFragments(1024), await inFragments(1025)]).toEqual(['taken', 'FRAME_INVALID 4400'])
  })

  it('[FRAME3, SES3] given messages in fragments that never end, tiny ones and trickled ones, then memory is bounded', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 150 }
    const ends: string[] = []
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const tiny = Buffer.concat(Array.from({ length: 2_000 }, () => webSocketFrame(Buffer.of(1), { opcode: 0, final: false })))
      await Promise.all([
        ...Array.from({ length: 40 }, async () => {
          const raw = await Raw.known(victim.port)
          raw.write(webSocketFrame(Buffer.of(1), { final: false })).write(tiny)
          ends.push(await raw.closing())
        }),
        ...Array.from({ length: 20 }, async () => {
          const raw = await Raw.known(victim.port)
          raw.write(webSocketFrame(Buffer.alloc(256 * KiB), { final: false }))
          for (let index = 0; index < 3; index++)
            await raw.push(webSocketFrame(Buffer.alloc(256 * KiB), { opcode: 0, final: false }))
          ends.push(await raw.write(webSocketFrame(Buffer.of(1), { opcode: 0, final: false })).closing())
        }),
        ...Array.from({ length: 20 }, async () => {
          // A frame of 1 MiB that is announced and comes in 300 pieces, and then no more.
          const raw = await Raw.known(victim.port)
          raw.write(webSocketFrame(new Uint8Array(0), { length: MiB }))
          for (let index = 0; index < 300; index++) await raw.push(Buffer.alloc(1))
          raw.destroy()
        }),
      ])
    })
    expect(verdict).toEqual(unharmed(bounds))
    expect(ends.filter((end) => end === invalid)).toHaveLength(40)
    expect(ends.filter((end) => end === tooLarge)).toHaveLength(20)
  })

  it('given compression offered and used, with bombs of 64 MiB in 64 KiB, then no extension is agreed and each is FRAME_INVALID', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 100 }
    const answers: string[] = []
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      await Promise.all(
        Array.from({ length: 30 }, async () => {
          const raw = await Raw.connected(victim.port)
          raw.write(
            upgradeRequest({ 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits, x-webkit-deflate-frame' }),
          )
          const head = await raw.until('\r\n\r\n')
          answers.push(`${head.slice(0, 12)} ${/extensions/i.test(head)}`)
          answers.push(
            await raw
              .write(webSocketFrame(messageOf(helloOf())))
              .write(webSocketFrame(bomb.subarray(0, 60 * KiB), { reserved: 4 }))
              .closing(),
          )
        }),
      )
    })
    expect(verdict).toEqual(unharmed(bounds))
    expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 101 false', invalid]))
  })

  it('[LIFE1, SES3] given 64 KiB and more before the hello in any form, then FRAME_TOO_LARGE or the end', {
    timeout,
  }, async () => {
    const message = await Raw.webSocket(victim.port)
    message.write(webSocketFrame(new Uint8Array(0), { length: MiB }))
    for (let index = 0; index < 80; index++) await message.push(Buffer.alloc(KiB))
    expect(await message.rest()).toContain('FRAME_TOO_LARGE')
    const fragments = await Raw.webSocket(victim.port)
    fragments.write(webSocketFrame(Buffer.alloc(KiB), { final: false }))
    for (let index = 0; index < 80; index++) await fragments.push(webSocketFrame(Buffer.alloc(KiB), { opcode: 0, final: false }))
    expect(await fragments.rest()).toContain('FRAME_TOO_LARGE')
  })

  it('given random bytes instead of HTTP and behind a handshake, then only those connections end', { timeout }, async () => {
    const bounds = { growthMb: 100 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      await Promise.all(
        Array.from({ length: 300 }, async (_, index) => {
          const raw = await (index % 3 === 0 ? Raw.connected : index % 3 === 1 ? Raw.webSocket : Raw.known)(victim.port)
          raw.write(randomBytes(1 + ((index * 37) % 3000)))
          raw.socket.end()
          await raw.rest()
        }),
      )
    })
    expect(verdict).toEqual(unharmed(bounds))
  })
})

describe('HTTP', () => {
  const upgraded = /^HTTP\/1\.1 101 /

  it.each([
    ['a dot segment', 'GET /v1/../v1/sync HTTP/1.1', {}, 404],
    ['an encoded slash', 'GET /v1%2fsync HTTP/1.1', {}, 404],
    ['an encoded letter', 'GET /v1/%73ync HTTP/1.1', {}, 404],
    ['two slashes', 'GET //v1/sync HTTP/1.1', {}, 404],
    ['a slash behind', 'GET /v1/sync/ HTTP/1.1', {}, 404],
    ['capitals', 'GET /V1/SYNC HTTP/1.1', {}, 404],
    ['a zero', 'GET /v1/sync%00 HTTP/1.1', {}, 404],
    ['a backslash', 'GET /v1\\sync HTTP/1.1', {}, 404],
    ['a parameter', 'GET /v1/sync;x HTTP/1.1', {}, 404],
    ['a whole URL', 'GET http://127.0.0.1/v1/sync HTTP/1.1', {}, 404],
    ['the files of the machine', 'GET /v1/sync/../../../etc/passwd HTTP/1.1', {}, 404],
    ['POST', 'POST /v1/sync HTTP/1.1', {}, 405],
    ['PUT', 'PUT /v1/sync HTTP/1.1', {}, 405],
    ['DELETE', 'DELETE /v1/sync HTTP/1.1', {}, 405],
    ['version 8 of WebSocket', 'GET /v1/sync HTTP/1.1', { 'Sec-WebSocket-Version': '8' }, 400],
    ['version 12 of WebSocket', 'GET /v1/sync HTTP/1.1', { 'Sec-WebSocket-Version': '12' }, 400],
    ['no key', 'GET /v1/sync HTTP/1.1', { 'Sec-WebSocket-Key': '' }, 400],
    ['a short key', 'GET /v1/sync HTTP/1.1', { 'Sec-WebSocket-Key': 'AAAA' }, 400],
    ['the host of somebody else', 'GET /v1/sync HTTP/1.1', { Host: 'evil.example' }, 421],
    ['a host that only begins like ours', 'GET /v1/sync HTTP/1.1', { Host: '127.0.0.1.evil.example' }, 421],
    ['a host with a name in front', 'GET /v1/sync HTTP/1.1', { Host: 'x@127.0.0.1' }, 421],
    ['no host', 'GET /v1/sync HTTP/1.1', { Host: '' }, '4\\d\\d'],
    ['the origin of a page elsewhere', 'GET /v1/sync HTTP/1.1', { Origin: 'https://evil.example' }, 403],
    ['the origin null', 'GET /v1/sync HTTP/1.1', { Origin: 'null' }, 403],
    ['an origin that begins like ours', 'GET /v1/sync HTTP/1.1', { Origin: 'http://localhost.evil.example' }, 403],
    ['an origin with a name in front', 'GET /v1/sync HTTP/1.1', { Origin: 'http://localhost@evil.example' }, 403],
  ] as const)('given an upgrade with %s, then no handshake', async (_what, line, headers, status) => {
    const raw = await Raw.connected(victim.port)
    const answer = await raw.write(upgradeRequest(headers, line)).rest()
    expect(answer).not.toMatch(upgraded)
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  it('given a query with a token behind the path, then it is served, and the token is in no log', async () => {
    const raw = await Raw.connected(victim.port)
    raw.write(upgradeRequest({}, 'GET /v1/sync?token=very-secret HTTP/1.1'))
    expect(await raw.until('\r\n\r\n')).toMatch(upgraded)
    raw.destroy()
    expect(victim.output).not.toContain('very-secret')
  })

  it('[SES3] given huge headers, many headers, huge bodies, smuggled lengths and 500 requests that do not end, then they end', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 120 }
    const answers: string[] = []
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const ask = async (text: string): Promise<string> => {
        const raw = await Raw.connected(victim.port)
        await raw.push(Buffer.from(text))
        return (await raw.rest()).slice(0, 12)
      }
      answers.push(await ask(upgradeRequest({ X: 'x'.repeat(20 * KiB) })))
      answers.push(await ask(`GET /${'x'.repeat(20 * KiB)} HTTP/1.1\r\nHost: localhost\r\n\r\n`))
      answers.push(await ask('POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx'))
      answers.push(
        await ask('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
      )
      answers.push(await ask('GET / HTTP/9.9\r\n\r\n'))
      const slow = await Promise.all(
        Array.from({ length: 500 }, async (_, index) => {
          const raw = await Raw.connected(victim.port)
          return raw.write(index % 2 === 0 ? 'GET /healthz HTTP/1.1\r\nHost: loc' : '')
        }),
      )
      await Promise.all(slow.map((raw) => raw.rest()))
    })
    expect(verdict).toEqual(unharmed(bounds))
    expect(answers.map((answer) => answer.slice(9, 10))).toEqual(['4', '4', '4', '4', '4'])
  })
})
