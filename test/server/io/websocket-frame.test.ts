import { frameBinary } from '@meridian/server/io/websocket-frame'
import { describe, expect, it } from 'vitest'

describe('frameBinary', () => {
  it.each([
    [0, '8200'],
    [1, '8201'],
    [125, '827d'],
    [126, '827e007e'],
    [65_535, '827effff'],
    [65_536, '827f0000000000010000'],
    [16_777_217, '827f0000000001000001'],
  ])('puts the header of %i bytes in front, in the shortest form (RFC 6455, 5.2)', (length, header) => {
    const payload = new Uint8Array(length).fill(7)
    const frame = frameBinary(payload)
    expect(frame.subarray(0, header.length / 2).toString('hex')).toBe(header)
    expect(frame.subarray(header.length / 2).equals(payload)).toBe(true)
  })
})
