/**
 * How much links brought of documents that nobody has open here: who opens one pays for every entry behind its snapshot. Bounded; a document that is
 * written to so seldom that it was forgotten meanwhile counts from the beginning again.
 */

import type { CompactionPolicy } from './compaction.js'
import type { DocumentName } from './ids.js'

/** Documents that are counted at once. */
const documentsMax = 4_096

export class UnopenedTails {
  readonly #policy: CompactionPolicy
  /** The one that was counted longest ago first. */
  readonly #tails = new Map<DocumentName, { count: number; bytes: number }>()

  constructor(policy: CompactionPolicy) {
    this.#policy = policy
  }

  /** @returns whether the document should be compacted now; it counts from the beginning then. */
  add(document: DocumentName, bytes: number): boolean {
    const tail = this.#tails.get(document) ?? { count: 0, bytes: 0 }
    this.#tails.delete(document)
    tail.count++
    tail.bytes += bytes
    if (tail.count >= this.#policy.idleEntries * 2 || tail.bytes >= this.#policy.openBytes) return true
    this.#tails.set(document, tail)
    if (this.#tails.size > documentsMax)
      for (const oldest of this.#tails.keys()) {
        this.#tails.delete(oldest)
        break
      }
    return false
  }
}
