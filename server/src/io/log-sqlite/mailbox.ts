/**
 * A place in shared memory where one batch waits for the writer's thread, which sleeps beside it. Handing a batch over this way costs
 * the two threads about 16 µs of CPU together with the message of the answer; by two messages it costs 42. [hot]
 *
 * One side puts, the other takes. Nobody waits for long: the writer parks for some milliseconds at a time, so that its timers and
 * messages have their turn, and the other side is told when the writer is not parked and has to be woken by a message.
 */

import type { Batch } from './batch.js'

/** Batches up to this size fit; larger ones go as messages, where the hand-over no longer counts. */
const roomBytes = 256 * 1024
const headerBytes = 64

const state = 0
const parked = 1
const bytesSlot = 2
const countSlot = 3
/** How many messages the writer has been sent that it has not taken. */
const messages = 6
/** In bytes. A double, because ids count all appends of a process: an int32 would be used up in 25 days at 1,000 a second. */
const idOffset = 16

const empty = 0
const full = 1

export interface Mail {
  readonly id: number
  readonly batch: Batch
}

export class Mailbox {
  readonly shared: SharedArrayBuffer
  readonly #slots: Int32Array
  readonly #id: Float64Array
  readonly #room: Uint8Array

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(headerBytes + roomBytes)) {
    this.shared = shared
    this.#slots = new Int32Array(shared, 0, headerBytes / 4)
    this.#id = new Float64Array(shared, idOffset, 1)
    this.#room = new Uint8Array(shared, headerBytes)
  }

  /** `put`: the writer has been woken. `put, asleep`: it is there, and a message has to wake the writer. `no room`: send it instead. */
  put(id: number, batch: Batch): 'put' | 'put, asleep' | 'no room' {
    if (batch.bytes > roomBytes || Atomics.load(this.#slots, state) === full) return 'no room'
    this.#room.set(new Uint8Array(batch.buffer, 0, batch.bytes))
    this.#id[0] = id
    this.#slots[bytesSlot] = batch.bytes
    this.#slots[countSlot] = batch.count
    Atomics.store(this.#slots, state, full)
    if (Atomics.load(this.#slots, parked) === 0) return 'put, asleep'
    Atomics.notify(this.#slots, state)
    return 'put'
  }

  /** A message is about to be posted: the writer does not park beside it. */
  announce(): void {
    Atomics.add(this.#slots, messages, 1)
  }

  /** Ends the writer's parking, so that it reads its messages. */
  nudge(): void {
    Atomics.notify(this.#slots, state)
  }

  /** The writer has taken a message. */
  takeMessage(): void {
    Atomics.sub(this.#slots, messages, 1)
  }

  take(): Mail | undefined {
    if (Atomics.load(this.#slots, state) === empty) return undefined
    const { [bytesSlot]: bytes = 0, [countSlot]: count = 0 } = this.#slots
    const [id = 0] = this.#id
    const buffer = this.#room.slice(0, bytes).buffer
    Atomics.store(this.#slots, state, empty)
    return { id, batch: { buffer, bytes, count } }
  }

  /** Sleeps until something is put, for at most `ms`. */
  park(ms: number): 'mail' | 'nothing' {
    // A nudge between two stays finds nobody to wake.
    if (Atomics.load(this.#slots, messages) > 0) return 'nothing'
    Atomics.store(this.#slots, parked, 1)
    if (Atomics.load(this.#slots, state) === empty) Atomics.wait(this.#slots, state, empty, ms)
    Atomics.store(this.#slots, parked, 0)
    return Atomics.load(this.#slots, state) === full ? 'mail' : 'nothing'
  }
}
