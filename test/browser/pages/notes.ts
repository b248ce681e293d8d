/** A page with one document, over the entry of `@meridian/client` for browsers. */

import { connect } from '@meridian/client/io/browser'
import type { Handle, Store } from '@meridian/client/io/browser'

const query = new URLSearchParams(location.search)

let store: Store | undefined
let note: Handle | undefined
let socketCount = 0

const Native = globalThis.WebSocket
globalThis.WebSocket = class extends Native {
  constructor(...args: ConstructorParameters<typeof Native>) {
    super(...args)
    socketCount++
  }
}

function list() {
  if (note === undefined) throw new Error('nothing is open')
  return note.ydoc.getArray<string>('list')
}

const channel = new BroadcastChannel('test clock')

const api = {
  async open(name: string): Promise<string> {
    store = connect({ url: query.get('node') ?? '', tenant: 'dev', user: 'ann' })
    note = store.open(name)
    return note.ready
  },
  add(...texts: string[]): void {
    for (const text of texts) list().push([text])
  },
  read: (): string[] => list().toArray(),
  /** Resolves when the list holds that text. */
  async until(text: string, limitMs: number): Promise<boolean> {
    const endMs = performance.now() + limitMs
    while (!list().toArray().includes(text)) {
      if (performance.now() > endMs) return false
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return true
  },
  async saved(limitMs: number): Promise<boolean> {
    const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), limitMs))
    return Promise.race([note?.saved().then(() => true) ?? false, late])
  },
  async stored(): Promise<void> {
    await note?.stored()
  },
  status: () => ({ connection: store?.status.connection.kind, document: note?.status, pending: note?.pending }),
  socketCount: (): number => socketCount,
  show(state: { readonly [field: string]: unknown }): void {
    note?.presence.set(state)
  },
  peers: (): unknown[] => [...(note?.presence.peers.values() ?? [])].map(({ state }) => state),
  async signOut(): Promise<void> {
    await store?.signOut()
  },
  databases: async (): Promise<(string | undefined)[]> => (await indexedDB.databases()).map(({ name }) => name),
  /** Says by the wall clock when each update of another tab was shown. */
  echo(): void {
    list().observe((_, transaction) => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel is of one origin
      if (!transaction.local) channel.postMessage(performance.timeOrigin + performance.now())
    })
  },
  /** Milliseconds from each of `count` edits to the moment when another tab shows it. */
  async latencies(count: number): Promise<number[]> {
    const found: number[] = []
    for (let each = 0; each < count; each++) {
      const shown = new Promise<number>((resolve) =>
        channel.addEventListener('message', ({ data }: MessageEvent<number>) => resolve(data), { once: true }),
      )
      const startMs = performance.timeOrigin + performance.now()
      list().push([`latency ${each}`])
      found.push((await shown) - startMs)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return found
  },
}

export type NotesPage = typeof api

Object.assign(globalThis, { page: api })
