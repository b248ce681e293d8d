// Bytes between two regions while somebody types.

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import * as Y from 'yjs'
import { wire } from '../../wires/native.mjs'
import { inCluster, until } from '../world.mjs'

/** The first edits of the trace as a client makes them, whose id is as long as they come. @param {number} count */
function firstEdits(count) {
  const trace = JSON.parse(
    gunzipSync(readFileSync(new URL('../../../data/traces/automerge-paper.json.gz', import.meta.url))).toString(),
  )
  const document = new Y.Doc()
  document.clientID = 2_931_402_117
  /** @type {Uint8Array[]} */
  const updates = []
  document.on('update', (update) => updates.push(update))
  const text = document.getText('t')
  for (const { patches } of trace.txns.slice(0, count))
    document.transact(() => {
      for (const [position, deleted, inserted] of patches) {
        if (deleted > 0) text.delete(position, deleted)
        if (inserted !== '') text.insert(position, inserted)
      }
    })
  return updates
}

/** @type {import('../types.mjs').RegionRow} */
export const row = {
  name: 'wan',
  title: 'automerge-paper typed at 60 edits a second in one of two regions: bytes on the socket between them',
  once: true,
  cases: ({ quick }) =>
    [0, 100].map((batchMs) => ({ name: `link.batchMs: ${batchMs}`, batchMs, edits: quick ? 600 : 3_600, rate: 60 })),
  figures: [
    { key: 'bytes', label: 'bytes an edit, both ways', digits: 2, goal: ({ batchMs }) => (batchMs === 100 ? 8 : undefined) },
    { key: 'there', label: 'of these to the reader', digits: 2 },
    { key: 'back', label: 'acks back', digits: 2 },
    { key: 'raw', label: 'raw Yjs updates', digits: 2 },
    { key: 'idle', label: 'idle link, bytes a second', digits: 0 },
  ],
  run: ({ batchMs, edits, rate }) => {
    const bytes = { up: 0, down: 0 }
    const options = {
      names: ['eu-west', 'us-east'],
      flags: ['--link-batch-ms', String(batchMs)],
      tap: () => (/** @type {Buffer} */ piece, /** @type {unknown} */ _connection, /** @type {'up' | 'down'} */ direction) => {
        bytes[direction] += piece.length
      },
    }
    return inCluster(options, async (cluster) => {
      const updates = firstEdits(edits)
      const name = 'bench/paper'
      let seen = 0
      const connect = (/** @type {string} */ region, /** @type {object} */ hooks) =>
        wire.connect({ host: '127.0.0.1', port: cluster.node(region).port, documents: [name], ...hooks })
      const reader = await connect('us-east', { onUpdate: () => seen++ })
      const writer = await connect('eu-west', {})
      const total = () => bytes.up + bytes.down
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      const idleFrom = total()
      await new Promise((resolve) => setTimeout(resolve, 5_000))
      const idle = (total() - idleFrom) / 5
      const before = { ...bytes }
      const begin = performance.now()
      let raw = 0
      for (let sent = 0; sent < edits; ) {
        const due = Math.min(edits, Math.floor(((performance.now() - begin) * rate) / 1000))
        for (; sent < due; sent++) {
          const update = updates[sent]
          if (update === undefined) break
          raw += update.length
          writer.push(0, update)
          writer.flush()
        }
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await new Promise((resolve) => setTimeout(resolve, 500))
      await until(() => seen > 0, 5_000)
      const up = bytes.up - before.up
      const down = bytes.down - before.down
      reader.close()
      writer.close()
      const there = Math.max(up, down)
      return { bytes: (up + down) / edits, there: there / edits, back: (up + down - there) / edits, raw: raw / edits, idle }
    })
  },
}
