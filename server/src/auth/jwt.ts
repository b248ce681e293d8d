/**
 * JSON Web Tokens (RFC 7519) by jose, with one algorithm pinned (RFC 8725, 3.1) and one key, or the keys of a JWKS URL.
 *
 * Claims: `sub`, `tenant`, `exp`, `docs: [{ match: 'notes/*', access: 'read' | 'write' }]`; `iss` and `aud` where they are configured; and, if the
 * issuer attests it, `country`, where the subject acts from (ISO 3166-1), and `scope`, words between spaces (RFC 8693, section 4.2).
 */

import { type Clock, type Principal, scopes } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import { parseTenant } from '@meridian/core/ids'
import {
  type CryptoKey,
  errors,
  importJWK,
  importSPKI,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  type JWTVerifyGetKey,
  type KeyObject,
} from 'jose'
import { z } from 'zod'
import type { TokenConfig } from '../config.js'
import type { Authenticator } from './authenticator.js'
import { jwksKeys, type KeyFinder } from './jwks.js'

/** Bounds of what a token may make every decision cost. */
const grantsMax = 1_000
const matchLengthMax = 600
const scopeLengthMax = 4_096

const claimsSchema = z.object({
  sub: z.string().min(1).max(256),
  tenant: z.string(),
  exp: z.number().positive(),
  docs: z.array(z.object({ match: z.string().min(1).max(matchLengthMax), access: z.enum(['read', 'write']) })).max(grantsMax),
  country: z
    .string()
    .regex(/^[A-Z]{2}$/)
    .optional(),
  scope: z.string().max(scopeLengthMax).optional(),
})

/** RSA keys below this can be factored. */
const modulusBitsMin = 2048

/** @throws MeridianError CONFIG_INVALID if the key is none of its algorithm. */
export async function jwtAuthenticator(config: TokenConfig, clock: Clock): Promise<Authenticator> {
  const key: JWTVerifyGetKey = config.jwks === undefined ? await oneKey(config) : safe(jwksKeys(config.jwks, clock), config)
  const options: Omit<JWTVerifyOptions, 'currentDate'> = {
    algorithms: [config.algorithm],
    clockTolerance: config.clockToleranceMs / 1000,
    requiredClaims: ['exp', 'sub'],
    ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
    ...(config.audience === undefined ? {} : { audience: config.audience }),
  }
  return {
    async authenticate(token) {
      let payload: JWTPayload
      try {
        payload = (await jwtVerify(token, key, { ...options, currentDate: new Date(clock.now()) })).payload
      } catch (thrown) {
        throw refusal(thrown)
      }
      return toPrincipal(payload, config.clockToleranceMs)
    },
  }
}

async function oneKey(config: TokenConfig): Promise<JWTVerifyGetKey> {
  const key = await importKey(config)
  return () => key
}

/** A key of a set is held to what a configured one is. */
const safe =
  (keys: KeyFinder, config: TokenConfig): KeyFinder =>
  async (header, token) => {
    const key = await keys(header, token)
    if (key.type === 'public' && bitsOf(key) >= modulusBitsMin) return key
    throw new MeridianError('INTERNAL', { message: `A key of auth.jwksUrl cannot be used with ${config.algorithm}.` })
  }

/** What jose throws carries the claims, so it does not go on as a cause; its code says which check failed. */
function refusal(thrown: unknown): MeridianError {
  if (thrown instanceof MeridianError) return thrown
  if (thrown instanceof errors.JWTExpired) return new MeridianError('TOKEN_EXPIRED')
  return new MeridianError('TOKEN_INVALID', {
    message: thrown instanceof errors.JOSEError ? `The check that failed: ${reasonOf(thrown)}.` : '',
  })
}

function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTClaimValidationFailed) {
    // Names of claims that we ask for, never of those that the token brought.
    return ['iss', 'aud', 'exp', 'nbf', 'iat', 'sub'].includes(error.claim) ? `the claim ${error.claim}` : 'a claim'
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature'
  if (error instanceof errors.JOSEAlgNotAllowed) return 'the algorithm'
  if (error instanceof errors.JWKSNoMatchingKey) return 'the key id'
  return 'the form'
}

function toPrincipal(payload: JWTPayload, clockToleranceMs: number): Principal {
  const parsed = claimsSchema.safeParse(payload)
  if (!parsed.success) {
    const claim = parsed.error.issues[0]?.path[0]
    throw new MeridianError('TOKEN_INVALID', { message: `The claim ${String(claim)} is missing or not as PROTOCOL.md says.` })
  }
  const { sub, tenant, docs, exp, country, scope } = parsed.data
  try {
    parseTenant(tenant)
  } catch {
    throw new MeridianError('TOKEN_INVALID', { message: 'The claim tenant is no name of a tenant.' })
  }
  const words = (scope ?? '').split(' ')
  // Scopes of other services may stand beside ours.
  const granted = scopes.filter((one) => words.includes(one))
  return {
    subject: sub,
    tenant,
    grants: docs,
    expiresAt: exp * 1000 + clockToleranceMs,
    ...(country === undefined ? {} : { country }),
    ...(granted.length === 0 ? {} : { scopes: granted }),
  }
}

async function importKey(config: TokenConfig): Promise<CryptoKey | KeyObject | Uint8Array> {
  if (config.algorithm === 'HS256') return new TextEncoder().encode(config.key)
  let key: CryptoKey | Uint8Array
  try {
    const text = config.key.trim()
    key = text.startsWith('{') ? await importJWK(JSON.parse(text), config.algorithm) : await importSPKI(text, config.algorithm)
  } catch {
    throw unusable(config, 'it is neither PEM (SPKI) nor JWK of a key for it')
  }
  if (key instanceof Uint8Array || key.type !== 'public') throw unusable(config, 'it is no public key')
  if (bitsOf(key) < modulusBitsMin) throw unusable(config, `it is shorter than ${modulusBitsMin} bits`)
  return key
}

/** Of the modulus of an RSA key; other kinds have one size for each algorithm. */
function bitsOf(key: CryptoKey | KeyObject): number {
  const length: unknown = 'algorithm' in key && 'modulusLength' in key.algorithm ? key.algorithm.modulusLength : undefined
  return typeof length === 'number' ? length : Number.POSITIVE_INFINITY
}

const unusable = (config: TokenConfig, why: string): MeridianError =>
  new MeridianError('CONFIG_INVALID', { message: `auth.publicKey cannot be used with ${config.algorithm}: ${why}.` })
