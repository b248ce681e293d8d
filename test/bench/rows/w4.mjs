// What a server keeps in memory: of a connection that does nothing, of an open document, and of one that everybody has left.

import * as Y from 'yjs'
import { atMost } from '../lib/goals.mjs'
import { openMany, quiet, sleep } from '../lib/load.mjs'
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
  cases: ({ quick }) => [
    {
      name: quick ? '300 connections, 300 documents' : '2,000 connections, 2,000 documents',
      connections: quick ? 300 : 2_000,
      documents: quick ? 300 : 2_000,
      timeoutMs: 240_000,
    },
  ],
  figures: [
    { key: 'idleKb', label: 'kB an idle connection, RSS', digits: 1, ratio: true, goal: atMost(18) },
    { key: 'openKb', label: 'kB an open document of 10 kB with its client, RSS', digits: 1, ratio: true, goal: atMost(40) },
    { key: 'openLiveKb', label: 'the same, live', digits: 1, ratio: true },
    { key: 'closedLiveKb', label: 'kB a closed document, live', digits: 2, ratio: true, goal: atMost(0.2) },
    { key: 'emptyMb', label: 'empty process, MB', digits: 0 },
  ],
  notes: [
    'RSS and live bytes (heap and buffers) are taken after two full collections. RSS includes what the kernel and all threads add.',
  ],
  async generate(bench) {
    const { wire, host, port, params } = bench
    const { connections, documents } = params
    // What a first document and connection bring along belongs to nobody.
    const first = await wire.connect({ host, port, documents: ['bench/w4-first'] })
    first.push(0, documentOf(0))
    first.flush()
    await sleep(500)
    const empty = await bench.ask('memory')
    const idle = await openMany(connections, () => wire.connect({ host, port, documents: ['bench/w4-first'] }))
    await quiet(bench, { leastMs: 1_000, mostMs: 20_000 })
    const withIdle = await bench.ask('memory')
    for (const one of idle) one.close()
    await quiet(bench, { leastMs: 2_000, mostMs: 20_000 })

    // Servers that keep the newest updates in memory up to a bound have reached it before and after.
    const fill = async () => {
      for (let index = 0; index < FILLERS; index++) {
        first.push(0, filler.typeLong(filled++, PADDING))
        first.flush()
        await sleep(50)
      }
      await quiet(bench, { leastMs: 2_000, mostMs: 30_000 })
    }
    const filler = new Author(100_000)
    let filled = 0
    await fill()
    const before = await bench.ask('memory')
    const open = await openMany(documents, async (index) => {
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
      idleKb: kilobytes(withIdle.rss - empty.rss) / connections,
      // The sockets that were idle before have left their pages to those that came after them, so they count as empty here.
      openKb: kilobytes(withOpen.rss - empty.rss) / documents,
      openLiveKb: kilobytes(withOpen.live - before.live) / documents,
      closedLiveKb: Math.max(0, kilobytes(after.live - before.live) / documents),
      emptyMb: empty.rss / 1e6,
    }
  },
}
