/**
 * One request of somebody who holds no connection (HTTP) on one document: a session of its own that comes through the same door as every
 * other, pushes one update through a lane or ends the document's life, hears what became of it, and leaves. It listens to nothing.
 *
 * ```
 *   visit ─▶ hub.open ─▶ lane ─▶ hub ─▶ saved, refused
 *                  └─ erase ────▶ hub ─▶ saved, refused
 * ```
 *
 * Who visits has been admitted: access and placement were decided from the name, before anything of the request was read (RES5).
 */

import { Attachment } from './attachment.js'
import type { EngineName } from './engine.js'
import type { ErrorCode } from './errors.js'
import type { Hub } from './hub.js'
import type { DeviceId, DocumentName, GroupId } from './ids.js'
import type { LaneSession, RefusedPush } from './lane.js'
import { Lane } from './lane.js'
import type { SessionLimits } from './limits.js'
import type { LiveDocument } from './live-document.js'
import type { Subscription } from './subscription.js'
import type { Dot, MutableVersion, Version } from './version.js'
import { emptyVersion, mutableVersion } from './version.js'

/** `found`: a life was to begin and there is one already; nothing was stored. */
export type Visited =
  | { readonly kind: 'saved' | 'found'; readonly version: MutableVersion; readonly dot: Dot | undefined; readonly life: number }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly missing: Version }
  /** There is nothing to erase. */
  | { readonly kind: 'absent' }

export type VisitTask =
  | {
      readonly kind: 'push'
      /** `create` begins a life of the document, and only if there is none. */
      readonly mode: 'open' | 'create'
      /** Of the payload; undefined for that of the document, and of a new one Yjs. */
      readonly engine: EngineName | undefined
      readonly payload: Uint8Array
      /** Recognises a resend; without one, or without a device, each call is a push of its own. */
      readonly name: { readonly device: DeviceId; readonly counter: number } | undefined
      /** What the region has to hold before (SES5). */
      readonly seen: Version
    }
  | { readonly kind: 'erase'; readonly epoch: number }

export interface VisitOptions {
  readonly document: DocumentName
  readonly group: GroupId
  readonly limits: SessionLimits
  readonly task: VisitTask
  /** Called once. */
  readonly done: (visited: Visited) => void
}

export class Visit implements LaneSession {
  readonly device: DeviceId | undefined
  readonly storesParts = false
  readonly subject = undefined
  readonly #hub: Hub
  readonly #options: VisitOptions
  readonly #document: LiveDocument
  readonly #attachment: Attachment
  #lane: Lane | undefined
  #ended = false

  constructor(hub: Hub, options: VisitOptions) {
    const { document, group, task } = options
    this.#hub = hub
    this.#options = options
    this.device = task.kind === 'push' ? task.name?.device : undefined
    this.#document = hub.open(document, group)
    // It stays in state `opening`, to which nothing is delivered.
    this.#attachment = new Attachment(this, this.#document, {
      channel: 1,
      engine: (task.kind === 'push' ? task.engine : undefined) ?? 'yjs',
      access: 'write',
      cursor: emptyVersion,
    })
    hub.join(this.#attachment)
    if (this.#document.state === 'loading') this.#document.waiting.push(this.#begin)
    else this.#begin()
  }

  /** About once a second: what waits too long is refused. */
  tick(): void {
    this.#lane?.tick()
  }

  /** Whoever asked is gone. What is on its way into the log goes on. */
  cancel(): void {
    this.#end(undefined)
  }

  readonly #begin = (): void => {
    if (this.#ended) return
    const { state } = this.#document
    if (state === 'loading') return this.#refuse('LOG_UNAVAILABLE')
    if (state !== 'ready') return this.#refuse(state)
    const { task } = this.#options
    if (task.kind === 'erase') return this.#erase(task.epoch)
    this.#attachment.mode = task.mode
    this.#attachment.engine = task.engine ?? this.#document.engine ?? 'yjs'
    this.#lane = new Lane(this.#hub, this, this.#document.group, this.#options.limits)
    this.#lane.require(task.seen)
    this.#lane.receive(this.#attachment, task.name?.counter ?? 1, task.payload)
    this.flush()
  }

  #erase(epoch: number): void {
    const { engine, ended, isBeginning } = this.#document
    if (engine === undefined) return this.#end({ kind: 'absent' })
    if (ended && !isBeginning) return this.#end(this.#saved('saved', undefined))
    this.#hub.erase(this.#document, epoch, {
      saved: (_counter, _bytes, replica, sequence) => this.#end(this.#saved('saved', { replica, sequence })),
      failed: (_channel, _counter, _bytes, code) => this.#refuse(code),
    })
  }

  // What the hub and the lane tell.

  failed(_subscription: Subscription, code: ErrorCode): void {
    this.#refuse(code)
  }

  acked(): void {
    // Told at the flush that follows.
  }

  flush(): void {
    const ack = this.#lane?.takeAck()
    if (ack !== undefined) this.#end(this.#saved(this.#attachment.mode === 'found' ? 'found' : 'saved', ack))
  }

  refused(push: RefusedPush): void {
    this.#end({ kind: 'refused', code: push.code, missing: push.missing })
  }

  /** The life ended while the visit waited. An erase of its own answers by its receipt. */
  erased(): void {
    if (this.#options.task.kind === 'push' && this.#options.task.mode === 'open') this.#refuse('ERASED')
  }

  deliver(): 'stalled' {
    return 'stalled'
  }

  holdBack(): void {
    // One document has no order with others.
  }

  wake(): void {
    // It reads nothing.
  }

  #refuse(code: ErrorCode): void {
    this.#end({ kind: 'refused', code, missing: emptyVersion })
  }

  #saved(kind: 'saved' | 'found', dot: { readonly replica: number; readonly sequence: number } | undefined): Visited {
    const replica = dot === undefined || dot.sequence === 0 ? undefined : this.#hub.replicas[dot.replica]
    return {
      kind,
      version: mutableVersion(this.#document.version),
      dot: replica === undefined || dot === undefined ? undefined : { replica, sequence: dot.sequence },
      life: this.#document.life,
    }
  }

  #end(visited: Visited | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#lane?.close()
    this.#hub.leave(this.#attachment)
    if (visited !== undefined) this.#options.done(visited)
  }
}
