// [hot] The limit: one prebuilt frame an update, one socket write a socket and batch. With `log` as argv[3] each batch is first appended
// to one log for all documents and fdatasynced (group commit: what arrives during a commit is the next batch), so that nothing is
// forwarded that is not durable. With `net` it is forwarded at the end of the tick. No protocol, no index, no reading back.

import { fdatasync, openSync, write } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { WebSocketServer } from 'ws'

const [directory, mode] = process.argv.slice(2)
const log = mode === 'log' ? openSync(join(directory, 'relay.log'), 'a') : -1

/** A room: its sockets, and the frames of the batch that is being filled, each with who sent it. */
const rooms = new Map()
let nextRoom = 0
/** Rooms with frames in the batch that is being filled. */
let touched = []
/** The same batch as log records: length, room, payload. */
let records = []
let busy = false

function frameOf(payload) {
  const length = payload.length
  const head = length < 126 ? 2 : length < 65536 ? 4 : 10
  const frame = Buffer.allocUnsafe(head + length)
  frame[0] = 0x82
  if (head === 2) frame[1] = length
  else if (head === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  payload.copy(frame, head)
  return frame
}

function fail(error) {
  console.error(error)
  process.exit(1)
}

/** Appends and syncs the batch, then forwards it, then sees to what has arrived meanwhile. */
function commit() {
  const batch = touched
  touched = []
  for (const room of batch) {
    room.sending = room.frames
    room.senders = room.froms
    room.frames = []
    room.froms = []
  }
  if (log === -1) {
    forward(batch)
    return
  }
  const bytes = Buffer.concat(records)
  records = []
  const append = (at) => {
    write(log, bytes, at, bytes.length - at, null, (error, written) => {
      if (error) fail(error)
      if (at + written < bytes.length) append(at + written)
      else
        fdatasync(log, (failed) => {
          if (failed) fail(failed)
          forward(batch)
        })
    })
  }
  append(0)
}

function forward(batch) {
  for (const room of batch) {
    const { sending, senders, sockets } = room
    const all = sending.length === 1 ? sending[0] : Buffer.concat(sending)
    const writers = new Set(senders)
    for (const [webSocket, socket] of sockets) {
      if (!writers.has(webSocket)) socket.write(all)
      else if (writers.size > 1) socket.write(Buffer.concat(sending.filter((_frame, index) => senders[index] !== webSocket)))
    }
    room.sending = room.senders = null
  }
  if (touched.length > 0) setImmediate(commit)
  else busy = false
}

const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (webSocket, request) => {
  let room = rooms.get(request.url)
  if (room === undefined) {
    room = { number: nextRoom++, sockets: new Map(), frames: [], froms: [], sending: null, senders: null }
    rooms.set(request.url, room)
  }
  const found = room
  found.sockets.set(webSocket, request.socket)
  webSocket.on('message', (data) => {
    if (found.frames.length === 0) touched.push(found)
    found.frames.push(frameOf(data))
    found.froms.push(webSocket)
    if (log !== -1) {
      const head = Buffer.allocUnsafe(8)
      head.writeUInt32BE(data.length, 0)
      head.writeUInt32BE(found.number, 4)
      records.push(head, data)
    }
    if (!busy) {
      busy = true
      setImmediate(commit)
    }
  })
  webSocket.on('close', () => found.sockets.delete(webSocket))
  webSocket.on('error', () => {})
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(`READY ${server.address().port}`))
