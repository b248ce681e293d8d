/** A subscription as the hub knows it: who listens, and whether it is at the head of the log. */

import type { Shared } from './delivery.js'
import type { EngineName } from './engine.js'
import type { Position } from './ids.js'
import type { LogErrorCode } from './log.js'
import type { Presence } from './presence.js'

export interface Subscriber {
  /** Takes what one document's commit brought, or a presence state, or says that it is not listening now. [hot] */
  deliver(shared: Shared): 'taken' | 'stalled'
  /** Sends what was taken since the last flush. */
  flush(): void
  /** Something that it holds open was set behind outside a delivery: nothing newer of its group may pass that, so it takes nothing until it is woken. */
  holdBack(): void
  /** It reads on. */
  wake(): void
  /** Nothing more is known of the document until it is loaded anew; or it turned out to be of another engine than the subscription's. */
  failed(subscription: Subscription, code: LogErrorCode | 'ENGINE_MISMATCH'): void
  /** The document's life ended. */
  erased(subscription: Subscription): void
}

export interface Subscription {
  readonly subscriber: Subscriber
  /** What its client takes the document for. */
  readonly engine: EngineName
  /** What its client calls it. */
  readonly channel: number
  /** `opening` while it reads what its client lacks, `live` at the head, `behind` after it missed something. */
  state: 'opening' | 'live' | 'behind'
  /** While not live: everything of the document up to here has been sent, or was held by the client. */
  position: Position
  /** The commit in which it last wrote to its document; it gets no echo of its own. */
  wroteCommit: number
  /** The newest presence state of its client. */
  presence: Presence | undefined
}
