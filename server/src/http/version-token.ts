/** Versions as they stand in headers, queries and events: the bytes of PROTOCOL.md, Versions, in base64url. Opaque to clients. */

import { MeridianError } from '@meridian/core/errors'
import { decodeVersion, encodeVersion, type Version } from '@meridian/core/version'

/** Above it a version would not fit the headers that carry it. */
const tokenLengthMax = 8_192

export const versionToken = (version: Version): string => Buffer.from(encodeVersion(version)).toString('base64url')

/** @throws MeridianError FRAME_INVALID */
export function parseVersionToken(text: string): Version {
  if (text.length > tokenLengthMax || !/^[A-Za-z0-9_-]*$/.test(text))
    throw new MeridianError('FRAME_INVALID', { message: 'A version is what this node gave as one, unchanged.' })
  return decodeVersion(new Uint8Array(Buffer.from(text, 'base64url')))
}
