/**
 * What the parts of the sync machine share: its documents, what it has to write and to send, and what changed in the running turn. Each
 * part is a file of functions over it; `sync.ts` is where events come in and says which part does what.
 */

import type { Random } from '@meridian/core/effects'
import type { DeviceId, DocumentName, GroupId } from '@meridian/core/ids'
import type { Connection, ConnectionEvent, ConnectionTimes } from './connection.js'
import type { ClientDocument } from './document.js'
import type { Journal } from './journal.js'
import type { Locator } from './locate.js'
import type { Outbox } from './outbox.js'
import type { Outcome, Wanted } from './wanted.js'
import type { Outgoing } from './outgoing.js'
import type { Place, Places } from './places.js'
import type { Mark, RecordName } from './records.js'
import type { Session } from './session.js'
import type { ConnectionStatus } from './status.js'
import type { StoreOperation } from './store.js'

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
  /** An edit was made here, or is written here because the tab that made it will not: other tabs show it. */
  made(document: DocumentName, record: RecordName, payload: Uint8Array): void
  /** What became of an edit in the outbox; without a mark it is forgotten. */
  marked(document: DocumentName, record: RecordName, mark: Mark | undefined): void
  connectionChanged(): void
  /** More regions are to have what was saved, and another tab has the connection. */
  wanted(document: DocumentName, id: number, regions: number): void
}

/** What lines ask of the world, each under its number. */
export interface Carrier {
  /** For one more connection: counters of pushes are of one. */
  newDevice(): DeviceId
  requestToken(line: number): void
  dial(line: number, socket: number, url: string): void
  hangUp(line: number): void
  send(line: number, message: Uint8Array): void
  /** Answered by `answered` with what the place said of regions, later; milliseconds. */
  ask(line: number, place: Place, timeoutMs: number): void
  /** The user pays for what is sent. */
  isMetered(): boolean
}

export interface LineOptions {
  /** 0: the first one. */
  readonly number: number
  /** Counters of pushes are of one line, and so are their names (PUSH1). */
  readonly device: DeviceId
  /** Of all lines. */
  readonly places: Places
  readonly carrier: Carrier
  /** Where it may lead to. */
  readonly allowed: () => readonly Place[]
}

/** What the sync machine takes from the half that needs a network (`network.ts`). */
export interface Lines {
  newPlaces(urls: readonly string[]): Places
  newLine(shared: Shared, options: LineOptions): SyncState
}

export interface SyncOptions {
  /** Names this opening in the records of the store; a later opening's sorts behind. */
  readonly opening: string
  /** As the app was configured, valid. */
  readonly urls: readonly string[]
  /** False: another tab has the connection, until `lead()`. */
  readonly leads: boolean
  readonly tokens: 'fixed' | 'provided'
  readonly times?: ConnectionTimes
  /** Log records of an open document after which it is compacted, if they are worth it. Default 500. */
  readonly compactCount?: number
}

/** What goes over one connection. */
export interface SyncLine {
  /** 0: the first one. */
  readonly number: number
  readonly places: Places
  readonly carrier: Carrier
  readonly connection: Connection
  readonly locator: Locator
  readonly session: Session
  readonly outbox: Outbox
  /** Frames of the running turn. */
  readonly out: Outgoing
  /** Documents with a wait that ends. */
  readonly waiters: Set<ClientDocument>
  /** When the node last said what became of a push. */
  progressMs: number
  /** When anything last came from it, and when it was last asked whether it is there. */
  heardMs: number
  askedMs: number
  // What those ask of it who know no connections.
  receive(event: LineEvent): void
  message(socket: number, message: Uint8Array): void
  /** Attaches what is loaded, wanted, and not attached. */
  attach(documents: Iterable<ClientDocument>): void
  detach(document: ClientDocument): void
  /** Of a document that may not be here: puts it where it may be. */
  place(document: ClientDocument): void
  showPresence(document: ClientDocument): void
  /** Everything that this device holds of a document, asked for because the region lacks something. */
  stateRead(document: ClientDocument, state: Uint8Array): void
  /** What became of the edits of a document up to an age, in more regions than one. */
  outcome(name: DocumentName, age: number, wait: Wanted): Outcome
  /** The turn ends: waits that are over, and pushes. @returns when the next wait is over, in monotonic milliseconds. */
  work(nowMs: number): number | undefined
  /** One round of messages. @returns when the connection has something to do next. */
  sendOut(): number | undefined
}

/** What all of a client's connections have together. */
export interface Shared {
  readonly effects: SyncEffects
  readonly options: SyncOptions
  /** All of them, whatever line they are on. */
  readonly documents: Map<DocumentName, ClientDocument>
  readonly journal: Journal
  /** Places in the order of edits that were found in the outbox and whose documents are not loaded yet. */
  readonly ages: Map<string, number>
  /** False while another tab has the connection: then marks, cursors and compaction are that one's, and this one knows what it is told. */
  readonly leads: boolean
  /** Of the tab that has the connection. */
  readonly mirrored: ConnectionStatus | undefined
  /** How many regions hold a group, as far as one has said. */
  readonly regionCounts: Map<GroupId, number>
  /** What was told last. */
  readonly told: ConnectionStatus
  /** How often everything was written anew: what a read found that began before the last time is gone from the device. */
  readonly anewCount: number
  /** Of the running turn. */
  readonly changed: Set<ClientDocument>
  /** Before there is a line. */
  readonly early: ConnectionStatus
  /** The first one, and those for documents that may not be there. None before the network half is loaded (`network.ts`). */
  readonly lines: readonly SyncState[]
  /** @param allowed where it may lead to. */
  openLine(allowed: () => readonly Place[]): SyncState | undefined
}

/** As it looks from one line. */
export interface SyncState extends Shared, SyncLine {}

export type LineEvent = Exclude<ConnectionEvent, { type: 'welcome' | 'goodbye' }>

/** The sync machine as those may change it who speak for all of it. */
type Mutable = 'leads' | 'mirrored' | 'told' | 'anewCount'
export type SyncRoot = { -readonly [Field in Mutable]: Shared[Field] } & Omit<Shared, Mutable> & {
    /** Of all lines. */
    readonly places: Places | undefined
  }

/** The line that a document is on; undefined before there is one. */
export const lineOf = ({ lines }: Shared, document: ClientDocument | undefined): SyncState | undefined =>
  lines.find(({ number }) => number === document?.line) ?? lines[0]

/** The documents on a line. */
export const onLine = (sync: SyncState): ClientDocument[] =>
  [...sync.documents.values()].filter(({ line }) => line === sync.number)

export const connecting: ConnectionStatus = { kind: 'connecting' }

/** What is told of the connection: of the first one, unless another is asked about. */
export const connectionStatus = (sync: Shared, line: SyncState | undefined = sync.lines[0]): ConnectionStatus =>
  sync.mirrored ?? line?.connection.status ?? sync.early
