/** The frames that a node sent to one device, as they passed through its proxy; over all connections of the device. */

import { FrameReader } from '@meridian/core/wires/native/frame'
import type { ServerFrame } from '@meridian/core/wires/native/server-frames'
import { decodeServerFrame } from '@meridian/core/wires/native/server-frames'
import type { Connection, ProxyOptions } from './cut-proxy.js'
import type { On } from './waiting.js'
import { WebSocketStream } from './websocket-stream.js'

const limits = { messageBytesMax: 64 * 1024 * 1024, frameBytesMax: 1024 * 1024 * 1024 }

export class ServerTap {
  readonly frames: ServerFrame[] = []
  readonly #streams = new Map<Connection, WebSocketStream>()
  readonly #listeners = new Set<() => void>()

  readonly tap: NonNullable<ProxyOptions['tap']> = (bytes, connection, direction) => {
    if (direction === 'up') return
    let stream = this.#streams.get(connection)
    if (stream === undefined) {
      const reader = new FrameReader(limits, (type, body, end) => {
        const frame = decodeServerFrame(type, body, end)
        if (frame !== undefined) this.frames.push(frame)
      })
      stream = new WebSocketStream((message) => reader.receive(message))
      this.#streams.set(connection, stream)
    }
    stream.receive(bytes)
    for (const listener of this.#listeners) listener()
  }

  readonly on: On = (check) => {
    this.#listeners.add(check)
    return () => this.#listeners.delete(check)
  }

  refusals(): string[] {
    return this.frames.flatMap((frame) => (frame.type === 'refused' ? [frame.code] : []))
  }
}
