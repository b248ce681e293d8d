// Meridian's native wire (PROTOCOL.md): all documents on one socket, acks by counter and group, resume by version.

import { createDecoder } from 'lib0/decoding'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { decodeServerFrame } from '@meridian/core/wires/native/server-frames'
import { decodeVersion, emptyVersion, encodeVersion, include, merge, mutableVersion } from '@meridian/core/version'
import { readVarUint, read, varUint } from '../lib/varint.mjs'
import { WebSocketClient } from '../lib/websocket.mjs'
import { opening } from '../lib/opening.mjs'

const PUSH = 6
const UPDATE = 6
const ACK = 8
const FRAGMENT = 63

const random = () => Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join('')

/** @type {import('../lib/types.mjs').Wire} */
export const wire = {
  name: 'native',
  feedback: 'ack',
  syncs: true,
  connect(options) {
    const { host, port, documents, resume, onUpdate, onAck } = options
    return opening(options, (settle) => {
      /** A version a document, encoded, as an earlier connection left it. */
      const held = /** @type {Uint8Array[] | undefined} */ (resume)
      const cursors = documents.map((_, index) => mutableVersion(held?.[index] ? decodeVersion(held[index]) : emptyVersion))
      /** Document by the node's handle. @type {Map<number, number>} */
      const byHandle = new Map()
      /** @type {import('@meridian/core/ids').ReplicaId[]} */
      const replicas = []
      const current = new Set()
      let pushed = 0
      let acked = 0
      /** @type {{ pieces: Uint8Array[], received: number } | undefined} */
      let partial

      /** @param {Uint8Array} buffer @param {number} type @param {number} start @param {number} end */
      const slow = (buffer, type, start, end) => {
        const decoder = createDecoder(buffer)
        decoder.pos = start
        const frame = decodeServerFrame(type, decoder, end)
        if (frame === undefined) return
        if (frame.type === 'attached') byHandle.set(frame.handle, frame.channel)
        else if (frame.type === 'replicas') replicas.push(...frame.ids)
        else if (frame.type === 'state') {
          const document = byHandle.get(frame.handle) ?? 0
          const at = frame.payload.byteOffset - buffer.byteOffset
          onUpdate?.(document, buffer, at, at + frame.payload.length, !current.has(document))
        } else if (frame.type === 'current') {
          const document = byHandle.get(frame.handle) ?? 0
          merge(cursors[document], frame.version)
          current.add(document)
          if (current.size === documents.length) settle.ready(connection)
        } else if (frame.type === 'goodbye' || frame.type === 'denied' || frame.type === 'refused') {
          settle.closed(`${frame.type}: ${frame.text}`)
          socket.close()
        }
      }

      /** @param {Uint8Array} buffer @param {number} from @param {number} to */
      const receive = (buffer, from, to) => {
        let at = from
        while (at < to) {
          const type = readVarUint(buffer, at)
          const kind = read.value
          const start = readVarUint(buffer, type)
          const end = start + read.value
          at = end
          if (kind === UPDATE) {
            let body = readVarUint(buffer, start)
            const document = byHandle.get(read.value) ?? 0
            body = readVarUint(buffer, body)
            const replica = read.value
            body = readVarUint(buffer, body)
            if (!current.has(document)) {
              onUpdate?.(document, buffer, body, end, true)
            } else {
              include(cursors[document], replicas[replica], read.value)
              onUpdate?.(document, buffer, body, end, false)
            }
          } else if (kind === ACK) {
            let body = readVarUint(buffer, start)
            body = readVarUint(buffer, body)
            const counter = read.value
            if (counter > acked) {
              onAck?.(acked, counter - 1)
              acked = counter
            }
            body = readVarUint(buffer, body)
            const replica = read.value
            body = readVarUint(buffer, body)
            if (read.value > 0) for (const document of current) include(cursors[document], replicas[replica], read.value)
          } else if (kind === FRAGMENT) {
            let body = readVarUint(buffer, start)
            const total = read.value
            body = readVarUint(buffer, body)
            body = readVarUint(buffer, body)
            partial ??= { pieces: [], received: 0 }
            partial.pieces.push(Uint8Array.prototype.slice.call(buffer, body, end))
            partial.received += end - body
            if (partial.received === total) {
              const whole = Buffer.concat(partial.pieces)
              partial = undefined
              receive(whole, 0, whole.length)
            }
          } else slow(buffer, kind, start, end)
        }
      }

      const socket = new WebSocketClient({
        host,
        port,
        path: '/v1/sync',
        onOpen() {
          const frames = [encodeClientFrame({ type: 'hello', protocol: 1, device: /** @type {any} */ (random()), token: '' })]
          documents.forEach((name, channel) => {
            const document = /** @type {any} */ (`dev/${name}`)
            frames.push(
              encodeClientFrame({
                type: 'attach',
                channel,
                engine: 'yjs',
                document,
                life: 0,
                cursor: cursors[channel],
                seen: emptyVersion,
              }),
            )
          })
          socket.send(Buffer.concat(frames), new Uint8Array(0))
          socket.flush()
        },
        onMessage: receive,
        onClose: settle.closed,
      })
      const channels = documents.map((_, channel) => varUint(channel))
      /** @type {import('../lib/types.mjs').Connection} */
      const connection = {
        push(document, update) {
          const counter = varUint(pushed + 1)
          const channel = channels[document]
          const length = varUint(channel.length + counter.length + update.length)
          socket.send(Buffer.concat([Buffer.from([PUSH]), length, channel, counter]), update)
          return pushed++
        },
        flush: () => socket.flush(),
        resume: () => cursors.map((cursor) => encodeVersion(cursor)),
        bytesIn: () => socket.bytesIn,
        pause: () => socket.pause(),
        resumeReading: () => socket.resume(),
        close: () => socket.close(),
      }
      return connection
    })
  },
}
