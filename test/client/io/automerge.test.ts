/** Documents of Automerge in a client's store, against a real node: edits of two clients, offline, across openings, beside documents of Yjs. */

import { join } from 'node:path'
import { connect, type Store } from '@meridian/client'
import { openAutomerge } from '@meridian/client/automerge'
import { expect, it, onTestFinished } from 'vitest'
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
