// The wire of the Hocuspocus provider 4.8: each frame starts with the document's name; types `0` and `4` sync, `2` auth, `8` SyncStatus,
// which answers each update and each SyncStep2 of the client, in order.

import { readVarUint, read, varUint } from '../lib/varint.mjs'
import { WebSocketClient } from '../lib/websocket.mjs'
import { EMPTY, opening } from '../lib/opening.mjs'

const VERSION = '4.8.0'
const string = (/** @type {string} */ text) => Buffer.concat([varUint(Buffer.byteLength(text)), Buffer.from(text)])

/** @type {import('../lib/types.mjs').Wire} */
export const wire = {
  name: 'hocuspocus',
  feedback: 'ack',
  syncs: true,
  connect(options) {
    const { host, port, documents, sync = EMPTY, onUpdate, onAck } = options
    return opening(options, (settle) => {
      const names = documents.map(string)
      const indexOf = new Map(documents.map((name, index) => [name, index]))
      /** By document and update length: name, type, kind, length. @type {Uint8Array[][]} */
      const heads = documents.map(() => [])
      let pushed = 0
      let acked = 0
      /** SyncStatus messages still owed for our SyncStep2; they come before those of any push. */
      let answersOwed = 0
      const opened = new Set()
      const ready = () => opened.size === documents.length && answersOwed === 0 && settle.ready(connection)

      /** @param {number} document @param {Buffer} buffer @param {number} at */
      const receiveSync = (document, buffer, at) => {
        const kind = buffer[at]
        const start = readVarUint(buffer, at + 1)
        const end = start + read.value
        if (kind === 2) {
          onUpdate?.(document, buffer, start, end, false)
        } else if (kind === 1) {
          onUpdate?.(document, buffer, start, end, true)
          opened.add(document)
          ready()
        } else {
          const answer = sync.answer(buffer.subarray(start, end))
          socket.send(Buffer.concat([names[document], Buffer.from([0, 1]), varUint(answer.length)]), answer)
          socket.flush()
          answersOwed++
        }
      }

      const socket = new WebSocketClient({
        host,
        port,
        path: '/',
        onOpen() {
          for (const name of names) {
            socket.send(Buffer.concat([name, Buffer.from([2, 0])]), Buffer.concat([string(''), string(VERSION)]))
            socket.send(Buffer.concat([name, Buffer.from([0, 0]), varUint(sync.stateVector.length)]), sync.stateVector)
          }
          socket.flush()
        },
        onMessage(buffer, start) {
          const nameAt = readVarUint(buffer, start)
          const at = nameAt + read.value
          const document = documents.length === 1 ? 0 : (indexOf.get(buffer.toString('utf8', nameAt, at)) ?? 0)
          const type = buffer[at]
          if (type === 0 || type === 4) {
            receiveSync(document, buffer, at + 1)
          } else if (type === 8) {
            if (buffer[at + 1] !== 1) socket.close()
            else if (answersOwed > 0) {
              answersOwed--
              ready()
            } else {
              onAck?.(acked, acked)
              acked++
            }
          } else if (type === 2 && buffer[at + 1] === 1) {
            settle.closed('permission denied')
            socket.close()
          }
        },
        onClose: settle.closed,
      })
      /** @type {import('../lib/types.mjs').Connection} */
      const connection = {
        push(document, update) {
          const head = (heads[document][update.length] ??= Buffer.concat([
            names[document],
            Buffer.from([0, 2]),
            varUint(update.length),
          ]))
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
}
