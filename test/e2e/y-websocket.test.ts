/** Unmodified providers of y-websocket against a real node process: 1.5, 2.1 and 3.1. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { WebsocketProvider as Provider1 } from 'y-websocket-1'
import { WebsocketProvider as Provider2 } from 'y-websocket-2'
import { WebsocketProvider as Provider3 } from 'y-websocket-3'
import * as Y from 'yjs'
import { NodeProcess } from './node-process.js'
import { every, until } from './waiting.js'

interface Provider {
  readonly synced: boolean
  readonly wsconnected: boolean
  readonly awareness: { readonly clientID: number; setLocalState(state: unknown): void; getStates(): Map<number, unknown> }
  destroy(): void
}

type ProviderClass = new (url: string, room: string, doc: Y.Doc, options: object) => Provider

const providers: readonly (readonly [string, ProviderClass])[] = [
  ['1.5', Provider1],
  ['2.1', Provider2],
  ['3.1', Provider3],
]

const undo: (() => unknown)[] = []

afterEach(async () => {
  for (const run of undo.splice(0).reverse()) await run()
})

async function startNode(): Promise<NodeProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-yjs-'))
  undo.push(() => rmSync(directory, { recursive: true, force: true }))
  const node = await NodeProcess.start({ directory })
  undo.push(() => node.kill())
  return node
}

function connect(node: NodeProcess, Class: ProviderClass, room = 'dev/notes/shared') {
  const doc = new Y.Doc()
  const provider = new Class(`ws://127.0.0.1:${node.port}/yjs`, room, doc, { WebSocketPolyfill: WebSocket, disableBc: true })
  undo.push(() => {
    provider.destroy()
    doc.destroy()
  })
  return { doc, provider, text: doc.getText('text') }
}

const eventually = (condition: () => boolean, what: string): Promise<void> => until(condition, every(20), { what })

describe.each(providers)('WebsocketProvider %s', (_version, Class) => {
  test('given two of them, when both edit and show presence, then both have all, and one that comes later, too', async () => {
    const node = await startNode()
    const [first, second] = [connect(node, Class), connect(node, Class)]
    await eventually(() => first.provider.synced && second.provider.synced, 'both in sync')
    first.text.insert(0, 'left')
    second.text.insert(0, 'right')
    first.provider.awareness.setLocalState({ name: 'first' })
    await eventually(() => first.text.toString() === second.text.toString() && first.text.length === 9, 'both with both edits')
    await eventually(
      () => second.provider.awareness.getStates().has(first.provider.awareness.clientID),
      'presence of the first with the second',
    )
    const late = connect(node, Class)
    await eventually(() => late.provider.synced, 'the late one in sync')
    expect(late.text.toString()).toBe(first.text.toString())
  }, 60_000)

  test('given edits, when the node is killed and starts again, then they are there, and what was written meanwhile comes, too', async () => {
    const node = await startNode()
    const writer = connect(node, Class)
    await eventually(() => writer.provider.synced, 'in sync')
    writer.text.insert(0, 'before ')
    const witness = connect(node, Class)
    await eventually(() => witness.text.toString() === 'before ', 'the edit with a witness')
    await node.kill()
    await eventually(() => !writer.provider.wsconnected, 'the loss noticed')
    writer.text.insert(writer.text.length, 'offline')
    await node.start()
    const reader = connect(node, Class)
    await eventually(() => reader.text.toString() === 'before offline', 'both edits with a new client')
    await eventually(() => witness.text.toString() === 'before offline', 'both edits with the witness')
  }, 60_000)
})

describe('what a provider of 3.1 is closed for', () => {
  const closed = (provider: unknown): Promise<number> =>
    new Promise((resolve) => (provider as Provider3).on('closed', ({ code }: { readonly code: number }) => resolve(code)))

  test('given a room that is no name of a document, when it dials, then it is told so and stops', async () => {
    const node = await startNode()
    const { provider } = connect(node, Provider3, 'dev/Notes/x')
    expect(await closed(provider)).toBe(4400)
  }, 60_000)

  test('[SES3] given an update of 20 MiB in one message, when it comes, then that client stops, nothing is stored, and others go on', async () => {
    const node = await startNode()
    const [large, other] = [connect(node, Provider3), connect(node, Provider3)]
    await eventually(() => large.provider.synced && other.provider.synced, 'both in sync')
    const code = closed(large.provider)
    large.text.insert(0, 'x'.repeat(20 * 1024 * 1024))
    expect(await code).toBe(4413)
    other.text.insert(0, 'y')
    const late = connect(node, Provider3)
    await eventually(() => late.text.toString() === 'y', 'the edit of the other')
  }, 60_000)
})
