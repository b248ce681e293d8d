// One real document, automerge-paper, sent edit by edit with a bounded number of edits in flight.

import * as Y from 'yjs'
import { copyOf, quiet, sleep, until } from '../lib/load.mjs'
import { prepareTrace, readTrace, textHash, TRACE_EDITS } from '../lib/trace.mjs'
import { atMost } from '../lib/goals.mjs'

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'w3',
  title: 'automerge-paper, edit by edit',
  cases: ({ quick }) => {
    const edits = quick ? 20_000 : TRACE_EDITS
    return [{ name: `${edits.toLocaleString('en')} edits, 512 in flight`, edits, window: 512, timeoutMs: 300_000 }]
  },
  prepare: ({ edits }) => ({ cache: prepareTrace(edits) }),
  figures: [
    { key: 'cpuPerEdit', label: 'CPU µs / edit', digits: 1, ratio: true, goal: atMost(15) },
    { key: 'cpuToLast', label: 'to the last ack only', digits: 1 },
    { key: 'perSecond', label: 'edits / s', digits: 0 },
    { key: 'loadMs', label: 'new client in sync, ms', digits: 1 },
    { key: 'verified', label: 'text is right (1 = yes)', digits: 0 },
  ],
  notes: [
    'CPU until the server is quiet again, so that what it stores late counts. A relay has no feedback: its row has one reader, and cannot be read back.',
  ],
  async generate(bench) {
    const { wire, host, port, params } = bench
    const { updates, textHash: expected } = readTrace(params.cache)
    const common = { host, port, documents: ['bench/w3'] }
    let done = 0
    let next = 0
    let scheduled = false
    let failed = ''
    const fill = () => {
      scheduled = false
      const end = Math.min(updates.length, done + params.window)
      while (next < end) writer.push(0, updates[next++])
      writer.flush()
    }
    const progress = (/** @type {number} */ count) => {
      done += count
      if (scheduled) return
      scheduled = true
      queueMicrotask(fill)
    }
    const onClose = () => {
      failed = 'the writer or its reader was disconnected'
    }
    const counting = { onClose, onUpdate: (/** @type {any[]} */ ...[, , , , initial]) => initial || progress(1) }
    const reader = wire.feedback === 'none' ? await wire.connect({ ...common, ...counting }) : undefined
    const writer = await wire.connect({
      ...common,
      onClose,
      ...(wire.feedback === 'ack' ? { onAck: (from, to) => progress(to - from + 1) } : {}),
      ...(wire.feedback === 'echo' ? counting : {}),
    })
    const cpuBefore = bench.serverCpuMs()
    const begin = performance.now()
    fill()
    await until(() => done >= updates.length || failed !== '', params.timeoutMs - 60_000)
    const seconds = (performance.now() - begin) / 1000
    if (failed !== '') throw new Error(failed)
    if (done < updates.length) throw new Error(`only ${done} of ${updates.length} edits were taken in ${seconds.toFixed(0)} s`)
    const cpuToLastMs = bench.serverCpuMs() - cpuBefore
    await quiet(bench, { leastMs: 3_000, mostMs: 30_000 })
    const cpuMs = bench.serverCpuMs() - cpuBefore

    let loadMs = null
    let verified = null
    if (wire.syncs) {
      /** @type {Uint8Array[]} */
      const content = []
      const dialled = performance.now()
      const fresh = await wire.connect({
        ...common,
        onUpdate: (_document, buffer, start, end) => content.push(copyOf(buffer, start, end)),
      })
      loadMs = performance.now() - dialled
      await sleep(500)
      const document = new Y.Doc()
      for (const update of content) Y.applyUpdate(document, update)
      verified = textHash(document) === expected ? 1 : 0
      fresh.close()
    }
    writer.close()
    reader?.close()
    return {
      cpuPerEdit: (cpuMs * 1000) / updates.length,
      cpuToLast: (cpuToLastMs * 1000) / updates.length,
      perSecond: updates.length / seconds,
      loadMs,
      verified,
    }
  },
}
