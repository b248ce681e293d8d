/** What a node says of itself to those who run it and to those it refuses: never a token of a query, never the key of a document. */

import { connect } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { NodeProcess } from './node-process.js'
import { Editor, eventually, secret, tokenOf } from './providers.js'
import { Resources } from './resources.js'
import { pause } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

/** Bytes to the node as they are, and all that it answers until it closes, or for a second. */
function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(request))
    const timer = setTimeout(() => socket.destroy(), 1_000)
    socket.on('data', (bytes) => {
      answer += bytes.toString('latin1')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(answer)
    })
  })
}

it('given a node that logs all it can, when it takes, refuses and ends connections with tokens in their queries, then neither token nor key is in what it says', async () => {
  const flags = ['--log-level', 'trace', '--auth-clock-tolerance-ms', '0']
  const node = resources.own(await NodeProcess.start({ directory: resources.directory(), secret, flags }))
  const key = 'kept-to-itself'
  const room = `acme/notes/${key}`
  const good = tokenOf()
  const [header, claims] = good.split('.')
  const tokens = {
    good,
    short: tokenOf({ expiresInMs: 3_000 }),
    expired: tokenOf({ expiresInMs: -60_000 }),
    forged: `${header}.${claims}.bm90LXRoZS1zaWduYXR1cmU`,
    garbage: 'garbage-that-is-no-token',
    reader: tokenOf({ access: 'read' }),
  }
  const said: string[] = []

  const editors = Object.entries(tokens).map(([name, token]) => {
    const editor = resources.own(new Editor({ version: '3.1', port: node.port, room, token }))
    return { name, editor }
  })
  const named = (wanted: string): Editor => {
    const found = editors.find(({ name }) => name === wanted)
    if (found === undefined) throw new Error(`no editor ${wanted}`)
    return found.editor
  }
  await Promise.all([named('good').synced(), named('short').synced(), named('reader').synced()])
  named('good').text.insert(0, 'content-of-the-document')
  await eventually(() => named('reader').text.length > 0, 'the edit')
  // The same name in another spelling, another tenant, what no name is; a message that is none; an update that is none.
  const query = `?token=${good}`
  const upgrade = (path: string, more = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${more}\r\n`
  const frame = (...bytes: number[]): string => String.fromCharCode(0x82, 0x80 | bytes.length, 0, 0, 0, 0, ...bytes)
  const paths = [
    `/yjs/${room}${query}`,
    `/yjs/acme/notes/${key}%2f${query}`,
    `/yjs/other/notes/${key}${query}`,
    `/yjs/${key}${query}`,
    `/nowhere/${key}${query}`,
  ]
  for (const path of paths) {
    said.push(await exchange(node.port, upgrade(path)))
    said.push(await exchange(node.port, upgrade(path, 'Origin: https://elsewhere.example\r\n')))
    said.push(await exchange(node.port, upgrade(path).replace('Version: 13', 'Version: 8')))
    said.push(await exchange(node.port, upgrade(path).replace('AAAAAAAAAAAAAAAAAAAAAA==', 'short')))
    said.push(await exchange(node.port, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`))
    said.push(await exchange(node.port, `GET ${path} HTTP/1.1\r\nHost: not a host []\r\nConnection: close\r\n\r\n`))
    said.push(await exchange(node.port, `BREW ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`))
    said.push(await exchange(node.port, `GET ${path} HTTP/9.9\r\nHost: 127.0.0.1\r\nno header\r\n\r\n`))
  }
  const whole = upgrade(paths[0] ?? '')
  for (const bytes of [[9], [0, 2, 3, 1, 2, 3], [0, 2, 200], [1, 2, 255, 255]])
    said.push(await exchange(node.port, whole + frame(...bytes)))
  // The client is gone in the midst of the handshake, and before the answer.
  const leaving = connect({ port: node.port, host: '127.0.0.1' }, () => {
    leaving.write(whole)
    leaving.resetAndDestroy()
  })
  leaving.on('error', () => undefined)
  for (const path of [
    `/v1/documents/${room}`,
    `/v1/documents/${room}/%2e`,
    `/v1/collections/acme/notes?token=${good}`,
    `/v1/documents/acme/notes/${key}%00`,
  ]) {
    for (const token of [tokens.good, tokens.expired, tokens.garbage]) {
      for (const method of ['GET', 'DELETE', 'PATCH', 'PUT']) {
        if (method === 'DELETE' && token === tokens.good) continue
        const response = await fetch(`${node.url}${path}`, {
          method,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          ...(method === 'GET' || method === 'DELETE' ? {} : { body: '{"not": "a patch"}' }),
        })
        const answer = await response.text()
        // The list of a collection names its documents to who may see them, and that is all that does.
        if (response.ok) continue
        said.push(JSON.stringify([...response.headers]), answer)
      }
    }
  }
  await eventually(() => named('short').closes.length > 0, 'the end of the short token')
  await pause(1_500)
  for (const { editor } of editors) said.push(...editor.closes.map(({ code, reason }) => `${code} ${reason}`))
  expect(['expired', 'forged', 'garbage', 'short'].map((name) => named(name).closes[0]?.code)).toEqual([4402, 4401, 4401, 4402])
  said.push(await (await fetch(`${node.url}/metrics`)).text())
  await node.stop()
  said.push(node.output)
  expect(node.output).toContain('listening')
  const everything = said.join('\n')
  for (const [name, token] of Object.entries(tokens)) {
    const signature = token.split('.').at(-1) ?? token
    expect({ name, at: around(everything, signature) }).toEqual({ name, at: '' })
  }
  expect(around(everything, claims ?? '')).toBe('')
  expect(around(everything, key)).toBe('')
  expect(around(everything, 'content-of-the-document')).toBe('')
  expect(around(everything, secret)).toBe('')
}, 120_000)

/** What stands around the first place of it, to be read when the test fails; empty if there is none. */
function around(text: string, part: string): string {
  const index = text.indexOf(part)
  return index < 0 ? '' : text.slice(Math.max(0, index - 200), index + part.length + 50)
}
