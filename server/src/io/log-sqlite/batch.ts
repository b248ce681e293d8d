/**
 * How batches of drafts go to the writer's thread and entries come back from the reader's: as one buffer that is handed over and not
 * copied, because cloning objects costs more than the commit. [hot]
 *
 *   batch  := draft*                       draft := varlen(u32) pushed(u8) named(u8) 0(2) counter(f64) device(16) record
 *   record := kind(u8) engine(u8) group bytes(u16) document bytes(u16) 0(u16) life(u32) epoch(f64) time(f64) group document payload
 *
 * A record is what chain values are computed over: its form is for ever. `named` is 1 if its names are those of the record before, which most
 * are and then need not be decoded. All numbers are little-endian.
 */

import type { EngineName } from '@meridian/core/engine'
import { engineNameOf, engineNumber } from '@meridian/core/engine'
import type { Draft, Entry } from '@meridian/core/entry'
import { kindNumber, kindOf } from '@meridian/core/entry'
import { assert } from '@meridian/core/errors'
import { toHybridTime } from '@meridian/core/hybrid-time'
import type { DocumentName, GroupId, ReplicaId } from '@meridian/core/ids'
import { toPosition } from '@meridian/core/ids'
import { toChain } from '@meridian/core/version'
import type { Foreign } from '@meridian/core/log'
import type { EntryRow } from './records.js'

const frameBytes = 32
const recordBytes = 28
const payloadBytesMax = 1024 * 1024 * 1024

export interface Batch {
  readonly buffer: ArrayBuffer
  readonly bytes: number
  readonly count: number
}

export function encodeBatch(drafts: readonly Draft[]): Batch {
  let capacity = 0
  for (const draft of drafts) {
    assert(draft.payload.length <= payloadBytesMax, 'a payload is at most 1 GiB')
    capacity += frameBytes + recordBytes + 3 * (draft.group.length + (draft.document?.length ?? 0)) + draft.payload.length
  }
  const buffer = new ArrayBuffer(capacity)
  const bytes = Buffer.from(buffer)
  const view = new DataView(buffer)
  let offset = 0
  let before: Draft | undefined
  let groupBytes = 0
  let documentBytes = 0
  let namesStart = 0
  for (const draft of drafts) {
    const start = offset + frameBytes
    const groupStart = start + recordBytes
    if (before !== undefined && before.group === draft.group && before.document === draft.document) {
      view.setUint8(offset + 5, 1)
      bytes.copyWithin(groupStart, namesStart, namesStart + groupBytes + documentBytes)
    } else {
      groupBytes = bytes.write(draft.group, groupStart)
      documentBytes = draft.document === undefined ? 0 : bytes.write(draft.document, groupStart + groupBytes)
    }
    before = draft
    namesStart = groupStart
    const payloadStart = groupStart + groupBytes + documentBytes
    const end = payloadStart + draft.payload.length
    view.setUint8(start, kindNumber[draft.kind])
    view.setUint8(start + 1, draft.engine === undefined ? 0 : engineNumber[draft.engine])
    view.setUint16(start + 2, groupBytes, true)
    view.setUint16(start + 4, documentBytes, true)
    view.setUint32(start + 8, draft.life, true)
    view.setFloat64(start + 12, draft.epoch, true)
    view.setFloat64(start + 20, draft.time, true)
    bytes.set(draft.payload, payloadStart)
    view.setUint32(offset, end - start, true)
    if (draft.push !== undefined) {
      view.setUint8(offset + 4, 1)
      view.setFloat64(offset + 8, draft.push.counter, true)
      bytes.write(draft.push.device, offset + 16, 'hex')
    }
    offset = end
  }
  return { buffer, bytes: offset, count: drafts.length }
}

export interface DraftRow {
  /** What the chain value is computed over: a view, as are `group`, `document`, `device` and `payload`. */
  readonly record: Buffer
  readonly kind: number
  readonly engine: number
  readonly life: number
  readonly epoch: number
  readonly time: number
  readonly group: string
  /** Empty for an entry of the group itself. */
  readonly document: string
  readonly device: Buffer | null
  readonly counter: number
  readonly payload: Buffer
}

/** Calls `take` for each draft of a batch. */
export function decodeBatch(batch: Batch, take: (draft: DraftRow) => void): void {
  const bytes = Buffer.from(batch.buffer)
  const view = new DataView(batch.buffer)
  let offset = 0
  let group = ''
  let document = ''
  for (let index = 0; index < batch.count; index++) {
    const start = offset + frameBytes
    const end = start + view.getUint32(offset, true)
    const groupStart = start + recordBytes
    const documentStart = groupStart + view.getUint16(start + 2, true)
    const payloadStart = documentStart + view.getUint16(start + 4, true)
    if (view.getUint8(offset + 5) === 0) {
      group = bytes.toString('utf8', groupStart, documentStart)
      document = bytes.toString('utf8', documentStart, payloadStart)
    }
    const pushed = view.getUint8(offset + 4) === 1
    take({
      record: bytes.subarray(start, end),
      kind: view.getUint8(start),
      engine: view.getUint8(start + 1),
      life: view.getUint32(start + 8, true),
      epoch: view.getFloat64(start + 12, true),
      time: view.getFloat64(start + 20, true),
      group,
      document,
      device: pushed ? bytes.subarray(offset + 16, offset + 32) : null,
      counter: pushed ? view.getFloat64(offset + 8, true) : 0,
      payload: bytes.subarray(payloadStart, end),
    })
    offset = end
  }
}

/** Entries with dots of their own, on their way in: a batch whose frames hold sequence, chain value and replica in place of a push. */
export interface ForeignBatch {
  readonly batch: Batch
  readonly replicas: readonly ReplicaId[]
  /** By index: the first dot of those that stand for several (LINK7). */
  readonly firsts: ReadonlyMap<number, number>
}

export function encodeForeign(entries: readonly Foreign[]): ForeignBatch {
  const batch = encodeBatch(entries)
  const view = new DataView(batch.buffer)
  const indexes = new Map<ReplicaId, number>()
  const firsts = new Map<number, number>()
  let offset = 0
  for (const [at, { replica, sequence, chain, first }] of entries.entries()) {
    if (first !== undefined) firsts.set(at, first)
    const index = indexes.get(replica) ?? indexes.size
    indexes.set(replica, index)
    view.setFloat64(offset + 8, sequence, true)
    view.setBigUint64(offset + 16, chain, true)
    view.setUint32(offset + 24, index, true)
    offset += frameBytes + view.getUint32(offset, true)
  }
  return { batch, replicas: [...indexes.keys()], firsts }
}

export interface ForeignRow {
  readonly draft: DraftRow
  readonly replica: string
  readonly sequence: number
  /** The first dot that it stands for. */
  readonly first: number
  /** Little-endian; a view, as is what the draft holds. */
  readonly chain: Buffer
}

export function decodeForeign({ batch, replicas, firsts }: ForeignBatch): readonly ForeignRow[] {
  const bytes = Buffer.from(batch.buffer)
  const rows: ForeignRow[] = []
  let offset = 0
  decodeBatch(batch, (draft) => {
    const sequence = bytes.readDoubleLE(offset + 8)
    rows.push({
      draft,
      replica: replicas[bytes.readUInt32LE(offset + 24)] ?? '',
      sequence,
      first: firsts.get(rows.length) ?? sequence,
      chain: bytes.subarray(offset + 16, offset + 24),
    })
    offset += frameBytes + draft.record.length
  })
  return rows
}

/**
 * Entries of one read: numbers and payloads in one buffer, each name once.
 *
 *   entries := entry*
 *   entry   := position(f64) sequence(f64) epoch(f64) time(f64) chain(8) payload bytes(u32) group(u32) document(u32) replica(u32) life(u32) kind(u8) engine(u8) 0(u16) payload
 */
export interface EntriesMessage {
  readonly buffer: ArrayBuffer
  readonly count: number
  readonly groups: readonly string[]
  readonly documents: readonly string[]
  readonly replicas: readonly string[]
}

const entryBytes = 64
const none = 0xffffffff

/** Gathers rows; names are asked for once a read. */
export class EntriesEncoder {
  private readonly rows: EntryRow[] = []
  private bytes = 0

  add(row: EntryRow): void {
    this.rows.push(row)
    this.bytes += entryBytes + row.payload.length
  }

  take(names: { group(ref: number): string; document(ref: number): string; replica(ref: number): string }): EntriesMessage {
    const buffer = new ArrayBuffer(this.bytes)
    const bytes = new Uint8Array(buffer)
    const view = new DataView(buffer)
    const groups = new NameTable(names.group)
    const documents = new NameTable(names.document)
    const replicas = new NameTable(names.replica)
    let offset = 0
    for (const row of this.rows) {
      view.setFloat64(offset, row.position, true)
      view.setFloat64(offset + 8, row.sequence, true)
      view.setFloat64(offset + 16, row.epoch, true)
      view.setFloat64(offset + 24, row.time, true)
      bytes.set(row.chain, offset + 32)
      view.setUint32(offset + 40, row.payload.length, true)
      view.setUint32(offset + 44, groups.index(row.group), true)
      view.setUint32(offset + 48, row.document === 0 ? none : documents.index(row.document), true)
      view.setUint32(offset + 52, replicas.index(row.replica), true)
      view.setUint32(offset + 56, row.life, true)
      view.setUint8(offset + 60, row.kind)
      view.setUint8(offset + 61, row.engine)
      bytes.set(row.payload, offset + entryBytes)
      offset += entryBytes + row.payload.length
    }
    return { buffer, count: this.rows.length, groups: groups.names, documents: documents.names, replicas: replicas.names }
  }
}

class NameTable {
  readonly names: string[] = []
  private readonly indexes = new Map<number, number>()
  private readonly nameOf: (ref: number) => string

  constructor(nameOf: (ref: number) => string) {
    this.nameOf = nameOf
  }

  index(ref: number): number {
    const held = this.indexes.get(ref)
    if (held !== undefined) return held
    this.indexes.set(ref, this.names.length)
    return this.names.push(this.nameOf(ref)) - 1
  }
}

/** Payloads are views of the message: an entry that is kept keeps its whole read in memory. */
export function decodeEntries(message: EntriesMessage): Entry[] {
  const view = new DataView(message.buffer)
  const entries: Entry[] = []
  let offset = 0
  for (let index = 0; index < message.count; index++) {
    const bytes = view.getUint32(offset + 40, true)
    const document = view.getUint32(offset + 48, true)
    const kind = kindOf(view.getUint8(offset + 60))
    assert(kind !== undefined, 'a record whose checksum is right has a known kind')
    const engine: EngineName | undefined = engineNameOf(view.getUint8(offset + 61))
    entries.push({
      group: message.groups[view.getUint32(offset + 44, true)] as GroupId,
      document: document === none ? undefined : (message.documents[document] as DocumentName),
      engine,
      life: view.getUint32(offset + 56, true),
      kind,
      epoch: view.getFloat64(offset + 16, true),
      time: toHybridTime(view.getFloat64(offset + 24, true)),
      payload: new Uint8Array(message.buffer, offset + entryBytes, bytes),
      position: toPosition(view.getFloat64(offset, true)),
      replica: message.replicas[view.getUint32(offset + 52, true)] as ReplicaId,
      sequence: view.getFloat64(offset + 8, true),
      chain: toChain(view.getBigUint64(offset + 32, true)),
    })
    offset += entryBytes + bytes
  }
  return entries
}
