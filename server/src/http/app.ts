/**
 * What a node answers over HTTP: is it alive, is it ready, how is it doing, what is it; behind the same checks its documents, and in development
 * mode the sample app.
 */

import { advice } from '@meridian/core/advice'
import { toMeridianError } from '@meridian/core/errors'
import { Hono } from 'hono'
import { type AppFiles, answerFromApp } from './app-files.js'
import { collectionsPath, documentsPath } from './entry.js'
import type { Asking, Client } from './forwarded.js'
import type { Guard } from './guard.js'
import { policiesPath } from './policies.js'
import { HttpProblem, problem, problemOf, problemResponse } from './problem.js'
import type { RegionStatus } from './region-status.js'
import { type RegionList, regionsPath } from './regions.js'
import { askingOf, type Env } from './request.js'

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
  /** How the region stands with the others; absent for a node that is alone. */
  readonly regionStatus?: (() => RegionStatus) | undefined
  /** Whose request it is; absent where there is no socket. */
  readonly clientOf?: (asking: Asking) => Client
  /** The sample app; undefined where it is not served. */
  readonly files?: AppFiles | undefined
  readonly onError: (error: unknown) => void
  /** What `/v1/regions` answers; absent: there is no such path. */
  readonly regions?: () => RegionList
  /** Documents and collections. */
  readonly documents?: Hono<Env>
  /** OpenAPI of these, as JSON. */
  readonly openApi?: string
}

/** Paths that probes ask by an address instead of a name. */
const probes = new Set(['/healthz', '/readyz'])

export const syncPath = '/v1/sync'
export const regionStatusPath = '/v1/region'
/** Behind it stands the document: `/yjs/<tenant>/<collection>/<key>`, the room of a y-websocket provider. */
export const yjsPath = '/yjs/'
/** Documents are named in the messages: `WebSocketClientAdapter` of automerge-repo has this address alone. */
export const automergePath = '/automerge'
/** Of providers of Hocuspocus, which name their documents in each message. */
export const hocuspocusPath = '/hocuspocus'

export function createApp(options: AppOptions): Hono<Env> {
  const app = new Hono<Env>()
  app.use(async (context, next) => {
    if (!probes.has(context.req.path) && !options.guard.allowsHost(context.req.header('host')))
      return problemResponse(hostProblem)
    const isDocument = context.req.path.startsWith(documentsPath)
    const isPolicy = context.req.path.startsWith(policiesPath)
    const isOpen = isDocument || isPolicy || context.req.path.startsWith(collectionsPath) || context.req.path === regionsPath
    const methods = isDocument ? documentMethods : isPolicy ? policyMethods : ['GET', 'HEAD']
    const origin = context.req.header('origin')
    if (isOpen && !options.guard.allowsOrigin(origin)) return problemResponse(originProblem, { connection: 'close' })
    if (isOpen && origin !== undefined && context.req.method === 'OPTIONS') return preflight(origin)
    if (!methods.includes(context.req.method)) {
      // Nothing here takes a body, so none is waited for.
      const allow = methods.join(', ')
      return problemResponse(problem(405, 'Method not allowed', `Only ${allow} are answered here.`), {
        allow,
        connection: 'close',
      })
    }
    await next()
    context.header('x-content-type-options', 'nosniff')
    // Once reached by TLS, for ever by TLS (RFC 6797).
    if (options.clientOf?.(askingOf(context)).isSecure === true) context.header('strict-transport-security', 'max-age=31536000')
    if (isDocument) context.header('cache-control', 'private, no-cache')
    else if (!context.res.headers.has('cache-control')) context.header('cache-control', 'no-store')
    if (isOpen && origin !== undefined) {
      context.header('access-control-allow-origin', origin)
      context.header('access-control-expose-headers', exposedHeaders)
      context.header('vary', 'Origin', { append: true })
    }
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
  const { regionStatus } = options
  if (regionStatus !== undefined) app.get(regionStatusPath, (context) => context.json(regionStatus()))
  const { regions } = options
  if (regions !== undefined) app.get(regionsPath, (context) => context.json(regions()))
  app.get(syncPath, () =>
    problemResponse(problem(426, 'Upgrade required', 'Clients connect here by WebSocket.'), {
      upgrade: 'websocket',
      connection: 'upgrade',
    }),
  )
  if (options.openApi !== undefined) {
    const text = options.openApi
    app.get('/v1/openapi.json', () => new Response(text, { headers: { 'content-type': 'application/json' } }))
  }
  if (options.documents !== undefined) app.route('/', options.documents)
  app.notFound(
    (context) =>
      (options.files && answerFromApp(options.files, context, urlsOf(options.regions?.()))) ?? problemResponse(notFoundProblem),
  )
  app.onError((thrown, context) => {
    // A body that was not read ends with its connection.
    const unread: Record<string, string> =
      context.req.method === 'GET' || context.req.method === 'HEAD' ? {} : { connection: 'close' }
    if (thrown instanceof HttpProblem) return problemResponse(thrown.problem, { ...unread, ...thrown.headers })
    const error = toMeridianError(thrown)
    if (error.code === 'INTERNAL') options.onError(thrown)
    const body = problemOf(error)
    return problemResponse(body, { ...unread, ...(body.status === 503 ? { 'retry-after': '1' } : {}) })
  })
  return app
}

const urlsOf = (list: RegionList | undefined): string[] => list?.regions.flatMap(({ url }) => url ?? []) ?? []

const documentMethods = ['GET', 'HEAD', 'POST', 'PATCH', 'PUT', 'DELETE']
const policyMethods = ['GET', 'HEAD', 'POST', 'PUT']
const exposedHeaders = 'ETag, Meridian-Version, Meridian-Life, Retry-After'

/** CORS (WHATWG Fetch, 3.3) for pages of allowed origins. No cookies: a page brings its token itself. */
function preflight(origin: string): Response {
  return new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-origin': origin,
      'access-control-allow-methods': documentMethods.join(', '),
      'access-control-allow-headers': 'Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, Meridian-Push',
      'access-control-max-age': '600',
      vary: 'Origin',
    },
  })
}

export const originProblem = {
  ...problem(403, 'Origin denied', advice.ORIGIN_DENIED),
  code: 'ORIGIN_DENIED',
  retry: 'never',
} as const

export const hostProblem = problem(
  421,
  'Misdirected request',
  'This node is not asked for by this name: add it to allowedHosts. In development mode that are localhost, 127.0.0.1 and [::1].',
)

export const notFoundProblem = problem(
  404,
  'Not found',
  `There is nothing here. This node answers /healthz, /readyz, /metrics, /version and /v1/openapi.json; clients connect by WebSocket at ${syncPath}.`,
)
