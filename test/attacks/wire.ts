/** Clients that send what they are told, right or wrong: on the native wire, and as bytes over TCP. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { putVarUint, varUintLength } from '@meridian/core/bytes'
import { parseDevice, parseDocument } from '@meridian/core/ids'
import { emptyVersion } from '@meridian/core/version'
import { type Attach, type ClientFrame, encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { FrameReader } from '@meridian/core/wires/native/frame'
import { decodeServerFrame, type ServerFrame } from '@meridian/core/wires/native/server-frames'
import { WebSocket } from 'ws'

export const KiB = 1024
export const MiB = 1024 * KiB

/** How a connection ended: the code of the goodbye, if there was one, and that of the close. */
export interface End {
  readonly goodbye: string | undefined
  readonly retry: string | undefined
  readonly close: number
}

/** Guards against hanging only; nothing here is measured. */
const patienceMs = 30_000

export const helloOf = (token = '', device = randomBytes(16).toString('hex')): ClientFrame => ({
  type: 'hello',
  protocol: 1,
  device: parseDevice(device),
  token,
})

export const attachOf = (channel: number, document: string): Attach => ({
  type: 'attach',
  channel,
  engine: 'yjs',
  document: parseDocument(document),
  life: 0,
  cursor: emptyVersion,
  seen: emptyVersion,
})

export const pushOf = (channel: number, counter: number, payload: Uint8Array): ClientFrame => ({
  type: 'push',
  channel,
  counter,
  payload,
})

export const messageOf = (...frames: (ClientFrame | Uint8Array)[]): Buffer =>
  Buffer.concat(frames.map((frame) => (frame instanceof Uint8Array ? frame : encodeClientFrame(frame))))

/** A frame of any type around any bytes. */
export function rawFrame(type: number, body: Uint8Array): Uint8Array {
  const head = new Uint8Array(varUintLength(type) + varUintLength(body.length))
  putVarUint(head, putVarUint(head, 0, type), body.length)
  return Buffer.concat([head, body])
}

export function varUint(value: number): Uint8Array {
  const bytes = new Uint8Array(varUintLength(value))
  putVarUint(bytes, 0, value)
  return bytes
}

/** `n` bytes of frames of a type that nobody knows, which are skipped. */
export function filler(length: number): Uint8Array {
  for (let body = length - 2; body >= 0; body--) {
    if (1 + varUintLength(body) + body === length) return rawFrame(50, new Uint8Array(body))
  }
  // Lengths just above a step of varUint: two frames.
  return Buffer.concat([rawFrame(50, new Uint8Array(0)), filler(length - 2)])
}

export class WireClient {
  readonly socket: WebSocket
  readonly frames: ServerFrame[] = []
  onFrame: ((frame: ServerFrame) => void) | undefined
  end: End | undefined
  /** Why a message of the node could not be read. */
  unreadable: unknown
  #goodbye: Extract<ServerFrame, { type: 'goodbye' }> | undefined
  #waiting: (() => void)[] = []

  constructor(url: string, { keeps = true }: { readonly keeps?: boolean } = {}) {
    this.socket = new WebSocket(`${url.replace('http', 'ws')}/v1/sync`, { perMessageDeflate: false })
    const reader = new FrameReader({ messageBytesMax: 2 ** 30, frameBytesMax: 2 ** 30 }, (type, body, end) => {
      const frame = decodeServerFrame(type, body, end)
      if (frame === undefined) return
      if (frame.type === 'goodbye') this.#goodbye = frame
      if (keeps) this.frames.push(frame)
      this.onFrame?.(frame)
    })
    this.socket.on('message', (data: Buffer) => {
      try {
        reader.receive(data)
      } catch (thrown) {
        this.unreadable = thrown
        this.socket.terminate()
      }
      this.#wake()
    })
    this.socket.on('error', () => undefined)
    this.socket.on('close', (close) => {
      this.end = { goodbye: this.#goodbye?.code, retry: this.#goodbye?.retry, close }
      this.#wake()
    })
  }

  async open(): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING) await once(this.socket, 'open')
    return this
  }

  async greet(token = ''): Promise<this> {
    await this.open()
    this.send(helloOf(token))
    await this.frame('welcome')
    return this
  }

  send(...frames: (ClientFrame | Uint8Array)[]): void {
    this.socket.send(messageOf(...frames))
  }

  /** Until the bytes have left, so that a flood waits for whoever it floods. */
  sendAndWait(message: Uint8Array): Promise<'sent' | 'closed'> {
    return new Promise((resolve) =>
      this.socket.send(message, (error) => resolve(error === undefined || error === null ? 'sent' : 'closed')),
    )
  }

  /** The first frame of a type that is or comes. */
  async frame<T extends ServerFrame['type']>(
    type: T,
    where: (frame: Extract<ServerFrame, { type: T }>) => boolean = () => true,
  ): Promise<Extract<ServerFrame, { type: T }>> {
    let found: Extract<ServerFrame, { type: T }> | undefined
    let from = 0
    await this.until(`a frame ${type}`, () => {
      for (; from < this.frames.length && found === undefined; from++) {
        const frame = this.frames[from]
        if (frame !== undefined && isOf(frame, type) && where(frame)) found = frame
      }
      if (found === undefined && this.end !== undefined) throw new Error(`no frame ${type}: ${JSON.stringify(this.end)}`)
      return found !== undefined
    })
    if (found === undefined) throw new Error('out of reach')
    return found
  }

  async ended(): Promise<End> {
    await this.until('the end', () => this.end !== undefined)
    return this.end ?? { goodbye: undefined, retry: undefined, close: 0 }
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    const givenUp = Date.now() + patienceMs
    while (!holds()) {
      if (this.unreadable !== undefined) throw new Error('the node sent what cannot be read', { cause: this.unreadable })
      const left = givenUp - Date.now()
      if (left <= 0) throw new Error(`${what} did not come in ${patienceMs} ms`)
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        timer = setTimeout(resolve, left)
      })
      clearTimeout(timer)
    }
  }

  async close(): Promise<void> {
    if (this.end !== undefined) return
    this.socket.close()
    await this.ended()
  }

  #wake(): void {
    for (const run of this.#waiting.splice(0)) run()
  }
}

const isOf = <T extends ServerFrame['type']>(frame: ServerFrame, type: T): frame is Extract<ServerFrame, { type: T }> =>
  frame.type === type

/** A TCP connection that sends bytes as they are. */
export class Raw {
  readonly socket: Socket
  #received: Buffer[] = []
  #waiting: (() => void)[] = []

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk)
      this.#wake()
    })
    this.socket.on('error', () => undefined)
    this.socket.on('close', () => this.#wake())
  }

  static async connected(port: number): Promise<Raw> {
    const raw = new Raw(port)
    if (raw.socket.connecting) await once(raw.socket, 'connect')
    return raw
  }

  /** After a handshake. */
  static async webSocket(port: number): Promise<Raw> {
    const raw = await Raw.connected(port)
    raw.write(upgradeRequest())
    await raw.until('\r\n\r\n')
    return raw
  }

  /** After a handshake and a welcome. */
  static async known(port: number): Promise<Raw> {
    const raw = await Raw.webSocket(port)
    raw.write(webSocketFrame(messageOf(helloOf())))
    await raw.until('eu-west#')
    return raw
  }

  get text(): string {
    return Buffer.concat(this.#received).toString('latin1')
  }

  write(bytes: string | Uint8Array): this {
    if (this.socket.writable) this.socket.write(bytes)
    return this
  }

  /** Writes and waits until the kernel took it or the connection is gone. */
  async push(bytes: Uint8Array): Promise<'sent' | 'closed'> {
    if (!this.socket.writable) return 'closed'
    if (this.socket.write(bytes)) return 'sent'
    await this.#wait(() => !this.socket.writableNeedDrain || this.socket.closed, 'drain')
    return this.socket.closed ? 'closed' : 'sent'
  }

  async until(part: string): Promise<string> {
    await this.#wait(() => this.text.includes(part) || this.socket.closed)
    return this.text
  }

  /** All that came until the connection ended. */
  async rest(): Promise<string> {
    await this.#wait(() => this.socket.closed)
    return this.text
  }

  /** The close frame that came, if one did: `4400 FRAME_INVALID`. */
  async closing(): Promise<string> {
    const text = await this.rest()
    const at = text.lastIndexOf('\x88')
    if (at < 0) return ''
    const bytes = Buffer.from(text.slice(at + 2), 'latin1')
    return bytes.length < 2 ? '' : `${bytes.readUInt16BE(0)} ${bytes.subarray(2).toString()}`
  }

  destroy(): void {
    this.socket.destroy()
  }

  async #wait(holds: () => boolean, event?: 'drain'): Promise<void> {
    const givenUp = Date.now() + patienceMs
    while (!holds()) {
      const left = givenUp - Date.now()
      if (left <= 0) throw new Error(`nothing came in ${patienceMs} ms`)
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        if (event !== undefined) this.socket.once(event, resolve)
        timer = setTimeout(resolve, left)
      })
      clearTimeout(timer)
    }
  }

  #wake(): void {
    for (const run of this.#waiting.splice(0)) run()
  }
}

export const upgradeRequest = (headers: Readonly<Record<string, string>> = {}, line = 'GET /v1/sync HTTP/1.1'): string =>
  [
    line,
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

export interface WebSocketFrame {
  readonly opcode?: number
  readonly final?: boolean
  /** The three reserved bits: 4 says compressed. */
  readonly reserved?: number
  readonly masked?: boolean
  /** What the header claims; as many as there are unless given. */
  readonly length?: number | bigint
}

/** A frame of a client (RFC 6455, section 5.2), right or wrong. The mask is zero, so that the payload stands as it is. */
export function webSocketFrame(
  payload: Uint8Array,
  { opcode = 2, final = true, reserved = 0, masked = true, length = payload.length }: WebSocketFrame = {},
): Buffer {
  const header = Buffer.alloc(10)
  header[0] = (final ? 0x80 : 0) | (reserved << 4) | opcode
  header[1] = (masked ? 0x80 : 0) | (length < 126 ? Number(length) : length < 65_536 ? 126 : 127)
  if (length >= 65_536) header.writeBigUInt64BE(BigInt(length), 2)
  else if (length >= 126) header.writeUInt16BE(Number(length), 2)
  return Buffer.concat([header.subarray(0, length < 126 ? 2 : length < 65_536 ? 4 : 10), Buffer.alloc(masked ? 4 : 0), payload])
}
