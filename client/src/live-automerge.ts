/** A document of Automerge that somebody has open, kept in step with the sync machine. */

import * as A from '@automerge/automerge'
import type { Random } from '@meridian/core/effects'
import { chunksOf, joinChunks } from './chunks.js'
import type { Listener } from './listeners.js'
import type { Live } from './live.js'

type Content = Record<string, unknown>

/** Each opening has an actor of its own, never stored: two of one actor would make replicas differ for ever. */
export class LiveAutomerge implements Live {
  readonly engine = 'automerge'
  readonly clientId: number
  readonly listeners = new Set<Listener>()
  doc: A.Doc<Content>
  isLoaded = false
  /** Changes that build on what has not come yet. Automerge keeps them, too, and does not say them again before they count. */
  #waiting: readonly Uint8Array[] = []
  readonly #onEdit: (update: Uint8Array) => void
  readonly #report: (thrown: unknown) => void

  constructor(random: Random, onEdit: (update: Uint8Array) => void, report: (thrown: unknown) => void) {
    this.#onEdit = onEdit
    this.#report = report
    this.clientId = random.uint32()
    const words = [this.clientId, random.uint32(), random.uint32(), random.uint32()]
    this.doc = A.init({ actor: words.map((word) => word.toString(16).padStart(8, '0')).join('') })
  }

  /** @param run makes the document after it; Automerge outdates the one before. */
  change(run: (doc: A.Doc<Content>) => A.Doc<Content>): void {
    const heads = A.getHeads(this.doc)
    this.doc = run(this.doc)
    const changes = A.getChangesSince(this.doc, heads)
    for (const change of changes) this.#onEdit(change)
    if (changes.length > 0) this.#tell()
  }

  get waitingBytes(): number {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0)
  }

  /** What others wrote, all at once. What Automerge fails at is reported and stops nothing: the rest is as true as before. */
  apply(updates: readonly Uint8Array[]): void {
    const changes = updates.flatMap(chunksOf)
    if (changes.length === 0) return
    const taken: Uint8Array[] = []
    this.#take(changes, taken, () => {
      for (const change of changes) this.#take([change], taken, this.#report)
    })
    const lacks = A.getMissingDeps(this.doc, []).length > 0
    this.#waiting = lacks ? [...this.#waiting, ...taken].filter((change) => !this.#counts(change)) : []
    this.#tell()
  }

  /** Also what waits for something else. */
  loadedState(): Uint8Array | undefined {
    return this.isLoaded ? joinChunks([...A.getAllChanges(this.doc), ...this.#waiting]) : undefined
  }

  shown(): Uint8Array {
    return joinChunks(A.getAllChanges(this.doc))
  }

  destroy(): void {
    this.listeners.clear()
    A.free(this.doc)
  }

  /** All of them, or none and why. */
  #take(changes: Uint8Array[], taken: Uint8Array[], failed: (thrown: unknown) => void): void {
    try {
      ;[this.doc] = A.applyChanges(this.doc, changes)
      taken.push(...changes)
    } catch (thrown) {
      failed(thrown)
    }
  }

  #counts(change: Uint8Array): boolean {
    return A.hasHeads(this.doc, [A.decodeChange(change).hash])
  }

  #tell(): void {
    for (const listener of [...this.listeners]) {
      try {
        listener()
      } catch (thrown) {
        this.#report(thrown)
      }
    }
  }
}
