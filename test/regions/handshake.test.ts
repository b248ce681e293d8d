import type { RegionId } from '@meridian/core/ids'
import { parseRegion } from '@meridian/core/ids'
import { decodeAnswer, encodeAnswer, encodeGreeting } from '@meridian/core/wires/link/handshake'
import { MeridianError } from '@meridian/core/errors'
import { Acceptor, Dialer, type HandshakeEffects } from '@meridian/regions/link/handshake'
import { parseTopology, type Region, type Topology } from '@meridian/regions/topology'
import { isSignedBy, makeRegionKey, readRegionKey, type RegionKey } from '@meridian/server/io/region-key'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const names = ['eu-west', 'us-east', 'ap-south'] as const
const keys = new Map(names.map((name) => [name as string, readRegionKey(makeRegionKey().privatePem)]))
const keyOf = (name: string): RegionKey => {
  const key = keys.get(name)
  if (key === undefined) throw new Error('a region of the test')
  return key
}
const countries: Record<string, string> = { 'eu-west': 'IE', 'us-east': 'US', 'ap-south': 'IN' }

function topologyOf(changes: Record<string, object> = {}, without: string[][] = []): Topology {
  const regions = Object.fromEntries(
    names.map((name) => [
      name,
      {
        jurisdiction: countries[name],
        operator: 'example-hosting',
        client: `wss://${name}.example.com`,
        link: `wss://${name}.example.com/v1/link`,
        publicKey: keyOf(name).publicKey,
        ...changes[name],
      },
    ]),
  )
  const outcome = parseTopology({ version: 1, regions, without })
  if (outcome.kind === 'invalid') throw new Error(JSON.stringify(outcome.findings))
  return outcome.topology
}

const cluster = topologyOf()
let count = 0
/** Counted, so that no two are equal. */
const nonce = (): Uint8Array => new Uint8Array(32).fill(++count % 256).map((byte, index) => (index === 0 ? count >>> 8 : byte))

const effects = (here: string, topology = cluster, key = keyOf(here)): HandshakeEffects => ({
  here: parseRegion(here),
  topology: () => topology,
  nonce,
  sign: (bytes) => key.sign(bytes),
  isSignedBy,
})
const regionOf = (name: string, topology = cluster): Region => {
  const region = topology.regions.get(parseRegion(name))
  if (region === undefined) throw new Error('a region of the test')
  return region
}
const dialerOf = (one: HandshakeEffects, to: string): Dialer => new Dialer(one, regionOf(to))

/** Both ends, until one of them throws. */
function shake(one: HandshakeEffects, other: HandshakeEffects, to: string = other.here): RegionId {
  const dialer = dialerOf(one, to)
  const acceptor = new Acceptor(other)
  const answer = acceptor.receive(dialer.greeting())
  if (answer.kind !== 'answer') throw new Error('an answer first')
  const proved = acceptor.receive(dialer.receive(answer.bytes))
  if (proved.kind !== 'proved') throw new Error('then a proof')
  return proved.peer
}

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (thrown) {
    if (thrown instanceof MeridianError) return `${thrown.code}: ${thrown.sentence}`
    throw thrown
  }
  return 'no error'
}

describe('the handshake of two regions', () => {
  it('[RES2] given two regions of one cluster file, when each signs with its key, then each knows the other', () => {
    expect(shake(effects('eu-west'), effects('us-east'))).toBe('eu-west')
    expect(shake(effects('us-east'), effects('eu-west'))).toBe('us-east')
  })

  it.each([
    ['a dialer with the key of another', effects('eu-west', cluster, keyOf('ap-south')), effects('us-east'), 'did not prove'],
    ['an acceptor with the key of another', effects('eu-west'), effects('us-east', cluster, keyOf('ap-south')), 'did not prove'],
    [
      'a link that the file of the acceptor leaves out',
      effects('eu-west'),
      effects('us-east', topologyOf({}, [['eu-west', 'us-east']])),
      'leaves out',
    ],
    [
      'a dialer that is elsewhere than the acceptor was told',
      effects('eu-west', topologyOf({ 'eu-west': { jurisdiction: 'RU' } })),
      effects('us-east'),
      'elsewhere',
    ],
    [
      'an acceptor that is elsewhere than the dialer was told',
      effects('eu-west'),
      effects('us-east', topologyOf({ 'us-east': { jurisdiction: 'RU' } })),
      'elsewhere',
    ],
    [
      'a dialer that was removed',
      effects('eu-west'),
      effects('us-east', topologyOf({ 'eu-west': { state: 'removed' } })),
      'removed',
    ],
  ])('[RES2] given %s, when they connect, then it is refused with what to do', (_what, one, other, why) => {
    const refusal = codeOf(() => shake(one, other))
    expect(refusal).toMatch(/^LINK_REFUSED: /)
    expect(refusal).toContain(why)
  })

  it('[RES2] given a region that is in no cluster file, when it connects, then it is refused', () => {
    const self = { region: parseRegion('nowhere'), jurisdiction: 'IE', nonce: nonce() }
    const acceptor = new Acceptor(effects('us-east'))
    expect(codeOf(() => acceptor.receive(encodeGreeting(parseRegion('us-east'), self)))).toContain('not in the cluster file')
  })

  it('[RES2] given an address that leads to another region, when somebody dials it, then it is refused', () => {
    expect(codeOf(() => shake(effects('eu-west'), effects('us-east'), 'ap-south'))).toContain('This is us-east, not ap-south')
  })

  it('given the messages of an earlier handshake, when they are sent again, then nobody is proved', () => {
    const dialer = dialerOf(effects('eu-west'), 'us-east')
    const acceptor = new Acceptor(effects('us-east'))
    const greeting = dialer.greeting()
    const answer = acceptor.receive(greeting)
    if (answer.kind !== 'answer') throw new Error('an answer first')
    const proof = dialer.receive(answer.bytes)
    expect(acceptor.receive(proof).kind).toBe('proved')

    const later = new Acceptor(effects('us-east'))
    later.receive(greeting)
    expect(codeOf(() => later.receive(proof))).toContain('did not prove')
    const other = dialerOf(effects('eu-west'), 'us-east')
    other.greeting()
    expect(codeOf(() => other.receive(answer.bytes))).toContain('did not prove')
  })

  it('given an answer whose signature is sent back as a proof, then it proves nothing', () => {
    // Whoever sits between has no key, and has both sides sign for it.
    const acceptor = new Acceptor(effects('us-east'))
    const mirror = { region: parseRegion('us-east'), jurisdiction: 'US', nonce: nonce() }
    const answer = codeOf(() => acceptor.receive(encodeGreeting(parseRegion('us-east'), mirror)))
    expect(answer).toMatch(/^LINK_REFUSED/)
    const dialer = dialerOf(effects('eu-west'), 'us-east')
    const told = new Acceptor(effects('us-east')).receive(dialer.greeting())
    if (told.kind !== 'answer') throw new Error('an answer first')
    const { self, signature } = decodeAnswer(told.bytes)
    const bent = encodeAnswer({ self: { ...self, nonce: nonce() }, signature })
    expect(codeOf(() => dialer.receive(bent))).toContain('did not prove')
  })

  it('given any bytes instead of a message, then it is a typed error and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1200 }), (bytes) => {
        expect(codeOf(() => new Acceptor(effects('us-east')).receive(bytes))).toMatch(
          /^(FRAME_INVALID|FRAME_TOO_LARGE|NAME_INVALID|LINK_REFUSED|PROTOCOL_UNSUPPORTED)/,
        )
        expect(codeOf(() => dialerOf(effects('eu-west'), 'us-east').receive(bytes))).toMatch(
          /^(FRAME_INVALID|FRAME_TOO_LARGE|NAME_INVALID|LINK_REFUSED)/,
        )
      }),
    )
  })
})
