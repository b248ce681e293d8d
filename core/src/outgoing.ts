/** Bytes on their way to sockets. One `Outgoing` may go to thousands of sessions of one wire. */

import { concat } from './bytes.js'

export class Outgoing {
  /** WebSocket messages, which go in one write. */
  readonly messages: readonly Uint8Array[]
  /** The frames that the messages hold, if those are several in one. */
  readonly frames: readonly Uint8Array[] | undefined
  /** Bytes of all messages. */
  readonly length: number
  /** Where a gateway keeps the bytes with its transport's headers, in as few parts as it likes, made once for all receivers. */
  framed: readonly Uint8Array[] | undefined
  /** The same in messages of a size for those who take it bit by bit, made once for all receivers. */
  pieces: readonly Outgoing[] | undefined

  constructor(messages: readonly Uint8Array[], frames?: readonly Uint8Array[]) {
    this.messages = messages
    this.frames = frames
    let length = 0
    for (const message of messages) length += message.length
    this.length = length
    this.framed = undefined
    this.pieces = undefined
  }

  /** The messages behind one another. */
  get bytes(): Uint8Array {
    const [only] = this.messages
    return only !== undefined && this.messages.length === 1 ? only : concat(this.messages)
  }
}

export const outgoing = (message: Uint8Array): Outgoing => new Outgoing([message])
