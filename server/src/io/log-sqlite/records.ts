/**
 * Checksums and chain values of records, and the lists that `tails` and `orders` hold. [hot]
 *
 * - A chain value is XXH64 over the canonical bytes of a draft (batch.ts) with the chain value before it as the seed, per group and replica.
 * - A checksum is 32 bits of XXHash over every column of a row, its position included, so that a record that stands in another's place
 *   fails as well as one with a flipped bit.
 */

import type { SqliteRow } from '@meridian/core/io/sqlite'
import { hash } from './hash.js'

/** The hash copies its input into memory of its own that never shrinks; longer inputs go through in pieces. */
const pieceBytesMax = 1024 * 1024

export function chainOf(record: Uint8Array, before: bigint): bigint {
  if (record.length <= pieceBytesMax) return hash().h64Raw(record, before)
  const state = hash().create64(before)
  for (let offset = 0; offset < record.length; offset += pieceBytesMax)
    state.update(record.subarray(offset, offset + pieceBytesMax))
  return state.digest()
}

export function checksumOf(bytes: Uint8Array, seed = 0): number {
  if (bytes.length <= pieceBytesMax) return hash().h32Raw(bytes, seed)
  const state = hash().create32(seed)
  for (let offset = 0; offset < bytes.length; offset += pieceBytesMax)
    state.update(bytes.subarray(offset, offset + pieceBytesMax))
  return state.digest()
}

/** The columns of `entries` in the order of `entryColumns`. */
export interface EntryRow {
  position: number
  group: number
  document: number
  replica: number
  sequence: number
  kind: number
  life: number
  epoch: number
  time: number
  engine: number
  device: Uint8Array | null
  counter: number
  chain: Uint8Array
  payload: Uint8Array
}

export const entryColumns =
  'position, group_ref, document_ref, replica_ref, sequence, kind, life, epoch, time, engine, device, counter, chain, checksum, payload'

const headBytes = 11 * 8 + 16 + 8
const head = new Uint8Array(headBytes)
const headView = new DataView(head.buffer)

export function entryChecksum(row: EntryRow): number {
  headView.setFloat64(0, row.position, true)
  headView.setFloat64(8, row.group, true)
  headView.setFloat64(16, row.document, true)
  headView.setFloat64(24, row.replica, true)
  headView.setFloat64(32, row.sequence, true)
  headView.setFloat64(40, row.kind, true)
  headView.setFloat64(48, row.life, true)
  headView.setFloat64(56, row.epoch, true)
  headView.setFloat64(64, row.time, true)
  headView.setFloat64(72, row.engine, true)
  headView.setFloat64(80, row.counter, true)
  if (row.device === null) head.fill(0, 88, 104)
  else head.set(row.device, 88)
  head.set(row.chain, 104)
  return checksumOf(row.payload, hash().h32Raw(head, 0))
}

/** A row of `entries` as read, or undefined if it is not what was written. */
export function checkedEntry(row: SqliteRow): EntryRow | undefined {
  const [
    position,
    group,
    document,
    replica,
    sequence,
    kind,
    life,
    epoch,
    time,
    engine,
    device,
    counter,
    chain,
    checksum,
    payload,
  ] = row
  if (
    typeof position !== 'number' ||
    typeof group !== 'number' ||
    typeof document !== 'number' ||
    typeof replica !== 'number' ||
    typeof sequence !== 'number' ||
    typeof kind !== 'number' ||
    typeof life !== 'number' ||
    typeof epoch !== 'number' ||
    typeof time !== 'number' ||
    typeof engine !== 'number' ||
    typeof counter !== 'number' ||
    !(device === null || (Buffer.isBuffer(device) && device.length === 16)) ||
    !Buffer.isBuffer(chain) ||
    chain.length !== 8 ||
    !Buffer.isBuffer(payload)
  ) {
    return undefined
  }
  const entry = { position, group, document, replica, sequence, kind, life, epoch, time, engine, device, counter, chain, payload }
  return entryChecksum(entry) === checksum ? entry : undefined
}

/** One entry of a document's tail: all that opening a document needs of it. */
export interface TailItem {
  readonly position: number
  readonly replica: number
  readonly sequence: number
  readonly bytes: number
}

/** `list := varUint(n) • n × (varUint(position − the one before) • varUint(replica) • varUint(sequence) • varUint(bytes))` */
export function encodeTail(items: readonly TailItem[]): Buffer {
  const writer = new ListWriter(8 + items.length * 16)
  writer.write(items.length)
  let before = 0
  for (const item of items) {
    writer.write(item.position - before)
    writer.write(item.replica)
    writer.write(item.sequence)
    writer.write(item.bytes)
    before = item.position
  }
  return writer.take()
}

export function decodeTail(list: Uint8Array): TailItem[] {
  const reader = new ListReader(list)
  const count = reader.read()
  const items: TailItem[] = []
  let position = 0
  for (let index = 0; index < count; index++) {
    position += reader.read()
    items.push({ position, replica: reader.read(), sequence: reader.read(), bytes: reader.read() })
  }
  return items
}

/** `list := varUint(n) • n × varUint(position − the one before)` */
export function encodeOrder(positions: readonly number[]): Buffer {
  const writer = new ListWriter(8 + positions.length * 4)
  writer.write(positions.length)
  let before = 0
  for (const position of positions) {
    writer.write(position - before)
    before = position
  }
  return writer.take()
}

export function decodeOrder(list: Uint8Array): number[] {
  const reader = new ListReader(list)
  const count = reader.read()
  const positions: number[] = []
  let position = 0
  for (let index = 0; index < count; index++) {
    position += reader.read()
    positions.push(position)
  }
  return positions
}

/** The checksum of a row of `tails` (with its life) or `orders` (life 0): whose it is, up to where, and the list. */
export function listChecksum(
  row: { readonly owner: number; readonly position: number; readonly life: number },
  list: Uint8Array,
): number {
  headView.setFloat64(0, row.owner, true)
  headView.setFloat64(8, row.position, true)
  headView.setFloat64(16, row.life, true)
  return checksumOf(list, hash().h32Raw(head.subarray(0, 24), 0))
}

/** The checksum of a row of `snapshots`; its chunks have their own. */
export function snapshotChecksum(row: {
  readonly document: number
  readonly snapshot: number
  readonly life: number
  readonly position: number
  readonly bytes: number
  readonly chunks: number
  readonly version: Uint8Array
  readonly index: Uint8Array
}): number {
  headView.setFloat64(0, row.document, true)
  headView.setFloat64(8, row.snapshot, true)
  headView.setFloat64(16, row.life, true)
  headView.setFloat64(24, row.position, true)
  headView.setFloat64(32, row.bytes, true)
  headView.setFloat64(40, row.chunks, true)
  return checksumOf(row.index, checksumOf(row.version, hash().h32Raw(head.subarray(0, 48), 0)))
}

/** The checksum of a row of `chunks`. */
export function chunkChecksum(snapshot: number, number: number, bytes: Uint8Array): number {
  headView.setFloat64(0, snapshot, true)
  headView.setFloat64(8, number, true)
  return checksumOf(bytes, hash().h32Raw(head.subarray(0, 16), 0))
}

class ListWriter {
  private bytes: Buffer
  private length = 0

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafe(capacity)
  }

  write(value: number): void {
    if (this.length + 8 > this.bytes.length) {
      const grown = Buffer.allocUnsafe(this.bytes.length * 2)
      this.bytes.copy(grown, 0, 0, this.length)
      this.bytes = grown
    }
    let rest = value
    while (rest > 127) {
      this.bytes[this.length++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.bytes[this.length++] = rest
  }

  take(): Buffer {
    return this.bytes.subarray(0, this.length)
  }
}

class ListReader {
  private readonly bytes: Uint8Array
  private offset = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Zero beyond the end: a list is read only after its checksum was right. */
  read(): number {
    let value = 0
    let factor = 1
    for (;;) {
      const byte = this.bytes[this.offset++] ?? 0
      value += (byte & 127) * factor
      if (byte < 128) return value
      factor *= 128
    }
  }
}
