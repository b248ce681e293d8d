// The wire of our relays: the path names the document, each frame is one update, nothing else is said. In sync when open.

import { WebSocketClient } from '../lib/websocket.mjs'
import { opening } from '../lib/opening.mjs'

const NOTHING = new Uint8Array(0)

/** @type {import('../lib/types.mjs').Wire} */
export const wire = {
  name: 'raw',
  feedback: 'none',
  syncs: false,
  connect(options) {
    const { host, port, documents, onUpdate } = options
    if (documents.length !== 1) throw new Error('a relay carries one document a socket')
    return opening(options, (settle) => {
      let pushed = 0
      const socket = new WebSocketClient({
        host,
        port,
        path: `/${documents[0]}`,
        onOpen: () => settle.ready(connection),
        onMessage: (buffer, start, end) => onUpdate?.(0, buffer, start, end, false),
        onClose: settle.closed,
      })
      /** @type {import('../lib/types.mjs').Connection} */
      const connection = {
        push(_document, update) {
          socket.send(NOTHING, update)
          return pushed++
        },
        flush: () => socket.flush(),
        bytesIn: () => socket.bytesIn,
        close: () => socket.close(),
      }
      return connection
    })
  },
}
