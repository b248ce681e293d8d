/**
 * What a run of a simulated region knows of each edit, and what must hold. It judges by the store itself, never by what a machine says.
 *
 * - LOG1 `saved` only for what is durable. LOG2 No dot is given twice, over all restarts and restored copies; a dot follows the one before.
 * - SES1 A cursor that claims what its copy lacks shows as a replica that stays different.
 * - SES2 No push is in one history of the log twice, and nothing that was saved, or stored on a device, is lost.
 * - SES5 What a process has shown it goes on showing, its own edits first; causes stand before effects across documents of a group.
 */

import type { Handle } from '@meridian/client/handle'
import type { Entry } from '@meridian/core/entry'
import type { DocumentName } from '@meridian/core/ids'
import { parseDocument } from '@meridian/core/ids'
import * as Y from 'yjs'
import type { MemoryStore } from './memory-log.js'

export interface Edit {
  readonly text: string
  readonly document: number
  readonly device: number
  /** Restores of the region before it. */
  readonly era: number
  /** What its author saw in other documents of the group: document and text. */
  readonly causes: readonly (readonly [document: number, text: string])[]
  stored: boolean
  /** The era in which a region said that it is saved. */
  savedIn: number | undefined
  /** Nobody promised to keep it: its process died before its disk or a region had it, or the only history with it was taken away. */
  free: boolean
  removed: boolean
}

export const documentNames = ['notes/1', 'notes/2', 'tasks/1'] as const
/** One more, which may be erased on the way. */
export const doomed = documentNames.length
export const allNames = [...documentNames, 'notes/doomed'] as const
export const nameOf = (document: number): DocumentName => parseDocument(`acme/${allNames[document] ?? ''}`)

export const listOf = (doc: Y.Doc): string[] => doc.getArray<string>('list').toArray()

/** A handle as a run watches it. */
export interface Watched {
  readonly handle: Handle
  readonly device: number
  readonly document: number
  readonly shown: Set<string>
  changed: boolean
}

export class Ledger {
  readonly edits = new Map<string, Edit>()
  readonly wrong: string[] = []
  era = 0
  readonly #docs = new Map<DocumentName, Y.Doc>()
  readonly #dots = new Set<string>()
  readonly #ends = new Map<string, number>()
  readonly #pushes = new Set<string>()
  erased = false
  /** A compaction dropped entries. */
  trimmed = false

  /** At most this many are kept: one wrong thing makes many. */
  fail(what: string): void {
    if (this.wrong.length < 10) this.wrong.push(what)
  }

  /** What the store holds of a document now. */
  doc(name: DocumentName): Y.Doc {
    let doc = this.#docs.get(name)
    if (doc === undefined) {
      doc = new Y.Doc({ guid: name })
      doc.clientID = 0
      this.#docs.set(name, doc)
    }
    return doc
  }

  durable(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const line = `${entry.group} ${entry.replica}`
      const dot = `${line} ${entry.sequence}`
      if (this.#dots.has(dot)) this.fail(`[LOG2] the dot ${dot} was given twice`)
      this.#dots.add(dot)
      if (entry.sequence !== (this.#ends.get(line) ?? 0) + 1) this.fail(`[LOG2] ${dot} follows ${this.#ends.get(line)}`)
      this.#ends.set(line, entry.sequence)
      if (entry.document === undefined) continue
      if (entry.kind === 'erase') {
        this.erased = true
        this.#docs.delete(entry.document)
      } else if (entry.kind === 'update') {
        const doc = this.doc(entry.document)
        Y.applyUpdate(doc, entry.payload)
        if (doc.store.pendingStructs !== null) this.fail(`[SES2] ${dot} builds on what the log does not hold`)
      }
    }
  }

  pushed(group: string, device: string, counter: number): void {
    const name = `${group} ${device} ${counter}`
    if (this.#pushes.has(name)) this.fail(`[SES2] the push ${name} is in the log twice`)
    this.#pushes.add(name)
  }

  /** The region goes on with an older copy. */
  restored(store: MemoryStore): void {
    this.era++
    this.#docs.clear()
    this.#pushes.clear()
    for (const [name, held] of store.documents) {
      const doc = this.doc(name)
      if (held.snapshot !== undefined) Y.applyUpdate(doc, held.snapshot.state.bytes)
      for (const entry of held.entries) if (entry.kind === 'update') Y.applyUpdate(doc, entry.payload)
    }
    // What only a killed process and the lost history had is gone for good.
    for (const edit of this.edits.values()) if (!edit.stored && edit.free) edit.savedIn = undefined
  }

  saved(edit: Edit): void {
    edit.savedIn = this.era
    if (edit.removed || (edit.document === doomed && this.erased)) return
    if (!listOf(this.doc(nameOf(edit.document))).includes(edit.text))
      this.fail(`[CLI2] ${edit.text} was called saved and is not durable`)
  }

  /** Every text that a watched handle has shown is there, unless somebody removed it. */
  shows(watched: Watched): void {
    const list = listOf(watched.handle.ydoc)
    const now = new Set(list)
    const where = `${allNames[watched.document]} of device ${watched.device}`
    if (now.size !== list.length) this.fail(`[SES2] something is in ${where} twice`)
    for (const text of watched.shown) {
      if (now.has(text) || this.edits.get(text)?.removed === true) continue
      if (watched.document === doomed && watched.handle.status.kind === 'erased') continue
      this.fail(`[SES5] ${text} was shown in ${where} and is gone`)
    }
    for (const text of now) {
      if (!this.edits.has(text)) this.fail(`${text} is in ${where} and nobody wrote it`)
      watched.shown.add(text)
    }
  }

  /**
   * What two documents of one device show together, both being current. Not promised after a restore, since rescue goes document by document,
   * nor where a slow reader met a trim, which starts over at a snapshot of each document by itself (ARCHITECTURE.md, where the code differs).
   */
  ordered(effects: Watched, all: readonly Watched[]): void {
    if (this.era > 0 || this.trimmed || effects.handle.status.kind !== 'current') return
    for (const text of effects.shown) {
      for (const [document, cause] of this.edits.get(text)?.causes ?? []) {
        const other = all.find((one) => one.document === document)
        if (other === undefined || other.handle.status.kind !== 'current' || other.shown.has(cause)) continue
        if (this.edits.get(cause)?.removed === true || document === doomed) continue
        this.fail(
          `[SES5] device ${effects.device} shows ${text.slice(0, 10)} of ${allNames[effects.document]} and not its cause ${cause.slice(0, 10)}`,
        )
      }
    }
  }

  /** A process died: what neither its disk nor the region has may be gone. */
  killed(device: number): void {
    for (const edit of this.edits.values()) if (edit.device === device && !edit.stored) edit.free = true
  }

  /** Whether somebody promised that it is in the document for good. */
  isPromised(edit: Edit): boolean {
    if (edit.removed) return false
    if (!edit.free) return true
    return edit.stored || edit.savedIn === this.era
  }
}
