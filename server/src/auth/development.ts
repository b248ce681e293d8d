/** Development mode: whoever reaches the node may do everything in the tenant `dev`. Its only guard is that it listens on loopback. */

import { type Principal, scopes } from '@meridian/core/effects'
import type { Authenticator } from './authenticator.js'

export const developmentPrincipal: Principal = {
  subject: 'dev',
  tenant: 'dev',
  grants: [{ match: '*', access: 'write' }],
  expiresAt: Number.POSITIVE_INFINITY,
  scopes,
}

export const developmentAuthenticator: Authenticator = { authenticate: () => Promise.resolve(developmentPrincipal) }
