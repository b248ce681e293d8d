/** SIGTERM in the middle of writing: whatever was acked is there after the next start, and every client was told. */

import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { Cli } from '../support/cli.js'
import { attach, hello, RawClient } from '../support/raw-client.js'
import { rawWebSocket, webSocketFrame } from '../support/raw-socket.js'
import { temporaryFolder } from '../support/running-node.js'

const nodeOf = (folder: string): Cli => new Cli(['node', '--dev', '--port', '0', '--data', folder])

describe('SIGTERM', () => {
  it('[LOG1] given clients in the middle of writing, then nothing acked is lost, and all are told DRAINING and 1012', async () => {
    const folder = await temporaryFolder()
    const first = nodeOf(folder)
    const url = await first.url()
    const writers = await Promise.all(
      Array.from({ length: 4 }, async (_, index) => {
        const client = await new RawClient(url).greet()
        const doc = new Y.Doc()
        doc.clientID = index + 1
        let counter = 0
        doc.on('update', (payload: Uint8Array) => {
          if (client.socket.readyState === client.socket.OPEN)
            client.send({ type: 'push', channel: 1, counter: ++counter, payload })
        })
        client.send(attach(1, `dev/notes/${index}`))
        await client.frame('current')
        return { client, doc }
      }),
    )
    let writing = true
    const typing = (async () => {
      while (writing) {
        for (const { doc } of writers) doc.getText('t').insert(0, 'x')
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    const acked = ({ client }: (typeof writers)[number]): number =>
      client.frames.reduce((most, frame) => (frame.type === 'ack' ? Math.max(most, frame.counter) : most), 0)
    await Promise.all(writers.map(({ client }) => client.frame('ack', (ack) => ack.counter >= 50)))
    first.child.kill('SIGTERM')
    for (const { client } of writers) {
      expect(await client.closed).toEqual({ code: 1012, reason: 'DRAINING' })
      expect(client.frames.at(-1)).toMatchObject({ type: 'goodbye', code: 'DRAINING', retry: 'now' })
    }
    writing = false
    await typing
    expect(await first.ended).toMatchObject({ code: 0 })

    const second = nodeOf(folder)
    const again = await second.url()
    for (const [index, writer] of writers.entries()) {
      const reader = await new RawClient(again).greet()
      reader.send(attach(1, `dev/notes/${index}`))
      await reader.frame('current')
      const copy = new Y.Doc()
      for (const frame of reader.frames) if (frame.type === 'update' || frame.type === 'state') Y.applyUpdate(copy, frame.payload)
      expect(copy.getText('t').length).toBeGreaterThanOrEqual(acked(writer))
    }
  })

  it('given a client that does not go, when it is told a second time, then it ends at once', async () => {
    const cli = nodeOf(await temporaryFolder())
    const port = Number(new URL(await cli.url()).port)
    const stubborn = await rawWebSocket({ port })
    stubborn.write(webSocketFrame(encodeClientFrame(hello())))
    await stubborn.until('eu-west#')
    // Twice at once is once: so comes Ctrl+C under npm. Half a second later it is meant.
    cli.child.kill('SIGTERM')
    cli.child.kill('SIGTERM')
    await cli.logged(/draining/)
    const telling = setInterval(() => cli.child.kill('SIGTERM'), 100)
    const ended = await cli.ended
    clearInterval(telling)
    expect(ended.code).toBe(143)
    expect(ended.stdout.match(/"msg":"(?:draining|told twice; ending at once|closed)"/g)).toEqual([
      '"msg":"draining"',
      '"msg":"told twice; ending at once"',
    ])
  })
})
