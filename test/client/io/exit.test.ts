/** `store.close()` lets the process end, whatever state it finds the connection in: nothing here calls `process.exit`. */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { startTestNode } from '../../server/support/running-node.js'

/** Milliseconds from `closed` to the end of the process: a peer that does not answer is given two seconds. */
const endMs = 4_000

const undo: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run()
})

interface Ended {
  readonly code: number | null
  readonly isLate: boolean
}

function run(url: string, when: string, { token = '', path = '' } = {}): Promise<Ended> {
  const script = fileURLToPath(new URL('exit-child.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, url, path, when, token], { stdio: ['ignore', 'pipe', 'inherit'] })
  let isLate = false
  let timer: NodeJS.Timeout | undefined
  child.stdout.once('data', () => {
    timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, endMs)
  })
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, isLate })
    })
  })
}

function listening(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      undo.push(() => {
        server.close()
      })
      resolve(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`)
    })
  })
}

/** Takes connections and says nothing. */
function mute(): Promise<string> {
  const server = createServer((socket) => {
    undo.push(() => void socket.destroy())
    socket.on('error', () => undefined)
  })
  return listening(server)
}

/** Speaks WebSocket as far as the upgrade, and then reads nothing, answers nothing and closes nothing. */
async function halfOpen(): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  undo.push(() => {
    server.close()
  })
  server.on('connection', (socket, { socket: raw }) => {
    undo.push(() => socket.terminate())
    raw.pause()
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}

function storePath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-exit-'))
  undo.push(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'store.db')
}

const nobody = 'http://127.0.0.1:9'
const ends: Ended = { code: 0, isLate: false }

describe('a process whose store is closed', { timeout: 30_000 }, () => {
  it('[CLI1] ends, given nobody who answers, closed at once, while it waits to dial again, and with a store on the disk', async () => {
    const all = await Promise.all([run(nobody, 'at once'), run(nobody, 'later'), run(nobody, 'later', { path: storePath() })])
    expect(all).toEqual([ends, ends, ends])
  })

  it('[CLI1] ends, given one who takes the connection and says nothing, closed while it dials', async () => {
    expect(await Promise.all([run(await mute(), 'at once'), run(await mute(), 'later')])).toEqual([ends, ends])
  })

  it('[CLI1] ends, given a socket that is open on this side only', async () => {
    expect(await run(await halfOpen(), 'later', { path: storePath() })).toEqual(ends)
  })

  it('[CLI1] ends, given a token that never comes, or cannot be had', async () => {
    const all = await Promise.all(['never', 'fails'].map((token) => run(nobody, 'later', { token })))
    expect(all).toEqual([ends, ends])
  })

  it('[CLI1] ends, given a node that serves it, with and without presence', async () => {
    const { node } = await startTestNode()
    const all = await Promise.all(['at once', 'ready', 'presence'].map((when) => run(node.url, when, { path: storePath() })))
    expect(all).toEqual([ends, ends, ends])
  })
})
