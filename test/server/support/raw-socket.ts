/** A TCP connection to a node for what no WebSocket library would send. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export class RawSocket {
  readonly socket: Socket
  readonly closed: Promise<void>
  #received = Buffer.alloc(0)
  #waiting: (() => void)[] = []

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    this.socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        resolve()
        this.#wake()
      })
    })
    onTestFinished(() => void this.socket.destroy())
  }

  get text(): string {
    return this.#received.toString('latin1')
  }

  async connected(): Promise<this> {
    if (this.socket.connecting) await once(this.socket, 'connect')
    return this
  }

  write(bytes: string | Uint8Array): this {
    this.socket.write(bytes)
    return this
  }

  /** Until what was received contains `part`, or the connection ends. */
  async until(part: string): Promise<string> {
    while (!this.text.includes(part) && !this.socket.closed) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.text
  }

  /** All that comes until the connection ends. */
  async rest(): Promise<string> {
    await this.closed
    return this.text
  }

  #wake(): void {
    for (const run of this.#waiting.splice(0)) run()
  }
}

export const upgradeRequest = (headers: Readonly<Record<string, string>> = {}, path = '/v1/sync'): string =>
  [
    `GET ${path} HTTP/1.1`,
    ...Object.entries({
      Host: '127.0.0.1',
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Version': '13',
      ...headers,
    })
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ].join('\r\n')

export async function rawWebSocket(node: { readonly port: number }): Promise<RawSocket> {
  const socket = await new RawSocket(node.port).connected()
  await socket.write(upgradeRequest()).until('\r\n\r\n')
  return socket
}

export interface WebSocketFrame {
  readonly opcode?: number
  readonly final?: boolean
  /** The three reserved bits: 4 says compressed. */
  readonly reserved?: number
  readonly masked?: boolean
  /** What the header claims; as many as there are unless given. */
  readonly length?: number
}

/** A frame of a client (RFC 6455, section 5.2), right or wrong. The mask is zero, so that the payload stands as it is. */
export function webSocketFrame(
  payload: Uint8Array,
  { opcode = 2, final = true, reserved = 0, masked = true, length = payload.length }: WebSocketFrame = {},
): Buffer {
  const header = Buffer.alloc(10)
  header[0] = (final ? 0x80 : 0) | (reserved << 4) | opcode
  header[1] = (masked ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (length >= 65_536) header.writeBigUInt64BE(BigInt(length), 2)
  else if (length >= 126) header.writeUInt16BE(length, 2)
  return Buffer.concat([header.subarray(0, length < 126 ? 2 : length < 65_536 ? 4 : 10), Buffer.alloc(masked ? 4 : 0), payload])
}
