// automerge-repo 2.5.6 with its server adapter and a share policy as its sync server has them. argv: the directory of its files. They are written as
// its own adapter for files does, one a key, without fsync.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { Repo } from '@automerge/automerge-repo'
import { WebSocketServerAdapter } from '@automerge/automerge-repo-network-websocket'
import { WebSocketServer } from 'ws'

const folder = process.argv[2] ?? '.'
const pathOf = (/** @type {string[]} */ [first = '', ...rest]) => join(folder, first.slice(0, 2), first.slice(2), ...rest)
/** @template T @param {Promise<T>} promise @returns {Promise<T | undefined>} */
const unlessAbsent = (promise) =>
  promise.catch((error) => {
    if (error.code !== 'ENOENT') throw error
    return undefined
  })

const storage = {
  load: async (/** @type {string[]} */ key) => {
    const bytes = await unlessAbsent(readFile(pathOf(key)))
    return bytes === undefined ? undefined : new Uint8Array(bytes)
  },
  save: async (/** @type {string[]} */ key, /** @type {Uint8Array} */ bytes) => {
    await mkdir(dirname(pathOf(key)), { recursive: true })
    await writeFile(pathOf(key), bytes)
  },
  remove: async (/** @type {string[]} */ key) => rm(pathOf(key), { force: true }),
  loadRange: async (/** @type {string[]} */ prefix) => {
    const entries = (await unlessAbsent(readdir(pathOf(prefix), { recursive: true, withFileTypes: true }))) ?? []
    return Promise.all(
      entries
        .filter((entry) => entry.isFile())
        .map(async (entry) => {
          const path = join(entry.parentPath, entry.name)
          const below = path.slice(pathOf(prefix).length + 1).split('/')
          return { key: [...prefix, ...below], data: new Uint8Array(await readFile(path)) }
        }),
    )
  },
  removeRange: async (/** @type {string[]} */ prefix) => rm(pathOf(prefix), { recursive: true, force: true }),
}

const http = createServer()
const network = [new WebSocketServerAdapter(new WebSocketServer({ server: http, perMessageDeflate: false }))]
const repo = new Repo({ network, storage, peerId: /** @type {any} */ ('server'), sharePolicy: async () => false })
http.listen(0, '127.0.0.1', () => {
  const address = http.address()
  console.log(`READY ${typeof address === 'object' ? address?.port : ''}`)
})
process.once('SIGTERM', () => void repo.flush().finally(() => process.exit(0)))
