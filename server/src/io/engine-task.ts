/**
 * What materialised documents ask of an engine, as data that can cross to a thread. `work` does it, in whichever thread it is called: small
 * documents are not worth the way.
 */

import type { Edit, Engine, Reading } from '@meridian/core/engine'
import { MeridianError, unreachable } from '@meridian/core/errors'

export type EngineTask =
  | { readonly kind: 'whole' }
  | { readonly kind: 'differences'; readonly known: Uint8Array }
  | { readonly kind: 'read'; readonly reading: Reading }
  | { readonly kind: 'edit'; readonly edit: Edit; readonly author: number }

export type TaskValue = Uint8Array | string | readonly Uint8Array[]

/** `refused`: what was asked does not go with the document; the message is a sentence without names. */
export type TaskAnswer =
  | { readonly kind: 'done'; readonly value: TaskValue }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'failed' }

/** Never throws. */
export function work(engine: Engine, updates: readonly Uint8Array[], task: EngineTask): TaskAnswer {
  try {
    return { kind: 'done', value: valueOf(engine, updates, task) }
  } catch (thrown) {
    if (thrown instanceof MeridianError) return { kind: 'refused', message: thrown.sentence }
    return { kind: 'failed' }
  }
}

function valueOf(engine: Engine, updates: readonly Uint8Array[], task: EngineTask): TaskValue {
  switch (task.kind) {
    case 'whole':
      return engine.snapshot(updates).bytes
    case 'differences':
      return engine.differences(updates, task.known)
    case 'read':
      return engine.read(updates, task.reading)
    case 'edit':
      return engine.edit(updates, task.edit, task.author)
    default:
      return unreachable(task)
  }
}
