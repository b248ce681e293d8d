/**
 * The sync machine of one client: documents, outbox and cursors over one connection. Pure and synchronous: events in, effects out.
 *
 * - SES1 A cursor moves only together with what it claims, in one batch of the store.
 * - SES2 An edit stays in the outbox until it is acked, and with its dot until enough regions have it.
 * - SES5 A region that lacks what this client had seen gets it from here (rescue).
 * - CLI2 `outcome` says `saved` only after the ack of every item that holds the edit.
 * - CAUSE Documents that are attached at once show what came for their group only when the last of it is current, all in one turn.
 */

import type { Random, Redirect } from '@meridian/core/effects'
import type { ErrorCode } from '@meridian/core/errors'
import { MeridianError, toMeridianError, unreachable } from '@meridian/core/errors'
import type { DeviceId, DocumentName, GroupId, ReplicaId } from '@meridian/core/ids'
import type { Dot, MutableVersion, Version } from '@meridian/core/version'
import { emptyVersion, include, includes, isEmpty, merge, mutableVersion } from '@meridian/core/version'
import { encodeClientFrame, encodePush } from '@meridian/core/wires/native/client-frames'
import { FrameReader, protocolVersion } from '@meridian/core/wires/native/frame'
import type { Ack, Attached, Refused, ServerFrame, Welcome } from '@meridian/core/wires/native/server-frames'
import { decodeServerFrame } from '@meridian/core/wires/native/server-frames'
import { backoffMs, refusalBackoff } from './backoff.js'
import type { ConnectionEvent, ConnectionTimes } from './connection.js'
import { Connection, connectionTimes, retryOf } from './connection.js'
import type { Arrival, Batch, StoredEdit } from './document.js'
import { ClientDocument } from './document.js'
import { Journal } from './journal.js'
import type { OutboxItem } from './outbox.js'
import { Outbox } from './outbox.js'
import { greetingBytesMax, Outgoing } from './outgoing.js'
import type { Mark, RecordName, StoredDocument } from './records.js'
import { recordText } from './records.js'
import type { ConnectionStatus, DocumentStatus } from './status.js'
import type { StoreOperation } from './store.js'
import { coalesce, difference } from './yjs.js'

export interface SyncEffects {
  /** Milliseconds since 1970; for the end of a token only. */
  readonly clock: { now(): number }
  /** Milliseconds that never run backwards. */
  monotonicMs(): number
  readonly random: Random
  /** `flush` is to be called when the running turn is over. */
  defer(): void
  /** `receive({ type: 'time' })` is to be called then, and at no other time asked for before. */
  wakeAt(monotonicMs: number | undefined): void
  requestToken(): void
  dial(socket: number): void
  hangUp(): void
  send(message: Uint8Array): void
  /** One atomic batch, after all earlier ones. */
  write(batch: StoreOperation[]): void
  /** To the document's live copy, in one turn; nothing if it has none. */
  apply(document: DocumentName, updates: readonly Uint8Array[]): void
  /** The state of the live copy, if there is one and the local records are in it. */
  snapshot(document: DocumentName): Uint8Array | undefined
  /** Answered by `stateRead` with everything that this device holds of the document, later. */
  readState(document: DocumentName): void
  erased(document: DocumentName): void
  /** The newest presence of another session; empty when it is gone. */
  presence(document: DocumentName, session: number, subject: string, update: Uint8Array): void
  documentChanged(document: DocumentName): void
  /** An edit was made here: other tabs show it. */
  made(document: DocumentName, record: RecordName, payload: Uint8Array): void
  /** What became of an edit in the outbox; without a mark it is forgotten. */
  marked(document: DocumentName, record: RecordName, mark: Mark | undefined): void
  connectionChanged(): void
}

export interface SyncOptions {
  readonly device: DeviceId
  /** Names this opening in the records of the store; a later opening's sorts behind. */
  readonly opening: string
  /** False: another tab has the connection, until `lead()`. */
  readonly leads: boolean
  readonly tokens: 'fixed' | 'provided'
  readonly times?: ConnectionTimes
  /** Log records of an open document after which it is compacted, if they are worth it. Default 500. */
  readonly compactCount?: number
}

/** `saved`, `pending`, or why it will not be saved. */
export type Outcome = 'saved' | 'pending' | ErrorCode

/** A group on the running connection. */
interface LiveGroup {
  readonly id: GroupId
  /** Nothing of the group is pushed before that. */
  blockedUntilMs: number | undefined
  attempt: number
  /** The node drops pushes of the group until it is told where they go on. */
  stopped: boolean
  /** What the region has shown that it holds. */
  readonly held: MutableVersion
  /** The newest ack: it may come before the answer to the attach of what it acks. */
  acked: Ack | undefined
}

/** What a node may send: a state of a large document comes in one frame, in fragments. */
const frameLimits = { messageBytesMax: 64 * 1024 * 1024, frameBytesMax: 1024 * 1024 * 1024 }
const compactCountDefault = 500
/** Milliseconds without an ack or a refusal of what was pushed; the node answers each push within a few seconds, or is stuck. */
const ackTimeoutMs = 60_000

export class Sync {
  readonly #effects: SyncEffects
  readonly #options: SyncOptions
  readonly #connection: Connection
  readonly #outbox = new Outbox()
  readonly #documents = new Map<DocumentName, ClientDocument>()
  readonly #journal: Journal
  /** Places in the order of edits that were found in the outbox and whose documents are not loaded yet. */
  readonly #ages = new Map<string, number>()
  /** Documents with a wait that ends. */
  readonly #waiters = new Set<ClientDocument>()

  /** False while another tab has the connection: then marks, cursors and compaction are that one's, and this one knows what it is told. */
  leads: boolean
  #mirror: ConnectionStatus | undefined

  // Of the running connection.
  #reader: FrameReader
  #welcome: Welcome | undefined
  #channel = 0
  #replicas: (ReplicaId | undefined)[] = []
  readonly #groups = new Map<number, LiveGroup>()
  readonly #byChannel = new Map<number, ClientDocument>()
  readonly #byHandle = new Map<number, ClientDocument>()
  /** Of channels that are gone, too. */
  readonly #channelGroups = new Map<number, number>()
  #progressMs = 0

  // Of the running turn.
  readonly #out = new Outgoing()
  readonly #changed = new Set<ClientDocument>()
  #deferred = false
  #status: ConnectionStatus
  #redirects: readonly Redirect[] = []

  constructor(effects: SyncEffects, options: SyncOptions) {
    this.#effects = effects
    this.#options = options
    this.leads = options.leads
    if (!options.leads) this.#mirror = connecting
    this.#journal = new Journal(options.opening)
    this.#reader = this.#newReader()
    this.#connection = new Connection(
      {
        clock: effects.clock,
        monotonicMs: () => effects.monotonicMs(),
        random: effects.random,
        requestToken: () => effects.requestToken(),
        dial: (socket) => effects.dial(socket),
        hangUp: () => effects.hangUp(),
        send: (frame) => this.#out.push(frame),
        greet: (token) => this.#greet(token),
        entered: (welcome) => {
          this.#welcome = welcome
        },
        left: () => this.#left(),
      },
      { times: options.times ?? connectionTimes, tokens: options.tokens },
    )
    this.#status = this.connectionStatus
  }

  get connectionStatus(): ConnectionStatus {
    return this.#mirror ?? this.#connection.status
  }

  get redirects(): readonly Redirect[] {
    return this.#redirects
  }

  /** Edits that no region has saved, over all documents that are open or being pushed. */
  get pending(): number {
    let count = 0
    for (const document of this.#documents.values()) count += document.pending
    return count
  }

  status(name: DocumentName): DocumentStatus | undefined {
    return this.#documents.get(name)?.status
  }

  /** Now, as an age to ask `outcome` about later. */
  get age(): number {
    this.#takeEdits()
    this.#settle()
    return this.#journal.number
  }

  /** Of the newest record of this opening. */
  get number(): number {
    return this.#journal.number
  }

  /** What became of the edits of a document up to an age. */
  outcome(name: DocumentName, age: number): Outcome {
    const document = this.#documents.get(name)
    if (document === undefined) return 'CLOSED'
    if (document.link.kind === 'erased') return 'ERASED'
    let pending = false
    for (const item of document.items.values()) {
      if (item.age > age) break
      if (item.state === 'refused') return item.code ?? 'INTERNAL'
      if (item.state === 'kept') continue
      pending = true
      if (document.refusedCount === 0) break
    }
    if (!pending) return 'saved'
    if (document.halted !== undefined) return document.halted
    if (document.link.kind === 'refused') return document.link.code
    const { mirror } = document
    if (mirror?.kind === 'refused' && document.refusedCount === 0) return mirror.code
    const status = this.connectionStatus
    if (status.kind === 'refused') return status.code
    return status.kind === 'closed' ? 'CLOSED' : 'pending'
  }

  // What the store says.

  tokensFound(tokens: ReadonlyMap<GroupId, Version>): void {
    for (const [group, version] of tokens) this.#journal.seen(group, version)
  }

  /** Edits of earlier openings, in the order in which they were made; each document is to be loaded. */
  outboxFound(document: DocumentName, record: RecordName): void {
    this.#ages.set(ageText(document, record), this.#journal.nextName().number)
  }

  /**
   * The device's store is an empty one now. Everything that this opening holds is written there; documents of which it holds no copy begin
   * anew, so that the region sends them whole (SES1). Of edits the leader writes all but those that another tab has still to write itself,
   * and each other tab its own.
   */
  writeAnew(): void {
    this.#takeEdits()
    const { opening } = this.#options
    for (const document of this.#documents.values()) {
      if (document.link.kind === 'erased') continue
      const state = this.#effects.snapshot(document.name)
      if (state === undefined && document.link.kind !== 'loading') this.#beginAnew(document)
      this.#journal.anew(document, state, (item) => {
        const isOurs = item.record.opening === opening || (this.leads && !item.isHeld)
        // Whoever leads may not know of it, if the tab that made it is gone: it is told, and this tab writes it should it lead.
        if (!isOurs && !item.isHeld) item.isUnwritten = true
        return isOurs
      })
      if (this.leads && document.life > 0) this.#journal.headChanged(document)
      this.#changed.add(document)
    }
    this.#journal.tokensAnew()
    this.#attachLoaded([...this.#documents.values()])
    this.#settle()
  }

  #beginAnew(document: ClientDocument): void {
    document.cursor = mutableVersion()
    const { channel } = document
    if (channel === undefined) return
    this.#detachNow(document, () => {
      this.#out.push(encodeClientFrame({ type: 'detach', channel }))
    })
  }

  // What the app does.

  /** Somebody opens the document, or it has edits to push. `loaded` is to follow unless it is known already. */
  open(name: DocumentName, interest: 'opened' | 'push only'): void {
    let document = this.#documents.get(name)
    if (document === undefined) {
      document = new ClientDocument(name)
      this.#documents.set(name, document)
    }
    if (interest === 'opened') document.open = true
    this.#changed.add(document)
    this.#attachLoaded([document])
    this.#settle()
  }

  isKnown(name: DocumentName): boolean {
    return this.#documents.has(name)
  }

  /** Whether the device holds more of a document than what was made since it was opened. */
  isFound(name: DocumentName, stored: StoredDocument): boolean {
    if (stored.head !== undefined || stored.snapshots.length > 0) return true
    const known = this.#documents.get(name)?.log
    return stored.log.some((one) => known?.has(recordText(one.name)) !== true)
  }

  /** What the device holds of a document. */
  loaded(name: DocumentName, stored: StoredDocument): void {
    const document = this.#documents.get(name)
    if (document === undefined || document.link.kind === 'erased') return
    for (const edit of document.adopt(stored)) this.#found(document, edit)
    document.sortItems()
    this.#changed.add(document)
    this.#attachLoaded([document])
    this.#settle()
  }

  /** Nobody has it open any more; what is not saved is pushed on. */
  close(name: DocumentName): void {
    const document = this.#documents.get(name)
    if (document === undefined) return
    this.#takeEdits()
    document.open = false
    this.#changed.add(document)
    this.#settle()
  }

  /** What this session shows of itself in a document, in place of what it showed; said again on every connection (SES6). */
  present(name: DocumentName, update: Uint8Array): void {
    const document = this.#documents.get(name)
    if (document === undefined) return
    document.presence = update
    this.#showPresence(document)
    this.#settle()
  }

  /** One update that the app made. Written and sent when the turn is over. [hot] */
  edit(name: DocumentName, update: Uint8Array): void {
    const document = this.#documents.get(name)
    if (document === undefined || document.link.kind === 'erased') return
    document.edits.push(update)
    this.#changed.add(document)
    if (this.#deferred) return
    this.#deferred = true
    this.#effects.defer()
  }

  /** The turn is over. */
  flush(): void {
    this.#deferred = false
    this.#takeEdits()
    this.#settle()
  }

  /** Everything that this device holds of a document, asked for by `readState`. */
  stateRead(name: DocumentName, state: Uint8Array): void {
    const document = this.#documents.get(name)
    if (document === undefined) return
    const { needs } = document
    document.needs = 'nothing'
    if (needs === 'premature') this.#replacePremature(document, state)
    else if (needs === 'rescue') this.#rescue(document, state)
    this.#settle()
  }

  // What other tabs say.

  /**
   * Another tab made an edit. It is shown by whoever has it open, and pushed by whoever leads when the device has it. `settled`: the
   * leader has heard of it before and its outbox has it no more; whoever told of it did not know yet.
   */
  foreign(name: DocumentName, record: RecordName, payload: Uint8Array, isOrphan: boolean): 'taken' | 'settled' {
    const document = this.#documents.get(name)
    if (document === undefined || document.link.kind === 'erased') return 'taken'
    const text = recordText(record)
    if (document.log.has(text)) {
      if (this.leads && document.item(record) === undefined) return 'settled'
      if (isOrphan) this.#unhold(document, (item) => item === document.item(record), false)
    } else {
      document.log.set(text, record)
      document.logBytes += payload.length
      const item = this.#outbox.create(name, this.#journal.nextName().number, record, payload)
      item.isHeld = !isOrphan
      item.isUnwritten = isOrphan
      if (!isOrphan) document.heldCount++
      else if (this.leads) this.#writeFor(document, item)
      document.items.set(item.age, item)
      this.#outbox.add(item)
      this.#changed.add(document)
    }
    this.#settle()
    return 'taken'
  }

  /** The device has the records of another tab up to that number; or it will not, and they are written here. */
  released(opening: string, number: number, isDurable: boolean): void {
    for (const document of this.#documents.values()) {
      if (document.heldCount > 0)
        this.#unhold(document, ({ record }) => record.opening === opening && record.number <= number, isDurable)
    }
    this.#settle()
  }

  #unhold(document: ClientDocument, isMeant: (item: OutboxItem) => boolean, isDurable: boolean): void {
    for (const item of document.items.values()) {
      if (!item.isHeld || !isMeant(item)) continue
      item.isHeld = false
      document.heldCount--
      item.isUnwritten = !isDurable
      if (this.leads) this.#writeFor(document, item)
    }
  }

  #writeFor(document: ClientDocument, item: OutboxItem): void {
    if (!item.isUnwritten) return
    item.isUnwritten = false
    this.#journal.rewrite(document, item)
    this.#journal.mark(document, item, unsaved)
  }

  /** What the leader's outbox made of an edit. */
  mirrorMark(name: DocumentName, record: RecordName, mark: Mark | undefined): void {
    const document = this.#documents.get(name)
    const item = document?.item(record)
    if (this.leads || document === undefined || item === undefined) return
    if (item.state === 'kept') document.keptCount--
    if (item.state === 'refused') document.refusedCount--
    if (item.isHeld) document.heldCount--
    item.isHeld = false
    item.isUnwritten = false
    switch (mark?.kind) {
      case undefined:
        this.#outbox.remove(item, 'kept')
        document.items.delete(item.age)
        break
      case 'kept':
        this.#outbox.remove(item, 'kept')
        item.dot = mark.dot
        document.keptCount++
        break
      case 'refused':
        this.#outbox.remove(item, 'refused')
        item.code = mark.code
        document.refusedCount++
        break
      case 'unsaved':
        this.#outbox.add(item)
        break
    }
    this.#changed.add(document)
    this.#settle()
  }

  /** What the outbox holds of a document, oldest first. */
  payloads(name: DocumentName): Uint8Array[] {
    return [...(this.#documents.get(name)?.items.values() ?? [])].map((item) => item.payload)
  }

  /** Of these records, those that the outbox does not have any more. */
  settled(name: DocumentName, found: readonly RecordName[]): RecordName[] {
    const document = this.#documents.get(name)
    return found.filter((record) => document?.item(record) === undefined)
  }

  mirrorStatus(name: DocumentName, status: DocumentStatus): void {
    const document = this.#documents.get(name)
    if (this.leads || document === undefined) return
    document.mirror = status
    this.#changed.add(document)
    this.#settle()
  }

  mirrorErased(name: DocumentName): void {
    const document = this.#documents.get(name)
    if (this.leads || document === undefined || document.link.kind === 'erased') return
    this.#erase(document, document.life)
    this.#changed.add(document)
    this.#settle()
  }

  mirrorConnection(status: ConnectionStatus): void {
    if (this.leads) return
    this.#mirror = status
    if (status.kind !== 'online') for (const document of this.#documents.values()) document.mirror = undefined
    for (const document of this.#documents.values()) this.#changed.add(document)
    this.#settle()
  }

  /** This tab has the connection from now on. What the device holds by now is to be `loaded` before. */
  lead(): void {
    this.leads = true
    this.#mirror = undefined
    for (const document of this.#documents.values()) {
      document.mirror = undefined
      this.#changed.add(document)
      for (const item of document.items.values()) this.#writeFor(document, item)
    }
    this.#settle()
  }

  /** Another one has it. */
  follow(): void {
    this.#connection.receive({ type: 'stop' })
    this.leads = false
    this.#mirror = connecting
    this.#settle()
  }

  /** What no region has saved of the edits that were made here or that nobody else will tell of, in their order, for a tab that leads. */
  unsaved(name?: DocumentName): OutboxItem[] {
    const found: OutboxItem[] = []
    for (const document of this.#documents.values()) {
      if (name !== undefined && document.name !== name) continue
      for (const item of document.items.values())
        if (
          (item.isUnwritten || item.record.opening === this.#options.opening) &&
          (item.state === 'waiting' || item.state === 'sent')
        )
          found.push(item)
    }
    return found.sort((a, b) => a.age - b.age)
  }

  // What the connection says.

  receive(event: Exclude<ConnectionEvent, { type: 'welcome' | 'goodbye' }>): void {
    if (event.type === 'close') this.#mirror = undefined
    // A node does not say when it has judged a new token, so whoever needs more than the old one allowed connects anew.
    if (event.type === 'token' && this.#connection.phase === 'online' && this.#lacksRights()) {
      this.#connection.receive({ type: 'stop' })
      this.#connection.receive({ type: 'start' })
    } else this.#connection.receive(event)
    if (event.type === 'reconnect' || event.type === 'token') this.#tryRefusedAgain()
    this.#settle()
  }

  message(socket: number, message: Uint8Array): void {
    if (socket !== this.#connection.socket) return
    this.#connection.heard()
    try {
      this.#reader.receive(message)
    } catch (thrown) {
      this.#connection.receive({ type: 'lost', socket, code: toMeridianError(thrown).code })
    }
    this.#settle()
  }

  // Connecting.

  #greet(token: string): void {
    this.#out.clear()
    this.#reader = this.#newReader()
    this.#out.push(encodeClientFrame({ type: 'hello', protocol: protocolVersion, device: this.#options.device, token }))
    this.#attachLoaded([...this.#documents.values()])
  }

  #newReader(): FrameReader {
    // A goodbye ends a connection in the midst of a message; what stands behind it belongs to nobody.
    let socket: number | undefined
    return new FrameReader(frameLimits, (type, body, end) => {
      socket ??= this.#connection.socket
      const frame = decodeServerFrame(type, body, end)
      if (frame !== undefined && socket === this.#connection.socket) this.#frame(frame)
    })
  }

  #left(): void {
    this.#welcome = undefined
    this.#out.clear()
    this.#channel = 0
    this.#replicas = []
    this.#groups.clear()
    this.#byChannel.clear()
    this.#byHandle.clear()
    this.#channelGroups.clear()
    this.#waiters.clear()
    this.#outbox.disconnected()
    for (const document of this.#documents.values()) {
      document.batch = undefined
      document.rescue = undefined
      if (document.needs === 'rescue') document.needs = 'nothing'
      document.blockedUntilMs = undefined
      if (document.channel !== undefined || document.link.kind === 'waiting') document.link = { kind: 'detached' }
      this.#changed.add(document)
    }
  }

  /** Attaches at once what is loaded, wanted, and not attached. */
  #attachLoaded(candidates: readonly ClientDocument[]): void {
    const { phase } = this.#connection
    if (phase !== 'online' && phase !== 'greeting') return
    const batch: Batch = { pending: new Set(), held: [] }
    for (const document of candidates) {
      if (document.link.kind !== 'detached' || !(document.open || document.isBusy)) continue
      const channel = ++this.#channel
      const token = this.#journal.tokenOf(document.group)
      document.link = { kind: 'attaching', channel }
      document.seenGroup = token === undefined ? undefined : document.group
      document.batch = batch
      batch.pending.add(document)
      this.#byChannel.set(channel, document)
      this.#changed.add(document)
      const { life, cursor } = document
      const seen = token ?? emptyVersion
      this.#out.push(encodeClientFrame({ type: 'attach', channel, engine: 'yjs', document: document.name, life, cursor, seen }))
      if (document.presence.length > 0) this.#showPresence(document)
    }
  }

  #showPresence({ channel, presence }: ClientDocument): void {
    if (channel !== undefined) this.#out.push(encodeClientFrame({ type: 'presence', channel, payload: presence }))
  }

  #lacksRights(): boolean {
    for (const document of this.#documents.values()) {
      if (document.link.kind === 'refused' || document.attachment?.access === 'read') return true
    }
    return false
  }

  #tryRefusedAgain(): void {
    for (const document of this.#documents.values()) {
      if (document.link.kind === 'refused' || document.link.kind === 'waiting' || document.link.kind === 'redirected') {
        document.link = { kind: 'detached' }
        this.#changed.add(document)
      }
    }
    this.#attachLoaded([...this.#documents.values()])
  }

  // What the node says.

  #frame(frame: ServerFrame): void {
    const { phase } = this.#connection
    if (phase !== 'online' && frame.type !== 'welcome' && frame.type !== 'goodbye') {
      throw new MeridianError('FRAME_INVALID', { message: 'The first frame of a node is a welcome.' })
    }
    switch (frame.type) {
      case 'welcome':
      case 'goodbye':
        return this.#connection.receive(frame.type === 'welcome' ? { type: 'welcome', frame } : { type: 'goodbye', frame })
      case 'replicas':
        for (const [index, id] of frame.ids.entries()) this.#replicas[frame.first + index] = id
        return
      case 'group':
        this.#groups.set(frame.handle, {
          id: frame.group,
          blockedUntilMs: undefined,
          attempt: 0,
          stopped: false,
          held: mutableVersion(),
          acked: undefined,
        })
        return
      case 'attached':
        return this.#attached(frame)
      case 'state':
        return this.#arrived(frame.handle, (document) => ({ kind: 'data', document, payload: frame.payload, dot: undefined }))
      case 'update': {
        const { payload } = frame
        const dot = this.#dot(frame.replica, frame.sequence)
        return this.#arrived(frame.handle, (document) => ({ kind: 'data', document, payload, dot }))
      }
      case 'current':
        return this.#current(frame.handle, mutableVersion(frame.version))
      case 'ack':
        return this.#acked(frame)
      case 'replicated':
        return this.#replicated(frame.group, frame.version)
      case 'refused':
        return this.#refused(frame)
      case 'denied':
        return this.#denied(frame.channel, frame.code, frame.retryAfterMs)
      case 'redirect':
        this.#redirects = frame.redirects
        return this.#detached(frame.channel, (document) => {
          document.link = { kind: 'redirected', redirects: frame.redirects }
        })
      case 'erased':
        return this.#detached(frame.channel, (document) => this.#erase(document, frame.life))
      case 'presence': {
        const document = this.#byHandle.get(frame.handle)
        if (document !== undefined) this.#effects.presence(document.name, frame.session, frame.subject, frame.payload)
        return
      }
      case 'pong':
      case 'granted':
        return
      default:
        unreachable(frame)
    }
  }

  #attached(frame: Attached): void {
    const document = this.#byChannel.get(frame.channel)
    const group = this.#groups.get(frame.group)
    if (document === undefined || document.link.kind !== 'attaching') return
    if (group === undefined)
      throw new MeridianError('FRAME_INVALID', { message: 'A document is attached in a group that was not named.' })
    document.link = { kind: 'receiving', channel: frame.channel, handle: frame.handle, group: frame.group, access: frame.access }
    document.life = frame.life
    document.group = group.id
    document.attempt = 0
    if (frame.behind) document.rescue = { received: [], version: mutableVersion() }
    this.#byHandle.set(frame.handle, document)
    this.#channelGroups.set(frame.channel, frame.group)
    this.#changed.add(document)
    const token = this.#journal.tokenOf(group.id)
    // The attach could not know whose token to show.
    if (document.seenGroup !== group.id && token !== undefined && !isEmpty(token)) {
      this.#out.push(encodeClientFrame({ type: 'seen', channel: frame.channel, seen: token }))
    }
    if (frame.access === 'read') this.#refuseAll(document, 'WRITE_DENIED')
    else
      for (const item of document.items.values())
        if (item.state === 'refused' && item.code === 'WRITE_DENIED') this.#requeue(document, item)
    if (group.acked !== undefined) this.#acked(group.acked)
    this.#release(document)
  }

  /** [hot] */
  #arrived(handle: number, make: (document: ClientDocument) => Arrival): void {
    const document = this.#byHandle.get(handle)
    if (document === undefined) return
    const arrival = make(document)
    if (document.batch === undefined) this.#take([arrival])
    else document.batch.held.push(arrival)
  }

  #current(handle: number, version: MutableVersion): void {
    const document = this.#byHandle.get(handle)
    if (document?.attachment === undefined) return
    if (document.link.kind === 'receiving') {
      document.link = { ...document.link, kind: 'current' }
      this.#changed.add(document)
    }
    const arrival: Arrival = { kind: 'current', document, version }
    if (document.batch === undefined) return this.#take([arrival])
    document.batch.held.push(arrival)
    document.batch.pending.delete(document)
    this.#release(document)
  }

  /** Lets go what is held of groups that nobody of the batch keeps waiting. */
  #release(document: ClientDocument): void {
    const { batch } = document
    if (batch === undefined) return
    const waiting = new Set<GroupId | undefined>()
    for (const other of batch.pending) waiting.add(other.group)
    if (waiting.has(undefined)) return
    const ready: Arrival[] = []
    const held: Arrival[] = []
    for (const arrival of batch.held) (waiting.has(arrival.document.group) ? held : ready).push(arrival)
    batch.held = held
    for (const other of this.#documents.values()) {
      if (other.batch !== batch || waiting.has(other.group)) continue
      other.batch = undefined
      this.#changed.add(other)
    }
    this.#take(ready)
  }

  /** Everything in order and in one turn: written, applied, counted. [hot] */
  #take(arrivals: readonly Arrival[]): void {
    let document: ClientDocument | undefined
    let updates: Uint8Array[] = []
    const apply = (): void => {
      if (document !== undefined && updates.length > 0) this.#effects.apply(document.name, updates)
      updates = []
    }
    for (const arrival of arrivals) {
      if (arrival.document.attachment === undefined) continue
      if (arrival.document !== document) apply()
      document = arrival.document
      switch (arrival.kind) {
        case 'data':
          updates.push(arrival.payload)
          this.#journal.log(document, this.#journal.nextName(), arrival.payload)
          this.#changed.add(document)
          document.rescue?.received.push(arrival.payload)
          if (arrival.dot !== undefined) this.#count(document, arrival.dot)
          break
        case 'dot':
          this.#count(document, arrival.dot)
          break
        case 'current':
          merge(document.rescue?.version ?? document.cursor, arrival.version)
          this.#seen(document, arrival.version)
          if (document.rescue !== undefined) this.#need(document, 'rescue')
          break
        default:
          unreachable(arrival)
      }
      if (document.rescue === undefined) this.#journal.headChanged(document)
    }
    apply()
  }

  /** @throws MeridianError FRAME_INVALID for a replica that was not named before. */
  #dot(replica: number, sequence: number): Dot {
    const id = this.#replicas[replica]
    if (id === undefined) throw new MeridianError('FRAME_INVALID', { message: 'A replica is used before it was named.' })
    return { replica: id, sequence }
  }

  /** Something of the document was received: its cursor and the session token hold it. */
  #count(document: ClientDocument, dot: Dot): void {
    include(document.rescue?.version ?? document.cursor, dot.replica, dot.sequence)
    if (document.group !== undefined) this.#seenDot(document.group, document.attachment?.group, dot)
  }

  #seenDot(group: GroupId, handle: number | undefined, dot: Dot): void {
    this.#journal.seenDot(group, dot)
    const live = handle === undefined ? undefined : this.#groups.get(handle)
    if (live !== undefined) include(live.held, dot.replica, dot.sequence)
  }

  #seen(document: ClientDocument, version: Version): void {
    if (document.group === undefined || document.attachment === undefined) return
    this.#journal.seen(document.group, version)
    const live = this.#groups.get(document.attachment.group)
    if (live !== undefined) merge(live.held, version)
  }

  #acked(ack: Ack): void {
    const group = this.#groups.get(ack.group)
    if (group === undefined) return
    group.acked = ack
    group.attempt = 0
    this.#progressMs = this.#effects.monotonicMs()
    const dot = ack.sequence === 0 ? undefined : this.#dot(ack.replica, ack.sequence)
    const saved = new Set<ClientDocument>()
    for (const item of this.#outbox.acked(ack.counter, (name) => this.#groupOf(name) === ack.group)) {
      const document = this.#documents.get(item.document)
      if (document === undefined) continue
      document.attempt = 0
      saved.add(document)
      this.#changed.add(document)
      if (ack.replicated) this.#forget(document, item)
      else {
        this.#outbox.remove(item, 'kept')
        item.dot = dot
        document.keptCount++
        this.#mark(document, item, { kind: 'kept', dot })
      }
    }
    if (dot === undefined) return
    // Own writes are part of what this client has seen, in the stream or not (SES5, read your writes).
    this.#seenDot(group.id, ack.group, dot)
    if (!ack.inStream) return
    // Only cursors of documents that wrote: the others got their entries up to this dot as updates.
    for (const document of saved) {
      if (document.link.kind !== 'current') continue
      const arrival: Arrival = { kind: 'dot', document, dot }
      if (document.batch === undefined) this.#take([arrival])
      else document.batch.held.push(arrival)
    }
  }

  #replicated(handle: number, version: Version): void {
    const group = this.#groups.get(handle)
    if (group === undefined) return
    for (const document of this.#documents.values()) {
      if (document.keptCount === 0 || document.group !== group.id) continue
      for (const item of document.items.values()) {
        if (item.state !== 'kept' || (item.dot !== undefined && !includes(version, item.dot.replica, item.dot.sequence))) continue
        this.#forget(document, item)
      }
    }
  }

  #refused(frame: Refused): void {
    // The denial, erase or redirect that took the channel away said what becomes of the push, or the client detached.
    if (frame.code === 'NOT_ATTACHED') return
    // A commit that failed names no channel, so the item goes by its counter, which no other has.
    const item = this.#outbox.find(frame.counter)
    const document = item === undefined ? this.#byChannel.get(frame.channel) : this.#documents.get(item.document)
    const handle = document?.attachment?.group ?? this.#channelGroups.get(frame.channel)
    const group = handle === undefined ? undefined : this.#groups.get(handle)
    this.#progressMs = this.#effects.monotonicMs()
    // A refusal of what was withdrawn, of a group that cannot be told: every group goes on with new counters, which does no harm.
    for (const live of group === undefined ? this.#groups.values() : [group]) live.stopped = true
    // What went out before its document's group was known may be of this one.
    const inGroup = (name: DocumentName): boolean => {
      const other = this.#groupOf(name)
      return group === undefined || other === undefined || other === handle
    }
    this.#outbox.dropped(frame.counter, inGroup)
    if (document === undefined) return
    this.#changed.add(document)
    const waitMs = (attempt: number): number => {
      return this.#effects.monotonicMs() + backoffMs(attempt, frame.retryAfterMs, this.#effects.random, refusalBackoff)
    }
    switch (frame.code) {
      case 'ERASED':
        return this.#detachNow(document, () => this.#erase(document, document.life))
      case 'PREMATURE':
        return this.#premature(document, item, waitMs)
      case 'DOCUMENT_DAMAGED':
      case 'NOT_PLACED_HERE':
        this.#block(document, waitMs(document.attempt++))
        return
      default:
        if (retryOf(frame.code) === 'never') {
          if (item !== undefined) this.#setAside(document, item, frame.code)
        } else if (group !== undefined) group.blockedUntilMs = waitMs(group.attempt++)
        else this.#block(document, waitMs(document.attempt++))
    }
  }

  /** The region lacks what the push builds on: it gets the whole local state instead (SES2). */
  #premature(document: ClientDocument, item: OutboxItem | undefined, waitMs: (attempt: number) => number): void {
    const aside = [...document.items.values()].find((other) => other.state === 'refused')
    // What is missing was refused for good, and so would be a state that holds it.
    if (aside !== undefined) {
      document.halted = aside.code
      return
    }
    // A whole state that is premature itself lacks something here as well; what is missing may come by another way.
    if (item === undefined || document.attempt > 0) this.#block(document, waitMs(document.attempt))
    document.attempt++
    this.#need(document, 'premature')
  }

  #replacePremature(document: ClientDocument, state: Uint8Array): void {
    let first: OutboxItem | undefined
    for (const item of document.items.values()) {
      if (item.state !== 'waiting') continue
      if (first === undefined) first = item
      else this.#forget(document, item)
    }
    if (first === undefined) return
    this.#outbox.renew(first)
    first.payload = state
    this.#journal.rewrite(document, first)
  }

  /** SES5: what this device holds and the region does not, goes to the region; only then does the cursor follow. */
  #rescue(document: ClientDocument, state: Uint8Array): void {
    const { rescue, attachment, group } = document
    if (rescue === undefined || attachment === undefined || group === undefined) return
    document.rescue = undefined
    const held = [...rescue.received]
    for (const item of document.items.values()) {
      if (item.state === 'kept' && (item.dot === undefined || !includes(rescue.version, item.dot.replica, item.dot.sequence)))
        this.#requeue(document, item)
      held.push(item.payload)
    }
    const lacking = difference(state, held)
    if (lacking !== undefined) this.#enqueue(document, lacking)
    document.cursor = rescue.version
    this.#journal.headChanged(document)
    // Cut down to what this region has shown to hold.
    const token = this.#journal.replaceToken(group, this.#groups.get(attachment.group)?.held ?? rescue.version)
    this.#out.push(encodeClientFrame({ type: 'seen', channel: attachment.channel, seen: token }))
    this.#changed.add(document)
  }

  #block(document: ClientDocument, untilMs: number): void {
    document.blockedUntilMs = untilMs
    this.#waiters.add(document)
  }

  #need(document: ClientDocument, what: 'rescue' | 'premature'): void {
    const asked = document.needs !== 'nothing'
    if (document.needs !== 'rescue') document.needs = what
    if (!asked) this.#effects.readState(document.name)
  }

  #denied(channel: number, code: ErrorCode, retryAfterMs: number): void {
    this.#detached(channel, (document) => {
      const retry = retryOf(code)
      if (retry === 'never') document.link = { kind: 'refused', code }
      else {
        const untilMs =
          this.#effects.monotonicMs() + backoffMs(document.attempt++, retryAfterMs, this.#effects.random, refusalBackoff)
        document.link = { kind: 'waiting', code, untilMs }
        this.#waiters.add(document)
      }
    })
  }

  #detached(channel: number, then: (document: ClientDocument) => void): void {
    const document = this.#byChannel.get(channel)
    if (document !== undefined) this.#detachNow(document, then)
  }

  /** Off the connection, by the node or by us; the rest of its batch goes on without it. */
  #detachNow(document: ClientDocument, then: (document: ClientDocument) => void): void {
    const { batch, channel, attachment } = document
    if (channel !== undefined) this.#byChannel.delete(channel)
    if (attachment !== undefined) this.#byHandle.delete(attachment.handle)
    this.#outbox.withdraw(document.name)
    document.rescue = undefined
    if (document.needs === 'rescue') document.needs = 'nothing'
    document.link = { kind: 'detached' }
    document.batch = undefined
    if (batch !== undefined) {
      batch.pending.delete(document)
      batch.held = batch.held.filter((arrival) => arrival.document !== document)
      const [other] = [...this.#documents.values()].filter((one) => one.batch === batch)
      if (other !== undefined) this.#release(other)
    }
    then(document)
    this.#changed.add(document)
  }

  /** RES7: the copy goes, and with it whatever was not pushed. */
  #erase(document: ClientDocument, life: number): void {
    for (const item of document.items.values()) this.#outbox.remove(item, 'refused')
    document.items.clear()
    document.keptCount = 0
    document.refusedCount = 0
    document.heldCount = 0
    document.edits = []
    document.log.clear()
    document.snapshots.clear()
    document.logBytes = 0
    document.snapshotBytes = 0
    document.halted = undefined
    document.cursor = mutableVersion()
    document.link = { kind: 'erased', life }
    this.#journal.erase(document)
    this.#effects.erased(document.name)
  }

  // The outbox.

  #takeEdits(): void {
    for (const document of this.#changed) {
      if (document.edits.length === 0) continue
      const { edits } = document
      document.edits = []
      for (const update of coalesce(edits)) this.#enqueue(document, update)
    }
  }

  #enqueue(document: ClientDocument, payload: Uint8Array): void {
    const record = this.#journal.nextName()
    const item = this.#outbox.create(document.name, record.number, record, payload)
    document.items.set(item.age, item)
    this.#journal.log(document, record, payload)
    this.#journal.mark(document, item, unsaved)
    this.#effects.made(document.name, record, payload)
    this.#changed.add(document)
    if (document.halted !== undefined) this.#setAside(document, item, document.halted)
    else if (document.attachment?.access === 'read') this.#setAside(document, item, 'WRITE_DENIED')
    else this.#outbox.add(item)
  }

  #found(document: ClientDocument, { name, mark, payload }: StoredEdit): void {
    const text = ageText(document.name, name)
    const age = this.#ages.get(text) ?? this.#journal.nextName().number
    this.#ages.delete(text)
    const item = this.#outbox.create(document.name, age, name, payload)
    document.items.set(age, item)
    if (mark.kind !== 'kept') return this.#outbox.add(item)
    item.state = 'kept'
    item.dot = mark.dot
    document.keptCount++
  }

  #mark(document: ClientDocument, item: OutboxItem, mark: Mark | undefined): void {
    if (mark === undefined) this.#journal.unmark(document, item)
    else this.#journal.mark(document, item, mark)
    this.#effects.marked(document.name, item.record, mark)
  }

  #forget(document: ClientDocument, item: OutboxItem): void {
    if (item.state === 'kept') document.keptCount--
    if (item.state === 'refused') document.refusedCount--
    if (item.isHeld) document.heldCount--
    this.#outbox.remove(item, 'kept')
    document.items.delete(item.age)
    this.#mark(document, item, undefined)
    this.#changed.add(document)
  }

  #setAside(document: ClientDocument, item: OutboxItem, code: ErrorCode): void {
    if (item.state === 'refused') return
    if (item.state === 'kept') document.keptCount--
    this.#outbox.remove(item, 'refused')
    item.code = code
    document.refusedCount++
    this.#mark(document, item, { kind: 'refused', code })
    this.#changed.add(document)
  }

  #refuseAll(document: ClientDocument, code: ErrorCode): void {
    for (const item of document.items.values())
      if (item.state === 'waiting' || item.state === 'sent') this.#setAside(document, item, code)
  }

  #requeue(document: ClientDocument, item: OutboxItem): void {
    if (item.state === 'kept') document.keptCount--
    if (item.state === 'refused') document.refusedCount--
    this.#outbox.add(item)
    this.#mark(document, item, unsaved)
    this.#changed.add(document)
  }

  #groupOf(name: DocumentName): number | undefined {
    return this.#documents.get(name)?.attachment?.group
  }

  // The end of a turn.

  #settle(): void {
    const nowMs = this.#effects.monotonicMs()
    const dueMs = earliest(this.#retry(nowMs), this.#watch(nowMs))
    this.#pump(nowMs)
    for (const document of this.#changed) this.#tidy(document)
    const batch = this.#journal.take()
    if (batch.length > 0) this.#effects.write(batch)
    this.#sendOut()
    this.#effects.wakeAt(earliest(this.#connection.dueMs, dueMs))
    const changed = [...this.#changed]
    // Edits of a turn that is not over yet keep their document marked.
    this.#changed.clear()
    for (const document of changed) if (document.edits.length > 0) this.#changed.add(document)
    if (this.#status !== this.connectionStatus) {
      this.#status = this.connectionStatus
      this.#effects.connectionChanged()
    }
    for (const document of changed) this.#effects.documentChanged(document.name)
  }

  /** Ends waits that are over, and says when the next one is. */
  #retry(nowMs: number): number | undefined {
    let dueMs: number | undefined
    for (const group of this.#groups.values()) {
      if (group.blockedUntilMs !== undefined && group.blockedUntilMs <= nowMs) group.blockedUntilMs = undefined
      dueMs = earliest(dueMs, group.blockedUntilMs)
    }
    for (const document of [...this.#waiters]) {
      if (document.blockedUntilMs !== undefined && document.blockedUntilMs <= nowMs) document.blockedUntilMs = undefined
      if (document.link.kind === 'waiting' && document.link.untilMs <= nowMs) {
        document.link = { kind: 'detached' }
        this.#changed.add(document)
        this.#attachLoaded([document])
      }
      const untilMs = document.link.kind === 'waiting' ? document.link.untilMs : undefined
      if (document.blockedUntilMs === undefined && untilMs === undefined) this.#waiters.delete(document)
      dueMs = earliest(dueMs, earliest(document.blockedUntilMs, untilMs))
    }
    return dueMs
  }

  /** A node that neither saves nor refuses is as good as gone: another connection may find it better, and costs no edit. */
  #watch(nowMs: number): number | undefined {
    if (this.#connection.phase !== 'online' || !this.#outbox.isWaiting) {
      this.#progressMs = nowMs
      return undefined
    }
    const dueMs = this.#progressMs + ackTimeoutMs
    if (nowMs < dueMs) return dueMs
    this.#connection.receive({ type: 'lost', socket: this.#connection.socket, code: 'TIMEOUT' })
    return undefined
  }

  #pump(nowMs: number): void {
    const { phase } = this.#connection
    if (phase !== 'online' && phase !== 'greeting') return
    const windowBytes = this.#welcome?.unackedBytesMax ?? greetingBytesMax / 2
    const tooLarge: OutboxItem[] = []
    const anyStopped = [...this.#groups.values()].some((group) => group.stopped)
    this.#outbox.pump(
      windowBytes,
      (item) => {
        const document = this.#documents.get(item.document)
        if (document?.channel === undefined || document.needs !== 'nothing' || document.halted !== undefined) return 'pass'
        if (document.heldCount > 0) return 'pass'
        if (document.blockedUntilMs !== undefined && document.blockedUntilMs > nowMs) return 'pass'
        const group = document.attachment === undefined ? undefined : this.#groups.get(document.attachment.group)
        // Behind an attach pushes go blindly, but not into what may be a group that drops them.
        if (group === undefined && anyStopped) return 'pass'
        if (group?.blockedUntilMs !== undefined && group.blockedUntilMs > nowMs) return 'pass'
        // Before the welcome only what surely fits.
        if (this.#welcome === undefined) return item.payload.length <= windowBytes ? 'send' : 'stop'
        if (item.payload.length <= this.#welcome.updateBytesMax) return 'send'
        tooLarge.push(item)
        return 'pass'
      },
      (item) => this.#push(item),
    )
    for (const item of tooLarge) {
      const document = this.#documents.get(item.document)
      if (document !== undefined) this.#setAside(document, item, 'UPDATE_TOO_LARGE')
    }
  }

  /** [hot] */
  #push(item: OutboxItem): void {
    const document = this.#documents.get(item.document)
    const channel = document?.channel
    if (channel === undefined) return
    const group = document?.attachment === undefined ? undefined : this.#groups.get(document.attachment.group)
    if (group?.stopped === true) {
      group.stopped = false
      this.#out.push(encodeClientFrame({ type: 'resume', channel, counter: item.counter }))
    }
    this.#out.push(encodePush(channel, item.counter, item.payload))
  }

  /** Compacts what has grown, and lets go of what nobody needs. */
  #tidy(document: ClientDocument): void {
    if (document.link.kind === 'loading' || document.edits.length > 0) return
    if (document.halted !== undefined) this.#refuseAll(document, document.halted)
    if (this.leads && document.rescue === undefined) {
      this.#journal.compact(document, this.#options.compactCount ?? compactCountDefault, () =>
        this.#effects.snapshot(document.name),
      )
    }
    if (document.open || document.isBusy) return
    if (document.channel !== undefined) {
      const { channel } = document
      this.#detachNow(document, () => {
        this.#out.push(encodeClientFrame({ type: 'detach', channel }))
      })
    }
    this.#waiters.delete(document)
    // Another one may be open under its name by now.
    if (this.#documents.get(document.name) === document) this.#documents.delete(document.name)
  }

  #sendOut(): void {
    const { phase } = this.#connection
    const messages =
      phase === 'online' && this.#welcome !== undefined
        ? this.#out.take(this.#welcome.messageBytesMax)
        : phase === 'greeting'
          ? this.#out.takeGreeting()
          : []
    for (const message of messages) this.#effects.send(message)
  }
}

const unsaved: Mark = { kind: 'unsaved' }
const connecting: ConnectionStatus = { kind: 'connecting' }

const ageText = (document: DocumentName, record: RecordName): string => `${document} ${recordText(record)}`

const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)
