/** Unmodified `Repo`s of automerge-repo against a real node process: several documents on one socket, tokens, refusals of one document. */

import { generateAutomergeUrl, parseAutomergeUrl } from '@automerge/automerge-repo'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { newDocumentId, RawPeer, reads, RepoClient, type RepoOptions } from './automerge-repos.js'
import { NodeProcess } from './node-process.js'
import { eventually, secret, tokenOf } from './providers.js'
import { Resources } from './resources.js'

/** Ephemeral messages a second that the node of the tests passes on for one connection. */
const ephemeralPerSecond = 5
/** Bytes of one update that it takes. */
const updateBytesMax = 64 * 1024

const lasting = new Resources()
const resources = new Resources()
let node: NodeProcess
let guarded: NodeProcess

beforeAll(async () => {
  const start = async (options: { readonly secret?: string; readonly flags: readonly string[] }): Promise<NodeProcess> =>
    lasting.own(await NodeProcess.start({ directory: lasting.directory(), ...options }))
  const limits = ['--limits-presence-per-second', `${ephemeralPerSecond}`, '--limits-update-bytes-max', `${updateBytesMax}`]
  ;[node, guarded] = await Promise.all([start({ flags: limits }), start({ secret, flags: ['--auth-clock-tolerance-ms', '0'] })])
}, 120_000)
afterEach(() => resources.dispose())
afterAll(() => lasting.dispose())

const connect = (options: Partial<RepoOptions> = {}): RepoClient => resources.own(new RepoClient({ port: node.port, ...options }))
const enter = (token: string): RepoClient => connect({ port: guarded.port, token })
const raw = (options: Partial<RepoOptions> = {}): RawPeer => resources.own(new RawPeer({ port: node.port, ...options }))

test('given a repo that creates a document, when others edit it and the node starts again, then all have all, and who asks for another hears that it is not there', async () => {
  const [first, second] = [connect(), connect()]
  const created = first.create('one')
  // It may ask before the first has said anything.
  const other = await second.find(created.url)
  await reads(other, { text: 'one' })
  created.change((doc) => void (doc.text = 'two'))
  await reads(other, { text: 'two' })
  other.change((doc) => void (doc.from = 'second'))
  await reads(created, { from: 'second' })
  await expect(second.repo.find(generateAutomergeUrl())).rejects.toThrow(/unavailable/)

  await node.kill()
  await node.start()
  const again = await connect().find(created.url)
  await reads(again, { text: 'two', from: 'second' })
  again.change((doc) => void (doc.from = 'third'))
  await Promise.all([reads(created, { from: 'third' }), reads(other, { from: 'third' })])
})

test('given ephemeral messages, when there are more than may be, or one that is too large, then those are not passed on, and later ones are', async () => {
  const [first, second] = [connect(), connect()]
  const created = first.create('one')
  const other = await second.find(created.url)
  await reads(other, { text: 'one' })
  const heard: unknown[] = []
  created.on('ephemeral-message', ({ message }) => heard.push(message))
  const said = async (message: object): Promise<void> => {
    const isHeard = (): boolean => {
      if (heard.some((each) => JSON.stringify(each) === JSON.stringify(message))) return true
      other.broadcast(message)
      return false
    }
    await eventually(isHeard, 'an ephemeral message')
  }
  await said({ cursor: 3 })
  other.broadcast({ large: 'x'.repeat(8 * 1024) })
  const before = heard.length
  for (let index = 0; index < 40 * ephemeralPerSecond; index++) other.broadcast({ index })
  await said({ cursor: 4 })
  expect(heard.length - before).toBeLessThan(20 * ephemeralPerSecond)
  expect(heard.some((message) => 'large' in (message as object))).toBe(false)
  expect([...first.closes, ...second.closes]).toEqual([])
})

test('given tokens in the address, when one is good, of another tenant, or has ended, then only the first reads and writes, and a successor goes on', async () => {
  const first = enter(tokenOf())
  const created = first.create('of acme')
  await reads(await enter(tokenOf({ subject: 'bob' })).find(created.url), { text: 'of acme' })

  // The same id is another document there.
  const stranger = enter(tokenOf({ tenant: 'other' }))
  await expect(stranger.repo.find(created.url)).rejects.toThrow(/unavailable/)
  const denied = enter(tokenOf({ match: 'notes/*' }))
  await expect(denied.repo.find(created.url)).rejects.toThrow(/unavailable/)
  expect([...stranger.closes, ...denied.closes]).toEqual([])

  const forged = enter('nonsense')
  const late = enter(tokenOf({ expiresInMs: -60_000 }))
  const ending = enter(tokenOf({ expiresInMs: 4_000 }))
  const mine = await ending.find(created.url)
  await eventually(() => forged.closes.includes('4401 TOKEN_INVALID'), 'the forged one to be refused')
  await eventually(() => late.closes.includes('4402 TOKEN_EXPIRED'), 'the late one to be refused')
  await eventually(() => ending.closes.includes('4402 TOKEN_EXPIRED'), 'a token to end on an open connection')
  mine.change((doc) => void (doc.from = 'too late'))
  created.change((doc) => void (doc.text = 'meanwhile'))
  ending.renew(tokenOf())
  await reads(created, { from: 'too late' })
  await reads(mine, { text: 'meanwhile' })
  expect(first.closes).toEqual([])
})

test('given a token for reading, when its user edits, then nothing of that is stored, and what others write still comes', async () => {
  const writer = enter(tokenOf())
  const created = writer.create('theirs')
  const reader = enter(tokenOf({ access: 'read', subject: 'grace' }))
  const read = await reader.find(created.url)
  read.change((doc) => void (doc.from = 'not stored'))
  created.change((doc) => void (doc.text = 'still theirs'))
  await reads(read, { text: 'still theirs', from: 'not stored' })
  const own = reader.create('not stored either')
  const witness = enter(tokenOf())
  await reads(await witness.find(created.url), { text: 'still theirs' })
  expect((await witness.find(created.url)).doc().from).toBeUndefined()
  expect(created.doc().from).toBeUndefined()
  await expect(witness.repo.find(own.url)).rejects.toThrow(/unavailable/)
  expect(reader.closes).toEqual([])
})

test('given documents on one socket, when one is erased, too large, of another engine or no document, then it alone is unavailable', async () => {
  const [first, second] = [connect(), connect()]
  const kept = first.create('kept')
  const erased = first.create('to be erased')
  const large = first.create('small')
  const [others, erasing, largeOther] = await Promise.all([kept, erased, large].map(({ url }) => second.find(url)))
  if (others === undefined || erasing === undefined || largeOther === undefined) throw new Error('unreachable')

  expect((await fetch(`${node.url}/v1/documents/dev/automerge/${erased.documentId}`, { method: 'DELETE' })).status).toBe(200)
  erased.change((doc) => void (doc.text = 'back again'))
  large.change(
    (doc) => void (doc.text = Array.from({ length: 4 * updateBytesMax }, () => Math.random().toString(36)[2]).join('')),
  )
  const foreign = newDocumentId()
  const body = JSON.stringify({ text: 'of Yjs' })
  const headers = { 'content-type': 'application/json', 'if-none-match': '*' }
  const made = await fetch(`${node.url}/v1/documents/dev/automerge/${foreign}`, { method: 'PUT', headers, body })
  expect(made.status).toBe(201)
  const third = connect()
  await reads(await third.find(kept.url), { text: 'kept' })
  await expect(third.repo.find(`automerge:${foreign}` as typeof kept.url)).rejects.toThrow(/unavailable/)
  await expect(third.repo.find(erased.url)).rejects.toThrow(/unavailable/)
  await reads(await third.find(large.url), { text: 'small' })

  large.change((doc) => void (doc.text = 'small again'))
  kept.change((doc) => void (doc.text = 'goes on'))
  await reads(others, { text: 'goes on' })
  others.change((doc) => void (doc.from = 'second'))
  await reads(kept, { from: 'second' })
  expect(largeOther.doc().text).toBe('small')
  expect([...first.closes, ...second.closes, ...third.closes]).toEqual([])

  const peer = raw()
  await peer.join('stranger')
  const data = new Uint8Array([0x42, 0, 0, 0, 0])
  await peer.say({ type: 'request', senderId: 'stranger', targetId: 'node', documentId: 'no id', data })
  await eventually(() => peer.heard.length === 2, 'an answer')
  expect(peer.heard[1]).toMatchObject({ type: 'doc-unavailable', documentId: 'no id' })
})

test('given two repos that join a second time, each with the socket before still open, when both edit, then the older sockets are closed and all have all', async () => {
  const [first, second] = [connect(), connect()]
  const created = first.create('one')
  const other = await second.find(created.url)
  const before = [first, second].map(({ adapter }) => adapter.socket)
  const closed: string[] = []
  for (const socket of before) socket?.addEventListener('close', (event) => void closed.push(`${event.code} ${event.reason}`))
  for (const { adapter, peerId } of [first, second]) adapter.connect(peerId, { isEphemeral: true })
  await eventually(() => closed.length === 2, 'the older sockets to be closed')
  expect(closed).toEqual(['1000 CLOSED', '1000 CLOSED'])
  created.change((doc) => void (doc.text = 'two'))
  other.change((doc) => void (doc.from = 'second'))
  await Promise.all([reads(other, { text: 'two' }), reads(created, { from: 'second' })])
})

test('given peers of the wire itself, when one joins twice, has no version in common, says what is no CBOR or sends no data, then the connection that is wrong ends with a typed close', async () => {
  const [older, newer] = [raw(), raw()]
  await older.join('twin')
  await eventually(() => older.heard.length === 1, 'the answer to the join')
  expect(older.heard[0]).toMatchObject({ type: 'peer', selectedProtocolVersion: '1', targetId: 'twin' })
  await newer.join('twin')
  await eventually(() => older.closed === '1000 CLOSED', 'the older connection to end')
  await eventually(() => newer.heard.length === 1, 'the newer one to be answered')
  const { documentId } = parseAutomergeUrl(generateAutomergeUrl())
  await newer.say({ type: 'sync', senderId: 'twin', targetId: 'node', documentId, data: new Uint8Array(0) })
  const [third, future] = [raw(), raw()]
  await third.sayBytes(new Uint8Array([0xff, 0xff]))
  await future.join('future', ['2'])
  await eventually(() => newer.closed === '4400 FRAME_INVALID', 'the one without data to end')
  await eventually(() => third.closed === '4400 FRAME_INVALID', 'the one without CBOR to end')
  await eventually(() => future.closed === '4400 FRAME_INVALID', 'the one of another version to end')
  expect(future.heard[0]).toMatchObject({ type: 'error' })
})
