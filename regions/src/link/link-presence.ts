/**
 * Presence between two regions (SES6): each says which documents somebody has open there, and hears what is shown in these. Asked of placement at both
 * ends, as entries are (LINK8); what may not cross is not said, and nobody is told of it. Nothing is queued: while the socket is full the newest state
 * of a session is kept, of `waitingMax` sessions.
 */

import type { DocumentName, GroupId, RegionId } from '@meridian/core/ids'
import type { FarPresence } from '@meridian/core/presence-board'
import type { PresenceFrame, Watch } from '@meridian/core/wires/link/frames'
import type { LinkEffects } from './port.js'
import { refusalOf } from './port.js'

/** Documents that a peer may watch; of more it hears nothing. */
export const watchedMax = 65_536
const waitingMax = 4_096

export interface LinkPresencePort {
  readonly here: RegionId
  readonly peer: RegionId
  readonly effects: Pick<LinkEffects, 'may' | 'presence'>
  /** Whether both regions hold the group, on this link. */
  isShared(group: GroupId): boolean
  hasRoom(): boolean
  send(frame: Watch | PresenceFrame): void
}

export class LinkPresence {
  readonly #port: LinkPresencePort
  /** What the peer watches, also of groups that are not shared yet. */
  readonly #watched = new Map<DocumentName, GroupId>()
  /** Frames that there was no room for, the newest of each session, and of each watch. */
  readonly #waiting = new Map<string, Watch | PresenceFrame>()

  constructor(port: LinkPresencePort) {
    this.#port = port
  }

  /** Somebody has the document open here, or nobody any more. */
  watch(group: GroupId, document: DocumentName, isWatched: boolean): void {
    if (this.#mayCross(group, document, this.#port.peer)) this.#send({ type: 'watch', group, document, isWatched })
  }

  /** A session here shows something else. */
  show(group: GroupId, document: DocumentName, state: FarPresence): void {
    if (!this.#watched.has(document) || !this.#mayCross(group, document, this.#port.peer)) return
    this.#send({ type: 'presence', group, document, state })
  }

  receive(frame: Watch | PresenceFrame): void {
    const { group, document } = frame
    const { here, peer, effects } = this.#port
    if (frame.type === 'presence') {
      if (this.#mayCross(group, document, here)) effects.presence.hear(peer, document, frame.state)
    } else if (!frame.isWatched) this.#watched.delete(document)
    else if (this.#watched.size < watchedMax) {
      this.#watched.set(document, group)
      this.#showAll(group, document)
    }
  }

  /** The two regions hold the group both from here on. */
  shared(group: GroupId): void {
    for (const document of this.#port.effects.presence.watched(group)) this.watch(group, document, true)
    for (const [document, of] of this.#watched) if (of === group) this.#showAll(group, document)
  }

  /** The socket has room. */
  flush(): void {
    for (const [key, frame] of this.#waiting) {
      if (!this.#port.hasRoom()) return
      this.#waiting.delete(key)
      this.#port.send(frame)
    }
  }

  close(): void {
    this.#watched.clear()
    this.#waiting.clear()
    this.#port.effects.presence.suspect(this.#port.peer)
  }

  #showAll(group: GroupId, document: DocumentName): void {
    for (const state of this.#port.effects.presence.shown(document)) this.show(group, document, state)
  }

  #mayCross(group: GroupId, document: DocumentName, to: RegionId): boolean {
    return this.#port.isShared(group) && refusalOf(this.#port.effects, document, to) === undefined
  }

  #send(frame: Watch | PresenceFrame): void {
    if (this.#waiting.size === 0 && this.#port.hasRoom()) return this.#port.send(frame)
    const key = frame.type === 'watch' ? frame.document : `${frame.document} ${frame.state.session}`
    this.#waiting.delete(key)
    this.#waiting.set(key, frame)
    for (const oldest of this.#waiting.keys()) {
      if (this.#waiting.size <= waitingMax) break
      this.#waiting.delete(oldest)
    }
  }
}
