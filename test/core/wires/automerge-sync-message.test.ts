/** Sync messages of Automerge, against the library itself. */

import * as Automerge from '@automerge/automerge'
import { bytesOfHex, hexOf } from '@meridian/core/engines/automerge-chunks'
import { MeridianError } from '@meridian/core/errors'
import { chunksOf, decodeSyncMessage, encodeSyncMessage } from '@meridian/core/wires/automerge-repo/sync-message'
import { expect, test } from 'vitest'

const nothing = new Uint8Array(0)

test('given what the library generates for a peer, when it is decoded, then heads, need, have and changes are the ones that the library reads', () => {
  let one = Automerge.from<{ text: string }>({ text: 'one' })
  let other = Automerge.init<{ text: string }>()
  let [ofOne, ofOther] = [Automerge.initSyncState(), Automerge.initSyncState()]
  let count = 0
  for (let turn = 0; turn < 6; turn++) {
    let message: Automerge.SyncMessage | null
    ;[ofOne, message] = Automerge.generateSyncMessage(one, ofOne)
    if (message !== null) {
      check(message)
      count++
      ;[other, ofOther] = Automerge.receiveSyncMessage(other, ofOther, message)
    }
    ;[ofOther, message] = Automerge.generateSyncMessage(other, ofOther)
    if (message !== null) {
      check(message)
      count++
      ;[one, ofOne] = Automerge.receiveSyncMessage(one, ofOne, message)
    }
  }
  expect(count).toBeGreaterThan(2)
  expect(other.text).toBe('one')
})

function check(message: Uint8Array): void {
  const theirs = Automerge.decodeSyncMessage(message)
  const ours = decodeSyncMessage(message)
  expect(hexOf(ours.heads)).toBe(theirs.heads.join(''))
  expect(hexOf(ours.need)).toBe(theirs.need.join(''))
  expect(ours.have.map(hexOf)).toEqual(theirs.have.map(({ lastSync }) => lastSync.join('')))
  expect(ours.changes.map(hexOf)).toEqual(theirs.changes.map((change) => hexOf(change)))
}

test('given a message of ours with changes, when the library receives it, then it has them and takes the heads for shared', () => {
  const source = Automerge.from({ text: 'of the node' })
  const heads = bytesOfHex(Automerge.getHeads(source).join(''))
  const changes = Automerge.getAllChanges(source).flatMap((change) => chunksOf(change))
  const message = encodeSyncMessage({ heads, need: nothing, have: [heads], changes })
  const [received, state] = Automerge.receiveSyncMessage(Automerge.init<{ text: string }>(), Automerge.initSyncState(), message)
  expect(received.text).toBe('of the node')
  expect(state.sharedHeads).toEqual(Automerge.getHeads(source))
})

test('given bytes that end early or count beyond their end, when they are decoded, then it throws FRAME_INVALID', () => {
  const whole = encodeSyncMessage({
    heads: new Uint8Array(32),
    need: nothing,
    have: [new Uint8Array(32)],
    changes: [new Uint8Array(9)],
  })
  for (let length = 0; length < whole.length; length++) {
    expect(() => decodeSyncMessage(whole.subarray(0, length)), `${length} bytes`).toThrow(MeridianError)
  }
  expect(() => decodeSyncMessage(new Uint8Array([0x42, 0xff, 0x7f]))).toThrow(MeridianError)
})
