/** The addresses that an app configures a client with. */

import { MeridianError } from '@meridian/core/errors'

/** `http://host:port` as `ws://host:port/v1/sync`; `ws:` and `wss:` pass. @throws MeridianError CONFIG_INVALID */
export function syncUrl(url: string): string {
  const match = /^(?:http|ws)(s?):\/\/([^/?#\s]+)(\/[^?#\s]*)?$/.exec(url)
  if (match === null) throw new MeridianError('CONFIG_INVALID', { message: 'url is http(s)://host[:port][/path] or ws(s)://….' })
  const path = (match[3] ?? '').replace(/\/+$/, '').replace(/\/v1\/sync$/, '')
  return `ws${match[1] ?? ''}://${match[2] ?? ''}${path}/v1/sync`
}

/** Each once, the one that the app likes best first. @throws MeridianError CONFIG_INVALID */
export function syncUrls(urls: string | readonly string[]): readonly string[] {
  const found = new Set((typeof urls === 'string' ? [urls] : urls).map(syncUrl))
  if (found.size === 0) throw new MeridianError('CONFIG_INVALID', { message: 'url names no node.' })
  return [...found]
}
