/** A page with one document, over the entry of `@meridian/client` for browsers. */

import { connect } from '@meridian/client/io/browser'
import type { Handle, Store } from '@meridian/client/io/browser'
import { toMeridianError } from '@meridian/core/errors'
import * as Y from 'yjs'

interface Who {
  readonly tenant: string
  readonly user: string
  readonly token?: string
}

const query = new URLSearchParams(location.search)

let store: Store | undefined
let note: Handle | undefined
const sockets: WebSocket[] = []
let persistCount = 0

const { storage } = navigator
const persist = storage.persist.bind(storage)
storage.persist = () => {
  persistCount++
  return persist()
}

const Native = globalThis.WebSocket
globalThis.WebSocket = class extends Native {
  constructor(...args: ConstructorParameters<typeof Native>) {
    super(...args)
    sockets.push(this)
  }
}

function list() {
  if (note === undefined) throw new Error('nothing is open')
  return note.ydoc.getArray<string>('list')
}

const channel = new BroadcastChannel('test clock')

/** An update that somebody made elsewhere, in base64, and what a document has to hold of each client before. */
export interface GivenUpdate {
  readonly update: string
  readonly needs: readonly (readonly [client: number, clock: number])[]
}

const decode = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const api = {
  /** In the store of the page, which the first call connects. */
  async open(name: string, who: Who = { tenant: 'dev', user: 'ann' }): Promise<string> {
    store ??= connect({ url: query.get('node') ?? '', ...who })
    note = store.open(name)
    return note.ready
  },
  async close(): Promise<void> {
    await note?.close()
  },
  /** Something that does not compress, in one edit. */
  addRandom(bytes: number): void {
    let text = ''
    for (let at = 0; at < bytes; at += 8_192) text += btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(6_144))))
    list().push([text])
  },
  refreshToken(token: string): void {
    store?.refreshToken(token)
  },
  /** As a script of the page, or somebody in the developer tools, does it. */
  async deleteDatabases(): Promise<void> {
    for (const { name } of await indexedDB.databases())
      if (name !== undefined) await new Promise((resolve) => indexedDB.deleteDatabase(name).addEventListener('success', resolve))
  },
  isPersistAsked: (): boolean => persistCount > 0,
  add(...texts: string[]): void {
    for (const text of texts) list().push([text])
  },
  /** As if somebody had just typed them here, each as soon as what it builds on is there. Says how many, when that takes too long. */
  async give(updates: readonly GivenUpdate[], limitMs: number): Promise<number> {
    const { ydoc } = note ?? {}
    if (ydoc === undefined) throw new Error('nothing is open')
    const endMs = performance.now() + limitMs
    for (const [index, { update, needs }] of updates.entries()) {
      while (needs.some(([client, clock]) => Y.getState(ydoc.store, client) < clock)) {
        if (performance.now() > endMs) return index
        await pause(5)
      }
      Y.applyUpdate(ydoc, decode(update), 'typed')
      if (index % 8 === 7) await pause(0)
    }
    return updates.length
  },
  text: (): string => note?.ydoc.getText('text').toString() ?? '',
  /** How far a document holds what a client made. */
  clock: (client: number): number => (note === undefined ? 0 : Y.getState(note.ydoc.store, client)),
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
  /** Undefined, or the code of why it is not. */
  async stored(): Promise<string | undefined> {
    return note?.stored().then(
      () => undefined,
      (thrown: unknown) => toMeridianError(thrown).code,
    )
  },
  status: () => ({ connection: store?.status.connection.kind, document: note?.status, pending: note?.pending }),
  /** What stands in the way of the connection. */
  refusal: (): string | undefined => {
    const { connection } = store?.status ?? {}
    return connection?.kind === 'refused' ? connection.code : undefined
  },
  storage: (): string | undefined => store?.status.storage.kind,
  sizes: (): number[] =>
    list()
      .toArray()
      .map((text) => text.length),
  openSocketCount: (): number => sockets.filter(({ readyState }) => readyState <= WebSocket.OPEN).length,
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
