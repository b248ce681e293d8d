/** The client of Node.js against real nodes in processes of their own, over real sockets, files and kills. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Store } from '@meridian/client'
import { connect, MemoryStore } from '@meridian/client'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as Y from 'yjs'
import { Cli } from '../../server/support/cli.js'
import { loadTrace, concurrentUpdates, traceTextName } from '../../traces.js'

/** A folder that is gone after the test. */
async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'meridian-client-'))
  onTestFinished(() => rm(path, { recursive: true, force: true, maxRetries: 5 }))
  return path
}

class Region {
  readonly data: string
  #cli: Cli | undefined
  #port = 0

  constructor(data: string) {
    this.data = data
  }

  async start(): Promise<string> {
    this.#cli = new Cli([
      'node',
      '--dev',
      '--region',
      'eu-west',
      '--port',
      String(this.#port),
      '--data',
      this.data,
      '--log-format',
      'json',
    ])
    const url = await this.#cli.url()
    this.#port = Number(new URL(url).port)
    return url
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#cli?.child.kill(signal)
    await this.#cli?.ended
  }
}

function client(url: string, storage?: string): Store {
  const store = connect({ url, storage: storage === undefined ? undefined : { path: storage } })
  onTestFinished(() => store.close())
  return store
}

/** Resolves when it is true; looked at with every change of the document. */
function until(handle: { ydoc: Y.Doc }, condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!condition()) return
      handle.ydoc.off('update', look)
      resolve()
    }
    handle.ydoc.on('update', look)
    look()
  })
}

const list = (handle: { ydoc: Y.Doc }): Y.Array<string> => handle.ydoc.getArray<string>('list')

describe('the README of the client', () => {
  it('shows an example that runs as it stands, twice', async () => {
    const path = await folder()
    const url = await new Region(join(path, 'node')).start()
    const readme = await readFile(new URL('../../../client/README.md', import.meta.url), 'utf8')
    const example = /```js\n([^`]*(?:`[^`]+`[^`]*)*?)```/.exec(readme)?.[1] ?? ''
    // Beside the packages, so that it finds the client by its name; the data goes to the folder of the test.
    const script = example.replace('http://127.0.0.1:7101', url).replace("'notes.db'", JSON.stringify(join(path, 'notes.db')))
    const lines = async (): Promise<number> => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
      let output = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
      await once(child, 'close')
      return output.split('written at').length - 1
    }
    expect([await lines(), await lines()]).toEqual([1, 2])
  })
})

describe('a real node', () => {
  it('[CLI1] [CLI2] given two clients, then what one saves the other has, and both open it from the device without the node', async () => {
    const path = await folder()
    const region = new Region(join(path, 'node'))
    const url = await region.start()
    const one = client(url, join(path, 'one.db'))
    const two = client(url, join(path, 'two.db'))
    const mine = one.open('notes/1')
    const theirs = two.open('notes/1')
    list(mine).push(['a'])
    await mine.saved()
    await until(theirs, () => list(theirs).length === 1)
    list(theirs).push(['b'])
    await until(mine, () => list(mine).length === 2)
    await theirs.saved()
    await Promise.all([one.close(), two.close()])
    await region.stop('SIGTERM')
    const again = client(url, join(path, 'two.db'))
    const offline = again.open('notes/1')
    await expect(offline.ready).resolves.toBe('device')
    expect(list(offline).toArray()).toEqual(['a', 'b'])
    // Its edit waits for the node, and goes when there is one.
    list(offline).push(['c'])
    const saved = offline.saved()
    await region.start()
    again.reconnect()
    await saved
    const fresh = client(url).open('notes/1')
    await fresh.ready
    expect(list(fresh).toArray()).toEqual(['a', 'b', 'c'])
  })

  it('[LOG1] [SES2] given a node that is killed again and again, then what was saved is there, once, and everything is in the end', {
    timeout: 30_000,
  }, async () => {
    const path = await folder()
    const region = new Region(join(path, 'node'))
    const url = await region.start()
    const stores = ['one.db', 'two.db'].map((name) => client(url, join(path, name)))
    const handles = stores.map((store) => store.open('notes/1'))
    const saved: string[] = []
    let stop = false
    const typing = handles.map(async (handle, author) => {
      for (let n = 0; !stop; n++) {
        const text = `${author}.${n}`
        list(handle).push([text])
        if (n % 3 === 0) {
          await handle.saved()
          saved.push(text)
        }
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      await handle.saved()
    })
    for (let kill = 0; kill < 3; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      await region.stop('SIGKILL')
      const before = saved.length
      await region.start()
      for (const store of stores) store.reconnect()
      // Somebody saved something since.
      while (saved.length === before) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    stop = true
    await Promise.all(typing)
    const fresh = client(url).open('notes/1')
    await fresh.ready
    const found = list(fresh).toArray()
    expect(new Set(found).size).toBe(found.length)
    expect(saved.filter((text) => !found.includes(text))).toEqual([])
    for (const handle of handles) {
      await until(handle, () => list(handle).length === found.length)
      expect(list(handle).toArray()).toEqual(found)
    }
    expect(stores.map((store) => store.pending)).toEqual([0, 0])
  })

  it('[SES2] given a client that is killed, then every edit that was stored reaches the region from the next process, which opens no document', async () => {
    const path = await folder()
    const region = new Region(join(path, 'node'))
    const url = await region.start()
    const script = `
      import { connect } from '@meridian/client'
      const [url, path] = process.argv.slice(1)
      const store = connect({ url, storage: { path } })
      const handle = store.open('notes/1')
      for (let n = 0; ; n++) {
        handle.ydoc.getArray('list').push([String(n)])
        await handle.stored()
        process.stdout.write(n + '\\n')
      }
    `
    const storage = join(path, 'client.db')
    let stored = -1
    // The first one has a node, the second none.
    for (const target of [url, 'http://127.0.0.1:9']) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, target, storage], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      stored = -1
      await new Promise<void>((resolve) => {
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          stored = Number(text.trim().split('\n').at(-1))
          if (stored >= 30) child.kill('SIGKILL')
        })
        child.on('exit', () => resolve())
      })
    }
    const store = client(url, storage)
    while (store.status.connection.kind !== 'online' || store.pending > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const fresh = client(url).open('notes/1')
    await fresh.ready
    const found = list(fresh).toArray()
    for (let n = 0; n <= stored; n++) expect(found.filter((text) => text === String(n)).length, String(n)).toBe(2)
  })

  it('[CLI3] given a store that was copied, then neither copy loses an edit', async () => {
    const path = await folder()
    const region = new Region(join(path, 'node'))
    const url = await region.start()
    const storage = new MemoryStore()
    const first = connect({ url, storage })
    const handle = first.open('notes/1')
    list(handle).push(['before'])
    await handle.saved()
    const records = await storage.read([])
    const twin = new MemoryStore()
    await twin.write(records.map(({ key, value }) => ({ kind: 'put', key, value })))
    const second = connect({ url, storage: twin })
    onTestFinished(async () => {
      await Promise.all([first.close(), second.close()])
    })
    const other = second.open('notes/1')
    list(handle).push(['first'])
    list(other).push(['second'])
    await Promise.all([handle.saved(), other.saved()])
    await until(handle, () => list(handle).length === 3)
    await until(other, () => list(other).length === 3)
    expect(list(other).toArray()).toEqual(list(handle).toArray())
  })

  it('[SES5] [LOG2] given a node whose data was restored from an older copy, then what it lost comes back from the clients', async () => {
    const path = await folder()
    const region = new Region(join(path, 'node'))
    const url = await region.start()
    const stores = ['one.db', 'two.db'].map((name) => client(url, join(path, name)))
    const [one, two] = stores.map((store) => store.open('notes/1'))
    if (one === undefined || two === undefined) throw new Error('no handles')
    list(one).push(['kept'])
    await one.saved()
    await region.stop('SIGTERM')
    await cp(region.data, join(path, 'copy'), { recursive: true })
    await region.start()
    for (const store of stores) store.reconnect()
    list(one).push(['lost by the node'])
    await one.saved()
    await until(two, () => list(two).length === 2)
    list(two).push(['lost, too'])
    await two.saved()
    await until(one, () => list(one).length === 3)
    await region.stop('SIGKILL')
    await rm(region.data, { recursive: true })
    await cp(join(path, 'copy'), region.data, { recursive: true })
    await region.start()
    for (const store of stores) store.reconnect()
    list(one).push(['after'])
    await Promise.all([one.saved(), two.saved()])
    const fresh = client(url).open('notes/1')
    await fresh.ready
    await until(fresh, () => list(fresh).length === 4)
    expect(list(fresh).toArray()).toEqual(['kept', 'lost by the node', 'lost, too', 'after'])
  })

  it('given a document that two people wrote at once, fed to two handles, then both and the region end with the text of the trace', {
    timeout: 30_000,
  }, async () => {
    const path = await folder()
    const region = new Region(join(path, 'node'))
    const url = await region.start()
    const trace = loadTrace('friendsforever')
    const { all } = concurrentUpdates(trace)
    const handles = [0, 1].map((author) => client(url, join(path, `${author}.db`)).open('notes/friends'))
    const clientIds = [1, 2]
    // The state vector of a handle says how far it has each author; an update is fed when all that its author had seen is there.
    const ends = [[0], [0]]
    for (const { agent, update } of all)
      ends[agent]?.push(Y.decodeStateVector(Y.encodeStateVectorFromUpdate(update)).get(clientIds[agent] ?? 0) ?? 0)
    for (const { agent, seen, update, index } of all) {
      const handle = handles[agent]
      if (handle === undefined) throw new Error('an author without a handle')
      const other = 1 - agent
      const needed = Math.max(...(ends[other] ?? []).slice(0, (seen[other] ?? 0) + 1))
      if (Y.getState(handle.ydoc.store, clientIds[other] ?? 0) < needed) {
        await until(handle, () => Y.getState(handle.ydoc.store, clientIds[other] ?? 0) >= needed)
      }
      Y.applyUpdate(handle.ydoc, update)
      // Turns as of an app, so that edits are pushed while others come.
      if (index % 200 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await Promise.all(handles.map((handle) => handle.saved()))
    const text = (handle: { ydoc: Y.Doc }): string => handle.ydoc.getText(traceTextName).toString()
    for (const handle of handles) {
      await until(handle, () => text(handle) === trace.endContent)
      expect(text(handle)).toBe(trace.endContent)
    }
    const fresh = client(url).open('notes/friends')
    await fresh.ready
    expect(text(fresh)).toBe(trace.endContent)
  })
})
