// From spawn to the first answer, by the number of documents in the store. Driven by the runner itself, without a generator.

import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { withinOf } from '../lib/goals.mjs'
import { Author } from '../lib/marker.mjs'

const SMALLEST = 1_000

/** @type {import('../lib/goals.mjs').Row} */
export const row = {
  name: 'start',
  title: 'from spawn until a client is in sync with a stored document',
  only: (target) => target.seed !== undefined,
  cases: ({ quick }) =>
    (quick ? [SMALLEST, 10_000] : [SMALLEST, 100_000, 1_000_000]).map((count) => ({
      name: `${count.toLocaleString('en')} documents`,
      count,
      timeoutMs: 900_000,
    })),
  figures: [
    {
      key: 'cleanMs',
      label: 'after a clean stop, ms',
      digits: 0,
      goal: withinOf(`${SMALLEST.toLocaleString('en')} documents`, 0.2),
    },
    { key: 'killedMs', label: 'after kill -9, ms', digits: 0, goal: withinOf(`${SMALLEST.toLocaleString('en')} documents`, 0.2) },
  ],
  notes: [
    'Before the kill 100 documents are written to, so that there is a tail to recover. The store is seeded once and kept for all runs.',
  ],

  /** @param {any} run what the runner gives: the target, its wire, the case, a directory that lasts for all repeats. */
  async drive({ target, wire, params, keptDir, startOptions }) {
    const dir = join(keptDir, String(params.count))
    if (!existsSync(dir)) {
      mkdirSync(dir, { recursive: true })
      try {
        await target.seed(dir, params.count, startOptions)
      } catch (error) {
        rmSync(dir, { recursive: true, force: true })
        throw error
      }
    }
    /** @param {import('../lib/types.mjs').Server} server @param {number} index */
    const answerMs = async (server, index) => {
      const client = await wire.connect({ host: '127.0.0.1', port: server.port, documents: [`bench/seed-${index}`] })
      const ms = performance.now() - server.spawnedAt
      client.close()
      return ms
    }
    const server = await target.start(dir, startOptions)
    try {
      const cleanMs = await answerMs(server, params.count - 1)
      const writers = await Promise.all(
        Array.from({ length: Math.min(100, params.count) }, async (_, index) => {
          const client = await wire.connect({ host: '127.0.0.1', port: server.port, documents: [`bench/seed-${index}`] })
          // A client of its own each time: the pid differs from run to run, the index from document to document.
          const author = new Author(1_000_000 + server.pid * 100 + index)
          for (let sequence = 0; sequence < 10; sequence++) client.push(0, author.type(sequence))
          client.flush()
          return client
        }),
      )
      await new Promise((resolve) => setTimeout(resolve, 500))
      await server.kill9()
      for (const writer of writers) writer.close()
      await server.restart()
      const killedMs = await answerMs(server, params.count - 1)
      await server.stop()
      return { cleanMs, killedMs }
    } finally {
      await server.kill9()
    }
  },
}
