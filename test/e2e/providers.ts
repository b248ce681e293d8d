/** `WebsocketProvider` of y-websocket as apps have it, unmodified, in the versions that are served: 1.5, 2.1 and 3.1; and what tests ask of one. */

import { readFileSync } from 'node:fs'
import { WebSocket } from 'ws'
import { WebsocketProvider as Provider1 } from 'y-websocket-1'
import { WebsocketProvider as Provider2 } from 'y-websocket-2'
import { WebsocketProvider as Provider3 } from 'y-websocket-3'
import * as Y from 'yjs'
import { hmac, token } from '../server/auth/tokens.js'
import { traceTextName } from '../traces.js'
import type { NodeProcess } from './node-process.js'
import { every, until } from './waiting.js'

export interface Provider {
  readonly synced: boolean
  readonly wsconnected: boolean
  readonly shouldConnect: boolean
  readonly awareness: {
    readonly clientID: number
    setLocalState(state: unknown): void
    getStates(): Map<number, Record<string, unknown>>
  }
  /** Read at each dial of 2.1 and 3.1. */
  params: Record<string, string>
  /** Read at each dial of 1.5. */
  url: string
  connect(): void
  disconnect(): void
  destroy(): void
  on(event: string, listener: (...args: never[]) => void): void
}

export type ProviderClass = new (url: string, room: string, doc: Y.Doc, options: object) => Provider

export type ProviderVersion = '1.5' | '2.1' | '3.1'

export const providerClasses: Readonly<Record<ProviderVersion, ProviderClass>> = {
  // Its declarations lack `params`, which it has not.
  '1.5': Provider1 as unknown as ProviderClass,
  '2.1': Provider2,
  '3.1': Provider3,
}

export const providerVersions = ['1.5', '2.1', '3.1'] as const satisfies readonly ProviderVersion[]

export interface OpenOptions {
  readonly version: ProviderVersion
  /** Of the node, or of a proxy in front of it. */
  readonly port: number
  readonly room: string
  readonly token?: string
  readonly doc?: Y.Doc
}

/** A user with a document open through a provider. */
export class Editor {
  readonly doc: Y.Doc
  readonly text: Y.Text
  readonly provider: Provider
  readonly version: ProviderVersion
  /** Close codes of its connections, in order. */
  readonly closes: { readonly code: number; readonly reason: string }[] = []
  dialCount = 0
  readonly #options: OpenOptions

  constructor(options: OpenOptions) {
    this.#options = options
    this.version = options.version
    this.doc = options.doc ?? new Y.Doc()
    this.text = this.doc.getText(traceTextName)
    const dialled = (): void => void this.dialCount++
    const closed = (code: number, reason: Buffer): void => void this.closes.push({ code, reason: reason.toString() })
    class Dialled extends WebSocket {
      constructor(url: string) {
        super(url)
        dialled()
        this.on('close', closed)
      }
    }
    const Class = providerClasses[options.version]
    this.provider = new Class(`ws://127.0.0.1:${options.port}/yjs`, options.room, this.doc, {
      WebSocketPolyfill: Dialled,
      disableBc: true,
      ...(options.token === undefined ? {} : { params: { token: options.token } }),
    })
  }

  /** As an app does that got a newer token: for the next dial. 1.5 reads its parameters once, so there the address is what changes. */
  renew(fresh: string): void {
    if (this.version === '1.5')
      this.provider.url = `ws://127.0.0.1:${this.#options.port}/yjs/${this.#options.room}?token=${fresh}`
    else this.provider.params = { token: fresh }
  }

  async synced(limitMs?: number): Promise<this> {
    await eventually(() => this.provider.synced, `provider ${this.version} to be in sync`, limitMs)
    return this
  }

  async reads(content: string, limitMs?: number): Promise<void> {
    const has = (): boolean => this.text.length === content.length && this.text.toString() === content
    await eventually(has, () => `the text with provider ${this.version}; it has ${this.text.length} characters`, limitMs)
  }

  sees(other: { readonly clientID: number }): boolean {
    return this.provider.awareness.getStates().has(other.clientID)
  }

  dispose(): void {
    this.provider.destroy()
    this.doc.destroy()
  }
}

export const eventually = (condition: () => boolean, what: string | (() => string), limitMs?: number): Promise<void> =>
  until(condition, every(20), { what, ...(limitMs === undefined ? {} : { limitMs }) })

export const secret = 'a secret of a node in a test, long enough'

export interface Claims {
  readonly access?: 'read' | 'write'
  /** Milliseconds from now. */
  readonly expiresInMs?: number
  readonly subject?: string
  /** Default `acme`. */
  readonly tenant?: string
  /** Default all documents. */
  readonly match?: string
}

export function tokenOf({
  access = 'write',
  expiresInMs = 3_600_000,
  subject = 'ada',
  tenant = 'acme',
  match = '*',
}: Claims = {}): string {
  const exp = (Date.now() + expiresInMs) / 1000
  return token(hmac(secret), { sub: subject, tenant, exp, docs: [{ match, access }] })
}

/** Bytes of memory that the node's process has. */
export function residentBytes(node: NodeProcess): number {
  const status = readFileSync(`/proc/${node.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}
