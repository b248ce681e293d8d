import type { Principal } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import { jwtAuthenticator } from '@meridian/server/auth/jwt'
import type { TokenConfig } from '@meridian/server/config'
import { describe, expect, it } from 'vitest'
import { describeAuthenticator, refusal } from '../../conformance/authenticator.js'
import { hmac, keyPair, type Signer, token, unsigned } from './tokens.js'

const nowMs = Date.UTC(2026, 5, 1)
const now = nowMs / 1000
const clock = { now: () => nowMs }
const secret = 'a secret of thirty-two bytes ok!'
const docs: Principal['grants'] = [
  { match: 'notes/*', access: 'write' },
  { match: '*', access: 'read' },
]
const claims = { sub: 'ada', tenant: 'acme', docs, exp: now + 3600 }
const config: TokenConfig = { algorithm: 'HS256', key: secret, issuer: undefined, audience: undefined, clockToleranceMs: 30_000 }
const principal: Principal = { subject: 'ada', tenant: 'acme', grants: docs, expiresAt: nowMs + 3_600_000 + 30_000 }

const bad: readonly (readonly [name: string, token: string])[] = [
  ['no token', ''],
  ['a token of another secret', token(hmac('another secret of thirty-two byte'), claims)],
  ['a token of another algorithm with the same secret', token(hmac(secret, 'HS512'), claims)],
  ['a token that is not signed', unsigned(claims)],
  ['a token of tomorrow', token(hmac(secret), { ...claims, nbf: now + 86_400 })],
  ...(
    [
      ['no exp', { exp: undefined }],
      ['an exp that is text', { exp: String(now + 3600) }],
      ['no sub', { sub: undefined }],
      ['an empty sub', { sub: '' }],
      ['a sub without an end', { sub: 'x'.repeat(257) }],
      ['no tenant', { tenant: undefined }],
      ['a tenant that is no name', { tenant: '../other' }],
      ['a tenant that is a list', { tenant: ['acme'] }],
      ['no docs', { docs: undefined }],
      ['docs that are no list', { docs: { match: '*', access: 'write' } }],
      ['an access that is none', { docs: [{ match: '*', access: 'admin' }] }],
      ['an empty match', { docs: [{ match: '', access: 'read' }] }],
      ['a match without an end', { docs: [{ match: '*'.repeat(601), access: 'read' }] }],
      ['too many docs', { docs: Array.from({ length: 1001 }, () => docs[0]) }],
    ] as const
  ).map(([name, change]) => [`a token with ${name}`, token(hmac(secret), { ...claims, ...change })] as const),
]

describeAuthenticator({
  name: 'HS256',
  make: () => jwtAuthenticator(config, clock),
  good: () => Promise.resolve({ token: token(hmac(secret), claims), principal }),
  bad: [
    {
      name: 'a token that expired',
      code: 'TOKEN_EXPIRED',
      token: () => Promise.resolve(token(hmac(secret), { ...claims, exp: now - 31 })),
    },
    ...bad.map(([name, text]) => ({ name, code: 'TOKEN_INVALID' as const, token: () => Promise.resolve(text) })),
  ],
})

for (const algorithm of ['ES256', 'RS256', 'EdDSA'] as const) {
  const { signer, spki, jwk, pkcs8 } = keyPair(algorithm)
  const other = keyPair(algorithm)

  describeAuthenticator({
    name: algorithm,
    make: () => jwtAuthenticator({ ...config, algorithm, key: spki }, clock),
    good: () => Promise.resolve({ token: token(signer, claims), principal }),
    bad: [
      { name: 'a token of another key', code: 'TOKEN_INVALID', token: () => Promise.resolve(token(other.signer, claims)) },
      {
        name: 'a token signed with the public key as a secret',
        code: 'TOKEN_INVALID',
        token: () => Promise.resolve(token(hmac(spki), claims)),
      },
      { name: 'a token that is not signed', code: 'TOKEN_INVALID', token: () => Promise.resolve(unsigned(claims)) },
      {
        name: 'a token that expired',
        code: 'TOKEN_EXPIRED',
        token: () => Promise.resolve(token(signer, { ...claims, exp: now - 31 })),
      },
    ],
  })

  describe(`a key for ${algorithm}`, () => {
    it('may be a JWK', async () => {
      const authenticator = await jwtAuthenticator({ ...config, algorithm, key: jwk }, clock)
      expect(await authenticator.authenticate(token(signer, claims))).toEqual(principal)
    })

    it.each([
      ['nonsense', 'nonsense'],
      ['a private key', pkcs8],
      ['a broken JWK', '{"kty":"RSA"'],
      ['a secret', '{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}'],
      ['a key of another kind', keyPair(algorithm === 'ES256' ? 'EdDSA' : 'ES256').spki],
    ])('is refused if it is %s, and not shown', async (_, key) => {
      const thrown: unknown = await jwtAuthenticator({ ...config, algorithm, key }, clock).catch((error: unknown) => error)
      expect(thrown).toBeInstanceOf(MeridianError)
      expect(thrown).toMatchObject({ code: 'CONFIG_INVALID' })
      expect(thrown).not.toHaveProperty('cause')
      expect(key.split('\n').filter((line) => line.length > 20 && String(thrown).includes(line))).toEqual([])
    })
  })
}

it('refuses an RSA key that is too short to be safe', async () => {
  const { spki } = keyPair('RS256', 1024)
  await expect(jwtAuthenticator({ ...config, algorithm: 'RS256', key: spki }, clock)).rejects.toThrow('shorter than 2048 bits')
})

describe('issuer, audience and clocks', () => {
  const sign = (change: Readonly<Record<string, unknown>>, signer: Signer = hmac(secret)): string =>
    token(signer, { ...claims, ...change })

  it('checks iss and aud where they are configured', async () => {
    const iss = 'https://id.example'
    const authenticator = await jwtAuthenticator({ ...config, issuer: iss, audience: 'meridian' }, clock)
    expect((await authenticator.authenticate(sign({ iss, aud: 'meridian' }))).subject).toBe('ada')
    expect((await authenticator.authenticate(sign({ iss, aud: ['x', 'meridian'] }))).subject).toBe('ada')
    expect((await refusal(authenticator, sign({ iss: 'https://other.example', aud: 'meridian' }))).message).toContain(
      'the claim iss',
    )
    expect((await refusal(authenticator, sign({ iss, aud: 'other' }))).message).toContain('the claim aud')
    expect((await refusal(authenticator, sign({}))).message).toContain('the claim iss')
  })

  it('given clocks that differ by less than the tolerance, then a token counts a little longer, and its session ends then too', async () => {
    const authenticator = await jwtAuthenticator(config, clock)
    expect((await authenticator.authenticate(sign({ exp: now - 29 }))).expiresAt).toBe(nowMs + 1_000)
    expect((await refusal(authenticator, sign({ exp: now - 30 }))).code).toBe('TOKEN_EXPIRED')
    expect((await authenticator.authenticate(sign({ nbf: now + 30 }))).subject).toBe('ada')
    expect((await refusal(authenticator, sign({ nbf: now + 31 }))).code).toBe('TOKEN_INVALID')
  })

  it('given docs at their bounds, then they are taken', async () => {
    const authenticator = await jwtAuthenticator(config, clock)
    const many = Array.from({ length: 1000 }, () => ({ match: '*'.repeat(600), access: 'read' }))
    expect((await authenticator.authenticate(sign({ docs: many, sub: 'x'.repeat(256) }))).grants).toEqual(many)
  })
})
