/**
 * The sync machine of one client: documents, outbox and cursors over one connection. Pure and synchronous: events in, effects out.
 * Here the events come in; what they do stands in a file for each noun, over one state (`sync-state.ts`).
 */

import type { EngineName } from '@meridian/core/engine'
import type { DocumentName, GroupId } from '@meridian/core/ids'
import type { Version } from '@meridian/core/version'
import { ClientDocument } from './document.js'
import { ageText, foundEdit, takeEdits } from './edits.js'
import { Journal } from './journal.js'
import { writeDocumentAnew } from './lost-store.js'
import type { Outcome, Wanted } from './wanted.js'
import { outcomeOf } from './outcome.js'
import type { Place, Places } from './places.js'
import type { RecordName, StoredDocument } from './records.js'
import { recordText } from './records.js'
import type { ConnectionStatus, DocumentStatus } from './status.js'
import type { Carrier, LineEvent, Lines, SyncEffects, SyncOptions, SyncRoot, SyncState } from './sync-state.js'
import { connecting, connectionStatus, lineOf } from './sync-state.js'
import { settle } from './turn.js'

export class Sync implements SyncRoot {
  readonly effects: SyncEffects
  readonly options: SyncOptions
  readonly documents = new Map<DocumentName, ClientDocument>()
  readonly journal: Journal
  readonly ages = new Map<string, number>()
  readonly regionCounts = new Map<GroupId, number>()
  readonly changed = new Set<ClientDocument>()
  leads: boolean
  mirrored: ConnectionStatus | undefined
  told: ConnectionStatus
  early: ConnectionStatus = { kind: 'idle' }
  anewCount = 0
  places: Places | undefined
  lines: readonly SyncState[] = []
  /** What an earlier opening, or another tab, knew of regions, until `places` can read it. */
  #placesText: string | undefined
  #newLine: ((allowed: () => readonly Place[]) => SyncState) | undefined
  #deferred = false

  constructor(effects: SyncEffects, options: SyncOptions) {
    this.effects = effects
    this.options = options
    this.leads = options.leads
    if (!options.leads) this.mirrored = connecting
    this.journal = new Journal(options.opening)
    this.told = this.connectionStatus
  }

  /** The half that needs a network is loaded: what waits for a connection gets one. */
  join(network: Lines, carrier: Carrier): void {
    if (this.lines.length > 0 || this.early.kind === 'closed') return
    const places = network.newPlaces(this.options.urls)
    if (this.#placesText !== undefined) places.found(this.#placesText)
    this.places = places
    let number = 0
    this.#newLine = (allowed) =>
      network.newLine(this, { number: number++, device: carrier.newDevice(), places, carrier, allowed })
    const first = this.#newLine(() => places.all)
    this.lines = [first]
    first.locator.remember()
    for (const document of this.documents.values()) {
      first.outbox.add(...[...document.items.values()].filter(({ state }) => state === 'waiting'))
      if (document.link.kind !== 'loading') first.place(document)
      this.changed.add(document)
    }
    if (this.leads && this.early.kind !== 'idle') first.receive({ type: 'start' })
    settle(this)
  }

  /** It could not be loaded, and will be tried again. */
  notJoined(): void {
    if (this.early.kind === 'connecting') this.early = { kind: 'waiting', code: 'TIMEOUT' }
    settle(this)
  }

  openLine(allowed: () => readonly Place[]): SyncState | undefined {
    const line = this.#newLine?.(allowed)
    if (line === undefined) return undefined
    this.lines = [...this.lines, line]
    const { phase } = this.lines[0]?.connection ?? line.connection
    if (phase !== 'idle' && phase !== 'closed') line.connection.receive({ type: 'start' })
    return line
  }

  /** A line that no document is on any more is closed. */
  #closeLines(): void {
    const used = new Set([...this.documents.values()].map(({ line }) => line))
    for (const line of this.lines) {
      if (line.number === 0 || used.has(line.number)) continue
      line.connection.receive({ type: 'close' })
      this.lines = this.lines.filter((other) => other !== line)
    }
  }

  get connectionStatus(): ConnectionStatus {
    return connectionStatus(this)
  }

  /** Edits that no region has saved, over all documents that are open or being pushed. */
  get pending(): number {
    let count = 0
    for (const document of this.documents.values()) count += document.pending
    return count
  }

  status(name: DocumentName): DocumentStatus | undefined {
    return this.documents.get(name)?.status
  }

  /** Of the connection that a document is on. */
  reach(name: DocumentName): ConnectionStatus {
    const line = lineOf(this, this.documents.get(name))
    return line === undefined || line.number === 0 ? this.connectionStatus : line.connection.status
  }

  /** Now, as an age to ask `outcome` about later. */
  get age(): number {
    takeEdits(this)
    settle(this)
    return this.journal.number
  }

  /** Of the newest record of this opening. */
  get recordNumber(): number {
    return this.journal.number
  }

  /** What became of the edits of a document up to an age. */
  outcome(name: DocumentName, age: number, wait?: Wanted): Outcome {
    if (wait === undefined) return outcomeOf(this, name, age)
    return lineOf(this, this.documents.get(name))?.outcome(name, age, wait) ?? 'pending'
  }

  // What the store says.

  tokensFound(tokens: ReadonlyMap<GroupId, Version>): void {
    for (const [group, version] of tokens) this.journal.seen(group, version)
  }

  /** The regions that an earlier opening, or another tab, knew. */
  placesFound(text: string): void {
    this.#placesText = text
    this.places?.found(text)
    this.lines[0]?.locator.remember()
  }

  /** Edits of earlier openings, in the order in which they were made; each document is to be loaded. */
  outboxFound(document: DocumentName, record: RecordName): void {
    this.ages.set(ageText(document, record), this.journal.nextName().number)
  }

  // What the app does.

  /** Somebody opens the document, or it has edits to push. `loaded` is to follow unless it is known already. */
  open(name: DocumentName, interest: 'opened' | 'push only', engine?: EngineName): void {
    let document = this.documents.get(name)
    if (document === undefined) {
      document = new ClientDocument(name)
      this.documents.set(name, document)
    }
    if (engine !== undefined) document.engine = engine
    if (interest === 'opened') document.open = true
    this.changed.add(document)
    lineOf(this, document)?.attach([document])
    settle(this)
  }

  isKnown(name: DocumentName): boolean {
    return this.documents.has(name)
  }

  /** Whether the device holds more of a document than what was made since it was opened. */
  isFound(name: DocumentName, stored: StoredDocument): boolean {
    if (stored.head !== undefined || stored.snapshots.length > 0) return true
    const known = this.documents.get(name)?.log
    return stored.log.some((one) => known?.has(recordText(one.name)) !== true)
  }

  /** What the device holds of a document, or held if `anewCount` is another by now. @param anewCount when the read began. */
  loaded(name: DocumentName, stored: StoredDocument, anewCount: number): void {
    const document = this.documents.get(name)
    if (document === undefined || document.link.kind === 'erased') return
    for (const edit of document.adopt(stored)) foundEdit(this, document, edit)
    document.sortItems()
    if (anewCount !== this.anewCount) writeDocumentAnew(this, document)
    this.changed.add(document)
    lineOf(this, document)?.place(document)
    lineOf(this, document)?.attach([document])
    settle(this)
  }

  /** The device could not be read: whatever stands there of a document stays, beside what is made or received from now on. */
  notRead(name: DocumentName): void {
    this.documents.get(name)?.disown()
  }

  /** What the outbox holds of a document, oldest first. */
  payloads(name: DocumentName): Uint8Array[] {
    return [...(this.documents.get(name)?.items.values() ?? [])].map((item) => item.payload)
  }

  /** Nobody has it open any more; what is not saved is pushed on. */
  close(name: DocumentName): void {
    const document = this.documents.get(name)
    if (document === undefined) return
    takeEdits(this)
    document.open = false
    this.changed.add(document)
    settle(this)
  }

  /** What this session shows of itself in a document, in place of what it showed; said again on every connection (SES6). */
  present(name: DocumentName, update: Uint8Array): void {
    const document = this.documents.get(name)
    if (document === undefined) return
    document.presence = update
    lineOf(this, document)?.showPresence(document)
    settle(this)
  }

  /** One update that the app made. Written and sent when the turn is over. [hot] */
  edit(name: DocumentName, update: Uint8Array): void {
    const document = this.documents.get(name)
    if (document === undefined || document.link.kind === 'erased') return
    document.edits.push(update)
    this.changed.add(document)
    if (this.#deferred) return
    this.#deferred = true
    this.effects.defer()
  }

  /** The turn is over. */
  flush(): void {
    this.#deferred = false
    takeEdits(this)
    settle(this)
  }

  /** Everything that this device holds of a document, asked for by `readState`. */
  stateRead(name: DocumentName, state: Uint8Array): void {
    const document = this.documents.get(name)
    if (document === undefined) return
    lineOf(this, document)?.stateRead(document, state)
    settle(this)
  }

  // What the connection says.

  /** @param number of the line whose token, socket or provider it is about; otherwise about all of them. */
  receive(event: LineEvent, number?: number): void {
    if (event.type === 'close') this.mirrored = undefined
    if (this.lines.length === 0) this.#receiveEarly(event)
    for (const line of this.lines) if (number === undefined || line.number === number) line.receive(event)
    settle(this)
    if (this.lines.length > 1) this.#closeLines()
  }

  #receiveEarly({ type }: LineEvent): void {
    if (type === 'start') this.early = connecting
    else if (type === 'stop') this.early = { kind: 'idle' }
    else if (type === 'close') this.early = { kind: 'closed' }
  }

  /** What a place said of regions, and how long that took; undefined: it did not answer. */
  answered(number: number, place: Place, roundTripMs: number | undefined, text: string): void {
    this.lines.find((line) => line.number === number)?.locator.answered(place, roundTripMs, text)
    settle(this)
  }

  message(socket: number, message: Uint8Array, number = 0): void {
    this.lines.find((line) => line.number === number)?.message(socket, message)
    settle(this)
  }
}
