// The wire of y-websocket: one document a socket, named by the path; lib0 messages `0` sync, `1` awareness.
// y-websocket's own server sends an update back to its own writer too, which is all the feedback there is.

import { readVarUint, read, varUint } from '../lib/varint.mjs'
import { WebSocketClient } from '../lib/websocket.mjs'
import { EMPTY, opening } from '../lib/opening.mjs'

const SYNC1 = Buffer.from([0, 0])
const SYNC2 = Buffer.from([0, 1])
const UPDATE = Buffer.from([0, 2])

/**
 * @param {string} name
 * @param {string} prefix what a server puts before the name of the room, as a user of the provider writes it into the address.
 * @param {import('../lib/types.mjs').Wire['feedback']} feedback whether this server sends a writer its own updates back.
 * @returns {import('../lib/types.mjs').Wire}
 */
export const yWebsocketWire = (name, prefix, feedback) => ({
  name,
  feedback,
  syncs: true,
  connect(options) {
    const { host, port, documents, sync = EMPTY, onUpdate } = options
    if (documents.length !== 1) throw new Error('y-websocket carries one document a socket')
    return opening(options, (settle) => {
      let pushed = 0
      /** Heads by update length, so that none is built per push. @type {Uint8Array[]} */
      const heads = []
      const socket = new WebSocketClient({
        host,
        port,
        path: `${prefix}/${documents[0]}`,
        onOpen() {
          socket.send(Buffer.concat([SYNC1, varUint(sync.stateVector.length)]), sync.stateVector)
          socket.flush()
        },
        onMessage(buffer, start) {
          if (buffer[start] !== 0) return
          const kind = buffer[start + 1]
          const at = readVarUint(buffer, start + 2)
          const end = at + read.value
          if (kind === 2) {
            onUpdate?.(0, buffer, at, end, false)
          } else if (kind === 1) {
            onUpdate?.(0, buffer, at, end, true)
            settle.ready(connection)
          } else {
            const answer = sync.answer(buffer.subarray(at, end))
            socket.send(Buffer.concat([SYNC2, varUint(answer.length)]), answer)
            socket.flush()
          }
        },
        onClose: settle.closed,
      })
      /** @type {import('../lib/types.mjs').Connection} */
      const connection = {
        push(_document, update) {
          const head = (heads[update.length] ??= Buffer.concat([UPDATE, varUint(update.length)]))
          socket.send(head, update)
          return pushed++
        },
        flush: () => socket.flush(),
        bytesIn: () => socket.bytesIn,
        pause: () => socket.pause(),
        resumeReading: () => socket.resume(),
        close: () => socket.close(),
      }
      return connection
    })
  },
})

export const wire = yWebsocketWire('y-websocket', '', 'echo')
