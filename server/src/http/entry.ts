/**
 * The door of HTTP under `/v1/`: who asks, for what, and may they? Decided from headers and the name alone, before any of a body is read (RES5),
 * and by the one choke point for every document (RES1).
 */

import type { Admit, Decision, Principal, Verb } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import { accessOf } from '@meridian/core/grants'
import { type DocumentName, documentParts, parseDocument, parseDocumentPath } from '@meridian/core/ids'
import type { Authenticator } from '../auth/authenticator.js'
import type { Place } from './documents.js'
import { HttpProblem, problemOf } from './problem.js'

export const documentsPath = '/v1/documents/'
export const collectionsPath = '/v1/collections/'

/** @throws HttpProblem 401 for a token that is missing, wrong or over */
export async function principalOf(authenticator: Authenticator, request: Request): Promise<Principal> {
  const header = request.headers.get('authorization') ?? ''
  const token = /^bearer +(\S+)$/i.exec(header)?.[1] ?? ''
  try {
    return await authenticator.authenticate(token)
  } catch (thrown) {
    if (!(thrown instanceof MeridianError)) throw thrown
    throw new HttpProblem(problemOf(thrown), { 'www-authenticate': 'Bearer' })
  }
}

/**
 * The document of a path as it came over the network, decoded once. URL parsers resolve `..` and would make one name of another.
 *
 * @throws MeridianError NAME_INVALID
 */
export function documentOf(rawUrl: string): DocumentName {
  return parseDocumentPath(pathBehind(rawUrl, documentsPath))
}

export interface Collection {
  readonly tenant: string
  readonly collection: string
  /** `tenant/collection/`. */
  readonly prefix: string
}

/** `tenant/collection` of a path, and what stands behind it. @throws MeridianError NAME_INVALID */
export function collectionOf(rawUrl: string): Collection & { readonly rest: string } {
  const [tenant = '', collection = '', ...rest] = pathBehind(rawUrl, collectionsPath).split('/')
  // Held to the grammar by a name in it.
  parseDocument(`${tenant}/${collection}/x`)
  return { tenant, collection, prefix: `${tenant}/${collection}/`, rest: rest.join('/') }
}

function pathBehind(rawUrl: string, prefix: string): string {
  const url = rawUrl.startsWith('/') ? rawUrl : rawUrl.replace(/^[a-z]+:\/\/[^/?#]*/i, '')
  const end = url.search(/[?#]/)
  const path = end < 0 ? url : url.slice(0, end)
  if (!path.startsWith(prefix))
    throw new MeridianError('NAME_INVALID', {
      message: 'The path is not written as it is meant: no dots to resolve, no other spelling.',
    })
  return path.slice(prefix.length)
}

/** Who asks, and where from by all who attest it. */
export interface Caller {
  readonly principal: Principal
  readonly attested: readonly string[]
}

/** RES5: refused because of where it is, by which rule, and with the regions that may. */
export const notPlacedHere = ({ rule, redirects }: Pick<Refusal, 'rule' | 'redirects'>): HttpProblem =>
  new HttpProblem({ ...problemOf(new MeridianError('NOT_PLACED_HERE')), rule, redirects })

type Refusal = Decision & { readonly kind: 'no' }

/** @throws MeridianError ACCESS_DENIED, WRITE_DENIED, HttpProblem NOT_PLACED_HERE with the regions that may */
export function admitted(admit: Admit, caller: Caller, document: DocumentName, wanted: 'read' | 'write'): Place {
  const { principal, attested } = caller
  const access = accessOf(principal, document)
  if (access === 'none') throw new MeridianError('ACCESS_DENIED')
  if (wanted === 'write' && access !== 'write') throw new MeridianError('WRITE_DENIED')
  // What is materialised is processed here; a lane asks for `store` once more, when it is about to.
  const verbs: readonly Verb[] = wanted === 'write' ? ['access', 'process', 'store'] : ['access', 'process']
  let place: Place | undefined
  for (const verb of verbs) {
    const decision = admit(verb, document, attested)
    if (decision.kind === 'no') throw notPlacedHere(decision)
    place ??= { document, group: decision.group, epoch: decision.epoch }
  }
  if (place === undefined) throw new MeridianError('INTERNAL')
  return place
}

/** Whether somebody may see a document in a list or a feed. */
export function sees(admit: Admit, { principal, attested }: Caller, document: DocumentName): boolean {
  return accessOf(principal, document) !== 'none' && admit('access', document, attested).kind === 'yes'
}

/** Nothing of another tenant exists for a token; the same answer as for what it does not grant. @throws MeridianError ACCESS_DENIED */
export function checkTenant(principal: Principal, { tenant }: Collection): void {
  if (principal.tenant !== tenant) throw new MeridianError('ACCESS_DENIED')
}

export const keyOf = (document: DocumentName): string => documentParts(document).key
