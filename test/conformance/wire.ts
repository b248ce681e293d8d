/**
 * What every wire has to do, whatever its bytes look like. A wire registers with a client of its kind that does as it is told and says what it
 * holds. That admission, limits, expiry, erase and drain hold is the session's, which is tested once (test/core/session.test.ts).
 */

import type { Door } from '@meridian/core/door'
import type { EngineName } from '@meridian/core/engine'
import { automergeEngine } from '@meridian/core/engines/automerge'
import { yjsEngine } from '@meridian/core/engines/yjs'
import type { DocumentName } from '@meridian/core/ids'
import type { Wire } from '@meridian/core/wire'
import { nativeWire } from '@meridian/core/wires/native/wire'
import { describe, expect, test } from 'vitest'
import { principal } from '../sim/node.js'
import { Author, notes, Peer, textOf } from '../sim/peer.js'
import { Rig } from '../sim/rig.js'

/** A client of the wire on one document. Everything that it does is done when the rig is settled. */
export interface WireClient {
  push(update: Uint8Array): void
  show(state: Uint8Array): void
  /** Updates and states that it was sent, in order. */
  readonly received: readonly Uint8Array[]
  /** Presence states that it was sent of others. */
  readonly presence: readonly Uint8Array[]
  /** The close code, once the node has closed. */
  readonly closedWith: number | undefined
  cut(): void
}

/** Somebody who writes text at the end of a document, one update each time. */
export interface WireAuthor {
  type(text: string): Uint8Array
}

/** What clients of a wire edit: documents of Yjs if nothing is said. */
export interface WireDocuments {
  readonly engine: EngineName
  readonly document: DocumentName
  author(number: number): WireAuthor
  textOf(updates: readonly Uint8Array[]): string
}

export interface WireClients {
  readonly wire: Wire
  /** What a socket of it becomes, if not one session. */
  readonly door?: Door
  readonly documents?: WireDocuments
  /** Connects, says who it is with this token, and opens the document. */
  open(rig: Rig, document: DocumentName, token?: string): WireClient
  /** A presence state of this wire; absent if it has none that a node keeps. */
  readonly state?: Uint8Array
  /** What no client of the wire sends. */
  readonly garbage: readonly Uint8Array[]
}

const ofYjs: WireDocuments = {
  engine: 'yjs',
  document: notes('one'),
  author: (number) => new Author(number),
  textOf,
}

export function registerWireTests({ wire, door, documents = ofYjs, open, state, garbage }: WireClients): void {
  const { document: one, author: newAuthor, engine } = documents
  const shown = (client: WireClient): string => documents.textOf(client.received)
  const begin = (options: ConstructorParameters<typeof Rig>[0] = {}): Rig => {
    const rig = new Rig({ wire, engines: { yjs: yjsEngine, automerge: automergeEngine }, ...options })
    rig.node.door = door
    return rig
  }
  const opened = (rig: Rig, token?: string): WireClient => {
    const client = open(rig, one, token)
    rig.settle()
    return client
  }

  describe(`wire ${wire.name}`, () => {
    test('[LOG1] given a push, when it is not durable, then nobody else gets it; when it is, everybody does, once, but its author', () => {
      const rig = begin()
      const [writer, reader] = [opened(rig), opened(rig)]
      rig.hold('append')
      writer.push(newAuthor(1).type('a'))
      rig.settle()
      expect(reader.received).toEqual([])
      rig.releaseAll()
      expect(shown(reader)).toBe('a')
      expect(reader.received).toHaveLength(1)
      expect(writer.received).toEqual([])
    })

    test('[SES1] given a document with a snapshot and entries behind it, when it is opened, then all of it comes, and then what is new', () => {
      const rig = begin()
      const author = newAuthor(1)
      const writer = opened(rig)
      writer.push(author.type('snap'))
      rig.settle().compact(one)
      writer.push(author.type('shot'))
      rig.settle()
      const reader = opened(rig)
      expect(shown(reader)).toBe('snapshot')
      writer.push(author.type('!'))
      rig.settle()
      expect(shown(reader)).toBe('snapshot!')
    })

    test('[LOG1] given several updates in one commit, when others get them, then all come, in order, in frames that are made once', () => {
      const rig = begin()
      const author = newAuthor(1)
      const [writer, ...readers] = [opened(rig), opened(rig), opened(rig)]
      rig.hold('append')
      for (const text of ['a', 'b', 'c']) writer?.push(author.type(text))
      rig.settle().releaseAll()
      for (const reader of readers) expect(shown(reader)).toBe('abc')
      const shared = [...rig.node.sessions].map((socket) => socket.sent.at(-1))
      expect(new Set(shared.slice(1)).size).toBe(1)
    })

    test('given a client of the native wire on the same document, when either edits, then the other gets it', () => {
      const rig = begin()
      const client = opened(rig)
      rig.node.wire = nativeWire
      rig.node.door = undefined
      const native = new Peer(rig.node, 9).hello()
      rig.settle()
      native.attach(1, one, { engine })
      rig.settle()
      const author = newAuthor(1)
      client.push(author.type('x'))
      rig.settle()
      native.push(1, 1, author.type('y'))
      rig.settle()
      expect(native.of('update')).toHaveLength(1)
      // It holds its own edit already, and gets the other's.
      expect(client.received).toHaveLength(1)
    })

    test.skipIf(state === undefined)(
      '[SES6] given a presence state, when its session ends, then the others had it and are told that it is gone, and nothing is logged',
      () => {
        const rig = begin()
        const [first, second] = [opened(rig), opened(rig)]
        first.show(state ?? new Uint8Array(0))
        rig.settle()
        expect(second.presence).toHaveLength(1)
        first.cut()
        rig.settle()
        expect(second.presence).toHaveLength(2)
        expect(rig.durable).toEqual([])
      },
    )

    test('[SES3] given bytes that are no message of the wire, when they come, then that connection is closed for good and no other', () => {
      for (const bytes of garbage) {
        const rig = begin()
        const other = opened(rig)
        const client = opened(rig)
        const socket = [...rig.node.sessions].at(-1)
        socket?.receive(bytes)
        rig.settle()
        expect(client.closedWith).toBeGreaterThanOrEqual(4400)
        expect(other.closedWith).toBeUndefined()
        expect(rig.durable).toEqual([])
      }
    })

    test('[SES3] given a token that may not read, or one that ended, when it is used, then nothing comes', () => {
      const tokens = new Map([['nothing', principal('nobody', { grants: [] })]])
      const rig = begin({ tokens })
      const writer = opened(rig)
      writer.push(newAuthor(1).type('secret'))
      rig.settle()
      expect(opened(rig, 'nothing').received).toEqual([])
    })

    test('given a node that drains, when it says so, then the client is told to come again', () => {
      const rig = begin()
      const client = opened(rig)
      for (const socket of rig.node.sessions) socket.session.shutdown()
      expect(client.closedWith).toBe(1012)
    })
  })
}
