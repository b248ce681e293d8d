/**
 * [hot] A set of clocks as sorted ranges that neither overlap nor touch: the delete set of one client. Eight bytes a range, in one typed
 * array, because it is kept for every open document. People delete next to where they deleted last, so adding mostly widens a range.
 */

import type { Numbers } from './yjs-inspect.js'

export class ClockRanges {
  /** from, to, from, to, …; a plain list while they are few, because a typed array costs 30 times as much to make, and an update may name 65,536 clients. */
  private bounds: Uint32Array | number[]
  private used = 0

  constructor(capacity = 2) {
    this.bounds = capacity <= 2 ? [0, 0, 0, 0] : new Uint32Array(capacity * 2)
  }

  static of(from: number, to: number): ClockRanges {
    const ranges = new ClockRanges()
    ranges.bounds[0] = from
    ranges.bounds[1] = to
    ranges.used = 2
    return ranges
  }

  get count(): number {
    return this.used >>> 1
  }

  from(index: number): number {
    return this.bounds[index * 2] ?? 0
  }

  /** The first clock after the range. */
  to(index: number): number {
    return this.bounds[index * 2 + 1] ?? 0
  }

  /** Whether every clock of [from, to) is in the set. */
  covers(from: number, to: number): boolean {
    const index = this.search(from + 1)
    return index < this.count && this.from(index) <= from && to <= this.to(index)
  }

  /** Whether all of `count` ranges, which are given as those of `addAll`, are in the set. Cost: O(ranges held + `count`). */
  coversAll(flat: Numbers, start: number, count: number): boolean {
    let index = 0
    for (let at = start; at < start + count * 3; at += 3) {
      const from = flat[at + 1] ?? 0
      while (index < this.count && this.to(index) <= from) index++
      if (index === this.count || this.from(index) > from || this.to(index) < (flat[at + 2] ?? 0)) return false
    }
    return true
  }

  /** Adds [from, to), which is not empty. Cost: O(log ranges), and a move of the ranges after it when it joins or touches none. */
  add(from: number, to: number): void {
    const first = this.search(from)
    if (first === this.count || this.from(first) > to) {
      this.insert(first, from, to)
      return
    }
    let last = first
    while (last + 1 < this.count && this.from(last + 1) <= to) last++
    const end = Math.max(to, this.to(last))
    if (this.from(first) > from) this.bounds[first * 2] = from
    this.bounds[first * 2 + 1] = end
    if (last > first) {
      this.bounds.copyWithin((first + 1) * 2, (last + 1) * 2, this.used)
      this.used -= (last - first) * 2
    }
  }

  /**
   * Adds `count` ranges at once: client, from, to, … in `flat` from `start`, ascending and not overlapping. In one pass when
   * they are many, so that no update costs ranges held × ranges added.
   */
  addAll(flat: Numbers, start: number, count: number): void {
    if (count <= 8) {
      for (let index = 0; index < count; index++) this.add(flat[start + index * 3 + 1] ?? 0, flat[start + index * 3 + 2] ?? 0)
      return
    }
    // All in local variables: an update may bring a million ranges, and this is done between two messages.
    const { bounds, used } = this
    const merged = new Uint32Array(used + count * 2)
    const end = start + count * 3
    let length = 0
    let last = -1
    for (let held = 0, at = start; held < used || at < end; ) {
      const heldFrom = held < used ? (bounds[held] ?? 0) : Number.POSITIVE_INFINITY
      const addedFrom = at < end ? (flat[at + 1] ?? 0) : Number.POSITIVE_INFINITY
      let from = heldFrom
      let to = 0
      if (heldFrom <= addedFrom) {
        to = bounds[held + 1] ?? 0
        held += 2
      } else {
        from = addedFrom
        to = flat[at + 2] ?? 0
        at += 3
      }
      if (from <= last) {
        if (to > last) merged[length - 1] = last = to
      } else {
        merged[length] = from
        merged[length + 1] = last = to
        length += 2
      }
    }
    this.bounds = length * 2 < merged.length ? merged.slice(0, length) : merged
    this.used = length
  }

  /** Adds a range that starts no earlier than any before it did. */
  append(from: number, to: number): void {
    const last = this.used - 1
    if (this.used > 0 && from <= (this.bounds[last] ?? 0)) {
      if (to > (this.bounds[last] ?? 0)) this.bounds[last] = to
      return
    }
    this.reserve()
    this.bounds[this.used++] = from
    this.bounds[this.used++] = to
  }

  private insert(index: number, from: number, to: number): void {
    this.reserve()
    this.bounds.copyWithin(index * 2 + 2, index * 2, this.used)
    this.bounds[index * 2] = from
    this.bounds[index * 2 + 1] = to
    this.used += 2
  }

  private reserve(): void {
    if (this.used + 2 <= this.bounds.length) return
    // By half, not double: there is one of these for each author of each open document.
    const grown = new Uint32Array((this.used + 4 + (this.used >>> 1)) & ~1)
    grown.set(this.bounds)
    this.bounds = grown
  }

  /** The first range that ends at or after `clock`. */
  private search(clock: number): number {
    let low = 0
    let high = this.count
    // Most often it is the last range or after it.
    if (high > 0 && this.to(high - 1) < clock) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.to(middle) < clock) low = middle + 1
      else high = middle
    }
    return low
  }
}
