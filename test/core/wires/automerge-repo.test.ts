/** The wire of automerge-repo: what every wire does, by messages as its clients make them. The clients themselves are in test/e2e. */

import * as A from '@automerge/automerge'
import { automergeEngine } from '@meridian/core/engines/automerge'
import { bytesOfHex } from '@meridian/core/engines/automerge-chunks'
import { parseDocument } from '@meridian/core/ids'
import type { Materialiser } from '@meridian/core/materialised'
import { decodeMessage, encodeMessage, type Message } from '@meridian/core/wires/automerge-repo/messages'
import {
  chunksOf,
  decodeSyncMessage,
  encodeSyncMessage,
  type SyncMessage,
} from '@meridian/core/wires/automerge-repo/sync-message'
import { automergeRepoWire } from '@meridian/core/wires/automerge-repo/wire'
import { expect, test } from 'vitest'
import { registerWireTests, type WireClient, type WireDocuments } from '../../conformance/wire.js'
import { SimMaterialiser } from '../../sim/materialiser.js'
import { SimSocket } from '../../sim/node.js'
import { Rig } from '../../sim/rig.js'

const materialiser = new SimMaterialiser(automergeEngine)
const wire = automergeRepoWire(materialiser as unknown as Materialiser, 'node')
const none = new Uint8Array(0)
const documentId = '4NMNnkMhL8jXrdJ9jamS58PAVdXu'

type Text = { text?: string }

const documents: WireDocuments = {
  engine: 'automerge',
  document: parseDocument(`acme/automerge/${documentId}`),
  author(number) {
    let doc = A.init<Text>({ actor: number.toString(16).padStart(32, '0') })
    return {
      type(text) {
        doc = A.change(doc, (draft) => void (draft.text = (draft.text ?? '') + text))
        return A.getLastLocalChange(doc) ?? none
      },
    }
  },
  textOf(updates) {
    const [doc] = A.applyChanges(A.init<Text>(), [...updates])
    return doc.text ?? ''
  },
}

let clients = 0

interface RepoClient extends WireClient {
  readonly sent: Message[]
  say(message: Message): void
  sync(message: Partial<SyncMessage>): void
}

function open(rig: Rig, _document: string, token = `user-${++clients}`): RepoClient {
  materialiser.rig = rig
  rig.node.wire = wire
  const senderId = `peer-${clients}`
  const socket = new SimSocket(rig.node, { path: '', token })
  const sent: Message[] = []
  socket.listen((bytes) => sent.push(decodeMessage(new Uint8Array(bytes))))
  const say = (message: Message): void => socket.receive(encodeMessage({ senderId, targetId: 'node', ...message }))
  const sync = (message: Partial<SyncMessage>): void => {
    const data = encodeSyncMessage({ heads: none, need: none, have: [none], changes: [], ...message })
    say({ type: 'sync', documentId, data })
  }
  say({ type: 'join', peerMetadata: {}, supportedProtocolVersions: ['1'] })
  sync({})
  return {
    sent,
    say,
    sync,
    push: (update) => sync({ heads: bytesOfHex(A.decodeChange(update).hash), changes: chunksOf(update) }),
    show: () => undefined,
    get received() {
      return sent.flatMap(({ type, data }) =>
        type === 'sync' && data instanceof Uint8Array ? [...decodeSyncMessage(data).changes] : [],
      )
    },
    presence: [],
    get closedWith() {
      return socket.closedWith?.code
    },
    cut: () => socket.cut(),
  }
}

registerWireTests({
  wire,
  documents,
  open,
  garbage: [
    new Uint8Array([0xff]),
    encodeMessage([] as unknown as Message),
    encodeMessage({ type: 'join', senderId: 'another' }),
    encodeMessage({ type: 'sync', senderId: 'peer', targetId: 'node', documentId, data: none }),
    encodeMessage({ type: 'sync', senderId: 'peer', targetId: 'node', documentId, data: new Uint8Array([1]) }),
  ],
})

const kinds = ({ sent }: RepoClient): unknown[] => sent.map(({ type }) => type)

test('given a document that is not there, when nobody begins it, then its client hears so after a moment; when somebody does, then it gets it instead', () => {
  const rig = new Rig({ wire, engines: { automerge: automergeEngine } })
  const early = open(rig, documents.document)
  rig.settle()
  expect(kinds(early)).toEqual(['peer'])
  rig.advance(3_000)
  expect(kinds(early)).toEqual(['peer', 'doc-unavailable'])
  const second = open(rig, documents.document)
  rig.settle()
  second.push(documents.author(1).type('a'))
  rig.settle().advance(3_000)
  expect(documents.textOf(early.received)).toBe('a')
  expect(kinds(second)).not.toContain('doc-unavailable')
})

test('[SES2] given changes that come with the first message of a connection, when they are not heard, then all is asked for', () => {
  const rig = new Rig({ wire, engines: { automerge: automergeEngine } })
  const client = open(rig, documents.document)
  const change = documents.author(1).type('a')
  client.push(change)
  rig.settle()
  const asked = client.sent.at(-1)?.['data']
  expect(asked instanceof Uint8Array && decodeSyncMessage(asked)).toEqual({ heads: none, need: none, have: [none], changes: [] })
  client.push(change)
  rig.settle()
  expect(rig.durable).toHaveLength(1)
})

test('given a change that is refused for good, when its client goes on to send, then the document is unavailable once and for all on this connection, and it is no close', () => {
  const limits = { updateBytesMax: 1_024 }
  const rig = new Rig({ wire, engines: { automerge: automergeEngine }, limits })
  const client = open(rig, documents.document)
  const witness = open(rig, documents.document)
  rig.settle()
  const author = documents.author(1)
  client.push(author.type(Array.from({ length: 4_000 }, (_, index) => String.fromCharCode(32 + ((index * index) % 90))).join('')))
  rig.settle()
  expect(kinds(client)).toEqual(['peer', 'doc-unavailable'])
  client.push(author.type('b'))
  rig.settle().advance(5_000)
  expect(kinds(client)).toEqual(['peer', 'doc-unavailable'])
  witness.push(documents.author(2).type('c'))
  rig.settle()
  expect(rig.durable).toHaveLength(1)
  expect([client.closedWith, witness.closedWith]).toEqual([undefined, undefined])
})
