// What a server keeps in memory: of a connection that does nothing, of an open document, and of one that everybody has left.

import * as Y from 'yjs'
import { atMost } from '../lib/goals.mjs'
import { openMany, quiet, sleep, until } from '../lib/load.mjs'
import { Author } from '../lib/marker.mjs'

const CHARACTERS = 10_000
const INSERTS = 200
/** Together more than any of the servers keeps of its newest updates. */
const FILLERS = 30
const PADDING = 'x'.repeat(400_000)

/** A text of 10,000 characters typed in 200 places by 20 authors, as one update: 13 kB. @param {number} seed @returns {Uint8Array} */
function documentOf(seed) {
  const document = new Y.Doc()
  const text = document.getText('t')
  for (let index = 0; index < INSERTS; index++) {
    document.clientID = 1 + seed * 20 + (index % 20)
    const length = CHARACTERS / INSERTS
    text.insert((index * 7919) % (text.length + 1), String.fromCharCode(97 + ((index + seed) % 26)).repeat(length))
  }
  const update = Y.encodeStateAsUpdate(document)
  document.destroy()
  return update
}

const kilobytes = (/** @type {number} */ bytes) => bytes / 1000

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'w4',
  title: 'memory: idle connections, open documents, closed ones',
  only: (target) => target.kind !== 'relay',
  cases: ({ quick }) => {
    const count = quick ? 300 : 2_000
    // Each in a process of its own: what one leaves behind would be room for the other.
    return ['connections', 'documents'].map((what) => ({
      name: `${count.toLocaleString('en')} ${what}`,
      what,
      count,
      timeoutMs: 240_000,
    }))
  },
  figures: [
    {
      key: 'idleKb',
      label: 'kB an idle connection, RSS',
      digits: 1,
      ratio: true,
      goalFor: ({ what }) => (what === 'connections' ? atMost(18) : undefined),
    },
    {
      key: 'openKb',
      label: 'kB an open document of 10 kB with its client, RSS',
      digits: 1,
      ratio: true,
      goalFor: ({ what }) => (what === 'documents' ? atMost(40) : undefined),
    },
    { key: 'openLiveKb', label: 'the same, live', digits: 1, ratio: true },
    {
      key: 'closedLiveKb',
      label: 'kB a closed document, live',
      digits: 2,
      ratio: true,
      goalFor: ({ what }) => (what === 'documents' ? atMost(0.2) : undefined),
    },
    { key: 'emptyMb', label: 'process before, MB', digits: 0 },
  ],
  notes: [
    'RSS and live bytes (heap and buffers) are taken after two full collections. RSS includes what the kernel and all threads add.',
  ],
  async generate(bench) {
    const { wire, host, port, params } = bench
    const { count } = params
    let acked = 0
    let isClosed = false
    const first = await wire.connect({
      host,
      port,
      documents: ['bench/w4-first'],
      onAck: (from, to) => {
        acked += to - from + 1
      },
      onClose: () => {
        isClosed = true
      },
    })
    let pushed = 0
    const push = async (/** @type {Uint8Array} */ update) => {
      first.push(0, update)
      first.flush()
      pushed++
      // A server that is slower than this would refuse what is pushed beyond its bound, and keep what it has.
      await sleep(50)
      if (wire.feedback === 'ack') await until(() => acked === pushed || isClosed, 10_000)
      if (isClosed) throw new Error('the first client was disconnected')
    }
    // Servers that keep the newest updates in memory up to a bound have reached it before and after.
    const filler = new Author(100_000)
    let filled = 0
    const fill = async () => {
      for (let index = 0; index < FILLERS; index++) {
        await push(filler.typeLong(filled++, PADDING))
      }
      await quiet(bench, { leastMs: 2_000, mostMs: 30_000 })
    }
    const none = { idleKb: null, openKb: null, openLiveKb: null, closedLiveKb: null }
    if (params.what === 'connections') {
      await push(documentOf(0))
      await sleep(500)
      const before = await bench.ask('memory')
      const idle = await openMany(count, () => wire.connect({ host, port, documents: ['bench/w4-first'] }))
      await quiet(bench, { leastMs: 1_000, mostMs: 20_000 })
      const after = await bench.ask('memory')
      for (const one of [first, ...idle]) one.close()
      return { ...none, idleKb: kilobytes(after.rss - before.rss) / count, emptyMb: before.rss / 1e6 }
    }
    await fill()
    const before = await bench.ask('memory')
    const open = await openMany(count, async (index) => {
      const one = await wire.connect({ host, port, documents: [`bench/w4-${index}`] })
      one.push(0, documentOf(index + 1))
      one.flush()
      return one
    })
    await quiet(bench, { leastMs: 3_000, mostMs: 30_000 })
    const withOpen = await bench.ask('memory')
    for (const one of open) one.close()
    await quiet(bench, { leastMs: 5_000, mostMs: 30_000 })
    await fill()
    const after = await bench.ask('memory')
    first.close()
    return {
      ...none,
      openKb: kilobytes(withOpen.rss - before.rss) / count,
      openLiveKb: kilobytes(withOpen.live - before.live) / count,
      closedLiveKb: Math.max(0, kilobytes(after.live - before.live) / count),
      emptyMb: before.rss / 1e6,
    }
  },
}
