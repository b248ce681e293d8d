/**
 * The sync machine of one client: documents, outbox and cursors over one connection. Pure and synchronous: events in, effects out.
 * Here the events come in; what they do stands in a file for each noun, over one state (`sync-state.ts`).
 */

import { toMeridianError } from '@meridian/core/errors'
import type { DocumentName, GroupId } from '@meridian/core/ids'
import type { Version } from '@meridian/core/version'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { FrameReader } from '@meridian/core/wires/native/frame'
import { protocolVersion } from '@meridian/core/wires/native/frame'
import { attachLoaded, lacksRights, left, showPresence, tryRefusedAgain } from './attaching.js'
import type { ConnectionEvent } from './connection.js'
import { Connection, connectionTimes } from './connection.js'
import { ClientDocument } from './document.js'
import { ageText, foundEdit, takeEdits } from './edits.js'
import { newReader } from './frames.js'
import { Journal } from './journal.js'
import { Locator } from './locate.js'
import { writeDocumentAnew } from './lost-store.js'
import { Outbox } from './outbox.js'
import type { Outcome } from './outcome.js'
import { outcomeOf } from './outcome.js'
import { Outgoing } from './outgoing.js'
import type { Place } from './places.js'
import type { RecordName, StoredDocument } from './records.js'
import { recordText } from './records.js'
import { replacePremature, rescue } from './rescue.js'
import { Session } from './session.js'
import type { ConnectionStatus, DocumentStatus } from './status.js'
import type { SyncEffects, SyncOptions, SyncState } from './sync-state.js'
import { connecting, connectionStatus } from './sync-state.js'
import { settle } from './turn.js'

export class Sync implements SyncState {
  readonly effects: SyncEffects
  readonly options: SyncOptions
  readonly connection: Connection
  readonly locator: Locator
  readonly session = new Session()
  readonly documents = new Map<DocumentName, ClientDocument>()
  readonly outbox = new Outbox()
  readonly journal: Journal
  readonly ages = new Map<string, number>()
  readonly waiters = new Set<ClientDocument>()
  readonly out = new Outgoing()
  readonly changed = new Set<ClientDocument>()
  leads: boolean
  mirrored: ConnectionStatus | undefined
  told: ConnectionStatus
  progressMs = 0
  heardMs = 0
  askedMs = 0
  anewCount = 0
  #reader: FrameReader
  #deferred = false

  constructor(effects: SyncEffects, options: SyncOptions) {
    this.effects = effects
    this.options = options
    this.leads = options.leads
    if (!options.leads) this.mirrored = connecting
    this.journal = new Journal(options.opening)
    this.#reader = newReader(this)
    this.locator = new Locator(options.places, {
      monotonicMs: () => effects.monotonicMs(),
      random: effects.random,
      ask: (place, timeoutMs) => effects.ask(place, timeoutMs),
      isMetered: () => effects.isMetered(),
      move: () => this.connection.receive({ type: 'move' }),
    })
    this.connection = new Connection(
      {
        clock: effects.clock,
        monotonicMs: () => effects.monotonicMs(),
        random: effects.random,
        requestToken: () => effects.requestToken(),
        dial: (socket) => {
          this.locator.dialled()
          effects.dial(socket, this.locator.current.url)
        },
        hangUp: () => effects.hangUp(),
        send: (frame) => this.out.push(frame),
        greet: (token) => this.#greet(token),
        entered: (welcome) => {
          this.session.welcome = welcome
          this.heardMs = effects.monotonicMs()
          this.locator.entered(welcome.region)
        },
        left: () => left(this),
        lost: () => this.locator.lost(),
        destination: () => this.locator.destination,
      },
      { times: options.times ?? connectionTimes, tokens: options.tokens },
    )
    this.told = this.connectionStatus
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

  /** Now, as an age to ask `outcome` about later. */
  get age(): number {
    takeEdits(this)
    settle(this)
    return this.journal.number
  }

  /** Of the newest record of this opening. */
  get number(): number {
    return this.journal.number
  }

  /** What became of the edits of a document up to an age. */
  outcome(name: DocumentName, age: number): Outcome {
    return outcomeOf(this, name, age)
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
  open(name: DocumentName, interest: 'opened' | 'push only'): void {
    let document = this.documents.get(name)
    if (document === undefined) {
      document = new ClientDocument(name)
      this.documents.set(name, document)
    }
    if (interest === 'opened') document.open = true
    this.changed.add(document)
    attachLoaded(this, [document])
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
    attachLoaded(this, [document])
    settle(this)
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
    showPresence(this, document)
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
    if (needs === 'premature') replacePremature(this, document, state)
    else if (needs === 'rescue') rescue(this, document, state)
    settle(this)
  }

  // What the connection says.

  receive(event: Exclude<ConnectionEvent, { type: 'welcome' | 'goodbye' }>): void {
    if (event.type === 'close') this.mirrored = undefined
    if (event.type === 'close' || event.type === 'stop') this.locator.left()
    if (event.type === 'time') this.locator.time()
    // A node does not say when it has judged a new token, so whoever needs more than the old one allowed connects anew.
    if (event.type === 'token' && this.connection.phase === 'online' && lacksRights(this)) {
      this.connection.receive({ type: 'stop' })
      this.connection.receive({ type: 'start' })
    } else this.connection.receive(event)
    if (event.type === 'reconnect' || event.type === 'token') tryRefusedAgain(this)
    settle(this)
  }

  /** What a place said of regions, and how long that took; undefined: it did not answer. */
  answered(place: Place, roundTripMs: number | undefined, text: string): void {
    this.locator.answered(place, roundTripMs, text)
    settle(this)
  }

  message(socket: number, message: Uint8Array): void {
    if (socket !== this.connection.socket) return
    this.connection.heard()
    this.heardMs = this.effects.monotonicMs()
    try {
      this.#reader.receive(message)
    } catch (thrown) {
      this.connection.receive({ type: 'lost', socket, code: toMeridianError(thrown).code })
    }
    settle(this)
  }

  #greet(token: string): void {
    this.out.clear()
    this.#reader = newReader(this)
    this.out.push(encodeClientFrame({ type: 'hello', protocol: protocolVersion, device: this.options.device, token }))
    attachLoaded(this, [...this.documents.values()])
  }
}
