import { createForwarding } from '@meridian/server/http/forwarded'
import { describe, expect, it } from 'vitest'
import { configOf } from '../support/running-node.js'

const clientOf = createForwarding({
  trustedProxies: ['10.0.0.0/8', '192.168.1.1', 'fd00::/8'],
  countryHeader: 'CF-IPCountry',
})
const ask = (address: string, forwardedFor?: string, forwardedProto?: string, isEncrypted = false) => {
  const { address: found, isSecure } = clientOf({ address, isEncrypted, forwardedFor, forwardedProto })
  return `${found} ${isSecure ? 'https' : 'http'}`
}

describe('whose request it is', () => {
  it.each([
    ['nobody in between', ask('203.0.113.5'), '203.0.113.5 http'],
    ['TLS on the node', ask('203.0.113.5', undefined, undefined, true), '203.0.113.5 https'],
    ['a stranger who says that he is a proxy', ask('203.0.113.5', '1.2.3.4', 'https'), '203.0.113.5 http'],
    ['a proxy', ask('10.1.1.1', '1.2.3.4', 'https'), '1.2.3.4 https'],
    ['a proxy on a socket of both families', ask('::ffff:10.1.1.1', '1.2.3.4', 'http'), '1.2.3.4 http'],
    ['two proxies', ask('192.168.1.1', '1.2.3.4, 10.9.9.9', 'https'), '1.2.3.4 https'],
    ['a client who wrote a header before', ask('10.1.1.1', '127.0.0.1, 1.2.3.4', 'http, https'), '1.2.3.4 https'],
    ['a proxy that says nothing', ask('10.1.1.1'), '10.1.1.1 http'],
    ['nonsense', ask('10.1.1.1', 'unknown, <script>', 'gopher'), '10.1.1.1 http'],
    ['addresses with ports', ask('fd00::1', '[2001:db8::1]:443', 'https'), '2001:db8::1 https'],
    ['an IPv4 address with its port', ask('10.1.1.1', '1.2.3.4:5678'), '1.2.3.4 http'],
    ['only proxies', ask('10.1.1.1', '10.2.2.2'), '10.2.2.2 http'],
  ])('given %s', (_name, found, expected) => {
    expect(found).toBe(expected)
  })

  it.each([
    ['a stranger who says where he is', '203.0.113.5', 'FR', undefined],
    ['a proxy that says where the client is', '10.1.1.1', 'fr ', 'FR'],
    ['a proxy that does not know', '10.1.1.1', 'T1', 'T1'],
    ['a proxy that says nothing', '10.1.1.1', undefined, undefined],
    ['a proxy that sends an empty header', '10.1.1.1', '', undefined],
    ['two values of one header', '10.1.1.1', 'FR, US', 'FR, US'],
  ])('[RES2] given %s, then a country is attested by trusted proxies only', (_name, address, said, expected) => {
    const asking = { address, isEncrypted: false, forwardedFor: undefined, forwardedProto: undefined }
    const headers = new Map([['cf-ipcountry', said]])
    expect(clientOf({ ...asking, header: (name) => headers.get(name) }).country).toBe(expected)
    const silent = createForwarding({ trustedProxies: ['10.0.0.0/8'], countryHeader: undefined })
    expect(silent({ ...asking, header: (name) => headers.get(name) }).country).toBeUndefined()
  })

  it.each(['10.0.0.0/33', 'proxy.example', '10.0.0.1/8/8', 'fd00::/129', '10.0.0.1/x'])('refuses %s for a proxy', (entry) => {
    expect(() => configOf({ dev: true, trustedProxies: entry })).toThrow(/trustedProxies/)
  })
})
