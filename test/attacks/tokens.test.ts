/** A node that asks for tokens, and tokens that are wrong in every way: signed by node:crypto alone, an oracle beside the library that checks. */

import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HonestPair, unharmed, underAttack } from './honest.js'
import { textUpdate } from './updates.js'
import { Victim } from './victim.js'
import { attachOf, KiB, pushOf, WireClient, helloOf } from './wire.js'

const secret = 'a secret of an issuer, longer than 32 bytes'

type Claims = Readonly<Record<string, unknown>>

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function token(claims: Claims, header: Claims = {}, key: string | Buffer = secret): string {
  const input = `${encode({ alg: 'HS256', typ: 'JWT', ...header })}.${encode(claims)}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

const now = (): number => Math.floor(Date.now() / 1000)

const good = (claims: Claims = {}): Claims => ({
  sub: 'ann',
  tenant: 'acme',
  iss: 'https://id.example.com',
  aud: 'meridian',
  exp: now() + 600,
  docs: [{ match: '*', access: 'write' }],
  ...claims,
})

let victim: Victim
let pair: HonestPair

beforeAll(async () => {
  victim = await Victim.start({
    config(folder) {
      writeFileSync(join(folder, 'secret'), `${secret}\n`, { mode: 0o600 })
      return [
        'auth:',
        '  algorithm: HS256',
        `  secretFile: ${join(folder, 'secret')}`,
        '  issuer: https://id.example.com',
        '  audience: meridian',
        '  clockToleranceMs: 0',
        '',
      ].join('\n')
    },
  })
  pair = await HonestPair.start(victim, { document: 'acme/honest/pair', token: token(good()) })
})

afterAll(async () => {
  await pair?.close()
  await victim?.stop()
})

const timeout = 40_000
const bounds = (more: { readonly entries?: number } = {}) => ({ growthMb: 120, token: token(good()), ...more })

describe('tokens', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const signedByRsa = (): string => {
    const input = `${encode({ alg: 'RS256' })}.${encode(good())}`
    return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`
  }
  const invalid = 'TOKEN_INVALID 4401'
  const without = (claim: string): Claims => ({ ...good(), [claim]: undefined })

  const cases: readonly (readonly [string, () => string, string])[] = [
    ['nothing', () => '', invalid],
    ['no token', () => 'hello', invalid],
    ['16 KiB of dots', () => '.'.repeat(16 * KiB), invalid],
    ['another key', () => token(good(), {}, 'another secret that is long enough as well'), invalid],
    ['an empty key', () => token(good(), {}, ''), invalid],
    ['a signature that is cut', () => token(good()).slice(0, -2), invalid],
    [
      'a signature of somebody else',
      () => `${token(good()).split('.').slice(0, 2).join('.')}.${token(good({ sub: 'bob' })).split('.')[2]}`,
      invalid,
    ],
    [
      'claims of somebody else under a signature',
      () => token(good()).replace(/\.[^.]+\./, `.${encode(good({ tenant: 'other' }))}.`),
      invalid,
    ],
    ['algorithm none', () => `${encode({ alg: 'none' })}.${encode(good())}.`, invalid],
    ['algorithm NONE, with a signature', () => token(good(), { alg: 'NONE' }), invalid],
    ['algorithm HS512 in name', () => token(good(), { alg: 'HS512' }), invalid],
    ['a signature of RSA', signedByRsa, invalid],
    [
      'a public key as the secret',
      () => token(good(), {}, publicKey.export({ type: 'spki', format: 'pem' }).toString()),
      invalid,
    ],
    [
      'a key in its own header',
      () => token(good(), { jwk: { kty: 'oct', k: Buffer.from('mine').toString('base64url') } }, 'mine'),
      invalid,
    ],
    ['a critical extension', () => token(good(), { crit: ['x'], x: 1 }), invalid],
    ['five parts', () => `${token(good())}.x.y`, invalid],
    ['expired', () => token(good({ exp: now() - 1 })), 'TOKEN_EXPIRED 4402'],
    ['not yet valid', () => token(good({ nbf: now() + 60 })), invalid],
    ['another issuer', () => token(good({ iss: 'https://evil.example' })), invalid],
    ['no issuer', () => token(without('iss')), invalid],
    ['another audience', () => token(good({ aud: 'other' })), invalid],
    ['no end', () => token(without('exp')), invalid],
    ['an end that is text', () => token(good({ exp: 'never' })), invalid],
    [
      'an end beyond all numbers',
      () => token(good()).replace(/\.[^.]+\./, `.${Buffer.from('{"exp":1e999}').toString('base64url')}.`),
      invalid,
    ],
    ['no subject', () => token(without('sub')), invalid],
    ['a subject that is an object', () => token(good({ sub: { toString: 1 } })), invalid],
    ['no tenant', () => token(without('tenant')), invalid],
    ['a tenant that is a path', () => token(good({ tenant: '../acme' })), invalid],
    ['no documents', () => token(without('docs')), invalid],
    ['access that is neither', () => token(good({ docs: [{ match: '*', access: 'admin' }] })), invalid],
    [
      '1,001 grants',
      () => token(good({ docs: Array.from({ length: 1001 }, () => ({ match: 'a', access: 'read' })) })),
      'FRAME_INVALID 4400',
    ],
  ]

  it('[LIFE2] given each of those that are wrong, then a typed goodbye, and no word of them in the log', {
    timeout,
  }, async () => {
    const answers: Record<string, string> = {}
    const limit = bounds()
    const { verdict } = await underAttack(victim, pair, limit, async () => {
      await Promise.all(
        cases.map(async ([what, make]) => {
          const client = await new WireClient(victim.url).open()
          const text = make()
          client.socket.send(helloWith(text))
          const { goodbye, close } = await client.ended()
          answers[what] = `${goodbye} ${close}`
          if (text.length > 40 && victim.output.includes(text.slice(-30))) answers[what] = 'in the log'
        }),
      )
    })
    expect(answers).toEqual(Object.fromEntries(cases.map(([what, , answer]) => [what, answer])))
    expect(verdict).toEqual(unharmed(limit))
  })

  it('[LIFE2] given 500 wrong ones at once, then each is told, and who is right comes in', { timeout }, async () => {
    const limit = bounds()
    const { verdict } = await underAttack(victim, pair, limit, async () => {
      const ends = await Promise.all(
        Array.from({ length: 500 }, async (_, index) => {
          const client = await new WireClient(victim.url).open()
          client.send(helloOf(token(good(), {}, `guess ${index}`)))
          return client.ended()
        }),
      )
      expect(new Set(ends.map((end) => `${end.goodbye} ${end.close}`))).toEqual(new Set([invalid]))
    })
    expect(verdict).toEqual(unharmed(limit))
  })
})

describe('rights', () => {
  it('[ATT1] given a document of another tenant, one that is not granted and one that is not there, then the same answer', async () => {
    const client = await new WireClient(victim.url).greet(token(good({ docs: [{ match: 'notes/*', access: 'write' }] })))
    client.send(
      attachOf(1, 'other/notes/1'),
      attachOf(2, 'acme/honest/pair'),
      attachOf(3, 'acme/secrets/none'),
      attachOf(4, 'acme/notes/1'),
    )
    await client.frame('current')
    const denied = client.frames.filter((frame) => frame.type === 'denied').map((frame) => ({ ...frame, channel: 0 }))
    expect(denied).toHaveLength(3)
    expect(new Set(denied.map((one) => JSON.stringify(one))).size).toBe(1)
    expect(denied[0]).toMatchObject({ code: 'ACCESS_DENIED' })
    await client.close()
  })

  it('[LIFE3] given a reader that pushes, then WRITE_DENIED and no entry; given a newer token that may write, then it is taken', {
    timeout,
  }, async () => {
    const limit = bounds({ entries: 1 })
    const { verdict } = await underAttack(victim, pair, limit, async () => {
      const reader = good({ docs: [{ match: 'notes/*', access: 'read' }] })
      const client = await new WireClient(victim.url).greet(token(reader))
      client.send(attachOf(1, 'acme/notes/read'), pushOf(1, 1, textUpdate('no', 51)))
      expect(await client.frame('attached')).toMatchObject({ access: 'read' })
      expect(await client.frame('refused')).toMatchObject({ counter: 1, code: 'WRITE_DENIED' })
      client.send({ type: 'token', token: token(good()) })
      // A token has no answer: ask until it counts.
      let counter = 1
      let isAcked = false
      client.onFrame = (frame) => {
        if (frame.type === 'ack') isAcked = true
        else if (frame.type === 'refused' && counter < 500) push()
      }
      const push = (): void =>
        client.send({ type: 'resume', channel: 1, counter: ++counter }, pushOf(1, counter, textUpdate('yes', 52)))
      push()
      await client.until('an ack', () => isAcked)
      await client.close()
    })
    expect(verdict).toEqual(unharmed(limit))
  })

  it.each([
    ['of another subject', () => token(good({ sub: 'bob' })), 'TOKEN_INVALID', 4401],
    ['of another tenant', () => token(good({ tenant: 'other' })), 'TOKEN_INVALID', 4401],
    ['that is expired', () => token(good({ exp: now() - 1 })), 'TOKEN_EXPIRED', 4402],
    ['that is forged', () => token(good(), {}, 'forged'), 'TOKEN_INVALID', 4401],
  ])('[LIFE3] given a newer token %s, while connected, then %s', async (_what, make, code, close) => {
    const client = await new WireClient(victim.url).greet(token(good()))
    client.send({ type: 'token', token: make() })
    expect(await client.ended()).toMatchObject({ goodbye: code, close })
  })

  it('[LIFE3] given a token that ends while connected, then TOKEN_EXPIRED and 4402; with a newer one in time, then not', {
    timeout,
  }, async () => {
    const ending = await new WireClient(victim.url).greet(token(good({ exp: now() + 2 })))
    const renewed = await new WireClient(victim.url).greet(token(good({ exp: now() + 2 })))
    renewed.send({ type: 'token', token: token(good()) })
    expect(await ending.ended()).toEqual({ goodbye: 'TOKEN_EXPIRED', retry: 'never', close: 4402 })
    renewed.send({ type: 'ping', nonce: 1 })
    await renewed.frame('pong')
    await renewed.close()
  })

  it('[LIFE3] given a newer token with less, then documents that it does not allow are denied at once', async () => {
    const client = await new WireClient(victim.url).greet(token(good()))
    client.send(attachOf(1, 'acme/notes/1'), attachOf(2, 'acme/other/1'))
    await client.until('both', () => client.frames.filter((frame) => frame.type === 'current').length === 2)
    client.send({ type: 'token', token: token(good({ docs: [{ match: 'notes/*', access: 'read' }] })) })
    expect(await client.frame('denied')).toMatchObject({ channel: 2, code: 'ACCESS_DENIED' })
    await client.close()
  })

  it('given grants with many stars and names that almost match, then no time is lost over them', { timeout }, async () => {
    const limit = bounds()
    const { verdict } = await underAttack(victim, pair, limit, async () => {
      const match = `${'*a'.repeat(25)}b`
      const docs = Array.from({ length: 100 }, () => ({ match, access: 'write' }))
      const client = await new WireClient(victim.url).greet(token(good({ docs })))
      client.send(...Array.from({ length: 200 }, (_, index) => attachOf(index, `acme/notes/${'a'.repeat(500)}`)))
      await client.until('all answers', () => client.frames.filter((frame) => frame.type === 'denied').length === 200)
      await client.close()
    })
    expect(verdict).toEqual(unharmed(limit))
  })
})

function helloWith(text: string): Buffer {
  const bytes = Buffer.from(text)
  const length = (count: number): number[] =>
    count < 128
      ? [count]
      : count < 16_384
        ? [128 | (count & 127), count >> 7]
        : [128 | (count & 127), 128 | ((count >> 7) & 127), count >> 14]
  const body = Buffer.concat([Buffer.of(1, 32), Buffer.from('ab'.repeat(16)), Buffer.from(length(bytes.length)), bytes])
  return Buffer.concat([Buffer.of(1, ...length(body.length)), body])
}
