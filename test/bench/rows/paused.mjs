// A reader that stops reading under a stream: what the server keeps for it, beyond what the same stream costs without it.

import { atMost, exactly } from '../lib/goals.mjs'
import { sleep, until } from '../lib/load.mjs'
import { Author, eachMarker } from '../lib/marker.mjs'

const RATE = 500
/** Pads each update, so that ten seconds make 20 MB. */
const PADDING = 'x'.repeat(4_000)

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'paused',
  title: 'one of two readers stops for ten seconds',
  cases: ({ quick }) => [
    {
      name: `${RATE.toLocaleString('en')} updates/s of 4 kB`,
      seconds: quick ? 3 : 10,
      timeoutMs: 240_000,
    },
  ],
  figures: [
    { key: 'growthMib', label: 'growth of RSS beyond that without it, MiB', digits: 1, ratio: true, goal: atMost(16) },
    { key: 'liveMib', label: 'the same, live', digits: 1, ratio: true },
    { key: 'streamMib', label: 'growth of the stream alone, MiB', digits: 1 },
    { key: 'missing', label: 'not delivered to it in the end', digits: 0, goal: exactly(0) },
  ],
  async generate(bench) {
    const { wire, host, port, params } = bench
    const once = async (/** @type {string} */ name, /** @type {boolean} */ pause) => {
      const total = RATE * params.seconds
      const common = { host, port, documents: [`bench/${name}`] }
      let reading = 0
      let paused = 0
      const count = (/** @type {() => void} */ add) => ({
        ...common,
        onUpdate: (
          /** @type {number} */ _document,
          /** @type {Uint8Array} */ buffer,
          /** @type {number} */ start,
          /** @type {number} */ end,
        ) => eachMarker(buffer, start, end, add),
      })
      const reader = await wire.connect(count(() => reading++))
      const sleeper = await wire.connect(count(() => paused++))
      const writer = await wire.connect(common)
      const author = new Author(1_000 + (pause ? 1 : 0))
      const before = await bench.ask('memory')
      if (pause) sleeper.pause?.()
      let sent = 0
      const begin = performance.now()
      while (sent < total) {
        const due = Math.min(total, Math.floor(((performance.now() - begin) * RATE) / 1000))
        while (sent < due) {
          writer.push(0, author.typeLong(sent++, PADDING))
          if (sent % 16 === 0) writer.flush()
        }
        writer.flush()
        await sleep(2)
      }
      await until(() => reading >= total, 20_000)
      const after = await bench.ask('memory')
      sleeper.resumeReading?.()
      await until(() => paused >= total, 30_000)
      for (const one of [reader, sleeper, writer]) one.close()
      await sleep(1_000)
      return {
        mib: (after.rss - before.rss) / 2 ** 20,
        live: (after.live - before.live) / 2 ** 20,
        missing: Math.max(0, total - paused),
      }
    }
    // The first stream warms everything up; the heap that it grew is there for the ones that are measured.
    await once('paused-warm', false)
    const alone = await once('paused-alone', false)
    const withPaused = await once('paused-one', true)
    return {
      growthMib: withPaused.mib - alone.mib,
      liveMib: withPaused.live - alone.live,
      streamMib: alone.mib,
      missing: withPaused.missing,
    }
  },
}
