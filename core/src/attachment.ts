/**
 * One document open in one session: a subscription, that is a filter and a cursor. It is `opening` while the session reads what its
 * client lacks, `live` at the head of the log, and `behind` after it missed something; then the session reads on from `position`.
 */

import type { Access } from './effects.js'
import type { Position } from './ids.js'
import { toPosition } from './ids.js'
import type { LiveDocument } from './live-document.js'
import type { Outgoing } from './outgoing.js'
import type { Version } from './version.js'

/** The part of a session that a hub knows. */
export interface Subscriber {
  /** Takes the frames of one document's commit, or says that it is not listening now. [hot] */
  deliver(message: Outgoing): 'taken' | 'stalled'
  /** Sends what was taken since the last flush. */
  flush(): void
  erased(attachment: Attachment): void
}

export class Attachment {
  readonly subscriber: Subscriber
  readonly document: LiveDocument
  readonly channel: number
  access: Access
  state: 'opening' | 'live' | 'behind' = 'opening'
  /** Everything of the document up to here has been sent, or was held by the client. */
  position: Position = toPosition(0)
  /** What the client held when it attached; filters what is sent while opening. */
  cursor: Version
  /** Newest presence state of this client in this document; empty if none. */
  presence: Uint8Array | undefined

  constructor(subscriber: Subscriber, document: LiveDocument, channel: number, access: Access, cursor: Version) {
    this.subscriber = subscriber
    this.document = document
    this.channel = channel
    this.access = access
    this.cursor = cursor
  }
}
