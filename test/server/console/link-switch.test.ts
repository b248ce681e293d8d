import { connect, createServer, type Server, type Socket } from 'node:net'
import { LinkSwitch } from '@meridian/server/console/link-switch'
import { afterEach, describe, expect, it } from 'vitest'
import { Resources } from '../../e2e/resources.js'

const resources = new Resources()
afterEach(() => resources.dispose())

/** Sends back what it gets. */
async function echo(): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  resources.later(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it has a port')
  return address.port
}

function dial(port: number): { readonly socket: Socket; readonly closed: Promise<void> } {
  const socket = connect(port, '127.0.0.1')
  resources.later(() => {
    socket.destroy()
  })
  socket.on('error', () => undefined)
  return { socket, closed: new Promise((resolve) => socket.once('close', () => resolve())) }
}

const answerOf = (socket: Socket, text: string): Promise<string> =>
  new Promise((resolve) => {
    let got = ''
    socket.on('data', (bytes) => {
      got += bytes.toString()
      if (got.length >= text.length) resolve(got)
    })
    for (const letter of text) socket.write(letter)
  })

describe('the switch of a link', () => {
  it('passes bytes both ways and in order, and counts them', async () => {
    const entrance = await LinkSwitch.open({ port: await echo(), delayMs: 5 })
    resources.later(() => entrance.close())
    const { socket } = dial(entrance.port)
    expect(await answerOf(socket, 'in this order')).toBe('in this order')
    expect(entrance.passedBytes).toBe(2 * 'in this order'.length)
  })

  it('given that it is cut, then connections are reset and none comes about until it is healed', async () => {
    const entrance = await LinkSwitch.open({ port: await echo(), delayMs: 0 })
    resources.later(() => entrance.close())
    const first = dial(entrance.port)
    expect(await answerOf(first.socket, 'a')).toBe('a')
    entrance.cut()
    await first.closed
    const second = dial(entrance.port)
    await second.closed
    expect(second.socket.bytesRead).toBe(0)
    entrance.heal()
    expect(await answerOf(dial(entrance.port).socket, 'b')).toBe('b')
  })
})
