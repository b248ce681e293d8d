/**
 * How long to wait before the next attempt: exponential, with full jitter, bounded (Brooker, "Exponential Backoff And Jitter", 2015).
 * Full jitter, because a node that restarts meets all its clients at once.
 */

import type { Random } from '@meridian/core/effects'

export interface BackoffOptions {
  /** Milliseconds that the first delay is at most. */
  readonly baseMs: number
  /** Milliseconds that any delay is at most. */
  readonly maxMs: number
}

/** The first reconnect is fast, since most losses are a node's restart; a region that is down costs each client two dials a minute. */
export const reconnectBackoff: BackoffOptions = { baseMs: 500, maxMs: 30_000 }
/** A push or an attach that was refused for a while: the region is there, so it can be asked again soon. */
export const refusalBackoff: BackoffOptions = { baseMs: 500, maxMs: 15_000 }

/** Never less, so that a region that refuses at once is not dialled in a loop. */
const floorMs = 50

/**
 * Milliseconds before attempt number `attempt` (0, 1, 2 …).
 *
 * @param leastMs what the region asked for; the jitter is added to it, so that its clients do not come back in one instant.
 */
export function backoffMs(attempt: number, leastMs: number, random: Random, options: BackoffOptions): number {
  const bound = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(attempt, 16))
  return Math.round(leastMs + floorMs + (random.uint32() / 2 ** 32) * (bound - floorMs))
}
