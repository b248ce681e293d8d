/**
 * Which life of a document a client's copy belongs to, as far as a state vector tells. The protocol has no word for it, and after an erase
 * (RES7) a copy of the life before would bring all that was erased into the next one.
 *
 * Client ids are drawn by chance for each session of an editor, so that copies of one life have some in common, and copies of two lives have none.
 */

import * as decoding from 'lib0/decoding'
import { decoded, readVarUint } from '../../bytes.js'

/** Seeds of templates have this author in every life, so that it tells nothing. */
const seedAuthor = 1

/**
 * True if a client with the encoded state vector `known` has something, and nothing of the life whose state vector is `held`. Who edits a document
 * of a later life before having been in sync with it even once looks the same; its edits are few, and what was erased is not to come back.
 *
 * @throws MeridianError FRAME_INVALID if `known` is no state vector.
 */
export function isOfAnotherLife(known: Uint8Array, held: Uint8Array): boolean {
  const copy = clientsOf(known)
  if (copy.size === 0) return false
  const life = clientsOf(held)
  for (const client of copy) if (client !== seedAuthor && life.has(client)) return false
  return copy.size > 1 || !copy.has(seedAuthor) || !life.has(seedAuthor)
}

function clientsOf(stateVector: Uint8Array): Set<number> {
  return decoded(() => {
    const body = decoding.createDecoder(stateVector)
    const clients = new Set<number>()
    for (let count = readVarUint(body); count > 0; count--) {
      const client = readVarUint(body)
      if (readVarUint(body) > 0) clients.add(client)
    }
    return clients
  })
}
