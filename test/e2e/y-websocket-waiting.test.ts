/**
 * Providers whose document waits for updates that nobody has yet (`doc.store.pendingStructs`, as after an update from elsewhere): what they
 * send at a connection holds that along with their own edits, which are stored and reach others all the same.
 */

import { afterEach, describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { Author } from '../sim/peer.js'
import { NodeProcess } from './node-process.js'
import { Editor, eventually, type ProviderVersion, providerVersions } from './providers.js'
import { Resources } from './resources.js'
import { traceTextName } from '../traces.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const room = 'dev/notes/waiting'

/** An update and what it builds on, by an author who is nowhere connected. */
function twoSteps(): { readonly foundation: Uint8Array; readonly rest: Uint8Array } {
  const author = new Author(77)
  const [foundation = new Uint8Array(), rest = new Uint8Array()] = ['elsewhere ', 'and on '].map((content) =>
    author.edit((doc) => doc.getText(traceTextName).insert(doc.getText(traceTextName).length, content)),
  )
  return { foundation, rest }
}

const isWaiting = (doc: Y.Doc): boolean => doc.store.pendingStructs !== null

describe.each(providerVersions)('WebsocketProvider %s with a document that waits', (version: ProviderVersion) => {
  test('[SES2] given edits before, while and after it waits, when the node is killed, then they are there, and what it waited for makes the rest whole', async () => {
    const node = resources.own(await NodeProcess.start({ directory: resources.directory() }))
    const open = (doc?: Y.Doc): Editor =>
      resources.own(new Editor({ version, port: node.port, room, ...(doc === undefined ? {} : { doc }) }))
    const { foundation, rest } = twoSteps()
    const doc = new Y.Doc()
    doc.getText(traceTextName).insert(0, 'offline ')
    Y.applyUpdate(doc, rest)
    expect(isWaiting(doc)).toBe(true)

    const witness = await open().synced()
    const editor = await open(doc).synced()
    await witness.reads('offline ')
    editor.text.insert(editor.text.length, 'online ')
    await witness.reads('offline online ')
    expect(isWaiting(doc)).toBe(true)

    await node.kill()
    await eventually(() => !editor.provider.wsconnected, 'the loss to be noticed')
    editor.text.insert(editor.text.length, 'between ')
    await node.start()
    const late = await open().synced()
    await late.reads('offline online between ')
    editor.text.insert(editor.text.length, 'again ')
    await late.reads('offline online between again ')
    await node.restart()
    await (await open().synced()).reads('offline online between again ')

    // Past the time that the node keeps the rest: it asks for it again.
    Y.applyUpdate(late.doc, foundation)
    await eventually(() => !isWaiting(doc), 'what the document waited for')
    const whole = editor.text.toString()
    expect(whole).toContain('elsewhere and on ')
    await late.reads(whole, 60_000)
    await node.restart()
    await (await open().synced()).reads(whole)
  }, 180_000)
})
