/**
 * One document open in one session: a subscription, that is a filter and a cursor. It is `opening` while the session reads what its
 * client lacks, `live` at the head of the log, and `behind` after it missed something; then the session reads on from `position`.
 */

import type { Access } from './effects.js'
import type { EngineName } from './engine.js'
import type { Position } from './ids.js'
import { toPosition } from './ids.js'
import type { LiveDocument } from './live-document.js'
import type { Presence } from './presence.js'
import type { Subscriber, Subscription } from './subscription.js'
import type { Version } from './version.js'

export class Attachment implements Subscription {
  readonly subscriber: Subscriber
  readonly document: LiveDocument
  /** The client's number for it. */
  readonly channel: number
  /** The engine that the client opened it with; a visit may learn it from the document. */
  engine: EngineName
  access: Access
  /** `create`: its push begins a life of the document, and only if there is none; if there is one it becomes `found`, and the push is not stored. */
  mode: 'open' | 'create' | 'found' = 'open'
  state: 'opening' | 'live' | 'behind' = 'opening'
  position: Position = toPosition(0)
  wroteCommit = 0
  presence: Presence | undefined
  /** True once the client was told that it is current: from then on an ack in stream moves its cursor, too. */
  told = false
  /** What the client held when it attached; filters what is sent while opening. */
  cursor: Version

  constructor(
    subscriber: Subscriber,
    document: LiveDocument,
    options: { channel: number; engine: EngineName; access: Access; cursor: Version },
  ) {
    this.subscriber = subscriber
    this.document = document
    this.channel = options.channel
    this.engine = options.engine
    this.access = options.access
    this.cursor = options.cursor
  }
}
