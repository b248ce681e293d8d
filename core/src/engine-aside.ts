/**
 * Work of an engine on one update that would hold up everybody else for too long: what the machines of core ask to be done beside the loop.
 * A node hands in a thread, the simulator does it a moment later. Answers come in any order, and never before the call has returned.
 *
 * `UPDATE_INVALID` and `UPDATE_TOO_LARGE` are said of the update and hold for ever; the latter also when the work ran out of memory or time.
 * `LOG_UNAVAILABLE`: there is nobody to do it now.
 */

import type { EngineName, Inspection, InspectLimits } from './engine.js'

export type AsideError = 'UPDATE_INVALID' | 'UPDATE_TOO_LARGE' | 'LOG_UNAVAILABLE'

export interface EngineAside {
  /** `update` is not changed by anybody meanwhile. */
  inspect(engine: EngineName, update: Uint8Array, limits: InspectLimits, done: (answer: Inspection | AsideError) => void): void
  cut(engine: EngineName, update: Uint8Array, overlap: Uint8Array, done: (answer: Uint8Array | AsideError) => void): void
  admissible(engine: EngineName, update: Uint8Array, basis: Uint8Array, done: (answer: Uint8Array | AsideError) => void): void
}
