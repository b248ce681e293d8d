/** Links over real sockets, between regions whose logs are in memory. */

import { parseDocument } from '@meridian/core/ids'
import { makeRegionKey } from '@meridian/server/io/region-key'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { every, until } from '../../e2e/waiting.js'
import { LinkedRegion, type LinkedRegionOptions, placesOf, topologyOf } from '../support/linked-region.js'

const open: LinkedRegion[] = []
async function start(options: LinkedRegionOptions): Promise<LinkedRegion> {
  const region = await LinkedRegion.start(options)
  open.push(region)
  return region
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((region) => region.close()))
})

const waitFor = (condition: () => boolean, what: string): Promise<void> => until(condition, every(10), { what, limitMs: 20_000 })
const note = parseDocument('acme/notes/one')
const text = (payload: Uint8Array): string => new TextDecoder().decode(payload)
const bytes = (payload: string): Uint8Array => new TextEncoder().encode(payload)
const reasons = (region: LinkedRegion): string => region.lines.map((line) => JSON.stringify(line['reason'] ?? '')).join('\n')

describe('links over sockets', () => {
  it('given three regions, when each writes, then each holds all; and when one comes later, it too', async () => {
    const places = await placesOf(['eu-west', 'us-east', 'ap-south'])
    const topology = topologyOf(places)
    const [first, second, third] = places
    if (first === undefined || second === undefined || third === undefined) throw new Error('three places')
    const one = await start({ place: first, topology })
    const two = await start({ place: second, topology })
    await one.write(note, bytes('from one'))
    await two.write(note, bytes('from two'))
    const late = await start({ place: third, topology })
    await late.write(note, bytes('from three'))
    const all = ['from one', 'from three', 'from two']
    await waitFor(() => open.every((region) => region.payloads(note).length === 3), 'three entries in each')
    for (const region of open) expect(region.payloads(note).map(text).sort()).toEqual(all)
    await waitFor(() => open.every((region) => region.links.links.isCaughtUp), 'acks')
    const lags = [...one.links.links.status()].map(({ peer, entries, stopped }) => `${peer} ${entries} ${String(stopped)}`)
    expect(lags.toSorted()).toEqual(['ap-south 0 undefined', 'us-east 0 undefined'])
  })

  it('[LINK3] given a pair without a link, when one writes, then the other has it through the third', async () => {
    const places = await placesOf(['eu-west', 'us-east', 'ap-south'])
    const topology = topologyOf(places, { without: [['eu-west', 'us-east']] })
    for (const place of places) await start({ place, topology })
    const [one, two] = open
    await one?.write(note, bytes('far'))
    await waitFor(() => two?.payloads(note).length === 1, 'the entry through the third')
    expect(one?.links.links.links.has(places[1]?.name ?? ('' as never))).toBe(false)
  })

  it('given a region that went away and came back with what it had, when others wrote meanwhile, then it gets what it missed', async () => {
    const places = await placesOf(['eu-west', 'us-east'])
    const topology = topologyOf(places)
    const [first, second] = places
    if (first === undefined || second === undefined) throw new Error('two places')
    const one = await start({ place: first, topology })
    const two = await start({ place: second, topology })
    await one.write(note, bytes('a'))
    await waitFor(() => two.payloads(note).length === 1, 'a')
    await two.close()
    await one.write(note, bytes('b'))
    const again = await start({ place: second, topology, store: two.store })
    await again.write(note, bytes('c'))
    await waitFor(() => again.payloads(note).length === 3 && one.payloads(note).length === 3, 'all in both')
    expect(again.payloads(note).map(text).sort()).toEqual(['a', 'b', 'c'])
  })

  it('[RES2] given a region with the key of nobody, when it starts or connects, then it is refused with what to do', async () => {
    const places = await placesOf(['eu-west', 'us-east'])
    const [first, second] = places
    if (first === undefined || second === undefined) throw new Error('two places')
    const topology = topologyOf(places)
    const { privatePem, publicKey } = makeRegionKey()
    // By its own file it is right, by that of the others it is not.
    await expect(start({ place: second, topology, key: privatePem })).rejects.toThrow(
      'is not the key that the cluster file has for us-east',
    )
    const one = await start({ place: first, topology })
    const forged = topologyOf([first, { ...second, publicKey }])
    const two = await start({ place: second, topology: forged, key: privatePem })
    await waitFor(() => reasons(one).includes('did not prove itself'), 'the refusal')
    await one.write(note, bytes('kept'))
    expect([one.links.stats.connections, two.links.stats.connections, two.payloads(note)]).toEqual([0, 0, []])
  })

  it('[RES2] given a region that says that it is elsewhere than the file of the others says, when it connects, then it is refused', async () => {
    const places = await placesOf(['eu-west', 'us-east'])
    const [first, second] = places
    if (first === undefined || second === undefined) throw new Error('two places')
    const one = await start({ place: first, topology: topologyOf(places) })
    const moved = await start({ place: second, topology: topologyOf(places, { fields: { 'us-east': { jurisdiction: 'RU' } } }) })
    await waitFor(() => reasons(one).includes('elsewhere'), 'the refusal')
    expect([one.links.stats.connections, moved.links.stats.connections]).toEqual([0, 0])
    await waitFor(() => one.links.stats.refusals >= 2, 'another attempt')
  })

  it('given strangers that send anything, or nothing, when their time is over, then they are gone and nobody else notices', async () => {
    const places = await placesOf(['eu-west', 'us-east'])
    const [first, second] = places
    if (first === undefined || second === undefined) throw new Error('two places')
    const topology = topologyOf(places)
    const one = await start({ place: first, topology, limits: { handshakeMs: 3_000 } })
    const codes = await Promise.all(
      [undefined, bytes('hello'), new Uint8Array(900_000), new Uint8Array(3_000_000)].map(
        (greeting) =>
          new Promise<number>((resolve) => {
            const socket = new WebSocket(`ws://127.0.0.1:${first.port}/v1/link`)
            socket.on('error', () => undefined)
            socket.on('open', () => greeting !== undefined && socket.send(greeting))
            socket.on('close', resolve)
          }),
      ),
    )
    expect(codes).toEqual([1006, 4400, 4413, 1009])
    await start({ place: second, topology })
    await waitFor(() => one.links.stats.connections === 1, 'a link')
  })

  it('given a node without TLS, when somebody connects who is not on its machine, then links are refused', async () => {
    const places = await placesOf(['eu-west', 'us-east'])
    const [first] = places
    if (first === undefined) throw new Error('a place')
    const one = await start({ place: first, topology: topologyOf(places) })
    const answers: string[] = []
    const socket = { end: (answer: string) => answers.push(answer) }
    const request = { headers: {}, socket: { remoteAddress: '10.1.2.3' } }
    one.links.upgrade(request as never, socket as never, Buffer.alloc(0))
    expect(answers[0]).toMatch(/^HTTP\/1.1 426 /)
    expect(() => topologyOf(places, { fields: { 'us-east': { link: 'ws://us-east.example.com/v1/link' } } })).toThrow('wss://')
  })
})
