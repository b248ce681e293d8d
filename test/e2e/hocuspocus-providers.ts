/** `HocuspocusProvider` as apps have it, unmodified, in the versions that are served: 3.4 and 4.8; and what tests ask of one. */

import * as Hocuspocus4 from '@hocuspocus/provider'
import * as Hocuspocus3 from 'hocuspocus-provider-3'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { traceTextName } from '../traces.js'
import { eventually } from './providers.js'

export const hocuspocusVersions = ['3.4', '4.8'] as const
export type HocuspocusVersion = (typeof hocuspocusVersions)[number]

const modules = { '3.4': Hocuspocus3 as unknown as typeof Hocuspocus4, '4.8': Hocuspocus4 }

export interface OpenOptions {
  readonly version: HocuspocusVersion
  /** Read at each dial and whenever the node asks; any string does for a node in development mode. */
  readonly token?: () => string
  readonly doc?: Y.Doc
  readonly sessionAwareness?: boolean
}

/** One socket that providers share. */
export class HocuspocusClient {
  readonly version: HocuspocusVersion
  readonly socket: Hocuspocus4.HocuspocusProviderWebsocket
  /** Of its connections, in order. */
  readonly closes: number[] = []
  dialCount = 0
  readonly #editors: HocuspocusEditor[] = []

  constructor(version: HocuspocusVersion, port: number) {
    this.version = version
    const dialled = (): void => void this.dialCount++
    const closed = (code: number): void => void this.closes.push(code)
    class Dialled extends WebSocket {
      constructor(url: string) {
        super(url)
        dialled()
        this.on('close', closed)
      }
    }
    this.socket = new modules[version].HocuspocusProviderWebsocket({
      url: `ws://127.0.0.1:${port}/hocuspocus`,
      WebSocketPolyfill: Dialled,
      delay: 100,
      minDelay: 100,
    })
  }

  open(name: string, options: Omit<OpenOptions, 'version'> = {}): HocuspocusEditor {
    const editor = new HocuspocusEditor(modules[this.version], this.socket, name, options)
    this.#editors.push(editor)
    return editor
  }

  dispose(): void {
    for (const editor of this.#editors) editor.dispose()
    this.socket.destroy()
  }
}

/** A user with a document open through a provider. */
export class HocuspocusEditor {
  readonly doc: Y.Doc
  readonly text: Y.Text
  readonly provider: Hocuspocus4.HocuspocusProvider
  /** Why it was refused, each time. */
  readonly refusals: string[] = []

  constructor(
    { HocuspocusProvider }: typeof Hocuspocus4,
    websocketProvider: Hocuspocus4.HocuspocusProviderWebsocket,
    name: string,
    { doc = new Y.Doc(), token = () => 'nobody', sessionAwareness = false }: Omit<OpenOptions, 'version'>,
  ) {
    this.doc = doc
    this.text = this.doc.getText(traceTextName)
    this.provider = new HocuspocusProvider({
      websocketProvider,
      name,
      document: doc,
      token,
      sessionAwareness,
      onAuthenticationFailed: ({ reason }) => void this.refusals.push(reason),
    })
    this.provider.attach()
  }

  async synced(): Promise<this> {
    await eventually(
      () => this.provider.isSynced,
      () => `a provider to be in sync; it was refused: ${this.refusals.join(', ') || 'no'}`,
    )
    return this
  }

  async saved(): Promise<this> {
    await eventually(
      () => !this.provider.hasUnsyncedChanges,
      () => `a provider's changes to be saved; ${this.provider.unsyncedChanges} are not`,
    )
    return this
  }

  async reads(content: string): Promise<void> {
    await eventually(
      () => this.text.length === content.length && this.text.toString() === content,
      () => `the text with a provider; it has ${this.text.length} characters`,
    )
  }

  async refused(): Promise<string> {
    await eventually(() => this.refusals.length > 0, 'a provider to be refused')
    return this.refusals[0] ?? ''
  }

  dispose(): void {
    this.provider.destroy()
    this.doc.destroy()
  }
}
