/**
 * Who a connection speaks for. A new scheme is one file that passes test/conformance/authenticator.ts and is handed in at the
 * composition root.
 */

import type { Principal } from '@meridian/core/effects'

export interface Authenticator {
  /**
   * Rejects with MeridianError TOKEN_INVALID or TOKEN_EXPIRED, INTERNAL (to be tried again) if what tokens are checked with cannot be had
   * now, and nothing else. No part of the token stands in the error, in its
   * cause or in a log.
   */
  authenticate(token: string): Promise<Principal>
}
