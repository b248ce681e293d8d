/**
 * What a region holds of a group as sums over its documents, for finding out which documents two regions hold differently (LINK6): a tree of fixed
 * shape over the digests of names, in which every node is the sum of the digests of its documents. Memory does not depend on how many there are.
 *
 * Range-based set reconciliation: Meyer, "Range-Based Set Reconciliation", 2023, with ranges that are nodes of a tree. Digests are keyed by random
 * bytes of each transfer, so that nobody can choose names whose sums are equal.
 */

import type { DocumentName, GroupId } from '@meridian/core/ids'
import type { Done, GroupDocument, LinkedLog } from '@meridian/core/log'
import { keyedDocument, keyedName } from '@meridian/core/wires/link/keyed-document'
import { fanOut, leafCount, levelCount } from '@meridian/core/wires/link/join-frames'

/** 64 bits of a digest that nobody can steer. */
export type Digest = (bytes: Uint8Array) => bigint

/** Where a document stands in the tree, and what it adds there. */
export class KeyedDigest {
  readonly #digest: Digest
  readonly #key: Uint8Array

  constructor(digest: Digest, key: Uint8Array) {
    this.#digest = digest
    this.#key = key
  }

  leafOf(document: DocumentName): number {
    return Number(this.#digest(keyedName(this.#key, document)) & BigInt(leafCount - 1))
  }

  /** Equal if and only if name, life, end and version are, but for accidents of 64 bits. */
  of(document: GroupDocument): bigint {
    return this.#digest(keyedDocument(this.#key, document))
  }
}

export class GroupSums {
  readonly #leaves = new BigUint64Array(leafCount)
  documentCount = 0

  add(leaf: number, digest: bigint): void {
    this.#leaves[leaf] = (this.#leaves[leaf] ?? 0n) + digest
    this.documentCount++
  }

  get total(): bigint {
    return this.#sum(0, leafCount)
  }

  /** The sums of the nodes below one of this level, where level 0 is the root and has one node. */
  below(level: number, node: number): bigint[] {
    const width = fanOut ** (levelCount - level - 1)
    const first = node * fanOut * width
    return Array.from({ length: fanOut }, (_, index) => this.#sum(first + index * width, width))
  }

  #sum(first: number, count: number): bigint {
    let sum = 0n
    for (let leaf = first; leaf < first + count; leaf++) sum += this.#leaves[leaf] ?? 0n
    return BigInt.asUintN(64, sum)
  }
}

/** Documents of one page of a scan. */
const pageCount = 256

/** Every document of a group, a page at a time; the next is read when `each` calls its `next`. `done` is not called once `isOver` says so. */
export function scan(
  { log, group, isOver }: { readonly log: Pick<LinkedLog, 'listGroup'>; readonly group: GroupId; readonly isOver: () => boolean },
  each: (page: readonly GroupDocument[], next: () => void) => void,
  done: Done<void>,
): void {
  const from = (after: string): void =>
    log.listGroup(group, after, pageCount, (outcome) => {
      if (isOver()) return
      if (outcome.kind === 'failed') return done(outcome)
      const page = outcome.value
      const last = page.at(-1)
      each(page, () => {
        if (isOver()) return
        if (page.length < pageCount || last === undefined) done({ kind: 'done', value: undefined })
        else from(last.document)
      })
    })
  from('')
}
