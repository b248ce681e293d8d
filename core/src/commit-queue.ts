/**
 * What waits to be appended, and the one commit that is under way: everything that comes while the log writes shares the next commit. [hot]
 *
 * - LOG1, LOG3 What was appended is answered by the log and by nothing else: durable, or failed together with all that stands behind it.
 */

import type { HubEffects } from './hub-effects.js'
import type { Draft } from './entry.js'
import { assert } from './errors.js'
import type { HubLimits } from './limits.js'
import type { LiveDocument } from './live-document.js'
import type { LiveGroup } from './live-group.js'
import type { Appended, LogErrorCode, RegionLog } from './log.js'
import type { Subscription } from './subscription.js'

/** Who pushed an entry and waits for its fate. Called once for each push, in the order of the pushes. */
export interface Receipt {
  saved(counter: number, bytes: number, replica: number, sequence: number): void
  failed(channel: number, counter: number, bytes: number, code: LogErrorCode): void
}

export interface QueuedItem {
  readonly group: LiveGroup
  readonly document: LiveDocument | undefined
  /** Undefined for a barrier: it adds nothing and is saved when all before it is (SES7). */
  readonly draft: Draft | undefined
  readonly origin: Subscription | undefined
  readonly receipt: Receipt | undefined
  readonly counter: number
  /** Bytes as they came. */
  readonly bytes: number
}

export interface CommitQueueEffects {
  readonly log: RegionLog
  readonly schedule: HubEffects['schedule']
  /** @param appended undefined if the batch held barriers only, and the log was not asked. */
  committed(batch: readonly QueuedItem[], appended: Appended | undefined): void
  /** @param batch of the commit that failed. @param behind everything that waited for it, which may build on it. */
  failed(batch: readonly QueuedItem[], behind: readonly QueuedItem[], code: LogErrorCode): void
}

/** Commits of one entry in a row after which none is held open for others, and after how many more that is tried again. */
const loneCommitsMax = 8
const probeCommits = 128

export class CommitQueue {
  readonly #effects: CommitQueueEffects
  readonly #limits: Pick<HubLimits, 'batchEntriesMax' | 'batchBytesMax'>
  #pending: QueuedItem[] = []
  #pendingBytes = 0
  #isWriting = false
  #isScheduled = false
  /** Commits in a row that carried one entry: waiting for company is given up for a while after some of them. */
  #loneCommits = 0
  #closed = false
  readonly #idleWaiters: (() => void)[] = []

  constructor(effects: CommitQueueEffects, limits: Pick<HubLimits, 'batchEntriesMax' | 'batchBytesMax'>) {
    this.#effects = effects
    this.#limits = limits
  }

  /** Of all that is not answered yet. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** True once it takes no more. */
  get isClosed(): boolean {
    return this.#closed
  }

  add(item: QueuedItem): void {
    assert(!this.#closed, 'nothing is appended to a closed hub')
    this.#pending.push(item)
    this.#pendingBytes += item.bytes
    if (!this.#isWriting) this.#gather()
  }

  /** Calls back when nothing is on its way into the log any more. */
  whenIdle(run: () => void): void {
    if (!this.#isWriting && this.#pending.length === 0) return run()
    this.#idleWaiters.push(run)
  }

  /** Takes no more. What is on its way is still answered. */
  close(): void {
    this.#closed = true
  }

  /** Lets one commit carry what comes together, as long as experience says that something comes. */
  #gather(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    if (this.#loneCommits >= loneCommitsMax + probeCommits) this.#loneCommits = loneCommitsMax - 1
    this.#effects.schedule(
      () => {
        this.#isScheduled = false
        this.#write()
      },
      this.#loneCommits < loneCommitsMax ? 'in a moment' : 'end of turn',
    )
  }

  /** Hands the next batch to the log, unless one is under way. */
  #write(): void {
    if (this.#isWriting || this.#pending.length === 0) return
    const batch = this.#takeBatch()
    this.#loneCommits = batch.length > 1 ? 0 : this.#loneCommits + 1
    const drafts: Draft[] = []
    for (const item of batch) if (item.draft !== undefined) drafts.push(item.draft)
    this.#isWriting = true
    if (drafts.length === 0) return this.#answer(batch, undefined)
    this.#effects.log.append(drafts, (outcome) => this.#answer(batch, outcome.kind === 'done' ? outcome.value : outcome.code))
  }

  #takeBatch(): readonly QueuedItem[] {
    let bytes = 0
    let count = 0
    for (; count < this.#pending.length && count < this.#limits.batchEntriesMax; count++) {
      bytes += this.#pending[count]?.bytes ?? 0
      // One is always taken, whatever its size.
      if (count > 0 && bytes > this.#limits.batchBytesMax) break
    }
    if (count === this.#pending.length) {
      const batch = this.#pending
      this.#pending = []
      return batch
    }
    return this.#pending.splice(0, count)
  }

  #answer(batch: readonly QueuedItem[], result: Appended | LogErrorCode | undefined): void {
    this.#isWriting = false
    for (const item of batch) this.#pendingBytes -= item.bytes
    if (typeof result === 'string') {
      const behind = this.#pending
      this.#pending = []
      this.#pendingBytes = 0
      this.#effects.failed(batch, behind, result)
    } else this.#effects.committed(batch, result)
    if (this.#pending.length > 0) this.#gather()
    else if (!this.#isWriting) for (const run of this.#idleWaiters.splice(0)) run()
  }
}
