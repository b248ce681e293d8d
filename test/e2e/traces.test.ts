/** What people typed, through real clients, sockets and a node with its disk: every replica ends with the text of the trace, and so does the store. */

import { afterEach, expect, it } from 'vitest'
import type * as Y from 'yjs'
import { SeededRandom } from '../sim/random.js'
import { concurrentUpdates, loadTrace } from '../traces.js'
import { Device, digestOf, readFresh, textOf } from './devices.js'
import { NodeProcess } from './node-process.js'
import { Resources } from './resources.js'
import { Authors, breathe, typeTrace } from './typing.js'
import { every, nextPush, onDocument, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const startNode = async (): Promise<NodeProcess> => resources.own(await NodeProcess.start({ directory: resources.directory() }))
const device = (node: NodeProcess, path?: string): Device => resources.own(new Device({ url: node.url, path }))

/** The digests of what clients hold and what the node gives a new one, before and after it was stopped and after it was killed. */
async function expectEverywhere(node: NodeProcess, name: string, ydocs: readonly Y.Doc[]): Promise<void> {
  const digests = ydocs.map(digestOf)
  const digest = digests[0] ?? ''
  expect(digests).toEqual(ydocs.map(() => digest))
  expect(await readFresh(node.url, name, digestOf)).toBe(digest)
  expect(await node.stop()).toEqual({ code: 0, signal: null })
  await node.start()
  expect(await readFresh(node.url, name, digestOf)).toBe(digest)
  await node.restart()
  expect(await readFresh(node.url, name, digestOf)).toBe(digest)
}

const compactions = async (node: NodeProcess): Promise<number> =>
  (await node.metrics()).get('meridian_compactions_total{result="done"}') ?? 0

it('[CLI2] given automerge-paper typed edit by edit at a client, when all is saved, then a reader, the node and its compacted store end with its text', async () => {
  const trace = loadTrace('automerge-paper')
  const node = await startNode()
  const reader = device(node)
  const writer = device(node)
  const read = reader.open('papers/automerge')
  const written = writer.open('papers/automerge')
  await within(Promise.all([read.ready, written.ready]), 'both clients to be ready')

  await typeTrace(written, trace)
  await within(written.saved(), () => `the writer to be saved; ${JSON.stringify(written.status)}`)
  expect(textOf(written.ydoc).toString()).toBe(trace.endContent)
  const text = textOf(read.ydoc)
  await until(() => text.length === trace.endContent.length && text.toString() === trace.endContent, onDocument(read.ydoc), {
    what: () => `the reader to have the text; it has ${text.length} characters, ${JSON.stringify(read.status)}`,
  })

  // Each edit was a push of its own, and the document was compacted on the way.
  expect((await node.metrics()).get('meridian_entries_total')).toBeGreaterThanOrEqual(trace.txns.length)
  expect(await compactions(node)).toBeGreaterThan(0)
  await expectEverywhere(node, 'papers/automerge', [written.ydoc, read.ydoc])
  expect(await readFresh(node.url, 'papers/automerge', (ydoc) => textOf(ydoc).toString())).toBe(trace.endContent)
  expect([...reader.errors, ...writer.errors]).toEqual([])
}, 120_000)

it('[SES1] given friendsforever given to two clients, each author its own, when all is saved, then every replica ends with its text', async () => {
  const trace = loadTrace('friendsforever')
  const authors = new Authors(concurrentUpdates(trace))
  const node = await startNode()
  const handles = [0, 1].map((author) => device(node, `${resources.directory()}/author-${author}.db`).open('chats/friends'))
  const reader = device(node).open('chats/friends')
  await within(Promise.all([...handles, reader].map((handle) => handle.ready)), 'the clients to be ready')

  await Promise.all(handles.map((handle, author) => authors.giveAll(author, handle)))
  await within(Promise.all(handles.map((handle) => handle.saved())), 'both authors to be saved')
  for (const { ydoc } of [...handles, reader]) {
    await until(() => textOf(ydoc).toString() === trace.endContent, onDocument(ydoc), { what: 'a replica to have the end text' })
  }
  await expectEverywhere(
    node,
    'chats/friends',
    [...handles, reader].map(({ ydoc }) => ydoc),
  )
  expect(await readFresh(node.url, 'chats/friends', (ydoc) => textOf(ydoc).toString())).toBe(trace.endContent)
}, 120_000)

it('[SES1] given two clients with random ids that type into one text at once, when both are saved, then both hold each insertion once and no deletion', async () => {
  const editCount = 2_500
  const node = await startNode()
  const handles = [0, 1].map(() => device(node).open('notes/live'))
  await within(Promise.all(handles.map((handle) => handle.ready)), 'the clients to be ready')

  // A character of the private use area for each insertion, so that counting finds what is lost or doubled.
  const kept = new Set<string>()
  const type = async (handle: (typeof handles)[number], author: number): Promise<void> => {
    const random = new SeededRandom(100 + author)
    const text = textOf(handle.ydoc)
    const own: string[] = []
    for (let index = 0; index < editCount; index++) {
      if (random.chance(0.2) && own.length > 0) {
        const victim = own.splice(random.below(own.length), 1)[0] ?? ''
        kept.delete(victim)
        text.delete(text.toString().indexOf(victim), 1)
      } else {
        const character = String.fromCharCode(0xe000 + author * editCount + index)
        own.push(character)
        kept.add(character)
        text.insert(random.below(text.length + 1), character)
      }
      await nextPush()
      if (index % 8 === 0) await breathe(handle)
    }
    await handle.saved()
  }
  await within(Promise.all(handles.map(type)), 'both to be saved')
  const expected = [...kept].toSorted()
  for (const { ydoc } of handles) {
    await until(() => textOf(ydoc).length === expected.length, onDocument(ydoc), {
      what: () => `${expected.length} characters; there are ${textOf(ydoc).length}`,
    })
    expect([...textOf(ydoc).toString()].toSorted()).toEqual(expected)
  }
  await until(() => new Set(handles.map(({ ydoc }) => digestOf(ydoc))).size === 1, every(20), { what: 'equal replicas' })
  await expectEverywhere(
    node,
    'notes/live',
    handles.map(({ ydoc }) => ydoc),
  )
}, 60_000)
