/**
 * The edits of this device that its region has not saved yet, over all documents, and the order in which they are sent (SES2).
 *
 * ```
 *   waiting ──send──▶ sent ──ack──▶ forgotten, or kept until enough regions have it
 *      ▲               │
 *      └── refused ────┤ (for a while, or under another counter)
 *      └── lost, denied┘        refused for good ──▶ set aside
 * ```
 *
 * The order is what makes the node's rule "counter ≤ the last one: seen it" true, and a mistake here is a lost edit. So:
 * - OUT1 On one connection counters only grow: first the resends, by counter, then what was never sent, by age.
 * - OUT2 An item that is passed over loses its counter, and gets a new one when it is sent: its old one may lie below a saved one by then.
 *   If the node had it after all, it is found to add nothing (SES7).
 * - OUT3 What stands under a counter never changes. A device id is of one opening of a store, so counters begin at 1 and no copy or
 *   older state of a store can use one twice.
 * - OUT4 After a loss a name is used again only if everything unacked is of one document. A node drops what comes for a document that
 *   it no longer serves, and takes what comes for another; if the word of it is lost with the connection, the dropped one would be found
 *   below a saved one of the other and be taken for its resend.
 * - OUT5 Nor is it used again in another region.
 */

import { assert } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import type { OutboxItem } from './outbox-item.js'

export type Verdict =
  | 'send'
  /** Not now; others may pass it. Never said of one item of a document and not of the next: they build on each other. */
  | 'pass'
  /** Not now, and nothing behind it. */
  | 'stop'

export class Outbox {
  /** Sent before on another connection, ascending counters. */
  #resend: OutboxItem[] = []
  /** Without a counter, ascending age. Dropped items stay until they are met. */
  #fresh: OutboxItem[] = []
  /** On this connection, ascending counters; acked ones are cut off in front or filtered. */
  #sent: OutboxItem[] = []
  #sentBytes = 0
  #counter = 0
  /** Highest counter that was sent on this connection. */
  #highest = 0

  get sentBytes(): number {
    return this.#sentBytes
  }

  /** Something is on its way, and an ack is to come. */
  get isWaiting(): boolean {
    return this.#sent.length > 0
  }

  /** Queues items that are not on their way. */
  add(...items: OutboxItem[]): void {
    if (items.length === 0) return
    for (const item of items) {
      item.state = 'waiting'
      item.counter = 0
      item.dot = undefined
      item.code = undefined
    }
    const last = this.#fresh.at(-1)
    const [first] = items
    if (items.length === 1 && first !== undefined && (last === undefined || last.age < first.age)) this.#fresh.push(first)
    else this.#fresh = [...new Set([...this.#fresh, ...items])].sort((a, b) => a.age - b.age)
  }

  /** The connection is gone: whatever was sent and not acked comes again, under its counter where OUT4 lets it. */
  disconnected(): void {
    const again = [...this.#sent, ...this.#resend].filter(
      (item) => item.state === 'sent' || (item.state === 'waiting' && item.counter > 0),
    )
    this.#sent = []
    this.#sentBytes = 0
    this.#highest = 0
    this.#resend = []
    if (again.every((item) => item.document === again[0]?.document)) {
      for (const item of again) item.state = 'waiting'
      this.#resend = [...new Set(again)].sort((a, b) => a.counter - b.counter)
    } else this.#requeue(again)
  }

  /** These are another line's from now on. */
  let(items: readonly OutboxItem[]): void {
    const gone = new Set(items)
    this.#take((item) => gone.has(item))
    this.#resend = this.#resend.filter((item) => !gone.has(item))
    this.#fresh = this.#fresh.filter((item) => !gone.has(item))
  }

  /** OUT5: another region is asked, which may hold some of what was sent to the last one and not what came before that. */
  rename(): void {
    this.#requeue([...this.#resend])
  }

  /**
   * Hands to `send` what may go, in order. At least one item may be unacked whatever its size.
   *
   * @param windowBytes payload bytes that may be unacked on this connection.
   */
  pump(windowBytes: number, judge: (item: OutboxItem) => Verdict, send: (item: OutboxItem) => void): void {
    let passed: OutboxItem[] | undefined
    let done = 0
    for (const item of this.#resend) {
      if (item.state === 'waiting' && item.counter > 0) {
        const verdict = judge(item)
        if (verdict === 'pass') {
          passed ??= []
          passed.push(item)
        } else if (verdict === 'stop' || !this.#fits(item, windowBytes)) break
        else this.#send(item, send)
      }
      done++
    }
    this.#resend.splice(0, done)
    if (passed !== undefined) this.#requeue(passed)
    if (this.#resend.length > 0) return
    this.#pumpFresh(windowBytes, judge, send)
  }

  /** The items of a group up to `counter` are saved. Returned in the order of their counters; they are the caller's to keep or drop. */
  acked(counter: number, inGroup: (document: DocumentName) => boolean): OutboxItem[] {
    const taken: OutboxItem[] = []
    const left: OutboxItem[] = []
    let index = 0
    for (; index < this.#sent.length; index++) {
      const item = this.#sent[index]
      if (item === undefined || item.counter > counter) break
      if (inGroup(item.document)) taken.push(item)
      else left.push(item)
    }
    if (taken.length > 0) this.#sent.splice(0, index, ...left)
    this.#landed(taken)
    return taken
  }

  /** Takes off their way all items of a group from `counter` on: the node dropped them, or never had them. Queued again, but not sent. */
  dropped(counter: number, inGroup: (document: DocumentName) => boolean): OutboxItem[] {
    const items = this.#take((item) => item.counter >= counter && inGroup(item.document))
    this.#requeue(items)
    return items
  }

  find(counter: number): OutboxItem | undefined {
    return this.#sent.find((item) => item.counter === counter)
  }

  /** A document cannot be pushed to any more on this connection: its items wait, without their counters (OUT2). */
  withdraw(document: DocumentName): void {
    const items = this.#take((item) => item.document === document)
    for (const item of this.#resend) if (item.document === document && item.state === 'waiting') items.push(item)
    this.#requeue(items)
  }

  /** What stands in an item changes: it gets a new counter (OUT3). */
  renew(item: OutboxItem): void {
    if (item.state === 'sent') this.#take((sent) => sent === item)
    this.#requeue([item])
  }

  /** An item is neither sent nor queued any more. */
  remove(item: OutboxItem): void {
    if (item.state === 'sent') this.#take((sent) => sent === item)
    if (item.counter > 0) this.#resend = this.#resend.filter((other) => other !== item)
    item.counter = 0
  }

  #requeue(items: readonly OutboxItem[]): void {
    if (items.length === 0) return
    const again = new Set(items)
    this.#resend = this.#resend.filter((item) => !again.has(item))
    for (const item of items) {
      item.state = 'waiting'
      item.counter = 0
    }
    for (const item of this.#fresh) again.add(item)
    this.#fresh = [...again].sort((a, b) => a.age - b.age)
  }

  #take(wanted: (item: OutboxItem) => boolean): OutboxItem[] {
    const taken: OutboxItem[] = []
    const left: OutboxItem[] = []
    for (const item of this.#sent) (wanted(item) ? taken : left).push(item)
    if (taken.length > 0) this.#sent = left
    this.#landed(taken)
    return taken
  }

  #landed(items: readonly OutboxItem[]): void {
    for (const item of items) {
      this.#sentBytes -= item.payload.length
      item.state = 'waiting'
    }
  }

  #pumpFresh(windowBytes: number, judge: (item: OutboxItem) => Verdict, send: (item: OutboxItem) => void): void {
    const passed: OutboxItem[] = []
    let index = 0
    for (; index < this.#fresh.length; index++) {
      const item = this.#fresh[index]
      if (item === undefined || item.state !== 'waiting' || item.counter > 0) continue
      const verdict = judge(item)
      if (verdict === 'pass') {
        passed.push(item)
        continue
      }
      if (verdict === 'stop' || !this.#fits(item, windowBytes)) break
      item.counter = ++this.#counter
      this.#send(item, send)
    }
    if (index === 0) return
    if (passed.length === 0) this.#fresh.splice(0, index)
    else this.#fresh = [...passed, ...this.#fresh.slice(index)]
  }

  #fits(item: OutboxItem, windowBytes: number): boolean {
    return this.#sent.length === 0 || this.#sentBytes + item.payload.length <= windowBytes
  }

  #send(item: OutboxItem, send: (item: OutboxItem) => void): void {
    assert(item.counter > this.#highest, 'counters grow on one connection (OUT1)')
    this.#highest = item.counter
    item.state = 'sent'
    this.#sent.push(item)
    this.#sentBytes += item.payload.length
    send(item)
  }
}
