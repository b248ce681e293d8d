/** The WebSocket frame around one binary message of a server: final, not masked, not compressed (RFC 6455, section 5.2). [hot] */

const finalBinary = 0x82
const headerBytesMax = 10

/** Messages from this size on are not copied to be behind their headers: the kernel gathers them. */
const apartBytes = 4_096

/** Writes the header of a message and returns the offset after it. */
function putHeader(target: Buffer, offset: number, length: number): number {
  target[offset] = finalBinary
  if (length < 126) {
    target[offset + 1] = length
    return offset + 2
  }
  if (length < 65_536) {
    target[offset + 1] = 126
    return target.writeUInt16BE(length, offset + 2)
  }
  target[offset + 1] = 127
  target.writeUInt32BE(Math.floor(length / 2 ** 32), offset + 2)
  return target.writeUInt32BE(length % 2 ** 32, offset + 6)
}

/** Several messages, each in its frame, in few parts that go in one write. */
export function frameMessages(messages: readonly Uint8Array[]): readonly Uint8Array[] {
  const [only] = messages
  if (only !== undefined && messages.length === 1 && only.length < apartBytes) {
    const frame = Buffer.allocUnsafe(only.length < 126 ? 2 + only.length : 4 + only.length)
    frame.set(only, putHeader(frame, 0, only.length))
    return [frame]
  }
  const parts: Uint8Array[] = []
  for (let from = 0; from < messages.length; ) {
    let copied = 0
    let to = from
    let large: Uint8Array | undefined
    while (large === undefined && to < messages.length) {
      const message = messages[to++]
      if (message === undefined) break
      if (message.length >= apartBytes) large = message
      copied += headerBytesMax + (large === undefined ? message.length : 0)
    }
    const part = Buffer.allocUnsafe(copied)
    let offset = 0
    for (const message of messages.slice(from, to)) {
      offset = putHeader(part, offset, message.length)
      if (message === large) break
      part.set(message, offset)
      offset += message.length
    }
    parts.push(part.subarray(0, offset))
    if (large !== undefined) parts.push(large)
    from = to
  }
  return parts
}
