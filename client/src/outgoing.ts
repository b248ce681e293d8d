/**
 * Frames that wait for the end of a turn, and the messages that they become (PROTOCOL.md, FRAME rules): as few as fit, large frames as
 * fragments, and before the welcome no more than a node takes from whom it does not know yet.
 */

import { concat } from '@meridian/core/bytes'
import { fragments } from '@meridian/core/wires/native/frame'

/** Bytes that may go out before the welcome; the node takes 64 KiB. */
export const greetingBytesMax = 48 * 1024

export class Outgoing {
  #frames: Uint8Array[] = []
  #greetingBytes = 0

  push(frame: Uint8Array): void {
    this.#frames.push(frame)
  }

  /** A new connection, or none. */
  clear(): void {
    this.#frames = []
    this.#greetingBytes = 0
  }

  /** What can go before the welcome; the rest follows it, in order. */
  takeGreeting(): Uint8Array[] {
    let count = 0
    for (const frame of this.#frames) {
      if (this.#greetingBytes > 0 && this.#greetingBytes + frame.length > greetingBytesMax) break
      this.#greetingBytes += frame.length
      count++
    }
    return toMessages(this.#frames.splice(0, count), greetingBytesMax)
  }

  take(messageBytesMax: number): Uint8Array[] {
    if (this.#frames.length === 0) return []
    const frames = this.#frames
    this.#frames = []
    return toMessages(frames, messageBytesMax)
  }
}

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
    for (const piece of fragments(frame, messageBytesMax)) {
      if (bytes + piece.length > messageBytesMax) end()
      parts.push(piece)
      bytes += piece.length
    }
  }
  end()
  return messages
}
