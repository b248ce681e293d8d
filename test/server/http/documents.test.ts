/** Documents over HTTP, against a real node: what is asked, what comes of it, and bad input of each kind. */

import { yjsEngine } from '@meridian/core/engines/yjs'
import { connect } from '@meridian/client'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as Y from 'yjs'
import { RawSocket } from '../support/raw-socket.js'
import { startTestNode, useTestNode } from '../support/running-node.js'
import { hmac, token } from '../auth/tokens.js'

interface Asked extends RequestInit {
  readonly json?: unknown
  readonly type?: string
}

let names = 0
const fresh = (): string => `dev/notes/${++names}`

function asker(url: () => string) {
  return async (method: string, path: string, { json, type, headers, ...rest }: Asked = {}): Promise<Response> =>
    fetch(`${url()}${path}`, {
      method,
      ...rest,
      headers: {
        ...(json === undefined ? {} : { 'content-type': type ?? 'application/json' }),
        ...(json === undefined && type !== undefined ? { 'content-type': type } : {}),
        ...(headers as Record<string, string> | undefined),
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    })
}

const begin = { 'if-none-match': '*' }
const merge = 'application/merge-patch+json'
const patch = 'application/json-patch+json'
const octets = 'application/octet-stream'

describe('a document over HTTP', () => {
  const node = useTestNode()
  const ask = asker(() => node().url)
  const put = (name: string, json: unknown) => ask('PUT', `/v1/documents/${name}`, { json, headers: begin })

  it('given a template, when PUT, then it is created once and read as JSON, text and update, each with the version', async () => {
    const name = fresh()
    const created = await put(name, { text: 'hello', list: [1, { a: 'b' }], map: { k: null } })
    expect(created.status).toBe(201)
    const version = created.headers.get('meridian-version') ?? ''
    expect(await created.json()).toEqual({
      version,
      life: 1,
      entry: { replica: expect.stringMatching(/^eu-west#1\./), sequence: expect.any(Number) },
    })
    const read = await ask('GET', `/v1/documents/${name}`)
    expect([read.status, read.headers.get('content-type'), read.headers.get('meridian-version')]).toEqual([
      200,
      'application/json',
      version,
    ])
    expect(await read.json()).toEqual({ text: 'hello', list: [1, { a: 'b' }], map: { k: null } })
    const text = await ask('GET', `/v1/documents/${name}`, { headers: { accept: 'text/plain' } })
    expect([text.headers.get('content-type'), await text.text()]).toEqual(['text/plain; charset=utf-8', 'hello'])
    const update = await ask('GET', `/v1/documents/${name}?as=update`)
    const doc = new Y.Doc()
    Y.applyUpdate(doc, new Uint8Array(await update.arrayBuffer()))
    expect(doc.getText('text').toString()).toBe('hello')
    const again = await put(name, { text: 'other' })
    expect([again.status, again.headers.get('meridian-version')]).toEqual([412, version])
    expect(await (await ask('GET', `/v1/documents/${name}?as=text&root=text`)).text()).toBe('hello')
  })

  it('given two callers that seed at once with different templates, then there is one content, whole', async () => {
    for (let round = 0; round < 10; round++) {
      const name = fresh()
      const answers = await Promise.all(
        Array.from({ length: 6 }, (_, index) => put(name, { text: `template ${index} ${'x'.repeat(index)}` })),
      )
      expect(answers.map((answer) => answer.status).toSorted((one, other) => one - other)).toEqual([201, 412, 412, 412, 412, 412])
      const winner = answers.findIndex((answer) => answer.status === 201)
      expect(await (await ask('GET', `/v1/documents/${name}?as=text`)).text()).toBe(`template ${winner} ${'x'.repeat(winner)}`)
    }
  })

  it('given a client on the native wire that seeds with the same template, then there is one content', async () => {
    const name = fresh()
    const store = connect({ url: node().url, token: '', tenant: 'dev' })
    onTestFinished(() => store.close())
    const handle = store.open(name.slice('dev/'.length))
    const template = { map: { done: false }, text: 'Title: ' }
    const operations = Object.entries(template).map(([root, value]) => ({ op: 'add' as const, path: `/${root}`, value }))
    const seed = yjsEngine.edit([], { kind: 'patch', operations }, 1)
    const asked = put(name, template)
    Y.applyUpdate(handle.ydoc, seed)
    expect([201, 412]).toContain((await asked).status)
    await handle.saved()
    expect(await (await ask('GET', `/v1/documents/${name}`)).json()).toEqual(template)
    expect(handle.ydoc.getText('text').toString()).toBe('Title: ')
  })

  it('given patches, then each is one entry, the clients of the native wire see it, and what changes nothing is not stored', async () => {
    const name = fresh()
    await put(name, { text: 'one', map: { a: 1 } })
    const store = connect({ url: node().url, token: '', tenant: 'dev' })
    onTestFinished(() => store.close())
    const handle = store.open(name.slice('dev/'.length))
    await handle.ready
    const changed = new Promise<void>((resolve) => handle.ydoc.once('update', () => resolve()))
    const patched = await ask('PATCH', `/v1/documents/${name}`, {
      type: patch,
      json: [
        { op: 'test', path: '/map/a', value: 1 },
        { op: 'replace', path: '/text', value: 'one two' },
        { op: 'add', path: '/map/b', value: [true] },
      ],
    })
    expect(patched.status).toBe(200)
    await changed
    expect([handle.ydoc.getText('text').toString(), handle.ydoc.getMap('map').toJSON()]).toEqual(['one two', { a: 1, b: [true] }])
    const merged = await ask('PATCH', `/v1/documents/${name}`, { type: merge, json: { map: { a: null } } })
    const { version, entry } = (await merged.json()) as { version: string; entry: unknown }
    expect(entry).toBeDefined()
    const nothing = await ask('PATCH', `/v1/documents/${name}`, { type: merge, json: { map: { a: null } } })
    expect(await nothing.json()).toEqual({ version, life: 1 })
  })

  it('[SES2] given a push and a patch that are sent again under their names, then each is stored once', async () => {
    const name = fresh()
    await put(name, { list: [], text: 'x' })
    const headers = { 'meridian-push': `${'ab'.repeat(16)}/7` }
    const append = { type: patch, json: [{ op: 'add', path: '/other', value: [1] }], headers }
    const first = await ask('PATCH', `/v1/documents/${name}`, append)
    const again = await ask('PATCH', `/v1/documents/${name}`, { ...append, json: [{ op: 'add', path: '/other/-', value: 2 }] })
    expect([first.status, again.status]).toEqual([200, 200])
    expect(await (await ask('GET', `/v1/documents/${name}`)).json()).toEqual({ text: 'x', other: [1] })
    const update = yjsEngine.edit([], { kind: 'merge', value: { more: 'y' } }, 99)
    for (const counter of [8, 8]) {
      const pushed = await ask('POST', `/v1/documents/${name}`, {
        type: octets,
        body: update.slice(),
        headers: { 'meridian-push': `${'ab'.repeat(16)}/${counter}` },
      })
      expect(pushed.status).toBe(200)
    }
    expect(await (await ask('GET', `/v1/documents/${name}`)).json()).toEqual({ text: 'x', other: [1], more: 'y' })
  })

  it('[SES5] given a read at a version that is not the newest any more, then the newest is answered, and the headers say which it is', async () => {
    const name = fresh()
    const { version: first } = (await (await put(name, { text: 'a' })).json()) as { version: string }
    const edited = await ask('PATCH', `/v1/documents/${name}`, { type: merge, json: { text: 'b' } })
    const { version: second } = (await edited.json()) as { version: string }
    expect(second).not.toBe(first)
    for (const form of ['json', 'text', 'update', 'updates']) {
      const read = await ask('GET', `/v1/documents/${name}?at=${first}&as=${form}`)
      expect([read.status, read.headers.get('meridian-version'), read.headers.get('etag')]).toEqual([
        200,
        second,
        `W/"${second}"`,
      ])
    }
    expect(await (await ask('GET', `/v1/documents/${name}?at=${first}`)).json()).toEqual({ text: 'b' })
  })

  it('[SES5] given a read at a version, then what was written is in it; at one that the region lacks, NOT_YET_VISIBLE after a wait', async () => {
    const name = fresh()
    const { version } = (await (await put(name, { text: 'a' })).json()) as { version: string }
    expect((await ask('GET', `/v1/documents/${name}?at=${version}`)).status).toBe(200)
    const bytes = Buffer.from(version, 'base64url')
    const future = Buffer.concat([bytes.subarray(0, -1), Buffer.from([0xff, 0x7f])]).toString('base64url')
    const startedAt = performance.now()
    const refused = await ask('GET', `/v1/documents/${name}?at=${future}`)
    expect(performance.now() - startedAt).toBeGreaterThan(1_900)
    expect([refused.status, await refused.json()]).toMatchObject([
      409,
      { code: 'NOT_YET_VISIBLE', retry: 'backoff', missing: future },
    ])
  })

  it('given a state vector, then only what it lacks is answered; given the version that one has, 304', async () => {
    const name = fresh()
    const created = await put(name, { text: 'a'.repeat(1_000) })
    const doc = new Y.Doc()
    Y.applyUpdate(doc, new Uint8Array(await (await ask('GET', `/v1/documents/${name}?as=update`)).arrayBuffer()))
    const vector = Buffer.from(Y.encodeStateVector(doc)).toString('base64url')
    await ask('PATCH', `/v1/documents/${name}`, { type: merge, json: { text: `${'a'.repeat(1_000)}b` } })
    const difference = new Uint8Array(await (await ask('GET', `/v1/documents/${name}?as=update&since=${vector}`)).arrayBuffer())
    expect(difference.length).toBeLessThan(60)
    const list = new Uint8Array(await (await ask('GET', `/v1/documents/${name}?as=updates&since=${vector}`)).arrayBuffer())
    expect([new DataView(list.buffer).getUint32(0), list.subarray(4)]).toEqual([difference.length, difference])
    const all = await ask('GET', `/v1/documents/${name}`, { headers: { accept: 'application/vnd.meridian.updates' } })
    const every = new Uint8Array(await all.arrayBuffer())
    const copy = new Y.Doc()
    for (let at = 0; at < every.length; ) {
      const end = at + 4 + new DataView(every.buffer).getUint32(at)
      Y.applyUpdate(copy, every.subarray(at + 4, end))
      at = end
    }
    expect(copy.getText('text').length).toBe(1_001)
    Y.applyUpdate(doc, difference)
    expect(doc.getText('text').length).toBe(1_001)
    const now = Buffer.from(Y.encodeStateVector(doc)).toString('base64url')
    const nothing = new Uint8Array(await (await ask('GET', `/v1/documents/${name}?as=update&since=${now}`)).arrayBuffer())
    expect(nothing).toEqual(new Uint8Array([0, 0]))
    expect(
      (await ask('GET', `/v1/documents/${name}`, { headers: { 'if-none-match': created.headers.get('etag') ?? '' } })).status,
    ).toBe(200)
    const read = await ask('GET', `/v1/documents/${name}`)
    expect(
      (await ask('GET', `/v1/documents/${name}`, { headers: { 'if-none-match': read.headers.get('etag') ?? '' } })).status,
    ).toBe(304)
  })

  it('[RES7] given a DELETE, then clients drop their copy, reads and writes are answered ERASED, and a PUT begins the next life', async () => {
    const name = fresh()
    await put(name, { text: 'secret' })
    const store = connect({ url: node().url, token: '', tenant: 'dev' })
    onTestFinished(() => store.close())
    const handle = store.open(name.slice('dev/'.length))
    await handle.ready
    const erased = await ask('DELETE', `/v1/documents/${name}`)
    expect([erased.status, await erased.json()]).toMatchObject([200, { life: 1, entry: {} }])
    await expect(handle.saved()).rejects.toMatchObject({ code: 'ERASED' })
    for (const [method, options] of [
      ['GET', {}],
      ['PATCH', { type: merge, json: { text: 'x' } }],
      ['POST', { type: octets, body: yjsEngine.edit([], { kind: 'merge', value: { a: 'b' } }, 5).slice() }],
    ] as const) {
      const answer = await ask(method, `/v1/documents/${name}`, options)
      expect([method, answer.status, await answer.json()]).toMatchObject([method, 410, { code: 'ERASED', retry: 'never' }])
    }
    expect((await ask('DELETE', `/v1/documents/${name}`)).status).toBe(200)
    const answers = await Promise.all([put(name, { text: 'second' }), put(name, { text: 'third, longer' })])
    expect(answers.map((answer) => answer.status).toSorted((one, other) => one - other)).toEqual([201, 412])
    const read = await ask('GET', `/v1/documents/${name}`)
    expect([read.headers.get('meridian-life'), await read.json()]).toEqual([
      '2',
      { text: answers[0]?.status === 201 ? 'second' : 'third, longer' },
    ])
    const other = connect({ url: node().url, token: '', tenant: 'dev' })
    onTestFinished(() => other.close())
    const late = other.open(name.slice('dev/'.length))
    await late.ready
    expect(late.ydoc.getText('text').toString()).not.toContain('secret')
  })

  it.each<[string, string, string, Asked, number, string]>([
    ['a name with two parts', 'GET', '/v1/documents/dev/notes', {}, 400, 'NAME_INVALID'],
    ['a name that is encoded twice', 'GET', '/v1/documents/dev/notes/a%2525', {}, 400, 'NAME_INVALID'],
    ['a name in another normal form', 'GET', '/v1/documents/dev/notes/e%CC%81', {}, 400, 'NAME_INVALID'],
    ['a name that is no UTF-8', 'GET', '/v1/documents/dev/notes/%ff', {}, 400, 'NAME_INVALID'],
    ['another tenant', 'GET', '/v1/documents/acme/notes/1', {}, 403, 'ACCESS_DENIED'],
    ['another tenant to list', 'GET', '/v1/collections/acme/notes', {}, 403, 'ACCESS_DENIED'],
    ['a collection that is no name', 'GET', '/v1/collections/dev/No', {}, 400, 'NAME_INVALID'],
    ['no update', 'POST', '/v1/documents/dev/notes/bad', { type: octets, body: 'abc' }, 422, 'UPDATE_INVALID'],
    ['an empty body', 'POST', '/v1/documents/dev/notes/bad', { type: octets }, 422, 'UPDATE_INVALID'],
    [
      'an update that builds on what is not there',
      'POST',
      '/v1/documents/dev/notes/bad',
      { type: octets, body: premature() },
      425,
      'PREMATURE',
    ],
    ['a version that is none', 'GET', '/v1/documents/dev/notes/bad?at=AAAAAAA', {}, 400, 'FRAME_INVALID'],
    ['an unknown parameter', 'GET', '/v1/documents/dev/notes/bad?what=1', {}, 400, ''],
    ['an unknown form', 'GET', '/v1/documents/dev/notes/bad?as=xml', {}, 400, ''],
    ['a root without text', 'GET', '/v1/documents/dev/notes/bad?root=a', {}, 400, ''],
    ['what was never written', 'GET', '/v1/documents/dev/notes/none', {}, 404, ''],
    ['what was never written to erase', 'DELETE', '/v1/documents/dev/notes/none', {}, 404, ''],
    ['what was never written to patch', 'PATCH', '/v1/documents/dev/notes/none', { type: merge, json: {} }, 404, ''],
    ['a PUT that would replace', 'PUT', '/v1/documents/dev/notes/none', { json: { a: 'b' } }, 428, ''],
    ['a PUT of nothing', 'PUT', '/v1/documents/dev/notes/none', { json: {}, headers: begin }, 400, ''],
    [
      'a PUT of a root of no kind',
      'PUT',
      '/v1/documents/dev/notes/none',
      { json: { a: 1 }, headers: begin },
      422,
      'UPDATE_INVALID',
    ],
    ['a list for a template', 'PUT', '/v1/documents/dev/notes/none', { json: [], headers: begin }, 400, ''],
    ['a type that is not taken', 'POST', '/v1/documents/dev/notes/none', { type: 'text/html', body: 'x' }, 415, ''],
    ['no type', 'PATCH', '/v1/documents/dev/notes/none', { body: new Uint8Array([1]) }, 415, ''],
    ['no JSON', 'PATCH', '/v1/documents/dev/notes/none', { type: merge, body: '{' }, 400, ''],
    ['no UTF-8', 'PATCH', '/v1/documents/dev/notes/none', { type: merge, body: new Uint8Array([0x22, 0xff, 0x22]) }, 400, ''],
    ['no operations', 'PATCH', '/v1/documents/dev/notes/none', { type: patch, json: [{ op: 'jump', path: '/a' }] }, 400, ''],
    [
      'an operation without a value',
      'PATCH',
      '/v1/documents/dev/notes/none',
      { type: patch, json: [{ op: 'add', path: '/a' }] },
      400,
      '',
    ],
    [
      'too many operations',
      'PATCH',
      '/v1/documents/dev/notes/none',
      { type: patch, json: Array.from({ length: 1001 }, () => ({ op: 'remove', path: '/a' })) },
      400,
      '',
    ],
    [
      'a bad name of a push',
      'POST',
      '/v1/documents/dev/notes/none',
      { type: octets, headers: { 'meridian-push': 'x/1' } },
      400,
      '',
    ],
    [
      'a counter of 0',
      'POST',
      '/v1/documents/dev/notes/none',
      { type: octets, headers: { 'meridian-push': `${'0'.repeat(32)}/0` } },
      400,
      '',
    ],
    ['an unknown method', 'OPTIONS', '/v1/documents/dev/notes/none', {}, 405, ''],
    ['a page of a million', 'GET', '/v1/collections/dev/notes?limit=x', {}, 400, ''],
    ['a path behind a collection', 'GET', '/v1/collections/dev/notes/else', {}, 404, ''],
    ['a feed from no version', 'GET', '/v1/collections/dev/notes/changes?since=@', {}, 400, ''],
  ])('given %s, then it is refused and says what to do', async (_name, method, path, options, status, code) => {
    const answer = await ask(method, path, options)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/problem+json'])
    const problem = (await answer.json()) as Record<string, unknown>
    expect(problem).toMatchObject({ type: 'about:blank', status, title: expect.any(String), ...(code === '' ? {} : { code }) })
    expect(String(problem['detail'])).toMatch(/^.{20,}\.$/s)
  })

  it('[NAME4] given a path with dots to resolve, raw on the wire, then it is refused and not another name', async () => {
    await put('dev/notes/dots', { text: 'x' })
    for (const path of [
      '/v1/documents/dev/notes/a/../dots',
      '/v1/documents/dev/notes/%2e%2e/notes/dots',
      '/v1/documents/x/../dev/notes/dots',
    ]) {
      const socket = await new RawSocket(node().port).connected()
      expect(await socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`).rest()).toMatch(
        /^HTTP\/1\.1 40[04] /,
      )
    }
  })

  it('[SES3] given a body of bodyBytesMax and of one more, announced or not, then it passes and is refused unread', async () => {
    const { node: small } = await startTestNode({ 'http.bodyBytesMax': '2048' })
    const send = (length: number, chunked: boolean) =>
      asker(() => small.url)('POST', '/v1/documents/dev/notes/1', {
        type: octets,
        ...(chunked ? { body: new Blob([new Uint8Array(length)]).stream(), duplex: 'half' } : { body: new Uint8Array(length) }),
      })
    for (const chunked of [false, true]) {
      expect((await send(2_048, chunked)).status).toBe(422)
      const refused = await send(2_049, chunked)
      expect([refused.status, await refused.json()]).toMatchObject([413, { code: 'UPDATE_TOO_LARGE' }])
    }
  })

  it('lists by prefix and page, without what was erased', async () => {
    for (const key of ['b', 'a', 'a/1', 'a/2', 'c']) await put(`dev/lists/${key}`, { text: key })
    await ask('DELETE', '/v1/documents/dev/lists/b')
    const list = async (query: string) => (await ask('GET', `/v1/collections/dev/lists${query}`)).json()
    const keys = async (query: string) =>
      ((await list(query)) as { documents: { key: string }[] }).documents.map((one) => one.key)
    expect(await list('')).toEqual({
      documents: ['a', 'a/1', 'a/2', 'c'].map((key) => ({ key, engine: 'yjs', life: 1, erased: false })),
    })
    expect(await keys('?prefix=a/')).toEqual(['a/1', 'a/2'])
    expect(await keys('?erased=true')).toEqual(['a', 'a/1', 'a/2', 'b', 'c'])
    const first = (await list('?limit=3')) as { next: string }
    expect(await keys('?limit=3')).toEqual(['a', 'a/1', 'a/2'])
    expect(await keys(`?limit=3&after=${encodeURIComponent(first.next)}`)).toEqual(['c'])
  })

  it('answers OpenAPI that names every path', async () => {
    const document = (await (await ask('GET', '/v1/openapi.json')).json()) as { openapi: string; paths: Record<string, object> }
    expect(document.openapi).toBe('3.1.0')
    expect(Object.fromEntries(Object.entries(document.paths).map(([path, methods]) => [path, Object.keys(methods)]))).toEqual({
      '/v1/documents/{tenant}/{collection}/{key}': ['get', 'post', 'patch', 'put', 'delete'],
      '/v1/collections/{tenant}/{collection}': ['get'],
      '/v1/collections/{tenant}/{collection}/changes': ['get'],
      '/v1/regions': ['get'],
      '/v1/policies/validate': ['post'],
      '/v1/policies/{tenant}': ['get', 'put'],
      '/v1/policies/{tenant}/explain': ['get'],
    })
  })
})

describe('with tokens', () => {
  const secret = 's'.repeat(32)
  const claims = { sub: 'ann', tenant: 'acme', exp: Math.floor(Date.now() / 1000) + 600 }
  const bearer = (docs: unknown, rest: object = {}) => ({
    authorization: `Bearer ${token(hmac(secret), { ...claims, docs, ...rest })}`,
  })
  const start = () =>
    startTestNode({ dev: false, 'auth.secretFile': 'key', allowedOrigins: 'https://app.example' }, { texts: { key: secret } })

  it('given none, a wrong one, one that reads, one that grants part, then each may what it may', async () => {
    const { node } = await start()
    const ask = asker(() => node.url)
    const all = bearer([{ match: '*', access: 'write' }])
    const reads = bearer([{ match: 'notes/a*', access: 'read' }])
    for (const key of ['a', 'ab', 'b'])
      await ask('PUT', `/v1/documents/acme/notes/${key}`, { json: { text: key }, headers: { ...all, ...begin } })
    const none = await ask('GET', '/v1/documents/acme/notes/a')
    expect([none.status, none.headers.get('www-authenticate'), await none.json()]).toMatchObject([
      401,
      'Bearer',
      { code: 'TOKEN_INVALID' },
    ])
    const over = await ask('GET', '/v1/documents/acme/notes/a', { headers: bearer([], { exp: 1 }) })
    expect([over.status, await over.json()]).toMatchObject([401, { code: 'TOKEN_EXPIRED' }])
    expect((await ask('GET', '/v1/documents/acme/notes/a', { headers: reads })).status).toBe(200)
    for (const path of ['/v1/documents/acme/notes/b', '/v1/documents/acme/notes/never']) {
      const denied = await ask('GET', path, { headers: reads })
      expect([denied.status, await denied.json()]).toMatchObject([403, { code: 'ACCESS_DENIED' }])
    }
    const written = await ask('PATCH', '/v1/documents/acme/notes/a', { type: merge, json: { text: 'x' }, headers: reads })
    expect([written.status, await written.json()]).toMatchObject([403, { code: 'WRITE_DENIED' }])
    expect((await ask('DELETE', '/v1/documents/acme/notes/a', { headers: reads })).status).toBe(403)
    const list = (await (await ask('GET', '/v1/collections/acme/notes', { headers: reads })).json()) as {
      documents: { key: string }[]
    }
    expect(list.documents.map((one) => one.key)).toEqual(['a', 'ab'])
  })

  it('given pages of allowed origins and of others, then CORS lets in the former only', async () => {
    const { node } = await start()
    const ask = asker(() => node.url)
    const path = '/v1/documents/acme/notes/a'
    const headers = { 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'authorization' }
    const asked = await ask('OPTIONS', path, { headers: { origin: 'https://app.example', ...headers } })
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([204, 'https://app.example'])
    expect(asked.headers.get('access-control-allow-methods')).toContain('PATCH')
    expect(asked.headers.get('access-control-allow-headers')).toContain('Authorization')
    const answered = await ask('GET', path, { headers: { origin: 'https://app.example' } })
    expect([answered.status, answered.headers.get('access-control-allow-origin')]).toEqual([401, 'https://app.example'])
    for (const method of ['OPTIONS', 'GET', 'PATCH']) {
      const denied = await ask(method, path, { headers: { origin: 'https://evil.example', ...headers } })
      expect([denied.status, await denied.json()]).toMatchObject([403, { code: 'ORIGIN_DENIED' }])
      expect(denied.headers.get('access-control-allow-origin')).toBeNull()
    }
  })
})

function premature(): Uint8Array<ArrayBuffer> {
  const doc = new Y.Doc()
  doc.clientID = 77
  doc.getText('t').insert(0, 'a')
  const before = Y.encodeStateVector(doc)
  doc.getText('t').insert(1, 'b')
  return Y.encodeStateAsUpdate(doc, before).slice()
}
