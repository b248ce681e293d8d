/**
 * What the pure machines of core ask of the world, and nothing else. `server/node` hands the real ones in, the simulator its own.
 */

import type { DocumentName, GroupId, RegionId } from './ids.js'

export interface Clock {
  /** Milliseconds since 1970 by the wall clock. For stamps and expiry; no order is ever decided by it. */
  now(): number
}

export interface Random {
  /** A uniform integer in [0, 2^32). */
  uint32(): number
}

/** What somebody wants to do with a document in a place (PLACEMENT.md, Vocabulary). */
export type Verb = 'store' | 'process' | 'access' | 'transit' | 'backup' | 'key' | 'log'

export interface Redirect {
  readonly region: RegionId
  readonly url: string
}

/** Yes with the document's group and the policy epoch, or no with the regions that may. Each names the rule that said so. */
export type Decision =
  | { readonly kind: 'yes'; readonly group: GroupId; readonly epoch: number; readonly rule: string }
  | { readonly kind: 'no'; readonly rule: string; readonly redirects: readonly Redirect[] }

/**
 * RES1: the one choke point. Pure and cheap; `regions/residency` implements it.
 *
 * @param attested for `access`: the country codes of where the client is, as its token and its connection attest; each has to be allowed, and none
 * means that nobody knows.
 */
export type Admit = (verb: Verb, document: DocumentName, attested?: readonly string[]) => Decision

/** What a token allows beside documents. `policy:read`: to see the policy of its tenant; `policy:write`: to edit it, too. */
export const scopes = ['policy:read', 'policy:write'] as const
export type Scope = (typeof scopes)[number]

/** Who a connection speaks for, as the authenticator found. */
export interface Principal {
  readonly subject: string
  readonly tenant: string
  /** Grants by pattern of `collection/key`; `*` stands for any run of characters, slashes included. */
  readonly grants: readonly { readonly match: string; readonly access: Access }[]
  /** Milliseconds since 1970 after which the connection may do nothing; Infinity in development mode. */
  readonly expiresAt: number
  /** The country that the token says its subject acts from, ISO 3166-1. */
  readonly country?: string
  readonly scopes?: readonly Scope[]
}

/** Where a client is by all who attest it: its token, and a proxy that is trusted. */
export function attestedBy(principal: Principal | undefined, connection: string | undefined): readonly string[] {
  const countries: string[] = []
  if (principal?.country !== undefined) countries.push(principal.country)
  if (connection !== undefined && connection !== principal?.country) countries.push(connection)
  return countries
}

export type Access = 'read' | 'write'
