/** What people typed, through unmodified providers of y-websocket and beside a client of the native wire, under cuts and `kill -9`: every replica ends with the text of the trace. */

import { afterEach, expect, it } from 'vitest'
import type * as Y from 'yjs'
import { SeededRandom } from '../sim/random.js'
import { concurrentUpdates, loadTrace } from '../traces.js'
import { CutProxy } from './cut-proxy.js'
import { Device, digestOf, readFresh, textOf } from './devices.js'
import { NodeProcess } from './node-process.js'
import { Editor, eventually } from './providers.js'
import { Resources } from './resources.js'
import { Authors } from './typing.js'
import { onDocument, turn, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const startNode = async (): Promise<NodeProcess> => resources.own(await NodeProcess.start({ directory: resources.directory() }))

/** All of one author's updates, each as soon as its document holds what it builds on; `onUpdate` is told before each. */
async function type(authors: Authors, author: number, doc: Y.Doc, onUpdate?: (index: number) => void): Promise<void> {
  for (let index = 0; index < authors.count(author); index++) {
    await until(() => authors.mayGive(author, index, doc), onDocument(doc), {
      what: `author ${author} to see what update ${index} of ${authors.count(author)} builds on`,
    })
    onUpdate?.(index)
    await authors.give(author, index, doc)
    if (index % 32 === 0) await turn()
  }
}

/** Also for a new client of either wire, before and after the node was killed. */
async function expectEverywhere(node: NodeProcess, name: string, content: string, docs: readonly Y.Doc[]): Promise<void> {
  for (const doc of docs) {
    await eventually(
      () => textOf(doc).toString() === content,
      () => `the text of the trace; there are ${textOf(doc).length} characters`,
    )
  }
  const digests = docs.map(digestOf)
  const digest = digests[0] ?? ''
  expect(digests).toEqual(docs.map(() => digest))
  for (let opening = 0; opening < 2; opening++) {
    const late = new Editor({ version: '2.1', port: node.port, room: `dev/${name}` })
    try {
      await (await late.synced()).reads(content)
      expect(digestOf(late.doc)).toBe(digest)
    } finally {
      late.dispose()
    }
    expect(await readFresh(node.url, name, digestOf)).toBe(digest)
    if (opening === 0) await node.restart()
  }
}

it('[LOG1] given friendsforever through providers that are cut again and again and a node that is killed, when all is typed, then every replica ends with its text', async () => {
  const trace = loadTrace('friendsforever')
  const authors = new Authors(concurrentUpdates(trace))
  const node = await startNode()
  const proxy = resources.own(await CutProxy.start({ port: () => node.port }))
  const room = 'dev/chats/friends'
  const editors = (['1.5', '3.1'] as const).map((version) => resources.own(new Editor({ version, port: proxy.port, room })))
  const reader = resources.own(new Editor({ version: '2.1', port: proxy.port, room }))
  const all = [...editors, reader]
  await Promise.all(all.map((editor) => editor.synced()))

  const random = new SeededRandom(7)
  let cutCount = 0
  let restarts: Promise<unknown> = Promise.resolve()
  const count = authors.count(0)
  const kills = new Set([Math.floor(count / 4), Math.floor(count / 2)])
  await Promise.all(
    editors.map(({ doc }, author) =>
      type(authors, author, doc, (index) => {
        if (author !== 0) return
        if (kills.has(index)) restarts = restarts.then(() => node.restart())
        if (index % 600 !== 300) return
        cutCount++
        if (random.chance(0.5)) proxy.cut()
        else proxy.resetAfter(random.below(2_000))
      }),
    ),
  )
  await restarts
  expect(node.killCount).toBe(2)
  expect(cutCount).toBeGreaterThan(10)
  expect(Math.min(...all.map((editor) => editor.dialCount))).toBeGreaterThan(5)
  await expectEverywhere(
    node,
    'chats/friends',
    trace.endContent,
    all.map(({ doc }) => doc),
  )
}, 240_000)

it('[SES1] given friendsforever with one author on a native client and the other on a provider, when all is typed, then both end with its text', async () => {
  const trace = loadTrace('friendsforever')
  const authors = new Authors(concurrentUpdates(trace))
  const node = await startNode()
  const proxy = resources.own(await CutProxy.start({ port: () => node.port }))
  const device = resources.own(new Device({ url: proxy.url, path: `${resources.directory()}/author.db` }))
  const handle = device.open('chats/both')
  const editor = resources.own(new Editor({ version: '3.1', port: proxy.port, room: 'dev/chats/both' }))
  await Promise.all([within(handle.ready, 'the native client to be ready'), editor.synced()])

  await Promise.all([
    type(authors, 0, handle.ydoc, (index) => {
      if (index % 3_000 === 1_500) proxy.cut()
    }),
    type(authors, 1, editor.doc),
  ])
  await within(handle.saved(), 'the native client to be saved')
  await expectEverywhere(node, 'chats/both', trace.endContent, [handle.ydoc, editor.doc])
}, 240_000)

it.each(['1.5', '2.1', '3.1'] as const)(
  '[SES6] given a native client and provider %s on one document, when either shows presence or leaves, then the other sees it',
  async (version) => {
    const node = await startNode()
    const proxy = resources.own(await CutProxy.start({ port: () => node.port }))
    const handle = resources.own(new Device({ url: node.url })).open('notes/seen')
    const editor = resources.own(new Editor({ version, port: proxy.port, room: 'dev/notes/seen' }))
    await Promise.all([within(handle.ready, 'the native client to be ready'), editor.synced()])
    handle.presence.set({ name: 'native' })
    editor.provider.awareness.setLocalState({ name: 'provider' })
    const { clientID } = editor.provider.awareness
    const states = (): Map<number, Record<string, unknown>> => editor.provider.awareness.getStates()
    await eventually(() => states().get(handle.presence.clientId)?.['name'] === 'native', 'the native client at the provider')
    await eventually(() => handle.presence.peers.get(clientID)?.state['name'] === 'provider', 'the provider at the native client')
    // Again at once when the connection broke, and not only when the provider renews its state.
    proxy.cut()
    await eventually(() => !handle.presence.peers.has(clientID), 'the end of the provider at the native client')
    await eventually(() => handle.presence.peers.has(clientID), 'the provider again', 10_000)
    await eventually(() => states().has(handle.presence.clientId), 'the native client at the provider again', 20_000)
    handle.presence.set(null)
    await eventually(() => !states().has(handle.presence.clientId), 'the end of the native client at the provider')
    editor.dispose()
    await eventually(() => !handle.presence.peers.has(clientID), 'the end of the provider')
  },
  90_000,
)
