/**
 * Documents of another store into a region, by its HTTP API: the same door as everybody's. Each one is counted, and compared when it is
 * there: by its digest, which is made of what a document means and not of its bytes.
 *
 * It can be run again at any time, and goes on where it ended: what is there already is compared and left alone, and what the
 * region has more is no difference. Nothing of the source is changed.
 */

import { yjsEngine } from '@meridian/core/engines/yjs'
import { MeridianError } from '@meridian/core/errors'
import { type DocumentName, parseDocument } from '@meridian/core/ids'
import type { Source } from './y-leveldb.js'

export type Result =
  /** New in the region, and the same there. */
  | 'imported'
  /** Was there already, the same. */
  | 'same'
  /** Was there already, with more than the source has. */
  | 'newer'
  /** Was there already and lacked something, which it has now. */
  | 'merged'
  /** Its name is no canonical one; see PROTOCOL.md, NAME1 to NAME4. */
  | 'refused'
  /** Not imported, or not the same afterwards. */
  | 'failed'

export interface Imported {
  readonly name: string
  readonly result: Result
  /** Why it was refused or failed. */
  readonly why?: string
  readonly bytes: number
}

export interface ImportOptions {
  readonly source: Source
  /** `tenant/collection`. */
  readonly into: string
  /** Of a node. */
  readonly url: string
  readonly token: string
  /** Called after each document. */
  readonly onDocument: (imported: Imported, index: number) => void
  readonly signal?: AbortSignal
}

/** Retries of one request that was answered with "later", and how long between them at first. */
const retriesMax = 8
const retryMs = 250

/** @throws MeridianError if the node refuses the token or cannot be reached: that is not for one document only */
export async function importAll(options: ImportOptions): Promise<void> {
  for (const [index, name] of options.source.names.entries()) {
    options.signal?.throwIfAborted()
    options.onDocument(await importOne(options, name), index)
  }
}

async function importOne(options: ImportOptions, name: string): Promise<Imported> {
  let bytes = 0
  try {
    const document = parseDocument(`${options.into}/${name}`)
    const { updates } = await options.source.read(name)
    // Through one document: what is garbage to Yjs is not carried over, and what is incomplete is found out.
    const state = yjsEngine.snapshot(updates).bytes
    bytes = state.length
    if (isNothing(state)) return { name, result: 'same', bytes: 0 }
    return { name, bytes, result: await bring(options, document, state) }
  } catch (thrown) {
    if (!(thrown instanceof MeridianError)) return { name, bytes, result: 'failed', why: messageOf(thrown) }
    if (fatal.has(thrown.code)) throw thrown
    if (thrown.code === 'NAME_INVALID') return { name, bytes, result: 'refused', why: thrown.sentence }
    return { name, bytes, result: 'failed', why: thrown.message }
  }
}

/** What every other document would be answered, too. */
const fatal: ReadonlySet<string> = new Set(['TOKEN_INVALID', 'TOKEN_EXPIRED', 'ACCESS_DENIED', 'WRITE_DENIED', 'CLOSED'])

async function bring(options: ImportOptions, document: DocumentName, state: Uint8Array): Promise<Result> {
  const put = await ask(options, document, 'PUT', { 'if-none-match': '*' }, state)
  if (put.status === 201) {
    const there = await read(options, document)
    if (yjsEngine.digest([there]) !== yjsEngine.digest([state])) {
      // Somebody may edit it already.
      if (!holds(there, state)) throw new Error('the region does not show the same as the source')
    }
    return 'imported'
  }
  if (put.status !== 412) throw await refusal(put)
  const before = await read(options, document)
  if (yjsEngine.digest([before]) === yjsEngine.digest([state])) return 'same'
  if (holds(before, state)) return 'newer'
  const post = await ask(options, document, 'POST', {}, state)
  if (post.status !== 200) throw await refusal(post)
  if (!holds(await read(options, document), state)) throw new Error('the region does not show what the source has')
  return 'merged'
}

/** True if `state` adds nothing to `there`. */
const holds = (there: Uint8Array, state: Uint8Array): boolean => yjsEngine.digest([there, state]) === yjsEngine.digest([there])

const isNothing = (state: Uint8Array): boolean => state.length <= 2

async function read(options: ImportOptions, document: DocumentName): Promise<Uint8Array> {
  const response = await ask(options, document, 'GET', { accept: 'application/octet-stream' })
  if (response.status !== 200) throw await refusal(response)
  return new Uint8Array(await response.arrayBuffer())
}

async function ask(
  { url, token, signal }: ImportOptions,
  document: DocumentName,
  method: string,
  headers: Record<string, string>,
  body?: Uint8Array,
): Promise<Response> {
  const path = document.split('/').map(encodeURIComponent).join('/')
  for (let attempt = 0; ; attempt++) {
    let response: Response
    try {
      response = await fetch(`${url.replace(/\/+$/, '')}/v1/documents/${path}`, {
        method,
        headers: {
          ...headers,
          ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/octet-stream' }),
        },
        ...(body === undefined ? {} : { body: body.slice() }),
        ...(signal === undefined ? {} : { signal }),
      })
    } catch (cause) {
      signal?.throwIfAborted()
      if (attempt < retriesMax) {
        await pause(attempt)
        continue
      }
      throw new MeridianError('CLOSED', { message: `The node at ${url} cannot be reached.`, cause })
    }
    if (![429, 503].includes(response.status) || attempt >= retriesMax) return response
    await response.arrayBuffer()
    await pause(attempt)
  }
}

const pause = (attempt: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.min(5_000, retryMs * 2 ** attempt)))

/** A problem of the node as the error that it was. */
async function refusal(response: Response): Promise<Error> {
  const problem: unknown = await response.json().catch(() => undefined)
  if (typeof problem !== 'object' || problem === null) return new Error(`the node answered ${response.status}`)
  const code = 'code' in problem ? problem.code : undefined
  const detail = 'detail' in problem ? String(problem.detail) : `the node answered ${response.status}`
  if (typeof code === 'string' && fatal.has(code))
    return new MeridianError(code as 'TOKEN_INVALID', { message: 'The node says so.' })
  return new Error(detail)
}

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : 'unknown')
