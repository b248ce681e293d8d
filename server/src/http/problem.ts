/** Errors over HTTP: application/problem+json (RFC 9457) with the code, the retry advice and nothing of what stays on this side. */

import type { Redirect } from '@meridian/core/effects'
import type { ErrorCode, MeridianError } from '@meridian/core/errors'

/** Close codes from 4400 on are the HTTP status plus 4,000; 4402 is not, as nobody asks for money here. */
export function httpStatus(error: MeridianError): number {
  if (error.code === 'TOKEN_EXPIRED') return 401
  const { closeCode } = error
  if (closeCode >= 4400 && closeCode < 4600) return closeCode - 4000
  return closeCode === 1012 ? 503 : 500
}

export interface Problem {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code?: ErrorCode
  readonly retry?: string
  /** Regions that may serve the document (NOT_PLACED_HERE). */
  readonly redirects?: readonly Redirect[]
  /** The rule of the policy that said no (NOT_PLACED_HERE). */
  readonly rule?: string
  /** What is wrong with a policy, and where (POLICY_INVALID). */
  readonly findings?: readonly {
    readonly level: string
    readonly code: string
    readonly path: string
    readonly message: string
  }[]
  /** What the region lacks, as a version token (NOT_YET_VISIBLE). */
  readonly missing?: string
}

export function problemOf(error: MeridianError): Problem {
  return { ...problem(httpStatus(error), titleOf(error.code), error.message), code: error.code, retry: error.retry }
}

export function problem(status: number, title: string, detail: string): Problem {
  return { type: 'about:blank', title, status, detail }
}

/** Ends a request with this problem. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem'
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>

  constructor(problem: Problem, headers: Readonly<Record<string, string>> = {}) {
    super(problem.title)
    this.problem = problem
    this.headers = headers
  }
}

/** `TOKEN_EXPIRED` → `Token expired`. */
const titleOf = (code: ErrorCode): string => `${code.slice(0, 1)}${code.slice(1).toLowerCase().replaceAll('_', ' ')}`

export const problemType = 'application/problem+json'

export function problemResponse(body: Problem, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${JSON.stringify(body)}\n`, { status: body.status, headers: { 'content-type': problemType, ...headers } })
}

/** The whole answer as bytes, for a socket that asked for an upgrade and has no response object. The connection ends behind it. */
export function problemBytes(body: Problem, headers: Record<string, string> = {}): string {
  const text = `${JSON.stringify(body)}\n`
  const lines = [
    `HTTP/1.1 ${body.status} ${body.title}`,
    `content-type: ${problemType}`,
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ]
  return `${lines.join('\r\n')}\r\n\r\n${text}`
}
