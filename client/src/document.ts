/**
 * One document as the sync machine knows it: life, cursor, outbox items, and where it stands with the region. Bytes only: the live
 * `Y.Doc` belongs to `live.ts`, and a document that is only being pushed has none.
 *
 * ```
 *   loading ─▶ detached ─attach─▶ attaching ─attached─▶ receiving ─current─▶ current
 *                 ▲                   │ denied              │                   │
 *                 └── lost ───────────┴──▶ waiting, refused, redirected ◀───────┘      erased (from any)
 * ```
 */

import type { EngineName } from '@meridian/core/engine'
import type { Access, Redirect } from '@meridian/core/effects'
import type { ErrorCode } from '@meridian/core/errors'
import { unreachable } from '@meridian/core/errors'
import type { DocumentName, GroupId } from '@meridian/core/ids'
import type { Dot, MutableVersion } from '@meridian/core/version'
import { merge, mutableVersion } from '@meridian/core/version'
import type { LiveGroup } from './live-group.js'
import type { OutboxItem } from './outbox-item.js'
import type { Mark, RecordName, StoredDocument } from './records.js'
import { recordText, updatesOf } from './records.js'
import type { DocumentStatus } from './status.js'
import { engineOf } from './updates.js'

export interface Attachment {
  readonly channel: number
  readonly handle: number
  readonly group: LiveGroup
  readonly access: Access
}

export type Link =
  | { readonly kind: 'loading' }
  | { readonly kind: 'detached' }
  | { readonly kind: 'attaching'; readonly channel: number }
  | ({ readonly kind: 'receiving' } & Attachment)
  | ({ readonly kind: 'current' } & Attachment)
  | { readonly kind: 'waiting'; readonly code: ErrorCode; readonly untilMs: number }
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  | { readonly kind: 'redirected'; readonly redirects: readonly Redirect[] }
  | { readonly kind: 'erased'; readonly life: number }

/** SES5: the region lacks what this client had seen; what it sent stands here until the local state can be compared with it. */
export interface Rescue {
  readonly received: Uint8Array[]
  /** Becomes the cursor when what the region lacks is in the outbox. */
  readonly version: MutableVersion
}

/** Documents that were attached at once: what comes for a group waits until the last of the group is current. */
export interface Batch {
  readonly pending: Set<ClientDocument>
  held: Arrival[]
}

/** An edit of an earlier opening. */
export interface StoredEdit {
  readonly name: RecordName
  readonly mark: Mark
  readonly payload: Uint8Array
}

/** What came for a document, in the order in which it came. */
export type Arrival =
  | { readonly kind: 'data'; readonly document: ClientDocument; readonly payload: Uint8Array; readonly dot: Dot | undefined }
  | { readonly kind: 'current'; readonly document: ClientDocument; readonly version: MutableVersion }
  /** An own push became part of what was received. */
  | { readonly kind: 'dot'; readonly document: ClientDocument; readonly dot: Dot }

export class ClientDocument {
  readonly name: DocumentName
  /** What whoever has it open takes it for, or what the device holds is. */
  engine: EngineName = 'yjs'
  /** Somebody has it open. */
  open = false
  link: Link = { kind: 'loading' }
  /** The number of the connection that it belongs on. */
  line = 0
  /** The regions that may have it, if one that may not has said so; and how often one did in a row. */
  redirects: readonly Redirect[] = []
  hops = 0
  /** 0 if the document was never attached. */
  life = 0
  group: GroupId | undefined
  cursor: MutableVersion = mutableVersion()
  /** Whose token the attach of this connection carried. */
  seenGroup: GroupId | undefined
  /** What the outbox has not forgotten, oldest first. */
  readonly items = new Map<number, OutboxItem>()
  /** Saved items that wait for more regions. */
  keptCount = 0
  refusedCount = 0
  /** Items of other tabs that are not on the device yet: nothing of the document is pushed before them. */
  heldCount = 0
  /** Of another tab, which has the connection. */
  mirror: DocumentStatus | undefined
  /** Edits of this turn. */
  edits: Uint8Array[] = []
  /** Log records that no snapshot stands for yet. */
  log = new Map<string, RecordName>()
  /** Openings whose snapshots are known here. */
  snapshots = new Set<string>()
  logBytes = 0
  snapshotBytes = 0
  batch: Batch | undefined
  rescue: Rescue | undefined
  /** The local state was asked for: nothing is pushed until it comes. */
  needs: 'nothing' | 'rescue' | 'premature' = 'nothing'
  /** Nothing is pushed before that, because the region refused this document's pushes for a while. */
  blockedUntilMs: number | undefined
  /** Why the region took no push of this document, until it takes one. */
  blockedBy: ErrorCode | undefined
  attempt = 0
  /** What this session shows of itself, as an awareness update; empty for nothing. */
  presence: Uint8Array = new Uint8Array(0)
  /** A push was refused for good and later ones build on it. */
  halted: ErrorCode | undefined

  #status: DocumentStatus = { kind: 'loading', pending: 0 }

  constructor(name: DocumentName) {
    this.name = name
  }

  /** Takes in what the device holds, and answers what of it the outbox has not forgotten. */
  adopt(stored: StoredDocument): StoredEdit[] {
    if (this.link.kind === 'loading') this.link = { kind: 'detached' }
    for (const { opening, payload } of stored.snapshots) {
      if (!this.snapshots.has(opening)) this.snapshotBytes += payload.length
      this.snapshots.add(opening)
    }
    if (stored.head !== undefined) {
      this.life = Math.max(this.life, stored.head.life)
      this.group ??= stored.head.group
      merge(this.cursor, stored.head.cursor)
      if (this.redirects.length === 0) this.redirects = stored.head.redirects
    }
    // What was made or received since it was opened is known already.
    const payloads = new Map<string, Uint8Array>()
    for (const { name, payload } of stored.log) {
      const text = recordText(name)
      if (this.log.has(text)) continue
      payloads.set(text, payload)
      this.log.set(text, name)
      this.logBytes += payload.length
    }
    if (!this.open) this.engine = engineOf(updatesOf(stored)) ?? this.engine
    const edits: StoredEdit[] = []
    for (const { name, mark } of stored.marks) {
      const payload = payloads.get(recordText(name))
      if (payload !== undefined) edits.push({ name, mark, payload })
    }
    return edits
  }

  /** What is on the device and not in the outbox is not this opening's to fold. */
  disown(): void {
    const held = new Set([...this.items.values()].map(({ record }) => recordText(record)))
    for (const text of this.log.keys()) if (!held.has(text)) this.log.delete(text)
    this.snapshots.clear()
    this.snapshotBytes = 0
  }

  /** Edits that were made before the older ones were found. */
  sortItems(): void {
    const items = [...this.items.values()].sort((a, b) => a.age - b.age)
    this.items.clear()
    for (const item of items) this.items.set(item.age, item)
  }

  /** The item whose log record has that name. */
  item(record: RecordName): OutboxItem | undefined {
    for (const item of this.items.values())
      if (item.record.number === record.number && item.record.opening === record.opening) return item
    return undefined
  }

  /** Edits that no region has saved. */
  get pending(): number {
    return this.items.size - this.keptCount - this.refusedCount + this.edits.length
  }

  /** Something is left to do for it though nobody has it open. */
  get isBusy(): boolean {
    return this.items.size > this.refusedCount || this.edits.length > 0 || this.needs !== 'nothing'
  }

  get attachment(): Attachment | undefined {
    return this.link.kind === 'receiving' || this.link.kind === 'current' ? this.link : undefined
  }

  get channel(): number | undefined {
    return this.link.kind === 'attaching' ? this.link.channel : this.attachment?.channel
  }

  /** The same object until something changes. */
  get status(): DocumentStatus {
    const next = this.#describe()
    if (!sameStatus(this.#status, next)) this.#status = next
    return this.#status
  }

  #describe(): DocumentStatus {
    const { link, pending } = this
    const code = this.halted ?? this.#refusedCode()
    switch (link.kind) {
      case 'loading':
        return { kind: 'loading', pending }
      case 'detached':
        return this.#describeMirror()
      case 'attaching':
      case 'receiving':
        return { kind: 'syncing', pending }
      case 'current':
        if (code !== undefined) return { kind: 'refused', pending, code }
        return this.#describeCurrent(link)
      case 'waiting':
        return { kind: 'waiting', pending, code: link.code }
      case 'refused':
        return { kind: 'refused', pending, code: link.code }
      case 'redirected':
        return { kind: 'redirected', pending, redirects: link.redirects }
      case 'erased':
        return { kind: 'erased', pending: 0 }
      default:
        return unreachable(link)
    }
  }

  #describeCurrent({ access, group }: Attachment): DocumentStatus {
    const { pending } = this
    const code = pending === 0 ? undefined : (this.blockedBy ?? group.code)
    if (code !== undefined) return { kind: 'waiting', pending, code }
    return { kind: this.batch === undefined ? 'current' : 'syncing', pending, access }
  }

  #describeMirror(): DocumentStatus {
    const { mirror, pending } = this
    switch (mirror?.kind) {
      case 'syncing':
      case 'current':
      case 'waiting':
      case 'refused':
      case 'redirected':
        return { ...mirror, pending }
      default:
        // The connection to where it may be is not there yet, or not any more.
        return this.redirects.length > 0 && this.line > 0
          ? { kind: 'redirected', pending, redirects: this.redirects }
          : { kind: 'offline', pending }
    }
  }

  #refusedCode(): ErrorCode | undefined {
    if (this.refusedCount === 0) return undefined
    for (const item of this.items.values()) if (item.state === 'refused') return item.code
    return undefined
  }
}

function sameStatus(a: DocumentStatus, b: DocumentStatus): boolean {
  if (a.kind !== b.kind || a.pending !== b.pending) return false
  if ('code' in a && 'code' in b && a.code !== b.code) return false
  if ('access' in a && 'access' in b && a.access !== b.access) return false
  return !('redirects' in a && 'redirects' in b && a.redirects !== b.redirects)
}
