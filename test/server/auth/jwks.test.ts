/** Keys from a JWKS URL: a real server that rotates, is slow, lies and goes down. */

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { jwtAuthenticator } from '@meridian/server/auth/jwt'
import type { TokenConfig } from '@meridian/server/config'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { describeAuthenticator } from '../../conformance/authenticator.js'
import { startTestNode } from '../support/running-node.js'
import { hmac, type KeyPair, keyPair, token } from './tokens.js'

class KeyServer {
  readonly server: Server
  keys: object[] = []
  requests = 0
  answer: 'keys' | 'error' | 'garbage' | 'never' = 'keys'

  constructor() {
    this.server = createServer((_request, response) => {
      this.requests++
      if (this.answer === 'never') return
      if (this.answer === 'error') response.statusCode = 500
      response.end(this.answer === 'garbage' ? '<html>' : JSON.stringify({ keys: this.keys }))
    })
  }

  async listen(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve))
    return this
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/keys`
  }

  close(): Promise<void> {
    this.server.closeAllConnections()
    return new Promise((resolve) => this.server.close(() => resolve()))
  }
}

async function keyServer(...keys: object[]): Promise<KeyServer> {
  const server = await new KeyServer().listen()
  server.keys = keys
  onTestFinished(() => server.close())
  return server
}

const jwkOf = (pair: KeyPair, kid: string): object => ({ ...(JSON.parse(pair.jwk) as object), kid })
const one = keyPair('ES256')
const two = keyPair('ES256')
const cooldownMs = 200

let nowMs = Date.now()
const clock = { now: () => nowMs }
const claims = () => ({ sub: 'ada', tenant: 'acme', exp: nowMs / 1000 + 86_400, docs: [{ match: '*', access: 'read' }] })
const signed = (pair: KeyPair, kid: string, rest: object = {}): string => token(pair.signer, { ...claims(), ...rest }, { kid })

const configOf = (url: string, rest: Partial<NonNullable<TokenConfig['jwks']>> = {}): TokenConfig => ({
  algorithm: 'ES256',
  key: '',
  jwks: { url, cooldownMs, cacheMs: 60_000, timeoutMs: 500, ...rest },
  issuer: undefined,
  audience: undefined,
  clockToleranceMs: 0,
})
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'fine',
    (error: { code?: string; retry?: string }) => `${String(error.code)} ${String(error.retry)}`,
  )

const shared = new KeyServer()
shared.keys = [jwkOf(one, 'a')]
afterAll(() => shared.close())

describeAuthenticator({
  name: 'JWKS',
  make: async () => jwtAuthenticator(configOf((await shared.listen()).url), clock),
  good: () => {
    const { exp } = claims()
    return Promise.resolve({
      token: signed(one, 'a', { exp }),
      principal: { subject: 'ada', tenant: 'acme', grants: [{ match: '*', access: 'read' }], expiresAt: exp * 1000 },
    })
  },
  bad: [
    { name: 'a token of a key that is not in the set', code: 'TOKEN_INVALID', token: () => Promise.resolve(signed(two, 'b')) },
    { name: 'a token of another key under the id of one', code: 'TOKEN_INVALID', token: () => Promise.resolve(signed(two, 'a')) },
    {
      name: 'a token signed with a public key as a secret',
      code: 'TOKEN_INVALID',
      token: () => Promise.resolve(token(hmac(one.spki), claims(), { kid: 'a' })),
    },
    { name: 'a token that expired', code: 'TOKEN_EXPIRED', token: () => Promise.resolve(signed(one, 'a', { exp: 1 })) },
  ],
})

describe('keys of a URL', () => {
  it('given a new key, when a token names it, then it is fetched, and made-up key ids make no more than a request a cooldown', async () => {
    const server = await keyServer(jwkOf(one, 'a'))
    const authenticator = await jwtAuthenticator(configOf(server.url), clock)
    expect(await codeOf(authenticator.authenticate(signed(one, 'a')))).toBe('fine')
    server.keys.push(jwkOf(two, 'b'))
    await pause(cooldownMs + 50)
    expect(await codeOf(authenticator.authenticate(signed(two, 'b')))).toBe('fine')
    const { requests } = server
    for (let index = 0; index < 20; index++)
      expect(await codeOf(authenticator.authenticate(signed(two, `made-up ${index}`)))).toBe('TOKEN_INVALID never')
    expect(server.requests - requests).toBeLessThanOrEqual(1)
  })

  it('given a server that is down, then known keys go on however long, unknown ones are to be tried again; when it is back, it is used', async () => {
    const server = await keyServer(jwkOf(one, 'a'))
    const { port } = server
    const authenticator = await jwtAuthenticator(configOf(server.url), clock)
    expect(await codeOf(authenticator.authenticate(signed(one, 'a')))).toBe('fine')
    await server.close()
    for (let hour = 0; hour < 5; hour++) {
      nowMs += 3_600_000
      expect(await codeOf(authenticator.authenticate(signed(one, 'a')))).toBe('fine')
      await pause(50)
    }
    await pause(cooldownMs)
    expect(await codeOf(authenticator.authenticate(signed(two, 'b')))).toBe('INTERNAL backoff')
    const back = await new KeyServer().listen(port)
    onTestFinished(() => back.close())
    back.keys = [jwkOf(two, 'b')]
    nowMs += 3_600_000
    await pause(cooldownMs + 50)
    expect(await codeOf(authenticator.authenticate(signed(two, 'b')))).toBe('fine')
    // What the set no longer has is no key any more.
    expect(await codeOf(authenticator.authenticate(signed(one, 'a')))).toBe('TOKEN_INVALID never')
  })

  it.each(['error', 'garbage', 'never'] as const)(
    'given a server that answers %s from the start, then a token is to be tried again',
    async (answer) => {
      const server = await keyServer(jwkOf(one, 'a'))
      server.answer = answer
      const authenticator = await jwtAuthenticator(configOf(server.url), clock)
      expect(await codeOf(authenticator.authenticate(signed(one, 'a')))).toBe('INTERNAL backoff')
      const { requests } = server
      for (let index = 0; index < 10; index++) await codeOf(authenticator.authenticate(signed(one, 'a')))
      expect(server.requests).toBe(requests)
      server.answer = 'keys'
      nowMs += cooldownMs
      await pause(cooldownMs)
      expect(await codeOf(authenticator.authenticate(signed(one, 'a')))).toBe('fine')
    },
  )

  it('given a set with a weak RSA key, then it is not used', async () => {
    const weak = keyPair('RS256', 1024)
    const server = await keyServer(jwkOf(weak, 'w'))
    const authenticator = await jwtAuthenticator({ ...configOf(server.url), algorithm: 'RS256' }, clock)
    expect(await codeOf(authenticator.authenticate(signed(weak, 'w')))).not.toBe('fine')
  })

  it('given a node with a JWKS URL, then it answers by its keys', async () => {
    const server = await keyServer(jwkOf(one, 'a'))
    const { node } = await startTestNode({ dev: false, 'auth.jwksUrl': server.url, 'auth.algorithm': 'ES256' })
    const status = async (text: string) =>
      (await fetch(`${node.url}/v1/collections/acme/notes`, { headers: { authorization: `Bearer ${text}` } })).status
    nowMs = Date.now()
    expect([await status(signed(one, 'a')), await status(signed(two, 'a'))]).toEqual([200, 401])
    await expect(
      startTestNode({ dev: false, 'auth.jwksUrl': 'http://keys.example/', 'auth.algorithm': 'ES256' }),
    ).rejects.toThrow(/https/)
    await expect(startTestNode({ dev: false, 'auth.jwksUrl': server.url })).rejects.toThrow(/auth.algorithm/)
  })
})
