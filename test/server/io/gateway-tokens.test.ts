/** Tokens on real sockets: who comes in, for how long, and that no token is seen anywhere. */

import { parseDevice } from '@meridian/core/ids'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { hmac, token } from '../auth/tokens.js'
import { attach, RawClient } from '../support/raw-client.js'
import { type RunningNode, startTestNode } from '../support/running-node.js'

const secret = 'a secret of thirty-two bytes ok!'

interface Sitting extends RunningNode {
  nowMs: number
  sign(change?: Readonly<Record<string, unknown>>): string
}

async function startWithTokens(): Promise<Sitting> {
  const sitting = { nowMs: Date.UTC(2026, 5, 1) }
  const running = await startTestNode(
    { dev: false, 'auth.secretFile': 'secret', 'auth.clockToleranceMs': '0', 'log.level': 'trace' },
    { texts: { secret }, clock: { now: () => sitting.nowMs } },
  )
  const sign = (change: Readonly<Record<string, unknown>> = {}): string =>
    token(hmac(secret), {
      sub: 'ada',
      tenant: 'acme',
      docs: [{ match: 'notes/*', access: 'write' }],
      exp: sitting.nowMs / 1000 + 60,
      ...change,
    })
  return Object.assign(sitting, running, { sign })
}

function update(): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = 1
  doc.getText('t').insert(0, 'x')
  return Y.encodeStateAsUpdate(doc)
}

describe('tokens', () => {
  it('given a good token, then its subject is welcome, in its tenant, with its grants only', async () => {
    const node = await startWithTokens()
    const client = await new RawClient(node.node.url).greet(node.sign())
    expect(await client.frame('welcome')).toMatchObject({ subject: 'ada' })
    client.send(attach(1, 'acme/notes/1'), attach(2, 'acme/other/1'), attach(3, 'beta/notes/1'))
    expect(await client.frame('attached')).toMatchObject({ channel: 1, access: 'write' })
    expect(await client.frame('denied', (frame) => frame.channel === 2)).toMatchObject({ code: 'ACCESS_DENIED' })
    expect(await client.frame('denied', (frame) => frame.channel === 3)).toMatchObject({ code: 'ACCESS_DENIED' })
  })

  it('given a token that allows reading only, then a push is refused', async () => {
    const node = await startWithTokens()
    const client = await new RawClient(node.node.url).greet(node.sign({ docs: [{ match: '*', access: 'read' }] }))
    client.send(attach(1, 'acme/notes/1'))
    expect(await client.frame('attached')).toMatchObject({ access: 'read' })
    client.send({ type: 'push', channel: 1, counter: 1, payload: update() })
    expect(await client.frame('refused')).toMatchObject({ counter: 1, code: 'WRITE_DENIED' })
  })

  it.each([
    ['no token', () => '', 'TOKEN_INVALID', 4401],
    [
      'a token of another secret',
      () => token(hmac('another secret of thirty-two byte'), { sub: 'ada', tenant: 'acme', docs: [], exp: 9e9 }),
      'TOKEN_INVALID',
      4401,
    ],
    ['a token that expired', (node: Sitting) => node.sign({ exp: node.nowMs / 1000 - 1 }), 'TOKEN_EXPIRED', 4402],
  ])('given %s, then a typed goodbye, and the token is in no log, no answer and no metric', async (_, make, code, closeCode) => {
    const node = await startWithTokens()
    const text = make(node)
    const client = await new RawClient(node.node.url).open()
    client.send({ type: 'hello', protocol: 1, device: parseDevice('0'.repeat(32)), token: text })
    expect(await client.frame('goodbye')).toMatchObject({ code, retry: 'never' })
    expect(await client.closed).toEqual({ code: closeCode, reason: code })
    const metrics = await (await fetch(`${node.node.url}/metrics`)).text()
    expect(metrics).toContain(`meridian_refused_total{code="${code}"} 1`)
    const seen = JSON.stringify([client.frames, node.lines, metrics])
    expect(text.split('.').filter((part) => part.length > 8 && seen.includes(part))).toEqual([])
  })

  it('given a session whose token expires, then it ends; given a new token in time, then it goes on', async () => {
    const node = await startWithTokens()
    const lasting = await new RawClient(node.node.url).greet(node.sign())
    const ending = await new RawClient(node.node.url).greet(node.sign())
    node.nowMs += 50_000
    lasting.send({ type: 'token', token: node.sign() }, { type: 'ping', nonce: 1 })
    await lasting.frame('pong')
    node.nowMs += 10_000
    expect(await ending.frame('goodbye')).toMatchObject({ code: 'TOKEN_EXPIRED' })
    lasting.send({ type: 'ping', nonce: 2 })
    await lasting.frame('pong', (frame) => frame.nonce === 2)
  })

  it('given a new token of somebody else, then the session ends', async () => {
    const node = await startWithTokens()
    const client = await new RawClient(node.node.url).greet(node.sign())
    client.send({ type: 'token', token: node.sign({ sub: 'eve' }) })
    expect(await client.frame('goodbye')).toMatchObject({ code: 'TOKEN_INVALID' })
  })
})
