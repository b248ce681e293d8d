// The reconnect storm: a thousand clients that hold the document already come back at once.

import * as Y from 'yjs'
import { copyOf, openMany, quiet, sleep, until } from '../lib/load.mjs'
import { prepareTrace, readTrace, textHash, TRACE_EDITS } from '../lib/trace.mjs'
import { atMost } from '../lib/goals.mjs'

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'w6',
  title: 'clients in sync with automerge-paper reconnect at once',
  cases: ({ quick }) => {
    const clients = quick ? 300 : 1_000
    return [{ name: `${clients.toLocaleString('en')} clients`, clients, edits: TRACE_EDITS, timeoutMs: 180_000 }]
  },
  prepare: ({ edits }) => ({ cache: prepareTrace(edits) }),
  figures: [
    { key: 'cpuPerClient', label: 'CPU ms / client', digits: 3, ratio: true, goal: atMost(0.3) },
    { key: 'bytesPerClient', label: 'bytes to a client', digits: 0, ratio: true, goal: atMost(300) },
    { key: 'wallMs', label: 'all in sync, ms', digits: 0, ratio: true, goal: atMost(500) },
  ],
  async generate(bench) {
    const { wire, host, port, params } = bench
    const { updates, textHash: expected } = readTrace(params.cache)
    const common = { host, port, documents: ['bench/w6'] }
    const held = new Y.Doc()
    held.transact(() => {
      for (const update of updates) Y.applyUpdate(held, update)
    })
    if (textHash(held) !== expected) throw new Error('the cached trace is damaged')

    // The document gets to the server in updates of a thousand edits each, four in flight.
    let taken = 0
    const count = (/** @type {any[]} */ ...[, , , , initial]) => {
      if (!initial) taken++
    }
    const seeder = await wire.connect({
      ...common,
      ...(wire.feedback === 'ack' ? { onAck: (from, to) => (taken += to - from + 1) } : {}),
      ...(wire.feedback === 'echo' ? { onUpdate: count } : {}),
    })
    let pushed = 0
    for (let at = 0; at < updates.length; at += 1_000) {
      seeder.push(0, Y.mergeUpdates(updates.slice(at, at + 1_000)))
      seeder.flush()
      pushed++
      if (wire.feedback !== 'none' && !(await until(() => pushed - taken < 4, 20_000))) throw new Error('seeding is stuck')
    }
    if (wire.feedback !== 'none' && !(await until(() => taken >= pushed, 20_000))) throw new Error('seeding is stuck')
    await quiet(bench, { leastMs: 3_000, mostMs: 30_000 })

    /** @type {unknown} */
    let resume
    if (wire.syncs) {
      /** @type {Uint8Array[]} */
      const content = []
      const probe = await wire.connect({
        ...common,
        onUpdate: (_document, buffer, start, end) => content.push(copyOf(buffer, start, end)),
      })
      await sleep(300)
      const loaded = new Y.Doc()
      for (const update of content) Y.applyUpdate(loaded, update)
      if (textHash(loaded) !== expected) throw new Error('the server does not hold the document')
      resume = probe.resume?.()
      probe.close()
    }
    /** @type {Map<string, Uint8Array>} */
    const answers = new Map()
    const sync = {
      stateVector: Y.encodeStateVector(held),
      answer(/** @type {Uint8Array} */ theirs) {
        const key = Buffer.from(theirs).toString('hex')
        let answer = answers.get(key)
        if (answer === undefined) {
          answer = Y.encodeStateAsUpdate(held, theirs)
          answers.set(key, answer)
        }
        return answer
      },
    }

    // They connect once, so that whatever the server keeps of a client it has, leave at once, and come back.
    const first = await openMany(params.clients, () => wire.connect({ ...common, sync, resume }))
    await sleep(500)
    const resumes = first.map((client) => client.resume?.() ?? resume)
    for (const client of first) client.close()
    await sleep(500)
    await quiet(bench, { leastMs: 1_000, mostMs: 20_000 })

    const cpuBefore = bench.serverCpuMs()
    const begin = performance.now()
    const clients = await Promise.all(resumes.map((one) => wire.connect({ ...common, sync, resume: one })))
    const wallMs = performance.now() - begin
    await quiet(bench, { leastMs: 1_000, mostMs: 20_000 })
    const cpuMs = bench.serverCpuMs() - cpuBefore
    let bytes = 0
    for (const client of clients) bytes += client.bytesIn()
    for (const client of clients) client.close()
    seeder.close()
    return { cpuPerClient: cpuMs / params.clients, bytesPerClient: bytes / params.clients, wallMs }
  },
}
