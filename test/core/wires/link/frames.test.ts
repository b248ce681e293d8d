/** Frames of links: what is written is read, and what a stranger sends is read or refused. */

import { MeridianError } from '@meridian/core/errors'
import { toHybridTime } from '@meridian/core/hybrid-time'
import { parseDocument, parseGroup, parseRegion, parseReplica } from '@meridian/core/ids'
import { toChain } from '@meridian/core/version'
import { decodeLinkFrame, encodeLinkFrame, type LinkFrame } from '@meridian/core/wires/link/frames'
import type { Held } from '@meridian/core/wires/link/held'
import { FrameReader } from '@meridian/core/wires/native/frame'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const group = parseGroup('acme/default')
const east = parseReplica('us-east#3.00000000000000aa')
const south = parseReplica('ap-south#12.00000000000000bb')
const held: Held = {
  version: {
    floors: new Map([[parseRegion('us-east'), { counter: 2, seal: toChain(5n) }]]),
    sequences: new Map([
      [east, 7],
      [south, 300],
    ]),
  },
  chains: new Map([[east, toChain(2n ** 63n + 1n)]]),
}
const entry = {
  ...({ group, document: parseDocument('acme/notes/ключ'), engine: 'yjs', life: 2, kind: 'update', epoch: 4 } as const),
  ...{
    replica: east,
    sequence: 8,
    chain: toChain(77n),
    time: toHybridTime(1_790_000_000_000 * 1024),
    payload: Uint8Array.of(1, 2, 3),
  },
}
const control = { ...entry, document: undefined, engine: undefined, life: 0, kind: 'control' as const, sequence: 9 }
const mark = { kind: 'mark' as const, sequences: new Map([[south, 301]]) }

const frames: readonly LinkFrame[] = [
  { type: 'hello', protocol: 1 },
  { type: 'digest', groupCount: 3, digest: 2n ** 64n - 1n },
  {
    ...{ type: 'start', handle: 1, group, run: 4, held, via: [parseRegion('ap-south')] },
    ...{ windowBytes: 262_144, epoch: 9, heads: 12n },
  },
  { type: 'forward', handle: 1, run: 4, via: [] },
  {
    ...{ type: 'batch', handle: 1, run: 4 },
    items: [
      mark,
      { kind: 'entry', entry },
      { kind: 'entry', entry: control },
      { kind: 'entry', entry: { ...entry, sequence: 10 } },
    ],
  },
  { type: 'ack', handle: 1, run: 4, creditBytes: 1_000_000, version: held.version },
  { type: 'heartbeat', claims: [{ group, run: 0, held }] },
  { type: 'stop', group, reason: 'residency' },
  { type: 'join', handle: 2, group, key: new Uint8Array(16).fill(7), sum: 2n ** 64n - 1n },
  {
    ...{ type: 'offer', handle: 2, held, sealed: new Map([[south, 4]]) },
    ...{ seals: new Map([['us-east#2', toChain(5n)]]), sums: [0n, 8n] },
  },
  { type: 'expand', handle: 2, level: 2, nodes: [0, 5, 1023] },
  { type: 'sums', handle: 2, sums: [1n, 2n] },
  { type: 'want', handle: 2, windowBytes: 65_536, leaves: 'all' },
  {
    ...{ type: 'want', handle: 2, windowBytes: 65_536 },
    leaves: [
      { leaf: 3, digests: [] },
      { leaf: 32_767, digests: [9n] },
    ],
  },
  { type: 'pour', handle: 2, bytes: Uint8Array.of(1, 2, 3) },
  { type: 'credit', handle: 2, bytes: 131_072 },
  { type: 'poured', handle: 2, version: held.version },
  { type: 'watch', group: parseGroup('acme/default'), document: parseDocument('acme/notes/1'), isWatched: true },
  {
    type: 'presence',
    group: parseGroup('acme/default'),
    document: parseDocument('acme/notes/1'),
    state: { session: 4_000_000_000, subject: 'ann', payload: Uint8Array.of(1, 2, 3), isHandedOver: true },
  },
]

function read(message: Uint8Array): LinkFrame[] {
  const all: LinkFrame[] = []
  const reader = new FrameReader({ messageBytesMax: 1 << 20, frameBytesMax: 1 << 20 }, (type, body, end) => {
    const frame = decodeLinkFrame(type, body, end, (handle) => (handle === 1 ? group : undefined))
    if (frame !== undefined) all.push(frame)
  })
  reader.receive(message)
  return all
}

function isReadOrRefused(bytes: Uint8Array): boolean {
  try {
    read(bytes)
    return true
  } catch (thrown) {
    return thrown instanceof MeridianError
  }
}

describe('frames of links', () => {
  test.each(frames.map((frame) => [frame.type, frame] as const))(
    'given a %s, when it is written, then it is read',
    (_type, frame) => {
      const [got] = read(encodeLinkFrame(frame))
      expect(got).toEqual(frame)
    },
  )

  test('given a batch of a stream that nobody began, when it comes, then it is refused', () => {
    expect(() => read(encodeLinkFrame({ type: 'batch', handle: 2, run: 1, items: [] }))).toThrow(MeridianError)
  })

  test('given a frame of a newer type, when it comes, then it is skipped', () => {
    expect(read(Uint8Array.of(60, 2, 1, 1, ...encodeLinkFrame({ type: 'hello', protocol: 1 })))).toEqual([
      { type: 'hello', protocol: 1 },
    ])
  })

  test('given bytes of a stranger, when they come, then they are read or refused with a MeridianError', () => {
    const damaged = fc.tuple(fc.constantFrom(...frames), fc.nat(), fc.integer({ min: 0, max: 255 })).map(([frame, at, byte]) => {
      const bytes = encodeLinkFrame(frame)
      bytes[at % bytes.length] = byte
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (bytes) => {
        expect(isReadOrRefused(bytes)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})
