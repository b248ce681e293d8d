/**
 * Development mode: whoever reaches the node may do everything in the tenant `dev`, as somebody in the region's own country. Its only guard is that it
 * listens on loopback.
 */

import { type Principal, scopes } from '@meridian/core/effects'
import type { Authenticator } from './authenticator.js'

export const developmentPrincipal: Principal = {
  subject: 'dev',
  tenant: 'dev',
  grants: [{ match: '*', access: 'write' }],
  expiresAt: Number.POSITIVE_INFINITY,
  scopes,
}

/** @param country where the region is; undefined for a node that is in no cluster. */
export function developmentAuthenticator(country?: string): Authenticator {
  const principal = country === undefined ? developmentPrincipal : { ...developmentPrincipal, country }
  return { authenticate: () => Promise.resolve(principal) }
}
