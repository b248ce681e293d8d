// [hot] A WebSocket client for load: raw sockets, frames parsed in place, masked with zero, no extensions, no events.
// It is not a client to copy: it trusts the server and has no limits but its own buffer.

import { connect as connectSocket } from 'node:net'

/** One read buffer for all sockets: libuv fills it and the callback empties it before any other socket may read. */
const shared = Buffer.allocUnsafeSlow(1 << 20)
const HEADER_END = Buffer.from('\r\n\r\n')

export class WebSocketClient {
  bytesIn = 0
  /** @type {Buffer | null} an incomplete frame, or the incomplete answer to the upgrade */
  #rest = null
  #open = false
  #closed = false
  /** @type {Buffer[]} the parts of a fragmented message */
  #parts = []
  #out = Buffer.allocUnsafeSlow(256)
  #outEnd = 0
  #socket
  #options

  /**
   * @param {object} options
   * @param {string} options.host
   * @param {number} options.port
   * @param {string} options.path
   * @param {string} [options.subprotocol]
   * @param {() => void} options.onOpen
   * @param {(buffer: Buffer, start: number, end: number) => void} options.onMessage the bytes are valid during the call only.
   * @param {(reason: string) => void} options.onClose once.
   */
  constructor(options) {
    this.#options = options
    const { host, port, path, subprotocol } = options
    this.#socket = connectSocket({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (count, buffer) => {
          this.#receive(/** @type {Buffer} */ (buffer), count)
          return true
        },
      },
    })
    const protocol = subprotocol === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`
    this.#socket.on('connect', () => {
      this.#socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${protocol}\r\n`,
      )
    })
    this.#socket.on('error', (error) => this.#close(String(error)))
    this.#socket.on('end', () => this.#socket.destroy())
    this.#socket.on('close', () => this.#close('closed'))
  }

  /** Queues one binary message of two parts; `flush` writes. @param {Uint8Array} head @param {Uint8Array} body */
  send(head, body) {
    const length = head.length + body.length
    const needed = this.#outEnd + length + 14
    if (needed > this.#out.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#out.length * 2))
      this.#out.copy(larger, 0, 0, this.#outEnd)
      this.#out = larger
    }
    const out = this.#out
    let at = this.#outEnd
    out[at++] = 0x82
    if (length < 126) {
      out[at++] = 0x80 | length
    } else if (length < 65536) {
      out[at++] = 0x80 | 126
      out[at++] = length >>> 8
      out[at++] = length & 0xff
    } else {
      out[at++] = 0x80 | 127
      at = out.writeUInt32BE(0, at)
      at = out.writeUInt32BE(length, at)
    }
    out[at++] = 0
    out[at++] = 0
    out[at++] = 0
    out[at++] = 0
    out.set(head, at)
    out.set(body, at + head.length)
    this.#outEnd = at + length
  }

  flush() {
    if (this.#outEnd === 0) return
    const bytes = Buffer.allocUnsafe(this.#outEnd)
    this.#out.copy(bytes, 0, 0, this.#outEnd)
    this.#outEnd = 0
    if (this.#out.length > 1 << 16) this.#out = Buffer.allocUnsafeSlow(256)
    if (!this.#closed) this.#socket.write(bytes)
  }

  /** Reads no more: what the server sends stays in the kernel, and then in the server. */
  pause() {
    this.#socket.pause()
  }

  resume() {
    this.#socket.resume()
  }

  close() {
    this.#socket.destroy()
  }

  /** @param {string} reason */
  #close(reason) {
    if (this.#closed) return
    this.#closed = true
    this.#socket.destroy()
    this.#options.onClose(reason)
  }

  /** @param {Buffer} chunk @param {number} count */
  #receive(chunk, count) {
    this.bytesIn += count
    let buffer = chunk
    let end = count
    if (this.#rest !== null) {
      buffer = Buffer.concat([this.#rest, chunk.subarray(0, count)])
      end = buffer.length
      this.#rest = null
    }
    let at = 0
    if (!this.#open) {
      const head = buffer.subarray(0, end).indexOf(HEADER_END)
      if (head === -1) {
        this.#rest = Buffer.from(buffer.subarray(0, end))
        return
      }
      const status = buffer.toString('latin1', 0, Math.min(head, 40))
      if (!status.startsWith('HTTP/1.1 101')) {
        this.#close(`not upgraded: ${status.split('\r\n')[0]}`)
        return
      }
      at = head + 4
      this.#open = true
      this.#options.onOpen()
    }
    at = this.#frames(buffer, at, end)
    if (at < end) this.#rest = Buffer.from(buffer.subarray(at, end))
  }

  /** @param {Buffer} buffer @param {number} at @param {number} end @returns {number} where the first incomplete frame starts */
  #frames(buffer, at, end) {
    const { onMessage } = this.#options
    while (end - at >= 2) {
      const first = buffer[at]
      let length = buffer[at + 1] & 0x7f
      let start = at + 2
      if (length === 126) {
        if (end - at < 4) return at
        length = (buffer[at + 2] << 8) | buffer[at + 3]
        start = at + 4
      } else if (length === 127) {
        if (end - at < 10) return at
        length = Number(buffer.readBigUInt64BE(at + 2))
        start = at + 10
      }
      if (end - start < length) return at
      at = start + length
      if (first === 0x82 || first === 0x81) onMessage(buffer, start, at)
      else this.#rare(first, buffer, start, at)
    }
    return at
  }

  /** Control frames and fragments. @param {number} first @param {Buffer} buffer @param {number} start @param {number} end */
  #rare(first, buffer, start, end) {
    const opcode = first & 0x0f
    if (opcode === 0x9) {
      const body = Buffer.from(buffer.subarray(start, end))
      this.#socket.write(Buffer.concat([Buffer.from([0x8a, 0x80 | body.length, 0, 0, 0, 0]), body]))
    } else if (opcode === 0x8) {
      const code = end - start >= 2 ? buffer.readUInt16BE(start) : 1005
      this.#close(`closed by the server: ${code} ${buffer.toString('utf8', start + 2, end)}`)
    } else if (opcode <= 0x2) {
      this.#parts.push(Buffer.from(buffer.subarray(start, end)))
      if ((first & 0x80) === 0) return
      const whole = Buffer.concat(this.#parts)
      this.#parts = []
      this.#options.onMessage(whole, 0, whole.length)
    }
  }
}
