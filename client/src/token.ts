/**
 * What a client reads of its own token, a JWT: whose tenant it is and when it ends. Nothing is verified here, that is the node's to do.
 */

import { decodeUtf8 } from 'lib0/string'

export interface Claims {
  readonly tenant: string | undefined
  readonly subject: string | undefined
  /** Milliseconds since 1970; undefined if the token does not end. */
  readonly expiresAtMs: number | undefined
}

const noClaims: Claims = { tenant: undefined, subject: undefined, expiresAtMs: undefined }

/** A token that is no JWT has no claims; the node will say what is wrong with it. */
export function readClaims(token: string): Claims {
  const body = token.split('.')[1]
  if (body === undefined) return noClaims
  try {
    const claims: unknown = JSON.parse(decodeUtf8(fromBase64Url(body)))
    if (typeof claims !== 'object' || claims === null) return noClaims
    const tenant = 'tenant' in claims && typeof claims.tenant === 'string' ? claims.tenant : undefined
    const subject = 'sub' in claims && typeof claims.sub === 'string' ? claims.sub : undefined
    const expiresAtMs = 'exp' in claims && typeof claims.exp === 'number' ? claims.exp * 1000 : undefined
    return { tenant, subject, expiresAtMs }
  } catch {
    return noClaims
  }
}

/** Never sooner than this after the last one, whatever the device's clock says. */
const refreshLeastMs = 30_000

/**
 * Milliseconds from now to the moment to ask for the next token: at two thirds to nine tenths of what is left, by chance, so that the
 * clients of an app do not all ask in the minute before the same hour.
 */
export function refreshDelayMs(expiresAtMs: number, nowMs: number, chance: number): number {
  return Math.max(refreshLeastMs, (expiresAtMs - nowMs) * (2 / 3 + chance * (9 / 10 - 2 / 3)))
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function fromBase64Url(text: string): Uint8Array {
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const character of text.replace(/=+$/, '')) {
    const digit = alphabet.indexOf(character === '+' ? '-' : character === '/' ? '_' : character)
    if (digit < 0) throw new SyntaxError('not base64url')
    value = ((value << 6) | digit) & 0xffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes.push((value >> bits) & 0xff)
    }
  }
  return Uint8Array.from(bytes)
}
