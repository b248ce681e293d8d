/**
 * The page of a local cluster and what it asks: the state as a stream of events, and the switches. It listens on loopback, and answers only what asks for
 * it by a name of this machine; other pages reach no switch (Origin).
 */

import { createServer, type Server } from 'node:http'
import { fileURLToPath } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { MeridianError, toMeridianError } from '@meridian/core/errors'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { z } from 'zod'
import { type AppFiles, answerFile, indexPath } from '../http/app-files.js'
import { createGuard } from '../http/guard.js'
import { HttpProblem, problem, problemOf, problemResponse } from '../http/problem.js'
import type { LocalCluster } from './local-cluster.js'

/** Where `npm run build` puts the page. */
export const pageFolder = fileURLToPath(new URL('../../page/', import.meta.url))

const linkOrder = z.strictObject({ one: z.string(), other: z.string(), do: z.enum(['cut', 'heal']) })
const regionOrder = z.strictObject({ region: z.string(), do: z.enum(['kill', 'start']) })

const guard = createGuard({ auth: { kind: 'development' }, allowedHosts: [], allowedOrigins: [] })

/** At most so many states a second go to a page. */
const stateMs = 100

export function createPage(cluster: LocalCluster, files: AppFiles, frames: readonly string[]): Hono {
  const app = new Hono()
  app.use(async (context, next) => {
    if (!guard.allowsHost(context.req.header('host')) || !guard.allowsOrigin(context.req.header('origin')))
      return problemResponse(problem(403, 'Forbidden', 'This page is for this machine: open it at http://127.0.0.1.'))
    await next()
    context.header('x-content-type-options', 'nosniff')
    if (!context.res.headers.has('cache-control')) context.header('cache-control', 'no-store')
    return undefined
  })
  app.onError((error) => problemResponse(error instanceof HttpProblem ? error.problem : problemOf(toMeridianError(error))))
  app.get('/api/state', (context) => context.json(cluster.state()))
  app.get('/api/events', (context) =>
    streamSSE(context, async (stream) => {
      let isDue = true
      let wake: (() => void) | undefined
      const forget = cluster.onChange(() => {
        isDue = true
        wake?.()
      })
      stream.onAbort(() => wake?.())
      let last = ''
      while (!stream.aborted) {
        isDue = false
        const data = JSON.stringify(cluster.state())
        if (data !== last) await stream.writeSSE({ data })
        last = data
        await stream.sleep(stateMs)
        if (!isDue && !stream.aborted)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
      forget()
    }),
  )
  app.post('/api/links', async (context) => {
    const order = await orderOf(linkOrder, context.req.raw)
    cluster.setLink(order.one, order.other, order.do)
    return context.json(cluster.state())
  })
  app.post('/api/regions', async (context) => {
    const order = await orderOf(regionOrder, context.req.raw)
    await cluster.setRegion(order.region, order.do)
    return context.json(cluster.state())
  })
  app.get('*', (context) => {
    const path = context.req.path === '/' ? indexPath : context.req.path
    const file = files.get(path)
    if (file === undefined) return problemResponse(problem(404, 'Not found', 'There is nothing here. The page is at /.'))
    return answerFile(file, context, path === indexPath ? { 'content-security-policy': pagePolicy(frames) } : {})
  })
  return app
}

async function orderOf<T>(schema: z.ZodType<T>, request: Request): Promise<T> {
  const parsed = schema.safeParse(await request.json().catch(() => undefined))
  if (parsed.success) return parsed.data
  throw new HttpProblem(problem(400, 'Bad request', `The order is not right: ${z.prettifyError(parsed.error)}`))
}

/** What the page may load: its own files, and the app of each region in a frame. */
const pagePolicy = (frames: readonly string[]): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self'",
    `frame-src ${frames.join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

/** @throws MeridianError CONFIG_INVALID if the port cannot be had */
export async function servePage(app: Hono, port: number): Promise<{ readonly url: string; close(): void }> {
  const respond = getRequestListener(app.fetch)
  const server: Server = createServer((request, response) => void respond(request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new MeridianError('CONFIG_INVALID', {
          message: `Cannot listen on 127.0.0.1 port ${port}: ${error.code === 'EADDRINUSE' ? 'it is in use; stop who has it' : String(error.code)}.`,
          cause: error,
        }),
      ),
    )
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  const at = address === null || typeof address === 'string' ? port : address.port
  return {
    url: `http://127.0.0.1:${at}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
