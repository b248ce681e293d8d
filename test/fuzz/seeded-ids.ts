/**
 * Imported before anything else, it makes the ids that Yjs draws for each document come from a seed: a run of the fuzzer can be repeated, and takes
 * no call of the system for each of its documents.
 */

import { webcrypto } from 'node:crypto'

let state = 1

/** Bytes by a linear congruence (Numerical Recipes): not for secrets. */
function next(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state >>> 24
}

Object.defineProperty(webcrypto, 'getRandomValues', {
  value: <Values extends Uint8Array | Uint32Array>(values: Values): Values => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    for (let index = 0; index < bytes.length; index++) bytes[index] = next()
    return values
  },
})
