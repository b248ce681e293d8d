/** What an app configures. */

import type { MeridianError } from '@meridian/core/errors'
import type { Signal } from './abort.js'
import type { OpenTabLink } from './client-state.js'
import type { ConnectionTimes } from './connection.js'
import type { ClientStore } from './store.js'

/** A token, or whoever can get one: asked at each connect and before the last one ends. */
export type TokenSource = string | ((options: { readonly signal: Signal | undefined }) => string | Promise<string>)

export interface ClientOptions {
  /**
   * `http(s)://host:port` of a node, or of nodes of several regions, the preferred one first. One is enough: it names the others, and the
   * device keeps what it said.
   */
  readonly url: string | readonly string[]
  /** Default: none, for a node in development mode. */
  readonly token?: TokenSource | undefined
  readonly storage: ClientStore
  /** Default: the token's `tenant` claim, and `dev` without a token. A token function needs it. */
  readonly tenant?: string | undefined
  /** Told of every error that has no promise of its own. Default: none for operating errors, which stand in a status; others are thrown. */
  readonly onError?: ((error: MeridianError) => void) | undefined
  readonly times?: ConnectionTimes | undefined
  /** Log records of an open document after which they are folded into one snapshot, if that is worth it. Default 500. */
  readonly compactCount?: number | undefined
  /** How this tab reaches the others of its browser that have the same store; without it every tab has a connection of its own. */
  readonly tabs?: OpenTabLink | undefined
  /** False: no connection before `reconnect()`. Default true. */
  readonly autoConnect?: boolean | undefined
}
