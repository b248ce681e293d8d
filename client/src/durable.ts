/**
 * `saved({ regions: n })`, CLI2: what n regions hold has to cover the session token of the group as it was when the last of the edits was
 * acked. The token holds their dots and what they build on, which no region has them without (LINK2), so it asks for nothing more.
 */

import type { DocumentName, GroupId } from '@meridian/core/ids'
import { covers, mutableVersion } from '@meridian/core/version'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { Durable } from '@meridian/core/wires/native/server-frames'
import type { Attachment } from './document.js'
import type { Outcome, Wanted } from './wanted.js'
import { outcomeOf } from './outcome.js'
import type { SyncState } from './sync-state.js'

/** What became of the edits of a document up to an age, in so many regions. */
export function outcomeIn(sync: SyncState, name: DocumentName, age: number, wait: Wanted): Outcome {
  const { places } = sync
  const document = sync.documents.get(name)
  const group = document?.group
  const known = group === undefined ? undefined : sync.regionCounts.get(group)
  if (wait.regions > (known ?? (places.isListed ? places.regionCount : wait.regions))) return 'REGIONS_TOO_FEW'
  const outcome = outcomeOf(sync, name, age, sync)
  if (outcome !== 'saved') return outcome
  if (!sync.leads) {
    if (wait.id === 0) {
      wait.id = sync.journal.nextName().number
      sync.effects.wanted(name, wait.id, wait.regions)
    }
    return wait.told ?? 'pending'
  }
  if (document === undefined || group === undefined) return 'pending'
  const token = sync.journal.tokenOf(group)
  if (wait.needs === undefined || wait.voids !== sync.journal.voids) {
    wait.needs = mutableVersion(token)
    wait.voids = sync.journal.voids
  }
  const { attachment } = document
  if (attachment === undefined) return 'pending'
  if ((sync.session.welcome?.protocol ?? 0) < durableProtocol) return 'PROTOCOL_UNSUPPORTED'
  const held = attachment.group.durable.get(wait.regions)
  if (held === undefined) ask(sync, attachment, wait.regions)
  return held != null && covers(held, wait.needs) ? 'saved' : 'pending'
}

/** The outbox keeps edits of an earlier connection until enough regions have them: it is asked which do (SES2). */
export function askForKept(sync: SyncState, name: DocumentName): void {
  const document = sync.documents.get(name)
  const attachment = document?.attachment
  if (document === undefined || document.keptCount === 0 || attachment === undefined) return
  if ((sync.session.welcome?.protocol ?? 0) >= durableProtocol && !attachment.group.durable.has(enoughRegions))
    ask(sync, attachment, enoughRegions)
}

export function durable(sync: SyncState, frame: Durable): GroupId | undefined {
  const live = sync.session.groups.get(frame.group)
  if (live === undefined) return undefined
  sync.regionCounts.set(live.id, frame.count)
  if (frame.regions <= frame.count) live.durable.set(frame.regions, frame.version)
  for (const document of sync.documents.values()) if (document.group === live.id) sync.changed.add(document)
  return live.id
}

function ask(sync: SyncState, { channel, group }: Attachment, regions: number): void {
  group.durable.set(regions, null)
  sync.out.push(encodeClientFrame({ type: 'durable', channel, regions }))
}

/** The first protocol with the question. */
const durableProtocol = 3
/** Regions that have to hold an edit before the outbox forgets it. */
export const enoughRegions = 2
