/** SIGTERM in the midst of it: what was acked is there, the node says goodbye and ends well, and clients come back by themselves. */

import type { Handle } from '@meridian/client'
import { afterEach, expect, it } from 'vitest'
import { CutProxy } from './cut-proxy.js'
import { Device, readFresh } from './devices.js'
import { NodeProcess } from './node-process.js'
import { Resources } from './resources.js'
import { ServerTap } from './server-tap.js'
import { nextPush, onDocument, onHandle, onStore, pause, until, within } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose())

const writerCount = 4
const drainCount = 2

it('given writers that never pause, when the node is stopped by SIGTERM, then it ends with 0, nothing acked is lost, and all go on by themselves on the next one', async () => {
  const node = resources.own(await NodeProcess.start({ directory: resources.directory() }))
  const writers: Writer[] = []
  for (let index = 0; index < writerCount; index++) {
    const tap = new ServerTap()
    const proxy = resources.own(await CutProxy.start({ port: () => node.port, tap: tap.tap }))
    const device = resources.own(new Device({ url: proxy.url }))
    writers.push({ tap, device, handle: device.open('lists/drained'), made: 0, saved: 0 })
  }
  await within(Promise.all(writers.map(({ handle }) => handle.ready)), 'the writers to be ready')

  const work = { over: false }
  const typing = writers.map(async (writer, index) => {
    const list = writer.handle.ydoc.getArray<string>('list')
    while (!work.over) {
      // Behind what it cannot send it waits for the connection, as a person would sooner or later.
      if (writer.handle.pending > 200)
        await until(() => writer.handle.pending < 100 || work.over, onHandle(writer.handle), { what: 'acks' })
      for (let count = 0; count < 5; count++) {
        list.insert(0, [`${index}-${++writer.made}`])
        await nextPush()
      }
      const upTo = writer.made
      writer.handle.saved().then(
        () => {
          writer.saved = Math.max(writer.saved, upTo)
        },
        () => undefined,
      )
      await pause(3)
    }
  })

  for (let drain = 1; drain <= drainCount; drain++) {
    const before = writers.map(({ saved }) => saved)
    await until(() => writers.every(({ saved }, index) => saved > (before[index] ?? 0) + 50), onAll(writers), {
      what: `load before drain ${drain}`,
    })
    expect(await node.stop()).toEqual({ code: 0, signal: null })
    // Everybody was told, and why.
    for (const { tap } of writers) {
      expect(tap.frames.filter((frame) => frame.type === 'goodbye').map(({ code, retry }) => [code, retry])).toEqual(
        Array.from({ length: drain }, () => ['DRAINING', 'now']),
      )
    }
    const acked = writers.map(({ saved }) => saved)
    await node.start()
    const words = await readFresh(node.url, 'lists/drained', (ydoc) => ydoc.getArray<string>('list').toArray())
    const held = new Set(words)
    expect(held.size).toBe(words.length)
    const lost = acked.flatMap((saved, index) =>
      Array.from({ length: saved }, (_, word) => `${index}-${word + 1}`).filter((word) => !held.has(word)),
    )
    expect(lost).toEqual([])
    for (const { device } of writers) {
      await until(() => device.store.status.connection.kind === 'online', onStore(device.store), {
        what: () => `a client to come back: ${JSON.stringify(device.store.status)}`,
      })
    }
  }

  work.over = true
  await Promise.all(typing)
  await within(Promise.all(writers.map(({ handle }) => handle.saved())), 'everything to be saved')
  const all = writers.flatMap(({ made }, index) => Array.from({ length: made }, (_, word) => `${index}-${word + 1}`)).toSorted()
  expect((await readFresh(node.url, 'lists/drained', (ydoc) => ydoc.getArray<string>('list').toArray())).toSorted()).toEqual(all)
  for (const { handle } of writers) {
    const list = handle.ydoc.getArray<string>('list')
    await until(() => list.length === all.length, onDocument(handle.ydoc), { what: 'every writer to have all of it' })
  }
}, 90_000)

interface Writer {
  readonly tap: ServerTap
  readonly device: Device
  readonly handle: Handle
  made: number
  saved: number
}

/** Acks show in the status; what waits for them hears of them a moment later. */
function onAll(writers: readonly Writer[]): (check: () => void) => () => void {
  return (check) => {
    const offs = writers.map(({ handle }) => handle.subscribe(() => queueMicrotask(check)))
    return () => {
      for (const off of offs) off()
    }
  }
}
