/** The change feed of a collection: complete, resumable, bounded, and pulled. */

import { describe, expect, it } from 'vitest'
import { startTestNode, type RunningNode } from '../support/running-node.js'
import { hmac, token } from '../auth/tokens.js'

interface Event {
  readonly event: string
  readonly id: string | undefined
  readonly data: Record<string, unknown>
}

/** Reads events one by one; ends the feed when the test is over with it. */
class Feed {
  readonly response: Response
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''

  constructor(response: Response) {
    if (response.body === null) throw new Error('no body')
    this.response = response
    this.#reader = response.body.getReader()
  }

  async next(): Promise<Event | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end >= 0) {
        const lines = this.#text.slice(0, end).split('\n')
        this.#text = this.#text.slice(end + 2)
        const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
        return {
          event: field('event') ?? '',
          id: field('id'),
          data: JSON.parse(field('data') ?? '{}') as Record<string, unknown>,
        }
      }
      const { done, value } = await this.#reader.read()
      if (done) return undefined
      this.#text += this.#decoder.decode(value, { stream: true })
    }
  }

  /** Keys of the next `count` events that are about documents, with a star for those that were erased. */
  async keys(count: number): Promise<string[]> {
    const keys: string[] = []
    while (keys.length < count) {
      const event = await this.next()
      if (event === undefined) break
      if (event.event === 'changed' || event.event === 'erased')
        keys.push(`${String(event.data['key'])}${event.event === 'erased' ? '*' : ''}`)
    }
    return keys
  }

  close(): Promise<void> {
    return this.#reader.cancel()
  }
}

const follow = async (
  { node }: RunningNode,
  query = '',
  headers: Record<string, string> = {},
  collection = 'dev/notes',
): Promise<Feed> => new Feed(await fetch(`${node.url}/v1/collections/${collection}/changes${query}`, { headers }))

async function put({ node }: RunningNode, name: string, text = 'x', headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(`${node.url}/v1/documents/${name}`, {
    method: 'PUT',
    headers: { 'if-none-match': '*', 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ text }),
  })
  expect(response.status).toBe(201)
  return response.headers.get('meridian-version') ?? ''
}

async function retype({ node }: RunningNode, name: string, text: string): Promise<void> {
  const response = await fetch(`${node.url}/v1/documents/${name}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json' },
    body: JSON.stringify({ text }),
  })
  expect(response.status).toBe(200)
}

const erase = ({ node }: RunningNode, name: string): Promise<Response> =>
  fetch(`${node.url}/v1/documents/${name}`, { method: 'DELETE' })

describe('a change feed', () => {
  it('given no cursor, then it begins now, and tells the collection only, as it happens, each with a cursor that holds it', async () => {
    const running = await startTestNode()
    await put(running, 'dev/notes/before')
    const feed = await follow(running)
    expect([feed.response.status, feed.response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    expect(await feed.next()).toMatchObject({ event: 'alive', id: expect.stringMatching(/./) })
    await put(running, 'dev/other/1')
    const version = await put(running, 'dev/notes/1')
    const event = await feed.next()
    expect(event).toMatchObject({ event: 'changed', data: { key: '1', life: 1 } })
    const at = await fetch(`${running.node.url}/v1/documents/dev/notes/1?at=${String(event?.data['version'])}`)
    expect([at.status, at.headers.get('meridian-version')]).toEqual([200, version])
    await erase(running, 'dev/notes/1')
    expect(await feed.next()).toMatchObject({ event: 'erased', data: { key: '1', life: 1 } })
    await feed.close()
  })

  it('given the cursor of any event, when a feed goes on from it, by header or query, then nothing is left out and nothing told again', async () => {
    const running = await startTestNode()
    const keys = Array.from({ length: 30 }, (_, index) => `k${index}`)
    for (const key of keys) await put(running, `dev/notes/${key}`)
    const all = await follow(running, '?since=')
    const cursors: string[] = []
    for (let told = 0; told < keys.length; ) {
      const event = await all.next()
      if (event?.event !== 'changed') continue
      expect(event.data['key']).toBe(keys[told++])
      cursors.push(event.id ?? '')
    }
    await all.close()
    for (const [index, cursor] of cursors.entries()) {
      if (index % 7 !== 0 && index !== 28) continue
      const feed = await (index % 2 === 0
        ? follow(running, `?since=${cursor}`)
        : follow(running, '?since=', { 'last-event-id': cursor }))
      expect(await feed.keys(keys.length - index - 1)).toEqual(keys.slice(index + 1))
      await feed.close()
    }
  })

  it('given entries that a compaction or an erase dropped, when a feed goes on from before, then their documents are told of', async () => {
    const running = await startTestNode({ 'compaction.idleEntries': '3' })
    await put(running, 'dev/notes/first')
    const cursorFeed = await follow(running)
    const cursor = (await cursorFeed.next())?.id ?? ''
    await cursorFeed.close()
    await put(running, 'dev/notes/a')
    for (let index = 0; index < 12; index++) await retype(running, 'dev/notes/a', `${index}`)
    await put(running, 'dev/notes/b')
    await erase(running, 'dev/notes/b')
    await put(running, 'dev/notes/c')
    const feed = await follow(running, `?since=${cursor}`)
    expect(new Set(await feed.keys(3))).toEqual(new Set(['a', 'b*', 'c']))
    await put(running, 'dev/notes/d')
    expect(await feed.keys(1)).toEqual(['d'])
    await feed.close()
  })

  it('given a cursor that the region lacks, then 409', async () => {
    const running = await startTestNode({ 'limits.waitMs': '50' })
    const version = Buffer.from(await put(running, 'dev/notes/1'), 'base64url')
    const future = Buffer.concat([version.subarray(0, -1), Buffer.from([0x7f])]).toString('base64url')
    const { response } = await follow(running, `?since=${future}`)
    expect([response.status, response.headers.get('content-type')]).toEqual([409, 'application/problem+json'])
  })

  it('given grants to a part, then no other document is told of; when the token ends, goodbye', async () => {
    const secret = 's'.repeat(32)
    const clock = { now: () => nowMs }
    let nowMs = Date.now()
    const bearer = (docs: unknown, exp: number) => ({
      authorization: `Bearer ${token(hmac(secret), { sub: 'ann', tenant: 'acme', exp, docs })}`,
    })
    const exp = Math.floor(nowMs / 1000) + 60
    const running = await startTestNode(
      { dev: false, 'auth.secretFile': 'key', 'auth.clockToleranceMs': '0', 'http.heartbeatMs': '100' },
      { texts: { key: secret }, clock },
    )
    const all = bearer([{ match: '*', access: 'write' }], exp + 600)
    const feed = await follow(running, '', bearer([{ match: 'notes/mine*', access: 'read' }], exp), 'acme/notes')
    for (const key of ['mine1', 'theirs', 'mine2']) await put(running, `acme/notes/${key}`, 'x', all)
    expect(await feed.keys(2)).toEqual(['mine1', 'mine2'])
    nowMs += 61_000
    let last = await feed.next()
    while (last?.event === 'alive') last = await feed.next()
    expect([last, await feed.next()]).toEqual([
      { event: 'goodbye', id: undefined, data: { code: 'TOKEN_EXPIRED', retry: 'never' } },
      undefined,
    ])
  })

  it('[SES3] given feedsMax feeds and one more, then 429; when one goes, there is room', async () => {
    const running = await startTestNode({ 'http.feedsMax': '2' })
    const feeds = [await follow(running), await follow(running)]
    const { response } = await follow(running)
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '5'])
    await feeds[0]?.close()
    await expect.poll(async () => (await follow(running)).response.status).toBe(200)
  })

  it('given a node that drains, then feeds are told, and the drain does not wait for them', async () => {
    const running = await startTestNode()
    const feed = await follow(running)
    await feed.next()
    const startedAt = performance.now()
    const drained = running.node.drain()
    let last = await feed.next()
    while (last?.event === 'alive') last = await feed.next()
    expect(last).toMatchObject({ event: 'goodbye', data: { code: 'DRAINING', retry: 'now' } })
    await drained
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  it('[SES4] given a reader that does not read, while thousands of documents change, then the others are told and nothing is kept for it', async () => {
    const running = await startTestNode({ 'http.heartbeatMs': '1000' })
    const slow = await follow(running)
    await slow.next()
    const quick = await follow(running)
    const writes = 400
    const expected: string[] = []
    for (let index = 0; index < writes; index++) {
      await put(running, `dev/notes/${'n'.repeat(400)}${index}`)
      expected.push(`${'n'.repeat(400)}${index}`)
    }
    expect(await quick.keys(writes)).toEqual(expected)
    expect(await slow.keys(writes)).toEqual(expected)
    await slow.close()
    await quick.close()
  })
})
