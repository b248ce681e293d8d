/**
 * A region as a client sees it on the native wire, in one process and one thread: the model that the client's machine is tested
 * against. It is written from PROTOCOL.md and shares nothing with the node but the frames. Faults are the caller's to order.
 */

import type { Random, Redirect } from '@meridian/core/effects'
import type { ErrorCode } from '@meridian/core/errors'
import type { DocumentName, GroupId, RegionId, ReplicaId } from '@meridian/core/ids'
import { documentParts, parseGroup, parseRegion, parseReplica } from '@meridian/core/ids'
import type { MutableVersion, Version } from '@meridian/core/version'
import { covers, emptyVersion, include, includes, mutableVersion } from '@meridian/core/version'
import type { ClientFrame } from '@meridian/core/wires/native/client-frames'
import { decodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { FrameReader } from '@meridian/core/wires/native/frame'
import type { ServerFrame } from '@meridian/core/wires/native/server-frames'
import { encodeServerFrame } from '@meridian/core/wires/native/server-frames'
import * as Y from 'yjs'

export interface Entry {
  readonly group: GroupId
  readonly document: DocumentName
  readonly replica: ReplicaId
  readonly sequence: number
  readonly payload: Uint8Array
  readonly device: string
  readonly counter: number
}

interface Waiting {
  readonly session: FakeSession
  readonly channel: number
  readonly document: DocumentName
  readonly counter: number
  readonly payload: Uint8Array
  /** False for a push that adds nothing: it is acked with the next commit and gets no dot. */
  readonly adds: boolean
}

export interface Fault {
  readonly code: ErrorCode
  readonly retryAfterMs: number
}

export interface RegionFaults {
  /** Asked for each push that would be admitted. */
  push(document: DocumentName, payload: Uint8Array): Fault | undefined
  /** Asked for each attach. */
  attach(document: DocumentName): Fault | undefined
  /** How many of the next entries a `current` is sent before, so that answers interleave; 0 for none. */
  readonly replicated: boolean
}

export const noFaults: RegionFaults = { push: () => undefined, attach: () => undefined, replicated: true }

export class FakeRegion {
  readonly entries: Entry[] = []
  readonly sessions = new Set<FakeSession>()
  faults: RegionFaults = noFaults
  unackedBytesMax = 64 * 1024
  updateBytesMax = 1024 * 1024
  messageBytesMax = 1024 * 1024
  /** Groups by collection; `default` unless named here. */
  readonly placements = new Map<string, string>()
  readonly erased = new Set<DocumentName>()
  readonly readOnly = new Set<string>()
  /** Collections that may not be here, and where they may be. */
  readonly elsewhere = new Map<string, readonly Redirect[]>()
  /** Documents of them that somebody has pushed all the same. */
  readonly misplaced: DocumentName[] = []
  /** Attaches are answered by `answer` only. */
  slow = false
  /** How many pushes were recognised as resends, and found to add nothing. */
  resends = 0
  nothings = 0
  #waiting: Waiting[] = []
  #incarnation = 1
  readonly #random: Random
  #replica: ReplicaId
  #docs = new Map<DocumentName, Y.Doc>()

  readonly name: RegionId
  protocol = 3
  /** Versions that the other regions of a cluster are known to hold; undefined: it is the only one. */
  others: (() => readonly FakeRegion[]) | undefined

  constructor(random: Random, name = 'eu-west') {
    this.#random = random
    this.name = parseRegion(name)
    this.#replica = this.#nextReplica()
  }

  get replica(): ReplicaId {
    return this.#replica
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  connect(send: (message: Uint8Array) => void, close: () => void): FakeSession {
    const session = new FakeSession(this, send, close)
    this.sessions.add(session)
    return session
  }

  /** What is durable of a document. */
  doc(document: DocumentName): Y.Doc {
    const doc = new Y.Doc()
    doc.clientID = 0
    for (const entry of this.entries) if (entry.document === document) Y.applyUpdate(doc, entry.payload)
    return doc
  }

  groupOf(document: DocumentName): GroupId {
    const { tenant, collection } = documentParts(document)
    return parseGroup(`${tenant}/${this.placements.get(collection) ?? 'default'}`)
  }

  version(group: GroupId, document?: DocumentName): MutableVersion {
    const version = mutableVersion()
    for (const entry of this.entries) {
      if (entry.group === group && (document === undefined || entry.document === document))
        include(version, entry.replica, entry.sequence)
    }
    return version
  }

  lastCounter(group: GroupId, device: string): number {
    let last = 0
    for (const entry of this.entries) if (entry.group === group && entry.device === device) last = Math.max(last, entry.counter)
    return last
  }

  /** `new`, `nothing` or `premature`, by the state that includes what waits for its commit. */
  judge(document: DocumentName, payload: Uint8Array): 'new' | 'nothing' | 'premature' {
    let doc = this.#docs.get(document)
    if (doc === undefined) {
      doc = this.doc(document)
      this.#docs.set(document, doc)
    }
    const trial = new Y.Doc()
    trial.clientID = 0
    Y.applyUpdate(trial, Y.encodeStateAsUpdate(doc))
    let changed = false
    trial.on('update', () => {
      changed = true
    })
    Y.applyUpdate(trial, payload)
    if (trial.store.pendingStructs !== null || trial.store.pendingDs !== null) return 'premature'
    if (!changed) return 'nothing'
    Y.applyUpdate(doc, payload)
    return 'new'
  }

  admit(waiting: Waiting): void {
    this.#waiting.push(waiting)
  }

  /** One commit, of one placement group or of all: what waits becomes durable, is fanned out, and is acked. */
  commit(only?: GroupId): void {
    const batch = this.#waiting.filter((one) => only === undefined || this.groupOf(one.document) === only)
    this.#waiting = this.#waiting.filter((one) => !batch.includes(one))
    for (const { session, document, payload, counter, adds } of batch) {
      if (!adds) continue
      const group = this.groupOf(document)
      const sequence = (this.version(group).sequences.get(this.#replica) ?? 0) + 1
      this.entries.push({ group, document, replica: this.#replica, sequence, payload, device: session.device, counter })
      for (const other of this.sessions) if (other !== session) other.deliver(document, this.#replica, sequence, payload)
    }
    const told = new Set<string>()
    for (const { session, document } of batch.toReversed()) {
      const group = this.groupOf(document)
      if (told.has(`${session.id} ${group}`)) continue
      told.add(`${session.id} ${group}`)
      session.ack(
        group,
        Math.max(
          ...batch.filter((one) => one.session === session && this.groupOf(one.document) === group).map((one) => one.counter),
        ),
      )
    }
    for (const session of this.sessions) session.flush()
  }

  /** An entry of another region, as a link brings it: in the order of a log that held it, so causally. */
  include(entry: Entry): void {
    if (includes(this.version(entry.group), entry.replica, entry.sequence)) return
    this.entries.push(entry)
    this.#docs.delete(entry.document)
    for (const session of this.sessions) {
      session.deliver(entry.document, entry.replica, entry.sequence, entry.payload)
      session.flush()
    }
  }

  /** What `count` regions hold, this one included: by replica, the sequence that the one with the fewest of them has. */
  heldBy(group: GroupId, count: number): MutableVersion {
    const versions = [this, ...(this.others?.() ?? [])].map((region) => region.version(group))
    const held = mutableVersion()
    for (const replica of new Set(versions.flatMap((version) => [...version.sequences.keys()]))) {
      const sequences = versions.map((version) => version.sequences.get(replica) ?? 0).sort((a, b) => b - a)
      const sequence = sequences[count - 1] ?? 0
      if (sequence > 0) include(held, replica, sequence)
    }
    return held
  }

  /** Tells the sessions what other regions have by now. */
  tellHeld(): void {
    for (const session of this.sessions) {
      session.tellHeld()
      session.flush()
    }
  }

  /** Nothing of its disk is left. */
  destroy(): void {
    this.restore(0)
  }

  /** A commit that failed: nothing of it is durable, and each session hears of its first push. */
  fail(fault: Fault): void {
    const batch = this.#waiting
    this.#waiting = []
    this.#docs.clear()
    for (const { session, document, counter } of batch) session.stop(this.groupOf(document), 0, counter, fault)
    for (const session of this.sessions) session.flush()
  }

  /** `kill -9`, and a start: a new incarnation, and what was not durable is gone. */
  restart(): void {
    this.#waiting = []
    this.#docs.clear()
    for (const session of [...this.sessions]) session.drop()
    this.#incarnation++
    this.#replica = this.#nextReplica()
  }

  /** An older copy of the store is started: what came after the first `count` entries is lost here. */
  restore(count: number): void {
    this.entries.splice(count)
    this.restart()
  }

  answer(): void {
    for (const session of this.sessions) session.answer()
  }

  erase(document: DocumentName): void {
    this.erased.add(document)
    for (const session of this.sessions) session.erase(document)
  }

  #nextReplica(): ReplicaId {
    const hex = (): string => this.#random.uint32().toString(16).padStart(8, '0')
    return parseReplica(`${this.name}#${this.#incarnation}.${hex()}${hex()}`)
  }
}

interface Attached {
  readonly channel: number
  readonly document: DocumentName
  readonly handle: number
  readonly group: GroupId
  readonly cursor: Version
  readonly seen: Version
  /** The document has been read, so that the attach could be answered. */
  answered: boolean
  presence: Uint8Array
}

let sessionIds = 0

export class FakeSession {
  readonly id = ++sessionIds
  /** Who the node takes it for. */
  subject = 'ann'
  device = ''
  readonly token: string[] = []
  readonly frames: ClientFrame[] = []
  /** What was said, by type. */
  readonly said: ServerFrame['type'][] = []
  readonly #region: FakeRegion
  readonly #send: (message: Uint8Array) => void
  readonly #close: () => void
  readonly #reader: FrameReader
  readonly #channels = new Map<number, Attached>()
  readonly #redirected = new Map<number, DocumentName>()
  readonly #groups = new Map<
    GroupId,
    { asked: Map<number, number>; handle: number; admitted: number; stoppedAt: number | undefined; required: Version }
  >()
  readonly #replicas: ReplicaId[] = []
  #handles = 0
  #out: Uint8Array[] = []
  #greeted = false

  constructor(region: FakeRegion, send: (message: Uint8Array) => void, close: () => void) {
    this.#region = region
    this.#send = send
    this.#close = close
    this.#reader = new FrameReader({ messageBytesMax: 1024 * 1024, frameBytesMax: 64 * 1024 * 1024 }, (type, body, end) => {
      const frame = decodeClientFrame(type, body, end)
      if (frame !== undefined) this.#frame(frame)
    })
  }

  receive(message: Uint8Array): void {
    this.#reader.receive(message)
    this.flush()
  }

  /** The socket is gone without a word. */
  drop(): void {
    for (const channel of this.#channels.keys()) this.#present(channel, new Uint8Array(0))
    this.#region.sessions.delete(this)
    this.#close()
  }

  goodbye(code: ErrorCode, retry: 'now' | 'backoff' | 'never'): void {
    this.say({ type: 'goodbye', code, retry, retryAfterMs: 0, text: '' })
    this.flush()
    this.drop()
  }

  deliver(document: DocumentName, replica: ReplicaId, sequence: number, payload: Uint8Array): void {
    for (const attached of this.#channels.values()) {
      if (attached.document === document && attached.answered)
        this.say({ type: 'update', handle: attached.handle, replica: this.#replicaIndex(replica), sequence, payload })
    }
  }

  ack(group: GroupId, counter: number): void {
    const lane = this.#lane(group)
    const version = this.#region.version(group)
    const sequence = version.sequences.get(this.#region.replica) ?? 0
    const replica = this.#replicaIndex(this.#region.replica)
    const replicated =
      this.#region.others === undefined
        ? this.#region.faults.replicated
        : includes(this.#region.heldBy(group, 2), this.#region.replica, sequence)
    this.say({ type: 'ack', group: lane.handle, counter, replica, sequence, inStream: true, replicated })
  }

  /** Everything from `counter` on is dropped until the client says where it goes on. */
  stop(group: GroupId, channel: number, counter: number, fault: Fault): void {
    const lane = this.#lane(group)
    // A commit that fails refuses what stands before a push that was refused already: said again, or the client would take it for saved.
    if (lane.stoppedAt !== undefined && lane.stoppedAt <= counter) return
    lane.stoppedAt = counter
    lane.admitted = Math.min(lane.admitted, counter - 1)
    this.say({
      type: 'refused',
      channel,
      counter,
      code: fault.code,
      retryAfterMs: fault.retryAfterMs,
      missing: emptyVersion,
      text: '',
    })
  }

  tellHeld(): void {
    for (const [group, lane] of this.#groups) {
      if (this.#region.others === undefined) continue
      this.say({ type: 'replicated', group: lane.handle, version: this.#region.heldBy(group, 2) })
      this.#tellDurable(group)
    }
  }

  erase(document: DocumentName): void {
    for (const attached of [...this.#channels.values()]) {
      if (attached.document !== document) continue
      this.#channels.delete(attached.channel)
      this.say({ type: 'erased', channel: attached.channel, life: 1 })
    }
    this.flush()
  }

  say(frame: ServerFrame): void {
    this.said.push(frame.type)
    this.#out.push(encodeServerFrame(frame))
  }

  flush(): void {
    for (const frame of this.#out.splice(0)) this.#send(frame)
  }

  #frame(frame: ClientFrame): void {
    this.frames.push(frame)
    if (!this.#greeted && frame.type !== 'hello') throw new Error('the first frame is a hello')
    switch (frame.type) {
      case 'hello': {
        this.#greeted = true
        this.device = frame.device
        this.token.push(frame.token)
        const { messageBytesMax, updateBytesMax, unackedBytesMax } = this.#region
        const region = this.#region.name
        this.say({
          type: 'welcome',
          protocol: this.#region.protocol,
          region,
          session: this.id,
          subject: this.subject,
          messageBytesMax,
          updateBytesMax,
          unackedBytesMax,
          heartbeatMs: 15_000,
        })
        return
      }
      case 'attach':
        return this.#attach(frame)
      case 'push':
        return this.#push(frame.channel, frame.counter, frame.payload)
      case 'seen': {
        const attached = this.#channels.get(frame.channel)
        if (attached !== undefined) this.#lane(attached.group).required = frame.seen
        return
      }
      case 'resume': {
        const attached = this.#channels.get(frame.channel)
        if (attached === undefined) return
        const lane = this.#lane(attached.group)
        if (lane.stoppedAt !== undefined && frame.counter >= lane.stoppedAt) lane.stoppedAt = undefined
        return
      }
      case 'detach':
        this.#present(frame.channel, new Uint8Array(0))
        this.#channels.delete(frame.channel)
        return
      case 'durable': {
        const attached = this.#channels.get(frame.channel)
        if (attached === undefined) return
        this.#lane(attached.group).asked.set(frame.regions, -1)
        return this.#tellDurable(attached.group)
      }
      case 'ping':
        return this.say({ type: 'pong', nonce: frame.nonce })
      case 'token':
        this.token.push(frame.token)
        return
      case 'presence':
        return this.#present(frame.channel, frame.payload)
    }
  }

  #tellDurable(group: GroupId): void {
    const { asked, handle } = this.#lane(group)
    const count = 1 + (this.#region.others?.().length ?? 0)
    for (const regions of asked.keys()) {
      const version = regions > count ? emptyVersion : this.#region.heldBy(group, regions)
      this.say({ type: 'durable', group: handle, regions, count, version })
    }
  }

  #present(channel: number, payload: Uint8Array): void {
    const attached = this.#channels.get(channel)
    if (attached === undefined || (payload.length === 0 && attached.presence.length === 0)) return
    attached.presence = payload.slice()
    for (const other of this.#region.sessions) {
      if (other === this) continue
      other.showPresence(this, attached.document, payload)
      other.flush()
    }
  }

  showPresence(of: FakeSession, document: DocumentName, payload: Uint8Array): void {
    for (const attached of this.#channels.values()) {
      if (attached.document === document && attached.answered)
        this.say({ type: 'presence', handle: attached.handle, session: of.id, subject: of.subject, payload })
    }
  }

  presenceOf(document: DocumentName): Uint8Array {
    for (const attached of this.#channels.values()) if (attached.document === document) return attached.presence
    return new Uint8Array(0)
  }

  #attach(frame: Extract<ClientFrame, { type: 'attach' }>): void {
    const { channel, document } = frame
    const fault = this.#region.faults.attach(document)
    if (fault !== undefined)
      return this.say({ type: 'denied', channel, code: fault.code, retryAfterMs: fault.retryAfterMs, text: '' })
    if (this.#region.erased.has(document)) return this.say({ type: 'erased', channel, life: 1 })
    const redirects = this.#region.elsewhere.get(documentParts(document).collection)
    if (redirects !== undefined) {
      this.#redirected.set(channel, document)
      return this.say({ type: 'redirect', channel, redirects })
    }
    const group = this.#region.groupOf(document)
    const lane = this.#lane(group)
    lane.required = frame.seen
    const attached: Attached = {
      channel,
      document,
      handle: ++this.#handles,
      group,
      cursor: frame.cursor,
      seen: frame.seen,
      answered: false,
      presence: new Uint8Array(0),
    }
    this.#channels.set(channel, attached)
    if (!this.#region.slow) this.#answer(attached)
  }

  /** A slow log has read what was asked of it; pushes behind an attach, and their acks, did not wait for that. */
  answer(): void {
    for (const attached of [...this.#channels.values()]) if (!attached.answered) this.#answer(attached)
    this.flush()
  }

  #answer(attached: Attached): void {
    attached.answered = true
    const { channel, document, handle, group } = attached
    const held = this.#region.version(group)
    const behind = !covers(held, attached.cursor) || !covers(held, attached.seen)
    const access = this.#region.readOnly.has(document) ? 'read' : 'write'
    this.say({ type: 'attached', channel, handle, group: this.#lane(group).handle, life: 1, access, behind })
    const cursor = behind ? emptyVersion : attached.cursor
    for (const entry of this.#region.entries) {
      if (entry.document !== document || includes(cursor, entry.replica, entry.sequence)) continue
      this.say({
        type: 'update',
        handle,
        replica: this.#replicaIndex(entry.replica),
        sequence: entry.sequence,
        payload: entry.payload,
      })
    }
    this.say({ type: 'current', handle, version: this.#region.version(group, document) })
    for (const other of this.#region.sessions) {
      if (other !== this && other.presenceOf(document).length > 0) this.showPresence(other, document, other.presenceOf(document))
    }
  }

  #push(channel: number, counter: number, payload: Uint8Array): void {
    const attached = this.#channels.get(channel)
    const misplaced = this.#redirected.get(channel)
    if (misplaced !== undefined) this.#region.misplaced.push(misplaced)
    if (attached === undefined) return
    const { group, document } = attached
    const lane = this.#lane(group)
    if (lane.stoppedAt !== undefined) return
    if (counter <= lane.admitted) {
      // As in a node: whatever is not above the last one was seen. A client that breaks OUT1 loses an edit here.
      this.#region.resends++
      if (counter <= this.#region.lastCounter(group, this.device)) this.ack(group, counter)
      return
    }
    if (!covers(this.#region.version(group), lane.required))
      return this.stop(group, channel, counter, { code: 'NOT_YET_VISIBLE', retryAfterMs: 500 })
    const fault = this.#region.faults.push(document, payload)
    if (fault !== undefined) return this.stop(group, channel, counter, fault)
    if (this.#region.readOnly.has(document)) return this.stop(group, channel, counter, { code: 'WRITE_DENIED', retryAfterMs: 0 })
    const judgement = this.#region.judge(document, payload)
    if (judgement === 'premature') return this.stop(group, channel, counter, { code: 'PREMATURE', retryAfterMs: 0 })
    if (judgement === 'nothing') this.#region.nothings++
    lane.admitted = counter
    this.#region.admit({ session: this, channel, document, counter, payload: payload.slice(), adds: judgement === 'new' })
  }

  #lane(group: GroupId) {
    let lane = this.#groups.get(group)
    if (lane === undefined) {
      lane = {
        asked: new Map(),
        handle: this.#groups.size + 1,
        admitted: this.#region.lastCounter(group, this.device),
        stoppedAt: undefined,
        required: emptyVersion,
      }
      this.#groups.set(group, lane)
      this.say({ type: 'group', handle: lane.handle, group })
    }
    return lane
  }

  #replicaIndex(replica: ReplicaId): number {
    const known = this.#replicas.indexOf(replica)
    if (known >= 0) return known
    this.#replicas.push(replica)
    this.say({ type: 'replicas', first: this.#replicas.length - 1, ids: [replica] })
    return this.#replicas.length - 1
  }
}
