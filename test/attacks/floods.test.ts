/** Much of everything: what is right by itself, and too much of it. */

import { setTimeout as after } from 'node:timers/promises'
import { encodePush } from '@meridian/core/wires/native/client-frames'
import { fragments } from '@meridian/core/wires/native/frame'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { HonestPair, unharmed, underAttack } from './honest.js'
import { atClock, pushMessages, textUpdate, typing } from './updates.js'
import { Victim } from './victim.js'
import { attachOf, helloOf, KiB, MiB, messageOf, pushOf, rawFrame, varUint, WireClient } from './wire.js'

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

const timeout = 60_000

async function attached(document: string, options: { readonly keeps?: boolean } = {}): Promise<WireClient> {
  const client = await new WireClient(victim.url, options).open()
  let isCurrent = false
  client.onFrame = (frame) => {
    if (frame.type === 'current') isCurrent = true
  }
  client.send(helloOf(), attachOf(1, document))
  await client.until('current', () => isCurrent)
  return client
}

/** As many copies of `frame` as one message holds. */
const filled = (frame: Uint8Array): Buffer => Buffer.concat(Array.from({ length: Math.floor(MiB / frame.length) }, () => frame))

describe('pushes', () => {
  it('[PUSH6, SES3] given 8 million pushes of a byte that wait behind a premature one, then they are refused and cost little', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 250 }
    const messages = pushMessages(Uint8Array.of(0), 2, 30)
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const codes = await Promise.all(
        [1, 2].map(async () => {
          const client = await attached('dev/floods/waiting')
          client.send(pushOf(1, 1, atClock(7, 5)))
          for (const message of messages) if ((await client.sendAndWait(message)) === 'closed') break
          const { code } = await client.frame('refused')
          await client.close()
          return code
        }),
      )
      for (const code of codes) expect(['PREMATURE', 'LIMIT_UNACKED']).toContain(code)
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it('[PUSH5, PUSH6] given 4,000 small updates with gaps, then PREMATURE once, and after a resume the whole is taken', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 100, entries: 1 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await attached('dev/floods/gaps')
      client.send(...Array.from({ length: 4_000 }, (_, index) => pushOf(1, index + 1, atClock(8, 2 * index + 1))))
      expect(await client.frame('refused')).toMatchObject({ counter: 1, code: 'PREMATURE' })
      client.send({ type: 'resume', channel: 1, counter: 4_001 }, pushOf(1, 4_001, textUpdate('whole', 8)))
      await client.frame('ack', (ack) => ack.counter === 4_001)
      expect(client.frames.filter((frame) => frame.type === 'refused')).toHaveLength(1)
      await client.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it('[SES3] given 100,000 pushes of one client that never reads its acks, then they are entries and nothing grows', {
    timeout,
  }, async () => {
    const count = 100_000
    const updates = typing(count, 9)
    const bounds = { growthMb: 300, entries: count }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await attached('dev/floods/deaf', { keeps: false })
      client.socket.pause()
      const before = await victim.metric('meridian_entries_total')
      for (let from = 0; from < count; from += 20_000) {
        const pushes = updates.slice(from, from + 20_000).map((update, index) => encodePush(1, from + index + 1, update))
        await client.sendAndWait(Buffer.concat(pushes))
        // Within what a session may have under way.
        while ((await victim.metric('meridian_entries_total')) - before < from + pushes.length) await after(50)
      }
      client.socket.terminate()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it('[SES3] given more than unackedBytesMax under way, then LIMIT_UNACKED', { timeout }, async () => {
    const bounds = { growthMb: 100 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await attached('dev/floods/unacked')
      // Nothing of it is acked while the first one waits.
      client.send(pushOf(1, 1, atClock(7, 5)))
      const half = new Uint8Array(MiB / 2)
      for (let counter = 2; counter < 12; counter++) client.send(pushOf(1, counter, half))
      expect(await client.frame('refused')).toMatchObject({ code: 'LIMIT_UNACKED' })
      await client.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })
})

describe('fragments', () => {
  it('[FRAME4] given three updates of 300 KiB in one commit, then another client reads each of them', async () => {
    const reader = await attached('dev/floods/together')
    const writer = await attached('dev/floods/together')
    const updates = [21, 22, 23].map((author) => textUpdate('x'.repeat(300 * KiB), author))
    writer.send(...updates.map((update, index) => pushOf(1, index + 1, update)))
    await reader.until('three updates', () => reader.frames.filter((frame) => frame.type === 'update').length === 3)
    expect(reader.frames.flatMap((frame) => (frame.type === 'update' ? [frame.payload.length] : []))).toEqual(
      updates.map((update) => update.length),
    )
    await reader.close()
    await writer.close()
  })

  it('[FRAME4, FRAME5, SES3] given 50 frames of 64 MiB that are announced and do not come, then they cost what came', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 100 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const announcement = rawFrame(63, Buffer.concat([varUint(64 * MiB), varUint(0), varUint(1), Uint8Array.of(6)]))
      const clients = await Promise.all(
        Array.from({ length: 50 }, async () => {
          const client = await attached('dev/floods/unfinished')
          client.send(announcement, { type: 'ping', nonce: 1 })
          await client.frame('pong')
          return client
        }),
      )
      // Byte by byte, and half of them go away in the middle.
      for (let offset = 1; offset < 200; offset++) {
        const trickle = rawFrame(63, Buffer.concat([varUint(64 * MiB), varUint(offset), varUint(1), Uint8Array.of(128)]))
        for (const client of clients) client.send(trickle)
      }
      for (const [index, client] of clients.entries()) {
        if (index % 2 === 0) {
          client.send({ type: 'ping', nonce: 2 })
          await client.frame('pong', (pong) => pong.nonce === 2)
        }
        client.socket.terminate()
      }
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it.each([
    ['a byte more than a frame may have', [64 * MiB + KiB + 1, 0, 1], 'FRAME_TOO_LARGE', 4413],
    ['a total of 2^53 - 1', [2 ** 53 - 1, 0, 1], 'FRAME_TOO_LARGE', 4413],
    ['a total of nothing', [0, 0, 1], 'FRAME_INVALID', 4400],
    ['an offset that is not 0', [10, 1, 1], 'FRAME_INVALID', 4400],
    ['an empty piece', [10, 0, 0], 'FRAME_INVALID', 4400],
    ['a piece beyond its total', [3, 0, 4], 'FRAME_INVALID', 4400],
  ] as const)('[FRAME4, FRAME5] given %s, then %s', async (_what, [total, offset, length], code, close) => {
    const client = await new WireClient(victim.url).greet()
    client.send(rawFrame(63, Buffer.concat([varUint(total), varUint(offset), varUint(length), new Uint8Array(length)])))
    expect(await client.ended()).toEqual({ goodbye: code, retry: 'never', close })
  })

  it('[FRAME4] given an attach of 11 MB in fragments, with a million incarnations, then FRAME_TOO_LARGE', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 150 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await new WireClient(victim.url).greet()
      const name = Buffer.from('dev/floods/version')
      const body = [varUint(1), varUint(1), varUint(name.length), name, varUint(0), varUint(0), manyIncarnations(256, 4096)]
      for (const piece of fragments(rawFrame(3, Buffer.concat(body)))) client.socket.send(piece)
      expect(await client.ended()).toEqual({ goodbye: 'FRAME_TOO_LARGE', retry: 'never', close: 4413 })
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it.each([
    ['257 regions', manyIncarnations(257, 0)],
    ['4,097 incarnations', manyIncarnations(1, 4097)],
  ])('[VER3] given a version of %s, then FRAME_INVALID', async (_what, version) => {
    const client = await attached('dev/floods/version')
    client.send(rawFrame(5, Buffer.concat([varUint(1), version])))
    expect(await client.ended()).toEqual({ goodbye: 'FRAME_INVALID', retry: 'never', close: 4400 })
  })

  it('[VER3] given a version of 256 regions, or of 4,096 incarnations, then it is taken', async () => {
    for (const version of [manyIncarnations(256, 0), manyIncarnations(1, 4096)]) {
      const client = await attached('dev/floods/version')
      client.send(rawFrame(5, Buffer.concat([varUint(1), version])), { type: 'ping', nonce: 1 })
      await client.frame('pong')
      await client.close()
    }
  })
})

function manyIncarnations(regionCount: number, incarnationCount: number): Uint8Array {
  const parts: Uint8Array[] = [varUint(regionCount)]
  for (let region = 0; region < regionCount; region++) {
    const name = Buffer.from(`r${region}`)
    parts.push(varUint(name.length), name, varUint(0), varUint(incarnationCount))
    for (let incarnation = 1; incarnation <= incarnationCount; incarnation++)
      parts.push(varUint(incarnation), new Uint8Array(8).fill(incarnation & 255), varUint(1))
  }
  return Buffer.concat(parts)
}

describe('documents', () => {
  it('[SES3] given 1,000 documents and one more, then LIMIT_DOCUMENTS for that one, and room again after a detach', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 150 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await new WireClient(victim.url).greet()
      client.send(...Array.from({ length: 1_000 }, (_, index) => attachOf(index, `dev/floods/many-${index}`)))
      client.send(attachOf(1_000, 'dev/floods/one-more'))
      expect(await client.frame('denied')).toMatchObject({ channel: 1_000, code: 'LIMIT_DOCUMENTS' })
      await client.until('all', () => client.frames.filter((frame) => frame.type === 'current').length === 1_000)
      client.send({ type: 'detach', channel: 0 }, attachOf(1_000, 'dev/floods/one-more'))
      await client.frame('attached', (frame) => frame.channel === 1_000)
      await client.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it('[ATT1, SES3] given a flood of attaches and detaches of documents that never existed, then no growth, in memory or in the store', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 250 }
    const log = await victim.metric('meridian_log_bytes')
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await new WireClient(victim.url, { keeps: false }).open()
      client.send(helloOf())
      for (let round = 0; round < 12; round++) {
        const parts: Uint8Array[] = []
        for (let bytes = 0; bytes < MiB - 100; bytes += parts.at(-1)?.length ?? 0)
          parts.push(messageOf(attachOf(1, `dev/never/${round}-${parts.length}`), { type: 'detach', channel: 1 }))
        await client.sendAndWait(Buffer.concat(parts))
      }
      let heard = false
      client.onFrame = (frame) => {
        if (frame.type === 'pong') heard = true
      }
      client.send({ type: 'ping', nonce: 1 })
      await client.until('a pong', () => heard)
      await client.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
    await expect.poll(() => victim.metric('meridian_open_documents'), { timeout: 20_000 }).toBe(1)
    expect((await victim.metric('meridian_log_bytes')) - log).toBeLessThan(MiB)
  })

  it('given the same channel twice, then FRAME_INVALID', async () => {
    const client = await attached('dev/floods/twice')
    client.send(attachOf(1, 'dev/floods/twice'))
    expect(await client.ended()).toEqual({ goodbye: 'FRAME_INVALID', retry: 'never', close: 4400 })
  })
})

describe('pings, hellos, tokens and presence', () => {
  it('[LIFE4, SES3] given 2 million pings in messages of 1 MiB, then all are answered and nothing grows', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 150 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await new WireClient(victim.url, { keeps: false }).open()
      let count = 0
      client.onFrame = (frame) => {
        if (frame.type === 'pong') count++
      }
      client.send(helloOf())
      const message = filled(messageOf({ type: 'ping', nonce: 1 }))
      for (let round = 0; round < 6; round++) await client.sendAndWait(message)
      await client.until('all pongs', () => count === 6 * Math.floor(MiB / 3))
      await client.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it('[LIFE4] given pings of WebSocket without end from a client that does not read, then it costs only that client', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 100 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const client = await new WireClient(victim.url).greet()
      client.socket.pause()
      for (let round = 0; round < 200_000 && client.socket.readyState === 1; round += 1_000) {
        for (let index = 0; index < 1_000; index++) client.socket.ping(new Uint8Array(125))
        await after(2)
      }
      await after(200)
      client.socket.terminate()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it.each([
    ['a hello again', () => messageOf(helloOf())],
    ['10,000 tokens at once', () => filled(messageOf({ type: 'token', token: 'x'.repeat(90) }))],
  ])('[LIFE1, LIFE3] given %s, then FRAME_INVALID', async (_what, message) => {
    const client = await new WireClient(victim.url).greet()
    client.socket.send(message())
    expect(await client.ended()).toEqual({ goodbye: 'FRAME_INVALID', retry: 'never', close: 4400 })
  })

  it('[SES3, SES6] given presence of 4 KiB, then others see it; given a byte more, then LIMIT_PRESENCE', async () => {
    const seer = await attached('dev/floods/presence')
    const client = await attached('dev/floods/presence')
    client.send({ type: 'presence', channel: 1, payload: new Uint8Array(4 * KiB) })
    await seer.frame('presence', (frame) => frame.payload.length === 4 * KiB)
    client.send({ type: 'presence', channel: 1, payload: new Uint8Array(4 * KiB + 1) })
    expect(await client.ended()).toEqual({ goodbye: 'LIMIT_PRESENCE', retry: 'backoff', close: 4429 })
    await seer.frame('presence', (frame) => frame.payload.length === 0)
    await seer.close()
  })

  it('[SES3, SES6] given 20,000 presence states at once, then others get a few, the newest among them, and no entry', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 150 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const seer = await attached('dev/floods/presence')
      const client = await attached('dev/floods/presence')
      for (let round = 0; round < 20; round++) {
        const states = Array.from({ length: 1_000 }, (_, index) => rawFrame(7, presence(round * 1_000 + index + 1)))
        client.send(...states)
      }
      await seer.frame('presence', (frame) => Buffer.from(frame.payload).readUInt32BE(0) === 20_000)
      expect(seer.frames.filter((frame) => frame.type === 'presence').length).toBeLessThan(500)
      await client.close()
      await seer.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  function presence(number: number): Uint8Array {
    const state = Buffer.alloc(900)
    state.writeUInt32BE(number)
    return Buffer.concat([varUint(1), varUint(state.length), state])
  }
})

describe('slow readers', () => {
  it('[SES4] given 20 clients that never read and one that pauses, while 24 MiB are typed, then memory is bounded and who goes on gets all', {
    timeout,
  }, async () => {
    const updateCount = 96
    const bounds = { growthMb: 250, entries: updateCount }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const writer = await attached('dev/floods/busy')
      const pausing = await attached('dev/floods/busy')
      const never = await Promise.all(Array.from({ length: 20 }, () => attached('dev/floods/busy')))
      for (const client of [...never, pausing]) client.socket.pause()
      const doc = new Y.Doc()
      const text = doc.getText('t')
      let counter = 0
      doc.on('update', (update: Uint8Array) => writer.send(pushOf(1, ++counter, update)))
      for (let index = 0; index < updateCount; index++) {
        text.insert(0, `${index},`.padEnd(256 * KiB, 'x'))
        await writer.frame('ack', (ack) => ack.counter >= counter - 4)
      }
      await writer.frame('ack', (ack) => ack.counter === updateCount)
      pausing.socket.resume()
      const received = new Y.Doc()
      let from = 0
      await pausing.until('equal text', () => {
        for (; from < pausing.frames.length; from++) {
          const frame = pausing.frames[from]
          if (frame?.type === 'update' || frame?.type === 'state') Y.applyUpdate(received, frame.payload)
        }
        return received.getText('t').length === text.length
      })
      expect(received.getText('t').toString() === text.toString()).toBe(true)
      for (const client of never) client.socket.terminate()
      await writer.close()
      await pausing.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })

  it('[SES4] given one update of 24 MiB and 20 clients that do not read it, then it is held once and not for each', {
    timeout,
  }, async () => {
    const bounds = { growthMb: 400, entries: 1 }
    const { verdict } = await underAttack(victim, pair, bounds, async () => {
      const writer = await attached('dev/floods/large')
      const never = await Promise.all(Array.from({ length: 20 }, () => attached('dev/floods/large')))
      for (const client of never) client.socket.pause()
      const push = encodePush(1, 1, textUpdate('x'.repeat(24 * MiB), 11))
      for (const piece of fragments(push)) await writer.sendAndWait(piece)
      await writer.frame('ack')
      await after(500)
      for (const client of never) client.socket.terminate()
      await writer.close()
    })
    expect(verdict).toEqual(unharmed(bounds))
  })
})
