/**
 * The key pair by which a region is known to the others: Ed25519 (RFC 8032). The private key stays in a file of the node, PEM in PKCS #8; the public
 * one stands in the cluster file, 32 bytes in base64.
 */

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { MeridianError } from '@meridian/core/errors'

/** What proves a region to another. */
export interface RegionKey {
  /** As in the cluster file. */
  readonly publicKey: string
  sign(bytes: Uint8Array): Uint8Array
}

/** A new pair: the private key as PEM, the public one as it stands in the cluster file. */
export function makeRegionKey(): { readonly privatePem: string; readonly publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), publicKey: encodePublic(publicKey) }
}

/** @throws MeridianError CONFIG_INVALID if it is no private key for Ed25519; no part of it stands in the message */
export function readRegionKey(pem: string): RegionKey {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    throw notUsable()
  }
  if (key.asymmetricKeyType !== 'ed25519') throw notUsable()
  return { publicKey: encodePublic(createPublicKey(key)), sign: (bytes) => sign(null, bytes, key) }
}

/** Whether the region with this public key made the signature. */
export function isSignedBy(publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey, 'base64').toString('base64url') },
    format: 'jwk',
  })
  return verify(null, bytes, key, signature)
}

const encodePublic = (key: KeyObject): string =>
  Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url').toString('base64')

const notUsable = (): MeridianError =>
  new MeridianError('CONFIG_INVALID', {
    message: 'cluster.keyFile has to be the PEM file of an Ed25519 private key; `meridian keys` makes one.',
  })
