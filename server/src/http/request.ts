/** Parts of requests on documents, checked, and the headers and bodies that answer them. */

import type { IncomingMessage } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import type { z } from '@hono/zod-openapi'
import type { PatchOperation } from '@meridian/core/engine'
import { unreachable } from '@meridian/core/errors'
import { parseDevice } from '@meridian/core/ids'
import { emptyVersion, type Version } from '@meridian/core/version'
import type { Context } from 'hono'
import { accepts } from 'hono/accepts'
import type { WriteName, Written } from './documents.js'
import type { Asking } from './forwarded.js'
import { HttpProblem, problem } from './problem.js'
import type { patchBody } from './schemas.js'
import { parseVersionToken, versionToken } from './version-token.js'

export type Env = { Bindings: Partial<HttpBindings> }

export const octets = 'application/octet-stream'
/** Updates in order, each behind its length as four bytes, big-endian. */
export const updateList = 'application/vnd.meridian.updates'
export const mergePatch = 'application/merge-patch+json'
export const jsonPatch = 'application/json-patch+json'

/** As it came over the network, before any parser made another path of it. */
export const rawUrl = (context: Context<Env>): string => context.env.incoming?.url ?? context.req.url

/** What tells who asks: the socket, and what proxies say. */
export function askingOf(context: Context<Env>): Asking {
  const socket = context.env?.incoming?.socket
  return {
    address: socket?.remoteAddress,
    isEncrypted: socket !== undefined && 'encrypted' in socket && socket.encrypted === true,
    forwardedFor: context.req.header('x-forwarded-for'),
    forwardedProto: context.req.header('x-forwarded-proto'),
    header: (name) => context.req.header(name),
  }
}

/** The same of a request that becomes a WebSocket. */
export function askingOfUpgrade({ socket, headers }: IncomingMessage): Asking {
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
  return {
    address: socket.remoteAddress,
    isEncrypted: 'encrypted' in socket && socket.encrypted === true,
    forwardedFor: header('x-forwarded-for'),
    forwardedProto: header('x-forwarded-proto'),
    header,
  }
}

export function wantedBy(context: Context<Env>): 'json' | 'text' | 'update' | 'updates' {
  const type = accepts(context, {
    header: 'Accept',
    supports: ['application/json', 'text/plain', octets, updateList],
    default: 'application/json',
  })
  if (type === updateList) return 'updates'
  return type === octets ? 'update' : type === 'text/plain' ? 'text' : 'json'
}

export const versionOf = (token: string | undefined): Version =>
  token === undefined || token === '' ? emptyVersion : parseVersionToken(token)

export function headersOf({
  version,
  life,
}: {
  readonly version: Version
  readonly life: number
}): { etag: string } & Record<string, string> {
  const token = versionToken(version)
  return { etag: `W/"${token}"`, 'meridian-version': token, 'meridian-life': String(life) }
}

export const namesVersion = (header: string | undefined, etag: string): boolean =>
  header?.split(',').some((one) => one.trim() === etag || one.trim() === etag.slice(2)) === true

export function written(answer: Written, status = 200): Response {
  const { version, life, dot } = answer
  const body = { version: versionToken(version), life, ...(dot === undefined ? {} : { entry: dot }) }
  return Response.json(body, { status, headers: headersOf(answer) })
}

/** `Meridian-Push: <device>/<counter>`. @throws HttpProblem 400 */
export function nameOf(context: Context<Env>): WriteName | undefined {
  const header = context.req.header('meridian-push')
  if (header === undefined) return undefined
  const [, device = '', digits = ''] = /^([0-9a-f]{32})\/([1-9][0-9]{0,15})$/.exec(header) ?? []
  const counter = Number(digits)
  if (!Number.isSafeInteger(counter) || counter === 0)
    throw invalid('Meridian-Push', '32 hex digits, a slash and a counter from 1 on')
  return { device: parseDevice(device), counter }
}

/** @throws HttpProblem 415 that says what is taken */
export function expectType(context: Context<Env>, types: readonly string[], header: string): string {
  const type = (context.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  if (types.includes(type)) return type
  throw new HttpProblem(
    { ...problem(415, 'Unsupported media type', `Content-Type is ${types.join(' or ')} here.`), retry: 'never' },
    { [header]: types.join(', ') },
  )
}

export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw invalid('body', 'no JSON in UTF-8')
  }
}

/** What came against its schema. Says where it does not fit, and repeats nothing of it. @throws HttpProblem 400 */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const known = issue?.path.filter((part) => typeof part === 'number' || (typeof part === 'string' && what === 'query')).join('.')
  throw invalid(
    what,
    `${known === undefined || known === '' ? '' : `${known}: `}${issue?.code === 'unrecognized_keys' ? 'there is no such parameter' : (issue?.message ?? 'not as it should be')}`,
  )
}

export const invalid = (what: string, why: string): HttpProblem =>
  new HttpProblem({ ...problem(400, 'Bad request', `The ${what} is not as docs/http.md says: ${why}.`), retry: 'never' })

type Operation = z.output<typeof patchBody>[number]

/** JSON has no undefined: an operation whose value is that was sent without one. */
export function operationOf(operation: Operation, index: number): PatchOperation {
  switch (operation.op) {
    case 'add':
    case 'replace':
    case 'test':
      if (operation.value === undefined) throw invalid('body', `operation ${index} has no value`)
      return { op: operation.op, path: operation.path, value: operation.value }
    case 'remove':
    case 'move':
    case 'copy':
      return operation
    default:
      return unreachable(operation)
  }
}

/** The body that `updateList` names. */
export function listed(updates: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0
  for (const update of updates) length += 4 + update.length
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  let offset = 0
  for (const update of updates) {
    view.setUint32(offset, update.length)
    bytes.set(update, offset + 4)
    offset += 4 + update.length
  }
  return bytes
}
