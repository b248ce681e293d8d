/** `Repo` with `WebSocketClientAdapter` of automerge-repo, unmodified, against a real node process. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateAutomergeUrl, type PeerId, Repo } from '@automerge/automerge-repo'
import { WebSocketClientAdapter } from '@automerge/automerge-repo-network-websocket'
import { afterEach, expect, test } from 'vitest'
import { NodeProcess } from './node-process.js'
import { every, until } from './waiting.js'

interface Note {
  text: string
  from?: string
}

const undo: (() => unknown)[] = []

afterEach(async () => {
  for (const run of undo.splice(0).reverse()) await run()
})

function connect({ port }: NodeProcess, peerId: string): Repo {
  const repo = new Repo({
    network: [new WebSocketClientAdapter(`ws://127.0.0.1:${port}/automerge`, 200)],
    peerId: peerId as PeerId,
  })
  undo.push(() => repo.shutdown())
  return repo
}

const eventually = (condition: () => boolean, what: string): Promise<void> => until(condition, every(20), { what })

test('given a repo that creates a document, when others edit it and the node starts again, then all have all, and who asks for another hears that it is not there', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-automerge-'))
  undo.push(() => rmSync(directory, { recursive: true, force: true }))
  let node = await NodeProcess.start({ directory, flags: [] })
  undo.push(() => node.kill())
  const first = connect(node, 'first')
  const created = first.create<Note>({ text: 'one' })
  const second = connect(node, 'second')
  // It may ask before the first has said anything.
  const other = await second.find<Note>(created.url, { allowableStates: ['ready', 'unavailable'] })
  await eventually(() => other.isReady(), 'the second with the document')
  expect(other.doc().text).toBe('one')

  created.change((doc) => void (doc.text = 'two'))
  await eventually(() => other.doc().text === 'two', 'the edit of the first with the second')
  other.change((doc) => void (doc.from = 'second'))
  await eventually(() => created.doc().from === 'second', 'the edit of the second with the first')

  const heard: unknown[] = []
  created.on('ephemeral-message', ({ message }) => heard.push(message))
  other.broadcast({ cursor: 3 })
  await eventually(() => heard.length > 0, 'an ephemeral message')
  expect(heard).toEqual([{ cursor: 3 }])
  await expect(second.find<Note>(generateAutomergeUrl())).rejects.toThrow(/unavailable/)

  await node.kill()
  node = await NodeProcess.start({ directory, flags: [] })
  const third = connect(node, 'third')
  const again = await third.find<Note>(created.url)
  expect(again.doc()).toEqual({ text: 'two', from: 'second' })
})
