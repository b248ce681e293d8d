/** A WebSocket by `ws`, as the client dials it. */

import { WebSocket } from 'ws'
import type { ClientSocket, SocketEvents } from '../world.js'

/** Milliseconds from dialling to an open socket. */
const handshakeTimeoutMs = 10_000

export function dial(url: string, events: SocketEvents): ClientSocket {
  let ended = false
  const end = (): void => {
    if (ended) return
    ended = true
    events.lost()
  }
  // No compression: payloads are small and binary, and a window a socket costs the node more than it saves.
  const socket = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: handshakeTimeoutMs })
  socket.binaryType = 'nodebuffer'
  socket.on('open', () => {
    if (!ended) events.opened()
  })
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (!ended && isBinary) events.message(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  })
  socket.on('close', end)
  // `close` follows; without a listener the process would end.
  socket.on('error', () => undefined)
  return {
    send(message) {
      if (socket.readyState === WebSocket.OPEN) socket.send(message)
    },
    close() {
      ended = true
      // A peer that does not answer the close is not waited for.
      if (socket.readyState === WebSocket.OPEN) socket.close(1000)
      else socket.terminate()
      const timer = setTimeout(() => socket.terminate(), closeTimeoutMs)
      timer.unref()
    },
  }
}

const closeTimeoutMs = 2_000
