/** What a disk can do to a real node: be full, flip a bit, lose a tail, or be yesterday's. The damaged part is set aside and the rest served. */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Handle } from '@meridian/client'
import { afterEach, describe, expect, it } from 'vitest'
import { CutProxy } from './cut-proxy.js'
import { Device, readFresh } from './devices.js'
import { NodeProcess, StartRefused } from './node-process.js'
import { Resources } from './resources.js'
import { ServerTap } from './server-tap.js'
import { bytesOf, commitEnds, databaseOf, entriesByDot, flipBits, overwrite, truncate, walOf } from './store-files.js'
import { nextPush, onHandle, pause, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const MiB = 1024 * 1024
/** Large enough that a small disk is soon full, and nothing that anybody could compress. */
const blockBytes = 384 * 1024

const startNode = async (directory: string, flags: readonly string[] = []): Promise<NodeProcess> =>
  resources.own(await NodeProcess.start({ directory, flags }))

/** A device behind a proxy that hears what the node tells it. */
async function tappedDevice(node: NodeProcess, path?: string): Promise<{ device: Device; tap: ServerTap; proxy: CutProxy }> {
  const tap = new ServerTap()
  const proxy = resources.own(await CutProxy.start({ port: () => node.port, tap: tap.tap }))
  return { device: resources.own(new Device({ url: proxy.url, path })), tap, proxy }
}

const wordsOf = (handle: Handle): string[] => handle.ydoc.getArray<string>('list').toArray()
const say = (handle: Handle, word: string): void => handle.ydoc.getArray<string>('list').push([word])
const readWords = (node: NodeProcess, name: string): Promise<string[]> =>
  readFresh(node.url, name, (ydoc) => ydoc.getArray<string>('list').toArray())

/** Writes blocks, a document each, until the node refuses one. Says which were saved. */
async function fill(device: Device, tap: ServerTap): Promise<{ saved: Map<string, string>; refused: Handle; block: string }> {
  const saved = new Map<string, string>()
  for (let index = 0; index < 400; index++) {
    const name = `blocks/${index}`
    const handle = device.open(name)
    const block = randomBytes(blockBytes / 2).toString('hex')
    say(handle, block)
    const outcome = await Promise.race([
      handle.saved().then(() => 'saved' as const),
      until(() => tap.refusals().length > 0, tap.on, { what: 'an answer to a block' }).then(() => 'refused' as const),
    ])
    if (outcome === 'refused') return { saved, refused: handle, block }
    saved.set(name, block)
    await handle.close()
  }
  throw new Error('the store never got full')
}

async function expectBlocks(node: NodeProcess, blocks: ReadonlyMap<string, string>): Promise<void> {
  for (const [name, block] of blocks)
    expect(
      (await readWords(node, name)).map((word) => word === block),
      name,
    ).toEqual([true])
}

/** Mounted for as long as the test runs; undefined where that is not permitted. */
function smallDisk(bytes: number): string | undefined {
  const directory = resources.directory()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'meridian-e2e', directory], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  resources.later(() => {
    execFileSync('umount', ['-l', directory])
  })
  return directory
}

describe('a full store', () => {
  it('given a bound on the log, when it is reached, then pushes are refused with LOG_FULL, stay on the device, reads go on, and a higher bound saves all', async () => {
    const directory = resources.directory()
    const node = await startNode(join(directory, 'node'), ['--store-log-bytes-max', String(16 * MiB)])
    const path = join(directory, 'device.db')
    const { device, tap, proxy } = await tappedDevice(node, path)
    const { saved, refused, block } = await fill(device, tap)
    expect(saved.size).toBeGreaterThan(20)
    expect(new Set(tap.refusals())).toEqual(new Set(['LOG_FULL']))
    expect((await node.metrics()).get('meridian_refused_total{code="LOG_FULL"}') ?? 0).toBeGreaterThan(0)
    expect(refused.pending).toBe(1)
    // Retryable: the document is not refused, its edits wait, and it says for what.
    expect(refused.status).toEqual({ kind: 'waiting', pending: 1, code: 'LOG_FULL' })
    await expectBlocks(node, new Map([...saved].slice(0, 3)))

    // The edits outlive the client and the node.
    await device.dispose()
    const again = resources.own(new Device({ url: proxy.url, path }))
    const reopened = again.open(refused.name)
    expect(await within(reopened.ready, 'the copy of the device')).toBe('device')
    expect(reopened.pending).toBe(1)
    expect(await node.stop()).toEqual({ code: 0, signal: null })
    await node.start({ flags: ['--store-log-bytes-max', String(64 * MiB)] })
    await within(reopened.saved(), 'what was refused to be saved')
    await expectBlocks(node, new Map([...saved, [refused.name, block]]))
  }, 60_000)

  it('given a small disk that fills up, when there is room again, then the running node saves what it had refused', async () => {
    const disk = smallDisk(40 * MiB)
    if (disk === undefined) {
      console.warn('not run: no tmpfs may be mounted here; the bound on the log above is the same refusal')
      return
    }
    const ballast = join(disk, 'ballast')
    writeFileSync(ballast, Buffer.alloc(14 * MiB))
    const node = await startNode(join(disk, 'node'))
    const { pid } = node
    const { device, tap } = await tappedDevice(node)
    const { saved, refused, block } = await fill(device, tap)
    expect(saved.size).toBeGreaterThan(5)
    expect([...new Set(tap.refusals())].filter((code) => code !== 'LOG_FULL' && code !== 'LOG_UNAVAILABLE')).toEqual([])
    expect(tap.refusals()).toContain('LOG_FULL')
    expect(refused.pending).toBe(1)
    await expectBlocks(node, new Map([...saved].slice(-2)))

    rmSync(ballast)
    const impatient = setInterval(() => device.store.reconnect(), 500)
    resources.later(() => clearInterval(impatient))
    await within(refused.saved(), () => `what was refused to be saved; ${tap.refusals().join(' ')}`)
    expect(node.pid).toBe(pid)
    await node.restart()
    await expectBlocks(node, new Map([...saved, [refused.name, block]]))
  }, 90_000)
})

describe('a damaged store', () => {
  it('given a bit that flipped while the node was stopped, when it runs again, then that document is refused as damaged and others are served', async () => {
    const node = await startNode(resources.directory())
    const writer = resources.own(new Device({ url: node.url }))
    const words = ['first-good', 'flip-me-please', 'second-good']
    const names = ['notes/first', 'notes/flipped', 'notes/second']
    for (const [index, name] of names.entries()) {
      const handle = writer.open(name)
      say(handle, words[index] ?? '')
      await within(handle.saved(), `${name} to be saved`)
    }
    await writer.dispose()
    expect(await node.stop()).toEqual({ code: 0, signal: null })
    expect(flipBits(databaseOf(node.directory), 'flip-me-please')).toBeGreaterThan(0)

    for (const start of ['first', 'second'] as const) {
      await node.start()
      const reader = resources.own(new Device({ url: node.url }))
      const damaged = reader.open('notes/flipped')
      await until(() => damaged.status.kind === 'waiting', onHandle(damaged), {
        what: () => `a refusal: ${JSON.stringify(damaged.status)}`,
      })
      expect(damaged.status, start).toEqual({ kind: 'waiting', pending: 0, code: 'DOCUMENT_DAMAGED' })
      expect(wordsOf(damaged)).toEqual([])
      // Nothing goes into it, and nothing is lost that somebody types nevertheless.
      say(damaged, 'later')
      await nextPush()
      expect(damaged.pending).toBe(1)
      expect(await readWords(node, 'notes/first')).toEqual(['first-good', ...(start === 'second' ? ['after first'] : [])])
      expect(await readWords(node, 'notes/second')).toEqual(['second-good'])
      const other = reader.open('notes/first')
      await within(other.ready, 'another document')
      say(other, `after ${start}`)
      await within(other.saved(), 'another document to be saved')
      expect(damaged.pending).toBe(1)
      expect((await node.metrics()).get('meridian_damaged_records')).toBeGreaterThan(0)
      await reader.dispose()
      await node.stop()
    }
  }, 60_000)

  it('given a WAL that ends in torn frames, when the node was killed and runs again, then everything that was acked is there', async () => {
    const node = await startNode(resources.directory())
    const words = await typeWords(node, 'notes/torn', 40)
    await node.kill()
    // As if the next commit had begun: its frames are of this WAL by their salts, and a part of them never got to the disk.
    const end = commitEnds(node.directory).at(-1) ?? 0
    const wal = readFileSync(walOf(node.directory))
    const frames = Buffer.from(wal.subarray(end - 2 * 4120, end))
    randomBytes(1000).copy(frames, 4120 + 500)
    overwrite(walOf(node.directory), end, frames.subarray(0, 2 * 4120 - 700))
    await node.start()
    expect(await readWords(node, 'notes/torn')).toEqual(words)
    await node.restart()
    expect(await readWords(node, 'notes/torn')).toEqual(words)
  }, 60_000)

  it('[SES5] given a WAL that lost acked commits, when their writer comes back, then it gives them again, once, under new dots', async () => {
    const node = await startNode(resources.directory())
    const { device, tap } = await tappedDevice(node)
    const handle = device.open('notes/short')
    const words: string[] = []
    for (let index = 0; index < 40; index++) {
      words.push(`word-${index}`)
      say(handle, `word-${index}`)
      await within(handle.saved(), 'a word to be saved')
    }
    await node.kill()
    const ends = commitEnds(node.directory)
    truncate(walOf(node.directory), (ends.at(-15) ?? 0) - 1_500)
    await node.start()
    device.store.reconnect()
    await until(() => tap.frames.some((frame) => frame.type === 'attached' && frame.behind), tap.on, {
      what: 'the node to say that it is behind',
    })
    await until(() => handle.status.kind === 'current' && handle.pending === 0, onHandle(handle), { what: 'the rescue' })
    await within(handle.saved(), 'the rescue to be saved')
    expect(wordsOf(handle)).toEqual(words)
    await until(() => handle.pending === 0, onHandle(handle), { what: 'nothing pending' })
    await expectEventually(node, 'notes/short', words)
    await node.restart()
    expect(await readWords(node, 'notes/short')).toEqual(words)
  }, 60_000)

  it('given a database that lost its tail, when the node was stopped, then it does not start, and says what is wrong and what to do', async () => {
    const node = await startNode(resources.directory())
    await typeWords(node, 'notes/cut', 20)
    await node.stop()
    const database = databaseOf(node.directory)
    truncate(database, Math.floor(bytesOf(database) / 2))
    const refused = await startRefusal(node)
    expect(refused?.exit).toEqual({ code: 1, signal: null })
    expect(refused?.stderr).toMatch(/LOG_DAMAGED/)
    expect(refused?.stderr).toMatch(/restore it from a backup/)
    expect(refused?.stderr).not.toMatch(/\n\s+at /)
  }, 60_000)

  it('given a database that lost its tail under a WAL, when the node was killed and runs again, then it does not start, or each document is whole or refused as damaged', async () => {
    const node = await startNode(resources.directory())
    const documents = new Map<string, string[]>()
    for (let index = 0; index < 12; index++) documents.set(`notes/${index}`, await typeWords(node, `notes/${index}`, 12))
    await node.stop()
    await node.start()
    documents.get('notes/0')?.push(...(await typeWords(node, 'notes/0', 3)))
    await node.kill()
    const database = databaseOf(node.directory)
    truncate(database, Math.floor((bytesOf(database) * 0.6) / 4096) * 4096 - 1000)
    const refused = await startRefusal(node)
    // Which of the two it is depends on where the file ends; it may not be a third.
    const wrong =
      refused === undefined ? await wrongDocuments(node, documents) : /LOG_DAMAGED/.test(refused.stderr) ? [] : [refused.stderr]
    expect(wrong).toEqual([])
  }, 60_000)
})

describe("yesterday's copy", () => {
  it('[LOG2] [SES5] given clients that hold newer acked edits, when the copy is restored, then they rescue them, no dot is used twice and nothing is doubled', async () => {
    const directory = resources.directory()
    const live = join(directory, 'node')
    const copy = join(directory, 'yesterday')
    const newer = join(directory, 'today')
    const node = await startNode(live)
    const writer = await tappedDevice(node, join(directory, 'writer.db'))
    const reader = await tappedDevice(node, join(directory, 'reader.db'))
    const names = ['notes/a', 'notes/b']
    const handles = names.map((name) => writer.device.open(name))
    const copies = names.map((name) => reader.device.open(name))
    const words = names.map((): string[] => [])
    const type = async (day: string, count: number): Promise<void> => {
      for (let index = 0; index < count; index++) {
        for (const [number, handle] of handles.entries()) {
          const word = `${day}-${number}-${index}`
          words[number]?.push(word)
          say(handle, word)
          await nextPush()
        }
      }
      await within(Promise.all(handles.map((handle) => handle.saved())), 'both documents to be saved')
      for (const [number, handle] of copies.entries()) {
        await until(
          () => wordsOf(handle).length === words[number]?.length,
          (check) => {
            handle.ydoc.on('afterTransaction', check)
            return () => handle.ydoc.off('afterTransaction', check)
          },
          { what: 'the reader to have it' },
        )
      }
    }
    await type('yesterday', 10)
    expect(await node.stop()).toEqual({ code: 0, signal: null })
    cpSync(live, copy, { recursive: true })
    await node.start()
    for (const { device } of [writer, reader]) device.store.reconnect()
    await type('today', 10)
    expect(await node.stop()).toEqual({ code: 0, signal: null })
    renameSync(live, newer)
    cpSync(copy, live, { recursive: true })

    // A stranger first, with writes of its own, so that dots of the new opening are taken before anybody brings the old ones.
    for (const { proxy } of [writer, reader]) proxy.refuse()
    await node.start()
    const stranger = resources.own(new Device({ url: node.url })).open('notes/a')
    await within(stranger.ready, 'the stranger to be ready')
    expect(wordsOf(stranger)).toEqual(words[0]?.slice(0, 10))
    say(stranger, 'stranger')
    await within(stranger.saved(), 'the stranger to be saved')
    for (const { device, proxy } of [writer, reader]) {
      proxy.setWeather({ kind: 'fine' })
      device.store.reconnect()
    }
    for (const { tap } of [writer, reader]) {
      await until(() => tap.frames.some((frame) => frame.type === 'attached' && frame.behind), tap.on, {
        what: 'the node to say that it is behind',
      })
    }
    const expected = words.map((list, number) => [...list, ...(number === 0 ? ['stranger'] : [])].toSorted())
    for (const [number, name] of names.entries()) await expectEventually(node, name, expected[number] ?? [])
    for (const handle of [...handles, ...copies]) await within(handle.saved(), 'everybody to be saved')
    for (const [number, list] of [handles, copies].flatMap((group) => [...group.entries()])) {
      await until(() => wordsOf(list).length === expected[number]?.length, onHandleOrDocument(list), {
        what: 'every replica to have all of it',
      })
      expect(wordsOf(list).toSorted()).toEqual(expected[number])
    }
    await node.restart()
    for (const [number, name] of names.entries()) expect((await readWords(node, name)).toSorted()).toEqual(expected[number])
    await node.stop()
    const before = entriesByDot(newer)
    const after = entriesByDot(live)
    const shared = [...after.keys()].filter((dot) => before.has(dot))
    expect(shared.length).toBeGreaterThan(0)
    expect(shared.filter((dot) => before.get(dot) !== after.get(dot))).toEqual([])
    expect([...after.keys()].filter((dot) => !before.has(dot)).length).toBeGreaterThan(0)
  }, 60_000)
})

function onHandleOrDocument(handle: Handle): (check: () => void) => () => void {
  return (check) => {
    const off = handle.subscribe(check)
    handle.ydoc.on('afterTransaction', check)
    return () => {
      off()
      handle.ydoc.off('afterTransaction', check)
    }
  }
}

/** Why the node did not start; undefined if it did. */
async function startRefusal(node: NodeProcess): Promise<StartRefused | undefined> {
  try {
    await node.start()
    return undefined
  } catch (thrown) {
    if (thrown instanceof StartRefused) return thrown
    throw thrown
  }
}

/** Documents that are neither whole nor refused as damaged. */
async function wrongDocuments(node: NodeProcess, documents: ReadonlyMap<string, readonly string[]>): Promise<string[]> {
  const reader = resources.own(new Device({ url: node.url }))
  const wrong: string[] = []
  for (const [name, words] of documents) {
    const handle = reader.open(name)
    await until(() => handle.status.kind === 'current' || handle.status.kind === 'waiting', onHandle(handle), {
      what: () => `an answer for ${name}: ${JSON.stringify(handle.status)}`,
    })
    const { status } = handle
    const whole = status.kind === 'current' && wordsOf(handle).join() === words.join()
    const damaged = status.kind === 'waiting' && status.code === 'DOCUMENT_DAMAGED'
    if (!whole && !damaged) wrong.push(`${name}: ${JSON.stringify(status)}, ${wordsOf(handle).length} of ${words.length} words`)
  }
  return wrong
}

/** Others bring it when they can; a new reader sees it from then on. */
async function expectEventually(node: NodeProcess, name: string, words: readonly string[]): Promise<void> {
  const sorted = words.toSorted()
  for (let attempt = 0; attempt < 200; attempt++) {
    if ((await readWords(node, name)).length >= words.length) break
    await pause(25)
  }
  expect((await readWords(node, name)).toSorted()).toEqual(sorted)
}

/** Each word a commit of its own, by a device that is gone afterwards. */
async function typeWords(node: NodeProcess, name: string, count: number): Promise<string[]> {
  const device = new Device({ url: node.url })
  try {
    const handle = device.open(name)
    await within(handle.ready, `${name} to be ready`)
    const from = wordsOf(handle).length
    for (let index = from; index < from + count; index++) {
      say(handle, `word-${index}`)
      await within(handle.saved(), 'a word to be saved')
    }
    return wordsOf(handle).slice(from)
  } finally {
    await device.dispose()
  }
}
