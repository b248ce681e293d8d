/**
 * The thread that folds a document's entries into one state, or reads, compares and edits what they hold: engine work is heavy, and here it
 * holds up nobody. Automerge comes with the first document of its kind, as it brings wasm along. It knows no log and no document, only updates and an engine. It ends with its limits: the heap by `resourceLimits`, the time by whoever asked.
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

/** Says, with its answer, that the thread is to do nothing more. */
export type Spent = { readonly isSpent: boolean }

/** Wasm keeps what it once had: a thread that has more than this outside of its heap, in bytes, is spent. */
const outsideBytesMax = 256 * 1024 * 1024

/** Mebibytes that Automerge may take at most. A document that needs more is stored and passed on, but not read or patched. */
const wasmMemoryMb = 1_024

const port = parentPort
assert(port !== null, 'this file runs as a thread')
port.on('message', (request: FoldRequest) => {
  // One request at a time: the next one is sent when this one is answered.
  void engineOf(request.engine).then((engine) => answer(engine, request))
})

let automerge: Promise<Engine> | undefined

async function startAutomerge(): Promise<Engine> {
  const { initializeAutomerge } = await import('@meridian/core/io/automerge-wasm')
  await initializeAutomerge(wasmMemoryMb)
  const { automergeWithContent } = await import('@meridian/core/engines/automerge-content')
  return automergeWithContent
}

async function engineOf(name: EngineName): Promise<Engine> {
  if (name === 'yjs') return yjsEngine
  automerge ??= startAutomerge()
  return automerge
}

function answer(engine: Engine, request: FoldRequest): void {
  assert(port !== null, 'this file runs as a thread')
  if (request.task !== undefined) {
    const done = perform(engine, request, request.task)
    return port.postMessage({ ...done, isSpent: isSpent(engine) } satisfies TaskAnswer & Spent, handedOver(done))
  }
  const folded = fold(engine, request)
  if (folded.kind === 'failed') return port.postMessage({ ...folded, isSpent: isSpent(engine) } satisfies FoldAnswer & Spent)
  const state = exact(folded.state)
  const index = exact(folded.index)
  const answered = { kind: 'folded', state, index, isSpent: isSpent(engine) } satisfies FoldAnswer & Spent
  port.postMessage(answered, [state.buffer, index.buffer])
}

const isSpent = ({ isHeavy }: Engine): boolean => isHeavy && process.memoryUsage().external > outsideBytesMax

const perform = (engine: Engine, request: FoldRequest, task: EngineTask): TaskAnswer => work(engine, updatesOf(request), task)

function updatesOf({ bytes, ends }: FoldRequest): Uint8Array[] {
  const updates: Uint8Array[] = []
  let start = 0
  for (const end of ends) {
    updates.push(bytes.subarray(start, end))
    start = end
  }
  return updates
}

function fold(engine: Engine, request: FoldRequest): FoldAnswer {
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
