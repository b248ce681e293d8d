/** `Repo` with `WebSocketClientAdapter` of automerge-repo, unmodified, against a real node process. */

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cbor, generateAutomergeUrl, parseAutomergeUrl, type PeerId, Repo } from '@automerge/automerge-repo'
import { WebSocketClientAdapter } from '@automerge/automerge-repo-network-websocket'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { NodeProcess } from './node-process.js'
import { every, until } from './waiting.js'

interface Note {
  text: string
  from?: string
}

const { decode, encode } = cbor

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

test('given peers of the wire itself, when one joins twice, says what is no CBOR or sends no data, then the connection that is wrong ends with a typed close', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-automerge-'))
  undo.push(() => rmSync(directory, { recursive: true, force: true }))
  const node = await NodeProcess.start({ directory, flags: [] })
  undo.push(() => node.kill())
  const hello = encode({ type: 'join', senderId: 'twin', peerMetadata: {}, supportedProtocolVersions: ['1'] })
  const [older, newer] = [new Peer(node), new Peer(node)]
  await older.say(hello)
  await eventually(() => older.heard.length === 1, 'the answer to the join')
  expect(decode(older.heard[0] ?? new Uint8Array(0))).toMatchObject({
    type: 'peer',
    selectedProtocolVersion: '1',
    targetId: 'twin',
  })
  await newer.say(hello)
  await eventually(() => older.closed === '1000 CLOSED', 'the older connection to end')
  await eventually(() => newer.heard.length === 1, 'the newer one to be answered')
  const { documentId } = parseAutomergeUrl(generateAutomergeUrl())
  await newer.say(encode({ type: 'sync', senderId: 'twin', targetId: 'node', documentId, data: new Uint8Array(0) }))
  await eventually(() => newer.closed === '4400 FRAME_INVALID', 'the one without data to end')
  const third = new Peer(node)
  await third.say(new Uint8Array([0xff, 0xff]))
  await eventually(() => third.closed === '4400 FRAME_INVALID', 'the one without CBOR to end')
})

class Peer {
  readonly heard: Uint8Array[] = []
  closed = ''
  readonly #socket: WebSocket
  readonly #opened: Promise<unknown>

  constructor({ port }: NodeProcess) {
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/automerge`)
    this.#socket.on('message', (data: Buffer) => this.heard.push(new Uint8Array(data)))
    this.#socket.on('close', (code, reason) => (this.closed = `${code} ${reason.toString()}`))
    this.#opened = once(this.#socket, 'open')
    undo.push(() => this.#socket.terminate())
  }

  async say(bytes: Uint8Array): Promise<void> {
    await this.#opened
    this.#socket.send(bytes)
  }
}
