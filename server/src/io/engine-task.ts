/**
 * What materialised documents ask of an engine, as data that can cross to a thread. `work` does it, in whichever thread it is called: small
 * documents are not worth the way.
 */

import type { Edit, Engine, InspectLimits, PackedInspection, Reading } from '@meridian/core/engine'
import { assert, MeridianError, unreachable } from '@meridian/core/errors'

export type EngineTask =
  | { readonly kind: 'whole' }
  | { readonly kind: 'differences'; readonly known: Uint8Array }
  | { readonly kind: 'read'; readonly reading: Reading }
  /** Of one update. */
  | { readonly kind: 'inspect'; readonly limits: InspectLimits }
  | { readonly kind: 'cut'; readonly overlap: Uint8Array }
  | { readonly kind: 'admissible'; readonly basis: Uint8Array }
  | { readonly kind: 'translate' }
  | { readonly kind: 'edit'; readonly edit: Edit; readonly author: number }

export type TaskValue = Uint8Array | string | readonly Uint8Array[] | PackedInspection

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
    case 'inspect':
      return engine.pack(engine.inspect(oneOf(updates), task.limits))
    case 'cut':
      return engine.cut(oneOf(updates), task.overlap)
    case 'translate':
      return engine.translate(oneOf(updates))
    case 'admissible':
      return engine.admissible(oneOf(updates), task.basis)
    default:
      return unreachable(task)
  }
}

function oneOf(updates: readonly Uint8Array[]): Uint8Array {
  const [update] = updates
  assert(update !== undefined && updates.length === 1, 'this is done with one update')
  return update
}

/** What goes over to another thread whole, without a copy. */
export function handedOver(answer: TaskAnswer): ArrayBuffer[] {
  if (answer.kind !== 'done' || typeof answer.value !== 'object') return []
  const { value } = answer
  if ('lists' in value) return value.lists.map((list) => list.buffer)
  return value instanceof Uint8Array && value.buffer instanceof ArrayBuffer && value.length === value.buffer.byteLength
    ? [value.buffer]
    : []
}
