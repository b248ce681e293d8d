/** One document by HTTP and by providers of y-websocket at once: it begins once, and what was erased stays so. */

import { afterEach, describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { textOf } from './devices.js'
import { NodeProcess } from './node-process.js'
import { Editor, eventually, providerVersions } from './providers.js'
import { Resources } from './resources.js'
import { pause } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const startNode = async (): Promise<NodeProcess> => resources.own(await NodeProcess.start({ directory: resources.directory() }))

const documentUrl = (node: NodeProcess, room: string): string => `${node.url}/v1/documents/${room}`

function put(node: NodeProcess, room: string, body: string | Uint8Array<ArrayBuffer>): Promise<Response> {
  const type = typeof body === 'string' ? 'application/json' : 'application/octet-stream'
  return fetch(documentUrl(node, room), { method: 'PUT', headers: { 'if-none-match': '*', 'content-type': type }, body })
}

describe.each(providerVersions)('WebsocketProvider %s', (version) => {
  it('given a template that HTTP and providers seed a document with at once, when all are done, then it is there once', async () => {
    const node = await startNode()
    const template = JSON.stringify({ text: 'begun once' })
    expect((await put(node, 'dev/notes/pattern', template)).status).toBe(201)
    const answer = await fetch(documentUrl(node, 'dev/notes/pattern'), { headers: { accept: 'application/octet-stream' } })
    const seed = new Uint8Array(await answer.arrayBuffer())

    for (let round = 0; round < 5; round++) {
      const room = `dev/notes/seeded-${round}`
      const doc = new Y.Doc()
      const [editor, other] = [
        resources.own(new Editor({ version, port: node.port, room, doc })),
        resources.own(new Editor({ version, port: node.port, room })),
      ]
      if (round % 2 === 1) await other.synced()
      const puts = [put(node, room, template), put(node, room, seed), put(node, room, template)]
      Y.applyUpdate(doc, seed)
      const statuses = (await Promise.all(puts)).map(({ status }) => status)
      expect(statuses.filter((status) => status === 201).length).toBeLessThanOrEqual(1)
      expect(statuses.every((status) => status === 201 || status === 412)).toBe(true)
      await editor.synced()
      await other.reads('begun once')
      expect(textOf(doc).toString()).toBe('begun once')
      expect(await (await fetch(documentUrl(node, room))).json()).toEqual({ text: 'begun once' })
    }
  }, 60_000)

  it('[RES7] given a document that a provider has open, when it is erased over HTTP, then the provider is told for good, does not loop, and brings nothing back', async () => {
    const node = await startNode()
    const room = 'dev/notes/secret'
    const [editor, other] = [
      resources.own(new Editor({ version, port: node.port, room })),
      resources.own(new Editor({ version, port: node.port, room: 'dev/notes/other' })),
    ]
    await Promise.all([editor.synced(), other.synced()])
    editor.text.insert(0, 'to be forgotten')
    await eventually(() => editor.provider.synced, 'the provider to be in sync')
    await untilAnswer(node, room, 200)
    expect((await fetch(documentUrl(node, room), { method: 'DELETE' })).status).toBeLessThan(300)
    await eventually(() => editor.closes.length > 0, 'the close')
    expect(editor.closes[0]).toEqual({ code: 4410, reason: 'ERASED' })
    editor.text.insert(0, 'it is ')
    const before = editor.dialCount
    await pause(4_000)
    expect(editor.dialCount - before).toBeLessThanOrEqual(version === '3.1' ? 0 : 5)
    for (const { code } of editor.closes) expect(code).toBe(4410)
    expect((await fetch(documentUrl(node, room))).status).toBe(410)
    await node.restart()
    editor.provider.connect()
    await pause(2_500)
    expect((await fetch(documentUrl(node, room))).status).toBe(410)

    // Its next life knows nothing of the one before, however often somebody who has a copy of that comes again.
    expect((await put(node, room, JSON.stringify({ text: 'anew' }))).status).toBe(201)
    editor.provider.connect()
    await pause(2_500)
    expect(editor.closes.at(-1)?.code).toBe(4410)
    const late = await resources.own(new Editor({ version, port: node.port, room })).synced()
    await late.reads('anew')
    late.text.insert(0, 'begun ')
    const witness = await resources.own(new Editor({ version, port: node.port, room })).synced()
    await witness.reads('begun anew')
    await node.restart()
    witness.text.insert(0, 'well ')
    await Promise.all([late.synced(), witness.synced()])
    await late.reads('well begun anew')
    expect(await (await fetch(documentUrl(node, room))).json()).toEqual({ text: 'well begun anew' })
    await other.synced()
    expect(other.closes.every(({ code }) => code === 1006)).toBe(true)
  }, 90_000)
})

/** What was typed is on its way until the node can read it. */
async function untilAnswer(node: NodeProcess, room: string, status: number): Promise<void> {
  for (let look = 0; look < 100; look++) {
    if ((await fetch(documentUrl(node, room))).status === status) return
    await pause(20)
  }
  throw new Error(`no answer ${status} in time`)
}
