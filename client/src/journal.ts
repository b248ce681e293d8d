/**
 * What the sync machine has to write on the device, collected over a turn into one batch (SES1: a cursor stands in the same batch as what
 * it claims), and the session tokens of groups, which are written with it (SES5).
 */

import { unreachable } from '@meridian/core/errors'
import type { GroupId } from '@meridian/core/ids'
import type { Dot, MutableVersion, Version } from '@meridian/core/version'
import { include, merge, mutableVersion } from '@meridian/core/version'
import type { ClientDocument } from './document.js'
import type { OutboxItem } from './outbox-item.js'
import type { Mark, RecordName } from './records.js'
import * as records from './records.js'
import type { StoreOperation } from './store.js'

/** A log this many times longer than `compactCount` is compacted whatever its bytes: opening a document applies each record. */
const compactFactor = 8

export class Journal {
  readonly #opening: string
  #number = 0
  #voids = 0
  #batch: StoreOperation[] = []
  readonly #tokens = new Map<GroupId, MutableVersion>()
  readonly #changedTokens = new Set<GroupId>()
  readonly #changedHeads = new Set<ClientDocument>()

  constructor(opening: string) {
    this.#opening = opening
  }

  /** Grows with every record of this opening, and so with every edit. */
  get number(): number {
    return this.#number
  }

  /** How often a token was cut down: what was to be waited for by it may never come. */
  get voids(): number {
    return this.#voids
  }

  nextName(): RecordName {
    return { opening: this.#opening, number: ++this.#number }
  }

  /** What this client has seen of a group; undefined if nothing. */
  tokenOf(group: GroupId | undefined): Version | undefined {
    return group === undefined ? undefined : this.#tokens.get(group)
  }

  seen(group: GroupId, version: Version): void {
    merge(this.#token(group), version)
    this.#changedTokens.add(group)
  }

  seenDot(group: GroupId, dot: Dot): void {
    include(this.#token(group), dot.replica, dot.sequence)
    this.#changedTokens.add(group)
  }

  /** After a rescue: drops from the token what the region lacks. */
  replaceToken(group: GroupId, version: Version): Version {
    const token = mutableVersion(version)
    this.#voids++
    this.#tokens.set(group, token)
    this.#changedTokens.add(group)
    return token
  }

  headChanged(document: ClientDocument): void {
    this.#changedHeads.add(document)
  }

  log(document: ClientDocument, record: RecordName, payload: Uint8Array): void {
    this.#batch.push({ kind: 'put', key: records.logKey(document.name, record), value: payload })
    document.log.set(records.recordText(record), record)
    document.logBytes += payload.length
  }

  /** The log record of an item: it stands for something else now (PREMATURE), or the tab that made it may not have written it. */
  rewrite(document: ClientDocument, item: OutboxItem): void {
    this.#batch.push({ kind: 'put', key: records.logKey(document.name, item.record), value: item.payload })
  }

  mark(document: ClientDocument, item: OutboxItem, mark: Mark): void {
    this.#batch.push({ kind: 'put', key: records.markKey(document.name, item.record), value: records.encodeMark(mark) })
  }

  unmark(document: ClientDocument, record: RecordName): void {
    this.#batch.push({ kind: 'delete', key: records.markKey(document.name, record) })
  }

  /** Which regions there are. */
  regions(text: string): void {
    this.#batch.push({ kind: 'put', key: records.regionsKey, value: records.encodeRegions(text) })
  }

  /** RES7: nothing of the document stays. */
  erase(document: ClientDocument): void {
    this.#changedHeads.delete(document)
    this.#batch.push(
      { kind: 'clear', prefix: records.documentPrefix(document.name) },
      { kind: 'clear', prefix: records.outboxDocumentPrefix(document.name) },
    )
  }

  /**
   * Folds the log into one snapshot if it has grown enough to be worth it. Records that the outbox still needs stay.
   *
   * @param count records from which on it is looked at.
   * @param snapshot everything that the log holds, or undefined if nobody has it as one.
   */
  compact(document: ClientDocument, count: number, snapshot: () => Uint8Array | undefined): void {
    if (document.log.size < count) return
    if (document.logBytes * 2 < document.snapshotBytes && document.log.size < count * compactFactor) return
    const state = snapshot()
    if (state === undefined) return
    const needed = new Set<string>()
    let neededBytes = 0
    for (const item of document.items.values()) {
      needed.add(records.recordText(item.record))
      neededBytes += item.payload.length
    }
    for (const opening of document.snapshots) {
      if (opening !== this.#opening) this.#batch.push({ kind: 'delete', key: records.snapshotKey(document.name, opening) })
    }
    this.#snapshot(document, state)
    for (const [text, record] of document.log) {
      if (needed.has(text)) continue
      this.#batch.push({ kind: 'delete', key: records.logKey(document.name, record) })
      document.log.delete(text)
    }
    document.logBytes = neededBytes
  }

  /**
   * What an empty store gets of a document: its state as a snapshot, if there is one, and what the outbox has not forgotten.
   *
   * @param isOurs whether this opening is the one to write an item.
   */
  anew(document: ClientDocument, state: Uint8Array | undefined, isOurs: (item: OutboxItem) => boolean): void {
    document.log.clear()
    document.logBytes = 0
    document.snapshots.clear()
    document.snapshotBytes = 0
    if (state !== undefined) this.#snapshot(document, state)
    for (const item of document.items.values()) {
      document.log.set(records.recordText(item.record), item.record)
      document.logBytes += item.payload.length
      item.isCopied = false
      if (!isOurs(item)) continue
      this.rewrite(document, item)
      this.mark(document, item, markOf(item))
    }
  }

  /** Every session token is written again. */
  tokensAnew(): void {
    for (const group of this.#tokens.keys()) this.#changedTokens.add(group)
  }

  /** The batch of this turn; empty if there is nothing to write. */
  take(): StoreOperation[] {
    for (const document of this.#changedHeads) {
      const { life, group, cursor, redirects } = document
      this.#batch.push({
        kind: 'put',
        key: records.headKey(document.name),
        value: records.encodeHead({ life, group, cursor, redirects }),
      })
    }
    this.#changedHeads.clear()
    for (const group of this.#changedTokens) {
      this.#batch.push({ kind: 'put', key: records.tokenKey(group), value: records.encodeToken(this.#token(group)) })
    }
    this.#changedTokens.clear()
    const batch = this.#batch
    this.#batch = []
    return batch
  }

  #snapshot(document: ClientDocument, state: Uint8Array): void {
    this.#batch.push({ kind: 'put', key: records.snapshotKey(document.name, this.#opening), value: state })
    document.snapshots = new Set([this.#opening])
    document.snapshotBytes = state.length
  }

  #token(group: GroupId): MutableVersion {
    let token = this.#tokens.get(group)
    if (token === undefined) {
      token = mutableVersion()
      this.#tokens.set(group, token)
    }
    return token
  }
}

/** How an item stands in the outbox, as its record says it. */
export function markOf(item: OutboxItem): Mark {
  switch (item.state) {
    case 'kept':
      return { kind: 'kept', dot: item.dot }
    case 'refused':
      return { kind: 'refused', code: item.code ?? 'INTERNAL' }
    case 'waiting':
    case 'sent':
      return { kind: 'unsaved' }
    default:
      return unreachable(item.state)
  }
}
