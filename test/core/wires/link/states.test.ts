/** States of documents on their way to a region that joins: a stream that may be cut anywhere. */

import { MeridianError } from '@meridian/core/errors'
import { toHybridTime } from '@meridian/core/hybrid-time'
import { parseDocument, parseGroup, parseReplica } from '@meridian/core/ids'
import type { DocumentState } from '@meridian/core/log'
import { toChain } from '@meridian/core/version'
import { encodeState, StateReader } from '@meridian/core/wires/link/states'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'

const group = parseGroup('acme/default')
const east = parseReplica('us-east#3.00000000000000aa')
const version = { floors: new Map(), sequences: new Map([[east, 7]]) }

const stateOf = (index: number, bytes: number, entryCount: number): DocumentState => {
  const document = parseDocument(`acme/notes/${index}`)
  return {
    ...{ document, engine: 'yjs', life: 1, ended: false, version },
    snapshot: bytes === 0 ? undefined : { version, state: { bytes: new Uint8Array(bytes).fill(index), index: Uint8Array.of(1) } },
    entries: Array.from({ length: entryCount }, (_, at) => ({
      ...({ group, document, engine: 'yjs', life: 1, kind: 'update', epoch: 0, replica: east } as const),
      ...{ sequence: at + 1, chain: toChain(9n), time: toHybridTime(1024), payload: Uint8Array.of(at) },
    })),
  }
}

test('[LINK6] given states of any size, when their bytes come in pieces of any size, then each is read as it was', () => {
  const states = fc.array(fc.tuple(fc.nat(400), fc.nat(4)), { maxLength: 6 })
  fc.assert(
    fc.property(states, fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 }), (sizes, pieces) => {
      const all = sizes.map(([bytes, count], index) => stateOf(index, bytes, count))
      const stream = Buffer.concat(all.map(encodeState))
      const reader = new StateReader(group)
      const got: DocumentState[] = []
      let bytes = 0
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const piece = stream.subarray(at, at + (pieces[turn % pieces.length] ?? 1))
        at += piece.length
        for (const taken of reader.receive(new Uint8Array(piece))) {
          got.push(taken.state)
          bytes += taken.bytes
        }
        expect(bytes + reader.heldBytes).toBe(at)
      }
      expect(got).toEqual(all)
      expect(reader.heldBytes).toBe(0)
    }),
    { numRuns: 300 },
  )
})

test('[SES3] given a length that nothing has, when it comes, then it is refused before anything is kept for it', () => {
  const reader = new StateReader(group)
  expect(() => reader.receive(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 1))).toThrow(MeridianError)
})
