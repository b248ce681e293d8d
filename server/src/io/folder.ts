/**
 * Threads that do engine work on updates, folding above all, with bounds on memory and time. A thread is started with the first work and ended when it has
 * had none for a while; one that ran out of memory or time is ended, and the next work gets a new one.
 */

import { Worker } from 'node:worker_threads'
import type { EngineName, EngineState } from '@meridian/core/engine'
import type { FoldAnswer, FoldRequest, Spent } from './compaction-thread.js'
import type { EngineTask, TaskAnswer } from './engine-task.js'

export interface FolderOptions {
  /** Mebibytes of heap. */
  readonly memoryMb: number
  /** Milliseconds of one piece of work. */
  readonly timeMs: number
  /** Milliseconds without work after which the thread is ended. Default 30,000. */
  readonly idleMs?: number
}

export type Folded = { readonly kind: 'folded'; readonly state: EngineState } | { readonly kind: 'failed'; readonly why: string }

export type Performed = Exclude<TaskAnswer, { kind: 'failed' }> | { readonly kind: 'failed'; readonly why: string }

type Answer = FoldAnswer | TaskAnswer
type Ended = { readonly kind: 'answered'; readonly answer: Answer } | { readonly kind: 'failed'; readonly why: string }

/** One thread, one piece of work at a time. */
export class Folder {
  readonly #options: FolderOptions
  #worker: Worker | undefined
  #answer: ((ended: Ended) => void) | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: FolderOptions) {
    this.#options = options
  }

  get isBusy(): boolean {
    return this.#answer !== undefined
  }

  async fold(engine: EngineName, updates: readonly Uint8Array[]): Promise<Folded> {
    const ended = await this.#send(pack(engine, updates))
    if (ended.kind === 'failed') return ended
    const { answer } = ended
    if (answer.kind !== 'folded') return { kind: 'failed', why: 'message' in answer ? answer.message : 'engine' }
    return { kind: 'folded', state: { bytes: answer.state, index: answer.index } }
  }

  /** Whatever else an engine does with updates. */
  async perform(engine: EngineName, updates: readonly Uint8Array[], task: EngineTask): Promise<Performed> {
    const ended = await this.#send({ ...pack(engine, updates), task })
    if (ended.kind === 'failed') return ended
    const { answer } = ended
    return answer.kind === 'done' || answer.kind === 'refused' ? answer : { kind: 'failed', why: 'engine' }
  }

  #send(request: PackedRequest): Promise<Ended> {
    return new Promise((resolve) => {
      clearTimeout(this.#timer)
      this.#answer = resolve
      const worker = this.#worker ?? this.#start()
      worker.postMessage(request, [request.bytes.buffer, request.ends.buffer])
      this.#timer = setTimeout(() => this.#end({ kind: 'failed', why: 'time' }), this.#options.timeMs)
    })
  }

  close(): Promise<unknown> {
    const worker = this.#worker
    this.#end({ kind: 'failed', why: 'closed' })
    return worker?.terminate() ?? Promise.resolve()
  }

  #start(): Worker {
    const worker = new Worker(new URL('./compaction-thread.js', import.meta.url), {
      name: 'compaction',
      resourceLimits: { maxOldGenerationSizeMb: this.#options.memoryMb },
    })
    worker.on('message', ({ isSpent, ...answer }: Answer & Spent) => {
      if (worker !== this.#worker) return
      // Whoever gets the answer may send the next request at once: to another thread then.
      if (isSpent) this.#retire(worker)
      this.#finish({ kind: 'answered', answer })
    })
    worker.on('error', (error: Error & { code?: string }) => {
      if (worker === this.#worker)
        this.#end({ kind: 'failed', why: error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : error.name })
    })
    worker.on('exit', () => {
      if (worker === this.#worker) this.#end({ kind: 'failed', why: 'exit' })
    })
    this.#worker = worker
    return worker
  }

  #retire(worker: Worker): void {
    this.#worker = undefined
    void worker.terminate()
  }

  #finish(ended: Ended): void {
    clearTimeout(this.#timer)
    const answer = this.#answer
    this.#answer = undefined
    this.#timer = setTimeout(() => this.#end({ kind: 'failed', why: 'idle' }), this.#options.idleMs ?? 30_000)
    this.#timer.unref()
    answer?.(ended)
  }

  /** Ends the thread, and with it whatever it was at. */
  #end(ended: Ended): void {
    clearTimeout(this.#timer)
    const worker = this.#worker
    this.#worker = undefined
    void worker?.terminate()
    const answer = this.#answer
    this.#answer = undefined
    answer?.(ended)
  }
}

type PackedRequest = FoldRequest & { bytes: Uint8Array<ArrayBuffer>; ends: Uint32Array<ArrayBuffer> }

function pack(engine: EngineName, updates: readonly Uint8Array[]): PackedRequest {
  let length = 0
  for (const update of updates) length += update.length
  const bytes = new Uint8Array(length)
  const ends = new Uint32Array(updates.length)
  let offset = 0
  for (const [index, update] of updates.entries()) {
    bytes.set(update, offset)
    offset += update.length
    ends[index] = offset
  }
  return { engine, bytes, ends }
}
