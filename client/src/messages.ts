/** Packs frames into WebSocket messages (PROTOCOL.md, FRAME rules): as few as fit, large frames as fragments. */

import { concat } from '@meridian/core/bytes'
import { fragments } from '@meridian/core/wires/native/frame'

export function toMessages(frames: readonly Uint8Array[], messageBytesMax: number): Uint8Array[] {
  const messages: Uint8Array[] = []
  let parts: Uint8Array[] = []
  let bytes = 0
  const end = (): void => {
    const [only] = parts
    if (only !== undefined) messages.push(parts.length === 1 ? only : concat(parts))
    parts = []
    bytes = 0
  }
  for (const frame of frames) {
    for (const piece of fragments(frame)) {
      if (bytes + piece.length > messageBytesMax) end()
      parts.push(piece)
      bytes += piece.length
    }
  }
  end()
  return messages
}
