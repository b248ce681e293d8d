import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createApp } from '@meridian/server/http/app'
import { type AppFiles, readAppFiles } from '@meridian/server/http/app-files'
import { createGuard } from '@meridian/server/http/guard'
import { describe, expect, it } from 'vitest'
import { RawSocket } from '../support/raw-socket.js'
import { startTestNode, temporaryFolder } from '../support/running-node.js'

const page = '<!doctype html><title>Notes</title>'

async function builtApp(): Promise<AppFiles> {
  const top = await temporaryFolder()
  const folder = join(top, 'app')
  await mkdir(join(folder, 'assets'), { recursive: true })
  await writeFile(join(top, 'secret.js'), 'secret')
  await writeFile(join(folder, 'index.html'), page)
  await writeFile(join(folder, 'assets/main-ABCD2345.js'), 'run()')
  await writeFile(join(folder, 'service-worker.js'), 'work()')
  await writeFile(join(folder, 'manifest.webmanifest'), '{}')
  await writeFile(join(folder, 'notes.key'), 'no known type')
  await symlink(join(top, 'secret.js'), join(folder, 'linked.js'))
  return readAppFiles(folder)
}

function ask(files: AppFiles | undefined, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  const app = createApp({
    guard: createGuard({ auth: { kind: 'development' }, allowedHosts: [], allowedOrigins: [] }),
    about: { version: '1.2.3', region: 'eu-west', node: 'v0', protocol: { oldest: 1, newest: 1 } },
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: () => Promise.resolve({ text: '', type: 'text/plain' }),
    files,
    onError: () => undefined,
  })
  return Promise.resolve(app.request(path, { method, headers: { host: 'localhost:7101', ...headers } }))
}

const navigation = { 'sec-fetch-mode': 'navigate', accept: 'text/html' }

describe('the sample app', () => {
  it('is served at / with a policy that lets the page reach this node and nothing else', async () => {
    const response = await ask(await builtApp(), '/', navigation)
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      200,
      'text/html; charset=utf-8',
      page,
    ])
    expect(response.headers.get('cache-control')).toBe('no-cache')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    const policy = response.headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'; script-src 'self';")
    expect(policy).toContain("connect-src 'self' ws://localhost:7101 wss://localhost:7101;")
    expect(policy).toContain('frame-ancestors http://127.0.0.1:* http://localhost:*')
  })

  it.each([
    ['/assets/main-ABCD2345.js', 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'],
    ['/service-worker.js', 'text/javascript; charset=utf-8', 'no-cache'],
    ['/manifest.webmanifest', 'application/manifest+json', 'no-cache'],
  ])('serves %s as %s, kept by %s', async (path, type, cached) => {
    const response = await ask(await builtApp(), path)
    expect([response.status, response.headers.get('content-type'), response.headers.get('cache-control')]).toEqual([
      200,
      type,
      cached,
    ])
  })

  it('given the etag that it gave, then 304 without a body; given another, then the file', async () => {
    const files = await builtApp()
    const etag = (await ask(files, '/service-worker.js')).headers.get('etag') ?? ''
    const again = await ask(files, '/service-worker.js', { 'if-none-match': `"other", W/${etag}` })
    expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', etag])
    expect((await ask(files, '/service-worker.js', { 'if-none-match': '"other"' })).status).toBe(200)
  })

  it('given HEAD, then the headers of GET and no body', async () => {
    const response = await ask(await builtApp(), '/assets/main-ABCD2345.js', {}, 'HEAD')
    expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([200, '5', ''])
  })

  it.each([
    ['/n/abc', navigation, 200],
    ['/n/abc', { accept: 'text/html' }, 200],
    ['/n/abc', { 'sec-fetch-mode': 'cors', accept: 'text/html' }, 404],
    ['/n/abc', { accept: 'application/json' }, 404],
    ['/n/a/b', navigation, 404],
    ['/eu', navigation, 200],
    ['/us/abc', navigation, 200],
    ['/v1/unknown', navigation, 404],
    ['/assets/gone-ABCD2345.js', navigation, 404],
    ['/notes.key', {}, 404],
    ['/linked.js', {}, 404],
    ['/secret.js', {}, 404],
    ['/__proto__', {}, 404],
  ])('answers %s with %o by %i', async (path, headers, status) => {
    const response = await ask(await builtApp(), path, headers)
    expect([response.status, (await response.text()) === page]).toEqual([status, status === 200])
  })

  it('given a path that climbs, spelled as programs may spell it, then nothing outside is read', async () => {
    const { node } = await startTestNode()
    for (const path of [
      '/../package.json',
      '/%2e%2e/package.json',
      '/assets/..%2f..%2fpackage.json',
      '//package.json',
      '/..\\package.json',
    ]) {
      const socket = await new RawSocket(node.port).connected()
      const answer = await socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`).rest()
      expect(answer, path).toMatch(/^HTTP\/1\.1 4/)
      expect(answer, path).not.toContain('@meridian/server')
    }
  })

  it('given a folder that was not built, then / says how to build it and nothing else is there', async () => {
    const files = readAppFiles(join(await temporaryFolder(), 'app'))
    const response = await ask(files, '/', navigation)
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('npm run build')])
    expect((await ask(files, '/n/abc', navigation)).status).toBe(404)
  })

  it('is not there where a node asks for tokens', async () => {
    const { node } = await startTestNode(
      { dev: false, 'auth.algorithm': 'HS256', 'auth.secretFile': 'secret' },
      { texts: { secret: 'x'.repeat(32) } },
    )
    expect((await fetch(`${node.url}/`)).status).toBe(404)
  })
})
