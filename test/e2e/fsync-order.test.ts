/**
 * LOG1 as far as it can be seen without cutting the power: the system calls of a real node, in their order. That the judgement can fail is
 * shown on a node that never syncs, and on a good trace whose syncs were taken out, failed, or came too late.
 */

import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Connection } from './cut-proxy.js'
import { CutProxy } from './cut-proxy.js'
import { Device, textOf } from './devices.js'
import { judge, markOf, PushTap } from './fsync-order.js'
import { beside, NodeProcess } from './node-process.js'
import { Resources } from './resources.js'
import type { Call } from './strace.js'
import { ensureStrace, parseStrace, straceFlags } from './strace.js'
import { nextPush, onDocument, pause, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())
beforeAll(() => ensureStrace(), 150_000)

const writerCount = 2
const markCount = 150

interface Traced {
  readonly calls: readonly Call[]
  readonly taps: ReadonlyMap<number, PushTap>
}

/** Two writers and a reader, each with a tap; what they do is traced. */
async function traced(nodeFlags: readonly string[]): Promise<Traced> {
  const directory = resources.directory()
  const file = `${directory}/trace`
  const node = resources.own(
    await NodeProcess.start({ directory: `${directory}/node`, nodeFlags, under: ['strace', ...straceFlags, '-o', file] }),
  )
  const taps = new Map<Connection, PushTap>()
  const tap = (bytes: Buffer, connection: Connection, direction: 'up' | 'down'): void => {
    if (direction === 'down') return
    let held = taps.get(connection)
    if (held === undefined) taps.set(connection, (held = new PushTap()))
    held.receive(bytes)
  }
  const handles = []
  for (let index = 0; index <= writerCount; index++) {
    const proxy = resources.own(await CutProxy.start({ port: () => node.port, tap }))
    handles.push(resources.own(new Device({ url: proxy.url })).open('notes/traced'))
  }
  await within(Promise.all(handles.map(({ ready }) => ready)), 'the clients to be ready')
  await Promise.all(
    handles.slice(0, writerCount).map(async (handle, writer) => {
      for (let index = 0; index < markCount; index++) {
        textOf(handle.ydoc).insert(0, markOf(writer, index))
        await nextPush()
        // Some alone, some in one commit with others, some while a commit runs.
        if (index % 7 === 0) await handle.saved()
        else if (index % 3 === 0) await pause(1)
      }
      await handle.saved()
    }),
  )
  const length = writerCount * markCount * markOf(0, 0).length
  for (const { ydoc } of handles) {
    await until(() => textOf(ydoc).length === length, onDocument(ydoc), { what: 'all marks to be everywhere' })
  }
  const ports = new Map([...taps].map(([connection, held]) => [connection.localPort, held]))
  // It ends as strace does: as what it traced.
  expect(await node.stop()).toEqual({ code: 0, signal: null })
  return { calls: parseStrace(readFileSync(file, 'latin1')), taps: ports }
}

describe('the reader of traces', () => {
  it('given calls of two threads that overlap, when it reads them, then each has its place, what it wrote and where to', () => {
    const hex = (text: string): string =>
      [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
    const wal = hex('/d/log.db-wal')
    const calls = parseStrace(
      [
        `7 1.000001 pwrite64(3<${wal}>, "${hex('abc')}", 3, 32) = 3`,
        `7 1.000002 fsync(3<${wal}> <unfinished ...>`,
        `8 1.000003 write(4<TCP:[127.0.0.1:80->127.0.0.1:5000]>, "${hex('xyz')}", 3 <unfinished ...>`,
        '7 1.000004 <... fsync resumed>)            = 0',
        '8 1.000005 <... write resumed>)            = 2',
        '8 1.000006 --- SIGTERM {si_signo=SIGTERM} ---',
        `8 1.000007 writev(4<TCP:[127.0.0.1:80->127.0.0.1:5000]>, [{iov_base="${hex('p')}", iov_len=1}, {iov_base="${hex('q')}", iov_len=1}], 2) = 2`,
        `8 1.000008 fdatasync(3<${wal}>) = -1 EIO (Input/output error)`,
        '8 1.000009 +++ exited with 0 +++',
        `7 1.000010 write(5<${hex('anon_inode:[eventfd]')}>, "\\x01", 1 <unfinished ...>`,
      ].join('\n'),
    )
    const file = { kind: 'file', path: '/d/log.db-wal' }
    const socket = { kind: 'socket', localPort: 80, peerPort: 5000 }
    expect(
      calls.map(({ thread, name, target, bytes, offset, begin, end, result }) => [
        thread,
        name,
        target,
        bytes.toString(),
        offset,
        begin,
        end,
        result,
      ]),
    ).toEqual([
      [7, 'pwrite64', file, 'abc', 32, 0, 0, 3],
      [7, 'fsync', file, '', -1, 1, 3, 0],
      [8, 'write', socket, 'xy', -1, 2, 4, 2],
      [8, 'writev', socket, 'pq', -1, 6, 6, 2],
      [8, 'fdatasync', file, '', -1, 7, 7, -1],
      [7, 'write', { kind: 'other' }, '\u0001', -1, 9, Number.POSITIVE_INFINITY, undefined],
    ])
  })
})

describe('a node under strace', () => {
  it('[LOG1] given two writers and a reader, when updates are pushed, then each ack and each delivery follows an fsync begun after the last write of its commit', async () => {
    const { calls, taps } = await traced([])
    const verdict = judge(calls, taps)
    const marks = writerCount * markCount
    expect(verdict).toEqual({
      commits: expect.any(Number),
      ackedMarks: marks,
      deliveredMarks: marks * writerCount,
      violations: [],
    })
    // Many commits, and some that carry several updates.
    expect(verdict.commits).toBeGreaterThan(marks / 20)
    expect(verdict.commits).toBeLessThan(marks)

    const isSync = ({ name }: Call): boolean => name === 'fsync' || name === 'fdatasync'
    const doctored = {
      'without syncs': calls.filter((call) => !isSync(call)),
      'with syncs that failed': calls.map((call) => (isSync(call) ? { ...call, result: -1 } : call)),
      'with syncs that were not over': calls.map((call) => (isSync(call) ? { ...call, end: Number.POSITIVE_INFINITY } : call)),
    }
    for (const [what, trace] of Object.entries(doctored)) {
      expect(judge(trace, taps).violations.length, what).toBe(marks * (1 + writerCount))
    }
    // One commit's sync begins before its last write: as if the commit record had been written after it.
    const lastSync = calls.findLast(
      (call) => isSync(call) && call.begin < (calls.findLast(({ target }) => target.kind === 'socket')?.begin ?? 0),
    )
    const hurried = calls.map((call) => (call === lastSync ? { ...call, begin: 0 } : call))
    expect(judge(hurried, taps).violations.length).toBeGreaterThan(0)
  }, 120_000)

  it('given a node whose store never syncs, when updates are pushed, then every ack and every delivery is found to be too early', async () => {
    const { calls, taps } = await traced(['--import', pathToFileURL(beside('unsafe-sync.mjs')).href])
    const marks = writerCount * markCount
    expect(judge(calls, taps).violations.length).toBe(marks * (1 + writerCount))
  }, 120_000)
})
