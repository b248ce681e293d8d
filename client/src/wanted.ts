/** What whoever waits for edits to be saved is told, and what they wait for. */

import type { ErrorCode } from '@meridian/core/errors'
import type { Version } from '@meridian/core/version'

/** `saved`, `pending`, or why it will not be saved. */
export type Outcome = 'saved' | 'pending' | ErrorCode

/** A wait for more regions than one. */
export interface Wanted {
  readonly regions: number
  /** The session token that is to be covered; undefined before the edits are acked. */
  needs: Version | undefined
  /** Of the tokens: after a rescue what was needed is void. */
  voids: number
  /** What the tab with the connection says of it, and who that is. */
  told: Outcome | undefined
  /** Names the question to that tab; 0: not asked. */
  id: number
}

export const wanted = (regions: number): Wanted => ({ regions, needs: undefined, voids: 0, told: undefined, id: 0 })
