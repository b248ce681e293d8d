import { frameMessages } from '@meridian/server/io/websocket-frame'
import { describe, expect, it } from 'vitest'

const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)

describe('frameMessages', () => {
  it.each([
    [0, '8200'],
    [1, '8201'],
    [125, '827d'],
    [126, '827e007e'],
    [65_535, '827effff'],
    [65_536, '827f0000000000010000'],
    [16_777_217, '827f0000000001000001'],
  ])('puts the header of %i bytes in front, in the shortest form (RFC 6455, 5.2)', (length, header) => {
    const payload = filled(length, 7)
    const frame = Buffer.concat(frameMessages([payload]))
    expect(frame.subarray(0, header.length / 2).toString('hex')).toBe(header)
    expect(frame.subarray(header.length / 2).equals(payload)).toBe(true)
  })

  it.each([
    [[3], 1],
    [[3, 200, 4_095], 1],
    [[4_096], 2],
    [[3, 70_000, 5], 3],
    [[70_000, 80_000], 4],
  ])('makes messages of %j bytes %i parts, of which large ones are not copied', (lengths, count) => {
    const messages = lengths.map((length, index) => filled(length, index + 1))
    const parts = frameMessages(messages)
    expect(parts).toHaveLength(count)
    for (const message of messages) expect(parts.includes(message)).toBe(message.length >= 4_096)
    expect(Buffer.concat(parts).equals(Buffer.concat(messages.flatMap((message) => frameMessages([message]))))).toBe(true)
  })
})
