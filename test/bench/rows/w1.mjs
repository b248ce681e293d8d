// Fan-out: one document, one writer, many readers, a fixed number of updates in flight. An update is in flight until every reader has it.

import { openMany, sleep } from '../lib/load.mjs'
import { Author, eachMarker } from '../lib/marker.mjs'
import { atLeastShareOf } from '../lib/goals.mjs'

const GOALS = {
  '100/1': atLeastShareOf('raw-log', 0.95),
  '10/1': atLeastShareOf('hocuspocus', 1.3),
  '100/32': atLeastShareOf('raw-log', 0.9),
}

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'w1',
  title: '1 document, 1 writer, N readers, closed loop',
  cases: ({ quick }) =>
    [
      [10, 1],
      [10, 32],
      [100, 1],
      [100, 32],
    ].map(([readers, window]) => ({
      name: `${readers} readers, ${window} in flight`,
      readers,
      window,
      warmMs: quick ? 500 : 1_500,
      measureMs: quick ? 2_000 : 5_000,
      timeoutMs: 60_000,
    })),
  figures: [
    {
      key: 'perCpuSecond',
      label: 'delivered / server CPU s',
      digits: 0,
      ratio: true,
      goalFor: ({ readers, window }) => GOALS[/** @type {keyof typeof GOALS} */ (`${readers}/${window}`)],
    },
    { key: 'perSecond', label: 'delivered / s', digits: 0 },
    { key: 'generatorShare', label: 'generator cores', digits: 2 },
  ],
  async generate(bench) {
    const { wire, host, port, params } = bench
    const { readers, window, warmMs, measureMs } = params
    const common = { host, port, documents: ['bench/w1'] }
    const author = new Author(1000)
    /** How many readers have the update, by its number modulo a power of two above the window. */
    const received = new Uint16Array(1024)
    let next = 0
    let inFlight = 0
    let delivered = 0
    let stopped = false
    let scheduled = false
    let closed = false

    const fill = () => {
      scheduled = false
      if (stopped) return
      while (inFlight < window) {
        received[next & 1023] = 0
        writer.push(0, author.type(next++))
        // A write for each update, as a client that sends them does.
        writer.flush()
        inFlight++
      }
    }
    const onMarker = (/** @type {number} */ sequence) => {
      delivered++
      if (++received[sequence & 1023] !== readers) return
      inFlight--
      if (!scheduled) {
        scheduled = true
        // After the chunk that is being read: a burst that completes together is followed by one burst.
        queueMicrotask(fill)
      }
    }
    const onClose = () => {
      closed = true
    }
    const all = await openMany(readers, () =>
      wire.connect({ ...common, onClose, onUpdate: (_document, buffer, start, end) => eachMarker(buffer, start, end, onMarker) }),
    )
    const writer = await wire.connect({ ...common, onClose })
    fill()
    await sleep(warmMs)
    const before = { cpuMs: bench.serverCpuMs(), delivered, at: performance.now(), own: process.cpuUsage() }
    await sleep(measureMs)
    const cpuMs = bench.serverCpuMs() - before.cpuMs
    const count = delivered - before.delivered
    const seconds = (performance.now() - before.at) / 1000
    const own = process.cpuUsage(before.own)
    stopped = true
    if (closed) throw new Error('a client was disconnected')
    if (count < readers * window) throw new Error(`stuck: ${count} deliveries in ${seconds.toFixed(1)} s`)
    for (const reader of all) reader.close()
    return {
      perCpuSecond: (count / cpuMs) * 1000,
      perSecond: count / seconds,
      generatorShare: (own.user + own.system) / 1e6 / seconds,
    }
  },
}
