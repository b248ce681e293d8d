/** Time and chance of this process, for the pure parts. */

import { randomFillSync } from 'node:crypto'
import type { Clock, Random } from '@meridian/core/effects'

export const systemClock: Clock = { now: () => Date.now() }

export const monotonicMs = (): number => performance.now()

export const systemRandom: Random = {
  uint32: () => {
    const words = new Uint32Array(1)
    randomFillSync(words)
    return words[0] ?? 0
  },
}

/** Keeps the process alive, as an open socket does: until the store is closed its edits are on their way. */
export function after(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}
