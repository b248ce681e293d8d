/**
 * From a commit to those who listen: one delivery a document, encoded once for each wire, and one flush a subscriber. [hot]
 *
 * - SES1 A document's live updates reach a session only after the answer to its attach.
 * - SES4 A subscriber that does not listen is set behind and holds no queue here.
 */

import type { RecentEntry, Shared } from './delivery.js'
import { Delivery } from './delivery.js'
import type { Position } from './ids.js'
import type { LiveDocument } from './live-document.js'
import type { Subscriber, Subscription } from './subscription.js'

export class FanOut {
  readonly #stats: { delivered: number }
  readonly #sent: (document: LiveDocument) => void
  /** Number of the commit that is being fanned out. */
  #commit = 0
  #touched: LiveDocument[] = []
  #dirty: Subscriber[] = []

  /** @param sent called for each document that something was delivered of, when all have been flushed. */
  constructor(stats: { delivered: number }, sent: (document: LiveDocument) => void) {
    this.#stats = stats
    this.#sent = sent
  }

  /** Another commit. */
  begin(): void {
    this.#commit++
  }

  /** A durable update of an open document. @param origin whose it is: it gets no echo. */
  add(document: LiveDocument, update: RecentEntry<LiveDocument>, origin: Subscription | undefined): void {
    if (document.commit !== this.#commit) {
      document.commit = this.#commit
      document.updates = []
      document.origins = []
      this.#touched.push(document)
    }
    document.updates.push(update)
    document.origins.push(origin)
    if (origin === undefined) return
    origin.wroteCommit = this.#commit
    this.#dirty.push(origin.subscriber)
  }

  /** Something waits in it to be flushed with the commit. */
  soil(subscriber: Subscriber): void {
    this.#dirty.push(subscriber)
  }

  /**
   * A commit of a link may hold an effect together with its cause. A delivery holds all of a document, so that one commit has to be fanned out in
   * pieces if something of the document stands in it before something of another (SES5).
   */
  isBehindAnother(document: LiveDocument | undefined): boolean {
    return document?.commit === this.#commit && this.#touched.at(-1) !== document
  }

  /** Delivers, and flushes whoever took something. @param before the position that a subscriber which does not listen has got. */
  run(before: Position): void {
    for (const document of this.#touched) {
      const { updates, origins } = document
      if (!document.engineTold) tellEngine(document)
      const shared = new Delivery(document.handle, updates)
      for (const subscription of document.subscriptions) {
        if (subscription.wroteCommit !== this.#commit) this.#deliver(subscription, shared, before)
        else if (updates.length > 1) {
          const others = updates.filter((_, index) => origins[index] !== subscription)
          if (others.length > 0) this.#deliver(subscription, new Delivery(document.handle, others), before)
        }
      }
      for (const update of updates) update.own()
      document.updates = []
      document.origins = []
    }
    const touched = this.#touched
    this.#touched = []
    this.flush()
    for (const document of touched) this.#sent(document)
  }

  /** Flushes without a delivery. */
  flush(): void {
    const dirty = this.#dirty
    this.#dirty = []
    for (const subscriber of dirty) subscriber.flush()
  }

  /** A subscriber took something and is flushed at once, or when the commit has been fanned out. */
  #deliver(subscription: Subscription, shared: Shared, before: Position): void {
    if (subscription.state !== 'live') return
    const { subscriber } = subscription
    if (subscriber.deliver(shared) === 'stalled') {
      subscription.state = 'behind'
      subscription.position = before
      return
    }
    this.#stats.delivered++
    // Of a commit of one document nothing else can come for it: what it holds is touched once, and not again when it is in no cache.
    if (this.#touched.length === 1) subscriber.flush()
    else this.#dirty.push(subscriber)
  }
}

/** A document's first update says what it is: who opened it for something else gets nothing of it. */
function tellEngine(document: LiveDocument): void {
  document.engineTold = true
  for (const subscription of [...document.subscriptions])
    if (subscription.engine !== document.engine) subscription.subscriber.failed(subscription, 'ENGINE_MISMATCH')
}
