/**
 * Whose request it is behind a proxy: by `X-Forwarded-For` and `X-Forwarded-Proto`, believed only of proxies that are trusted. Anybody may
 * write these headers; so they are read from the right, and no further than the first address that is no trusted proxy.
 */

import { BlockList, isIP } from 'node:net'
import type { NodeConfig } from '../config.js'

export interface Client {
  readonly address: string
  readonly isSecure: boolean
  /** What a trusted proxy says of the country that the client is in, as it says it; undefined if none does. */
  readonly country: string | undefined
}

export interface Asking {
  /** Of the other end of the socket. */
  readonly address: string | undefined
  readonly isEncrypted: boolean
  readonly forwardedFor: string | undefined
  readonly forwardedProto: string | undefined
  /** Any other header of the request, by its name in lower case. */
  header?(name: string): string | undefined
}

export function createForwarding({
  trustedProxies,
  countryHeader,
}: Pick<NodeConfig, 'trustedProxies' | 'countryHeader'>): (asking: Asking) => Client {
  const countryName = countryHeader?.toLowerCase()
  const trusted = new BlockList()
  for (const entry of trustedProxies) {
    const [address = '', bits] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(bits), family)
  }
  const isTrusted = (address: string): boolean => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return ({ address, isEncrypted, forwardedFor, forwardedProto, header }) => {
    let client = plainAddress(address ?? '')
    if (isIP(client) === 0 || !isTrusted(client)) return { address: client, isSecure: isEncrypted, country: undefined }
    for (const hop of (forwardedFor ?? '').split(',').reverse()) {
      const next = plainAddress(hop.trim())
      if (isIP(next) === 0) break
      client = next
      if (!isTrusted(next)) break
    }
    // The proxy next to us speaks last: what stands before it was said by others.
    const proto = forwardedProto?.split(',').at(-1)?.trim().toLowerCase()
    // What is no country is not taken for silence: it is a place that nobody knows, and closed where a policy restricts access.
    const country = countryName === undefined ? undefined : header?.(countryName)?.trim().toUpperCase().slice(0, 8)
    return {
      address: client,
      isSecure: proto === undefined ? isEncrypted : proto === 'https' || proto === 'wss',
      country: country === '' ? undefined : country,
    }
  }
}

/** An IPv4 address as a socket of both families writes it, and one in brackets or with a port as some proxies do. */
function plainAddress(text: string): string {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text
  return bare.toLowerCase().startsWith('::ffff:') && isIP(bare.slice(7)) === 4 ? bare.slice(7) : bare
}
