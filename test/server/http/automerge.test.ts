/** Documents of Automerge on a real node: written on the native wire, read, edited and written over HTTP, compacted, there after a restart. */

import * as A from '@automerge/automerge'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as Y from 'yjs'
import { attach, hello, RawClient } from '../support/raw-client.js'
import { startTestNode, temporaryFolder, useTestNode } from '../support/running-node.js'

interface Note {
  text?: string
  list?: unknown[]
}

const octets = { 'content-type': 'application/octet-stream' }

async function rawClient(url: string, document: string): Promise<RawClient> {
  const client = await new RawClient(url).open()
  onTestFinished(() => client.socket.terminate())
  client.send(hello(), attach(1, document, 'automerge'))
  return client
}

const push = (client: RawClient, counter: number, payload: Uint8Array): void =>
  client.send({ type: 'push', channel: 1, counter, payload })

function written(edits: readonly ((draft: Note) => void)[], from: A.Doc<Note> = A.init()): A.Doc<Note> {
  return edits.reduce((doc, edit) => A.change(doc, edit), from)
}

const read = (bytes: ArrayBuffer): A.Doc<Note> => A.loadIncremental(A.init<Note>(), new Uint8Array(bytes))

describe('an Automerge document on a node', () => {
  const node = useTestNode()
  let names = 0
  const fresh = (): string => `dev/automerge/${++names}`
  const at = (name: string, query = ''): string => `${node().url}/v1/documents/${name}${query}`
  const bytesAt = async (name: string, query: string): Promise<ArrayBuffer> => (await fetch(at(name, query))).arrayBuffer()

  const hello2 = [
    (draft: Note) => {
      draft.text = 'hello'
      draft.list = [1, { a: null }]
    },
    (draft: Note) => A.splice(draft, ['text'], 5, 0, ' world'),
  ]

  it('given changes on the native wire, then they are durable, delivered to another client, and read as JSON, text and changes', async () => {
    const name = fresh()
    const writer = await rawClient(node().url, name)
    const reader = await rawClient(node().url, name)
    await reader.frame('attached')
    const doc = written(hello2)
    const changes = A.getAllChanges(doc)
    for (const [index, change] of changes.entries()) push(writer, index + 1, change)
    await writer.frame('ack', ({ counter }) => counter === 2)
    const second = Buffer.from(changes[1] ?? [])
    await reader.frame('update', ({ payload }) => second.equals(payload))
    expect(await (await fetch(at(name))).json()).toEqual({ text: 'hello world', list: [1, { a: null }] })
    expect(await (await fetch(at(name, '?as=text&root=text'))).text()).toBe('hello world')
    expect(A.getHeads(read(await bytesAt(name, '?as=update')))).toEqual(A.getHeads(doc))
    const heads = Buffer.from(A.getHeads(doc).join(''), 'hex').toString('base64url')
    expect((await bytesAt(name, `?as=update&since=${heads}`)).byteLength).toBe(0)
  })

  it('given a document begun, patched and written over HTTP, then clients of the native wire get each as a change, and equal templates are one', async () => {
    const name = fresh()
    const put = (content: unknown): Promise<Response> =>
      fetch(at(name, '?engine=automerge'), {
        method: 'PUT',
        headers: { 'if-none-match': '*', 'content-type': 'application/json' },
        body: JSON.stringify(content),
      })
    expect((await put({ text: 'one', list: [] })).status).toBe(201)
    expect((await put({ text: 'two' })).status).toBe(412)
    const client = await rawClient(node().url, name)
    await client.frame('current')
    const patch = (body: unknown, type = 'application/json-patch+json'): Promise<Response> =>
      fetch(at(name), { method: 'PATCH', headers: { 'content-type': type }, body: JSON.stringify(body) })
    const patched = await patch([
      { op: 'test', path: '/text', value: 'one' },
      { op: 'add', path: '/list/-', value: { a: 1 } },
    ])
    expect(patched.status).toBe(200)
    expect((await patch({ text: 'one more' }, 'application/merge-patch+json')).status).toBe(200)
    expect((await patch([{ op: 'remove', path: '/nothing' }])).status).toBe(422)
    let doc = read(await bytesAt(name, '?as=update'))
    expect(A.toJS(doc)).toEqual({ text: 'one more', list: [{ a: 1 }] })
    const heads = A.getHeads(doc)
    doc = A.change(doc, (draft) => A.splice(draft, ['text'], 0, 3, 'two'))
    const [change = new Uint8Array()] = A.getChangesSince(doc, heads)
    expect((await fetch(at(name), { method: 'POST', headers: octets, body: change.slice() })).status).toBe(200)
    await client.frame('update', ({ payload }) => Buffer.from(change).equals(payload))
    expect(await (await fetch(at(name, '?as=text'))).text()).toBe('two more')
  })

  it('given a document of one engine, when it is opened or written as of the other, then ENGINE_MISMATCH, also for who opened it while it was empty', async () => {
    const name = fresh()
    const early = await new RawClient(node().url).open()
    onTestFinished(() => early.socket.terminate())
    early.send(hello(), attach(1, name))
    await early.frame('current')
    const writer = await rawClient(node().url, name)
    push(writer, 1, A.getAllChanges(written(hello2.slice(0, 1)))[0] ?? new Uint8Array())
    await writer.frame('ack')
    expect(await early.frame('denied')).toMatchObject({ channel: 1, code: 'ENGINE_MISMATCH' })
    expect(early.frames.some(({ type }) => type === 'update')).toBe(false)
    const update = Y.encodeStateAsUpdate(new Y.Doc())
    const refused = await fetch(at(name, '?engine=yjs'), { method: 'POST', headers: octets, body: update.slice() })
    expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'ENGINE_MISMATCH' }])
    const invalid = await fetch(at(name), { method: 'POST', headers: octets, body: update.slice() })
    expect(await invalid.json()).toMatchObject({ code: 'UPDATE_INVALID' })
  })

  it('given a change whose author and number another one has, then it is refused, and its author goes on', async () => {
    const name = fresh()
    const actor = '0123456789abcdef0123456789abcdef'
    const [one, other] = ['one', 'other'].map((text) => written([(draft) => void (draft.text = text)], A.init<Note>({ actor })))
    const writer = await rawClient(node().url, name)
    push(writer, 1, A.getAllChanges(one as A.Doc<Note>)[0] ?? new Uint8Array())
    push(writer, 2, A.getAllChanges(other as A.Doc<Note>)[0] ?? new Uint8Array())
    await writer.frame('ack')
    expect(await writer.frame('refused')).toMatchObject({ counter: 2, code: 'UPDATE_INVALID' })
    expect(await (await fetch(at(name))).json()).toEqual({ text: 'one' })
  })
})

it('given Automerge and Yjs documents, when they are compacted and the node restarts, then both are as they were', async () => {
  const dataDir = await temporaryFolder()
  const flags = { dataDir, 'compaction.openEntries': '8', 'compaction.restMs': '0' }
  const first = await startTestNode(flags)
  const typing = Array.from({ length: 40 }, (_, index) => (draft: Note) => {
    if (index === 0) draft.text = 'x'
    else A.splice(draft, ['text'], index, 0, 'x')
  })
  const doc = written(typing)
  const writer = await rawClient(first.node.url, 'dev/automerge/kept')
  for (const [index, change] of A.getAllChanges(doc).entries()) {
    push(writer, index + 1, change)
    await writer.frame('ack', ({ counter }) => counter > index)
  }
  const compacted = async (): Promise<boolean> =>
    /meridian_compactions_total\{[^}]*result="done"[^}]*\} [1-9]/.test(await (await fetch(`${first.node.url}/metrics`)).text())
  await expect.poll(compacted, { timeout: 60_000, interval: 100 }).toBe(true)
  const yjs = { method: 'PUT', headers: { 'if-none-match': '*', 'content-type': 'application/json' }, body: '{"text":"y"}' }
  expect((await fetch(`${first.node.url}/v1/documents/dev/automerge/other`, yjs)).status).toBe(201)
  await first.node.close()

  const { node } = await startTestNode(flags)
  const get = async (path: string): Promise<unknown> => (await fetch(`${node.url}/v1/documents/dev/automerge/${path}`)).json()
  expect([await get('kept'), await get('other')]).toEqual([{ text: 'x'.repeat(40) }, { text: 'y' }])
  const again = await rawClient(node.url, 'dev/automerge/kept')
  push(again, 1, A.getAllChanges(A.change(doc, (draft) => A.splice(draft, ['text'], 0, 0, 'y')))[40] ?? new Uint8Array())
  await again.frame('ack')
  expect(await get('kept')).toEqual({ text: `y${'x'.repeat(40)}` })
  const list = await (await fetch(`${node.url}/v1/collections/dev/automerge`)).json()
  expect(list).toMatchObject({
    documents: [
      { key: 'kept', engine: 'automerge' },
      { key: 'other', engine: 'yjs' },
    ],
  })
})
