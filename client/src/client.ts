/**
 * What an app holds: a store of documents, and handles of those that it has open. It joins the sync machine, the live documents and the
 * device's store; everything that touches the world is handed in.
 *
 * - CLI1 Opening, reading and editing never wait for the network, and nothing throws for it.
 * - CLI2 `saved()` resolves when a region has made the edits durable, `saved({ regions })` when as many have.
 */

import type { EngineName } from '@meridian/core/engine'
import { assert, MeridianError, toMeridianError } from '@meridian/core/errors'
import type { DocumentName, TenantId } from '@meridian/core/ids'
import { parseDocument } from '@meridian/core/ids'
import type { Signal } from './abort.js'
import { abortable, throwIfAborted } from './abort.js'
import { backoffMs, reconnectBackoff } from './backoff.js'
import type { ClientState, TabLink } from './client-state.js'
import { loadSlot, putMeta, readDevice, readState } from './device-copy.js'
import type { Handle, HandleOwner, SavedOptions } from './handle.js'
import { DocumentHandle } from './handle.js'
import { randomOpening, tenantOf } from './identity.js'
import type { Listener } from './listeners.js'
import { subscribe } from './listeners.js'
import type { Live, OpenLive } from './live.js'
import { LiveDocument } from './live.js'
import { writeAnew } from './lost-store.js'
import type { ClientOptions, TokenSource } from './options.js'
import type { Network, NetworkSource } from './network.js'
import type { RegionInfo } from './places.js'
import { DocumentPresence } from './presence.js'
import type { Slot, Waiter } from './slot.js'
import { wanted } from './wanted.js'
import { apply, judgeReady, judgeWaiters, later, newSlot } from './slot.js'
import type { DocumentStatus, StoreStatus } from './status.js'
import { StorageWatch } from './storage-watch.js'
import type { ClientStore } from './store.js'
import { Sync } from './sync.js'
import type { Carrier } from './sync-state.js'
import { syncUrls } from './sync-url.js'
import type { SaidMessage } from './tabs.js'
import type { ClientWorld } from './world.js'
import { failing, Writer } from './writer.js'

export interface Store {
  readonly tenant: string
  readonly status: StoreStatus
  /** Edits that no region has saved yet, over all documents. */
  readonly pending: number
  /** The regions that are known, in the order of the cluster file. `status` says which one is in use. */
  readonly regions: readonly RegionInfo[]
  subscribe(listener: Listener): () => void
  /** `collection/key`. @throws MeridianError NAME_INVALID, CLOSED */
  open(name: string): Handle
  /** For other engines than Yjs: `@meridian/client/automerge` is how an app opens those. */
  openAs(name: string, engine: EngineName, openLive: OpenLive): { readonly handle: DocumentHandle; readonly live: Live }
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

export class Client implements Store, ClientState, HandleOwner {
  readonly tenant: string
  readonly opening: string
  readonly world: ClientWorld
  readonly storage: ClientStore
  readonly writer: Writer
  readonly sync: Sync
  readonly slots = new Map<DocumentName, Slot>()
  readonly tabs: TabLink | undefined
  readonly opened: Promise<void>
  readonly retries = new Set<() => void>()
  readonly #tenant: TenantId
  readonly #options: ClientOptions
  #carrier: Carrier | undefined
  #source: TokenSource
  #wake: { readonly atMs: number; readonly cancel: () => void } | undefined
  readonly #watch: StorageWatch
  readonly #listeners = new Set<Listener>()
  #status: StoreStatus
  /** What closing leaves on the device. `dropped`: another tab wipes it, and nothing is to be written there any more. */
  #leaves: 'everything' | 'nothing' | 'dropped' = 'everything'
  #isClosed = false
  #closed: Promise<void> | undefined

  /** @throws MeridianError CONFIG_INVALID, NAME_INVALID for what no try will mend; never for the network or the device. */
  constructor(world: ClientWorld, network: NetworkSource, options: ClientOptions) {
    this.world = world
    this.#options = options
    this.storage = options.storage
    this.#tenant = tenantOf(options)
    this.tenant = this.#tenant
    const urls = syncUrls(options.url)
    this.opening = randomOpening(world)
    this.writer = new Writer(options.storage, {
      random: world.random,
      monotonicMs: () => world.monotonicMs(),
      after: (ms, run) => world.after(ms, run),
      storageChanged: (status) => this.#watch.found(status),
    })
    this.#watch = new StorageWatch(options.storage, this.writer, {
      random: world.random,
      after: (ms, run) => world.after(ms, run),
      statusChanged: () => this.#changed(),
      report: (error) => this.#report(error),
      signedOut: () => void this.drop(),
      writeAnew: () => {
        this.writer.write([putMeta])
        writeAnew(this.sync)
        this.tabs?.writtenAnew()
      },
      // Nothing stands there.
      writeProbe: () => this.writer.write([{ kind: 'delete', key: ['probe'] }]),
    })
    this.#source = options.token ?? ''
    this.sync = new Sync(
      {
        clock: world.clock,
        monotonicMs: () => world.monotonicMs(),
        random: world.random,
        defer: () => world.defer(() => this.sync.flush()),
        wakeAt: (atMs) => this.#wakeAt(this.#isClosed ? undefined : atMs),
        write: (batch) => {
          this.writer.write(batch)
          this.tabs?.wrote()
        },
        apply: (document, updates) => {
          apply(this.slots.get(document), updates)
          if (this.tabs?.isWanted(document) === true) this.#post({ type: 'show', document, updates: updates.map(copy) })
        },
        snapshot: (document) => this.slots.get(document)?.live?.loadedState(),
        readState: (document) => readState(this, document),
        erased: (document) => {
          if (this.sync.leads) this.#post({ type: 'erased', document })
          const slot = this.slots.get(document)
          if (slot !== undefined) slot.early = []
        },
        presence: (document, session, subject, update) => {
          this.slots.get(document)?.presence?.received(session, subject, update)
          this.#post({ type: 'peers', document, session, subject, update: copy(update) })
        },
        made: (document, record, payload) => {
          this.storage.keep?.()
          this.#post({ type: 'edit', document, record, payload, isOrphan: record.opening !== this.opening })
        },
        marked: (document, record, mark) => {
          if (this.sync.leads) this.#post({ type: 'marked', document, record, mark })
        },
        wanted: (document, id, regions) => this.#post({ type: 'want', document, id, regions }),
        documentChanged: (document) => this.#documentChanged(document),
        connectionChanged: () => this.#changed(),
      },
      {
        opening: this.opening,
        urls,
        leads: options.tabs === undefined,
        tokens: typeof this.#source === 'string' ? 'fixed' : 'provided',
        ...(options.times === undefined ? {} : { times: options.times }),
        ...(options.compactCount === undefined ? {} : { compactCount: options.compactCount }),
      },
    )
    this.#status = { connection: this.sync.connectionStatus, storage: this.#watch.status }
    if (typeof network === 'function') void this.#load(network, 0)
    else this.#join(network)
    this.opened = this.#open()
    this.tabs = options.tabs?.(this)
    this.#watch.begin()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get status(): StoreStatus {
    return this.#status
  }

  get regions(): readonly RegionInfo[] {
    return this.sync.places?.named ?? []
  }

  get pending(): number {
    return this.sync.pending
  }

  subscribe(listener: Listener): () => void {
    return subscribe(this.#listeners, listener)
  }

  open(name: string): Handle {
    const { handle, live } = this.openAs(name, 'yjs', (...parts) => new LiveDocument(...parts))
    assert(live instanceof LiveDocument, 'a document of Yjs is one')
    return Object.assign(handle, { ydoc: live.ydoc })
  }

  openAs(name: string, engine: EngineName, openLive: OpenLive): { readonly handle: DocumentHandle; readonly live: Live } {
    if (this.#isClosed) throw new MeridianError('CLOSED', { message: 'The store is closed.' })
    const document = parseDocument(`${this.#tenant}/${name}`)
    let slot = this.slots.get(document)
    if (slot?.live !== undefined && slot.live.engine !== engine) throw otherEngine()
    if (slot?.live === undefined) slot = this.#openSlot(document, slot, openLive)
    // Opened again before it was let go of, and before it was ready.
    else if (slot.handles.size === 0 && slot.origin === undefined) slot.ready = later()
    const { live, presence } = slot
    if (live === undefined || presence === undefined) throw new MeridianError('INTERNAL')
    const handle = new DocumentHandle(this, document, presence, slot.ready.promise)
    slot.handles.add(handle)
    this.sync.open(document, 'opened', live.engine)
    return { handle, live }
  }

  refreshToken(token?: string): void {
    if (this.#isClosed) return
    // In place of the one that the app gave first; a token function is asked as before.
    if (token !== undefined && typeof this.#source === 'string') this.#source = token
    this.#post({ type: 'token', token })
    this.takeToken(token)
  }

  takeToken(token: string | undefined): void {
    if (!this.sync.leads) return
    if (token === undefined) for (const { number } of this.sync.lines) this.#carrier?.requestToken(number)
    else this.sync.receive({ type: 'token', token })
  }

  reconnect(): void {
    if (!this.sync.leads) {
      this.tabs?.check()
      return this.#post({ type: 'ask', what: 'reconnect' })
    }
    this.sync.receive({ type: 'start' })
    this.sync.receive({ type: 'reconnect' })
  }

  probe(): void {
    if (!this.sync.leads) {
      this.tabs?.check()
      return this.#post({ type: 'ask', what: 'probe' })
    }
    this.sync.receive({ type: 'probe' })
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  signOut(): Promise<void> {
    this.#post({ type: 'signOut' })
    this.#leaves = 'nothing'
    return this.close()
  }

  /** The other tab wipes, and if somebody has signed in there since, this one must not wipe what is theirs. */
  async drop(): Promise<void> {
    if (this.#leaves === 'everything') this.#leaves = 'dropped'
    this.writer.hold()
    await this.close()
  }

  // For handles.

  statusOf(document: DocumentName): DocumentStatus {
    if (this.#isClosed) return closedStatus
    const status = this.sync.status(document) ?? closedStatus
    const slot = this.slots.get(document)
    if (slot?.live === undefined || slot.live.isLoaded || status.kind === 'erased') return status
    // Sync may be further, if it pushes for a document that was closed: its copy shows nothing of that before it is loaded.
    if (slot.loading?.pending !== status.pending) slot.loading = { kind: 'loading', pending: status.pending }
    return slot.loading
  }

  async saved(handle: DocumentHandle, { signal, regions = 1 }: SavedOptions): Promise<void> {
    throwIfAborted(signal)
    if (!Number.isInteger(regions) || regions < 1) throw new MeridianError('CONFIG_INVALID', { message: 'regions is 1 or more.' })
    const wait = regions === 1 ? undefined : wanted(regions)
    const slot = this.#slotOf(handle)
    const age = slot.live?.isLoaded === true ? this.sync.age : undefined
    const outcome = age === undefined ? 'pending' : this.sync.outcome(slot.name, age, wait)
    if (outcome === 'saved') return
    if (outcome !== 'pending') throw new MeridianError(outcome)
    await abortable(signal, (resolve, reject) => {
      const waiter: Waiter = { age, handle, wait, resolve, reject }
      slot.waiters.push(waiter)
      return () => {
        slot.waiters = slot.waiters.filter((other) => other !== waiter)
      }
    })
  }

  async stored(handle: DocumentHandle, signal: Signal | undefined): Promise<void> {
    throwIfAborted(signal)
    this.#slotOf(handle)
    this.sync.flush()
    await abortable(signal, (resolve, reject) => {
      this.writer.drained().then(resolve, reject)
      return () => undefined
    })
  }

  async closeHandle(handle: DocumentHandle): Promise<void> {
    const slot = this.slots.get(handle.document)
    if (slot === undefined || !slot.handles.delete(handle)) return
    const closed = new MeridianError('CLOSED', { message: 'The handle was closed.' })
    for (const waiter of slot.waiters.splice(0)) {
      if (waiter.handle === handle) waiter.reject(closed)
      else slot.waiters.push(waiter)
    }
    if (slot.handles.size > 0) return
    slot.ready.reject(closed)
    slot.presence?.end()
    this.sync.flush()
    // Until its edits are on the device the copy in memory is the only one; whoever opens it again meanwhile gets that.
    const stored = await this.writer.drained().then(
      () => true,
      () => false,
    )
    if (slot.handles.size > 0 || this.slots.get(slot.name) !== slot || !stored) return
    this.slots.delete(slot.name)
    this.#post({ type: 'closed', document: slot.name })
    if (!this.sync.leads || this.tabs?.isWanted(slot.name) !== true) this.sync.close(slot.name)
    slot.live?.destroy()
  }

  #slotOf(handle: DocumentHandle): Slot {
    const slot = this.slots.get(handle.document)
    if (slot === undefined || !slot.handles.has(handle)) throw new MeridianError('CLOSED', { message: 'The handle is closed.' })
    return slot
  }

  // Opening and closing.

  async #open(): Promise<void> {
    await readDevice(this)
    if (this.#options.tabs === undefined) this.start()
  }

  start(): void {
    if (!this.#isClosed && this.#options.autoConnect !== false) this.sync.receive({ type: 'start' })
  }

  /** Nothing waits for it but what goes over the network, so it is tried until it is there. */
  async #load(load: Exclude<NetworkSource, Network>, attempt: number): Promise<void> {
    try {
      const network = await load()
      if (!this.#isClosed) this.#join(network)
    } catch (cause) {
      if (this.#isClosed) return
      this.#report(new MeridianError('TIMEOUT', { message: 'A part of the client could not be loaded.', cause }))
      this.sync.notJoined()
      const cancel = this.world.after(backoffMs(attempt, 0, this.world.random, reconnectBackoff), () => {
        this.retries.delete(cancel)
        void this.#load(load, attempt + 1)
      })
      this.retries.add(cancel)
    }
  }

  #join(network: Network): void {
    const carrier = network.newCarrier(this.world, {
      source: () => this.#source,
      isClosed: () => this.#isClosed,
      receive: (event, line) => this.sync.receive(event, line),
      message: (socket, message, line) => this.sync.message(socket, message, line),
      answered: (line, place, roundTripMs, text) => this.sync.answered(line, place, roundTripMs, text),
      report: (thrown) => this.#report(thrown),
    })
    this.#carrier = carrier
    this.sync.join(network, carrier)
  }

  #wakeAt(atMs: number | undefined): void {
    if (this.#wake?.atMs === atMs) return
    this.#wake?.cancel()
    this.#wake = undefined
    if (atMs === undefined) return
    const cancel = this.world.after(Math.max(0, atMs - this.world.monotonicMs()), () => {
      this.#wake = undefined
      this.sync.receive({ type: 'time' })
    })
    this.#wake = { atMs, cancel }
  }

  #openSlot(document: DocumentName, found: Slot | undefined, openLive: OpenLive): Slot {
    const slot = found ?? newSlot(document)
    const report = (thrown: unknown): void => this.#report(thrown)
    slot.live = openLive(this.world.random, (update) => this.sync.edit(document, update), report)
    slot.presence = this.#newPresence(document, slot.live)
    this.slots.set(document, slot)
    void loadSlot(this, slot, slot.live)
    return slot
  }

  #newPresence(document: DocumentName, live: Live): DocumentPresence {
    return new DocumentPresence(live.clientId, {
      monotonicMs: () => this.world.monotonicMs(),
      after: (ms, run) => this.world.after(ms, run),
      share: (entries) => this.#post({ type: 'presence', document, entries }),
      send: (update) => {
        if (this.sync.leads) this.sync.present(document, update)
      },
      subject: () => {
        const { connection } = this.#status
        return connection.kind === 'online' ? connection.subject : ''
      },
      tell: (listeners) => this.tell(listeners),
    })
  }

  async #close(): Promise<void> {
    this.#isClosed = true
    if (this.#leaves === 'everything') {
      this.sync.flush()
      if (this.#watch.isLost) await this.#watch.settle()
    }
    this.#watch.end()
    this.sync.receive({ type: 'close' })
    this.#wakeAt(undefined)
    for (const cancel of this.retries) cancel()
    const closed = new MeridianError('CLOSED', { message: 'The store was closed.' })
    for (const slot of this.slots.values()) {
      for (const waiter of slot.waiters.splice(0)) waiter.reject(closed)
      slot.ready.reject(closed)
      for (const handle of slot.handles) handle.changed()
      slot.handles.clear()
      slot.presence?.end()
      slot.live?.destroy()
    }
    this.slots.clear()
    await this.opened
    if (this.#leaves === 'nothing') this.writer.write([{ kind: 'clear', prefix: [] }])
    await this.writer.close()
    this.tabs?.close()
    // Another tab may have wiped it already.
    if (this.#leaves === 'nothing') await this.storage.wipe?.().catch(() => undefined)
    await this.storage.close()
  }

  #documentChanged(document: DocumentName): void {
    if (this.sync.leads && this.tabs?.isWanted(document) === true) this.tabs.tellStatus(document)
    this.tabs?.judgeWants(document)
    const slot = this.slots.get(document)
    if (slot === undefined) return
    if (slot.waiters.length > 0) judgeWaiters(slot, this.sync)
    judgeReady(slot, this.sync)
    for (const handle of slot.handles) handle.changed()
  }

  // Other tabs.

  #post(message: SaidMessage): void {
    this.tabs?.post(message)
  }

  storeFailed(thrown: unknown): void {
    const error = toMeridianError(thrown)
    this.#report(error)
    this.#watch.found(failing(error))
  }

  #changed(): void {
    const connection = this.sync.connectionStatus
    if (this.#status.connection === connection && this.#status.storage === this.#watch.status) return
    if (this.sync.leads && this.#status.connection !== connection) this.#post({ type: 'connection', connection })
    const isNew = connection.kind === 'online' && this.#status.connection.kind !== 'online'
    this.#status = { connection, storage: this.#watch.status }
    for (const slot of this.slots.values()) {
      if (isNew) slot.presence?.again()
      if (slot.waiters.length > 0) judgeWaiters(slot, this.sync)
      judgeReady(slot, this.sync)
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
    else if (!(thrown instanceof MeridianError)) this.world.report(thrown)
  }
}

/** A view is sent to another tab together with all of its buffer. */
const copy = (bytes: Uint8Array): Uint8Array => bytes.slice()

const otherEngine = (): MeridianError =>
  new MeridianError('ENGINE_MISMATCH', { message: 'The document is open here as one of another engine.' })

const closedStatus: DocumentStatus = { kind: 'closed', pending: 0 }
