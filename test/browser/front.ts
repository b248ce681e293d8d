/**
 * What stands in front of a node where an app is run: it serves the app's files, one build after the other, and hands everything else to
 * the node, sockets too. A node serves the app itself in development mode only.
 */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer, request as ask } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { extname, join } from 'node:path'
import { appFolder } from '@meridian/server/http/app-files'
import { onTestFinished } from 'vitest'

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
}

export class Front {
  /** Of the node, once it is started. */
  port = 0
  /** Names the build that is served: another one is another version of the app. */
  build = 'first'
  readonly #server: Server
  readonly #tunnels = new Set<Duplex>()

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#tunnel(request, socket, head))
  }

  static async start(): Promise<Front> {
    const front = new Front()
    await new Promise<void>((resolve) => front.#server.listen(0, '127.0.0.1', () => resolve()))
    onTestFinished(() => front.#dispose())
    return front
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the front has no port')
    return `http://127.0.0.1:${address.port}`
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', this.url).pathname
    const file = join(appFolder, path === '/' ? 'index.html' : path)
    if (!existsSync(file)) return this.#forward(request, response)
    response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream')
    response.setHeader('cache-control', 'no-cache')
    response.end(this.#built(path, await readFile(file)))
  }

  /** As the file would be in this build: the page says which one it is, and the worker has another version. */
  #built(path: string, bytes: Buffer): Buffer | string {
    if (path === '/') return bytes.toString().replace('<html ', `<html data-build="${this.build}" `)
    if (path === '/service-worker.js') return bytes.toString().replace(/"[0-9a-f]{16}"/, JSON.stringify(this.build))
    return bytes
  }

  #forward({ method, url, headers }: IncomingMessage, response: ServerResponse): void {
    const forwarded = ask({ host: '127.0.0.1', port: this.port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    forwarded.end()
  }

  #tunnel({ url, rawHeaders }: IncomingMessage, socket: Duplex, head: Buffer): void {
    const node = connect(this.port, '127.0.0.1', () => {
      const lines = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1] ?? ''}`] : []))
      node.write([`GET ${url ?? '/'} HTTP/1.1`, ...lines, '', ''].join('\r\n'))
      node.write(head)
      node.pipe(socket).pipe(node)
    })
    this.#tunnels.add(socket)
    for (const end of [node, socket]) {
      end.on('error', () => undefined)
      end.on('close', () => {
        node.destroy()
        socket.destroy()
        this.#tunnels.delete(socket)
      })
    }
  }

  async #dispose(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    for (const socket of this.#tunnels) socket.destroy()
    await closed
  }
}
