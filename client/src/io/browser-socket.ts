/** The browser's own WebSocket, as the client dials it. */

import type { ClientSocket, SocketEvents } from '../world.js'

export function dial(url: string, events: SocketEvents): ClientSocket {
  let ended = false
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  socket.addEventListener('open', () => {
    if (!ended) events.opened()
  })
  socket.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    if (!ended && data instanceof ArrayBuffer) events.message(new Uint8Array(data))
  })
  // Follows every error, too.
  socket.addEventListener('close', () => {
    if (ended) return
    ended = true
    events.lost()
  })
  return {
    send(message) {
      // A view of shared memory is none of ours, which the types cannot know.
      if (socket.readyState === WebSocket.OPEN) socket.send(message as Uint8Array<ArrayBuffer>)
    },
    close() {
      ended = true
      socket.close()
    },
  }
}
