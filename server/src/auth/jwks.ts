/**
 * Public keys from a JWKS URL (RFC 7517), by jose. Keys that are known go on when the server of the URL is down: they are looked at anew in
 * the background, and what was fetched last counts until there is something newer. A key that is not known is asked for at once, but no
 * more often than the cooldown says, so that tokens with made-up key ids make no traffic.
 */

import type { Clock } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import { createRemoteJWKSet, type CryptoKey, errors, type FlattenedJWSInput, type JWSHeaderParameters } from 'jose'
import type { JwksConfig } from '../config.js'

export type KeyFinder = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>

/** @throws by the function that is returned: JOSEError if there is no such key, MeridianError INTERNAL if keys cannot be had now */
export function jwksKeys(options: JwksConfig, clock: Clock): KeyFinder {
  const remote = createRemoteJWKSet(new URL(options.url), {
    cooldownDuration: options.cooldownMs,
    // Known keys never run out by themselves; see above.
    cacheMaxAge: Number.POSITIVE_INFINITY,
    timeoutDuration: options.timeoutMs,
  })
  let lookedAt = clock.now()
  let failedAt = Number.NEGATIVE_INFINITY
  return async (header, token) => {
    const now = clock.now()
    if (now - lookedAt >= options.cacheMs && remote.jwks() !== undefined) {
      lookedAt = now
      void remote.reload().catch(() => {
        // Known keys go on; the next look comes sooner than if it had gone well.
        lookedAt = now - options.cacheMs + options.cooldownMs
      })
    }
    // While the server does not answer nobody is made to wait for it again and again.
    const isDown = now - failedAt < options.cooldownMs
    if (isDown && !holds(remote.jwks(), header.kid)) throw unavailable()
    try {
      return await remote(header, token)
    } catch (thrown) {
      if (thrown instanceof errors.JWKSNoMatchingKey || thrown instanceof errors.JWKSMultipleMatchingKeys) throw thrown
      if (thrown instanceof errors.JOSENotSupported) throw thrown
      failedAt = now
      throw unavailable()
    }
  }
}

const holds = (set: { readonly keys: readonly { readonly kid?: string }[] } | undefined, kid: string | undefined): boolean =>
  set?.keys.some((key) => kid === undefined || key.kid === kid) === true

const unavailable = (): MeridianError =>
  new MeridianError('INTERNAL', { message: 'The keys that tokens are checked with cannot be fetched now.', retry: 'backoff' })
