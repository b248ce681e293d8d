/** Unmodified providers of Hocuspocus against a real node process: 3.4 and 4.8, several documents on one socket, and beside other wires. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { HocuspocusClient, type HocuspocusVersion, hocuspocusVersions } from './hocuspocus-providers.js'
import { NodeProcess } from './node-process.js'
import { Editor, eventually, secret, tokenOf } from './providers.js'
import { Resources } from './resources.js'

const lasting = new Resources()
const resources = new Resources()
let node: NodeProcess
let guarded: NodeProcess

beforeAll(async () => {
  const start = async (options: { readonly secret?: string; readonly flags?: readonly string[] }): Promise<NodeProcess> =>
    lasting.own(await NodeProcess.start({ directory: lasting.directory(), ...options }))
  ;[node, guarded] = await Promise.all([start({}), start({ secret, flags: ['--auth-clock-tolerance-ms', '0'] })])
}, 120_000)
afterEach(() => resources.dispose())
afterAll(() => lasting.dispose())

const connect = (version: HocuspocusVersion, to = node): HocuspocusClient => resources.own(new HocuspocusClient(version, to.port))

let names = 0
const newName = (): string => `notes/hocuspocus-${++names}`

describe.each(hocuspocusVersions)('HocuspocusProvider %s', (version) => {
  test('given two of them and one of y-websocket, when all edit, then all have all, and who edited is told that it is saved', async () => {
    const name = newName()
    const [first, second] = [connect(version).open(name), connect(version).open(name)]
    const other = resources.own(new Editor({ version: '3.1', port: node.port, room: `dev/${name}` }))
    await Promise.all([first.synced(), second.synced(), other.synced()])
    expect(first.provider.authorizedScope).toBe('read-write')
    first.text.insert(0, 'a')
    await second.reads('a')
    await other.reads('a')
    other.text.insert(1, 'b')
    second.text.insert(0, 'c')
    await first.reads('cab')
    await other.reads('cab')
    await Promise.all([first.saved(), second.saved()])
    first.provider.setAwarenessField('name', 'first')
    const { clientID } = first.doc
    const seen = (states: Map<number, unknown> | undefined): boolean => states?.has(clientID) === true
    await eventually(() => seen(second.provider.awareness?.getStates()), 'presence with another provider')
    await eventually(() => seen(other.provider.awareness.getStates()), 'presence with y-websocket')
  })

  test('given several documents on one socket, when one is closed, then the others go on, and its presence is gone', async () => {
    const [one, two] = [newName(), newName()]
    const client = connect(version)
    const [first, second] = [client.open(one), client.open(two)]
    const witness = connect(version).open(one)
    await Promise.all([first.synced(), second.synced(), witness.synced()])
    first.provider.setAwarenessField('name', 'first')
    const states = (): Map<number, unknown> | undefined => witness.provider.awareness?.getStates()
    await eventually(() => states()?.has(first.doc.clientID) === true, 'presence of the first')
    first.text.insert(0, 'one')
    second.text.insert(0, 'two')
    await witness.reads('one')
    await Promise.all([first.saved(), second.saved()])
    first.dispose()
    await eventually(() => states()?.has(first.doc.clientID) === false, 'the first to be gone')
    second.text.insert(3, '!')
    await second.saved()
    await client.open(one).reads('one')
    expect(client.dialCount).toBe(1)
  })

  test('given a token for reading, when its user edits, then nothing is stored, it is not told that it is saved, and what others write comes', async () => {
    const name = newName()
    const writer = connect(version, guarded).open(name, { token: () => tokenOf() })
    const reader = connect(version, guarded).open(name, { token: () => tokenOf({ access: 'read' }) })
    await Promise.all([writer.synced(), reader.synced()])
    await reader.saved()
    expect(reader.provider.authorizedScope).toBe('readonly')
    reader.text.insert(0, 'not stored')
    writer.text.insert(0, 'stored')
    await writer.saved()
    await eventually(() => reader.text.toString().includes('stored') && reader.text.length === 16, 'both texts with the reader')
    expect(reader.provider.hasUnsyncedChanges).toBe(true)
    await connect(version, guarded)
      .open(name, { token: () => tokenOf() })
      .reads('stored')
  })

  test('given a token that is not good, when its provider is refused, then it does not dial again, and goes on with a good one', async () => {
    let token = tokenOf({ expiresInMs: -60_000 })
    const client = connect(version, guarded)
    const editor = client.open(newName(), { token: () => token })
    expect(await editor.refused()).toBe('TOKEN_EXPIRED')
    const other = client.open(newName(), { token: () => tokenOf() })
    await other.synced()
    token = tokenOf()
    await editor.provider.sendToken()
    await editor.synced()
    expect(editor.provider.isAuthenticated).toBe(true)
    expect(editor.refusals).toEqual(['TOKEN_EXPIRED'])
    expect(client.dialCount).toBe(1)
  })

  test('given an update of 20 MiB, when it is pasted, then it is saved, and others get it, by one connection each', async () => {
    const name = newName()
    const [client, others] = [connect(version), connect(version)]
    const [editor, other] = [client.open(name), others.open(name)]
    await Promise.all([editor.synced(), other.synced()])
    editor.text.insert(0, 'x'.repeat(20 * 1024 * 1024))
    await editor.saved()
    await eventually(() => other.text.length === 20 * 1024 * 1024, 'all of it')
    expect([client.dialCount, others.dialCount]).toEqual([1, 1])
  })

  test('given names that are none, and another tenant, when they are opened, then the provider is told why, and the socket stays', async () => {
    const client = connect(version, guarded)
    const bad = client.open('no-collection', { token: () => tokenOf() })
    expect(await bad.refused()).toBe('NAME_INVALID')
    await client.open(newName(), { token: () => tokenOf() }).synced()
    expect(client.dialCount).toBe(1)
  })

  test('given edits, when the node is killed and starts again, then nothing is lost, and what was written meanwhile comes', async () => {
    const name = newName()
    const editor = await connect(version).open(name).synced()
    editor.text.insert(0, 'before ')
    await editor.saved()
    await node.kill()
    await eventually(() => !editor.provider.isSynced, 'the loss noticed')
    editor.text.insert(7, 'offline')
    await node.start()
    await connect(version).open(name).reads('before offline')
    await editor.saved()
  })
})

test('given two providers of 4.8 for one document on one socket, when they know their sessions, then each edits and sees the other', async () => {
  const name = newName()
  const client = connect('4.8')
  const [first, second] = [0, 1].map(() => client.open(name, { sessionAwareness: true }))
  await Promise.all([first?.synced(), second?.synced()])
  first?.text.insert(0, 'a')
  await second?.reads('a')
  second?.text.insert(1, 'b')
  await first?.reads('ab')
  await Promise.all([first?.saved(), second?.saved()])
  expect(client.dialCount).toBe(1)
})

test('given tokens that end soon, when the node asks for the next one, then who has one stays beyond it, and who has none is refused', async () => {
  await Promise.all(
    hocuspocusVersions.map(async (version) => {
      const asked: number[] = []
      const first = tokenOf({ expiresInMs: 5_000 })
      const client = connect(version, guarded)
      const renewing = client.open(newName(), { token: () => (asked.push(Date.now()) === 1 ? first : tokenOf()) })
      const constant = client.open(newName(), { token: () => first })
      await Promise.all([renewing.synced(), constant.synced()])
      expect(await constant.refused()).toBe('TOKEN_EXPIRED')
      expect(asked).toHaveLength(2)
      renewing.text.insert(0, 'still here')
      await renewing.saved()
      expect(renewing.refusals).toEqual([])
      expect(client.dialCount).toBe(1)
    }),
  )
})
