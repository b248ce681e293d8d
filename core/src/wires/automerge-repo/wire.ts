/**
 * The wire of automerge-repo, for `WebSocketClientAdapter` 2.5: several documents on one socket, the token in the query.
 *
 * ```
 *   token good ─▶ join ─▶ peer ─▶ request, sync: attached ─▶ what the client lacks, and a question for what the node lacks ─▶ live
 *                                     └─ not there, not allowed: doc-unavailable
 * ```
 *
 * - An update that others wrote goes to all in one frame: its own heads are what both hold behind it, so that it asks for nothing that was sent.
 * - LOG1 A message names as held what is durable: clients keep what they were told across connections and would not send it again.
 * - SES2 What is refused for a passing reason is asked for by a message without heads, after which a client sends all that it has.
 * - SES3 Nothing is read before the token was checked.
 * - What is refused for good is its document's alone: `doc-unavailable`, and the connection hears no more of it, because clients send what was
 *   refused again with each edit. Only what is no message at all, and a token that ended, close the socket that others are on.
 */

import type { Attachment } from '../../attachment.js'
import { concat } from '../../bytes.js'
import type { Principal } from '../../effects.js'
import { chunkEnds, foreignChunks, hashBytes, hexOf, readChunk, readHead } from '../../engines/automerge-chunks.js'
import { wordsOf } from '../../engines/automerge-hashes.js'
import { AutomergeIndex } from '../../engines/automerge-index.js'
import { Cursor } from '../../engines/cursor.js'
import { inspectLimits } from '../../engine.js'
import type { ErrorCode } from '../../errors.js'
import { errorTable, MeridianError } from '../../errors.js'
import type { Receipt } from '../../commit-queue.js'
import { type Position, parseTenant, type TenantId } from '../../ids.js'
import type { Lane, RefusedPush } from '../../lane.js'
import type { SessionLimits } from '../../limits.js'
import type { LiveGroup } from '../../live-group.js'
import type { Materialiser } from '../../materialised.js'
import type { UpdateToEncode } from '../../shared-encoder.js'
import { emptyVersion } from '../../version.js'
import type { Conversation, Sizes, Wire, WireRequest, WireSession } from '../../wire.js'
import { dataOf, decodeMessage, documentOf, encodeMessage, type Message, protocolVersion, textOf } from './messages.js'
import { Peers } from './peers.js'
import { chunksOf, decodeSyncMessage, encodeSyncMessage, type SyncMessage } from './sync-message.js'

/** Bytes of one message of a client: a whole document comes in one. */
const messageBytesMax = 16 * 1024 * 1024
/** Bytes of one write of several messages. */
const writeBytes = 256 * 1024
/** Clients dial again after some seconds, whatever the code. */
const refusalMs = 1_000
/** Ticks until what was refused is asked for again, or an answer that could not be made is made. */
const askAgainTicks = 4
/** Ticks until a client hears that a document is not there: who was told of it by its author may ask before that one's socket has said anything. */
const unavailableTicks = 2

const none = new Uint8Array(0)

/** @param peerId what the node calls itself to clients */
export function automergeRepoWire(materialiser: Materialiser, peerId: string): Wire {
  const peers = new Peers()
  const wire: Wire = {
    name: 'automerge-repo',
    refusalMs,
    packing: 'apart',
    storesParts: true,
    framesEndInPayload: false,
    encodeUpdate({ handle, payload }: UpdateToEncode): Uint8Array {
      const heads = headsIn(payload)
      const data = encodeSyncMessage({ heads, need: none, have: [heads], changes: chunksOf(payload) })
      // One frame for all: clients look at who sent it, and not at whom it is for.
      return encodeMessage({ type: 'sync', senderId: peerId, targetId: '', documentId: peers.documentId(handle) ?? '', data })
    },
    encodePresence: () => undefined,
    limits: (limits: SessionLimits): SessionLimits => ({ ...limits, messageBytesMax }),
    sizes: ({ bufferedBytesMax }: SessionLimits): Sizes => ({ batch: writeBytes, large: bufferedBytesMax, piece: writeBytes }),
    split: (frame: Uint8Array): readonly Uint8Array[] => [frame],
    open: (session: WireSession, { token }: WireRequest): Conversation =>
      new AutomergeRepoConversation(session, token, { materialiser, peers, peerId }),
  }
  return wire
}

/** What of an update nothing else in it builds on. */
function headsIn(update: Uint8Array): Uint8Array {
  const heads = new Map<string, Uint8Array>()
  const cursor = new Cursor(update)
  const built = new Set<string>()
  for (const _ of chunkEnds(update)) {
    const { hash, bodyFrom, to } = readChunk(cursor)
    const { deps } = readHead(new Cursor(update.subarray(bodyFrom, to)), inspectLimits)
    for (const dep of hashesOf(deps)) built.add(hexOf(dep))
    heads.set(hexOf(hash), hash)
  }
  return concat(
    [...heads]
      .filter(([name]) => !built.has(name))
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, hash]) => hash),
  )
}

function hashesOf(hashes: Uint8Array): Uint8Array[] {
  return Array.from({ length: hashes.length / hashBytes }, (_, at) => hashes.slice(at * hashBytes, (at + 1) * hashBytes))
}

interface Node {
  readonly materialiser: Materialiser
  readonly peers: Peers
  readonly peerId: string
}

/** One document of the client. */
interface Open {
  readonly channel: number
  readonly documentId: string
  /** Not answered yet: it came before the attach had succeeded, or while an answer is made. */
  readonly waiting: SyncMessage[]
  /** The client holds it: what it last said. */
  heads: Uint8Array
  answering: boolean
  isToAnswer: boolean
  isTold: boolean
  /** By number: the heads of the client once the push is held. */
  readonly pushed: Map<number, Uint8Array>
  askIn: number | undefined
  answerIn: number | undefined
  unavailableIn: number | undefined
  /** Changes came before the client was told what is held: it takes them for sent. */
  hasUnheard: boolean
}

class AutomergeRepoConversation implements Conversation {
  readonly hasLast = false
  readonly #session: WireSession
  readonly #token: string
  readonly #node: Node
  readonly #early: Uint8Array[] = []
  readonly #byId = new Map<string, Open>()
  readonly #byChannel = new Map<number, Open>()
  /** Refused for good on this connection; the oldest is forgotten beyond `documentsMax`. */
  readonly #refused = new Set<string>()
  readonly #counters = new WeakMap<LiveGroup, number>()
  /** Ephemeral messages that are sent on until the next tick (SES3). */
  #ephemeralLeft: number
  #channels = 0
  #tenant: TenantId | undefined
  #senderId: string | undefined

  constructor(session: WireSession, token: string, node: Node) {
    this.#session = session
    this.#ephemeralLeft = session.limits.presencePerSecond
    this.#token = token
    this.#node = node
  }

  begin(): void {
    this.#session.holdUntilKnown()
    this.#session.authenticate(this.#token)
  }

  welcome({ tenant }: Principal): void {
    this.#tenant = parseTenant(tenant)
    for (const message of this.#early.splice(0)) this.receive(message)
  }

  receive(bytes: Uint8Array): void {
    if (this.#session.state === 'closed') return
    const tenant = this.#tenant
    // What had left the socket before it was held; bounded by `greetingBytesMax`, which the session counts.
    if (tenant === undefined) return void this.#early.push(new Uint8Array(bytes))
    const message = decodeMessage(bytes)
    if (message['type'] === 'join') return this.#join(tenant, message)
    if (this.#senderId === undefined) throw new MeridianError('FRAME_INVALID', { message: 'The first message is a join.' })
    switch (message['type']) {
      case 'request':
      case 'sync':
        return this.#sync(tenant, message)
      case 'ephemeral':
        return this.#ephemeral(message)
      default:
        // What others hold is not told here, and what a client lacks it may not have: leave, doc-unavailable, remote heads.
        return
    }
  }

  #join(tenant: TenantId, message: Message): void {
    const senderId = textOf(message, 'senderId')
    const versions = message['supportedProtocolVersions']
    if (Array.isArray(versions) && !versions.includes(protocolVersion)) {
      this.#send({ type: 'error', targetId: senderId, message: 'The protocol version is 1.' })
      return this.#session.fail(new MeridianError('FRAME_INVALID', { message: 'No protocol version in common.' }))
    }
    if (this.#senderId !== undefined && this.#senderId !== senderId)
      throw new MeridianError('FRAME_INVALID', { message: 'One peer a connection.' })
    this.#senderId = senderId
    this.#node.peers.take(`${tenant}/${senderId}`, this.#session)?.fail(new MeridianError('CLOSED'))
    this.#send({ type: 'peer', peerMetadata: { isEphemeral: false }, selectedProtocolVersion: protocolVersion })
  }

  #send(message: Message): void {
    this.#session.send(this.#encode(message))
  }

  #encode(message: Message): Uint8Array {
    return encodeMessage({ senderId: this.#node.peerId, targetId: this.#senderId ?? '', ...message })
  }

  #sendSync({ documentId }: Open, message: SyncMessage): void {
    this.#session.stream(this.#encode({ type: 'sync', documentId, data: encodeSyncMessage(message) }))
  }

  #sync(tenant: TenantId, received: Message): void {
    const documentId = textOf(received, 'documentId')
    const message = decodeSyncMessage(dataOf(received))
    if (this.#refused.has(documentId)) return
    const copy: SyncMessage = {
      ...message,
      heads: new Uint8Array(message.heads),
      have: message.have.map((each) => new Uint8Array(each)),
    }
    const open = this.#byId.get(documentId)
    if (open !== undefined) {
      const attachment = this.#session.attachment(open.channel)
      if (attachment !== undefined && open.isTold) this.#hear(open, attachment, copy)
      else {
        // Only what it says last counts, since it is asked for what it has.
        open.waiting.splice(0, open.waiting.length, { ...copy, changes: [] })
        open.hasUnheard ||= message.changes.length > 0
      }
      return
    }
    const document = documentOf(tenant, documentId)
    if (document === undefined) return this.#unavailable(documentId)
    const begun: Open = {
      channel: ++this.#channels,
      documentId,
      waiting: [{ ...copy, changes: [] }],
      heads: none,
      answering: false,
      isToAnswer: false,
      isTold: false,
      pushed: new Map(),
      askIn: undefined,
      answerIn: undefined,
      unavailableIn: undefined,
      hasUnheard: message.changes.length > 0,
    }
    this.#byId.set(documentId, begun)
    this.#byChannel.set(begun.channel, begun)
    const { channel } = begun
    this.#session.attach({ channel, engine: 'automerge', document, life: 0, cursor: emptyVersion, seen: emptyVersion })
  }

  attached(attachment: Attachment): 'later' {
    const open = this.#byChannel.get(attachment.channel)
    if (open === undefined) return 'later'
    this.#node.peers.join(attachment.document.handle, open.documentId, this.#session)
    // What stopped the lane may have been of a document that is gone.
    const { group } = attachment.document
    this.#session.resume(attachment, this.#counters.get(group) ?? 0)
    this.#answer(open, attachment)
    return 'later'
  }

  #hear(open: Open, attachment: Attachment, { heads, need, have, changes }: SyncMessage): void {
    open.heads = heads
    if (changes.length > 0 && attachment.access === 'write') this.#push(open, attachment, changes)
    if (need.length === 0 && heads.length > 0) return
    open.waiting.splice(0, open.waiting.length, { heads, need: none, have, changes: [] })
    this.#answer(open, attachment)
  }

  #push(open: Open, attachment: Attachment, changes: readonly Uint8Array[]): void {
    const bytes = concat(changes)
    const { heads } = open
    const push = (update: Uint8Array): void => {
      const { group } = attachment.document
      const counter = (this.#counters.get(group) ?? 0) + 1
      this.#counters.set(group, counter)
      open.pushed.set(counter, heads)
      this.#session.push(attachment, counter, update)
    }
    if (foreignChunks(bytes).every(({ type }) => type === 'change')) return push(bytes)
    this.#node.materialiser.translate('automerge', bytes, (answer) => {
      if (!this.#session.holds(attachment)) return
      if (answer.kind === 'done') push(answer.value)
      else if (answer.kind === 'refused') this.#refuse(attachment, 'for good')
      else open.askIn ??= askAgainTicks
      this.#session.flush()
    })
  }

  /** What the client lacks of what is held now. */
  #answer(open: Open, attachment: Attachment): void {
    const asked = open.waiting[0]
    if (open.answering || asked === undefined) return
    open.answerIn = undefined
    open.waiting.length = 0
    open.answering = true
    open.heads = asked.heads
    const fail = (code: ErrorCode): void => this.#fail(open, attachment, asked, code)
    const { materialiser } = this.#node
    materialiser.materialise(attachment.document.name, (answer) => {
      if (!this.#session.holds(attachment)) return
      if (answer.kind === 'ended') return this.#refuse(attachment)
      if (answer.kind === 'failed') return fail(answer.code)
      if (answer.kind === 'absent')
        return this.#durable(
          attachment,
          (heads) => this.#told(open, attachment, { asked, heads, updates: [], position: attachment.position }),
          fail,
        )
      const { value } = answer
      materialiser.differences(value, concat([asked.heads, ...asked.have]), (worked) => {
        if (!this.#session.holds(attachment)) return
        if (worked.kind !== 'done') return fail(worked.kind === 'refused' ? 'FRAME_INVALID' : 'INTERNAL')
        this.#durable(
          attachment,
          (heads) => this.#told(open, attachment, { asked, heads, updates: worked.value, position: value.position }),
          fail,
        )
      })
    })
  }

  /** No answer could be made: later, or never. */
  #fail(open: Open, attachment: Attachment, asked: SyncMessage, code: ErrorCode): void {
    if (!this.#session.holds(attachment)) return
    if (errorTable[code].retry === 'never') return this.#refuse(attachment, 'for good')
    open.answering = false
    if (open.waiting.length === 0) open.waiting.push(asked)
    open.answerIn ??= askAgainTicks
  }

  #told(
    open: Open,
    attachment: Attachment,
    {
      asked,
      heads,
      updates,
      position,
    }: { asked: SyncMessage; heads: Uint8Array; updates: readonly Uint8Array[]; position: Position },
  ): void {
    open.answering = false
    // RES7: a copy of an earlier life has nothing of this one, and would bring back what was erased.
    const shared = concat(this.#heldOf(attachment, [asked.heads, ...asked.have]))
    if (attachment.document.life > 1 && asked.heads.length > 0 && shared.length === 0) return this.#refuse(attachment)
    open.isTold = true
    if (heads.length === 0 && asked.heads.length === 0) open.unavailableIn ??= unavailableTicks
    else {
      this.#sendSync(open, { heads, need: none, have: [shared], changes: updates.flatMap((update) => chunksOf(update)) })
    }
    if (open.hasUnheard) this.#askForAll(open)
    if (attachment.state === 'opening' && !attachment.told) this.#session.catchUpFrom(attachment, position)
    this.#session.flush()
    this.#answer(open, attachment)
  }

  #heldOf({ document: { index } }: Attachment, sets: readonly Uint8Array[]): Uint8Array[] {
    if (index?.kind !== 'loaded' || !(index.index instanceof AutomergeIndex)) return []
    const held = index.index
    const hashes = new Map(sets.flatMap(hashesOf).map((hash) => [hexOf(hash), hash]))
    const names = [...hashes.keys()].sort()
    return names.flatMap((name) => {
      const hash = hashes.get(name)
      return hash !== undefined && held.has(wordsOf(hash), 0) ? [hash] : []
    })
  }

  /** The heads of what is in the log, once all that is on its way has come there. */
  #durable(attachment: Attachment, done: (heads: Uint8Array) => void, fail: (code: ErrorCode) => void): void {
    if (!this.#session.holds(attachment)) return
    const { hub } = this.#session
    const { document, engine } = attachment
    const loaded = hub.index(document, engine, () => {
      this.#durable(attachment, done, fail)
      this.#session.flush()
    })
    if (loaded === undefined) return
    if (typeof loaded === 'string') return fail(loaded)
    const heads = loaded.engine.stateVector(loaded.index)
    if (document.pendingCount === 0) return done(heads)
    const receipt: Receipt = {
      saved: () => {
        if (this.#session.holds(attachment)) done(heads)
      },
      failed: () => fail('INTERNAL'),
    }
    hub.barrier(document, { name: undefined, counter: 0, engine, bytes: 0, receipt, origin: attachment })
  }

  #ephemeral(message: Message): void {
    const documentId = textOf(message, 'documentId')
    const open = this.#byId.get(documentId)
    const attachment = open === undefined ? undefined : this.#session.attachment(open.channel)
    const { count } = message
    if (attachment === undefined || attachment.access !== 'write') return
    if (typeof count !== 'number' || !Number.isSafeInteger(count))
      throw new MeridianError('FRAME_INVALID', { message: 'The count is no whole number.' })
    const data = dataOf(message)
    // They are of the moment: what is too large or too much is not sent on.
    if (data.length > this.#session.limits.presenceBytesMax || this.#ephemeralLeft <= 0) return
    this.#ephemeralLeft--
    const sessionId = textOf(message, 'sessionId')
    const frame = encodeMessage({ type: 'ephemeral', senderId: this.#senderId, targetId: '', documentId, count, sessionId, data })
    const sender = `${this.#senderId ?? ''} ${sessionId}`
    this.#node.peers.forward(attachment.document.handle, { sender, count }, this.#session, frame)
  }

  #unavailable(documentId: string): void {
    this.#send({ type: 'doc-unavailable', documentId })
  }

  /** LOG1: what the client pushed is durable, and both hold it. */
  acked(lane: Lane): void {
    const ack = lane.takeAck()
    if (ack === undefined) return
    for (const open of this.#byId.values()) {
      const attachment = this.#session.attachment(open.channel)
      if (attachment?.document.group !== lane.group) continue
      let heads: Uint8Array | undefined
      for (const [counter, pushed] of open.pushed) {
        if (counter > ack.counter) break
        heads = pushed
        open.pushed.delete(counter)
      }
      if (heads === undefined) continue
      const held = concat(this.#heldOf(attachment, [heads]))
      if (held.length > 0) this.#sendSync(open, { heads: held, need: none, have: [held], changes: [] })
    }
  }

  /** What was dropped behind a refusal is still with the client, so it is asked for what the node lacks. */
  refused({ channel, counter, code }: RefusedPush): void {
    const open = this.#byChannel.get(channel)
    const attachment = this.#session.attachment(channel)
    // Of a document that is gone: no lane of this session stays stopped, so that all may go on.
    for (const each of open === undefined || attachment === undefined ? this.#attachments() : [attachment])
      this.#session.resume(each, counter)
    if (code === 'WRITE_DENIED') return
    for (const each of this.#byId.values()) {
      const group = this.#session.attachment(each.channel)?.document.group
      if (attachment !== undefined && group !== attachment.document.group) continue
      if (each !== open && each.pushed.size === 0) continue
      each.pushed.clear()
      each.askIn ??= askAgainTicks
    }
    if (attachment !== undefined && errorTable[code].retry === 'never') this.#refuse(attachment, 'for good')
  }

  #attachments(): Attachment[] {
    return [...this.#byChannel.keys()].flatMap((channel) => this.#session.attachment(channel) ?? [])
  }

  tick(): void {
    this.#ephemeralLeft = this.#session.limits.presencePerSecond
    for (const open of [...this.#byId.values()]) this.#tick(open)
  }

  #tick(open: Open): void {
    const attachment = this.#session.attachment(open.channel)
    if (attachment !== undefined && open.answerIn !== undefined && --open.answerIn <= 0) {
      open.answerIn = undefined
      this.#answer(open, attachment)
    }
    if (open.unavailableIn !== undefined && --open.unavailableIn <= 0) {
      open.unavailableIn = undefined
      // Whoever began it meanwhile has sent it.
      if (attachment?.document.engine === undefined) this.#unavailable(open.documentId)
    }
    if (open.askIn === undefined || --open.askIn > 0) return
    open.askIn = undefined
    this.#askForAll(open)
  }

  /** Without heads: a client then forgets what it has sent. */
  #askForAll(open: Open): void {
    open.hasUnheard = false
    this.#sendSync(open, { heads: none, need: none, have: [none], changes: [] })
  }

  last(): void {
    // Nothing waits for the end of a flush.
  }

  granted(): void {
    // A connection has the token that it came with.
  }

  beforeUpdates(): void {
    // Frames of this wire refer to nothing.
  }

  stateFrame({ channel }: Attachment, state: Uint8Array): Uint8Array {
    const heads = headsIn(state)
    const data = encodeSyncMessage({ heads, need: none, have: [heads], changes: chunksOf(state) })
    return this.#encode({ type: 'sync', documentId: this.#byChannel.get(channel)?.documentId ?? '', data })
  }

  currentFrame(): undefined {
    return undefined
  }

  denied(channel: number): void {
    const open = this.#byChannel.get(channel)
    if (open === undefined) return
    this.#forget(channel)
    this.#unavailable(open.documentId)
  }

  /** The protocol has no word for another place. */
  redirected(channel: number): void {
    this.denied(channel)
  }

  erased({ channel }: Attachment): void {
    this.denied(channel)
  }

  detached({ document }: Attachment): void {
    this.#node.peers.leave(document.handle, this.#session)
  }

  #refuse(attachment: Attachment, until: 'it is asked for' | 'for good' = 'it is asked for'): void {
    const { documentId } = this.#byChannel.get(attachment.channel) ?? {}
    if (until === 'for good' && documentId !== undefined) {
      this.#refused.add(documentId)
      const [oldest] = this.#refused
      if (this.#refused.size > this.#session.limits.documentsMax && oldest !== undefined) this.#refused.delete(oldest)
    }
    this.#session.detach(attachment)
    this.denied(attachment.channel)
    this.#session.flush()
  }

  #forget(channel: number): void {
    const open = this.#byChannel.get(channel)
    this.#byChannel.delete(channel)
    if (open !== undefined) this.#byId.delete(open.documentId)
  }

  goodbye(): void {
    // The close code says it all.
    this.#early.length = 0
  }

  closed(): void {
    if (this.#tenant !== undefined && this.#senderId !== undefined)
      this.#node.peers.release(`${this.#tenant}/${this.#senderId}`, this.#session)
  }
}
