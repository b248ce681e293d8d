/** A client that does exactly what a test says, byte by byte, and keeps every frame that it gets, decoded. */

import type { DocumentName } from '@meridian/core/ids'
import { parseDevice, parseDocument, parseReplica } from '@meridian/core/ids'
import type { Version } from '@meridian/core/version'
import { emptyVersion } from '@meridian/core/version'
import type { Attach, ClientFrame } from '@meridian/core/wires/native/client-frames'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { FrameReader, fragments, protocolVersion } from '@meridian/core/wires/native/frame'
import type { ServerFrame } from '@meridian/core/wires/native/server-frames'
import { decodeServerFrame } from '@meridian/core/wires/native/server-frames'
import * as Y from 'yjs'
import type { SimNode, SimSocket } from './node.js'

/** What a client takes; a node splits what is larger. */
const clientLimits = { messageBytesMax: 4 * 1024 * 1024, frameBytesMax: 128 * 1024 * 1024 }

export function frameReader(take: (frame: ServerFrame) => void): FrameReader {
  return new FrameReader(clientLimits, (type, body, end) => {
    const frame = decodeServerFrame(type, body, end)
    if (frame !== undefined) take(frame)
  })
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

export const device = (number: number) => parseDevice(number.toString(16).padStart(32, '0'))
export const notes = (key: string): DocumentName => parseDocument(`acme/notes/${key}`)

export class Peer {
  readonly socket: SimSocket
  readonly frames: ServerFrame[] = []
  readonly number: number

  constructor(node: SimNode, number: number) {
    this.number = number
    this.socket = node.connect()
    const reader = frameReader((frame) => this.frames.push(copied(frame)))
    this.socket.listen((message) => reader.receive(message))
  }

  /** One message. */
  send(...frames: readonly ClientFrame[]): this {
    this.socket.receive(joined(...frames.map(encodeClientFrame)))
    return this
  }

  /** Each frame in fragments if it is large. */
  sendLarge(frame: ClientFrame): this {
    for (const piece of fragments(encodeClientFrame(frame), this.socket.node.limits.messageBytesMax)) this.socket.receive(piece)
    return this
  }

  hello(token = `user-${this.number}`): this {
    return this.send({ type: 'hello', protocol: protocolVersion, device: device(this.number), token })
  }

  attach(channel: number, document: DocumentName, rest: Partial<Attach> = {}): this {
    return this.send(attachFrame(channel, document, rest))
  }

  push(channel: number, counter: number, payload: Uint8Array): this {
    return this.send({ type: 'push', channel, counter, payload })
  }

  of<T extends ServerFrame['type']>(type: T): Extract<ServerFrame, { type: T }>[] {
    return this.frames.filter((frame): frame is Extract<ServerFrame, { type: T }> => frame.type === type)
  }

  /** What came since the last time that it was asked, by type. */
  take(): ServerFrame['type'][] {
    return this.frames.splice(0).map((frame) => frame.type)
  }
}

export function attachFrame(channel: number, document: DocumentName, rest: Partial<Attach> = {}): Attach {
  return { type: 'attach', channel, engine: 'yjs', document, life: 0, cursor: emptyVersion, seen: emptyVersion, ...rest }
}

/** Payloads are views of messages; a record of frames keeps its own. */
function copied(frame: ServerFrame): ServerFrame {
  return 'payload' in frame ? { ...frame, payload: new Uint8Array(frame.payload) } : frame
}

/** An author with a fixed client id: each edit is one real update. */
export class Author {
  readonly doc: Y.Doc
  #updates: Uint8Array[] = []

  constructor(clientId: number) {
    this.doc = new Y.Doc({ guid: 'author' })
    this.doc.clientID = clientId
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== 'remote') this.#updates.push(update)
    })
  }

  edit(change: (doc: Y.Doc) => void): Uint8Array {
    this.#updates = []
    this.doc.transact(() => change(this.doc))
    return this.#updates.length === 1 ? (this.#updates[0] ?? new Uint8Array()) : Y.mergeUpdates(this.#updates)
  }

  /** Text at the end. */
  type(text: string): Uint8Array {
    return this.edit((doc) => doc.getText('text').insert(doc.getText('text').length, text))
  }

  apply(update: Uint8Array): this {
    Y.applyUpdate(this.doc, update, 'remote')
    return this
  }

  get text(): string {
    return this.doc.getText('text').toString()
  }
}

/** What somebody shows who holds these updates. */
export function textOf(updates: readonly Uint8Array[]): string {
  const doc = new Y.Doc({ guid: 'reader' })
  doc.clientID = 0
  for (const update of updates) Y.applyUpdate(doc, update)
  return doc.getText('text').toString()
}

/** The updates and states among frames, in their order. */
export function payloadsOf(frames: readonly ServerFrame[]): Uint8Array[] {
  return frames.flatMap((frame) => (frame.type === 'update' || frame.type === 'state' ? [frame.payload] : []))
}

/** Dots that frames brought, as `replica index:sequence`. */
export const dotsOf = (frames: readonly ServerFrame[]): string[] =>
  frames.flatMap((frame) => (frame.type === 'update' ? [`${frame.replica}:${frame.sequence}`] : []))

export const versionOf = (entries: Readonly<Record<string, number>>): Version => ({
  floors: new Map(),
  sequences: new Map(Object.entries(entries).map(([replica, sequence]) => [parseReplica(replica), sequence])),
})
