/**
 * What a run of a cluster knows of every edit and every entry, and what must hold of them. It judges by the stores themselves and by what people
 * see, never by what a machine says.
 *
 * - LOG1 `saved` only for what is durable. LOG2 No dot is given twice, over all restarts and restored copies; elsewhere an entry is what its origin
 *   wrote. LOG3, LINK4 A sequence follows the one before.
 * - LINK2 Nothing stands in a region's log before all that its origin had before it.
 * - SES5 Nor before what its author had seen, in whatever region. What a process has shown it goes on showing; causes stand before effects.
 * - SES2 Nothing that was saved, or stored on a device, is lost; no push is in one log twice, no content twice in a document.
 * - CLI1 What a device has stored its next process shows.
 *
 * The check of causality is linear: each write is unique and carries the versions of what was there before it (Bouajjani et al., "On verifying
 * causal consistency", 2017).
 */

import type { Handle } from '@meridian/client/handle'
import type { Draft, Entry } from '@meridian/core/entry'
import type { DocumentName, GroupId, ReplicaId } from '@meridian/core/ids'
import type { DocumentState } from '@meridian/core/log'
import type { MutableVersion, Version } from '@meridian/core/version'
import { covers, include, missing, mutableVersion } from '@meridian/core/version'
import * as Y from 'yjs'
import type { MemoryStore } from '../memory-log.js'
import { groupOf } from '../node.js'
import { addedTexts } from './texts.js'

/** One document of the world. */
export interface Target {
  readonly tenant: string
  /** `collection/key`. */
  readonly path: string
  readonly name: DocumentName
  /** It may be erased on the way. */
  readonly isDoomed: boolean
}

export interface Edit {
  readonly text: string
  readonly target: Target
  readonly device: number
  /** Dots of what its author's process had shown of the group. */
  readonly seen: MutableVersion
  /** What it had shown, in its order: of this list the first `shownCount`. */
  readonly shown: readonly string[]
  readonly shownCount: number
  /** What stood last in each other document, of what its region held. */
  readonly causes: readonly string[]
  stored: boolean
  /** The era in which a region said that it is saved. */
  savedIn: number | undefined
  /** Nobody promised to keep it: its process died before its disk or a region had it. */
  free: boolean
  removed: boolean
  dot: { readonly replica: ReplicaId; readonly sequence: number } | undefined
}

interface Origin {
  readonly entry: Entry
  /** What its region held before it. */
  readonly version: Version
}

/** A document as somebody has it open. */
export interface Watched {
  readonly handle: Handle
  readonly device: number
  readonly target: Target
  readonly shown: Set<string>
  /** The same, in the order of their coming. */
  readonly order: string[]
  /** What came since somebody last looked, and whether something went. */
  readonly fresh: string[]
  hasLost: boolean
  /** Shown, and not compared with its causes yet. */
  unjudged: string[]
  /** Its copy from the device was compared with what was stored there. */
  isCompared: boolean
  changed: boolean
}

/** What one process of a device has shown of a tenant. */
export interface Seen {
  readonly shown: string[]
  readonly version: MutableVersion
  /** Of `shown`, how many are in `version`. Those without a dot yet are in `waiting`. */
  waiting: string[]
}

export const newSeen = (): Seen => ({ shown: [], version: mutableVersion(), waiting: [] })

export const listOf = (doc: Y.Doc): string[] => doc.getArray<string>('list').toArray()

class SiteHistory {
  readonly docs = new Map<DocumentName, Y.Doc>()
  readonly erased = new Set<DocumentName>()
  readonly versions = new Map<GroupId, MutableVersion>()
  /** Every text that ever stood in its log. */
  readonly texts = new Set<string>()

  version(group: GroupId): MutableVersion {
    let version = this.versions.get(group)
    if (version === undefined) {
      version = mutableVersion()
      this.versions.set(group, version)
    }
    return version
  }
}

export class History {
  readonly edits = new Map<string, Edit>()
  readonly wrong: string[] = []
  /** How often what a rule says was compared. */
  readonly reached = new Map<string, number>()
  /** Restores so far. */
  era = 0
  trimmed = false
  /**
   * A device has gone to another region, which may not hold what it had seen. It is answered `behind` at once and rescues, document by document, so
   * that an effect may come before its cause, and what others wrote under a second dot (ARCHITECTURE.md, where the code differs).
   */
  hasRescued = false
  /** Times that what is not promised then was found wanting. */
  unpromisedCount = 0
  readonly erased = new Set<DocumentName>()
  readonly #sites: readonly SiteHistory[]
  readonly #origins = new Map<string, Origin>()
  readonly #pushes = new Set<string>()
  /** Dots that a restore took out of a log, by group and replica: who holds them nobody knows. */
  readonly #doubtful = new Set<string>()
  entryCount = 0

  readonly #failed: (what: string) => void

  /** @param failed told of each wrong thing when it is found. */
  constructor(siteCount: number, failed: (what: string) => void) {
    this.#failed = failed
    this.#sites = Array.from({ length: siteCount }, () => new SiteHistory())
  }

  /** At most this many are kept: one wrong thing makes many. */
  fail(what: string): void {
    if (this.wrong.length >= 10) return
    this.#failed(what)
    this.wrong.push(what)
  }

  hold(rule: string): void {
    this.reached.set(rule, (this.reached.get(rule) ?? 0) + 1)
  }

  #site(index: number): SiteHistory {
    const site = this.#sites[index]
    if (site === undefined) throw new Error(`no region ${index}`)
    return site
  }

  doc(index: number, name: DocumentName): Y.Doc {
    const { docs } = this.#site(index)
    let doc = docs.get(name)
    if (doc === undefined) {
      doc = new Y.Doc({ guid: name })
      doc.clientID = 0
      docs.set(name, doc)
    }
    return doc
  }

  versionAt(index: number, group: GroupId): MutableVersion {
    return this.#site(index).version(group)
  }

  list(index: number, name: DocumentName): string[] {
    return listOf(this.doc(index, name))
  }

  /** Whether it ever stood in the log of that region. */
  isDurableAt(index: number, text: string): boolean {
    return this.#site(index).texts.has(text)
  }

  isErasedAt(index: number, name: DocumentName): boolean {
    return this.#site(index).erased.has(name)
  }

  // What logs say.

  durable(index: number, entries: readonly Entry[], drafts: readonly Draft[]): void {
    const site = this.#site(index)
    const isOwn = drafts.length > 0
    for (const entry of entries) {
      this.entryCount++
      const { group, replica, sequence } = entry
      const version = site.version(group)
      const name = `${group} ${replica} ${sequence}`
      const what = `${name} in region ${index}`
      const origin = this.#origins.get(name)
      const before = version.sequences.get(replica) ?? 0
      if (isOwn) {
        this.hold('LOG2')
        if (sequence !== before + 1) this.fail(`[LOG3] ${what} follows ${before}`)
        if (origin !== undefined) this.fail(`[LOG2] the dot ${what} was given twice`)
        else this.#origins.set(name, { entry, version: mutableVersion(version) })
      } else if (sequence <= before) this.fail(`[LINK4] ${what} follows ${before}`)
      else if (origin === undefined) this.fail(`[LINK1] nobody wrote ${what}`)
      else this.#compare(what, entry, { origin, version, before })
      include(version, replica, sequence)
      if (entry.document !== undefined) this.#take(site, index, entry, what)
    }
    for (const { group, push } of drafts) {
      if (push === undefined) continue
      const name = `${index} ${group} ${push.device} ${push.counter}`
      if (this.#pushes.has(name)) this.fail(`[SES2] the push ${name} is in a log twice`)
      this.#pushes.add(name)
    }
  }

  /**
   * An entry in another region is what its origin wrote, and comes after what its origin had before it. It may stand for several, which followed one
   * another in one document (LINK7).
   */
  #compare(
    what: string,
    entry: Entry,
    { origin, version, before }: { readonly origin: Origin; readonly version: MutableVersion; readonly before: number },
  ): void {
    this.hold('LINK2')
    this.hold('LINK4')
    const { chain, time, kind, payload } = origin.entry
    const { group, replica, sequence } = entry
    const isMerged = sequence > before + 1
    const isStub = entry.kind === 'stub'
    const isOther = !isStub && (entry.kind !== kind || (kind !== 'update' && !isSame(entry.payload, payload)))
    if (entry.chain !== chain || entry.time !== time || isOther) this.fail(`[LOG2] ${what} is not what its region wrote`)
    const held = isMerged ? mutableVersion(version) : version
    if (isMerged) include(held, replica, sequence)
    for (let dot = before + 1; dot <= sequence; dot++) {
      const one = this.#origins.get(`${group} ${replica} ${dot}`)
      if (one === undefined) return this.fail(`[LINK1] nobody wrote ${replica} ${dot}, for which ${what} stands`)
      if (isMerged) this.hold('LINK7')
      if (isMerged && (one.entry.kind !== 'update' || one.entry.document !== origin.entry.document))
        return this.fail(`[LINK7] ${what} stands for ${dot} as well, which is of another document or kind`)
      if (covers(held, one.version)) continue
      const lacking = this.#lacking(group, missing(one.version, held), held)
      if (lacking !== undefined) return this.fail(`[LINK2] ${what} stands before ${lacking}, which its region had before it`)
    }
  }

  /** One dot of what is missing that no restore took away. */
  #lacking(group: GroupId, lacks: Version, held: Version): string | undefined {
    for (const [replica, last] of lacks.sequences) {
      for (let sequence = (held.sequences.get(replica) ?? 0) + 1; sequence <= last; sequence++)
        if (!this.#doubtful.has(`${group} ${replica} ${sequence}`)) return `${replica} ${sequence}`
    }
    return undefined
  }

  #take(site: SiteHistory, index: number, entry: Entry, what: string): void {
    const name = entry.document
    if (name === undefined) return
    if (entry.kind === 'erase') {
      this.hold('RES7')
      // For a slow reader it is a trim.
      this.trimmed = true
      this.erased.add(name)
      site.erased.add(name)
      site.docs.delete(name)
      return
    }
    if (entry.kind !== 'update' || site.erased.has(name)) return
    const doc = this.doc(index, name)
    const list = doc.getArray<string>('list')
    const fresh: string[] = []
    const watch = (_event: unknown, transaction: Y.Transaction): void => {
      fresh.push(...addedTexts(transaction, list))
    }
    list.observe(watch)
    Y.applyUpdate(doc, entry.payload)
    list.unobserve(watch)
    this.#expectWhole(doc, entry, what)
    if (doc.store.pendingStructs !== null) this.fail(`[SES2] ${what} builds on what the log does not hold`)
    for (const text of fresh) {
      site.texts.add(text)
      const edit = this.edits.get(text)
      if (edit === undefined) continue
      edit.dot ??= entry
      this.#judgeSeen(site, entry.group, edit, what)
    }
  }

  /** What came merged holds what its region wrote. */
  #expectWhole(doc: Y.Doc, { group, replica, sequence, payload }: Entry, what: string): void {
    const origin = this.#origins.get(`${group} ${replica} ${sequence}`)?.entry
    if (origin === undefined || origin.payload.length === payload.length) return
    let isLacking = false
    const lacks = (): void => {
      isLacking = true
    }
    doc.on('update', lacks)
    Y.applyUpdate(doc, origin.payload)
    doc.off('update', lacks)
    if (isLacking) this.fail(`[LINK7] ${what} lacks something that its region wrote`)
  }

  /** SES5: whatever its author had seen is here before it. */
  #judgeSeen(site: SiteHistory, group: GroupId, edit: Edit, what: string): void {
    this.hold('SES5')
    if (covers(site.version(group), edit.seen)) return
    // What came by another name, as a resend does, is here all the same.
    for (let at = 0; at < edit.shownCount; at++) {
      const text = edit.shown[at] ?? ''
      if (site.texts.has(text)) continue
      const other = this.edits.get(text)
      if (other?.dot === undefined || other.removed || site.erased.has(other.target.name) || other.device === edit.device)
        continue
      if (this.#doubtful.has(`${group} ${other.dot.replica} ${other.dot.sequence}`)) continue
      if (this.hasRescued || this.era > 0) this.unpromisedCount++
      else
        this.fail(
          `[SES5] ${what} holds ${edit.text.slice(0, 12)}, whose author had seen ${text.slice(0, 12)}, which is not there`,
        )
      return
    }
  }

  /** LINK6: a document became what another region held of it. */
  stated(index: number, states: readonly DocumentState[]): void {
    const site = this.#site(index)
    for (const { document, ended, snapshot, entries } of states) {
      this.hold('LINK6')
      site.docs.delete(document)
      if (ended) {
        this.erased.add(document)
        site.erased.add(document)
        continue
      }
      const doc = this.doc(index, document)
      if (snapshot !== undefined) Y.applyUpdate(doc, snapshot.state.bytes)
      for (const { kind, payload } of entries) if (kind === 'update') Y.applyUpdate(doc, payload)
      if (doc.store.pendingStructs !== null)
        this.fail(`[LINK6] a state of ${document} in region ${index} builds on what it does not hold`)
      for (const text of listOf(doc)) site.texts.add(text)
    }
  }

  /** LINK6: the transfer to a region is over. */
  adopted(index: number, group: GroupId, version: Version): void {
    const held = this.versionAt(index, group)
    for (const [replica, sequence] of version.sequences) include(held, replica, sequence)
  }

  /** A region goes on with an older copy. */
  restored(index: number, store: MemoryStore): void {
    this.era++
    const site = this.#site(index)
    for (const [group, before] of site.versions) {
      const version = mutableVersion()
      for (const [replica, { sequence }] of store.groups.get(group)?.ends ?? []) version.sequences.set(replica, sequence)
      for (const [replica, last] of before.sequences)
        for (let sequence = (version.sequences.get(replica) ?? 0) + 1; sequence <= last; sequence++)
          this.#doubtful.add(`${group} ${replica} ${sequence}`)
      site.versions.set(group, version)
    }
    site.docs.clear()
    site.erased.clear()
    site.texts.clear()
    for (const name of [...this.#pushes]) if (name.startsWith(`${index} `)) this.#pushes.delete(name)
    for (const [name, held] of store.documents) {
      if (held.ended) site.erased.add(name)
      if (held.ended) continue
      const doc = this.doc(index, name)
      if (held.snapshot !== undefined) Y.applyUpdate(doc, held.snapshot.state.bytes)
      for (const entry of held.entries) if (entry.kind === 'update') Y.applyUpdate(doc, entry.payload)
      for (const text of listOf(doc)) site.texts.add(text)
    }
    // What only a killed process and the lost history had is gone for good.
    for (const edit of this.edits.values()) if (!edit.stored && edit.free) edit.savedIn = undefined
  }

  // What people see.

  saved(edit: Edit): void {
    this.hold('CLI2')
    edit.savedIn = this.era
    if (edit.removed || this.erased.has(edit.target.name)) return
    if (!this.#sites.some((site) => site.texts.has(edit.text)))
      this.fail(`[LOG1] ${edit.text.slice(0, 12)} was called saved and is not durable`)
  }

  /** Every text that a handle has shown is there, unless somebody removed it. */
  shows(watched: Watched, seen: Seen): void {
    const where = `${watched.target.name} of device ${watched.device}`
    this.hold('SES5')
    for (const text of watched.fresh.splice(0)) {
      if (!this.edits.has(text)) this.fail(`[SES2] ${text.slice(0, 12)} is in ${where} and nobody wrote it`)
      if (watched.shown.has(text)) this.fail(`[SES2] ${text.slice(0, 12)} is in ${where} twice`)
      watched.shown.add(text)
      watched.order.push(text)
      watched.unjudged.push(text)
      seen.shown.push(text)
      seen.waiting.push(text)
    }
    if (!watched.hasLost) return
    watched.hasLost = false
    const now = new Set(listOf(watched.handle.ydoc))
    for (const text of watched.shown) {
      if (now.has(text)) continue
      const edit = this.edits.get(text)
      if (edit?.removed !== true && watched.handle.status.kind !== 'erased')
        this.fail(`[SES5] ${text.slice(0, 12)} was shown in ${where} and is gone`)
    }
  }

  /** What an author has seen by now. */
  seenBy(seen: Seen): MutableVersion {
    const waiting: string[] = []
    for (const text of seen.waiting) {
      const dot = this.edits.get(text)?.dot
      if (dot === undefined) waiting.push(text)
      else include(seen.version, dot.replica, dot.sequence)
    }
    seen.waiting = waiting
    return mutableVersion(seen.version)
  }

  /**
   * What two documents of one device show together, both being current. Not promised after a restore, since rescue goes document by document,
   * nor where a slow reader met a trim, which starts over at a snapshot of each document by itself (ARCHITECTURE.md, where the code differs).
   */
  ordered(effects: Watched, all: readonly Watched[]): void {
    if (effects.unjudged.length === 0 || effects.handle.status.kind !== 'current') return
    if (this.era > 0 || this.trimmed || this.hasRescued) {
      effects.unjudged = []
      return
    }
    const later: string[] = []
    for (const text of effects.unjudged) {
      const edit = this.edits.get(text)
      let isLater = false
      for (const cause of edit?.causes ?? []) {
        const target = this.edits.get(cause)?.target
        const other = all.find((one) => one.target === target)
        if (other === undefined || this.edits.get(cause)?.removed === true || target?.isDoomed === true) continue
        if (other.shown.has(cause)) this.hold('CAUSE')
        else if (other.handle.status.kind !== 'current') isLater = true
        else
          this.fail(
            `[SES5] device ${effects.device} shows ${text.slice(0, 12)} of ${effects.target.name} and not its cause ${cause.slice(0, 12)}`,
          )
      }
      if (isLater) later.push(text)
    }
    effects.unjudged = later
  }

  /** A new process has read what its device holds of a document. */
  loaded(watched: Watched): void {
    if (watched.isCompared || watched.handle.status.kind === 'loading') return
    // It may build on what another tab has received and not written yet, and shows when that is here.
    if (watched.handle.ydoc.store.pendingStructs !== null) return
    watched.isCompared = true
    if (watched.handle.status.kind === 'erased' || this.erased.has(watched.target.name)) return
    this.hold('CLI1')
    const now = new Set(listOf(watched.handle.ydoc))
    for (const edit of this.edits.values()) {
      if (!edit.stored || edit.removed || edit.device !== watched.device || edit.target !== watched.target) continue
      if (!now.has(edit.text)) this.fail(`[CLI1] ${edit.text.slice(0, 12)} was stored on device ${edit.device} and is not there`)
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

export const groupOfTarget = (target: Target): GroupId => groupOf(target.name)

const isSame = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0
