/**
 * Durable updates on their way to subscribers, encoded when somebody first wants them and once for each wire, however many sessions get
 * them. [hot]
 */

import { concat } from './bytes.js'
import type { Position, ReplicaId } from './ids.js'
import { Outgoing } from './outgoing.js'
import type { SharedEncoder } from './shared-encoder.js'
import type { Dot } from './version.js'

/** What subscribers of several wires share. */
export interface Shared {
  /** Undefined if this wire cannot say it. */
  outgoing(wire: SharedEncoder): Outgoing | undefined
}

/** A durable update as memory holds it, for those who need no frames. */
export interface RecentUpdate extends Dot {
  readonly position: Position
  readonly payload: Uint8Array
}

/** One entry as memory holds it: an update with its payload, or one that no subscriber gets, without. */
export class RecentEntry<D> implements RecentUpdate {
  readonly position: Position
  readonly document: D | undefined
  readonly replica: ReplicaId
  readonly replicaIndex: number
  readonly sequence: number
  #payload: Uint8Array
  /** The session buffer that the payload lies in is not held on to once this is true. */
  #isOwn = false
  #encoder: SharedEncoder | undefined
  #frame: Uint8Array | undefined
  /** Frames of further wires; most documents are open on one. */
  #others: Map<SharedEncoder, Uint8Array> | undefined

  constructor(
    position: Position,
    document: D | undefined,
    dot: { readonly replica: ReplicaId; readonly replicaIndex: number; readonly sequence: number },
    payload: Uint8Array,
  ) {
    this.position = position
    this.document = document
    this.replica = dot.replica
    this.replicaIndex = dot.replicaIndex
    this.sequence = dot.sequence
    this.#payload = payload
  }

  /** Empty for what no subscriber gets. */
  get payload(): Uint8Array {
    return this.#payload
  }

  /** The frame of a wire; the same bytes for all who ask. [hot] */
  frame(wire: SharedEncoder, handle: number): Uint8Array {
    if (this.#encoder === wire && this.#frame !== undefined) return this.#frame
    const held = this.#others?.get(wire)
    if (held !== undefined) return held
    const { replicaIndex, sequence } = this
    const frame = wire.encodeUpdate({ handle, replicaIndex, sequence, payload: this.#payload })
    if (this.#encoder === undefined) {
      this.#encoder = wire
      this.#frame = frame
    } else (this.#others ??= new Map()).set(wire, frame)
    if (!this.#isOwn && wire.framesEndInPayload) {
      this.#payload = frame.subarray(frame.length - this.#payload.length)
      this.#isOwn = true
    }
    return frame
  }

  /** From here on it holds no more memory than its own, whatever buffer its payload came in. */
  own(): void {
    // Not `slice`, which is a view if these bytes are a Buffer of Node.js.
    if (!this.#isOwn) this.#payload = new Uint8Array(this.#payload)
    this.#isOwn = true
  }
}

/** Updates of one document that became durable together. */
export class Delivery implements Shared {
  readonly handle: number
  readonly updates: readonly RecentEntry<unknown>[]
  #encoder: SharedEncoder | undefined
  #outgoing: Outgoing | undefined
  #others: Map<SharedEncoder, Outgoing> | undefined

  /** @param handle what shared frames call the document. */
  constructor(handle: number, updates: readonly RecentEntry<unknown>[]) {
    this.handle = handle
    this.updates = updates
  }

  /** [hot] */
  outgoing(wire: SharedEncoder): Outgoing {
    if (this.#encoder === wire && this.#outgoing !== undefined) return this.#outgoing
    const held = this.#others?.get(wire)
    if (held !== undefined) return held
    const made = this.#encode(wire)
    if (this.#encoder === undefined) {
      this.#encoder = wire
      this.#outgoing = made
    } else (this.#others ??= new Map()).set(wire, made)
    return made
  }

  #encode(wire: SharedEncoder): Outgoing {
    const [only] = this.updates
    if (only !== undefined && this.updates.length === 1) return new Outgoing([only.frame(wire, this.handle)])
    const frames: Uint8Array[] = []
    for (const update of this.updates) frames.push(update.frame(wire, this.handle))
    return wire.packing === 'apart' ? new Outgoing(frames) : new Outgoing([concat(frames)], frames)
  }
}
