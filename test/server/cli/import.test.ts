/** The import of a y-leveldb store that y-leveldb wrote, into a real node, by the real command. */

import { join } from 'node:path'
import { LeveldbPersistence } from 'y-leveldb'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { makeHistory, readerOf, shownBy } from '../../core/engines/yjs-edits.js'
import { run } from '../support/cli.js'
import { startTestNode, temporaryFolder } from '../support/running-node.js'

async function storeOf(documents: Readonly<Record<string, readonly Uint8Array[]>>): Promise<string> {
  const folder = join(await temporaryFolder(), 'store')
  const persistence = new LeveldbPersistence(folder)
  for (const [name, updates] of Object.entries(documents))
    for (const update of updates) await persistence.storeUpdate(name, update)
  await persistence.destroy()
  return folder
}

function text(value: string, client = 1): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = client
  doc.getText('text').insert(0, value)
  return Y.encodeStateAsUpdate(doc)
}

const counts = (stdout: string): Record<string, number> =>
  Object.fromEntries([...stdout.matchAll(/^ +(\d+) (\w+)/gm)].map(([, count, name]) => [name, Number(count)]))

describe('meridian import y-leveldb', () => {
  it('given a store, then every document is there and shows the same; names that are not canonical are reported; again, and nothing is new', async () => {
    const histories = Object.fromEntries(Array.from({ length: 12 }, (_, seed) => [`doc/${seed}`, makeHistory(seed).updates]))
    const folder = await storeOf({
      ...histories,
      'a b c': [text('spaces')],
      '\u00fcber': [text('umlaut')],
      'a//b': [text('no')],
      'what?': [text('no')],
    })
    const { node } = await startTestNode()
    const args = ['import', 'y-leveldb', folder, '--into', 'dev/notes', '--url', node.url]
    const first = await run(args)
    expect(counts(first.stdout)).toEqual({ imported: 14, merged: 0, same: 0, newer: 0, refused: 2, failed: 0 })
    expect(first.code).toBe(1)
    expect(first.stdout).toMatch(/refused "a\/\/b": No segment of a key is empty/)
    expect(first.stdout).toMatch(/refused "what\?": A key holds no/)
    expect(first.stderr).toMatch(/16 of 16 documents/)
    for (const [name, updates] of Object.entries(histories)) {
      const bytes = await (await fetch(`${node.url}/v1/documents/dev/notes/${name}?as=update`)).arrayBuffer()
      expect(shownBy(readerOf([new Uint8Array(bytes)])), name).toBe(shownBy(readerOf(updates)))
    }
    const again = await run(args)
    expect(counts(again.stdout)).toEqual({ imported: 0, merged: 0, same: 14, newer: 0, refused: 2, failed: 0 })
    const source = new LeveldbPersistence(folder)
    expect(shownBy(await source.getYDoc('doc/3'))).toBe(shownBy(readerOf(histories['doc/3'] ?? [])))
    await source.destroy()
  }, 60_000)

  it('given a region that went on, and a source that did, then nothing of either is lost, and nothing is there twice', async () => {
    const folder = await storeOf({ kept: [text('base')], changed: [text('base')] })
    const { node } = await startTestNode()
    const args = ['import', 'y-leveldb', folder, '--into', 'dev/notes', '--url', node.url]
    expect(counts((await run(args)).stdout)).toMatchObject({ imported: 2 })
    for (const key of ['kept', 'changed']) {
      await fetch(`${node.url}/v1/documents/dev/notes/${key}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/merge-patch+json' },
        body: JSON.stringify({ text: 'base, and more' }),
      })
    }
    const source = new LeveldbPersistence(folder)
    const doc = await source.getYDoc('changed')
    doc.clientID = 9
    doc.getText('text').insert(0, 'late ')
    await source.storeUpdate('changed', Y.encodeStateAsUpdate(doc))
    await source.destroy()
    const again = await run(args)
    expect([again.code, counts(again.stdout)]).toEqual([0, { imported: 0, merged: 1, same: 0, newer: 1, refused: 0, failed: 0 }])
    expect(await (await fetch(`${node.url}/v1/documents/dev/notes/changed`)).json()).toEqual({ text: 'late base, and more' })
    expect(await (await fetch(`${node.url}/v1/documents/dev/notes/kept`)).json()).toEqual({ text: 'base, and more' })
  }, 60_000)

  it.each<[string, (folder: string) => string[], RegExp]>([
    ['a folder that is no store', () => ['/nowhere/at/all', '--into', 'dev/notes'], /is no LevelDB/],
    ['a wrong place', (folder) => [folder, '--into', 'dev'], /--into is tenant\/collection/],
    ['no place', (folder) => [folder], /--into/],
    ['a token file that is not there', (folder) => [folder, '--into', 'dev/notes', '--token-file', '/nowhere'], /--token-file/],
  ])('given %s, then it says what to do and exits with 2', async (_name, args, said) => {
    const ended = await run(['import', 'y-leveldb', ...args(await storeOf({ a: [text('a')] }))])
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(said)])
  })

  it('given an update in the source that builds on one that is lost, then that document fails and the others come', async () => {
    const doc = new Y.Doc()
    const updates: Uint8Array[] = []
    doc.on('update', (update: Uint8Array) => updates.push(update))
    for (const letter of 'abc') doc.getText('text').insert(0, letter)
    const folder = await storeOf({ whole: [text('fine')], holed: updates.filter((_, index) => index !== 1) })
    const { node } = await startTestNode()
    const ended = await run(['import', 'y-leveldb', folder, '--into', 'dev/notes', '--url', node.url])
    expect([ended.code, counts(ended.stdout)]).toMatchObject([1, { imported: 1, failed: 1 }])
    expect(ended.stdout).toMatch(/failed "holed": .*builds? on something/)
  })
})
