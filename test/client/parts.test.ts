/** The small parts of the client: each does one thing, and is held to it here. */

import { backoffMs } from '@meridian/client/backoff'
import { MemoryStore } from '@meridian/client/io/store-memory'
import { Places } from '@meridian/client/places'
import { syncUrl } from '@meridian/client/sync-url'
import { toMessages } from '@meridian/client/outgoing'
import * as records from '@meridian/client/records'
import { readClaims, refreshDelayMs } from '@meridian/client/token'
import { Writer } from '@meridian/client/writer'
import { coalesce, difference, stateOf } from '@meridian/client/yjs'
import { parseDocument, parseGroup, parseRegion, parseReplica } from '@meridian/core/ids'
import type { Version } from '@meridian/core/version'
import { toChain } from '@meridian/core/version'
import { encodeFrame, FrameReader, fragmentBytes } from '@meridian/core/wires/native/frame'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { seeded } from './world.js'

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')

describe('back-off', () => {
  it('is between what was asked for and the bound of its attempt, and spread', () => {
    const random = seeded(1)
    const options = { baseMs: 500, maxMs: 30_000 }
    for (let attempt = 0; attempt < 40; attempt++) {
      const waits = Array.from({ length: 50 }, () => backoffMs(attempt, 1_000, random, options))
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_050)
      expect(Math.max(...waits)).toBeLessThanOrEqual(1_000 + Math.min(30_000, 500 * 2 ** attempt))
      expect(new Set(waits).size).toBeGreaterThan(25)
    }
  })
})

describe('places', () => {
  it('makes the WebSocket URL of a node', () => {
    expect(new Places(['http://127.0.0.1:7101']).all[0]?.url).toBe('ws://127.0.0.1:7101/v1/sync')
    expect(syncUrl('https://eu.example.com/')).toBe('wss://eu.example.com/v1/sync')
    expect(syncUrl('wss://eu.example.com/base/')).toBe('wss://eu.example.com/base/v1/sync')
    expect(syncUrl('http://[::1]:7101')).toBe('ws://[::1]:7101/v1/sync')
  })

  it.each(['', 'eu.example.com', 'ftp://a', 'http://', 'http://a?b', 'http://a#b', 'http://a b'])('refuses %s', (url) => {
    expect(() => syncUrl(url)).toThrow('CONFIG_INVALID')
  })
})

describe('tokens', () => {
  const jwt = (claims: unknown): string => `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`

  it('reads tenant and end, of any bytes', () => {
    expect(readClaims(jwt({ tenant: 'acme', exp: 12, sub: 'Zoë 😀' }))).toEqual({
      tenant: 'acme',
      subject: 'Zoë 😀',
      expiresAtMs: 12_000,
    })
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer(), (tenant, exp) => {
        expect(readClaims(jwt({ tenant, exp }))).toEqual({ tenant, subject: undefined, expiresAtMs: exp * 1000 })
      }),
    )
  })

  it('finds nothing in what is no JWT, and never throws', () => {
    const none = { tenant: undefined, subject: undefined, expiresAtMs: undefined }
    for (const token of ['', 'x', 'a.b.c', 'a.%.c', jwt(null), jwt([]), jwt({ tenant: 1, exp: 'x' })])
      expect(readClaims(token)).toEqual(none)
    fc.assert(fc.property(fc.string(), (token) => void readClaims(`a.${token}.c`)))
  })

  it('asks between two thirds and nine tenths of what is left, and never in a loop', () => {
    expect(refreshDelayMs(600_000, 0, 0)).toBeCloseTo(400_000)
    expect(refreshDelayMs(600_000, 0, 1)).toBeCloseTo(540_000)
    expect(refreshDelayMs(0, 600_000, 0.5)).toBe(30_000)
  })
})

describe('messages', () => {
  it('[FRAME] keep the order and content of frames, within their limit, large ones as fragments', () => {
    const sizes = fc.array(fc.oneof(fc.nat(300), fc.integer({ min: fragmentBytes - 10, max: 2 * fragmentBytes + 10 })), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(sizes, (lengths) => {
        const messageBytesMax = 300_000
        const frames = lengths.map((length, index) =>
          encodeFrame(20 + index, (body) => body.cbuf.length && write(body, length, index)),
        )
        const seen: number[] = []
        const reader = new FrameReader({ messageBytesMax, frameBytesMax: 1e7 }, (type, body, end) => {
          seen.push(type, end - body.pos)
          body.pos = end
        })
        for (const message of toMessages(frames, messageBytesMax)) reader.receive(message)
        expect(seen).toEqual(lengths.flatMap((length, index) => [20 + index, length]))
      }),
      { numRuns: 30 },
    )
  })

  it('are as few as fit', () => {
    const frame = encodeFrame(20, (body) => write(body, 97, 0))
    expect(frame).toHaveLength(99)
    expect(toMessages([frame, frame, frame], 198).map((message) => message.length)).toEqual([198, 99])
    expect(toMessages([frame, frame, frame], 197).map((message) => message.length)).toEqual([99, 99, 99])
    expect(toMessages([], 100)).toEqual([])
  })
})

function write(body: Parameters<Parameters<typeof encodeFrame>[1]>[0], length: number, fill: number): void {
  const bytes = new Uint8Array(length).fill(fill)
  for (const byte of bytes) {
    if (body.cpos === body.cbuf.length) {
      body.bufs.push(body.cbuf)
      body.cbuf = new Uint8Array(body.cbuf.length * 2)
      body.cpos = 0
    }
    body.cbuf[body.cpos++] = byte
  }
}

describe('records', () => {
  const name = parseDocument('acme/notes/1')
  const version: Version = {
    floors: new Map([[parseRegion('eu-west'), { counter: 3, seal: toChain(77n) }]]),
    sequences: new Map([[parseReplica('us-east#4.0123456789abcdef'), 9]]),
  }

  it('come back as they were', () => {
    const head = {
      life: 2,
      group: parseGroup('acme/default'),
      cursor: version,
      redirects: [{ region: parseRegion('us-east'), url: 'wss://us.test' }],
    }
    const dot = { replica: parseReplica('eu-west#1.0123456789abcdef'), sequence: 5 }
    const marks = [
      { kind: 'unsaved' },
      { kind: 'kept', dot },
      { kind: 'kept', dot: undefined },
      { kind: 'refused', code: 'WRITE_DENIED' },
    ] as const
    const stored = records.readDocument(
      [
        { key: records.headKey(name), value: records.encodeHead(head) },
        { key: records.snapshotKey(name, 'o1'), value: Uint8Array.of(1) },
        { key: records.logKey(name, { opening: 'o', number: 7 }), value: Uint8Array.of(2) },
      ],
      marks.map((mark, number) => ({ key: records.markKey(name, { opening: 'o', number }), value: records.encodeMark(mark) })),
    )
    expect(stored).toEqual({
      head,
      snapshots: [{ opening: 'o1', payload: Uint8Array.of(1) }],
      log: [{ name: { opening: 'o', number: 7 }, payload: Uint8Array.of(2) }],
      marks: marks.map((mark, number) => ({ name: { opening: 'o', number }, mark })),
    })
    const tokens = records.readTokens([{ key: records.tokenKey(head.group), value: records.encodeToken(version) }])
    expect([...tokens]).toEqual([[head.group, version]])
  })

  it('of a newer format, or broken, are STORE_FAILED', () => {
    expect(() => records.checkMeta(Uint8Array.of(records.storeFormat + 1))).toThrow('STORE_FAILED')
    records.checkMeta(records.encodeMeta())
    expect(() => records.readDocument([{ key: records.headKey(name), value: Uint8Array.of(1, 200) }], [])).toThrow('STORE_FAILED')
  })
})

describe('updates of Yjs', () => {
  function typed(count: number, clientID = 1): { doc: Y.Doc; updates: Uint8Array[] } {
    const doc = new Y.Doc()
    doc.clientID = clientID
    const updates: Uint8Array[] = []
    doc.on('update', (update: Uint8Array) => updates.push(update))
    const text = doc.getText('t')
    for (let index = 0; index < count; index++) {
      text.insert(Math.floor(index / 2), 'abc')
      if (index % 5 === 4) text.delete(0, 2)
    }
    return { doc, updates }
  }

  it('coalesce into fewer that mean the same, at a cost that grows with their number only', () => {
    const { doc, updates } = typed(5_000)
    const start = performance.now()
    const fewer = coalesce(updates)
    expect(performance.now() - start).toBeLessThan(2_000)
    expect(fewer.length).toBeLessThan(updates.length / 50)
    expect(hex(stateOf(fewer))).toBe(hex(Y.encodeStateAsUpdate(doc)))
    expect(coalesce([])).toEqual([])
    expect(coalesce(updates.slice(0, 1))[0]).toBe(updates[0])
  })

  it('[SES5] differ by what one side lacks, deletions included, and by nothing if it lacks nothing', () => {
    const { doc, updates } = typed(40)
    const local = Y.encodeStateAsUpdate(doc)
    expect(difference(local, updates)).toBeUndefined()
    fc.assert(
      fc.property(fc.nat(updates.length), (count) => {
        const held = updates.slice(0, count)
        const lacking = difference(local, held)
        const all = stateOf(lacking === undefined ? held : [...held, lacking])
        expect(hex(all)).toBe(hex(local))
        expect(lacking === undefined).toBe(count === updates.length)
      }),
    )
    const before = Y.encodeStateAsUpdate(doc)
    doc.getText('t').delete(0, 3)
    const deletion = difference(Y.encodeStateAsUpdate(doc), [before])
    expect(deletion?.length).toBeLessThan(20)
    expect(hex(stateOf([before, deletion ?? new Uint8Array()]))).toBe(hex(Y.encodeStateAsUpdate(doc)))
  })
})

describe('the writer', () => {
  const put = (key: string, value: number) => ({ kind: 'put', key: [key], value: Uint8Array.of(value) }) as const

  class Slow extends MemoryStore {
    override readonly lingerMs: number = 10
    readonly batches: string[][] = []
    go: () => void = () => undefined

    override async write(batch: Parameters<MemoryStore['write']>[0]): Promise<void> {
      this.batches.push(batch.map((one) => (one.kind === 'clear' ? 'clear' : `${one.kind} ${one.key.join()}`)))
      await new Promise<void>((resolve) => {
        this.go = resolve
      })
      await super.write(batch)
    }
  }

  it('[LOG3] given batches that come during a write, then they are one after it, each key once, and no sooner than the linger', async () => {
    const store = new Slow()
    let nowMs = 0
    const timers: { atMs: number; run: () => void }[] = []
    const writer = new Writer(store, {
      random: seeded(1),
      monotonicMs: () => nowMs,
      after: (ms, run) => {
        timers.push({ atMs: nowMs + ms, run })
        return () => undefined
      },
      storageChanged: () => undefined,
    })
    writer.write([put('head', 1), put('a', 1)])
    writer.write([put('head', 2), put('b', 1)])
    writer.write([put('head', 3), { kind: 'delete', key: ['b'] }, { kind: 'clear', prefix: ['x'] }, put('head', 4)])
    const drained = writer.drained()
    store.go()
    await new Promise((resolve) => setImmediate(resolve))
    expect(store.batches).toEqual([['put head', 'put a']])
    expect(timers.map((timer) => timer.atMs)).toEqual([10])
    nowMs = 10
    timers[0]?.run()
    expect(store.batches[1]).toEqual(['put head', 'delete b', 'clear', 'put head'])
    store.go()
    await drained
    expect(writer.isIdle).toBe(true)
    expect((await store.read([])).map(({ key, value }) => `${key.join()} ${value.join()}`)).toEqual(['a 1', 'head 4'])
  })
})
