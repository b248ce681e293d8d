// The first client after a restart, who has nothing: how long until it holds the whole of automerge-paper, and what it was told before.

import * as Y from 'yjs'
import { atMost, exactly } from '../lib/goals.mjs'
import { copyOf, quiet, until } from '../lib/load.mjs'
import { prepareTrace, readTrace, textHash, TRACE_EDITS } from '../lib/trace.mjs'

/** As a client that coalesces what is typed in a burst. */
const EDITS_A_PUSH = 20

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'load',
  title: 'automerge-paper by a new client',
  only: (target) => target.persists && target.kind !== 'relay',
  cases: () => [{ name: 'right after a restart', edits: TRACE_EDITS, timeoutMs: 180_000 }],
  prepare: ({ edits }) => ({ cache: prepareTrace(edits) }),
  figures: [
    { key: 'wholeMs', label: 'whole document, ms', digits: 1, ratio: true, goal: atMost(15) },
    { key: 'firstWhole', label: 'first answer is whole (1 = yes)', digits: 0, goal: exactly(1) },
    { key: 'againMs', label: 'the next client, ms', digits: 1, ratio: true },
    { key: 'bytes', label: 'bytes', digits: 0 },
    { key: 'serverCpuMs', label: 'server CPU ms of the first', digits: 0 },
  ],
  notes: ['From the connect of the socket until all bytes are there; what they mean is checked afterwards.'],
  async generate(bench) {
    const { wire, host, params } = bench
    const { updates, textHash: expected } = readTrace(params.cache)
    const documents = ['bench/load']
    let taken = 0
    const counting = { onUpdate: (/** @type {any[]} */ ...[, , , , initial]) => void (initial || taken++) }
    const reader = wire.feedback === 'none' ? await wire.connect({ host, port: bench.port, documents, ...counting }) : undefined
    const writer = await wire.connect({
      host,
      port: bench.port,
      documents,
      ...(wire.feedback === 'ack' ? { onAck: (from, to) => (taken += to - from + 1) } : {}),
      ...(wire.feedback === 'echo' ? counting : {}),
    })
    let pushed = 0
    for (let at = 0; at < updates.length; at += EDITS_A_PUSH) {
      writer.push(0, Y.mergeUpdates(updates.slice(at, at + EDITS_A_PUSH)))
      writer.flush()
      pushed++
      if (!(await until(() => pushed - taken < 64, 20_000))) throw new Error('seeding is stuck')
    }
    if (!(await until(() => taken >= pushed, 20_000))) throw new Error('seeding is stuck')
    // Time for what a server does behind its clients' backs: Hocuspocus stores 2 to 10 s later, Meridian folds what has grown.
    await quiet(bench, { leastMs: 3_000, mostMs: 40_000 })
    writer.close()
    reader?.close()
    await quiet(bench, { leastMs: 12_000, mostMs: 40_000 })
    const { port, pid } = await bench.ask('restart')
    bench.pid = pid
    await quiet(bench, { leastMs: 1_000, mostMs: 20_000 })

    const load = async () => {
      /** @type {Uint8Array[]} */
      const content = []
      const begin = performance.now()
      let lastAt = begin
      const client = await wire.connect({
        host,
        port,
        documents,
        onUpdate(_document, buffer, start, end) {
          content.push(copyOf(buffer, start, end))
          lastAt = performance.now()
        },
      })
      const firstCount = content.length
      const inSyncMs = performance.now() - begin
      const digest = (/** @type {Uint8Array[]} */ some) => {
        const document = new Y.Doc()
        for (const update of some) Y.applyUpdate(document, update)
        return textHash(document)
      }
      const firstWhole = digest(content.slice(0, firstCount)) === expected
      if (!firstWhole) {
        await until(() => digest(content) === expected, 20_000)
        if (digest(content) !== expected) throw new Error('the server does not hold the document')
      }
      const bytes = client.bytesIn()
      client.close()
      return { wholeMs: firstWhole ? inSyncMs : lastAt - begin, firstWhole: firstWhole ? 1 : 0, bytes }
    }
    const cpuBefore = bench.serverCpuMs()
    const first = await load()
    const serverCpuMs = bench.serverCpuMs() - cpuBefore
    const again = await load()
    return { ...first, againMs: again.wholeMs, serverCpuMs }
  },
}
