/** What a node answers over HTTP: is it alive, is it ready, how is it doing, what is it. */

import { Hono } from 'hono'
import type { Guard } from './guard.js'
import { problem, problemOf, problemResponse } from './problem.js'
import { toMeridianError } from '@meridian/core/errors'

export interface Readiness {
  readonly ready: boolean
  /** Why not; sentences without names. */
  readonly reasons: readonly string[]
}

export interface About {
  readonly version: string
  readonly region: string
  readonly node: string
  readonly protocol: { readonly oldest: number; readonly newest: number }
}

export interface AppOptions {
  readonly guard: Guard
  readonly about: About
  readonly readiness: () => Readiness
  readonly metrics: () => Promise<{ readonly text: string; readonly type: string }>
  readonly onError: (error: unknown) => void
}

/** Paths that probes ask by an address instead of a name. */
const probes = new Set(['/healthz', '/readyz'])

export const syncPath = '/v1/sync'
/** Behind it stands the document: `/yjs/<tenant>/<collection>/<key>`, the room of a y-websocket provider. */
export const yjsPath = '/yjs/'

export function createApp(options: AppOptions): Hono {
  const app = new Hono()
  app.use(async (context, next) => {
    if (!probes.has(context.req.path) && !options.guard.allowsHost(context.req.header('host')))
      return problemResponse(hostProblem)
    if (context.req.method !== 'GET' && context.req.method !== 'HEAD') {
      // Nothing here takes a body, so none is waited for.
      return problemResponse(problem(405, 'Method not allowed', 'Only GET and HEAD are answered here.'), {
        allow: 'GET, HEAD',
        connection: 'close',
      })
    }
    await next()
    context.header('x-content-type-options', 'nosniff')
    context.header('cache-control', 'no-store')
    return undefined
  })
  app.get('/healthz', (context) => context.json({ status: 'alive' }))
  app.get('/readyz', (context) => {
    const { ready, reasons } = options.readiness()
    return context.json({ status: ready ? 'ready' : 'not ready', reasons }, ready ? 200 : 503)
  })
  app.get('/metrics', async (context) => {
    const { text, type } = await options.metrics()
    return context.body(text, 200, { 'content-type': type })
  })
  app.get('/version', (context) => context.json(options.about))
  app.get(syncPath, () =>
    problemResponse(problem(426, 'Upgrade required', 'Clients connect here by WebSocket.'), {
      upgrade: 'websocket',
      connection: 'upgrade',
    }),
  )
  app.notFound(() => problemResponse(notFoundProblem))
  app.onError((error) => {
    options.onError(error)
    return problemResponse(problemOf(toMeridianError(error)))
  })
  return app
}

export const hostProblem = problem(
  421,
  'Misdirected request',
  'This node is not asked for by this name: add it to allowedHosts. In development mode that are localhost, 127.0.0.1 and [::1].',
)

export const notFoundProblem = problem(
  404,
  'Not found',
  `There is nothing here. This node answers /healthz, /readyz, /metrics and /version; clients connect by WebSocket at ${syncPath}.`,
)
