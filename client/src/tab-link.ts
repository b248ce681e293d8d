/**
 * What a client tells the other tabs of its browser, and what it does about what they say. `tabs.ts` knows who leads and who is gone;
 * `other-tabs.ts` is the sync machine's part.
 */

import type { AwarenessEntry } from '@meridian/core/awareness'
import type { EngineName } from '@meridian/core/engine'
import type { DocumentName } from '@meridian/core/ids'
import { unreachable } from '@meridian/core/errors'
import type { ClientState, OpenTabLink, TabLink } from './client-state.js'
import { loadUnseen, readDevice, readLater, showAgain } from './device-copy.js'
import type { Wanted } from './wanted.js'
import { wanted } from './wanted.js'
import { distrust } from './lost-store.js'
import { markOf } from './journal.js'
import * as otherTabs from './other-tabs.js'
import { PresenceRelays } from './presence-relay.js'
import type { RecordName } from './records.js'
import * as records from './records.js'
import { apply, askAgain, told } from './slot.js'
import type { OpenTabPort, SaidMessage, TabMessage, TabsEffects } from './tabs.js'
import { Tabs } from './tabs.js'

type EditMessage = Extract<TabMessage, { type: 'edit' }>
type HeardMessage = Parameters<TabsEffects['heard']>[0]

/** Joins a client to the tabs behind this port. */
export const linkTabs =
  (port: OpenTabPort): OpenTabLink =>
  (client) =>
    new ClientTabs(client, port)

class ClientTabs implements TabLink {
  readonly #client: ClientState
  readonly #tabs: Tabs
  readonly #relays: PresenceRelays
  #isTelling = false
  #wants: {
    readonly tab: string
    readonly id: number
    readonly document: DocumentName
    readonly age: number
    readonly wait: Wanted
  }[] = []

  constructor(client: ClientState, port: OpenTabPort) {
    const { opening, sync, slots, world } = client
    this.#client = client
    this.#relays = new PresenceRelays({
      monotonicMs: () => world.monotonicMs(),
      after: (ms, run) => world.after(ms, run),
      send: (document, update) => {
        if (sync.leads) sync.present(document, update)
      },
    })
    this.#tabs = new Tabs(opening, port, {
      after: (ms, run) => world.after(ms, run),
      connection: () => (sync.leads ? sync.connectionStatus : undefined),
      promoted: (isAlone) => void this.#lead(isAlone),
      demoted: () => {
        this.#relays.endAll()
        otherTabs.follow(sync)
      },
      led: () => this.#introduce(),
      interest: (document, isWanted) => this.#interest(document, isWanted),
      gone: (tab) => {
        otherTabs.release(sync, tab, Number.POSITIVE_INFINITY, false)
        distrust(sync, tab)
        if (!sync.leads) this.#tellUnsaved()
        this.#relays.left(tab)
        for (const slot of slots.values()) slot.presence?.left(tab)
      },
      flushedLate: (document) => void showAgain(client, document),
      heard: (message) => this.heard(message),
    })
  }

  get isLeading(): boolean {
    return this.#tabs.isLeading
  }

  post(message: SaidMessage): void {
    this.#tabs.post(message)
  }

  opened(document: DocumentName, engine: EngineName): Promise<void> {
    this.#relays.end(document, this.#client.slots.get(document)?.presence)
    return this.#tabs.opened(document, engine)
  }

  isWanted(document: DocumentName): boolean {
    return this.#tabs.isWanted(document)
  }

  writtenAnew(): void {
    // A tab that has opened one since has read a store without it.
    for (const document of this.#tabs.wanted()) this.#showCopy(document)
    if (!this.#client.sync.leads) this.#tellUnsaved()
  }

  found(document: DocumentName): void {
    const { sync } = this.#client
    const records = sync.leads ? [] : otherTabs.foundIn(sync, document)
    if (records.length > 0) this.post({ type: 'found', document, records })
    // What of this opening stands there again was written late, and the leader may have taken it over.
    if (!sync.leads) this.#tellUnsaved(document)
  }

  wrote(): void {
    if (this.#tabs.hasOthers && !this.#isTelling) this.#tellStored()
  }

  tellStatus(document: DocumentName): void {
    const status = this.#client.sync.status(document)
    if (status !== undefined) this.post({ type: 'status', document, status })
  }

  check(): void {
    this.#tabs.check()
  }

  close(): void {
    this.#relays.endAll()
    this.#tabs.close()
  }

  heard(message: HeardMessage): void {
    const { sync, slots, writer } = this.#client
    if (message.type === 'edit' || message.type === 'marked') {
      const slot = slots.get(message.document)
      if (slot?.live?.isLoaded === false) {
        slot.edits.push(message)
        return
      }
    }
    switch (message.type) {
      case 'connection':
        return otherTabs.mirrorConnection(sync, message.connection)
      case 'opened':
        this.#tellUnsaved(message.document)
        slots.get(message.document)?.presence?.again()
        if (writer.isBehind) this.#showCopy(message.document)
        if (sync.leads) void this.#flush(message.tab, message.document)
        return
      case 'edit':
        return this.#takeEdit(message)
      case 'found':
        if (sync.leads) void this.#judgeFound(message.document, message.records)
        return
      case 'stored':
        return otherTabs.release(sync, message.tab, message.number, message.isDurable)
      case 'marked':
        return otherTabs.mirrorMark(sync, message.document, message.record, message.mark)
      case 'show':
        return apply(slots.get(message.document), message.updates)
      case 'status':
        return otherTabs.mirrorStatus(sync, message.document, message.status)
      case 'erased':
        return otherTabs.mirrorErased(sync, message.document)
      case 'presence':
        return this.#showPresence(message.document, message.tab, message.entries)
      case 'peers':
        return slots.get(message.document)?.presence?.received(message.session, message.subject, message.update)
      case 'ask':
        if (!sync.leads) return
        return message.what === 'probe' ? this.#client.probe() : this.#client.reconnect()
      case 'token':
        return this.#client.takeToken(message.token)
      case 'want':
        if (sync.leads) this.#wants.push({ ...message, age: sync.age, wait: wanted(message.regions) })
        return this.judgeWants(message.document)
      case 'wanted':
        if (message.to !== this.#client.opening) return
        return told(slots.get(message.document), sync, message.id, message.outcome)
      case 'signOut':
        void this.#client.drop()
        return
      default:
        unreachable(message)
    }
  }

  /** What other tabs wait for: more regions are to have it. */
  judgeWants(document: DocumentName): void {
    const { sync } = this.#client
    if (this.#wants.length === 0) return
    this.#wants = this.#wants.filter((want) => {
      if (want.document !== document || !sync.leads) return sync.leads
      const outcome = sync.outcome(document, want.age, want.wait)
      const { tab: to, id } = want
      if (outcome !== 'pending') this.post({ type: 'wanted', to, document, id, outcome })
      return outcome === 'pending'
    })
  }

  /** The device is read again: what its last leader wrote, and what tabs that are gone left behind, is this one's now. */
  async #lead(isAlone: boolean): Promise<void> {
    const client = this.#client
    const { sync, slots } = client
    await client.opened
    if (!isAlone) await readDevice(client)
    if (client.isClosed || !this.isLeading) return
    otherTabs.lead(sync)
    for (const slot of slots.values()) slot.presence?.again()
    this.#tabs.announce()
    client.start()
    for (const document of this.#tabs.wanted()) this.#interest(document, true)
  }

  #interest(document: DocumentName, isWanted: boolean): void {
    const { sync, slots } = this.#client
    if (!sync.leads) return
    if (!isWanted) {
      this.#relays.end(document)
      if (!slots.has(document)) sync.close(document)
      return
    }
    const isKnown = sync.isKnown(document)
    sync.open(document, 'opened', isKnown ? undefined : this.#tabs.engineOf(document))
    if (!isKnown) void loadUnseen(this.#client, document)
  }

  #showPresence(document: DocumentName, tab: string, entries: readonly AwarenessEntry[]): void {
    const slot = this.#client.slots.get(document)
    if (slot?.presence !== undefined) slot.presence.shared(tab, entries)
    else if (this.#client.sync.leads && this.#tabs.isWanted(document)) this.#relays.shared(document, tab, entries)
  }

  /** Another tab leads: it hears what is open here, and which edits of this tab no region has saved. */
  #introduce(): void {
    for (const slot of this.#client.slots.values()) {
      this.post({ type: 'opened', document: slot.name, engine: slot.live?.engine ?? 'yjs' })
      slot.presence?.again()
      askAgain(slot, this.#client.sync)
    }
    this.#tellUnsaved()
    for (const name of this.#client.sync.documents.keys()) this.found(name)
  }

  #tellUnsaved(only?: DocumentName): void {
    const edits = otherTabs.unsavedEdits(this.#client.sync, only)
    if (edits.length === 0) return
    for (const { document, record, payload, isUnwritten } of edits)
      this.post({ type: 'edit', document, record, payload, isOrphan: isUnwritten })
    this.#tellStored()
  }

  /** Says up to where the edits of this tab are on the device, as soon as they are. */
  #tellStored(): void {
    this.#isTelling = true
    const { sync, writer } = this.#client
    const { recordNumber: number } = sync
    const told = (isDurable: boolean): void => {
      this.#isTelling = false
      this.post({ type: 'stored', number, isDurable })
      if (sync.recordNumber > number && !this.#client.isClosed) this.#tellStored()
    }
    writer.drained().then(
      () => told(true),
      () => told(false),
    )
  }

  /** To tabs that do not find on the device what stands here. */
  #showCopy(document: DocumentName): void {
    const { sync, slots, writer } = this.#client
    const state = slots.get(document)?.live?.loadedState()
    const updates =
      state === undefined ? [...writer.unwritten(records.documentLogPrefix(document)), ...sync.payloads(document)] : [state]
    if (updates.length > 0) this.post({ type: 'show', document, updates: updates.map((update) => update.slice()) })
  }

  async #flush(to: string, document: DocumentName): Promise<void> {
    const client = this.#client
    const isWritten = await client.writer.drained().then(
      () => true,
      () => false,
    )
    if (client.isClosed) return
    this.tellStatus(document)
    // What could not be written is there later, or another tab leads then.
    if (!isWritten) return this.#flush(to, document)
    this.post({ type: 'flushed', to, document })
  }

  async #judgeFound(document: DocumentName, found: readonly RecordName[]): Promise<void> {
    const client = this.#client
    const { sync } = client
    const isRead = await loadUnseen(client, document)
    if (client.isClosed || !sync.leads) return
    // What could not be read is not known to be forgotten.
    if (!isRead) return readLater(client, () => void this.#judgeFound(document, found))
    const known = sync.documents.get(document)
    if (known === undefined) return
    for (const record of found) {
      const item = known.item(record)
      const mark = item === undefined ? undefined : markOf(item)
      if (mark?.kind !== 'unsaved') this.post({ type: 'marked', document, record, mark })
    }
  }

  #takeEdit(message: EditMessage): void {
    const { document, record, payload, isOrphan } = message
    const { sync, slots } = this.#client
    const slot = slots.get(document)
    const { live } = slot ?? {}
    const waitingBytes = live?.waitingBytes ?? 0
    apply(slot, [payload])
    // What it builds on has not come from that tab: it will say both again if it lives, and if it does not, both are on the device or gone.
    if (live !== undefined && live.waitingBytes > waitingBytes) return
    if (sync.leads && !sync.isKnown(document)) {
      sync.open(document, 'push only')
      void loadUnseen(this.#client, document)
    }
    const taken = otherTabs.foreignEdit(sync, document, record, payload, isOrphan)
    if (taken === 'settled') this.post({ type: 'marked', document, record, mark: undefined })
    if (!this.#tabs.isGone(record.opening)) return
    otherTabs.release(sync, record.opening, Number.POSITIVE_INFINITY, false)
    // Nobody else tells of it: whoever leads may have heard of it too early to take it, and others may have opened since.
    if (taken === 'new' && !sync.leads) this.#tellUnsaved(document)
  }
}
