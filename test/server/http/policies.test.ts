/** Placement at the doors of a running node: HTTP, both wires, and the policies themselves. */

import { connect } from '@meridian/client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { every, until } from '../../e2e/waiting.js'
import { hmac, token } from '../auth/tokens.js'
import { type ClusterNodesOptions, pinned, startClusterNode, startClusterNodes } from '../support/cluster-nodes.js'
import { startTestNode } from '../support/running-node.js'

const secret = 'a secret of thirty-two bytes ok!'
const signed = (claims: Readonly<Record<string, unknown>> = {}): string =>
  token(hmac(secret), {
    sub: 'ada',
    tenant: 'acme',
    exp: 4_000_000_000,
    docs: [{ match: '*', access: 'write' }],
    ...claims,
  })
const editor = signed({ scope: 'openid policy:write' })
const tokens = { all: { dev: false, 'auth.secretFile': 'secret' } }
const acme = pinned('acme', {
  notes: { store: ['anywhere'] },
  'eu-notes': { store: ['IE'] },
  'us-notes': { store: ['US'] },
  inside: { store: ['anywhere'], access: ['IE'] },
})
const names = ['eu-west', 'us-east', 'ap-south'] as const

async function one(options: ClusterNodesOptions = {}) {
  const cluster = await startClusterNodes(names, {
    policies: { acme },
    flags: tokens,
    texts: { secret },
    start: ['eu-west'],
    ...options,
  })
  const url = cluster.url('eu-west')
  const ask = (path: string, { bearer = signed(), headers = {}, ...rest }: Asking = {}): Promise<Response> =>
    fetch(`${url}${path}`, { ...rest, headers: { authorization: `Bearer ${bearer}`, ...headers } })
  const put = (path: string, value: unknown, asking: Asking = {}): Promise<Response> =>
    ask(path, {
      method: 'PUT',
      body: JSON.stringify(value),
      ...asking,
      headers: { 'content-type': 'application/json', ...asking.headers },
    })
  return { cluster, url, ask, put }
}

type Asking = Omit<RequestInit, 'headers'> & { readonly bearer?: string; readonly headers?: Record<string, string> }
const begin = { 'if-none-match': '*' }
const json = async (response: Response): Promise<Record<string, unknown>> => (await response.json()) as Record<string, unknown>

describe('HTTP in a cluster', () => {
  it('[RES1, RES5] given a collection that is pinned elsewhere, when it is read, written, listed, followed or erased, then 421 with the rule and the regions, and nothing is stored', async () => {
    const { cluster, ask, put } = await one()
    const port = cluster.places[1]?.port
    const answers = await Promise.all([
      ask('/v1/documents/acme/us-notes/1'),
      put('/v1/documents/acme/us-notes/1', { text: 'x' }, { headers: begin }),
      ask('/v1/documents/acme/us-notes/1', { method: 'DELETE' }),
      ask('/v1/collections/acme/us-notes'),
      ask('/v1/collections/acme/us-notes/changes'),
    ])
    for (const answer of answers) {
      expect(answer.status).toBe(421)
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      expect(await json(answer)).toMatchObject({
        code: 'NOT_PLACED_HERE',
        rule: 'acme.us-notes',
        redirects: [{ region: 'us-east', url: `ws://127.0.0.1:${port}` }],
      })
    }
    expect((await put('/v1/documents/acme/eu-notes/1', { text: 'x' }, { headers: begin })).status).toBe(201)
    expect(await json(await ask('/v1/collections/acme/eu-notes'))).toMatchObject({ documents: [{ key: '1' }] })
  })

  it('[RES2] given a tenant or a collection that no policy names, then it is closed, in every region', async () => {
    const { ask, put } = await one()
    const unknown = await put('/v1/documents/acme/unknown/1', { text: 'x' }, { headers: begin })
    expect([unknown.status, await json(unknown)]).toMatchObject([421, { rule: 'acme', redirects: [] }])
    const stranger = signed({ tenant: 'other' })
    const answer = await ask('/v1/documents/other/notes/1', { bearer: stranger })
    expect([answer.status, await json(answer)]).toMatchObject([421, { rule: 'unknown policy', redirects: [] }])
  })

  it('[RES2] given a collection that may be reached from one country only, then the country counts that the token and the proxy attest', async () => {
    const { ask, put } = await one({
      flags: { all: { ...tokens.all, trustedProxies: '127.0.0.1', countryHeader: 'X-Country' } },
    })
    const inside = signed({ country: 'IE' })
    const made = await put('/v1/documents/acme/inside/1', { text: 'x' }, { bearer: inside, headers: begin })
    expect(made.status).toBe(201)
    const status = async (bearer: string, country?: string): Promise<number> => {
      const headers = country === undefined ? {} : { 'x-country': country }
      return (await ask('/v1/documents/acme/inside/1', { bearer, headers })).status
    }
    expect(await status(inside)).toBe(200)
    expect(await status(signed(), 'ie')).toBe(200)
    expect(await status(inside, 'IE')).toBe(200)
    expect(await status(signed())).toBe(421)
    expect(await status(signed({ country: 'FR' }))).toBe(421)
    expect(await status(inside, 'US')).toBe(421)
    expect(await status(inside, 'T1')).toBe(421)
    const { ask: direct } = await one({ flags: { all: { ...tokens.all, countryHeader: 'X-Country' } } })
    const forged = await direct('/v1/documents/acme/inside/1', { headers: { 'x-country': 'IE' } })
    expect(forged.status).toBe(421)
  })
})

describe('wires in a cluster', () => {
  it('[RES5, ATT6] given a client of the native wire, when it opens what is pinned elsewhere, then it is told where', async () => {
    const { cluster, url } = await one()
    const store = connect({ url, token: signed() })
    onTestFinished(() => store.close())
    const away = store.open('us-notes/1')
    const here = store.open('eu-notes/1')
    here.ydoc.getText('text').insert(0, 'x')
    await here.saved()
    await until(() => away.status.kind === 'redirected', every(10), { what: 'the redirect', limitMs: 20_000 })
    expect(away.status).toMatchObject({
      redirects: [{ region: 'us-east', url: `ws://127.0.0.1:${cluster.places[1]?.port}` }],
    })
  })

  it('[RES5] given a y-websocket provider, when its room is pinned elsewhere, then it is closed with 4421 and the addresses', async () => {
    const { cluster, url } = await one()
    const closed = (room: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/yjs/${room}?token=${signed()}`)
        socket.on('close', (code, reason) => resolve(`${code} ${reason.toString()}`))
        socket.on('error', () => undefined)
      })
    expect(await closed('acme/us-notes/1')).toBe(`4421 NOT_PLACED_HERE ws://127.0.0.1:${cluster.places[1]?.port}`)
    expect(await closed('acme/unknown/1')).toBe('4421 NOT_PLACED_HERE')
  })
})

describe('policies over HTTP', () => {
  const path = '/v1/policies/acme'

  it('given a policy, when it is validated as JSON or YAML, then what is wrong is said, and nothing is stored', async () => {
    const { ask } = await one()
    const validate = async (body: string, type: string): Promise<Record<string, unknown>> =>
      json(await ask('/v1/policies/validate', { method: 'POST', body, headers: { 'content-type': type } }))
    expect(await validate(JSON.stringify(acme), 'application/json')).toEqual({ valid: true, findings: [] })
    expect(await validate(JSON.stringify(acme), 'application/yaml')).toEqual({ valid: true, findings: [] })
    const wrong = pinned('acme', { notes: { store: ['mars-1'] } })
    expect(await validate(JSON.stringify(wrong), 'application/yaml')).toMatchObject({
      valid: false,
      findings: [{ level: 'error', path: 'placements.notes.store.in' }, { level: 'error' }, { level: 'error' }],
    })
    expect(
      (await ask('/v1/policies/validate', { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } })).status,
    ).toBe(415)
  })

  it('[RES1] given a document and a place, when it is explained, then it is the decision with rule, regions and words', async () => {
    const { ask } = await one()
    const explain = (query: string, bearer = signed()): Promise<Response> => ask(`${path}/explain?${query}`, { bearer })
    const answer = await json(await explain('document=acme/us-notes/1&region=eu-west'))
    expect(answer).toMatchObject({ decision: 'no', rule: 'acme.us-notes', reason: 'outside', epoch: 1, nearest: ['us-east'] })
    expect(answer['explanation']).toContain('DENY store plaintext acme/us-notes/1 at eu-west')
    expect(await json(await explain('document=acme/inside/1&verb=access&from=IE'))).toMatchObject({
      decision: 'yes',
      group: 'acme/inside',
    })
    expect((await explain('document=acme/inside/1')).status).toBe(400)
    expect((await explain('document=other/notes/1&region=eu-west')).status).toBe(403)
    const reader = signed({ docs: [{ match: 'notes/*', access: 'read' }] })
    expect((await explain('document=acme/notes/1&region=eu-west', reader)).status).toBe(200)
    expect((await explain('document=acme/us-notes/1&region=eu-west', reader)).status).toBe(403)
  })

  it('given a token without the scope, or of another tenant, then nobody reads or edits a policy', async () => {
    const { ask, put } = await one()
    const reader = signed({ scope: 'policy:read' })
    expect((await ask(path)).status).toBe(403)
    expect((await ask(path, { bearer: reader })).status).toBe(200)
    expect((await put(path, acme)).status).toBe(403)
    expect((await put(path, acme, { bearer: reader })).status).toBe(403)
    const stranger = signed({ tenant: 'other', scope: 'policy:write' })
    expect((await put(path, acme, { bearer: stranger })).status).toBe(403)
    expect((await ask('/v1/policies/other', { bearer: stranger })).status).toBe(404)
    expect((await ask(path, { method: 'DELETE', bearer: editor })).status).toBe(405)
  })

  it('[RES3] given an edit, when it is answered, then it is durable, holds at once, and another that has not seen it is refused', async () => {
    const { cluster, url, ask, put } = await one()
    const before = await ask(path, { bearer: editor })
    const etag = before.headers.get('etag') ?? ''
    expect(await json(before)).toMatchObject({ epoch: 1, frozen: false, heads: [{ author: 'file', epoch: 1, policy: acme }] })
    const wider = pinned('acme', {
      notes: { store: ['anywhere'] },
      'eu-notes': { store: ['IE'] },
      'us-notes': { store: ['anywhere'] },
    })
    const edited = await put(path, wider, { bearer: editor, headers: { 'if-match': etag } })
    expect([edited.status, await json(edited)]).toMatchObject([200, { epoch: 2, frozen: false, heads: [{ author: 'ada' }] }])
    expect((await put('/v1/documents/acme/us-notes/1', { text: 'x' }, { headers: begin })).status).toBe(201)
    const late = await put(path, acme, { bearer: editor, headers: { 'if-match': etag } })
    expect([late.status, late.headers.get('etag')]).toEqual([412, edited.headers.get('etag')])
    const { node, config } = cluster.nodes.get('eu-west') ?? {}
    await node?.close()
    // The port may be taken meanwhile; nobody else is to connect.
    const again = await startClusterNode(cluster.places, 'eu-west', {
      policies: { acme },
      flags: { all: { ...tokens.all, port: '0', dataDir: config?.dataDir ?? '' } },
      texts: { secret },
    })
    const kept = await fetch(`${again.node.url}${path}`, { headers: { authorization: `Bearer ${editor}` } })
    expect(await json(kept)).toMatchObject({ epoch: 2, heads: [{ policy: wider }] })
    expect(url).not.toBe(again.node.url)
  })

  it('[RES3] given a file that was changed after an edit, then both hold: what either refuses is refused, and an edit of both heads ends it', async () => {
    const { cluster, put } = await one()
    await put(path, pinned('acme', { notes: { store: ['anywhere'] } }), { bearer: editor })
    const { node, config } = cluster.nodes.get('eu-west') ?? {}
    await node?.close()
    const again = await startClusterNode(cluster.places, 'eu-west', {
      policies: { acme: pinned('acme', { notes: { store: ['US'] } }) },
      flags: { all: { ...tokens.all, port: '0', dataDir: config?.dataDir ?? '' } },
      texts: { secret },
    })
    const ask = (to: string, init: RequestInit = {}): Promise<Response> =>
      fetch(`${again.node.url}${to}`, {
        ...init,
        headers: { authorization: `Bearer ${editor}`, 'content-type': 'application/json' },
      })
    expect(await json(await ask(path))).toMatchObject({ frozen: true, heads: [{}, {}] })
    expect((await ask('/v1/documents/acme/notes/1')).status).toBe(421)
    const both = await ask(path, { method: 'PUT', body: JSON.stringify(pinned('acme', { notes: { store: ['anywhere'] } })) })
    expect(await json(both)).toMatchObject({ frozen: false, heads: [{ parents: [expect.any(String), expect.any(String)] }] })
    expect((await ask('/v1/documents/acme/notes/1')).status).toBe(404)
  })

  it('[RES0, RES4] given an edit that would move documents, or is wrong, then it is refused with where, and what holds goes on', async () => {
    const { ask, put } = await one()
    const moved = { ...acme, collections: { notes: { placement: 'eu-notes' } } }
    const answer = await put(path, moved, { bearer: editor })
    expect([answer.status, await json(answer)]).toMatchObject([
      422,
      { code: 'POLICY_INVALID', findings: [{ path: 'collections.notes', code: 'not served' }] },
    ])
    const wrong = await put(path, { ...acme, moves: [] }, { bearer: editor })
    expect([wrong.status, await json(wrong)]).toMatchObject([422, { findings: [{ path: 'moves' }] }])
    const other = await put(path, { ...acme, tenant: 'other' }, { bearer: editor })
    expect([other.status, await json(other)]).toMatchObject([422, { findings: [{ path: 'tenant' }] }])
    expect(await json(await ask(path, { bearer: editor }))).toMatchObject({ epoch: 1 })
  })

  it('[RES3] given a policy that names other regions only, when it is handed in here, then it is refused with where, and not kept', async () => {
    const { ask, put } = await one({ policies: {} })
    const answer = await put(path, pinned('acme', { notes: { store: ['US'] } }), { bearer: editor })
    expect([answer.status, await json(answer)]).toMatchObject([421, { redirects: [{ region: 'us-east' }] }])
    expect((await ask(path, { bearer: editor })).status).toBe(404)
  })

  it('given a node that is in no cluster, then policies are not served, and say why', async () => {
    const { node } = await startTestNode()
    const answer = await fetch(`${node.url}/v1/policies/dev`)
    expect([answer.status, await json(answer)]).toMatchObject([501, { retry: 'never' }])
  })
})

describe('narrowing a policy', () => {
  it('[RES3, RES5] given open documents and a feed, when the policy shuts them out, then each is told where to go, and nothing more is served', async () => {
    const { url, ask, put } = await one()
    const store = connect({ url, token: signed() })
    onTestFinished(() => store.close())
    const note = store.open('notes/1')
    note.ydoc.getText('text').insert(0, 'x')
    await note.saved()
    const room = new WebSocket(`${url.replace('http', 'ws')}/yjs/acme/notes/1?token=${signed()}`)
    const closed = new Promise<string>((resolve) => {
      room.on('close', (code, reason) => resolve(`${code} ${reason.toString().split(' ', 1)[0] ?? ''}`))
    })
    await new Promise((resolve) => room.on('message', resolve))
    const feed = await ask('/v1/collections/acme/notes/changes')
    const narrow = pinned('acme', { notes: { store: ['US'] }, 'eu-notes': { store: ['IE'] } })
    expect((await put('/v1/policies/acme', narrow, { bearer: editor })).status).toBe(200)
    expect((await ask('/v1/documents/acme/notes/1')).status).toBe(421)
    expect(await feed.text()).toContain('"code":"NOT_PLACED_HERE"')
    expect(await closed).toBe('4421 NOT_PLACED_HERE')
    await until(() => note.status.kind === 'redirected', every(10), { what: 'the redirect', limitMs: 20_000 })
    expect(note.status).toMatchObject({ redirects: [{ region: 'us-east' }] })
  })
})
