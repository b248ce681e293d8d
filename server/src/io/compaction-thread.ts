/**
 * The thread that folds a document's entries into one state, or reads, compares and edits what they hold: engine work is heavy, and here it
 * holds up nobody. It knows no log and no document, only updates and an engine. It ends with its limits: the heap by `resourceLimits`, the time by whoever asked.
 */

import { parentPort } from 'node:worker_threads'
import type { Engine, EngineName } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { assert } from '@meridian/core/errors'
import { type EngineTask, handedOver, type TaskAnswer, work } from './engine-task.js'

export interface FoldRequest {
  readonly engine: EngineName
  /** All updates, one behind the other: one buffer crosses the threads much faster than thousands. */
  readonly bytes: Uint8Array
  /** Where each update ends. */
  readonly ends: Uint32Array
  /** What is to be done with them; fold them if absent. */
  readonly task?: EngineTask
}

export type FoldAnswer =
  | { readonly kind: 'folded'; readonly state: Uint8Array; readonly index: Uint8Array }
  | { readonly kind: 'failed'; readonly message: string }

const engines: Partial<Record<EngineName, Engine>> = { yjs: yjsEngine }

const port = parentPort
assert(port !== null, 'this file runs as a thread')
port.on('message', (request: FoldRequest) => {
  if (request.task !== undefined) {
    const answer = perform(request, request.task)
    return port.postMessage(answer, handedOver(answer))
  }
  const answer = fold(request)
  if (answer.kind === 'failed') return port.postMessage(answer)
  const state = exact(answer.state)
  const index = exact(answer.index)
  port.postMessage({ kind: 'folded', state, index } satisfies FoldAnswer, [state.buffer, index.buffer])
})

function perform(request: FoldRequest, task: EngineTask): TaskAnswer {
  const engine = engines[request.engine]
  return engine === undefined ? { kind: 'failed' } : work(engine, updatesOf(request), task)
}

function updatesOf({ bytes, ends }: FoldRequest): Uint8Array[] {
  const updates: Uint8Array[] = []
  let start = 0
  for (const end of ends) {
    updates.push(bytes.subarray(start, end))
    start = end
  }
  return updates
}

function fold(request: FoldRequest): FoldAnswer {
  const engine = engines[request.engine]
  if (engine === undefined) return { kind: 'failed', message: 'the engine is not known here' }
  try {
    const { bytes: state, index } = engine.snapshot(updatesOf(request))
    return { kind: 'folded', state, index }
  } catch (thrown) {
    return { kind: 'failed', message: thrown instanceof Error ? thrown.name : 'unknown' }
  }
}

/** A copy of its own unless it fills its buffer already: a buffer that is handed over takes everything in it along. */
function exact(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  return buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength ? new Uint8Array(buffer) : new Uint8Array(bytes)
}
