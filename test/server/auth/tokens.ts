/** JSON Web Tokens signed by node:crypto alone: an oracle beside the library that checks them. */

import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export interface Signer {
  readonly algorithm: string
  sign(input: Buffer): Buffer
}

export type PublicKeyAlgorithm = 'ES256' | 'RS256' | 'EdDSA'

export interface KeyPair {
  readonly signer: Signer
  readonly spki: string
  readonly jwk: string
  readonly pkcs8: string
}

export const hmac = (key: string | Buffer, algorithm: 'HS256' | 'HS512' = 'HS256'): Signer => ({
  algorithm,
  sign: (input) =>
    createHmac(algorithm === 'HS256' ? 'sha256' : 'sha512', key)
      .update(input)
      .digest(),
})

export function keyPair(algorithm: PublicKeyAlgorithm, modulusLength = 2048): KeyPair {
  const { publicKey, privateKey } = generate(algorithm, modulusLength)
  return {
    signer: {
      algorithm,
      sign: (input) =>
        sign(
          algorithm === 'EdDSA' ? null : 'sha256',
          input,
          algorithm === 'ES256' ? { key: privateKey, dsaEncoding: 'ieee-p1363' } : privateKey,
        ),
    },
    spki: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    jwk: JSON.stringify(publicKey.export({ format: 'jwk' })),
    pkcs8: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function generate(algorithm: PublicKeyAlgorithm, modulusLength: number): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength })
  return algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519')
}

/** A compact token; `undefined` claims are left out. */
export function token(
  signer: Signer,
  claims: Readonly<Record<string, unknown>>,
  header: Readonly<Record<string, unknown>> = {},
): string {
  const input = `${encode({ alg: signer.algorithm, typ: 'JWT', ...header })}.${encode(claims)}`
  return `${input}.${signer.sign(Buffer.from(input)).toString('base64url')}`
}

/** A token that says of itself that it is not signed. */
export const unsigned = (claims: Readonly<Record<string, unknown>>): string => `${encode({ alg: 'none' })}.${encode(claims)}.`

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
