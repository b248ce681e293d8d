/**
 * The sync machine of one client: documents, outbox and cursors over one connection. Pure and synchronous: events in, effects out.
 * Here the events come in; what they do stands in a file for each noun, over one state (`sync-state.ts`).
 */

import type { EngineName } from '@meridian/core/engine'
import type { DocumentName, GroupId } from '@meridian/core/ids'
import type { Version } from '@meridian/core/version'
import { attachLoaded, lacksRights, showPresence, tryRefusedAgain } from './attaching.js'
import type { Connection, ConnectionEvent } from './connection.js'
import { ClientDocument } from './document.js'
import type { Wanted } from './durable.js'
import { outcomeIn } from './durable.js'
import { ageText, foundEdit, takeEdits } from './edits.js'
import { Journal } from './journal.js'
import { Line } from './line.js'
import type { Locator } from './locate.js'
import { writeDocumentAnew } from './lost-store.js'
import type { Outbox } from './outbox.js'
import type { Outcome } from './outcome.js'
import { outcomeOf } from './outcome.js'
import type { Outgoing } from './outgoing.js'
import type { Place } from './places.js'
import type { RecordName, StoredDocument } from './records.js'
import { recordText } from './records.js'
import { gather, go } from './redirects.js'
import { replacePremature, rescue } from './rescue.js'
import type { Session } from './session.js'
import type { ConnectionStatus, DocumentStatus } from './status.js'
import type { SyncEffects, SyncOptions, SyncRoot, SyncState } from './sync-state.js'
import { connecting, connectionStatus, lineOf } from './sync-state.js'
import { sendOut, settle } from './turn.js'

export class Sync implements SyncRoot {
  readonly number = 0
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
  anewCount = 0
  lines: readonly Line[] = []
  readonly #first: Line
  #lineNumber = 0
  #deferred = false

  constructor(effects: SyncEffects, options: SyncOptions) {
    this.effects = effects
    this.options = options
    this.leads = options.leads
    if (!options.leads) this.mirrored = connecting
    this.told = connecting
    this.journal = new Journal(options.opening)
    this.#first = new Line(this, {
      number: 0,
      device: options.device,
      places: () => options.places.all,
      entered: (region) => {
        options.places.served(this.locator.current)
        gather(this, region)
      },
    })
    this.lines = [this.#first]
    this.told = this.connectionStatus
  }

  get connection(): Connection {
    return this.#first.connection
  }

  get locator(): Locator {
    return this.#first.locator
  }

  get session(): Session {
    return this.#first.session
  }

  get outbox(): Outbox {
    return this.#first.outbox
  }

  get out(): Outgoing {
    return this.#first.out
  }

  get waiters(): Set<ClientDocument> {
    return this.#first.waiters
  }

  get progressMs(): number {
    return this.#first.progressMs
  }

  get heardMs(): number {
    return this.#first.heardMs
  }

  get askedMs(): number {
    return this.#first.askedMs
  }

  set progressMs(ms: number) {
    this.#first.progressMs = ms
  }

  set askedMs(ms: number) {
    this.#first.askedMs = ms
  }

  openLine(places: () => readonly Place[]): SyncState {
    const line: Line = new Line(this, {
      number: ++this.#lineNumber,
      device: this.effects.newDevice(),
      places,
      entered: () => undefined,
    })
    this.lines = [...this.lines, line]
    if (this.connection.phase !== 'idle' && this.connection.phase !== 'closed') line.connection.receive({ type: 'start' })
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
    const document = this.documents.get(name)
    const line = document === undefined ? this : lineOf(this, document)
    return line.number === 0 ? this.connectionStatus : line.connection.status
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
    const document = this.documents.get(name)
    const line = document === undefined ? this : lineOf(this, document)
    const outcome = outcomeIn(line, name, age, wait)
    sendOut(line)
    return outcome
  }

  // What the store says.

  tokensFound(tokens: ReadonlyMap<GroupId, Version>): void {
    for (const [group, version] of tokens) this.journal.seen(group, version)
  }

  /** The regions that an earlier opening, or another tab, knew. */
  placesFound(text: string): void {
    this.options.places.found(text)
    this.locator.remember()
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
    attachLoaded(lineOf(this, document), [document])
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
    go(this, document)
    attachLoaded(lineOf(this, document), [document])
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
    showPresence(lineOf(this, document), document)
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
    const { needs } = document
    document.needs = 'nothing'
    if (needs === 'premature') replacePremature(lineOf(this, document), document, state)
    else if (needs === 'rescue') rescue(lineOf(this, document), document, state)
    settle(this)
  }

  // What the connection says.

  /** @param number of the line whose token, socket or provider it is about; otherwise about all of them. */
  receive(event: LineEvent, number?: number): void {
    if (event.type === 'close') this.mirrored = undefined
    for (const line of this.lines) {
      if (number !== undefined && line.number !== number) continue
      if (event.type === 'close' || event.type === 'stop') line.locator.left()
      if (event.type === 'time') line.locator.time()
      // A node does not say when it has judged a new token, so whoever needs more than the old one allowed connects anew.
      if (event.type === 'token' && line.connection.phase === 'online' && lacksRights(line)) {
        line.connection.receive({ type: 'stop' })
        line.connection.receive({ type: 'start' })
      } else line.connection.receive(event)
      if (event.type === 'reconnect' || event.type === 'token') tryRefusedAgain(line)
    }
    settle(this)
    if (this.lines.length > 1) this.#closeLines()
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

export type LineEvent = Exclude<ConnectionEvent, { type: 'welcome' | 'goodbye' }>
