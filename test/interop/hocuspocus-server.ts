/**
 * What the suites of Hocuspocus get in place of their own `utils`: a node that asks for tokens in place of `new Server`. Of the hooks of that
 * server it does what a deployment of Meridian does by other means: `onAuthenticate` gives out a token, `onLoadDocument` seeds over HTTP.
 */

import {
  HocuspocusProvider,
  type HocuspocusProviderConfiguration,
  HocuspocusProviderWebsocket,
  type HocuspocusProviderWebsocketConfiguration,
} from '@hocuspocus/provider'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { NodeProcess } from '../e2e/node-process.js'
import { secret, tokenOf } from '../e2e/providers.js'
import { Resources } from '../e2e/resources.js'
import { pause } from '../e2e/waiting.js'
import type { ExecutionContext } from './ava.js'

type Hook = (payload: Record<string, unknown>) => unknown

interface Hooks {
  readonly onConnect?: Hook
  readonly onAuthenticate?: Hook
  readonly onLoadDocument?: Hook
}

interface Server {
  readonly webSocketURL: string
}

/** A server of a test: a corner of the node, with names of its own. */
export class Hocuspocus {
  readonly server: Server
  readonly #node: NodeProcess
  readonly #prefix: string
  readonly #hooks: Hooks
  readonly #seeded = new Map<string, Promise<void>>()

  constructor(node: NodeProcess, prefix: string, hooks: Hooks) {
    this.#node = node
    this.#prefix = prefix
    this.#hooks = hooks
    this.server = { webSocketURL: `ws://127.0.0.1:${node.port}/hocuspocus` }
  }

  nameOf(name: string): string {
    return `${this.#prefix}/${name}`
  }

  /** The token that an app would give to who shows `token`. */
  async admit(documentName: string, token: unknown): Promise<string> {
    const connectionConfig = { readOnly: false, isAuthenticated: false }
    const payload = { token, documentName, connectionConfig }
    try {
      await this.#hooks.onConnect?.(payload)
      await this.#hooks.onAuthenticate?.(payload)
    } catch {
      return 'not a token'
    }
    const seeded = this.#seeded.get(documentName) ?? this.#seed(documentName)
    this.#seeded.set(documentName, seeded)
    await seeded
    return tokenOf({ access: connectionConfig.readOnly ? 'read' : 'write' })
  }

  async #seed(documentName: string): Promise<void> {
    if (this.#hooks.onLoadDocument === undefined) return
    const document = new Y.Doc()
    await this.#hooks.onLoadDocument({ document, documentName })
    const answer = await fetch(`${this.#node.url}/v1/documents/acme/${this.nameOf(documentName)}`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', authorization: `Bearer ${tokenOf()}` },
      body: Y.encodeStateAsUpdate(document) as Uint8Array<ArrayBuffer>,
    })
    if (!answer.ok) throw new Error(`seeding: ${answer.status} ${await answer.text()}`)
  }
}

const resources = new Resources()
let started: Promise<NodeProcess> | undefined
let count = 0

export const stop = (): Promise<void> => resources.dispose()

export async function newHocuspocus(_t: ExecutionContext, hooks: Hooks = {}): Promise<Hocuspocus> {
  started ??= NodeProcess.start({ directory: resources.directory(), secret }).then((node) => resources.own(node))
  return new Hocuspocus(await started, `interop/${process.pid}-${++count}`, hooks)
}

export function newHocuspocusProviderWebsocket(
  t: ExecutionContext,
  hocuspocus: Hocuspocus,
  options: Partial<HocuspocusProviderWebsocketConfiguration> = {},
): HocuspocusProviderWebsocket {
  const socket = new HocuspocusProviderWebsocket({
    url: hocuspocus.server.webSocketURL,
    WebSocketPolyfill: WebSocket,
    ...options,
  })
  t.teardown(() => socket.destroy())
  return socket
}

export function newHocuspocusProvider(
  t: ExecutionContext,
  hocuspocus: Hocuspocus,
  { name = 'hocuspocus-test', token = '', ...options }: Partial<HocuspocusProviderConfiguration> = {},
  websocketOptions: Partial<HocuspocusProviderWebsocketConfiguration> = {},
  websocketProvider?: HocuspocusProviderWebsocket,
): HocuspocusProvider {
  const provider = new HocuspocusProvider({
    websocketProvider: websocketProvider ?? newHocuspocusProviderWebsocket(t, hocuspocus, websocketOptions),
    name: hocuspocus.nameOf(name),
    token: async () => hocuspocus.admit(name, typeof token === 'function' ? await token() : token),
    ...options,
  })
  provider.attach()
  t.teardown(() => provider.destroy())
  return provider
}

export const sleep = pause
