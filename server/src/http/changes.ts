/**
 * The change feed of a collection: which documents changed, from a version on, for as long as somebody reads. A subscriber like any other: a
 * filter and a cursor. It is pulled: what its reader does not take is not read from the log, and nothing is kept for it (SES4).
 *
 * ```
 *   locate the cursor ─▶ read the group's log ─▶ one event a document and page ─▶ at the head: wait for a commit
 *            ▲                  │ a trim passed by
 *            └── compare every document of the collection with the cursor ◀──┘
 * ```
 *
 * An event says that a document is at least at a version, and not what changed; so a compaction that dropped the entries in between takes
 * nothing from a reader. A document may be told of twice, and is never left out.
 */

import { MeridianError } from '@meridian/core/errors'
import type { DocumentName, Position } from '@meridian/core/ids'
import { documentParts, toPosition } from '@meridian/core/ids'
import type { LiveGroup } from '@meridian/core/live-group'
import type { DocumentInfo, Done, ListedDocument, Outcome, Read, RegionLog } from '@meridian/core/log'
import {
  covers,
  include,
  includes,
  isEmpty,
  merge,
  mutableVersion,
  type MutableVersion,
  type Version,
} from '@meridian/core/version'

export interface Change {
  readonly kind: 'changed' | 'erased'
  readonly key: string
  readonly life: number
  /** The document holds this, and maybe more. */
  readonly version: Version
  /** Where to go on after this event. Undefined while a comparison is under way: it would have to begin anew. */
  readonly cursor: Version | undefined
}

/** Nothing happened: one is alive, and up to here. */
export interface Alive {
  readonly kind: 'alive'
  readonly cursor: Version
}

export interface ChangesOptions {
  readonly log: RegionLog
  readonly group: LiveGroup
  /** `tenant/collection/`. */
  readonly prefix: string
  /** May whoever reads see this document? Asked for each event. */
  readonly sees: (document: DocumentName) => boolean
  /** Undefined: from now on. */
  readonly since: Version | undefined
  /** Resolves when there may be more than up to `position`, or when it is time to say that one is alive. */
  readonly wait: (group: LiveGroup, position: Position) => Promise<'more' | 'alive' | 'end'>
}

/** One read: small, as what is sent of it is small too. */
const page = { bytes: 256 * 1024, entries: 512 }
const listPage = 256

/** Ends when `wait` says so. `alive` at the beginning, with the cursor, and whenever nothing happened for long. @throws MeridianError of the log */
export async function* changes(options: ChangesOptions): AsyncGenerator<Change | Alive> {
  const { log, group, since } = options
  const cursor = mutableVersion(since ?? group.version)
  let position = since === undefined ? log.position : await locate(options, since)
  yield { kind: 'alive', cursor: mutableVersion(cursor) }
  for (;;) {
    // What comes into the log now is not served (LINK6); who reads comes again with its cursor.
    if (group.isJoining) return
    const from = position
    const read = await ask<Read>((done) => log.readGroup(group.id, from, page, done))
    if (read.trimmed > from) {
      // Of one moment: what is newer is read in the log afterwards.
      const head = mutableVersion(group.version)
      position = log.position
      yield* compared(options, cursor)
      merge(cursor, head)
      yield { kind: 'alive', cursor: mutableVersion(cursor) }
      continue
    }
    yield* told(options, read, cursor)
    position = read.asOf
    if (read.more) continue
    const woken = await options.wait(group, position)
    if (woken === 'end') return
    if (woken === 'alive') yield { kind: 'alive', cursor: mutableVersion(cursor) }
  }
}

/** The last of each document's entries in one page, where it stands. */
function* told({ prefix, sees }: ChangesOptions, read: Read, cursor: MutableVersion): Iterable<Change> {
  const last = new Map<DocumentName, Position>()
  for (const { document, position } of read.entries) if (document?.startsWith(prefix) === true) last.set(document, position)
  for (const entry of read.entries) {
    const { document, replica, sequence, position, kind, life } = entry
    const isNew = !includes(cursor, replica, sequence)
    include(cursor, replica, sequence)
    if (document === undefined || !isNew || last.get(document) !== position || !sees(document)) continue
    if (kind !== 'update' && kind !== 'erase') continue
    const version = mutableVersion()
    include(version, replica, sequence)
    yield {
      kind: kind === 'erase' ? 'erased' : 'changed',
      key: documentParts(document).key,
      life,
      version,
      cursor: mutableVersion(cursor),
    }
  }
}

/** Every document of the collection that holds more than the cursor does. */
async function* compared({ log, prefix, sees }: ChangesOptions, cursor: Version): AsyncGenerator<Change> {
  for (let after = ''; ; ) {
    const from = after
    const listed = await ask<readonly ListedDocument[]>((done) => log.listDocuments(prefix, from, listPage, done))
    for (const { document } of listed) {
      after = document
      if (!sees(document)) continue
      const outcome = await new Promise<Outcome<DocumentInfo>>((resolve) => log.openDocument(document, resolve))
      // A damaged document does not keep the others from being told of.
      if (outcome.kind === 'failed' && outcome.code === 'DOCUMENT_DAMAGED') continue
      if (outcome.kind === 'failed') throw new MeridianError(outcome.code)
      const { ended, life, version } = outcome.value
      if (covers(cursor, version)) continue
      yield { kind: ended ? 'erased' : 'changed', key: documentParts(document).key, life, version, cursor: undefined }
    }
    if (listed.length < listPage) return
  }
}

/**
 * The position up to which a version covers the group's log, by bisection: a region's own entries stand in it in the order of their dots, so
 * what a version covers is a beginning. (With entries of other regions in between it would be the longest beginning that it covers
 * of the log as far as the search looks; then entries are told once more, never left out.)
 */
async function locate({ log, group }: ChangesOptions, since: Version): Promise<Position> {
  let low = 0
  let high: number = log.position
  if (isEmpty(since)) return toPosition(low)
  while (low < high) {
    const middle = (low + high) >>> 1
    const { entries } = await ask<Read>((done) => log.readGroup(group.id, toPosition(middle), { bytes: 1, entries: 1 }, done))
    const [entry] = entries
    if (entry !== undefined && includes(since, entry.replica, entry.sequence)) low = entry.position
    else high = middle
  }
  return toPosition(low)
}

async function ask<T>(run: (done: Done<T>) => void): Promise<T> {
  const outcome = await new Promise<Outcome<T>>((resolve) => run(resolve))
  if (outcome.kind === 'failed') throw new MeridianError(outcome.code)
  return outcome.value
}
