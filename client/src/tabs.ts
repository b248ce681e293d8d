/**
 * What the tabs of one browser tell each other, so that they share one connection and are in step without a network. Pure: the channel
 * and the locks are handed in (`io/tabs.ts`).
 *
 * ```
 *   follower ──lock granted──▶ leader ──taken over by force──▶ follower
 * ```
 *
 * Each tab has a sync machine of its own and knows the edits of all tabs that no region has saved; only the leader's machine has a
 * connection. So a tab that takes over has everything that its predecessor had, and what that had sent already adds nothing (SES7).
 *
 * - An edit is shown by the other tabs at once. It is *held*, and not sent, until the tab that made it has it on the device: then nothing
 *   that the leader writes about it can come before it (SES2). If that tab dies first, the leader writes it.
 * - Only the leader moves cursors and marks of the outbox, and compacts. Should two take themselves for it, nothing is lost: every record
 *   names its opening (`records.ts`).
 * - A tab is known by its opening. That it is gone is seen by its lock, which the browser gives back.
 */

import type { AwarenessEntry } from '@meridian/core/awareness'
import type { EngineName } from '@meridian/core/engine'
import type { DocumentName } from '@meridian/core/ids'
import { unreachable } from '@meridian/core/errors'
import type { Outcome } from './wanted.js'
import type { Mark, RecordName } from './records.js'
import type { ConnectionStatus, DocumentStatus } from './status.js'

/** What tabs of one version of this client say; another version has a channel of another name. */
export type TabMessage =
  /** A tab that is new here: who leads, says so. */
  | { readonly type: 'hello'; readonly tab: string }
  /** Without a connection: it still reads the device, and says so again when it is ready. `isNew`: it was not before. */
  | {
      readonly type: 'leads'
      readonly tab: string
      readonly connection: ConnectionStatus | undefined
      readonly isNew: boolean
    }
  | { readonly type: 'connection'; readonly tab: string; readonly connection: ConnectionStatus }
  /** Somebody has the document open in that tab, or not any more. */
  | { readonly type: 'opened'; readonly tab: string; readonly document: DocumentName; readonly engine: EngineName }
  | { readonly type: 'closed'; readonly tab: string; readonly document: DocumentName }
  /** Answer to `opened`: what the leader has received of it is on the device. */
  | { readonly type: 'flushed'; readonly tab: string; readonly to: string; readonly document: DocumentName }
  /** Said again when the leader changes. `isOrphan`: by another tab, because the one that made it died before the device had it. */
  | {
      readonly type: 'edit'
      readonly tab: string
      readonly document: DocumentName
      readonly record: RecordName
      readonly payload: Uint8Array
      readonly isOrphan: boolean
    }
  /** All records of the tab up to that number are on the device, or will not be for now. */
  | { readonly type: 'stored'; readonly tab: string; readonly number: number; readonly isDurable: boolean }
  /** What became of an edit in the leader's outbox; without a mark it is forgotten. */
  | {
      readonly type: 'marked'
      readonly tab: string
      readonly document: DocumentName
      readonly record: RecordName
      readonly mark: Mark | undefined
    }
  /** Found on the device as not saved: the leader says what became of them since. */
  | { readonly type: 'found'; readonly tab: string; readonly document: DocumentName; readonly records: readonly RecordName[] }
  /** From the region. */
  | { readonly type: 'show'; readonly tab: string; readonly document: DocumentName; readonly updates: readonly Uint8Array[] }
  | { readonly type: 'status'; readonly tab: string; readonly document: DocumentName; readonly status: DocumentStatus }
  | { readonly type: 'erased'; readonly tab: string; readonly document: DocumentName }
  | {
      readonly type: 'presence'
      readonly tab: string
      readonly document: DocumentName
      readonly entries: readonly AwarenessEntry[]
    }
  | {
      readonly type: 'peers'
      readonly tab: string
      readonly document: DocumentName
      readonly session: number
      readonly subject: string
      readonly update: Uint8Array
    }
  /** For whoever leads. */
  | { readonly type: 'ask'; readonly tab: string; readonly what: 'reconnect' | 'probe' }
  | { readonly type: 'token'; readonly tab: string; readonly token: string | undefined }
  /** `saved({ regions })` of a tab, for whoever leads, once a region has saved what it waits for; and the answer. */
  | {
      readonly type: 'want'
      readonly tab: string
      readonly document: DocumentName
      readonly id: number
      readonly regions: number
    }
  | {
      readonly type: 'wanted'
      readonly tab: string
      readonly to: string
      readonly document: DocumentName
      readonly id: number
      readonly outcome: Outcome
    }
  /** The user has signed out in one tab. */
  | { readonly type: 'signOut'; readonly tab: string }

/** A message as the tab that says it has it: who says it is added. */
export type SaidMessage = TabMessage extends infer Message ? (Message extends TabMessage ? Omit<Message, 'tab'> : never) : never

/** The channel and the locks of one store, as one tab has them. */
export interface TabPort {
  /** To all other tabs, in order. Never throws. */
  post(message: TabMessage): void
  /** Waits until no other tab leads, or takes it from the one that does. `lost` when another one took it. */
  lead(how: 'wait' | 'take', granted: () => void, lost: () => void): void
  /** Calls back when that tab is gone. */
  watch(tab: string, gone: () => void): void
  close(): void
}

/** Opens the port of a tab; called once. `message` is called for what other tabs post from then on, never before it returns. */
export type OpenTabPort = (tab: string, message: (message: TabMessage) => void) => TabPort

export interface TabsEffects {
  after(ms: number, run: () => void): () => void
  /** Undefined while this tab is not ready to lead. */
  connection(): ConnectionStatus | undefined
  /** This tab leads from now on; `isAlone` if it never met another one. */
  promoted(isAlone: boolean): void
  demoted(): void
  /** Another one leads, and is ready: it is to be told what is open here, and which edits are not saved. */
  led(): void
  /** For whoever leads: the documents that other tabs have open are others than before. */
  interest(document: DocumentName, isWanted: boolean): void
  gone(tab: string): void
  /** What the leader had received is on the device only now: whoever did not wait for it has read too early. */
  flushedLate(document: DocumentName): void
  heard(message: Exclude<TabMessage, { type: 'hello' | 'leads' | 'closed' | 'flushed' }>): void
}

/** Milliseconds that an opening document waits for the leader to have written what it received. It answers in a few. */
const flushTimeoutMs = 250
/** Milliseconds that a leader has to answer before a tab that is in use takes its place: a browser may freeze tabs in the background. */
const answerTimeoutMs = 3_000

export class Tabs {
  readonly tab: string
  readonly #port: TabPort
  readonly #effects: TabsEffects
  #isLeading = false
  #leader: string | undefined
  /** Of documents that other tabs have open. */
  readonly #engines = new Map<DocumentName, EngineName>()
  readonly #others = new Map<string, Set<DocumentName>>()
  /** Their last messages may come after the word of their end. */
  readonly #gone = new Set<string>()
  #flushes = new Map<DocumentName, () => void>()
  #cancelCheck: (() => void) | undefined
  #isClosed = false
  #isAlone = true

  constructor(tab: string, open: OpenTabPort, effects: TabsEffects) {
    this.tab = tab
    this.#effects = effects
    this.#port = open(tab, (message) => this.#receive(message))
    this.#port.post({ type: 'hello', tab })
    this.#lead('wait')
  }

  get isLeading(): boolean {
    return this.#isLeading
  }

  /** Whether anybody listens. */
  get hasOthers(): boolean {
    return this.#others.size > 0
  }

  isGone(tab: string): boolean {
    return this.#gone.has(tab)
  }

  /** Whether another tab has the document open. */
  isWanted(document: DocumentName): boolean {
    for (const documents of this.#others.values()) if (documents.has(document)) return true
    return false
  }

  /** As what another tab has it open. */
  engineOf(document: DocumentName): EngineName | undefined {
    return this.#engines.get(document)
  }

  wanted(): DocumentName[] {
    return [...new Set([...this.#others.values()].flatMap((documents) => [...documents]))]
  }

  /** Whether or not anybody was met yet: another tab may have begun to listen a moment ago. */
  post(message: SaidMessage): void {
    if (!this.#isClosed) this.#port.post({ ...message, tab: this.tab })
  }

  /** Resolves when what the leader has received of a document is on the device, or there is no leader that says so. */
  opened(document: DocumentName, engine: EngineName): Promise<void> {
    if (this.#isLeading) return Promise.resolve()
    this.#port.post({ type: 'opened', tab: this.tab, document, engine })
    return new Promise((resolve) => {
      const done = (): void => {
        cancel()
        this.#flushes.delete(document)
        resolve()
      }
      const cancel = this.#effects.after(flushTimeoutMs, done)
      this.#flushes.set(document, done)
    })
  }

  /** Somebody uses this tab: does the leader still answer? */
  check(): void {
    if (this.#isLeading || this.#isClosed || this.#cancelCheck !== undefined) return
    this.#port.post({ type: 'hello', tab: this.tab })
    this.#cancelCheck = this.#effects.after(answerTimeoutMs, () => {
      this.#cancelCheck = undefined
      if (!this.#isLeading && !this.#isClosed) this.#lead('take')
    })
  }

  /** Everything is ready: the others are told. */
  announce(isNew = true): void {
    this.#port.post({ type: 'leads', tab: this.tab, connection: this.#effects.connection(), isNew })
  }

  close(): void {
    this.#isClosed = true
    this.#cancelCheck?.()
    for (const done of this.#flushes.values()) done()
    this.#port.close()
  }

  #lead(how: 'wait' | 'take'): void {
    this.#port.lead(
      how,
      () => {
        if (this.#isClosed || this.#isLeading) return
        this.#isLeading = true
        this.#leader = this.tab
        for (const done of this.#flushes.values()) done()
        this.#effects.promoted(this.#isAlone)
      },
      () => {
        if (this.#isClosed || !this.#isLeading) return
        this.#isLeading = false
        this.#effects.demoted()
        this.#lead('wait')
      },
    )
  }

  #receive(message: TabMessage): void {
    if (this.#isClosed) return
    this.#meet(message.tab)
    switch (message.type) {
      case 'hello':
        if (this.#isLeading) this.announce(false)
        return
      case 'leads':
        this.#cancelCheck?.()
        this.#cancelCheck = undefined
        if (message.connection === undefined) return
        this.#effects.heard({ type: 'connection', tab: message.tab, connection: message.connection })
        if (this.#leader === message.tab && !message.isNew) return
        this.#leader = message.tab
        return this.#effects.led()
      case 'opened':
        this.#others.get(message.tab)?.add(message.document)
        this.#engines.set(message.document, message.engine)
        if (this.#isLeading) this.#effects.interest(message.document, true)
        return this.#effects.heard(message)
      case 'closed':
        this.#others.get(message.tab)?.delete(message.document)
        if (this.isWanted(message.document)) return
        this.#engines.delete(message.document)
        this.#effects.interest(message.document, false)
        return
      case 'flushed':
        if (message.to !== this.tab) return
        if (this.#flushes.has(message.document)) this.#flushes.get(message.document)?.()
        else this.#effects.flushedLate(message.document)
        return
      case 'show':
      case 'status':
      case 'connection':
      case 'marked':
      case 'erased':
      case 'peers':
      case 'edit':
      case 'found':
      case 'stored':
      case 'presence':
      case 'ask':
      case 'token':
      case 'want':
      case 'wanted':
      case 'signOut':
        return this.#effects.heard(message)
      default:
        unreachable(message)
    }
  }

  #meet(tab: string): void {
    if (this.#others.has(tab) || this.#gone.has(tab)) return
    this.#isAlone = false
    this.#others.set(tab, new Set())
    this.#port.watch(tab, () => {
      const documents = this.#others.get(tab)
      this.#others.delete(tab)
      this.#gone.add(tab)
      if (this.#isClosed || documents === undefined) return
      this.#effects.gone(tab)
      for (const document of documents) if (!this.isWanted(document)) this.#effects.interest(document, false)
    })
  }
}
