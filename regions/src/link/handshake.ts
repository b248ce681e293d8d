/**
 * How two regions come to know that they speak with one another, before the first frame of a link. Each signs, with the key of its region, both
 * names and a fresh number of either side; so neither a recording of an earlier handshake nor an answer that is sent back proves anything.
 *
 * ```
 *   dialer ── greeting: who I am, whom I want, number ──▶ acceptor
 *          ◀─ answer: who I am, number, signature ──────
 *          ── proof: signature ─────────────────────────▶          then both speak frames (core/wires/link)
 * ```
 *
 * - RES2 A region is what the cluster file says, and never what it says of itself: name, jurisdiction and key must be those of the file, and the
 *   file must have a link between the two. Whatever is not so is refused, with what to do about it.
 * - Under TLS outside of this machine: the signatures prove regions, TLS keeps bytes.
 *
 * Pure: signing and numbers are handed in.
 */

import { MeridianError } from '@meridian/core/errors'
import type { RegionId } from '@meridian/core/ids'
import type { Greeting, Self } from '@meridian/core/wires/link/handshake'
import {
  decodeAnswer,
  decodeGreeting,
  decodeProof,
  encodeAnswer,
  encodeGreeting,
  transcript,
} from '@meridian/core/wires/link/handshake'
import { areLinked, isPlace, type Region, type Topology } from '../topology.js'

export interface HandshakeEffects {
  readonly here: RegionId
  /** As the cluster file is now. */
  topology(): Topology
  /** 32 random bytes. */
  nonce(): Uint8Array
  sign(bytes: Uint8Array): Uint8Array
  isSignedBy(publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean
}

/** The side that connects. */
export class Dialer {
  readonly #effects: HandshakeEffects
  readonly #peer: Region
  readonly #self: Self

  constructor(effects: HandshakeEffects, peer: Region) {
    this.#effects = effects
    this.#peer = peer
    this.#self = selfOf(effects)
  }

  /** The first message. */
  greeting(): Uint8Array {
    return encodeGreeting(this.#peer.name, this.#self)
  }

  /** The last message, once the other side has proved itself. @throws MeridianError LINK_REFUSED, FRAME_INVALID */
  receive(answer: Uint8Array): Uint8Array {
    const { self, signature } = decodeAnswer(answer)
    if (self.region !== this.#peer.name)
      throw refused(`The address of ${this.#peer.name} is answered by another region; correct the address in the cluster file.`)
    checkPeer(this.#effects, self)
    if (!this.#effects.isSignedBy(this.#peer.publicKey, transcript('accept', this.#self, self), signature))
      throw wrongKey(self.region)
    return this.#effects.sign(transcript('dial', this.#self, self))
  }
}

/** The side that is connected to. */
export class Acceptor {
  readonly #effects: HandshakeEffects
  readonly #self: Self
  #greeted: Self | undefined

  constructor(effects: HandshakeEffects) {
    this.#effects = effects
    this.#self = selfOf(effects)
  }

  /** The answer to a greeting, or the region at the other end once it has proved itself. @throws MeridianError LINK_REFUSED, FRAME_INVALID */
  receive(
    message: Uint8Array,
  ): { readonly kind: 'answer'; readonly bytes: Uint8Array } | { readonly kind: 'proved'; readonly peer: RegionId } {
    const greeted = this.#greeted
    if (greeted === undefined) return { kind: 'answer', bytes: this.#answer(decodeGreeting(message)) }
    const signature = decodeProof(message)
    const peer = checkPeer(this.#effects, greeted)
    if (!this.#effects.isSignedBy(peer.publicKey, transcript('dial', greeted, this.#self), signature)) throw wrongKey(peer.name)
    return { kind: 'proved', peer: peer.name }
  }

  #answer({ protocol, wanted, self }: Greeting): Uint8Array {
    if (protocol < 1) throw new MeridianError('PROTOCOL_UNSUPPORTED', { message: 'The other region speaks no version of links.' })
    const { here } = this.#effects
    if (wanted !== here) throw refused(`This is ${here}, not ${wanted}; correct the address in the cluster file.`)
    checkPeer(this.#effects, self)
    this.#greeted = self
    return encodeAnswer({ self: this.#self, signature: this.#effects.sign(transcript('accept', self, this.#self)) })
  }
}

function selfOf({ here, topology, nonce }: HandshakeEffects): Self {
  const own = topology().regions.get(here)
  if (own === undefined) throw refused(`The cluster file has no region ${here}.`)
  return { region: here, jurisdiction: own.jurisdiction, nonce: nonce() }
}

/** RES2. A stranger is told no more than that it is one. */
function checkPeer({ here, topology }: HandshakeEffects, self: Self): Region {
  const file = topology()
  const region = file.regions.get(self.region)
  if (region === undefined)
    throw refused('The region is not in the cluster file; add it there, in every region, before it is started.')
  if (!isPlace(region)) throw refused(`The cluster file says that ${region.name} is ${region.state}; it holds nothing any more.`)
  if (region.jurisdiction !== self.jurisdiction)
    throw refused(`${region.name} says that it is elsewhere than the cluster file says; give both regions the same file.`)
  if (!areLinked(file, here, self.region))
    throw refused(`The cluster file leaves out the link between ${here} and ${region.name}; give both regions the same file.`)
  return region
}

const refused = (message: string): MeridianError => new MeridianError('LINK_REFUSED', { message })

const wrongKey = (region: RegionId): MeridianError =>
  refused(`${region} did not prove itself with the key that the cluster file has for it.`)
