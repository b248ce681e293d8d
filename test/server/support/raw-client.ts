/** A client of the native wire that does what a test says and nothing else: it sends frames as they are and keeps what comes. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { EngineName } from '@meridian/core/engine'
import { parseDevice, parseDocument } from '@meridian/core/ids'
import { emptyVersion } from '@meridian/core/version'
import { type ClientFrame, encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { FrameReader } from '@meridian/core/wires/native/frame'
import { decodeServerFrame, type ServerFrame } from '@meridian/core/wires/native/server-frames'
import { WebSocket } from 'ws'

/** As of a device of its own, so that its pushes are nobody else's resent. */
export const hello = (token = ''): ClientFrame => ({
  type: 'hello',
  protocol: 1,
  device: parseDevice(randomBytes(16).toString('hex')),
  token,
})

export const attach = (channel: number, document: string, engine: EngineName = 'yjs'): ClientFrame => ({
  type: 'attach',
  channel,
  engine,
  document: parseDocument(document),
  life: 0,
  cursor: emptyVersion,
  seen: emptyVersion,
})

export class RawClient {
  readonly socket: WebSocket
  readonly frames: ServerFrame[] = []
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  #waiting: (() => void)[] = []

  constructor(url: string, options: ConstructorParameters<typeof WebSocket>[2] = {}) {
    this.socket = new WebSocket(`${url.replace('http', 'ws')}/v1/sync`, options)
    const reader = new FrameReader({ messageBytesMax: 2 ** 30, frameBytesMax: 2 ** 30 }, (type, body, end) => {
      const frame = decodeServerFrame(type, body, end)
      if (frame !== undefined) this.frames.push(frame)
    })
    this.socket.on('message', (data: Buffer) => {
      reader.receive(data)
      this.#wake()
    })
    this.socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() })
        this.#wake()
      })
    })
  }

  async open(): Promise<this> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, 'open')
    return this
  }

  send(...frames: ClientFrame[]): void {
    this.socket.send(Buffer.concat(frames.map(encodeClientFrame)))
  }

  /** The first frame of a type that is or comes; throws if the socket closes before. */
  async frame<T extends ServerFrame['type']>(
    type: T,
    where: (frame: Extract<ServerFrame, { type: T }>) => boolean = () => true,
  ): Promise<Extract<ServerFrame, { type: T }>> {
    for (;;) {
      for (const frame of this.frames) if (isOf(frame, type) && where(frame)) return frame
      if (this.socket.readyState === WebSocket.CLOSED)
        throw new Error(`closed without a frame ${type}: ${JSON.stringify(this.frames.map((one) => one.type))}`)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Known to the node. */
  async greet(token = ''): Promise<this> {
    await this.open()
    this.send(hello(token))
    await this.frame('welcome')
    return this
  }

  #wake(): void {
    for (const run of this.#waiting.splice(0)) run()
  }
}

const isOf = <T extends ServerFrame['type']>(frame: ServerFrame, type: T): frame is Extract<ServerFrame, { type: T }> =>
  frame.type === type
