/** Documents and collections over HTTP: requests into calls of `Documents` and of the log, answers into responses (docs/http.md). */

import type { Socket } from 'node:net'
import { attestedBy, type Clock, type Principal } from '@meridian/core/effects'
import type { Edit } from '@meridian/core/engine'
import { type ErrorCode, MeridianError } from '@meridian/core/errors'
import { type DocumentName, type GroupId, parseTenant, type Position } from '@meridian/core/ids'
import type { LiveGroup } from '@meridian/core/live-group'
import type { Done, ListedDocument, Outcome, RegionLog } from '@meridian/core/log'
import type { Materialised } from '@meridian/core/materialised'
import { emptyVersion } from '@meridian/core/version'
import type { Residency } from '@meridian/regions/residency'
import type { Context } from 'hono'
import { Hono } from 'hono'
import type { Authenticator } from '../auth/authenticator.js'
import type { HttpLimits } from '../config.js'
import { readBody } from './body.js'
import { changes } from './changes.js'
import type { Documents } from './documents.js'
import {
  admitted,
  type Caller,
  checkTenant,
  type Collection,
  collectionOf,
  documentOf,
  keyOf,
  notPlacedHere,
  principalOf,
  sees,
} from './entry.js'
import { eventStream } from './event-stream.js'
import type { Asking, Client } from './forwarded.js'
import { addPolicyRoutes, type PolicyParts } from './policies.js'
import { HttpProblem, problem, problemOf } from './problem.js'
import {
  askingOf,
  type Env,
  expectType,
  headersOf,
  invalid,
  jsonOf,
  jsonPatch,
  listed,
  mergePatch,
  namesVersion,
  nameOf,
  octets,
  operationOf,
  parsed,
  rawUrl,
  updateList,
  versionOf,
  wantedBy,
  written,
} from './request.js'
import { changesQuery, createQuery, listQuery, patchBody, pushQuery, readQuery, templateBody, writeQuery } from './schemas.js'

export interface RoutesOptions {
  readonly documents: Documents
  readonly log: RegionLog
  readonly residency: Pick<Residency, 'admit' | 'admitCollection'>
  /** Undefined for a node that is in no cluster. */
  readonly policies: PolicyParts | undefined
  readonly authenticator: Authenticator
  readonly clock: Clock
  readonly limits: HttpLimits
  readonly clientOf: (asking: Asking) => Client
  /** The client of this connection is known: it is no stranger to the gateway any more. */
  readonly onKnown: (socket: Socket) => void
}

export class Routes {
  readonly app = new Hono<Env>()
  readonly #options: RoutesOptions
  readonly #feeds = new Set<Feed>()
  /** Requests and feeds by the address of their client. */
  readonly #clients = new Map<string, number>()
  #requests = 0
  #draining = false

  constructor(options: RoutesOptions) {
    this.#options = options
    const { app } = this
    app.get('/v1/documents/*', (context) => this.#document(context, 'read', (asked) => this.#read(asked)))
    app.post('/v1/documents/*', (context) => this.#document(context, 'write', (asked) => this.#push(asked)))
    app.patch('/v1/documents/*', (context) => this.#document(context, 'write', (asked) => this.#edit(asked)))
    app.put('/v1/documents/*', (context) => this.#document(context, 'write', (asked) => this.#create(asked)))
    app.delete('/v1/documents/*', (context) => this.#document(context, 'write', (asked) => this.#erase(asked)))
    app.get('/v1/collections/*', (context) => this.#collection(context))
    addPolicyRoutes(app, {
      parts: options.policies,
      enter: (context) => this.#enter(context),
      counted: (context, run) => this.#counted(context, run),
    })
  }

  /** For metrics. */
  get feedCount(): number {
    return this.#feeds.size
  }

  get requestCount(): number {
    return this.#requests
  }

  /** Takes no more, and tells those who follow a feed that the node stops. */
  drain(): void {
    this.#draining = true
    for (const feed of this.#feeds) feed.end('DRAINING')
  }

  /** RES3: a policy was edited. Feeds of what is no longer served here, or is in another group, end. */
  review(): void {
    for (const feed of this.#feeds) if (!feed.isPlaced()) feed.end('NOT_PLACED_HERE')
  }

  // The door.

  async #document(context: Context<Env>, wanted: 'read' | 'write', run: (asked: Asked) => Promise<Response>): Promise<Response> {
    const caller = await this.#enter(context)
    const place = admitted(this.#options.residency.admit, caller, documentOf(rawUrl(context)), wanted)
    const response = await this.#counted(context, () => run({ context, place }))
    // The policy may have been edited while the log was read.
    if (wanted === 'read') admitted(this.#options.residency.admit, caller, place.document, wanted)
    return response
  }

  async #collection(context: Context<Env>): Promise<Response> {
    const caller = await this.#enter(context)
    const collection = collectionOf(rawUrl(context))
    checkTenant(caller.principal, collection)
    if (collection.rest !== '' && collection.rest !== 'changes')
      throw new HttpProblem(problem(404, 'Not found', 'Under a collection there is only /changes.'))
    const { residency } = this.#options
    const decision = residency.admitCollection(parseTenant(collection.tenant), collection.collection, caller.attested)
    if (decision.kind === 'no') throw notPlacedHere(decision)
    if (collection.rest === '') return this.#counted(context, () => this.#list(context, caller, collection))
    if (decision.group === undefined) throw new HttpProblem(severalGroups)
    return this.#changes(context, caller, { ...collection, group: decision.group })
  }

  async #enter(context: Context<Env>): Promise<Caller> {
    if (this.#draining) throw new HttpProblem(problemOf(new MeridianError('DRAINING')), { 'retry-after': '1' })
    const principal = await principalOf(this.#options.authenticator, context.req.raw)
    const socket = context.env.incoming?.socket
    if (socket !== undefined) this.#options.onKnown(socket)
    return { principal, attested: attestedBy(principal, this.#options.clientOf(askingOf(context)).country) }
  }

  async #counted(context: Context<Env>, run: () => Promise<Response>): Promise<Response> {
    if (this.#requests >= this.#options.limits.requestsMax) throw tooMany(1)
    const leave = this.#count(context)
    this.#requests++
    try {
      return await run()
    } finally {
      this.#requests--
      leave()
    }
  }

  /** Takes one of what a client may have at once; the answer gives it back. @throws HttpProblem 429 */
  #count(context: Context<Env>): () => void {
    const { address } = this.#options.clientOf(askingOf(context))
    const held = this.#clients.get(address) ?? 0
    if (held >= this.#options.limits.clientRequestsMax) throw tooMany(1)
    this.#clients.set(address, held + 1)
    let given = false
    return () => {
      if (given) return
      given = true
      const left = (this.#clients.get(address) ?? 1) - 1
      if (left === 0) this.#clients.delete(address)
      else this.#clients.set(address, left)
    }
  }

  // Documents.

  async #read({ context, place }: Asked): Promise<Response> {
    const { documents } = this.#options
    const query = parsed(readQuery, context.req.query(), 'query')
    const as = query.as ?? wantedBy(context)
    if (query.root !== undefined && as !== 'text') throw invalid('query', 'root goes with as=text')
    if (query.since !== undefined && as !== 'update' && as !== 'updates') throw invalid('query', 'since goes with as=update')
    const state = await documents.state(place, versionOf(query.at))
    const headers = { ...headersOf(state), vary: 'Accept' }
    if (query.since === undefined && namesVersion(context.req.header('if-none-match'), headers.etag))
      return new Response(null, { status: 304, headers })
    if (as === 'updates') {
      const known = Buffer.from(query.since ?? '', 'base64url')
      const updates = query.since === undefined ? state.updates : await documents.differences(state, new Uint8Array(known))
      return new Response(listed(updates), { headers: { ...headers, 'content-type': updateList } })
    }
    if (as === 'update') {
      const bytes =
        query.since === undefined
          ? await documents.whole(state)
          : await this.#lacking(state, new Uint8Array(Buffer.from(query.since, 'base64url')))
      return new Response(bytes.slice(), { headers: { ...headers, 'content-type': octets } })
    }
    const reading =
      as === 'json'
        ? ({ kind: 'json' } as const)
        : ({ kind: 'text', ...(query.root === undefined ? {} : { root: query.root }) } as const)
    const text = await documents.read(state, reading)
    return new Response(text, {
      headers: { ...headers, 'content-type': as === 'json' ? 'application/json' : 'text/plain; charset=utf-8' },
    })
  }

  /** What a state vector lacks as one update. */
  async #lacking(state: Materialised, known: Uint8Array): Promise<Uint8Array> {
    const differences = await this.#options.documents.differences(state, known)
    const [only] = differences
    if (only === undefined) return state.engine === 'yjs' ? emptyUpdate : new Uint8Array(0)
    return differences.length === 1
      ? only
      : this.#options.documents.whole({ ...state, updates: differences, bytes: lengthOf(differences) })
  }

  async #push({ context, place }: Asked): Promise<Response> {
    const { at, engine } = parsed(pushQuery, context.req.query(), 'query')
    const options = { name: nameOf(context), seen: versionOf(at), engine }
    expectType(context, [octets], 'accept-post')
    const payload = await this.#body(context)
    return written(await this.#options.documents.push(place, payload, options))
  }

  async #edit({ context, place }: Asked): Promise<Response> {
    const options = { name: nameOf(context), seen: versionOf(parsed(writeQuery, context.req.query(), 'query').at) }
    const type = expectType(context, [jsonPatch, mergePatch], 'accept-patch')
    const value = jsonOf(await this.#body(context))
    const edit: Edit =
      type === jsonPatch
        ? { kind: 'patch', operations: parsed(patchBody, value, 'body').map(operationOf) }
        : { kind: 'merge', value: parsed(templateBody, value, 'body') }
    return written(await this.#options.documents.edit(place, edit, options))
  }

  async #create({ context, place }: Asked): Promise<Response> {
    const { documents } = this.#options
    if (context.req.header('if-none-match') !== '*') {
      throw new HttpProblem({
        ...problem(
          428,
          'Precondition required',
          'PUT begins a document and replaces none, so that nobody overwrites the edits of others: send If-None-Match: *, or PATCH.',
        ),
        retry: 'never',
      })
    }
    const name = nameOf(context)
    const { engine } = parsed(createQuery, context.req.query(), 'query')
    const type = expectType(context, ['application/json', octets], 'accept')
    const body = await this.#body(context)
    const payload = type === octets ? body : await documents.template(parsed(templateBody, jsonOf(body), 'body'), engine)
    if (payload.length === 0) throw invalid('body', 'a document begins with some content')
    const answer = await documents.create(place, payload, { name, engine })
    if (answer.kind === 'saved') return written(answer, 201)
    throw new HttpProblem(
      {
        ...problem(412, 'Precondition failed', 'The document is there already; nothing was stored. Read it, or PATCH it.'),
        retry: 'never',
      },
      headersOf(answer),
    )
  }

  async #erase({ place }: Asked): Promise<Response> {
    return written(await this.#options.documents.erase(place))
  }

  #body(context: Context<Env>): Promise<Uint8Array> {
    return readBody(context.req.raw, this.#options.limits.bodyBytesMax)
  }

  // Collections.

  async #list(context: Context<Env>, caller: Caller, { prefix }: Collection): Promise<Response> {
    const { log, residency, limits } = this.#options
    const query = parsed(listQuery, context.req.query(), 'query')
    const limit = Math.min(query.limit, limits.pageMax)
    const documents: { key: string; engine: string; life: number; erased: boolean }[] = []
    // Pages of the log until the page of the answer is full; bounded, so that who may see little does not make the node read all.
    let after = query.after === '' ? '' : `${prefix}${query.after}`
    let ended = false
    for (let reads = 0; reads < listReadsMax && documents.length < limit && !ended; reads++) {
      const from = after
      const count = Math.max(listCountMin, limit)
      const listed = await ask<readonly ListedDocument[]>((done) =>
        log.listDocuments(`${prefix}${query.prefix}`, from, count, done),
      )
      ended = listed.length < count
      for (const { document, engine, life, ended: erased } of listed) {
        if (documents.length === limit) {
          ended = false
          break
        }
        after = document
        if ((erased && query.erased === 'false') || !sees(residency.admit, caller, document)) continue
        documents.push({ key: keyOf(document), engine, life, erased })
      }
    }
    return Response.json({ documents, ...(ended ? {} : { next: keyOf(after as DocumentName) }) })
  }

  async #changes(
    context: Context<Env>,
    caller: Caller,
    { tenant, collection, prefix, group: id }: Collection & { readonly group: GroupId },
  ): Promise<Response> {
    const { documents, log, residency, limits } = this.#options
    const { principal } = caller
    if (this.#feeds.size >= limits.feedsMax) throw tooMany(5)
    const query = parsed(changesQuery, context.req.query(), 'query')
    const given = context.req.header('last-event-id') || query.since
    const since = given === undefined ? undefined : versionOf(given)
    const leave = this.#count(context)
    const feed = new Feed(() => {
      const decision = residency.admitCollection(parseTenant(tenant), collection, caller.attested)
      return decision.kind === 'yes' && decision.group === id
    })
    this.#feeds.add(feed)
    try {
      const group = await documents.covered(id, since ?? emptyVersion)
      const events = changes({
        log,
        group,
        prefix,
        since,
        sees: (document) => sees(residency.admit, caller, document),
        wait: (live, position) => this.#wait(live, position, principal, feed.signal),
      })
      const body = eventStream(events, {
        ends: () => feed.why ?? (principal.expiresAt <= this.#options.clock.now() ? 'TOKEN_EXPIRED' : undefined),
        onEnd: () => {
          this.#feeds.delete(feed)
          leave()
          feed.end('CLOSED')
        },
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' } })
    } catch (thrown) {
      this.#feeds.delete(feed)
      leave()
      throw thrown
    }
  }

  /** Until there may be more to read, nothing was for long, or the feed ends: its token, or the node. */
  #wait(group: LiveGroup, position: Position, principal: Principal, signal: AbortSignal): Promise<'more' | 'alive' | 'end'> {
    const { log, clock, limits } = this.#options
    const left = principal.expiresAt - clock.now()
    if (signal.aborted || left <= 0) return Promise.resolve('end')
    if (log.position > position) return Promise.resolve('more')
    return new Promise((resolve) => {
      const more = (): void => end('more')
      const over = (): void => end('end')
      const end = (why: 'more' | 'alive' | 'end'): void => {
        clearTimeout(timer)
        group.watchers.delete(more)
        signal.removeEventListener('abort', over)
        resolve(why)
      }
      const timer = setTimeout(() => end(left <= limits.heartbeatMs ? 'end' : 'alive'), Math.min(left, limits.heartbeatMs))
      group.watchers.add(more)
      signal.addEventListener('abort', over)
    })
  }
}

/** An open change feed: its reader is told why it ends. */
class Feed {
  /** Whether what it follows is still where it was when it began. */
  readonly isPlaced: () => boolean
  why: ErrorCode | undefined
  readonly #controller = new AbortController()

  constructor(isPlaced: () => boolean) {
    this.isPlaced = isPlaced
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  end(why: ErrorCode): void {
    this.why ??= why
    this.#controller.abort()
  }
}

interface Asked {
  readonly context: Context<Env>
  readonly place: ReturnType<typeof admitted>
}

/** Reads of the log for one page of a list, and documents of one such read. */
const listReadsMax = 20
const listCountMin = 200

/** A cursor is a version of one group. */
const severalGroups = {
  ...problem(
    501,
    'Not implemented',
    'The documents of this collection are in several groups, by parts of their keys, and a feed follows one group. List them instead, or read them one by one.',
  ),
  retry: 'never',
} as const

const tooMany = (seconds: number): HttpProblem =>
  new HttpProblem(problemOf(new MeridianError('LIMIT_SESSIONS')), { 'retry-after': String(seconds) })

/** An update of Yjs without structs and deletions. */
const emptyUpdate = new Uint8Array([0, 0])

function lengthOf(updates: readonly Uint8Array[]): number {
  let bytes = 0
  for (const update of updates) bytes += update.length
  return bytes
}

async function ask<T>(run: (done: Done<T>) => void): Promise<T> {
  const outcome = await new Promise<Outcome<T>>((resolve) => run(resolve))
  if (outcome.kind === 'failed') throw new MeridianError(outcome.code)
  return outcome.value
}
