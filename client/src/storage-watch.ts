/**
 * What happens to the device's store without being asked for, and what its user is told. A store that is lost while it is open is made
 * again and gets everything that this opening holds in memory; until then nothing is written, because what is queued builds on records
 * that are gone.
 *
 * ```
 *   watching ──lost──▶ renewing ──renewed──▶ watching
 *                        │   ▲ failed, after a while
 *                        └───┘
 * ```
 *
 * - SES2 An edit that lives in memory is written again, and pushed as before, under the device id and the counters of this opening.
 * - SES1 A cursor is written again only together with the copy that it claims.
 */

import type { Random } from '@meridian/core/effects'
import type { MeridianError } from '@meridian/core/errors'
import { toMeridianError, unreachable } from '@meridian/core/errors'
import type { BackoffOptions } from './backoff.js'
import { backoffMs } from './backoff.js'
import type { StorageStatus } from './status.js'
import type { ClientStore, StoreEvent } from './store.js'
import type { Writer } from './writer.js'

/** A browser that deletes a database lets nobody open it meanwhile, which takes it milliseconds; one without storage may never. */
const renewBackoff: BackoffOptions = { baseMs: 200, maxMs: 30_000 }

export interface StorageEffects {
  readonly random: Random
  /** Calls back once; the answer calls it off. */
  after(ms: number, run: () => void): () => void
  statusChanged(): void
  report(error: MeridianError): void
  /** The user has signed out in another tab, which has deleted everything. */
  signedOut(): void
  /** The store is empty: everything that this opening holds is to be written, in this turn. */
  writeAnew(): void
  /** A record that says nothing new, to find out whether writing works. */
  writeProbe(): void
}

export class StorageWatch {
  readonly #store: ClientStore
  readonly #writer: Writer
  readonly #effects: StorageEffects
  #writing: StorageStatus = fine
  /** What is told while writing works: a loss stays told for as long as the store is open. */
  #told: StorageStatus = fine
  #renewing: Promise<void> | undefined
  #isLost = false
  #lossCount = 0
  #isEnded = false
  #attempt = 0
  #cancel: (() => void) | undefined

  constructor(store: ClientStore, writer: Writer, effects: StorageEffects) {
    this.#store = store
    this.#writer = writer
    this.#effects = effects
  }

  /** Tells of what was before, too, so it is for when everything else stands. */
  begin(): void {
    this.#store.watch?.((event) => this.#happened(event))
  }

  /** The same object until something changes. What stands in the way of keeping edits comes first. */
  get status(): StorageStatus {
    return this.#writing.kind === 'fine' ? this.#told : this.#writing
  }

  get isLost(): boolean {
    return this.#isLost
  }

  /** What the writer, or a read, found. */
  found(writing: StorageStatus): void {
    this.#writing = writing
    this.#effects.statusChanged()
  }

  /** Everything that lives in memory is with the writer, or there is no store: one more try, while it is there to be written. */
  async settle(): Promise<void> {
    this.#callOff()
    if (this.#isLost) await (this.#renewing ?? this.#renew())
  }

  /** Nothing is renewed any more. */
  end(): void {
    this.#isEnded = true
    this.#callOff()
  }

  #happened(event: StoreEvent): void {
    switch (event.kind) {
      case 'evicted':
        return this.#tell({ kind: 'evicted' })
      case 'lost':
        this.#isLost = true
        this.#lossCount++
        this.#writer.hold()
        this.#tell({ kind: 'lost' })
        void this.#renew()
        return
      case 'wiped':
        return this.#effects.signedOut()
      case 'reconnected':
      case 'unmarked':
        return this.#effects.report(event.error)
      case 'failed':
        this.#effects.report(event.error)
        // The writer says whether it goes on, and tries for as long as it does not.
        return this.#effects.writeProbe()
      default:
        unreachable(event)
    }
  }

  #tell(status: StorageStatus): void {
    this.#told = status
    this.#effects.statusChanged()
  }

  #renew(): Promise<void> {
    this.#renewing ??= this.#tryToRenew()
    return this.#renewing
  }

  async #tryToRenew(): Promise<void> {
    const { renew } = this.#store
    let lossCount = -1
    try {
      // It may be lost again while it is made.
      while (lossCount !== this.#lossCount) {
        lossCount = this.#lossCount
        await renew?.call(this.#store)
      }
    } catch (thrown) {
      this.#renewing = undefined
      const error = toMeridianError(thrown)
      this.#effects.report(error)
      this.#writer.refuse(error)
      if (this.#isEnded) return
      this.#cancel = this.#effects.after(backoffMs(this.#attempt++, 0, this.#effects.random, renewBackoff), () => {
        this.#cancel = undefined
        void this.#renew()
      })
      return
    }
    // In this turn, so that a loss from now on is another one.
    this.#renewing = undefined
    if (this.#isEnded) return
    this.#isLost = false
    this.#attempt = 0
    this.#writer.forget()
    this.#effects.writeAnew()
    this.#writer.resume()
  }

  #callOff(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}

const fine: StorageStatus = { kind: 'fine' }
