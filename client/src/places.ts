/**
 * Which region a client talks to, and which is next. Pure, so that the choice can be made before anything is dialled (RES5). Now there is
 * one: the configured one. Redirects are remembered and will be chosen from when clients change region (CLI3).
 */

import type { Redirect } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'

export class Places {
  /** The WebSocket URL to dial. */
  readonly url: string
  /** What regions answered, the newest last. */
  redirects: readonly Redirect[] = []

  /** @param url what the app was configured with. @throws MeridianError CONFIG_INVALID */
  constructor(url: string) {
    this.url = syncUrl(url)
  }
}

/** `http://host:port` as `ws://host:port/v1/sync`; `ws:` and `wss:` pass. @throws MeridianError CONFIG_INVALID */
export function syncUrl(url: string): string {
  const match = /^(?:http|ws)(s?):\/\/([^/?#\s]+)(\/[^?#\s]*)?$/.exec(url)
  if (match === null) throw new MeridianError('CONFIG_INVALID', { message: 'url is http(s)://host[:port][/path] or ws(s)://….' })
  return `ws${match[1] ?? ''}://${match[2] ?? ''}${(match[3] ?? '').replace(/\/+$/, '')}/v1/sync`
}
