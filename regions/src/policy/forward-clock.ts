/**
 * A clock that never runs backwards, for what ends at a time: an exception that has ended is not opened again by a wall clock that was set back.
 * What it has shown is kept (`latest`), by whoever has a disk, and handed in again at the next start.
 */

import type { Clock } from '@meridian/core/effects'

export interface ForwardClock extends Clock {
  /** The latest time that it has shown, in milliseconds since 1970. */
  readonly latest: number
}

/** @param startMs the latest time that was shown before this start; 0 if there was none. */
export function forwardClock(clock: Clock, startMs: number): ForwardClock {
  let latest = startMs
  return {
    now() {
      latest = Math.max(latest, clock.now())
      return latest
    },
    get latest() {
      return latest
    },
  }
}
