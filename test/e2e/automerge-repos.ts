/** `Repo` with `WebSocketClientAdapter` of automerge-repo as apps have it, unmodified; what tests ask of one; and a peer that says what it is told to. */

import { once } from 'node:events'
import {
  type AutomergeUrl,
  cbor,
  type DocHandle,
  generateAutomergeUrl,
  parseAutomergeUrl,
  type PeerId,
  Repo,
} from '@automerge/automerge-repo'
import { WebSocketClientAdapter } from '@automerge/automerge-repo-network-websocket'
import { WebSocket } from 'ws'
import { eventually } from './providers.js'

export interface Note {
  text: string
  from?: string
}

export interface RepoOptions {
  readonly port: number
  readonly token?: string
  readonly peerId?: string
}

let peers = 0

/** A user of an app on automerge-repo, with one socket to a node. */
export class RepoClient {
  readonly repo: Repo
  readonly peerId: PeerId
  adapter: WebSocketClientAdapter
  /** How its connections were closed, in order. */
  readonly closes: string[] = []
  readonly #port: number

  constructor({ port, token, peerId = `peer-${++peers}` }: RepoOptions) {
    this.#port = port
    this.peerId = peerId as PeerId
    this.adapter = this.#dial(token)
    this.repo = new Repo({ network: [this.adapter], peerId: this.peerId })
  }

  #dial(token: string | undefined): WebSocketClientAdapter {
    const query = token === undefined ? '' : `?token=${token}`
    const adapter = new WebSocketClientAdapter(`ws://127.0.0.1:${this.#port}/automerge${query}`, 200)
    const { onClose } = adapter
    adapter.onClose = (event?: { readonly code: number; readonly reason: string }) => {
      this.closes.push(`${event?.code} ${event?.reason}`)
      onClose()
    }
    return adapter
  }

  /** As an app does that got a newer token: the adapter reads its address once. */
  renew(token: string): void {
    this.repo.networkSubsystem.removeNetworkAdapter(this.adapter)
    this.adapter = this.#dial(token)
    this.repo.networkSubsystem.addNetworkAdapter(this.adapter)
  }

  create(text: string): DocHandle<Note> {
    return this.repo.create<Note>({ text })
  }

  /** The document once it is there. */
  async find(url: AutomergeUrl): Promise<DocHandle<Note>> {
    const handle = await this.repo.find<Note>(url, { allowableStates: ['ready', 'unavailable'] })
    await eventually(() => handle.isReady(), `a document with ${this.peerId}; it was closed: ${this.closes.join(', ') || 'no'}`)
    return handle
  }

  dispose(): Promise<void> {
    return this.repo.shutdown()
  }
}

export async function reads(handle: DocHandle<Note>, note: Partial<Note>): Promise<void> {
  const has = (): boolean =>
    handle.isReady() && Object.entries(note).every(([key, value]) => handle.doc()[key as keyof Note] === value)
  await eventually(has, () => `${JSON.stringify(note)}; it is ${handle.state}`)
}

export const newDocumentId = (): string => parseAutomergeUrl(generateAutomergeUrl()).documentId

/** Says what it is told to, and keeps what it hears. */
export class RawPeer {
  readonly heard: Record<string, unknown>[] = []
  closed = ''
  readonly #socket: WebSocket
  readonly #opened: Promise<unknown>

  constructor({ port, token }: RepoOptions) {
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/automerge${token === undefined ? '' : `?token=${token}`}`)
    this.#socket.on('message', (data: Buffer) => this.heard.push(cbor.decode(new Uint8Array(data))))
    this.#socket.on('close', (code, reason) => (this.closed = `${code} ${reason.toString()}`))
    this.#opened = once(this.#socket, 'open')
  }

  say(message: Readonly<Record<string, unknown>>): Promise<void> {
    return this.sayBytes(cbor.encode(message))
  }

  async sayBytes(bytes: Uint8Array): Promise<void> {
    await this.#opened
    this.#socket.send(bytes)
  }

  join(senderId: string, supportedProtocolVersions: readonly string[] = ['1']): Promise<void> {
    return this.say({ type: 'join', senderId, peerMetadata: {}, supportedProtocolVersions })
  }

  dispose(): void {
    this.#socket.terminate()
  }
}
