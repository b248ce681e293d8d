/** TLS on the node, with certificates that openssl made: HTTP and WebSocket, old versions, a reload, and files that do not fit. */

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { startTestNode, temporaryFolder } from '../support/running-node.js'

let made = ''
beforeAll(() => {
  made = mkdtempSync(join(tmpdir(), 'meridian-tls-'))
  for (const name of ['one', 'two']) {
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
      ].concat([
        '-addext',
        'subjectAltName=IP:127.0.0.1',
        '-keyout',
        join(made, `${name}.key`),
        '-out',
        join(made, `${name}.crt`),
      ]),
      { stdio: 'ignore' },
    )
  }
})

afterAll(() => rmSync(made, { recursive: true, force: true }))

interface Answer {
  readonly status: number | undefined
  readonly headers: NodeJS.Dict<string | string[]>
  readonly subject: string
}

const ask = (url: string, headers: Record<string, string> = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = get(url, { rejectUnauthorized: false, agent: false, headers }, (response) => {
      const { socket } = response
      const subject =
        'getPeerCertificate' in socket ? String((socket as import('node:tls').TLSSocket).getPeerCertificate().subject.CN) : ''
      response.resume()
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, subject }))
    })
    request.on('error', reject)
  })

async function start(): Promise<{
  node: Awaited<ReturnType<typeof startTestNode>>['node']
  use(cert: string, key?: string): void
  lines: Record<string, unknown>[]
}> {
  const folder = await temporaryFolder()
  const use = (cert: string, key = cert): void => {
    copyFileSync(join(made, `${cert}.crt`), join(folder, 'node.crt'))
    copyFileSync(join(made, `${key}.key`), join(folder, 'node.key'))
  }
  use('one')
  const { node, lines } = await startTestNode({
    'tls.certFile': join(folder, 'node.crt'),
    'tls.keyFile': join(folder, 'node.key'),
  })
  return { node, use, lines }
}

describe('TLS', () => {
  it('given a certificate, then HTTP and WebSocket are spoken over it, health too, and no version before 1.2', async () => {
    const { node } = await start()
    expect(node.url).toMatch(/^https:/)
    const answer = await ask(`${node.url}/healthz`)
    expect([answer.status, answer.subject, answer.headers['strict-transport-security']]).toEqual([200, 'one', 'max-age=31536000'])
    expect((await ask(`${node.url}/v1/collections/dev/notes`)).status).toBe(200)
    const socket = new WebSocket(`${node.url.replace('https', 'wss')}/v1/sync`, { rejectUnauthorized: false })
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    socket.terminate()
    await expect(fetch(`${node.url.replace('https', 'http')}/healthz`)).rejects.toThrow('fetch failed')
    const old = await new Promise<string>((resolve) => {
      const client = connectTls({
        port: node.port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        ciphers: 'DEFAULT@SECLEVEL=0',
      })
      client.once('secureConnect', () => resolve('connected')).once('error', () => resolve('refused'))
    })
    expect(old).toBe('refused')
  })

  it('given new files, when told to read them, then new connections get the new certificate; files that do not fit change nothing', async () => {
    const { node, use, lines } = await start()
    use('one', 'two')
    node.reloadCertificate()
    expect((await ask(`${node.url}/healthz`)).subject).toBe('one')
    expect(lines.some((line) => String(line['msg']).includes('cannot be used'))).toBe(true)
    use('two')
    node.reloadCertificate()
    expect((await ask(`${node.url}/healthz`)).subject).toBe('two')
  })

  it('given files that change, then they are read by themselves', async () => {
    const { node, use } = await start()
    use('two')
    await expect.poll(async () => (await ask(`${node.url}/healthz`)).subject, { timeout: 15_000, interval: 500 }).toBe('two')
  }, 20_000)

  it('given files that are missing or no certificate, or one without the other, then the node does not start and says why', async () => {
    const folder = await temporaryFolder()
    const flags = { 'tls.certFile': join(made, 'one.crt'), 'tls.keyFile': join(folder, 'none') }
    await expect(startTestNode(flags)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(startTestNode({ ...flags, 'tls.keyFile': join(made, 'two.key') })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
    await expect(startTestNode({ 'tls.certFile': join(made, 'one.crt') })).rejects.toThrow(/go together/)
  })
})
