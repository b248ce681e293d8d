/**
 * The one port of a node: an HTTP server with bounds on what a request may be and how long it may take to come (SES3, slowloris), and
 * one path for upgrades. Whoever connects is a stranger to the gateway first, whatever it speaks.
 */

import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { errorTable, MeridianError } from '@meridian/core/errors'
import type { NodeConfig } from '../config.js'
import { hostProblem, notFoundProblem } from './app.js'
import type { Guard } from './guard.js'
import { problem, problemBytes, problemOf, type Problem } from './problem.js'

export interface ListenerOptions {
  readonly config: NodeConfig
  readonly guard: Guard
  readonly fetch: (request: Request) => Response | Promise<Response>
  readonly onConnection: (socket: Socket) => void
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** True if a wire is spoken at this path. */
  readonly speaksAt: (url: string | undefined) => boolean
  /** False while the node stops. */
  readonly accepts: () => boolean
}

/** Connections that the kernel keeps until they are accepted, for storms of reconnecting clients; the system may have a lower bound. */
const backlog = 4096
const headersMax = 64
const webSocketVersion = '13'

export function createListener(options: ListenerOptions): Server {
  const { limits } = options.config
  const respond = getRequestListener(options.fetch)
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: Math.min(1_000, limits.requestMs),
      noDelay: true,
    },
    (request, response) => void respond(request, response),
  )
  server.maxHeadersCount = headersMax
  server.on('connection', options.onConnection)
  server.on('upgrade', (request, socket, head) => {
    // Before anything else: a peer that resets would end the process otherwise.
    socket.on('error', () => socket.destroy())
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return answerPlainly(server, request, socket)
    const refusal = refusalOf(request, options)
    if (refusal === undefined) options.onUpgrade(request, socket, head)
    else refuse(socket, refusal)
  })
  return server
}

/** Begins to listen. @throws MeridianError CONFIG_INVALID if the address cannot be had. */
export function listen(server: Server, config: NodeConfig): Promise<{ readonly address: string; readonly port: number }> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const why = error.code === 'EADDRINUSE' ? 'it is in use; choose another port, or stop who has it' : String(error.code)
      reject(
        new MeridianError('CONFIG_INVALID', {
          message: `Cannot listen on ${config.listen} port ${config.port}: ${why}.`,
          cause: error,
        }),
      )
    }
    server.once('error', failed)
    server.listen({ host: config.listen, port: config.port, backlog }, () => {
      server.off('error', failed)
      const address = server.address()
      if (address === null || typeof address === 'string') return reject(new Error('a TCP server has an address'))
      resolve({ address: address.family === 'IPv6' ? `[${address.address}]` : address.address, port: address.port })
    })
  })
}

function refusalOf(request: IncomingMessage, options: ListenerOptions): Problem | undefined {
  if (!options.accepts()) return problemOf(new MeridianError('DRAINING'))
  if (!options.guard.allowsHost(request.headers.host)) return hostProblem
  if (!options.speaksAt(request.url)) return notFoundProblem
  if (!options.guard.allowsOrigin(request.headers.origin)) {
    return { ...problem(403, 'Origin denied', errorTable.ORIGIN_DENIED.advice), code: 'ORIGIN_DENIED', retry: 'never' }
  }
  // ws would take version 8, a draft whose clients name their page in another header than the one that was looked at.
  if ((request.headers['sec-websocket-version'] ?? webSocketVersion) !== webSocketVersion)
    return problem(400, 'Bad request', `Sec-WebSocket-Version is ${webSocketVersion} here.`)
  return undefined
}

function refuse(socket: Duplex, body: Problem): void {
  socket.once('finish', () => socket.destroy())
  socket.end(problemBytes(body, body.status === 503 ? { 'retry-after': '1' } : {}))
}

/** `Upgrade: h2c` and the like may be ignored (RFC 9110, section 7.8): the request is answered as if it had not asked. */
function answerPlainly(server: Server, request: IncomingMessage, socket: Duplex): void {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(request.socket)
  response.once('finish', () => socket.end())
  server.emit('request', request, response)
}
