// What `kill -9` loses of what the server had acked or had shown to another client.

import { readFileSync } from 'node:fs'
import * as Y from 'yjs'
import { copyOf, openMany, openPairs, sleep, until } from '../lib/load.mjs'
import { eachMarker } from '../lib/marker.mjs'
import { exactly } from '../lib/goals.mjs'

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'w5',
  title: 'lost after kill -9, of updates acked or seen by another client',
  only: (target) => target.persists,
  cases: ({ quick }) =>
    [
      { documents: 1, rate: 100, kill: 'end' },
      { documents: 50, rate: 1_000, kill: 'end' },
      { documents: 50, rate: 5_000, kill: 'end' },
      { documents: 50, rate: 5_000, kill: 'amid' },
      { documents: 200, rate: 20_000, kill: 'amid' },
    ].map((one) => ({
      ...one,
      name: `${one.documents} documents, ${one.rate.toLocaleString('en')}/s, killed ${one.kill === 'end' ? 'after the last delivery' : 'while writing'}`,
      seconds: quick ? 2 : 5,
      timeoutMs: 180_000,
    })),
  figures: [
    { key: 'lost', label: 'lost', digits: 0, goal: exactly(0) },
    { key: 'lostPercent', label: 'lost %', digits: 2 },
    { key: 'doubled', label: 'doubled', digits: 0, goal: exactly(0) },
    { key: 'promised', label: 'acked or seen', digits: 0 },
    { key: 'sent', label: 'sent', digits: 0 },
  ],
  async generate(bench) {
    const { wire, host, params } = bench
    const { documents, rate, seconds, kill } = params
    const total = rate * seconds
    const seen = new Uint8Array(total)
    const acked = new Uint8Array(total)
    let seenCount = 0
    let open = 0
    let killed = false
    let killDue = false
    const killNow = () => {
      if (killed) return
      killed = true
      process.kill(bench.pid, 'SIGKILL')
    }
    const pairs = await openPairs(bench, {
      documents,
      prefix: 'w5',
      onDelivered(sequence) {
        if (sequence >= total || seen[sequence] === 1) return
        seen[sequence] = 1
        if (++seenCount === total && killDue) killNow()
      },
      onAck(document, from, to) {
        // The pushes of pair `document` are the updates `document`, `document + documents` …
        for (let counter = from; counter <= to; counter++) acked[document + counter * documents] = 1
      },
      onClose: () => {
        open--
      },
    })
    open = pairs.length * 2

    killDue = kill === 'end'
    const killAt = kill === 'amid' ? Math.floor(total * 0.8) : Infinity
    let sent = 0
    await new Promise((resolve) => {
      const begin = performance.now()
      const tick = () => {
        const due = Math.min(total, killAt, Math.floor(((performance.now() - begin) * rate) / 1000))
        while (sent < due && !killed) {
          const pair = pairs[sent % documents]
          pair.writer.push(0, pair.author.type(sent))
          pair.writer.flush()
          sent++
        }
        if (sent >= killAt) killNow()
        if (sent < total && !killed) setTimeout(tick, 1)
        else resolve(undefined)
      }
      tick()
    })
    await until(() => killed, 20_000)
    const reachedLast = killed
    killNow()
    // What the kernel still holds for our sockets was sent before the kill: it counts.
    if (!(await until(() => open === 0, 5_000))) throw new Error(`${open} sockets outlived the server`)

    const found = new Uint8Array(total)
    let doubled = 0
    const onFound = (/** @type {number} */ sequence) => {
      if (sequence >= total) return
      if (found[sequence] === 1) doubled++
      found[sequence] = 1
    }
    const files = await bench.ask('recover')
    if (files !== null) {
      for (const file of files) {
        const bytes = readFileSync(file)
        eachMarker(bytes, 0, bytes.length, onFound)
      }
    } else {
      const { port } = await bench.ask('restart')
      /** @type {Uint8Array[][]} */
      const content = Array.from({ length: documents }, () => [])
      let lastAt = performance.now()
      const readers = await openMany(documents, (index) =>
        wire.connect({
          host,
          port,
          documents: [`bench/w5-${index}`],
          onUpdate(_document, buffer, start, end) {
            content[index].push(copyOf(buffer, start, end))
            lastAt = performance.now()
          },
        }),
      )
      lastAt = performance.now()
      // y-websocket answers before its store has loaded and sends the content later, so "in sync" is not the end.
      await until(() => performance.now() - lastAt > 3_000, 30_000)
      for (const updates of content) {
        const document = new Y.Doc()
        document.transact(() => {
          for (const update of updates) Y.applyUpdate(document, update)
        })
        const text = Buffer.from(document.getText('t').toString())
        eachMarker(text, 0, text.length, onFound)
        document.destroy()
      }
      for (const reader of readers) reader.close()
      await sleep(50)
    }

    let promised = 0
    let lost = 0
    let ackedCount = 0
    for (let sequence = 0; sequence < total; sequence++) {
      ackedCount += acked[sequence]
      if (seen[sequence] + acked[sequence] === 0) continue
      promised++
      if (found[sequence] === 0) lost++
    }
    return {
      lost,
      lostPercent: promised === 0 ? 0 : (lost / promised) * 100,
      doubled,
      promised,
      sent,
      seen: seenCount,
      acked: ackedCount,
      reachedLast,
    }
  },
}
