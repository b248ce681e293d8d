/**
 * What an app holds: a store of documents, and handles of those that it has open. It joins the sync machine, the live documents and the
 * device's store; everything that touches the world is handed in.
 *
 * - CLI1 Opening, reading and editing never wait for the network, and nothing throws for it.
 * - CLI2 `saved()` resolves when a region has made the edits durable.
 */

import type { Clock, Random } from '@meridian/core/effects'
import { MeridianError, toMeridianError, unreachable } from '@meridian/core/errors'
import type { DeviceId, DocumentName, TenantId } from '@meridian/core/ids'
import { documentParts, parseDevice, parseDocument, parseTenant } from '@meridian/core/ids'
import type * as Y from 'yjs'
import type { ConnectionTimes } from './connection.js'
import { LiveDocument } from './live.js'
import { locate } from './locate.js'
import type { Presence } from './presence.js'
import { DocumentPresence } from './presence.js'
import type { RecordName, StoredDocument } from './records.js'
import * as records from './records.js'
import type { DocumentStatus, StoreStatus } from './status.js'
import { StorageWatch } from './storage-watch.js'
import type { ClientStore, StoreOperation } from './store.js'
import { Sync } from './sync.js'
import type { OpenTabPort, TabMessage } from './tabs.js'
import { Tabs } from './tabs.js'
import type { TabsEffects } from './tabs.js'
import { readClaims } from './token.js'
import { failing, Writer } from './writer.js'
import { stateOf } from './yjs.js'

/** The part of an `AbortSignal` that is needed here. */
export interface Signal {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export interface WaitOptions {
  /** Ends the wait, not what is waited for. */
  readonly signal?: Signal | undefined
}

export type Listener = () => void

/** A token, or whoever can get one: asked at each connect and before the last one ends. */
export type TokenSource = string | ((options: { readonly signal: Signal | undefined }) => string | Promise<string>)

/** Where the local copy came from, when a handle is ready. */
export type Origin =
  /** The device had it. */
  | 'device'
  /** The device had nothing; a region has answered. */
  | 'region'
  /** Neither the device nor a region had anything to say yet: the document begins empty here and is merged later. */
  | 'nowhere'

export interface Handle {
  /** `collection/key`. */
  readonly name: string
  /**
   * Plain Yjs, usable at once. All handles of a document in one store share it. An update that is applied to it before what it builds on
   * is an edit when that has come, and not before.
   */
  readonly ydoc: Y.Doc
  /**
   * Resolves when there is something to show: the copy of this device or, if it has none, the region's answer, or the failure of
   * the first attempt to reach one. Rejects if the document is refused and nothing of it is on the device, or when it is closed first.
   */
  readonly ready: Promise<Origin>
  /** Who else has it open, and what this client shows of itself. All handles of a document in one store share it. */
  readonly presence: Presence
  /** Edits that no region has saved yet, in pushes. */
  readonly pending: number
  readonly status: DocumentStatus
  /** Called after each change of status or pending; the answer ends it. */
  subscribe(listener: Listener): () => void
  /** Resolves when a region has made all edits so far durable. Rejects if one is refused for good, or when the handle is closed. */
  saved(options?: WaitOptions): Promise<void>
  /** Resolves when all edits so far are durable on this device. Rejects with STORE_FULL or STORE_FAILED if they are not, for now. */
  stored(options?: WaitOptions): Promise<void>
  /** What is not saved is pushed on. The `Y.Doc` is destroyed with its last handle. */
  close(): Promise<void>
}

export interface Store {
  readonly tenant: string
  readonly status: StoreStatus
  /** Edits that no region has saved yet, over all documents. */
  readonly pending: number
  subscribe(listener: Listener): () => void
  /** `collection/key`. @throws MeridianError NAME_INVALID, CLOSED */
  open(name: string): Handle
  /** Goes on with this token, or asks the provider for a new one. */
  refreshToken(token?: string): void
  /** Tries now what was refused or waits. */
  reconnect(): void
  /** Finds out now whether the node still answers: for a device that woke up or changed its network. */
  probe(): void
  /** What is not saved stays on the device for the next opening. */
  close(): Promise<void>
  /** Pushes nothing more, deletes everything of this store from the device, what is not saved included, and closes, in all tabs. */
  signOut(): Promise<void>
}

export interface SocketEvents {
  opened(): void
  message(bytes: Uint8Array): void
  lost(): void
}

export interface ClientSocket {
  send(message: Uint8Array): void
  close(): void
}

export interface ClientWorld {
  readonly clock: Clock
  readonly random: Random
  monotonicMs(): number
  /** Runs when the current synchronous work is over. */
  defer(run: () => void): void
  /** Calls back once; the answer calls it off. */
  after(ms: number, run: () => void): () => void
  /** Answers later, never before it returns; after `lost` no more. */
  dial(url: string, events: SocketEvents): ClientSocket
  /** An exception of somebody's listener or observer, or of ours. */
  report(thrown: unknown): void
}

export interface ClientOptions {
  /** `http(s)://host:port` of a node. */
  readonly url: string
  /** Default: none, for a node in development mode. */
  readonly token?: TokenSource | undefined
  readonly storage: ClientStore
  /** Default: the token's `tenant` claim, and `dev` without a token. A token function needs it. */
  readonly tenant?: string | undefined
  /** Told of every error that has no promise of its own. Default: none for operating errors, which stand in a status; others are thrown. */
  readonly onError?: ((error: MeridianError) => void) | undefined
  readonly times?: ConnectionTimes | undefined
  /** Log records of an open document after which they are folded into one snapshot, if that is worth it. Default 500. */
  readonly compactCount?: number | undefined
  /** How this tab reaches the others of its browser that have the same store; without it every tab has a connection of its own. */
  readonly tabs?: OpenTabPort | undefined
  /** False: no connection before `reconnect()`. Default true. */
  readonly autoConnect?: boolean | undefined
}

type EditMessage = Extract<TabMessage, { type: 'edit' }>
type MarkMessage = Extract<TabMessage, { type: 'marked' }>

interface Waiter {
  /** Undefined until the local records are read: they may hold edits that were never saved. */
  age: number | undefined
  readonly handle: DocumentHandle
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** One document of which there are handles, or that is being loaded to be pushed. */
interface Slot {
  readonly name: DocumentName
  live: LiveDocument | undefined
  presence: DocumentPresence | undefined
  /** Updates for a live copy whose local records are not in it yet. */
  early: Uint8Array[]
  /** Edits of other tabs, and what became of them, that came before that. */
  edits: (EditMessage | MarkMessage)[]
  readonly handles: Set<DocumentHandle>
  waiters: Waiter[]
  origin: Origin | undefined
  ready: Later
  /** The status until the local records are in the live copy; the same object until something changes. */
  loading: DocumentStatus | undefined
}

interface Later {
  readonly promise: Promise<Origin>
  resolve(origin: Origin): void
  reject(error: MeridianError): void
}

export class Client implements Store {
  readonly tenant: string
  readonly #tenant: TenantId
  readonly #options: ClientOptions
  readonly #world: ClientWorld
  readonly #storage: ClientStore
  readonly #writer: Writer
  readonly #watch: StorageWatch
  readonly #slots = new Map<DocumentName, Slot>()
  readonly #listeners = new Set<Listener>()
  readonly #opening: string
  readonly #tabs: Tabs | undefined
  #sync: Sync
  #source: TokenSource
  #socket: ClientSocket | undefined
  #wake: { readonly atMs: number; readonly cancel: () => void } | undefined
  /** Call off reads of the store that are to be tried again. */
  readonly #retries = new Set<() => void>()
  #status: StoreStatus
  #isTelling = false
  /** What closing leaves on the device. `dropped`: another tab wipes it, and nothing is to be written there any more. */
  #leaves: 'everything' | 'nothing' | 'dropped' = 'everything'
  #isClosed = false
  #closed: Promise<void> | undefined
  /** The device's store has been looked through. */
  readonly #opened: Promise<void>

  /** @throws MeridianError CONFIG_INVALID, NAME_INVALID for what no try will mend; never for the network or the device. */
  constructor(world: ClientWorld, options: ClientOptions) {
    this.#world = world
    this.#options = options
    this.#storage = options.storage
    this.#source = options.token ?? ''
    this.#tenant = tenantOf(options)
    this.tenant = this.#tenant
    locate({ url: options.url, redirects: [] })
    this.#opening = randomOpening(world)
    this.#writer = new Writer(options.storage, {
      random: world.random,
      monotonicMs: () => world.monotonicMs(),
      after: (ms, run) => world.after(ms, run),
      storageChanged: (status) => this.#watch.found(status),
    })
    this.#watch = new StorageWatch(options.storage, this.#writer, {
      random: world.random,
      after: (ms, run) => world.after(ms, run),
      statusChanged: () => this.#changed(),
      report: (error) => this.#report(error),
      signedOut: () => void this.#drop(),
      writeAnew: () => {
        this.#writer.write([putMeta])
        this.#sync.writeAnew()
        // A tab that has opened one since has read a store without it.
        for (const document of this.#tabs?.wanted() ?? []) this.#showCopy(document)
        if (!this.#sync.leads) this.#tellUnsaved()
      },
      // Nothing stands there.
      writeProbe: () => this.#writer.write([{ kind: 'delete', key: ['probe'] }]),
    })
    this.#sync = new Sync(
      {
        clock: world.clock,
        monotonicMs: () => world.monotonicMs(),
        random: world.random,
        defer: () => world.defer(() => this.#sync.flush()),
        wakeAt: (atMs) => this.#wakeAt(atMs),
        requestToken: () => this.#requestToken(),
        dial: (socket) => this.#dial(socket),
        hangUp: () => {
          this.#socket?.close()
          this.#socket = undefined
        },
        send: (message) => this.#socket?.send(message),
        write: (batch) => this.#write(batch),
        apply: (document, updates) => {
          this.#apply(document, updates)
          if (this.#tabs?.isWanted(document) === true)
            this.#post({ type: 'show', tab: this.#opening, document, updates: updates.map(copy) })
        },
        snapshot: (document) => this.#liveState(document),
        readState: (document) => this.#readState(document),
        erased: (document) => this.#erased(document),
        presence: (document, session, subject, update) => {
          this.#slots.get(document)?.presence?.received(session, subject, update)
          this.#post({ type: 'peers', tab: this.#opening, document, session, subject, update: copy(update) })
        },
        made: (document, record, payload) => {
          this.#storage.keep?.()
          this.#post({ type: 'edit', tab: this.#opening, document, record, payload, isOrphan: false })
        },
        marked: (document, record, mark) => {
          if (this.#sync.leads) this.#post({ type: 'marked', tab: this.#opening, document, record, mark })
        },
        documentChanged: (document) => this.#documentChanged(document),
        connectionChanged: () => this.#changed(),
      },
      {
        device: randomDevice(world.random),
        opening: this.#opening,
        leads: options.tabs === undefined,
        tokens: typeof this.#source === 'string' ? 'fixed' : 'provided',
        ...(options.times === undefined ? {} : { times: options.times }),
        ...(options.compactCount === undefined ? {} : { compactCount: options.compactCount }),
      },
    )
    this.#status = { connection: this.#sync.connectionStatus, storage: this.#watch.status }
    this.#opened = this.#open()
    this.#tabs = options.tabs === undefined ? undefined : this.#meet(options.tabs)
    this.#watch.begin()
  }

  get status(): StoreStatus {
    return this.#status
  }

  get pending(): number {
    return this.#sync.pending
  }

  subscribe(listener: Listener): () => void {
    return subscribe(this.#listeners, listener)
  }

  open(name: string): Handle {
    if (this.#isClosed) throw new MeridianError('CLOSED', { message: 'The store is closed.' })
    const document = parseDocument(`${this.#tenant}/${name}`)
    let slot = this.#slots.get(document)
    if (slot?.live === undefined) slot = this.#openSlot(document, slot)
    // Opened again before it was let go of, and before it was ready.
    else if (slot.handles.size === 0 && slot.origin === undefined) slot.ready = later()
    const { live, presence } = slot
    if (live === undefined || presence === undefined) throw new MeridianError('INTERNAL')
    const handle = new DocumentHandle(this, document, live.ydoc, presence, slot.ready.promise)
    slot.handles.add(handle)
    this.#sync.open(document, 'opened')
    return handle
  }

  refreshToken(token?: string): void {
    if (this.#isClosed) return
    if (token !== undefined && typeof this.#source === 'string') this.#source = token
    this.#post({ type: 'token', tab: this.#opening, token })
    this.#takeToken(token)
  }

  #takeToken(token: string | undefined): void {
    if (!this.#sync.leads) return
    if (token === undefined) this.#requestToken()
    else this.#sync.receive({ type: 'token', token })
  }

  reconnect(): void {
    if (!this.#sync.leads) {
      this.#tabs?.check()
      return this.#post({ type: 'ask', tab: this.#opening, what: 'reconnect' })
    }
    this.#sync.receive({ type: 'start' })
    this.#sync.receive({ type: 'reconnect' })
  }

  probe(): void {
    if (!this.#sync.leads) {
      this.#tabs?.check()
      return this.#post({ type: 'ask', tab: this.#opening, what: 'probe' })
    }
    this.#sync.receive({ type: 'probe' })
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  signOut(): Promise<void> {
    this.#post({ type: 'signOut', tab: this.#opening })
    return this.#wipe()
  }

  async #wipe(): Promise<void> {
    this.#leaves = 'nothing'
    await this.close()
  }

  /** The user signed out in another tab. It wipes, and if somebody has signed in there since, this one must not wipe what is theirs. */
  async #drop(): Promise<void> {
    if (this.#leaves === 'everything') this.#leaves = 'dropped'
    this.#writer.hold()
    await this.close()
  }

  // For handles.

  statusOf(document: DocumentName): DocumentStatus {
    if (this.#isClosed) return closedStatus
    const status = this.#sync.status(document) ?? closedStatus
    const slot = this.#slots.get(document)
    if (slot?.live === undefined || slot.live.isLoaded || status.kind === 'erased') return status
    // Sync may be further, if it pushes for a document that was closed: its copy shows nothing of that before it is loaded.
    if (slot.loading?.pending !== status.pending) slot.loading = { kind: 'loading', pending: status.pending }
    return slot.loading
  }

  async saved(handle: DocumentHandle, signal: Signal | undefined): Promise<void> {
    throwIfAborted(signal)
    const slot = this.#slotOf(handle)
    const age = slot.live?.isLoaded === true ? this.#sync.age : undefined
    const outcome = age === undefined ? 'pending' : this.#sync.outcome(slot.name, age)
    if (outcome === 'saved') return
    if (outcome !== 'pending') throw new MeridianError(outcome)
    await abortable(signal, (resolve, reject) => {
      const waiter: Waiter = { age, handle, resolve, reject }
      slot.waiters.push(waiter)
      return () => {
        slot.waiters = slot.waiters.filter((other) => other !== waiter)
      }
    })
  }

  async stored(handle: DocumentHandle, signal: Signal | undefined): Promise<void> {
    throwIfAborted(signal)
    this.#slotOf(handle)
    this.#sync.flush()
    await abortable(signal, (resolve, reject) => {
      this.#writer.drained().then(resolve, reject)
      return () => undefined
    })
  }

  async closeHandle(handle: DocumentHandle): Promise<void> {
    const slot = this.#slots.get(handle.document)
    if (slot === undefined || !slot.handles.delete(handle)) return
    const closed = new MeridianError('CLOSED', { message: 'The handle was closed.' })
    for (const waiter of slot.waiters.splice(0)) {
      if (waiter.handle === handle) waiter.reject(closed)
      else slot.waiters.push(waiter)
    }
    if (slot.handles.size > 0) return
    slot.ready.reject(closed)
    slot.presence?.end()
    this.#sync.flush()
    // Until its edits are on the device the copy in memory is the only one; whoever opens it again meanwhile gets that.
    const stored = await this.#writer.drained().then(
      () => true,
      () => false,
    )
    if (slot.handles.size > 0 || this.#slots.get(slot.name) !== slot || !stored) return
    this.#slots.delete(slot.name)
    this.#post({ type: 'closed', tab: this.#opening, document: slot.name })
    if (!this.#isWantedElsewhere(slot.name)) this.#sync.close(slot.name)
    slot.live?.destroy()
  }

  #slotOf(handle: DocumentHandle): Slot {
    const slot = this.#slots.get(handle.document)
    if (slot === undefined || !slot.handles.has(handle)) throw new MeridianError('CLOSED', { message: 'The handle is closed.' })
    return slot
  }

  // Opening and closing.

  async #open(): Promise<void> {
    try {
      const [meta] = await this.#storage.read(records.metaKey)
      if (meta === undefined || records.checkMeta(meta.value)) this.#writer.write([putMeta])
      this.#sync.tokensFound(records.readTokens(await this.#storage.read(records.tokenPrefix)))
      await this.#openOutbox()
    } catch (thrown) {
      this.#storeFailed(thrown)
    }
    if (this.#options.tabs === undefined) this.#start()
  }

  #start(): void {
    if (!this.#isClosed && this.#options.autoConnect !== false) this.#sync.receive({ type: 'start' })
  }

  /** Edits of earlier openings are pushed, whether or not somebody opens their documents. */
  async #openOutbox(): Promise<void> {
    const marks = await this.#storage.read(records.outboxPrefix)
    for (const { document, record } of records.inOrder(marks)) this.#sync.outboxFound(document, record)
    for (const document of records.markedDocuments(marks)) {
      if (this.#isClosed) return
      if (this.#slots.has(document) || this.#sync.isKnown(document)) continue
      this.#sync.open(document, 'push only')
      this.#sync.loaded(document, await this.#read(document))
    }
  }

  #openSlot(document: DocumentName, found: Slot | undefined): Slot {
    const slot: Slot = found ?? {
      name: document,
      live: undefined,
      presence: undefined,
      early: [],
      edits: [],
      handles: new Set(),
      waiters: [],
      origin: undefined,
      ready: later(),
      loading: undefined,
    }
    const report = (thrown: unknown): void => this.#report(thrown)
    slot.live = new LiveDocument(this.#world.random, (update) => this.#sync.edit(document, update), report)
    slot.presence = this.#newPresence(document, slot.live)
    this.#slots.set(document, slot)
    void this.#load(slot, slot.live)
    return slot
  }

  #newPresence(document: DocumentName, live: LiveDocument): DocumentPresence {
    return new DocumentPresence(live.ydoc.clientID, {
      monotonicMs: () => this.#world.monotonicMs(),
      after: (ms, run) => this.#world.after(ms, run),
      share: (entries) => this.#post({ type: 'presence', tab: this.#opening, document, entries }),
      send: (update) => {
        if (this.#sync.leads) this.#sync.present(document, update)
      },
      subject: () => {
        const { connection } = this.#status
        return connection.kind === 'online' ? connection.subject : ''
      },
      tell: (listeners) => this.tell(listeners),
    })
  }

  async #load(slot: Slot, live: LiveDocument): Promise<void> {
    // What stands in the outbox from earlier openings gets its place in the order first.
    await this.#opened
    await this.#tabs?.opened(slot.name)
    let stored = records.noDocument
    try {
      await this.#writer.drained().catch(() => undefined)
      stored = await this.#read(slot.name)
    } catch (thrown) {
      this.#storeFailed(thrown)
    }
    if (slot.live !== live || this.#isClosed) return
    // Edits of other tabs that were heard of before somebody opened it here may not be on the device yet.
    live.apply([...records.updatesOf(stored), ...this.#sync.payloads(slot.name), ...slot.early])
    slot.early = []
    live.isLoaded = true
    if (this.#sync.isFound(slot.name, stored)) this.#ready(slot, 'device')
    this.#sync.loaded(slot.name, stored)
    for (const message of slot.edits.splice(0)) this.#heard(message)
    // Read before the leader wrote what became of them, and loaded after it had said so.
    const found = stored.marks.map(({ name }) => name)
    if (found.length > 0 && !this.#sync.leads)
      this.#post({ type: 'found', tab: this.#opening, document: slot.name, records: found })
    this.#judgeReady(slot)
    const { age } = this.#sync
    for (const waiter of slot.waiters) waiter.age ??= age
    this.#judgeWaiters(slot)
    for (const handle of slot.handles) handle.changed()
  }

  /** What was not on the device yet when the document was loaded. */
  async #readAgain(document: DocumentName): Promise<void> {
    try {
      this.#apply(document, records.updatesOf(await this.#read(document)))
    } catch (thrown) {
      this.#storeFailed(thrown)
    }
  }

  async #read(document: DocumentName): Promise<StoredDocument> {
    const [found, marks] = await Promise.all([
      this.#storage.read(records.documentPrefix(document)),
      this.#storage.read(records.outboxDocumentPrefix(document)),
    ])
    return records.readDocument(found, marks)
  }

  async #close(): Promise<void> {
    this.#isClosed = true
    if (this.#leaves === 'everything') {
      this.#sync.flush()
      if (this.#watch.isLost) await this.#watch.settle()
    }
    this.#watch.end()
    this.#sync.receive({ type: 'close' })
    this.#wakeAt(undefined)
    for (const cancel of this.#retries) cancel()
    const closed = new MeridianError('CLOSED', { message: 'The store was closed.' })
    for (const slot of this.#slots.values()) {
      for (const waiter of slot.waiters.splice(0)) waiter.reject(closed)
      slot.ready.reject(closed)
      for (const handle of slot.handles) handle.changed()
      slot.handles.clear()
      slot.presence?.end()
      slot.live?.destroy()
    }
    this.#slots.clear()
    await this.#opened
    if (this.#leaves === 'nothing') this.#writer.write([{ kind: 'clear', prefix: [] }])
    await this.#writer.close()
    this.#tabs?.close()
    // Another tab may have wiped it already.
    if (this.#leaves === 'nothing') await this.#storage.wipe?.().catch(() => undefined)
    await this.#storage.close()
  }

  // Effects of the sync machine.

  #wakeAt(atMs: number | undefined): void {
    if (this.#wake?.atMs === atMs) return
    this.#wake?.cancel()
    this.#wake = undefined
    if (atMs === undefined || this.#isClosed) return
    const cancel = this.#world.after(Math.max(0, atMs - this.#world.monotonicMs()), () => {
      this.#wake = undefined
      this.#sync.receive({ type: 'time' })
    })
    this.#wake = { atMs, cancel }
  }

  #requestToken(): void {
    const source = this.#source
    if (typeof source === 'string') {
      this.#world.defer(() => this.#sync.receive({ type: 'token', token: source }))
      return
    }
    void this.#askForToken(source)
  }

  async #askForToken(source: Exclude<TokenSource, string>): Promise<void> {
    try {
      const token = await source({ signal: undefined })
      this.#sync.receive({ type: 'token', token })
    } catch (thrown) {
      const error =
        thrown instanceof MeridianError ? thrown : new MeridianError('TOKEN_INVALID', { retry: 'backoff', cause: thrown })
      this.#report(error)
      this.#sync.receive({ type: 'tokenFailed', error })
    }
  }

  #dial(socket: number): void {
    const url = locate({ url: this.#options.url, redirects: this.#sync.redirects })
    this.#socket = this.#world.dial(url, {
      opened: () => this.#sync.receive({ type: 'opened', socket }),
      message: (bytes) => this.#sync.message(socket, bytes),
      lost: () => this.#sync.receive({ type: 'lost', socket, code: 'TIMEOUT' }),
    })
  }

  #apply(document: DocumentName, updates: readonly Uint8Array[]): void {
    const slot = this.#slots.get(document)
    if (slot?.live === undefined) return
    if (slot.live.isLoaded) slot.live.apply(updates)
    else slot.early.push(...updates)
  }

  #liveState(document: DocumentName): Uint8Array | undefined {
    const live = this.#slots.get(document)?.live
    return live?.isLoaded === true ? live.state() : undefined
  }

  #readState(document: DocumentName): void {
    this.#world.defer(() => {
      const live = this.#slots.get(document)?.live
      if (live?.isLoaded === true) this.#sync.stateRead(document, live.shown())
      else void this.#readStoredState(document)
    })
  }

  async #readStoredState(document: DocumentName): Promise<void> {
    try {
      await this.#writer.drained()
      this.#sync.stateRead(document, stateOf(records.updatesOf(await this.#read(document))))
    } catch (thrown) {
      // A store that was closed meanwhile has nothing more to read, and its process may end.
      if (this.#isClosed) return
      this.#storeFailed(thrown)
      const cancel = this.#world.after(storeRetryMs, () => {
        this.#retries.delete(cancel)
        this.#readState(document)
      })
      this.#retries.add(cancel)
    }
  }

  #erased(document: DocumentName): void {
    if (this.#sync.leads) this.#post({ type: 'erased', tab: this.#opening, document })
    const slot = this.#slots.get(document)
    if (slot !== undefined) slot.early = []
  }

  #documentChanged(document: DocumentName): void {
    if (this.#tabs !== undefined && this.#sync.leads && this.#tabs.isWanted(document)) this.#tellStatus(document)
    const slot = this.#slots.get(document)
    if (slot === undefined) return
    if (slot.waiters.length > 0) this.#judgeWaiters(slot)
    this.#judgeReady(slot)
    for (const handle of slot.handles) handle.changed()
  }

  #judgeWaiters(slot: Slot): void {
    const left: Waiter[] = []
    const waiters = slot.waiters
    slot.waiters = left
    for (const waiter of waiters) {
      const outcome = waiter.age === undefined ? 'pending' : this.#sync.outcome(slot.name, waiter.age)
      if (outcome === 'saved') waiter.resolve()
      else if (outcome === 'pending') left.push(waiter)
      else waiter.reject(new MeridianError(outcome))
    }
  }

  #judgeReady(slot: Slot): void {
    if (slot.origin !== undefined || slot.live?.isLoaded !== true) return
    const status = this.#sync.status(slot.name)
    if (status === undefined) return
    if (status.kind === 'current') this.#ready(slot, 'region')
    else if (status.kind === 'refused') slot.ready.reject(new MeridianError(status.code))
    else if (status.kind === 'erased') slot.ready.reject(new MeridianError('ERASED'))
    else {
      const { kind } = this.#sync.connectionStatus
      if (
        status.kind === 'waiting' ||
        status.kind === 'redirected' ||
        kind === 'idle' ||
        kind === 'waiting' ||
        kind === 'refused'
      )
        this.#ready(slot, 'nowhere')
    }
  }

  #ready(slot: Slot, origin: Origin): void {
    slot.origin = origin
    slot.ready.resolve(origin)
  }

  // Other tabs.

  #post(message: TabMessage): void {
    this.#tabs?.post(message)
  }

  #meet(open: OpenTabPort): Tabs {
    return new Tabs(this.#opening, open, {
      after: (ms, run) => this.#world.after(ms, run),
      connection: () => this.#sync.connectionStatus,
      promoted: (isAlone) => void this.#lead(isAlone),
      demoted: () => this.#sync.follow(),
      led: () => this.#introduce(),
      interest: (document, isWanted) => this.#interest(document, isWanted),
      gone: (tab) => {
        this.#sync.released(tab, Number.POSITIVE_INFINITY, false)
        if (!this.#sync.leads) this.#tellUnsaved()
        for (const slot of this.#slots.values()) slot.presence?.left(tab)
      },
      flushedLate: (document) => void this.#readAgain(document),
      heard: (message) => this.#heard(message),
    })
  }

  /** The device is read again: what its last leader wrote, and what tabs that are gone left behind, is this one's now. */
  async #lead(isAlone: boolean): Promise<void> {
    await this.#opened
    if (!isAlone) {
      await this.#writer.drained().catch(() => undefined)
      try {
        this.#sync.tokensFound(records.readTokens(await this.#storage.read(records.tokenPrefix)))
        for (const slot of [...this.#slots.values()]) {
          if (slot.live?.isLoaded !== true) continue
          const stored = await this.#read(slot.name)
          slot.live.apply(records.updatesOf(stored))
          this.#sync.loaded(slot.name, stored)
        }
        await this.#openOutbox()
      } catch (thrown) {
        this.#storeFailed(thrown)
      }
    }
    if (this.#isClosed || this.#tabs?.isLeading !== true) return
    this.#sync.lead()
    for (const slot of this.#slots.values()) slot.presence?.again()
    this.#tabs.announce()
    this.#start()
    for (const document of this.#tabs.wanted()) this.#interest(document, true)
  }

  #interest(document: DocumentName, isWanted: boolean): void {
    if (!this.#sync.leads) return
    if (!isWanted) {
      if (!this.#slots.has(document)) this.#sync.close(document)
      return
    }
    const isKnown = this.#sync.isKnown(document)
    this.#sync.open(document, 'opened')
    if (!isKnown) void this.#loadForOthers(document)
  }

  async #loadForOthers(document: DocumentName): Promise<void> {
    try {
      await this.#writer.drained().catch(() => undefined)
      this.#sync.loaded(document, await this.#read(document))
    } catch (thrown) {
      this.#storeFailed(thrown)
      this.#sync.loaded(document, records.noDocument)
    }
  }

  #isWantedElsewhere(document: DocumentName): boolean {
    return this.#sync.leads && this.#tabs?.isWanted(document) === true
  }

  /** Another tab leads: it hears what is open here, and which edits of this tab no region has saved. */
  #introduce(): void {
    for (const slot of this.#slots.values()) {
      this.#post({ type: 'opened', tab: this.#opening, document: slot.name })
      slot.presence?.again()
    }
    this.#tellUnsaved()
  }

  #tellUnsaved(only?: DocumentName): void {
    const edits = this.#sync.unsaved(only)
    if (edits.length === 0) return
    for (const { document, record, payload, isUnwritten } of edits)
      this.#post({ type: 'edit', tab: this.#opening, document, record, payload, isOrphan: isUnwritten })
    this.#tellStored()
  }

  #write(batch: readonly StoreOperation[]): void {
    this.#writer.write(batch)
    if (this.#tabs?.hasOthers === true && !this.#isTelling) this.#tellStored()
  }

  /** Says up to where the edits of this tab are on the device, as soon as they are. */
  #tellStored(): void {
    this.#isTelling = true
    const number = this.#sync.number
    const told = (isDurable: boolean): void => {
      this.#isTelling = false
      this.#post({ type: 'stored', tab: this.#opening, number, isDurable })
      if (this.#sync.number > number && !this.#isClosed) this.#tellStored()
    }
    this.#writer.drained().then(
      () => told(true),
      () => told(false),
    )
  }

  #tellStatus(document: DocumentName): void {
    const status = this.#sync.status(document)
    if (status !== undefined) this.#post({ type: 'status', tab: this.#opening, document, status })
  }

  /** To tabs that do not find on the device what stands here. */
  #showCopy(document: DocumentName): void {
    const state = this.#liveState(document)
    const updates = state === undefined ? this.#sync.payloads(document) : [state]
    if (updates.length > 0) this.#post({ type: 'show', tab: this.#opening, document, updates: updates.map(copy) })
  }

  async #flush(to: string, document: DocumentName): Promise<void> {
    await this.#writer.drained().catch(() => undefined)
    this.#post({ type: 'flushed', tab: this.#opening, to, document })
    this.#tellStatus(document)
  }

  async #judgeFound(document: DocumentName, found: readonly RecordName[]): Promise<void> {
    await this.#loadForOthers(document)
    for (const record of this.#sync.settled(document, found))
      this.#post({ type: 'marked', tab: this.#opening, document, record, mark: undefined })
  }

  #takeEdit(message: EditMessage): void {
    const { document, record, payload, isOrphan } = message
    const { live } = this.#slots.get(document) ?? {}
    const waitingBytes = live?.waitingBytes ?? 0
    this.#apply(document, [payload])
    // What it builds on has not come from that tab: it will say both again if it lives, and if it does not, both are on the device or gone.
    if (live !== undefined && live.waitingBytes > waitingBytes) return
    if (this.#sync.leads && !this.#sync.isKnown(document)) {
      this.#sync.open(document, 'push only')
      void this.#loadForOthers(document)
    }
    if (this.#sync.foreign(document, record, payload, isOrphan) === 'settled')
      this.#post({ type: 'marked', tab: this.#opening, document, record, mark: undefined })
    if (this.#tabs?.isGone(record.opening) === true) this.#sync.released(record.opening, Number.POSITIVE_INFINITY, false)
  }

  #heard(message: Parameters<TabsEffects['heard']>[0]): void {
    const sync = this.#sync
    if (message.type === 'edit' || message.type === 'marked') {
      const slot = this.#slots.get(message.document)
      if (slot?.live?.isLoaded === false) {
        slot.edits.push(message)
        return
      }
    }
    switch (message.type) {
      case 'connection':
        return sync.mirrorConnection(message.connection)
      case 'opened':
        this.#tellUnsaved(message.document)
        this.#slots.get(message.document)?.presence?.again()
        if (this.#writer.isBehind) this.#showCopy(message.document)
        if (sync.leads) void this.#flush(message.tab, message.document)
        return
      case 'edit':
        return this.#takeEdit(message)
      case 'found':
        if (sync.leads) void this.#judgeFound(message.document, message.records)
        return
      case 'stored':
        return sync.released(message.tab, message.number, message.isDurable)
      case 'marked':
        return sync.mirrorMark(message.document, message.record, message.mark)
      case 'show':
        return this.#apply(message.document, message.updates)
      case 'status':
        return sync.mirrorStatus(message.document, message.status)
      case 'erased':
        return sync.mirrorErased(message.document)
      case 'presence':
        return this.#slots.get(message.document)?.presence?.shared(message.tab, message.entries)
      case 'peers':
        return this.#slots.get(message.document)?.presence?.received(message.session, message.subject, message.update)
      case 'ask':
        if (!sync.leads) return
        return message.what === 'probe' ? this.probe() : this.reconnect()
      case 'token':
        return this.#takeToken(message.token)
      case 'signOut':
        void this.#drop()
        return
      default:
        unreachable(message)
    }
  }

  #storeFailed(thrown: unknown): void {
    const error = toMeridianError(thrown)
    this.#report(error)
    this.#watch.found(failing(error))
  }

  #changed(): void {
    const connection = this.#sync.connectionStatus
    if (this.#status.connection === connection && this.#status.storage === this.#watch.status) return
    if (this.#sync.leads && this.#status.connection !== connection)
      this.#post({ type: 'connection', tab: this.#opening, connection })
    const isNew = connection.kind === 'online' && this.#status.connection.kind !== 'online'
    this.#status = { connection, storage: this.#watch.status }
    for (const slot of this.#slots.values()) {
      if (isNew) slot.presence?.again()
      if (slot.waiters.length > 0) this.#judgeWaiters(slot)
      this.#judgeReady(slot)
    }
    this.tell(this.#listeners)
  }

  tell(listeners: ReadonlySet<Listener>): void {
    for (const listener of [...listeners]) {
      try {
        listener()
      } catch (thrown) {
        this.#report(thrown)
      }
    }
  }

  /** Operating errors stand in a status as well; what somebody's own code threw has no other place. */
  #report(thrown: unknown): void {
    if (this.#options.onError !== undefined) this.#options.onError(toMeridianError(thrown))
    else if (!(thrown instanceof MeridianError)) this.#world.report(thrown)
  }
}

export class DocumentHandle implements Handle {
  readonly name: string
  readonly document: DocumentName
  readonly ydoc: Y.Doc
  readonly presence: Presence
  readonly ready: Promise<Origin>
  readonly #client: Client
  readonly #listeners = new Set<Listener>()
  #status: DocumentStatus
  #told: DocumentStatus | undefined
  #closed: Promise<void> | undefined

  constructor(client: Client, document: DocumentName, ydoc: Y.Doc, presence: Presence, ready: Promise<Origin>) {
    const { collection, key } = documentParts(document)
    this.name = `${collection}/${key}`
    this.document = document
    this.ydoc = ydoc
    this.presence = presence
    this.ready = ready
    this.#client = client
    this.#status = { kind: 'loading', pending: 0 }
  }

  get status(): DocumentStatus {
    if (this.#closed === undefined) this.#status = this.#client.statusOf(this.document)
    return this.#status
  }

  get pending(): number {
    return this.status.pending
  }

  subscribe(listener: Listener): () => void {
    return subscribe(this.#listeners, listener)
  }

  saved(options: WaitOptions = {}): Promise<void> {
    return this.#client.saved(this, options.signal)
  }

  stored(options: WaitOptions = {}): Promise<void> {
    return this.#client.stored(this, options.signal)
  }

  close(): Promise<void> {
    if (this.#closed === undefined) {
      const pending = this.pending
      this.#closed = this.#client.closeHandle(this)
      this.#status = { kind: 'closed', pending }
      this.#client.tell(this.#listeners)
    }
    return this.#closed
  }

  /** Something about the document may have changed; listeners hear only of what they can see. */
  changed(): void {
    const { status } = this
    if (status === this.#told) return
    this.#told = status
    this.#client.tell(this.#listeners)
  }
}

/** A view is sent to another tab together with all of its buffer. */
const copy = (bytes: Uint8Array): Uint8Array => bytes.slice()

const closedStatus: DocumentStatus = { kind: 'closed', pending: 0 }

const putMeta: StoreOperation = { kind: 'put', key: records.metaKey, value: records.encodeMeta() }

/** Milliseconds between tries to read a local copy that the region needs. */
const storeRetryMs = 5_000

function tenantOf(options: ClientOptions): TenantId {
  if (options.tenant !== undefined) return parseTenant(options.tenant)
  const token = options.token ?? ''
  if (typeof token !== 'string')
    throw new MeridianError('CONFIG_INVALID', {
      message: 'A token function needs the option tenant: documents open before there is a token.',
    })
  if (token === '') return parseTenant('dev')
  const { tenant } = readClaims(token)
  if (tenant === undefined)
    throw new MeridianError('CONFIG_INVALID', { message: 'The token names no tenant; set the option tenant.' })
  return parseTenant(tenant)
}

const hex = (random: Random): string => random.uint32().toString(16).padStart(8, '0')

/** New for each opening: a copied or restored store cannot push under names that another one used (OUT3). */
const randomDevice = (random: Random): DeviceId => parseDevice(hex(random) + hex(random) + hex(random) + hex(random))

/** The wall clock in front sorts openings of one store as they came, as long as it does not run backwards; nothing but an order hangs on it. */
const randomOpening = (world: ClientWorld): string =>
  Math.floor(world.clock.now()).toString(36).padStart(9, '0') + hex(world.random) + hex(world.random)

function subscribe(listeners: Set<Listener>, listener: Listener): () => void {
  // Wrapped, so that one function given twice is told twice and ended once each.
  const own = (): void => listener()
  listeners.add(own)
  return () => {
    listeners.delete(own)
  }
}

function later(): Later {
  let resolve: (origin: Origin) => void = () => undefined
  let reject: (error: MeridianError) => void = () => undefined
  const promise = new Promise<Origin>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Who does not wait for it has the status; an unhandled rejection would end a process for nothing.
  promise.catch(() => undefined)
  return { promise, resolve: (origin) => resolve(origin), reject: (error) => reject(error) }
}

function throwIfAborted(signal: Signal | undefined): void {
  if (signal?.aborted === true) throw signal.reason
}

function abortable(
  signal: Signal | undefined,
  begin: (resolve: () => void, reject: (error: unknown) => void) => () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let end = (): void => undefined
    const onAbort = (): void => {
      end()
      reject(signal?.reason)
    }
    const settled = (): void => signal?.removeEventListener('abort', onAbort)
    signal?.addEventListener('abort', onAbort)
    end = begin(
      () => {
        settled()
        resolve()
      },
      (error) => {
        settled()
        reject(error)
      },
    )
  })
}
