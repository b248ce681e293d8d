/**
 * Hybrid logical time: milliseconds since 1970 times 1,024, plus a counter, as one safe integer. It never runs backwards and never
 * decides an order between regions; it says when an entry was made, for people and for retention.
 *
 * Kulkarni et al., "Logical physical clocks", 2014.
 */

declare const brand: unique symbol
export type HybridTime = number & { readonly [brand]: 'HybridTime' }

/** Ticks a millisecond: 1,024 events can share one before the time runs ahead of the wall clock. */
export const ticksPerMs = 1024

/** The next time after `last`, at `nowMs` by the wall clock or one tick later than `last` if that clock stands or runs backwards. */
export function nextTime(last: HybridTime, nowMs: number): HybridTime {
  return Math.max(last + 1, Math.floor(nowMs) * ticksPerMs) as HybridTime
}

export const zeroTime = 0 as HybridTime
export const toHybridTime = (value: number): HybridTime => value as HybridTime
export const millisecondsOf = (time: HybridTime): number => Math.floor(time / ticksPerMs)
