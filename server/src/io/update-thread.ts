/**
 * The thread of a node that looks into large updates (the contract is core/engine-aside.ts), one after the other. It is started with the first of them and
 * ended when there was none for a while; one that takes too much memory or time is refused, and the thread with it.
 *
 * Nothing bounds the queue here: each lane and each load of an index has one update in it at most, which it holds anyway.
 */

import type { Engine, EngineName, Inspection, InspectLimits, PackedInspection } from '@meridian/core/engine'
import type { AsideError, EngineAside } from '@meridian/core/engine-aside'
import { assert } from '@meridian/core/errors'
import type { EngineTask, TaskValue } from './engine-task.js'
import { Folder, type FolderOptions, type Performed } from './folder.js'

interface Job {
  readonly engine: EngineName
  readonly update: Uint8Array
  readonly task: EngineTask
  readonly done: (performed: Performed) => void
}

export class UpdateThread implements EngineAside {
  readonly #engines: Partial<Record<EngineName, Engine>>
  readonly #folder: Folder
  readonly #jobs: Job[] = []
  #busy = false
  #closed = false

  constructor(engines: Partial<Record<EngineName, Engine>>, options: FolderOptions) {
    this.#engines = engines
    this.#folder = new Folder(options)
  }

  inspect(name: EngineName, update: Uint8Array, limits: InspectLimits, done: (answer: Inspection | AsideError) => void): void {
    const engine = this.#engines[name]
    assert(engine !== undefined, 'an update is looked into by an engine that is here')
    this.#add({
      engine: name,
      update,
      task: { kind: 'inspect', limits },
      done: (performed) => done(answered(performed, (value) => engine.unpack(asInspection(value)))),
    })
  }

  cut(name: EngineName, update: Uint8Array, overlap: Uint8Array, done: (answer: Uint8Array | AsideError) => void): void {
    this.#add({
      engine: name,
      update,
      task: { kind: 'cut', overlap },
      done: (performed) => done(answered(performed, asBytes)),
    })
  }

  admissible(name: EngineName, update: Uint8Array, basis: Uint8Array, done: (answer: Uint8Array | AsideError) => void): void {
    this.#add({
      engine: name,
      update,
      task: { kind: 'admissible', basis },
      done: (performed) => done(answered(performed, asBytes)),
    })
  }

  /** What is under way is answered as unavailable. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#folder.close()
  }

  #add(job: Job): void {
    this.#jobs.push(job)
    if (!this.#busy) void this.#run()
  }

  async #run(): Promise<void> {
    this.#busy = true
    // Not in the call that asked.
    await Promise.resolve()
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      const { engine, update, task, done } = job
      done(this.#closed ? { kind: 'failed', why: 'closed' } : await this.#folder.perform(engine, [update], task))
    }
    this.#busy = false
  }
}

function answered<T>(performed: Performed, form: (value: TaskValue) => T): T | AsideError {
  if (performed.kind === 'done') return form(performed.value)
  if (performed.kind === 'refused') return 'UPDATE_INVALID'
  return performed.why === 'memory' || performed.why === 'time' ? 'UPDATE_TOO_LARGE' : 'LOG_UNAVAILABLE'
}

function asInspection(value: TaskValue): PackedInspection {
  assert(typeof value === 'object' && 'lists' in value, 'an inspection comes packed')
  return value
}

function asBytes(value: TaskValue): Uint8Array {
  assert(value instanceof Uint8Array, 'a part of an update is bytes')
  return value
}
