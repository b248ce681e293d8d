/**
 * How the documents of one session come to the head of the log: those that open read what their client lacks, those that fell behind
 * read on (SES4). Both end `live`, with a `current` frame; from there on the hub delivers.
 *
 * ```
 *   opening ─▶ snapshot, if the cursor does not cover it ─▶ entries ─▶ the tail in memory ─▶ live ─▶ behind ─▶ tail or log ─▶ live
 *      ▲                                                       │ a trim passed by                      │
 *      └───────────────────────────────────────────────────────┴──────────────────────────────────────┘
 * ```
 *
 * - SES1 The answer to an attach is as of the head of the log; no live update of the document goes out before.
 * - Several documents that fell behind read their group's log in its order, so that a cause comes before its effect.
 * - While the session's outflow is stalled nothing is read; at most `readsMax` reads are under way.
 */

import type { Attachment } from './attachment.js'
import type { Entry } from './entry.js'
import type { Hub } from './hub.js'
import type { Position } from './ids.js'
import { toPosition } from './ids.js'
import type { SessionLimits } from './limits.js'
import type { LiveDocument } from './live-document.js'
import type { LiveGroup } from './live-group.js'
import type { Done, LogErrorCode, Read } from './log.js'
import type { Outflow } from './outflow.js'
import { covers, emptyVersion, includes } from './version.js'
import type { Conversation, Wire } from './wire.js'

/** What a catch-up asks of its session. */
export interface CatchUpSession {
  /** False once the attachment, or the session, is gone. */
  holds(attachment: Attachment): boolean
  attachments(): Iterable<Attachment>
  deny(attachment: Attachment, code: LogErrorCode): void
  readonly conversation: Conversation
}

/** Entries of one read; decoding this many takes a few milliseconds. */
const readEntries = 4096

export class CatchUp {
  readonly #hub: Hub
  readonly #outflow: Outflow
  readonly #session: CatchUpSession
  readonly #limits: SessionLimits
  readonly #wire: Wire
  readonly #opening: Attachment[] = []
  #reads = 0
  /** True while documents that fell behind are read from the log. What is newer waits for them, so that log order holds across all. */
  #readingBehind = false
  #heldBack = false
  #running = false

  constructor(hub: Hub, outflow: Outflow, session: CatchUpSession, { wire, limits }: { wire: Wire; limits: SessionLimits }) {
    this.#wire = wire
    this.#hub = hub
    this.#outflow = outflow
    this.#session = session
    this.#limits = limits
  }

  /** What is newer waits, so that log order holds across all documents. */
  get isBehind(): boolean {
    return this.#readingBehind || this.#heldBack
  }

  /** A document was set behind and is read on with the next `run`. */
  holdBack(): void {
    this.#heldBack = true
  }

  /** Brings a document that was just attached to the head of the log. */
  open(attachment: Attachment): void {
    const { document } = attachment
    if (!document.isDoubtful && covers(attachment.cursor, document.version)) return this.#becomeLive(attachment)
    this.#opening.push(attachment)
    this.run()
  }

  /** Goes on behind `position`, up to which the client has been told everything by other means. */
  openFrom(attachment: Attachment, position: Position): void {
    attachment.position = position
    if (!attachment.document.isDoubtful && position >= attachment.document.position) return this.#becomeLive(attachment)
    this.#opening.push(attachment)
    this.run()
  }

  /** An attachment is gone. */
  forget(attachment: Attachment): void {
    const index = this.#opening.indexOf(attachment)
    if (index >= 0) this.#opening.splice(index, 1)
  }

  /** Goes on with whatever there is room for, and sends what came of it. */
  run(): void {
    if (!this.#running) {
      this.#running = true
      while (!this.#outflow.stalled && this.#step() === 'went on');
      this.#running = false
    }
    this.#outflow.throttle()
    this.#outflow.flush()
  }

  /** True if none of the group's documents that the client takes for current has missed something. */
  isAtHead(group: LiveGroup): boolean {
    for (const attachment of this.#session.attachments()) {
      if (attachment.document.group === group && attachment.told && attachment.state !== 'live') return false
    }
    return true
  }

  #step(): 'waits' | 'went on' {
    const attachment = this.#reads < this.#limits.readsMax ? this.#opening.shift() : undefined
    if (attachment === undefined) return this.#readingBehind ? 'waits' : this.#readOnBehind()
    if (this.#session.holds(attachment)) this.#begin(attachment)
    return 'went on'
  }

  // Opening.

  #begin(attachment: Attachment): void {
    const { snapshot } = attachment.document
    // It had begun before the session stalled, and goes on where it stood.
    if (attachment.position > 0) return this.#readOn(attachment)
    if (snapshot !== undefined && !covers(attachment.cursor, snapshot.version)) return this.#readSnapshot(attachment)
    attachment.position = snapshot?.position ?? toPosition(0)
    this.#readOn(attachment)
  }

  #readSnapshot(attachment: Attachment): void {
    this.#reads++
    this.#hub.effects.log.readSnapshot(attachment.document.name, (outcome) => {
      this.#reads--
      if (this.#session.holds(attachment)) {
        if (outcome.kind === 'failed') this.#session.deny(attachment, outcome.code)
        else if (outcome.value === undefined) this.#session.deny(attachment, 'DOCUMENT_DAMAGED')
        else {
          attachment.position = outcome.value.position
          attachment.cursor = outcome.value.version
          this.#outflow.stream(this.#session.conversation.stateFrame(attachment, outcome.value.state.bytes))
          this.#readOn(attachment)
        }
      }
      this.run()
    })
  }

  /** Reads entries beyond the attachment's position until memory holds the rest. */
  #readOn(attachment: Attachment): void {
    const { document } = attachment
    if (this.#outflow.stalled) {
      this.#opening.push(attachment)
      return
    }
    if (attachment.position >= document.position || this.#hub.remembers(document, attachment.position)) {
      return this.#finish(attachment)
    }
    const from = attachment.position
    this.#reads++
    this.#hub.effects.log.readDocument(document.name, from, this.#readLimit, (outcome) => {
      this.#reads--
      if (this.#session.holds(attachment)) {
        if (outcome.kind === 'failed') this.#session.deny(attachment, outcome.code)
        else if (outcome.value.trimmed > from) this.#reopen(attachment)
        else {
          this.#sendEntries(outcome.value.entries, (entry) =>
            includes(attachment.cursor, entry.replica, entry.sequence) ? undefined : attachment,
          )
          attachment.position = outcome.value.asOf
          this.#readOn(attachment)
        }
      }
      this.run()
    })
  }

  /** A trim passed by: starts over at the newest snapshot. Whatever the client gets twice does no harm. */
  #reopen(attachment: Attachment): void {
    this.#reads++
    this.#hub.refresh(attachment.document, (code) => {
      this.#reads--
      if (this.#session.holds(attachment)) {
        if (code !== undefined) this.#session.deny(attachment, code)
        else {
          attachment.state = 'opening'
          attachment.position = toPosition(0)
          this.#opening.push(attachment)
        }
      }
      this.run()
    })
  }

  #finish(attachment: Attachment): void {
    const { document, cursor } = attachment
    if (attachment.position < document.position) {
      this.#session.conversation.beforeUpdates()
      let bytes = 0
      attachment.position = this.#hub.tail.visit(attachment.position, (entry) => {
        const lacks = entry.document === document && !includes(cursor, entry.replica, entry.sequence)
        if (lacks && entry.payload.length > 0) bytes = this.#sendHeld(entry.frame(this.#wire, document.handle), bytes)
        return this.#outflow.stalled ? 'stop' : 'go on'
      })
      if (attachment.position < document.position) {
        this.#opening.push(attachment)
        return
      }
    }
    this.#becomeLive(attachment)
  }

  /** Everything was sent up to the head of the log. */
  #becomeLive(attachment: Attachment): void {
    attachment.state = 'live'
    attachment.told = true
    attachment.cursor = emptyVersion
    this.#session.conversation.beforeUpdates()
    this.#sayCurrent(attachment)
    for (const presence of this.#hub.presence.others(attachment))
      for (const frame of presence.outgoing(this.#wire)?.messages ?? []) this.#outflow.stream(frame)
  }

  #sayCurrent(attachment: Attachment): void {
    const frame = this.#session.conversation.currentFrame(attachment)
    if (frame !== undefined) this.#outflow.stream(frame)
  }

  // Reading on after having fallen behind.

  #readOnBehind(): 'waits' | 'went on' {
    this.#heldBack = false
    const behind = [...this.#session.attachments()].filter((attachment) => attachment.state === 'behind')
    const [first] = behind
    if (first === undefined) return 'waits'
    let from: Position = first.position
    for (const attachment of behind) if (attachment.position < from) from = attachment.position
    if (this.#hub.tail.reaches(from)) this.#followTail(behind, from)
    else this.#readBehind(first.document.group, behind, from)
    return this.#readingBehind ? 'waits' : 'went on'
  }

  #followTail(behind: readonly Attachment[], from: Position): void {
    const byDocument = new Map<LiveDocument, Attachment>()
    for (const attachment of behind) byDocument.set(attachment.document, attachment)
    this.#session.conversation.beforeUpdates()
    let bytes = 0
    const last = this.#hub.tail.visit(from, (entry) => {
      const attachment = entry.document === undefined ? undefined : byDocument.get(entry.document)
      if (attachment !== undefined && entry.position > attachment.position && entry.payload.length > 0) {
        bytes = this.#sendHeld(entry.frame(this.#wire, attachment.document.handle), bytes)
      }
      return this.#outflow.stalled ? 'stop' : 'go on'
    })
    for (const attachment of behind) {
      if (attachment.position < last) attachment.position = last
      if (last < this.#hub.tail.head) continue
      attachment.state = 'live'
      this.#sayCurrent(attachment)
    }
  }

  /** Sends a frame from memory, and what was collected when it is as much as one read brings. Returns the bytes collected since. */
  #sendHeld(frame: Uint8Array, bytes: number): number {
    this.#outflow.stream(frame)
    if (bytes + frame.length <= this.#limits.readBytes) return bytes + frame.length
    this.#outflow.flush()
    return 0
  }

  /** One document reads its own entries; several read their group's. */
  #readBehind(group: LiveGroup, behind: readonly Attachment[], from: Position): void {
    const mine = behind.filter((attachment) => attachment.document.group === group)
    this.#readingBehind = true
    const done: Done<Read> = (outcome) => {
      this.#readingBehind = false
      const still = mine.filter((attachment) => this.#session.holds(attachment) && attachment.state === 'behind')
      if (outcome.kind === 'failed') for (const attachment of still) this.#session.deny(attachment, outcome.code)
      else if (outcome.value.trimmed > from) for (const attachment of still) this.#reopenBehind(attachment)
      else this.#sendBehind(still, outcome.value)
      this.run()
    }
    const { log } = this.#hub.effects
    const [only] = mine
    if (only !== undefined && mine.length === 1) log.readDocument(only.document.name, from, this.#readLimit, done)
    else log.readGroup(group.id, from, this.#readLimit, done)
  }

  #sendBehind(behind: readonly Attachment[], read: Read): void {
    const byName = new Map(behind.map((attachment) => [attachment.document.name, attachment]))
    this.#sendEntries(read.entries, (entry) => {
      const attachment = entry.document === undefined ? undefined : byName.get(entry.document)
      return attachment !== undefined && entry.position > attachment.position ? attachment : undefined
    })
    for (const attachment of behind) if (attachment.position < read.asOf) attachment.position = read.asOf
  }

  #reopenBehind(attachment: Attachment): void {
    attachment.state = 'opening'
    attachment.cursor = emptyVersion
    this.#reopen(attachment)
  }

  #sendEntries(entries: readonly Entry[], wanted: (entry: Entry) => Attachment | undefined): void {
    for (const entry of entries) {
      if (entry.kind !== 'update') continue
      const attachment = wanted(entry)
      if (attachment === undefined) continue
      const { handle } = attachment.document
      const replicaIndex = this.#hub.replicaIndex(entry.replica)
      this.#session.conversation.beforeUpdates()
      const { sequence, payload } = entry
      this.#outflow.stream(this.#wire.encodeUpdate({ handle, replicaIndex, sequence, payload }))
    }
  }

  get #readLimit(): { readonly bytes: number; readonly entries: number } {
    return { bytes: this.#limits.readBytes, entries: readEntries }
  }
}
