/**
 * The one port of a node: an HTTP server with bounds on what a request may be and how long it may take to come (SES3, slowloris), and
 * one path for upgrades. Whoever connects is a stranger to the gateway first, whatever it speaks.
 */

import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { MeridianError } from '@meridian/core/errors'
import type { NodeConfig } from '../config.js'
import { hostProblem, notFoundProblem, originProblem } from './app.js'
import type { Guard } from './guard.js'
import { problem, problemBytes, problemOf, type Problem } from './problem.js'

export interface ListenerOptions {
  readonly config: NodeConfig
  readonly guard: Guard
  readonly fetch: (request: Request, bindings: Partial<HttpBindings>) => Response | Promise<Response>
  readonly onConnection: (socket: Socket) => void
  /** A handshake came to its end: the connection goes on as `secured`, which has been told of as a connection. */
  readonly onSecured: (socket: Socket) => void
  /** Undefined: http. */
  readonly certificate: SecureContextOptions | undefined
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

export type Listener = Server | SecureServer

export function createListener(options: ListenerOptions): Listener {
  const { limits } = options.config
  const respond = getRequestListener((request, bindings) =>
    options.fetch(request, 'incoming' in bindings ? (bindings as HttpBindings) : {}),
  )
  const bounds = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.requestMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: 5_000,
    connectionsCheckingInterval: Math.min(1_000, limits.requestMs),
    noDelay: true,
  }
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => void respond(request, response)
  const server: Listener =
    options.certificate === undefined
      ? createServer(bounds, onRequest)
      : secured(createSecureServer({ ...bounds, ...options.certificate, handshakeTimeout: limits.requestMs }, onRequest), options)
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

/** Who shakes hands is a stranger as the socket beneath, and afterwards as the one above it. */
function secured(server: SecureServer, options: ListenerOptions): SecureServer {
  const shaking = new Map<string, Socket>()
  const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress}|${remotePort}`
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket)
    shaking.set(name, socket)
    socket.once('close', () => {
      if (shaking.get(name) === socket) shaking.delete(name)
    })
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    const beneath = shaking.get(nameOf(socket))
    shaking.delete(nameOf(socket))
    options.onConnection(socket)
    if (beneath !== undefined) options.onSecured(beneath)
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return server
}

/** Begins to listen. @throws MeridianError CONFIG_INVALID if the address cannot be had. */
export function listen(server: Listener, config: NodeConfig): Promise<{ readonly address: string; readonly port: number }> {
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
  if (!options.guard.allowsOrigin(request.headers.origin)) return originProblem
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
function answerPlainly(server: Listener, request: IncomingMessage, socket: Duplex): void {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(request.socket)
  response.once('finish', () => socket.end())
  server.emit('request', request, response)
}
