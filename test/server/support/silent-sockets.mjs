// Opens sockets that never say who they are: every second one upgrades first, every fourth sends half a message. A process of its own, so
// that its cost is not the node's. Tells its parent once all are open, and lives until it is killed.

import { connect } from 'node:net'

const [port, count] = process.argv.slice(2).map(Number)
const upgrade = [
  'GET /v1/sync HTTP/1.1',
  'Host: 127.0.0.1',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  'Sec-WebSocket-Version: 13',
  '\r\n',
].join('\r\n')
/** A header that promises 60 KiB, and half of them. */
const half = Buffer.concat([Buffer.from([0x82, 0xfe, 0xf0, 0x00, 0, 0, 0, 0]), Buffer.alloc(30 * 1024)])

let settled = 0
let failed = 0
const settle = () => {
  settled++
  if (settled === count) process.send?.({ opened: count - failed, failed })
}

for (let index = 0; index < count; index++) {
  const socket = connect(port, '127.0.0.1')
  let waiting = true
  const done = () => {
    if (waiting) settle()
    waiting = false
  }
  socket.on('connect', () => {
    if (index % 2 === 0) return done()
    socket.write(upgrade, done)
    if (index % 4 === 1) socket.write(half)
  })
  socket.on('data', () => undefined)
  socket.on('error', () => {
    if (waiting) failed++
    done()
  })
  socket.on('close', done)
  // Some at a time: the point is to hold many, and not to overflow a listen queue.
  if (index % 100 === 99) await new Promise((resolve) => setImmediate(resolve))
}
