/** Documents of Automerge in a client's store, against a real node: edits of two clients, offline, across openings, beside documents of Yjs. */

import { join } from 'node:path'
import * as A from '@automerge/automerge'
import { connect, type Store } from '@meridian/client'
import { openAutomerge } from '@meridian/client/automerge'
import { describe, expect, it, onTestFinished } from 'vitest'
import { pinned, startClusterNodes } from '../../server/support/cluster-nodes.js'
import { startTestNode, temporaryFolder } from '../../server/support/running-node.js'

interface Note {
  text?: string
  list?: number[]
}

function storeAt(url: string, path?: string): Store {
  const store = connect({ url, tenant: 'dev', ...(path === undefined ? {} : { storage: { path } }) })
  onTestFinished(() => store.close())
  return store
}

/** Resolves when `isTrue` of what `subscribe` tells of. */
function until(handle: { subscribe(listener: () => void): () => void }, isTrue: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!isTrue()) return
      end()
      resolve()
    }
    const end = handle.subscribe(look)
    look()
  })
}

it('given two clients of one document, when both change it, then both show both, the history has each change, and HTTP reads it', async () => {
  const { node } = await startTestNode()
  const one = openAutomerge<Note>(storeAt(node.url), 'notes/1')
  const two = openAutomerge<Note>(storeAt(node.url), 'notes/1')
  one.change((draft) => (draft.text = 'one'), { message: 'begun' })
  await one.saved()
  await until(two, () => two.doc.text === 'one')
  two.change((draft) => (draft.list = [1, 2]))
  await two.saved()
  await until(one, () => one.doc.list?.length === 2)
  expect(one.doc).toEqual({ text: 'one', list: [1, 2] })
  expect(one.history.map(({ change }) => change.message)).toEqual(['begun', null])
  expect(one.history[0]?.snapshot).toEqual({ text: 'one' })
  expect(() =>
    one.change(() => {
      throw new Error('no')
    }),
  ).toThrow('no')
  expect(one.pending).toBe(0)
  const read = await fetch(`${node.url}/v1/documents/dev/notes/1`)
  expect(await read.json()).toEqual({ text: 'one', list: [1, 2] })
})

it('given changes made offline, when the store is opened again, then they are there, and pushed whether or not the document is opened', async () => {
  const folder = await temporaryFolder()
  const path = join(folder, 'store.db')
  const { node } = await startTestNode()
  const offline = connect({ url: node.url, tenant: 'dev', storage: { path }, autoConnect: false })
  const made = openAutomerge<Note>(offline, 'notes/2')
  made.change((draft) => (draft.text = 'made offline'))
  made.change((draft) => (draft.list = [3]))
  await made.stored()
  await offline.close()

  const pushing = storeAt(node.url, path)
  await until(pushing, () => pushing.status.connection.kind === 'online')
  const reader = openAutomerge<Note>(storeAt(node.url), 'notes/2')
  await until(reader, () => reader.doc.list !== undefined)
  expect(reader.doc).toEqual({ text: 'made offline', list: [3] })
  const again = openAutomerge<Note>(pushing, 'notes/2')
  expect(await again.ready).toBe('device')
  again.change((draft) => (draft.list = [...(draft.list ?? []), 4]))
  await again.saved()
  await until(reader, () => reader.doc.list?.length === 2)
})

it('given a document that is open as one engine, when it is opened as another, then ENGINE_MISMATCH, here at once and elsewhere from the region', async () => {
  const { node } = await startTestNode()
  const store = storeAt(node.url)
  const note = openAutomerge<Note>(store, 'notes/3')
  expect(() => store.open('notes/3')).toThrow(expect.objectContaining({ code: 'ENGINE_MISMATCH' }))
  note.change((draft) => (draft.text = 'a'))
  await note.saved()
  const other = storeAt(node.url).open('notes/3')
  await expect(other.ready).rejects.toMatchObject({ code: 'ENGINE_MISMATCH' })
  const drawing = store.open('notes/4')
  drawing.ydoc.getText('text').insert(0, 'y')
  await drawing.saved()
  expect(() => openAutomerge(store, 'notes/4')).toThrow(expect.objectContaining({ code: 'ENGINE_MISMATCH' }))
})

describe('an Automerge document in two regions', () => {
  const store = pinned('dev', { notes: { store: ['IE', 'US'] } })
  const read = async (url: string, name: string): Promise<unknown> => {
    const answer = await fetch(`${url}/v1/documents/dev/notes/${name}`)
    return answer.status === 200 ? answer.json() : undefined
  }
  const settled = async (urls: readonly string[], name: string, value: unknown): Promise<void> => {
    const shown = (): Promise<unknown[]> => Promise.all(urls.map((url) => read(url, name)))
    await expect.poll(shown, { timeout: 60_000, interval: 50 }).toEqual(urls.map(() => value))
  }

  it('given changes in each, then both show both, to clients and over HTTP', async () => {
    const cluster = await startClusterNodes(['eu-west', 'us-east'], { policies: { dev: store } })
    const urls = ['eu-west', 'us-east'].map((region) => cluster.url(region))
    const clients = urls.map((url) => openAutomerge<Note>(storeAt(url), 'notes/1'))
    clients[0]?.change((draft) => (draft.text = 'from eu'))
    clients[1]?.change((draft) => (draft.list = [1]))
    await settled(urls, '1', { text: 'from eu', list: [1] })
    for (const client of clients) await until(client, () => client.doc.text !== undefined && client.doc.list !== undefined)
  })

  it('[LINK8] given two changes of one author and number, one in each, then both regions show the same one, and others write on', async () => {
    const cluster = await startClusterNodes(['eu-west', 'us-east'], { policies: { dev: store } })
    const urls = ['eu-west', 'us-east'].map((region) => cluster.url(region))
    const actor = '0123456789abcdef0123456789abcdef'
    const changes = ['one', 'other'].map((text) => {
      const [change = new Uint8Array()] = A.getAllChanges(A.from<Record<string, unknown>>({ text }, { actor }))
      return change
    })
    for (const [index, url] of urls.entries()) {
      const headers = { 'content-type': 'application/octet-stream' }
      const body = changes[index]?.slice() ?? ''
      const pushed = await fetch(`${url}/v1/documents/dev/notes/2?engine=automerge`, { method: 'POST', headers, body })
      // The link may have been faster.
      expect([200, 422]).toContain(pushed.status)
    }
    const shown = async (): Promise<unknown[]> => Promise.all(urls.map((url) => read(url, '2')))
    await expect.poll(async () => new Set((await shown()).map((one) => JSON.stringify(one))).size, { timeout: 60_000 }).toBe(1)
    const [now] = (await shown()) as { text: string }[]
    const patch = { method: 'PATCH', headers: { 'content-type': 'application/merge-patch+json' }, body: '{"more":1}' }
    expect((await fetch(`${urls[1] ?? ''}/v1/documents/dev/notes/2`, patch)).status).toBe(200)
    await settled(urls, '2', { text: now?.text, more: 1 })
    expect(['one', 'other']).toContain(now?.text)
  })
})
