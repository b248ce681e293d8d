/**
 * What happens to people, by what happens × the version of the provider that they have, each against a node process of its own that asks for
 * tokens. In every cell: nobody else is disturbed, nobody dials in a hot loop, and the node does not grow with it.
 */

import { afterEach, describe, expect, test, vi } from 'vitest'
import { CutProxy } from './cut-proxy.js'
import { NodeProcess } from './node-process.js'
import {
  Editor,
  eventually,
  type OpenOptions,
  type ProviderVersion,
  providerVersions,
  residentBytes,
  secret,
  tokenOf,
} from './providers.js'
import { Resources } from './resources.js'
import { pause } from './waiting.js'

const MiB = 1024 * 1024
const room = 'acme/notes/shared'

const resources = new Resources()
afterEach(() => resources.dispose())

interface Scene {
  readonly version: ProviderVersion
  readonly node: NodeProcess
  open(options?: Partial<OpenOptions>): Editor
}

interface Happening {
  readonly name: string
  /** Mebibytes that the node may have more afterwards; what it reads and holds for a moment is among them. */
  readonly growthMib: number
  run(scene: Scene): Promise<void>
}

/** Dials in a second, all told: a provider that is refused comes again about once. */
const dialsASecond = 1.5

/** Nobody dials more often than that while nothing changes. */
async function expectCalm(editor: Editor, seconds: number): Promise<void> {
  const before = editor.dialCount
  await pause(seconds * 1_000)
  expect(editor.dialCount - before).toBeLessThanOrEqual(Math.ceil(seconds * dialsASecond))
}

const fresh: Happening = {
  name: 'fresh',
  growthMib: 64,
  async run({ open }) {
    const writer = await open().synced()
    writer.text.insert(0, 'all of it')
    await (await open().synced()).reads('all of it')
    const reader = open()
    let first: string | undefined
    reader.provider.on('sync', (isSynced: boolean) => {
      if (isSynced) first ??= reader.text.toString()
    })
    await reader.synced()
    // When it takes itself for in sync it has everything.
    expect(first).toBe('all of it')
    reader.text.insert(0, 'now ')
    await writer.reads('now all of it')
    reader.provider.awareness.setLocalState({ name: 'reader' })
    await eventually(() => writer.sees(reader.provider.awareness), 'presence of the reader')
    await expectCalm(reader, 1)
    expect(reader.dialCount).toBe(1)
  },
}

const reconnect: Happening = {
  name: 'reconnect',
  growthMib: 64,
  async run({ node, open }) {
    const proxy = resources.own(await CutProxy.start({ port: () => node.port }))
    const [cut, other] = [open({ port: proxy.port }), open()]
    await Promise.all([cut.synced(), other.synced()])
    cut.text.insert(0, 'before ')
    await other.reads('before ')
    cut.provider.awareness.setLocalState({ name: 'cut' })
    await eventually(() => other.sees(cut.provider.awareness), 'presence before')
    proxy.refuse()
    await eventually(() => !cut.provider.wsconnected, 'the cut to be noticed')
    cut.text.insert(cut.text.length, 'offline ')
    other.text.insert(0, 'meanwhile ')
    await expectCalm(cut, 2)
    proxy.setWeather({ kind: 'fine' })
    await cut.synced()
    await Promise.all([cut.reads('meanwhile before offline '), other.reads('meanwhile before offline ')])
    await eventually(() => other.sees(cut.provider.awareness), 'presence afterwards')
    proxy.cut()
    await eventually(() => !cut.provider.wsconnected, 'the second cut to be noticed')
    await cut.synced()
    await expectCalm(cut, 1)
  },
}

const expired: Happening = {
  name: 'expired token',
  growthMib: 64,
  async run({ version, open }) {
    const other = await open().synced()
    const editor = await open({ token: tokenOf({ expiresInMs: 4_000 }) }).synced()
    editor.text.insert(0, 'in time ')
    await other.reads('in time ')
    await eventually(() => !editor.provider.wsconnected, 'the token to end on the open socket')
    await eventually(() => editor.closes.length > 0, 'the close')
    expect(editor.closes[0]).toEqual({ code: 4402, reason: 'TOKEN_EXPIRED' })
    editor.text.insert(editor.text.length, 'too late ')
    await expectCalm(editor, 4)
    for (const { code } of editor.closes) expect(code).toBe(4402)
    expect(other.text.toString()).toBe('in time ')
    if (version === '3.1') expect(editor.dialCount).toBe(1)
    editor.renew(tokenOf())
    if (version === '3.1') editor.provider.connect()
    await editor.synced()
    await other.reads('in time too late ')
  },
}

const readOnly: Happening = {
  name: 'read-only',
  growthMib: 64,
  async run({ open }) {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    resources.later(() => warn.mockRestore())
    const writer = await open().synced()
    writer.text.insert(0, 'theirs ')
    const reader = await open({ token: tokenOf({ access: 'read', subject: 'grace' }) }).synced()
    await reader.reads('theirs ')
    reader.text.insert(0, 'mine ')
    reader.text.insert(0, 'and mine ')
    await eventually(() => warn.mock.calls.length > 0, 'the word that edits are not stored')
    writer.text.insert(writer.text.length, 'go on')
    await eventually(() => reader.text.toString().endsWith('theirs go on'), 'what others write')
    reader.provider.awareness.setLocalState({ name: 'reader' })
    await eventually(() => writer.sees(reader.provider.awareness), 'presence of who may read')
    await expectCalm(reader, 1)
    expect(reader.dialCount).toBe(1)
    expect(warn.mock.calls.filter(([text]) => String(text).startsWith('Permission denied'))).toHaveLength(1)
    await (await open().synced()).reads('theirs go on')
  },
}

const largeDocument: Happening = {
  name: '15 MB document',
  growthMib: 640,
  async run({ node, open }) {
    const content = 'x'.repeat(15_000_000)
    const writer = await open().synced()
    const reader = await open().synced()
    writer.text.insert(0, content)
    await reader.reads(content)
    const late = await open().synced()
    await late.reads(content)
    await node.restart()
    await Promise.all([writer.synced(), reader.synced()])
    writer.text.insert(0, 'y')
    await reader.reads(`y${content}`)
    await (await open().synced()).reads(`y${content}`)
    await expectCalm(writer, 1)
  },
}

const largeUpdate: Happening = {
  name: '50 MB update',
  growthMib: 64,
  async run({ version, open }) {
    const other = await open().synced()
    const editor = await open().synced()
    editor.text.insert(0, 'z'.repeat(50_000_000))
    await eventually(() => editor.closes.length > 0, 'the close')
    expect(editor.closes[0]).toEqual({ code: 4413, reason: 'FRAME_TOO_LARGE' })
    await expectCalm(editor, 4)
    for (const { code } of editor.closes) expect(code).toBe(4413)
    if (version === '3.1') expect(editor.dialCount).toBe(1)
    editor.dispose()
    other.text.insert(0, 'fine')
    await (await open().synced()).reads('fine')
  },
}

/** Writes 30 MB, and says how many bytes the node had more at the most. */
async function stream(node: NodeProcess, writer: Editor, reader: Editor): Promise<number> {
  const before = residentBytes(node)
  let most = before
  for (let index = 0; index < 300; index++) {
    writer.text.insert(0, String.fromCharCode(97 + (index % 26)).repeat(100_000))
    await pause(5)
    if (index % 10 === 0) most = Math.max(most, residentBytes(node))
  }
  await reader.reads(writer.text.toString())
  return Math.max(most, residentBytes(node)) - before
}

const slowReader: Happening = {
  name: 'slow reader',
  growthMib: 512,
  async run({ node, open }) {
    // The first stream warms everything up: the heap that it grew is there for the second, which has a reader that hardly reads.
    const alone = [open({ room: 'acme/notes/alone' }), open({ room: 'acme/notes/alone' })] as const
    await Promise.all(alone.map((one) => one.synced()))
    const withoutBytes = await stream(node, ...alone)
    for (const one of alone) one.dispose()

    const proxy = resources.own(await CutProxy.start({ port: () => node.port }))
    const slow = open({ port: proxy.port })
    const [writer, quick] = [open(), open()]
    await Promise.all([slow.synced(), writer.synced(), quick.synced()])
    proxy.setWeather({ kind: 'throttle', bytes: 256 })
    const withBytes = await stream(node, writer, quick)
    const content = writer.text.toString()
    expect(slow.text.length).toBeLessThan(content.length)
    // A queue of what was written would be another 30 MB and more.
    expect((withBytes - withoutBytes) / MiB).toBeLessThan(16)
    proxy.setWeather({ kind: 'fine' })
    await slow.reads(content)
    expect(slow.dialCount).toBe(1)
  },
}

const restart: Happening = {
  name: 'node restart',
  growthMib: 64,
  async run({ node, open }) {
    const [writer, witness] = [open(), open()]
    await Promise.all([writer.synced(), witness.synced()])
    writer.text.insert(0, 'seen ')
    await witness.reads('seen ')
    await node.kill()
    await eventually(() => !writer.provider.wsconnected && !witness.provider.wsconnected, 'the loss to be noticed')
    writer.text.insert(writer.text.length, 'offline ')
    const before = writer.dialCount
    await pause(3_000)
    // 100, 200, 400, … milliseconds between them, or the double.
    expect(writer.dialCount - before).toBeLessThanOrEqual(6)
    await node.start()
    await Promise.all([writer.synced(), witness.synced()])
    await witness.reads('seen offline ')
    await (await open().synced()).reads('seen offline ')
    expect(await node.stop()).toEqual({ code: 0, signal: null })
    await node.start()
    await (await open().synced()).reads('seen offline ')
  },
}

describe.each(providerVersions)('WebsocketProvider %s', (version) => {
  test.each([fresh, reconnect, expired, readOnly, largeDocument, largeUpdate, slowReader, restart])(
    '$name',
    async ({ run, growthMib }) => {
      const flags = ['--auth-clock-tolerance-ms', '0']
      const node = resources.own(await NodeProcess.start({ directory: resources.directory(), secret, flags }))
      const open = (options: Partial<OpenOptions> = {}): Editor =>
        resources.own(new Editor({ version, port: node.port, room, token: tokenOf(), ...options }))
      const bystanders = [open({ room: 'acme/notes/bystanders' }), open({ room: 'acme/notes/bystanders' })] as const
      await Promise.all(bystanders.map((one) => one.synced()))
      const before = residentBytes(node)

      await run({ version, node, open })

      // Whatever happened to the others: these are as they were, and what they do goes through.
      await Promise.all(bystanders.map((one) => one.synced()))
      bystanders[0].text.insert(0, 'still here')
      await bystanders[1].reads('still here')
      if (node.startCount === 1) expect(bystanders.map((one) => one.dialCount)).toEqual([1, 1])
      expect(Math.max(0, residentBytes(node) - before) / MiB).toBeLessThan(growthMib)
    },
    180_000,
  )
})
