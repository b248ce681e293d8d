/**
 * Fresh entries: those beyond the mark `settled`, which `tails`, `orders`, `versions` and `pushes` do not hold yet. The writer keeps them to settle
 * them without reading them again, the reader so that what it answers is complete. Bounded by `freshCountMax` of the writer.
 */

import type { SqliteDatabase, SqliteRow, SqliteStatement } from '@meridian/core/io/sqlite'

export interface FreshEntry {
  readonly position: number
  readonly group: number
  /** 0 for an entry of the group itself. */
  readonly document: number
  readonly replica: number
  readonly sequence: number
  readonly life: number
  readonly bytes: number
  readonly time: number
  readonly device: Uint8Array | null
  readonly counter: number
  readonly chain: Uint8Array
}

/** In the column `counter`: the entry came as part of a state (LINK6). It is of its document's tail and of nothing that links or groups read. */
export const stateCounter = -1
export const isState = (item: { readonly counter: number }): boolean => item.counter === stateCounter

/** Names a device in a group, as a key of a map. */
export const pushKey = (group: number, device: Uint8Array): string =>
  `${group}:${Buffer.from(device.buffer, device.byteOffset, device.byteLength).toString('latin1')}`

/** The reader's view: brought up to date at the beginning of each of its transactions. */
export class FreshIndex {
  private readonly settledMark: SqliteStatement
  private readonly beyond: SqliteStatement
  private settled = 0
  private seen = 0
  private items: FreshEntry[] = []
  private byDocument = new Map<number, FreshEntry[]>()
  private byGroup = new Map<number, FreshEntry[]>()
  private byPush = new Map<string, FreshEntry>()

  constructor(database: SqliteDatabase) {
    this.settledMark = database.prepare("SELECT value FROM meta WHERE key = 'settled'")
    this.beyond = database.prepare(
      'SELECT position, group_ref, document_ref, replica_ref, sequence, life, length(payload), time, device, counter, chain FROM entries WHERE position > ? ORDER BY position',
    )
  }

  /** The newest position of the log as of this transaction. */
  get position(): number {
    return this.seen
  }

  refresh(): void {
    const settled = Number(this.settledMark.get([])?.[0] ?? 0)
    if (settled > this.settled) {
      const kept = this.items.filter((item) => item.position > settled)
      this.settled = settled
      this.seen = Math.max(this.seen, settled)
      this.items = []
      this.byDocument = new Map()
      this.byGroup = new Map()
      this.byPush = new Map()
      for (const item of kept) this.add(item)
    }
    for (const row of this.beyond.all([this.seen])) this.add(freshOf(row))
  }

  ofDocument(document: number): readonly FreshEntry[] {
    return this.byDocument.get(document) ?? []
  }

  ofGroup(group: number): readonly FreshEntry[] {
    return this.byGroup.get(group) ?? []
  }

  push(group: number, device: Uint8Array): FreshEntry | undefined {
    return this.byPush.get(pushKey(group, device))
  }

  private add(item: FreshEntry): void {
    this.seen = Math.max(this.seen, item.position)
    this.items.push(item)
    if (item.document !== 0) append(this.byDocument, item.document, item)
    if (isState(item)) return
    append(this.byGroup, item.group, item)
    if (item.device === null) return
    const key = pushKey(item.group, item.device)
    const held = this.byPush.get(key)
    if (held === undefined || held.counter <= item.counter) this.byPush.set(key, item)
  }
}

export function freshOf(row: SqliteRow): FreshEntry {
  const [position, group, document, replica, sequence, life, bytes, time, device, counter, chain] = row
  return {
    position: Number(position),
    group: Number(group),
    document: Number(document),
    replica: Number(replica),
    sequence: Number(sequence),
    life: Number(life),
    bytes: Number(bytes),
    time: Number(time),
    device: Buffer.isBuffer(device) && device.length === 16 ? device : null,
    counter: Number(counter),
    chain: Buffer.isBuffer(chain) ? chain : Buffer.alloc(8),
  }
}

function append(map: Map<number, FreshEntry[]>, key: number, item: FreshEntry): void {
  const held = map.get(key)
  if (held === undefined) map.set(key, [item])
  else held.push(item)
}
