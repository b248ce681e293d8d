/**
 * The little that a client needs to do with updates of Automerge beside its live documents, without Automerge: they are chunks, one for each
 * change, behind one another. What stands here was made by Automerge or inspected by a region.
 */

import { concat } from '@meridian/core/bytes'

/** Magic bytes of a chunk, then four of a checksum, the type, the length of the body as LEB128, the body. */
const magic = [0x85, 0x6f, 0x4a, 0x83] as const
const lengthAt = 9

/** Bytes of one push, so that it never holds up what stands behind it for long. */
const pushBytesMax = 64 * 1024

/** A Yjs update begins like that only with 14,213 authors, the first of them with 74 edits. */
export const isChunks = (update: Uint8Array | undefined): boolean =>
  update !== undefined && magic.every((byte, index) => update[index] === byte)

/** Updates of one document, made one after the other, as fewer: a burst of edits is one push. */
export function coalesceChunks(updates: readonly Uint8Array[]): Uint8Array[] {
  const result: Uint8Array[] = []
  let run: Uint8Array[] = []
  let bytes = 0
  for (const update of updates) {
    if (run.length > 0 && bytes + update.length > pushBytesMax) {
      result.push(concat(run))
      run = []
      bytes = 0
    }
    run.push(update)
    bytes += update.length
  }
  if (run.length > 0) result.push(concat(run))
  return result
}

/** Each change of `updates` once. */
export function joinChunks(updates: readonly Uint8Array[]): Uint8Array {
  const seen = new Set<string>()
  return concat(updates.flatMap(chunksOf).filter((chunk) => isNew(seen, chunk)))
}

/** The changes of `local` that are not in `held`; undefined if there are none. */
export function chunksBeyond(local: Uint8Array, held: readonly Uint8Array[]): Uint8Array | undefined {
  const seen = new Set<string>()
  for (const chunk of held.flatMap(chunksOf)) isNew(seen, chunk)
  const rest = chunksOf(local).filter((chunk) => isNew(seen, chunk))
  return rest.length === 0 ? undefined : concat(rest)
}

export function chunksOf(update: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let from = 0; from < update.length; ) {
    let at = from + lengthAt
    let length = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = update[at++] ?? 0
      length += (byte & 0x7f) * factor
      if (byte < 0x80) break
    }
    chunks.push(update.subarray(from, at + length))
    from = at + length
  }
  return chunks
}

/** Whole chunks are compared: a checksum alone is too short to name a change. */
function isNew(seen: Set<string>, chunk: Uint8Array): boolean {
  const before = seen.size
  let text = ''
  for (const byte of chunk) text += String.fromCharCode(byte)
  return seen.add(text).size > before
}
