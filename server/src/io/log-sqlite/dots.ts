/**
 * Where the entries of a replica stand: rows of `dots`, each the positions of consecutive sequences of one replica in one group. What a link that
 * begins at a version costs is a look-up for each replica, whatever the log and the number of documents (LINK1). [hot]
 *
 * What came by state has no position for links, and what stands at or below `gone` is not asked for.
 */

import type { SqliteDatabase, SqliteStatement } from '@meridian/core/io/sqlite'
import type { ReplicaId } from '@meridian/core/ids'
import type { Version } from '@meridian/core/version'
import { includes } from '@meridian/core/version'
import type { FreshEntry } from './fresh.js'
import { isState } from './fresh.js'
import { checkedEntry, decodeOrder, encodeOrder, entryColumns, listChecksum } from './records.js'

/** Positions of one row: decoding them is what a look-up costs. */
const runCountMax = 4096

export interface DotItem {
  readonly position: number
  readonly group: number
  readonly replica: number
  readonly sequence: number
}

/** Entries of consecutive sequences, up to `end`. */
export interface DotRun<T extends DotItem> {
  readonly positions: number[]
  end: T
}

/** Gathers entries in log order into runs; most are of the replica and the group of the one before. */
export class DotRuns<T extends DotItem> {
  private readonly open = new Map<string, DotRun<T>>()
  private readonly ended: DotRun<T>[] = []
  private run: DotRun<T> | undefined

  add(item: T): void {
    let { run } = this
    if (run === undefined || run.end.group !== item.group || run.end.replica !== item.replica) {
      run = this.open.get(`${item.group}/${item.replica}`)
    }
    if (run !== undefined && run.end.sequence + 1 !== item.sequence) {
      this.ended.push(run)
      run = undefined
    }
    if (run === undefined) {
      run = { positions: [], end: item }
      this.open.set(`${item.group}/${item.replica}`, run)
    }
    run.positions.push(item.position)
    run.end = item
    this.run = run
  }

  /** Those that a gap ended first, so that the last one of a replica is its newest. */
  all(): readonly DotRun<T>[] {
    return [...this.ended, ...this.open.values()]
  }
}

export class DotWriter {
  private readonly putRun: SqliteStatement
  private readonly removeRuns: SqliteStatement

  constructor(database: SqliteDatabase) {
    this.putRun = database.prepare(
      'INSERT INTO dots (group_ref, replica_ref, sequence, position, checksum, list) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.removeRuns = database.prepare('DELETE FROM dots WHERE group_ref = ? AND replica_ref = ? AND sequence <= ?')
  }

  put({ positions, end }: DotRun<DotItem>): void {
    const { group, replica } = end
    const first = end.sequence - positions.length + 1
    for (let from = 0; from < positions.length; from += runCountMax) {
      const part = positions.slice(from, from + runCountMax)
      const sequence = first + from + part.length - 1
      const list = encodeOrder(part)
      const checksum = listChecksum({ owner: group, position: sequence, life: replica }, list)
      this.putRun.run([group, replica, sequence, part.at(-1) ?? 0, checksum, list])
    }
  }

  /** Nobody looks for sequences up to this one any more. */
  removeUpTo(group: number, replica: number, sequence: number): void {
    this.removeRuns.run([group, replica, sequence])
  }
}

/** As `Sought` of core/src/log.ts, in numbers. */
export interface SoughtRow {
  readonly position: number
  readonly chains: ReadonlyMap<ReplicaId, bigint>
  readonly behind: boolean
}

interface End {
  readonly name: ReplicaId
  sequence: number
  readonly settled: number
  readonly settledChain: bigint
  readonly gone: number
}

/** A list of `dots` is not what was written, or an entry it names. */
export class DotsDamaged extends Error {
  readonly position: number

  constructor(position: number) {
    super('dots')
    this.position = position
  }
}

export class DotIndex {
  private readonly endsOf: SqliteStatement
  private readonly runOver: SqliteStatement
  private readonly entryAt: SqliteStatement
  private readonly nameOf: (ref: number) => string

  constructor(database: SqliteDatabase, nameOf: (ref: number) => string) {
    this.nameOf = nameOf
    this.endsOf = database.prepare('SELECT replica_ref, sequence, chain, gone FROM versions WHERE group_ref = ?')
    this.runOver = database.prepare(
      'SELECT sequence, checksum, list FROM dots WHERE group_ref = ? AND replica_ref = ? AND sequence >= ? ORDER BY sequence LIMIT 1',
    )
    this.entryAt = database.prepare(`SELECT ${entryColumns} FROM entries WHERE position = ?`)
  }

  /**
   * @param fresh what `dots` and `versions` do not hold yet of the group, in log order.
   * @param position the newest of the log.
   * @throws DotsDamaged
   */
  seek(
    group: number,
    version: Version,
    { fresh, position }: { readonly fresh: readonly FreshEntry[]; readonly position: number },
  ): SoughtRow {
    const ends = new Map<number, End>()
    for (const [replica = 0, sequence = 0, chain, gone = 0] of this.endsOf.all([group])) {
      const settled = Number(sequence)
      const settledChain = Buffer.isBuffer(chain) ? chain.readBigUInt64LE() : 0n
      const name = this.nameOf(Number(replica)) as ReplicaId
      ends.set(Number(replica), { name, sequence: settled, settled, settledChain, gone: Number(gone) })
    }
    const chains = new Map<ReplicaId, bigint>()
    let least = position + 1
    for (const item of fresh) {
      if (isState(item)) continue
      let end = ends.get(item.replica)
      if (end === undefined) {
        end = { name: this.nameOf(item.replica) as ReplicaId, sequence: 0, settled: 0, settledChain: 0n, gone: 0 }
        ends.set(item.replica, end)
      }
      const held = version.sequences.get(end.name) ?? 0
      if (item.sequence === held) chains.set(end.name, chainOfBytes(item.chain))
      const isNext = end.sequence <= held && item.sequence > held
      if (isNext && !includes(version, end.name, item.sequence)) least = Math.min(least, item.position)
      end.sequence = item.sequence
    }
    let behind = false
    for (const [replica, end] of ends) {
      const held = version.sequences.get(end.name) ?? 0
      if (held > 0 && held === end.settled) {
        if (end.settledChain !== 0n) chains.set(end.name, end.settledChain)
      } else if (held > end.gone && held <= end.settled) {
        const chain = this.chainAt(this.positionOf(group, replica, held, 'exactly'))
        if (chain !== undefined) chains.set(end.name, chain)
      }
      if (end.sequence === 0 || includes(version, end.name, end.sequence)) continue
      if (held < end.gone) behind = true
      else if (held < end.settled) least = Math.min(least, this.positionOf(group, replica, held + 1, 'or the next') ?? 1)
    }
    return { position: behind ? 0 : least - 1, chains, behind }
  }

  /** @param how what was merged on its way stands under its last dot, and has none for those before (LINK7) */
  private positionOf(group: number, replica: number, sequence: number, how: 'exactly' | 'or the next'): number | undefined {
    const [last = 0, checksum, list] = this.runOver.get([group, replica, sequence]) ?? []
    if (!Buffer.isBuffer(list)) return undefined
    if (listChecksum({ owner: group, position: Number(last), life: replica }, list) !== checksum) throw new DotsDamaged(0)
    const positions = decodeOrder(list)
    return positions.at(sequence - Number(last) - 1) ?? (how === 'exactly' ? undefined : positions[0])
  }

  private chainAt(position: number | undefined): bigint | undefined {
    const row = position === undefined ? undefined : this.entryAt.get([position])
    if (row === undefined) return undefined
    const entry = checkedEntry(row)
    if (entry === undefined) throw new DotsDamaged(position ?? 0)
    return chainOfBytes(entry.chain)
  }
}

function chainOfBytes(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
}
