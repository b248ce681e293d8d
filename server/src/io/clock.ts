/** The wall clock and the system's randomness, for the pure machines. */

import { randomFillSync } from 'node:crypto'
import type { Clock, Random } from '@meridian/core/effects'

export const systemClock: Clock = { now: () => Date.now() }

/** Numbers a refill: one call into the system for many. */
const poolSize = 1024

/** Cryptographic, because handles and incarnations must not be guessed. */
export function systemRandom(): Random {
  const pool = new Uint32Array(poolSize)
  let used = poolSize
  return {
    uint32() {
      if (used === poolSize) {
        randomFillSync(pool)
        used = 0
      }
      const value = pool[used] ?? 0
      // A number is given out once.
      pool[used++] = 0
      return value
    },
  }
}
