/**
 * The newest entries of the region in memory: who lags by less than this reads on without a disk. Positions in it are contiguous. Bounded by
 * payload bytes; what falls out is in the log. A wire's frames lie with them once somebody asked for them, so that each wire in use may add as
 * much again, but for the first whose frames end in their payload.
 */

import type { RecentEntry } from './delivery.js'
import type { Position } from './ids.js'
import { toPosition } from './ids.js'

export class TailBuffer<D> {
  readonly #bytesMax: number
  /** Entries from index `#start` on; what is before was dropped and is cut off now and then. */
  #entries: (RecentEntry<D> | undefined)[] = []
  #start = 0
  #bytes = 0
  #head: Position

  constructor(head: Position, bytesMax: number) {
    this.#head = head
    this.#bytesMax = bytesMax
  }

  /** Position of the newest entry. */
  get head(): Position {
    return this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Bytes that an entry costs beside its payload. */
  static readonly overheadBytes = 64

  /** [hot] */
  add(entry: RecentEntry<D>): void {
    if (entry.position !== this.#head + 1) this.#clear()
    this.#entries.push(entry)
    this.#head = entry.position
    this.#bytes += entry.payload.length + TailBuffer.overheadBytes
    while (this.#bytes > this.#bytesMax && this.#start < this.#entries.length) {
      const oldest = this.#entries[this.#start]
      if (oldest !== undefined) this.#bytes -= oldest.payload.length + TailBuffer.overheadBytes
      // Let go of now: the array is cut only now and then, and what it held until then would be bounded by nothing.
      this.#entries[this.#start++] = undefined
    }
    if (this.#start > 4096 && this.#start * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#start)
      this.#start = 0
    }
  }

  /** The log goes on behind `head`; what is between is not here. */
  skip(head: Position): void {
    this.#clear()
    this.#head = head
  }

  /** True if every entry beyond `after` is here. */
  reaches(after: Position): boolean {
    return after >= this.#head - (this.#entries.length - this.#start)
  }

  /** Calls back for each entry beyond `after` in log order, until one says stop. Returns the position of the last one visited. */
  visit(after: Position, each: (entry: RecentEntry<D>) => 'go on' | 'stop'): Position {
    const count = this.#entries.length - this.#start
    const first = this.#head - count + 1
    let index = Math.max(0, after + 1 - first) + this.#start
    let last = after
    for (; index < this.#entries.length; index++) {
      const entry = this.#entries[index]
      if (entry === undefined) break
      last = entry.position
      if (each(entry) === 'stop') break
    }
    return toPosition(last)
  }

  #clear(): void {
    this.#entries = []
    this.#start = 0
    this.#bytes = 0
  }
}
