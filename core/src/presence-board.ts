/**
 * Who shows what of themselves in the documents that are open here: sessions of this node, and those of other regions as their links say (SES6). Nothing
 * of it is logged or kept: a state is gone with its session, and all of a region when the link to it has ended and does not come back soon.
 */

import type { Attachment } from './attachment.js'
import type { DocumentName, GroupId, RegionId } from './ids.js'
import type { LiveDocument } from './live-document.js'
import { Presence } from './presence.js'

/** What one session shows in one document, as it crosses between regions. */
export interface FarPresence {
  readonly session: number
  /** As the other region knows it by its token. */
  readonly subject: string
  /** Empty: nothing more. */
  readonly payload: Uint8Array
  /** Another session shows the rest from here on, and says so itself: nobody is told that it is gone. */
  readonly isHandedOver: boolean
}

/** What other regions hear of presence. */
export interface PresenceLinks {
  /** Somebody has the document open here, or nobody any more: only then other regions say who shows what. */
  watchPresence(group: GroupId, document: DocumentName, isWatched: boolean): void
  showPresence(group: GroupId, document: DocumentName, state: FarPresence): void
}

/** States of other regions that one document holds; of more the newest are not taken (SES3). */
export const farPresencesMax = 4_096

const gone = new Uint8Array(0)

export class PresenceBoard {
  readonly #links: PresenceLinks | undefined
  readonly #document: (name: DocumentName) => LiveDocument | undefined
  /** Documents that hold something of a region. */
  readonly #byRegion = new Map<RegionId, Set<LiveDocument>>()
  /** What was shown before a link ended, and not again since. */
  readonly #suspects = new Map<RegionId, Set<Presence>>()

  constructor(links: PresenceLinks | undefined, document: (name: DocumentName) => LiveDocument | undefined) {
    this.#links = links
    this.#document = document
  }

  /** The first subscription of a document has come. */
  opened({ name, group }: LiveDocument): void {
    this.#links?.watchPresence(group.id, name, true)
  }

  /** The last one has gone. */
  closed(document: LiveDocument): void {
    for (const documents of this.#byRegion.values()) documents.delete(document)
    document.farPresences.clear()
    this.#links?.watchPresence(document.group.id, document.name, false)
  }

  /** A session of this node shows something else. */
  announce(attachment: Attachment, presence: Presence): void {
    deliver(attachment.document, presence, attachment)
    this.#tell(attachment, farOf(presence, false))
  }

  /** What a session shows is less because another one shows the rest. */
  handedOver(attachment: Attachment, presence: Presence): void {
    this.#tell(attachment, farOf(presence, true))
  }

  /** What everybody but this one shows. */
  *others(attachment: Attachment): Iterable<Presence> {
    const { subscriptions, farPresences } = attachment.document
    for (const other of subscriptions) if (other !== attachment && other.presence !== undefined) yield other.presence
    yield* farPresences.values()
  }

  /** What sessions of this node show in a document, for a region that begins to watch it. */
  *shown(name: DocumentName): Iterable<FarPresence> {
    for (const { presence } of this.#document(name)?.subscriptions ?? []) if (presence !== undefined) yield farOf(presence, false)
  }

  /** Another region says what one of its sessions shows. */
  hear(region: RegionId, name: DocumentName, { session, subject, payload, isHandedOver }: FarPresence): void {
    const document = this.#document(name)
    if (document === undefined || document.subscriptions.length === 0) return
    const key = `${region} ${session}`
    const held = document.farPresences.get(key)
    if (held === undefined && (payload.length === 0 || document.farPresences.size >= farPresencesMax)) return
    const presence = new Presence({ handle: document.handle, session, subject, payload, before: held?.payload ?? gone })
    if (payload.length === 0) document.farPresences.delete(key)
    else {
      document.farPresences.set(key, presence)
      let documents = this.#byRegion.get(region)
      if (documents === undefined) this.#byRegion.set(region, (documents = new Set()))
      documents.add(document)
    }
    if (!isHandedOver) deliver(document, presence, undefined)
  }

  /** The link to a region ended: what its sessions show is not said again unless the link comes back. */
  suspect(region: RegionId): void {
    const suspects = this.#suspects.get(region) ?? new Set()
    for (const document of this.#byRegion.get(region) ?? [])
      for (const [key, presence] of document.farPresences) if (key.startsWith(`${region} `)) suspects.add(presence)
    this.#suspects.set(region, suspects)
  }

  /** It did not come back, or has said all that it had to say: what was not shown again is gone. */
  lost(region: RegionId): void {
    const suspects = this.#suspects.get(region)
    this.#suspects.delete(region)
    for (const document of this.#byRegion.get(region) ?? []) {
      for (const [key, suspect] of document.farPresences) {
        if (suspects?.has(suspect) !== true) continue
        const { handle, session, subject, payload } = suspect
        document.farPresences.delete(key)
        deliver(document, new Presence({ handle, session, subject, payload: gone, before: payload }), undefined)
      }
    }
  }

  #tell({ document }: Attachment, state: FarPresence): void {
    this.#links?.showPresence(document.group.id, document.name, state)
  }
}

const farOf = ({ session, subject, payload }: Presence, isHandedOver: boolean): FarPresence => ({
  ...{ session, subject, payload, isHandedOver },
})

function deliver(document: LiveDocument, presence: Presence, except: Attachment | undefined): void {
  for (const other of document.subscriptions) {
    if (other === except || other.state !== 'live') continue
    // A stalled session misses presence states: the next ones will come.
    if (other.subscriber.deliver(presence) === 'taken') other.subscriber.flush()
  }
}
