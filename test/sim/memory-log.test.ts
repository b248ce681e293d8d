/** The simulator's log keeps the contract that the real ones keep. */

import { parseRegion } from '@meridian/core/ids'
import { registerLogTests } from '../conformance/log.js'
import { MemoryLog, MemoryStore } from './memory-log.js'
import { SeededRandom } from './random.js'
import { Scheduler } from './scheduler.js'

const makePlace = async () => {
  const store = new MemoryStore(parseRegion('eu-west'))
  const scheduler = new Scheduler()
  const random = new SeededRandom(1)
  return {
    open: async () => new MemoryLog(store, { random, timing: (_step, run) => scheduler.after(0, run) }),
    advance: () => scheduler.settle(),
    remove: async () => undefined,
  }
}

registerLogTests('memory', makePlace, { links: true })
