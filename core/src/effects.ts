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
 * @param attested for `access`: the country code of where the client is, as its token or connection attests; absent if nobody does.
 */
export type Admit = (verb: Verb, document: DocumentName, attested?: string) => Decision

/** Who a connection speaks for, as the authenticator found. */
export interface Principal {
  readonly subject: string
  readonly tenant: string
  /** Grants by pattern of `collection/key`; `*` stands for any run of characters, slashes included. */
  readonly grants: readonly { readonly match: string; readonly access: Access }[]
  /** Milliseconds since 1970 after which the connection may do nothing; Infinity in development mode. */
  readonly expiresAt: number
}

export type Access = 'read' | 'write'
