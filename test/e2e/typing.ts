/** Traces typed through clients: an author at a time hands in its edits when its document holds what they build on. */

import type { Handle } from '@meridian/client'
import * as Y from 'yjs'
import type { ConcurrentReplay, Trace } from '../traces.js'
import { textOf } from './devices.js'
import { nextPush, onDocument, onHandle, turn, until } from './waiting.js'

/** Edits that may wait for their ack while one goes on typing: bounds memory, and is far more than a person is ahead. */
const pendingMax = 2_000
/** Edits between two looks at the network. */
const stretch = 64

/** Types one author's trace, each edit a push of its own. */
export async function typeTrace(handle: Handle, trace: Trace): Promise<void> {
  const text = textOf(handle.ydoc)
  if (trace.startContent !== '') text.insert(0, trace.startContent)
  let count = 0
  for (const { patches } of trace.txns) {
    handle.ydoc.transact(() => {
      for (const [position, deleted, inserted] of patches) {
        if (deleted > 0) text.delete(position, deleted)
        if (inserted !== '') text.insert(position, inserted)
      }
    })
    await nextPush()
    if (++count % stretch === 0) await breathe(handle)
  }
}

/** Lets the network speak, and waits when too much is on its way. */
export async function breathe(handle: Handle): Promise<void> {
  await turn()
  if (handle.pending > pendingMax) {
    await until(() => handle.pending < pendingMax / 2, onHandle(handle), {
      what: () => `acks; ${handle.pending} pushes are pending`,
    })
  }
}

/** One update of an author, with what it builds on. */
export interface Step {
  readonly update: Uint8Array
  /** What a document has to hold before, by Yjs client id. */
  readonly needs: ReadonlyMap<number, number>
  /** What the author's own part of a document has when it holds the update. */
  readonly clock: number
}

/** The updates of a concurrent trace, with what each one builds on. Author n is Yjs client n + 1. */
export class Authors {
  readonly #steps: readonly (readonly Step[])[]

  constructor({ authors }: ConcurrentReplay) {
    // After each update of an author, how far its client id has counted.
    const clocks = authors.map((updates, agent) => {
      let clock = 0
      return updates.map(({ update }) => {
        clock = Math.max(clock, Y.parseUpdateMeta(update).to.get(agent + 1) ?? 0)
        return clock
      })
    })
    this.#steps = authors.map((updates, agent) =>
      updates.map(({ update, seen, index }) => {
        const needs = new Map<number, number>()
        for (const [other, count] of seen.entries()) {
          const clock = clocks[other]?.[count - 1]
          if (clock !== undefined) needs.set(other + 1, clock)
        }
        return { update, needs, clock: clocks[agent]?.[index] ?? 0 }
      }),
    )
  }

  /** Of one author, in the order of making. */
  steps(author: number): readonly Step[] {
    return this.#steps[author] ?? []
  }

  count(author: number): number {
    return this.#steps[author]?.length ?? 0
  }

  /** Whether the author's document holds what its update number `index` builds on, its own earlier ones included. */
  mayGive(author: number, index: number, ydoc: Y.Doc): boolean {
    const step = this.#steps[author]?.[index]
    if (step === undefined) return false
    for (const [client, clock] of step.needs) if (Y.getState(ydoc.store, client) < clock) return false
    return true
  }

  /** As if the author had just typed it, each update a push of its own. */
  async give(author: number, index: number, ydoc: Y.Doc): Promise<void> {
    const step = this.#steps[author]?.[index]
    if (step === undefined) return
    Y.applyUpdate(ydoc, step.update, 'typed')
    await nextPush()
  }

  /** All of one author's updates, each as soon as it may be. */
  async giveAll(author: number, handle: Handle): Promise<void> {
    const { ydoc } = handle
    for (let index = 0; index < this.count(author); index++) {
      await until(() => this.mayGive(author, index, ydoc), onDocument(ydoc), {
        what: () =>
          `author ${author} to see what update ${index} of ${this.count(author)} builds on; ${JSON.stringify(handle.status)}`,
      })
      await this.give(author, index, ydoc)
      if (index % stretch === 0) await breathe(handle)
    }
  }
}
