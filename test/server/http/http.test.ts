import { errorTable, MeridianError, type ErrorCode } from '@meridian/core/errors'
import { createApp, type AppOptions } from '@meridian/server/http/app'
import { createGuard } from '@meridian/server/http/guard'
import { Metrics } from '@meridian/server/http/metrics'
import { httpStatus, problemOf } from '@meridian/server/http/problem'
import { regionList } from '@meridian/server/http/regions'
import { parseRegion } from '@meridian/core/ids'
import { describe, expect, it } from 'vitest'
import { topologyOf } from '../support/linked-region.js'
import { RawSocket } from '../support/raw-socket.js'
import { startTestNode } from '../support/running-node.js'

const about = { version: '1.2.3', region: 'eu-west', node: 'v0', protocol: { oldest: 1, newest: 1 } }
const development = { auth: { kind: 'development' }, allowedHosts: [], allowedOrigins: [] } as const

function ask(
  path: string,
  options: Partial<AppOptions> = {},
  { method = 'GET', host = 'localhost:7101' } = {},
): Promise<Response> {
  const app = createApp({
    guard: createGuard(development),
    about,
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: () => Promise.resolve({ text: 'a 1\n', type: 'text/plain' }),
    onError: () => undefined,
    ...options,
  })
  return Promise.resolve(app.request(path, { method, headers: { host } }))
}

describe('what a node answers over HTTP', () => {
  it.each([
    ['/healthz', 200, { status: 'alive' }],
    ['/readyz', 200, { status: 'ready', reasons: [] }],
    ['/version', 200, about],
  ])('answers %s', async (path, status, body) => {
    const response = await ask(path)
    expect([response.status, await response.json()]).toEqual([status, body])
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('given a node that is in no cluster, when its regions are asked for, then it names itself', async () => {
    const response = await ask('/v1/regions', { regions: () => regionList(parseRegion('eu-west'), undefined) })
    expect([response.status, await response.json()]).toEqual([
      200,
      { region: 'eu-west', regions: [{ region: 'eu-west', jurisdiction: null, url: null, state: 'active' }] },
    ])
  })

  it('given a cluster, when its regions are asked for, then those that are places are named, in order', () => {
    const places = ['eu-west', 'us-east', 'ap-south'].map((name, port) => ({
      name: parseRegion(name),
      key: '',
      publicKey: `${'A'.repeat(41)}${port}A=`,
      port: 7101 + port,
    }))
    const topology = topologyOf(places, {
      fields: { 'us-east': { state: 'removed' }, 'ap-south': { state: 'leaving', jurisdiction: 'IN' } },
    })
    expect(regionList(parseRegion('ap-south'), topology)).toEqual({
      region: 'ap-south',
      regions: [
        { region: 'eu-west', jurisdiction: 'IE', url: 'ws://127.0.0.1:7101', state: 'active' },
        { region: 'ap-south', jurisdiction: 'IN', url: 'ws://127.0.0.1:7103', state: 'leaving' },
      ],
    })
  })

  it('given a node that is not ready, then 503 and why', async () => {
    const response = await ask('/readyz', { readiness: () => ({ ready: false, reasons: ['The log cannot be written now.'] }) })
    expect([response.status, await response.json()]).toEqual([
      503,
      { status: 'not ready', reasons: ['The log cannot be written now.'] },
    ])
  })

  it('given a path that is not there, then a problem that says what is, and repeats nothing of the path', async () => {
    const response = await ask('/secret-name')
    const text = await response.text()
    expect([response.status, response.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
    expect(text).toContain('/v1/sync')
    expect(text).not.toContain('secret-name')
  })

  it('given another method, then 405, whatever the path', async () => {
    const response = await ask('/healthz', {}, { method: 'DELETE' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  it('given a plain request for the wire, then 426', async () => {
    const response = await ask('/v1/sync')
    expect([response.status, response.headers.get('upgrade')]).toEqual([426, 'websocket'])
  })

  it('given an error inside, then a problem without its message, and the error for the log', async () => {
    const errors: unknown[] = []
    const response = await ask('/metrics', {
      metrics: () => Promise.reject(new Error('of a private kind')),
      onError: (error) => errors.push(error),
    })
    expect([response.status, response.headers.get('content-type')]).toEqual([500, 'application/problem+json'])
    expect(await response.text()).not.toContain('private')
    expect(errors).toHaveLength(1)
  })

  it('given a name that is not ours, then 421, except for probes', async () => {
    const host = 'rebound.example:7101'
    expect((await ask('/metrics', {}, { host })).status).toBe(421)
    expect((await ask('/healthz', {}, { host })).status).toBe(200)
    expect((await ask('/readyz', {}, { host })).status).toBe(200)
  })
})

describe('who may ask', () => {
  const token = {
    kind: 'token',
    token: { algorithm: 'HS256', key: '', issuer: undefined, audience: undefined, clockToleranceMs: 0 },
  } as const

  it.each([
    ['localhost:7101', true],
    ['127.0.0.1', true],
    ['[::1]:7101', true],
    ['LOCALHOST', true],
    ['localhost.evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['evil.example:7101', false],
    ['', false],
    [undefined, false],
  ])('in development mode, by the name %s: %s', (host, allowed) => {
    expect(createGuard(development).allowsHost(host)).toBe(allowed)
  })

  it('otherwise by any name, or by those of the list, with their port or with any', () => {
    const any = createGuard({ auth: token, allowedHosts: [], allowedOrigins: [] })
    expect([any.allowsHost('x.example'), any.allowsHost(undefined)]).toEqual([true, true])
    const some = createGuard({ auth: token, allowedHosts: ['a.example', 'b.example:444'], allowedOrigins: [] })
    const names = ['a.example', 'A.example:1', 'b.example:444', 'b.example', 'localhost', undefined]
    expect(names.map((name) => some.allowsHost(name))).toEqual([true, true, true, false, false, false])
  })

  it.each([
    [undefined, true, true],
    ['http://localhost:3000', true, false],
    ['https://[::1]', true, false],
    ['https://app.example', true, true],
    ['http://app.example', false, false],
    ['https://app.example:444', false, false],
    ['null', false, false],
    ['http://localhost.evil.example', false, false],
    ['file://', false, false],
  ])('from the origin %s: %s in development mode, else %s', (origin, inDevelopment, otherwise) => {
    const allowedOrigins = ['https://app.example']
    expect(createGuard({ ...development, allowedOrigins }).allowsOrigin(origin)).toBe(inDevelopment)
    expect(createGuard({ auth: token, allowedHosts: [], allowedOrigins }).allowsOrigin(origin)).toBe(otherwise)
  })
})

describe('problems', () => {
  it('has a status of HTTP for every code, and code and retry in the body', () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      const error = new MeridianError(code, { cause: new Error('stays here') })
      expect(httpStatus(error), code).toBeGreaterThanOrEqual(400)
      expect(httpStatus(error), code).toBeLessThan(600)
      const body = problemOf(error)
      expect(body).toMatchObject({ code, retry: errorTable[code].retry, status: httpStatus(error) })
      expect(JSON.stringify(body)).not.toContain('stays here')
    }
    expect([
      httpStatus(new MeridianError('TOKEN_EXPIRED')),
      httpStatus(new MeridianError('DRAINING')),
      httpStatus(new MeridianError('INTERNAL')),
    ]).toEqual([401, 503, 500])
  })
})

describe('metrics', () => {
  it('says what this node is, what it counted and what its sources say when asked', async () => {
    let sessions = 3
    const metrics = new Metrics(about, true)
    metrics.add({
      counters: [{ name: 'meridian_things_total', help: 'Things.', read: () => 42 }],
      gauges: [{ name: 'meridian_sessions', help: 'Sessions.', read: () => sessions }],
    })
    metrics.refused('TOKEN_INVALID')
    metrics.refused('TOKEN_INVALID')
    metrics.compacted('done')
    metrics.committed(0.003)
    sessions = 5
    await metrics.read()
    const { text, type } = await metrics.read()
    expect(type).toContain('text/plain')
    const lines = text.split('\n')
    for (const line of [
      'meridian_build_info{version="1.2.3",region="eu-west",node="v0"} 1',
      'meridian_development_mode 1',
      'meridian_things_total 42',
      'meridian_sessions 5',
      'meridian_refused_total{code="TOKEN_INVALID"} 2',
      'meridian_compactions_total{result="done"} 1',
      'meridian_commit_seconds_bucket{le="0.002"} 0',
      'meridian_commit_seconds_bucket{le="0.004"} 1',
    ]) {
      expect(lines).toContain(line)
    }
    expect(text).toContain('process_cpu_seconds_total')
  })
})

describe('the listener', () => {
  it('[SES3] given headers of more bytes than headerBytesMax, then 431', async () => {
    const { node } = await startTestNode({ 'limits.headerBytesMax': '2048' })
    const socket = await new RawSocket(node.port).connected()
    expect(await socket.write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(3_000)}\r\n\r\n`).rest()).toMatch(
      /^HTTP\/1\.1 431 /,
    )
    const within = await new RawSocket(node.port).connected()
    expect(
      await within
        .write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ${'x'.repeat(1_900)}\r\n\r\n`)
        .rest(),
    ).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('[SES3] given a body without an end, then it is not waited for', async () => {
    const { node } = await startTestNode({ 'limits.requestMs': '500' })
    const socket = await new RawSocket(node.port).connected()
    socket.write('POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx')
    expect(await socket.rest()).toMatch(/^HTTP\/1\.1 405 /)
  })

  it('given an address that is taken, then it says so', async () => {
    const { node } = await startTestNode()
    await expect(startTestNode({ port: String(node.port) })).rejects.toThrow(/port \d+: it is in use; choose another port/)
  })

  it('logs nothing of what it is asked', async () => {
    const { node, lines } = await startTestNode({ 'log.level': 'trace' })
    await fetch(`${node.url}/dev/notes/secret-name?token=secret-token`, { headers: { authorization: 'Bearer secret-token' } })
    expect(JSON.stringify(lines)).not.toContain('secret')
  })
})
