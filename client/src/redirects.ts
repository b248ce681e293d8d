/**
 * Documents that may not be where the others are: a connection of its own leads to a region that may have them, at most one for each set of regions
 * (ATT6). The device keeps which regions those are, so that the next opening sends nothing of them anywhere else (RES5).
 */

import type { Redirect } from '@meridian/core/effects'
import type { RegionId } from '@meridian/core/ids'
import { attachLoaded, detach } from './attaching.js'
import type { ClientDocument } from './document.js'
import type { SyncState } from './sync-state.js'
import { lineOf } from './sync-state.js'

/** Redirects of a document before it rests until the user, or the next connection, tries again. */
const hopsMax = 3
/** Connections beside the first one. */
const linesMax = 4

/** A region has said that the document may not be there. It is detached already. */
export function redirected(sync: SyncState, document: ClientDocument, redirects: readonly Redirect[]): void {
  document.redirects = redirects
  sync.journal.headChanged(document)
  if (++document.hops > hopsMax || !go(sync, document)) document.link = { kind: 'redirected', redirects }
}

/** Puts a document onto a line that leads, or will lead, to where it may be. False if there is none. */
export function go(sync: SyncState, document: ClientDocument): boolean {
  const { redirects } = document
  if (redirects.length === 0) return true
  const { places } = sync
  for (const { region, url } of redirects) places.of(region, url)
  const here = lineOf(sync, document) ?? sync
  const isAllowed = (region: RegionId | undefined): boolean => redirects.some((one) => one.region === region)
  const fits = (line: SyncState): boolean =>
    line.number === 0
      ? isAllowed(line.session.welcome?.region)
      : line.locator.all.length > 0 && line.locator.all.every(({ region }) => isAllowed(region))
  if (here.number > 0 && fits(here)) return true
  const known = places.all.filter(({ region }) => isAllowed(region))
  if (known.length === 0) return false
  const line =
    sync.lines.find(fits) ??
    (sync.lines.length <= linesMax ? sync.openLine(() => places.all.filter(({ region }) => isAllowed(region))) : undefined)
  if (line === undefined) return false
  move(sync, document, line)
  return true
}

/** The first connection leads to another region now: what may be there needs no other one. */
export function gather(sync: SyncState, region: RegionId): void {
  const [first] = sync.lines
  if (first === undefined) return
  for (const document of sync.documents.values()) {
    document.hops = 0
    if (document.line === 0 || !document.redirects.some((one) => one.region === region)) continue
    detach(lineOf(sync, document) ?? sync, document)
    move(sync, document, first)
  }
}

function move(sync: SyncState, document: ClientDocument, line: SyncState): void {
  const from = lineOf(sync, document) ?? sync
  if (from.number === line.number) return
  from.waiters.delete(document)
  const items = [...document.items.values()].filter((item) => item.state === 'waiting' || item.state === 'sent')
  from.outbox.let(items)
  document.line = line.number
  line.outbox.add(...items)
  sync.changed.add(document)
  attachLoaded(line, [document])
}
