/** The WebSocket frame around one binary message of a server: final, not masked, not compressed (RFC 6455, section 5.2). [hot] */

const finalBinary = 0x82

export function frameBinary(payload: Uint8Array): Buffer {
  const { length } = payload
  if (length < 126) {
    const frame = Buffer.allocUnsafe(2 + length)
    frame[0] = finalBinary
    frame[1] = length
    frame.set(payload, 2)
    return frame
  }
  if (length < 65_536) {
    const frame = Buffer.allocUnsafe(4 + length)
    frame[0] = finalBinary
    frame[1] = 126
    frame[2] = length >> 8
    frame[3] = length & 255
    frame.set(payload, 4)
    return frame
  }
  const frame = Buffer.allocUnsafe(10 + length)
  frame[0] = finalBinary
  frame[1] = 127
  frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2)
  frame.writeUInt32BE(length % 2 ** 32, 6)
  frame.set(payload, 10)
  return frame
}

/** Several messages, each in its frame, as one write. */
export function frameMessages(messages: readonly Uint8Array[]): Buffer {
  const [only] = messages
  if (only !== undefined && messages.length === 1) return frameBinary(only)
  return Buffer.concat(messages.map(frameBinary))
}
