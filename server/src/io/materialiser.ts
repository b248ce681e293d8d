/**
 * Materialised documents of a node (the contract is core/materialised.ts): a cache of encoded states that is bounded by bytes, brought up to
 * date from the log whenever somebody asks, and threads for the engine work on them.
 *
 * - What is answered is as of a read of the log that began after the question: a document that is being brought up to date for somebody is
 *   brought up to date once more for those who asked meanwhile, all of them at once.
 * - The cache holds encoded bytes only, never a live document; what nobody asked for in `idleMs` goes, and so does the oldest beyond `bytesMax`.
 *   A document that is larger than the whole cache is answered and not kept.
 * - Work on few bytes is done here, unless its engine is heavy; more goes to a thread that ends with its limits of memory and time. Beyond `queueMax` it is refused.
 */

import type { Clock } from '@meridian/core/effects'
import type { Edit, Engine, EngineName, Reading } from '@meridian/core/engine'
import { assert } from '@meridian/core/errors'
import type { DocumentName, Position } from '@meridian/core/ids'
import { toPosition } from '@meridian/core/ids'
import type { DocumentInfo, Done, LogErrorCode, Outcome, Read, RegionLog, Snapshot } from '@meridian/core/log'
import type { Materialisation, Materialised, Materialiser, Worked } from '@meridian/core/materialised'
import { include, mutableVersion, type MutableVersion } from '@meridian/core/version'
import { LRUCache } from 'lru-cache'
import type { MaterialiserLimits } from '../config.js'
import { type EngineTask, type TaskAnswer, type TaskValue, work } from './engine-task.js'
import { Folder, type Performed } from './folder.js'

export interface MaterialiserOptions {
  readonly log: RegionLog
  readonly clock: Clock
  readonly engines: Partial<Record<EngineName, Engine>>
  readonly limits: MaterialiserLimits
}

/** Bytes and entries of one read, as the compactor's. */
const page = { bytes: 2 * 1024 * 1024, entries: 4_096 }

/** What a cached document costs beside its bytes: name, version, objects, an array's slot for each update. */
const overheadBytes = 1_024
const updateOverheadBytes = 96

/** Updates behind one another before they are folded into one: what a closed document may have, by the compaction policy. */
const updatesMax = 512

/** Engine work on no more than this is done at once: Yjs takes about 50 ms for a mebibyte, so a few milliseconds. */
const inlineBytesMax = 96 * 1024
/** Differences do not build a document: about 15 ms for 223 KB. */
const inlineDifferencesMax = 256 * 1024

/** What an engine that `isHeavy` does in threads only. */
const heavyTasks: ReadonlySet<EngineTask['kind']> = new Set(['read', 'edit', 'translate'])

/** Trims and new lives that pass by while a document is read, before that is given up. */
const attemptsMax = 8

interface Loading {
  /** Those who asked before the load began. */
  asked: Answer[]
  /** Those who came since: they get the next one. */
  next: Answer[]
}

type Answer = (answer: Materialisation) => void

interface Job {
  readonly engine: EngineName
  readonly updates: readonly Uint8Array[]
  readonly task: EngineTask
  readonly done: (performed: Performed) => void
}

export class LogMaterialiser implements Materialiser {
  readonly #options: MaterialiserOptions
  readonly #cache: LRUCache<DocumentName, Materialised>
  readonly #loading = new Map<DocumentName, Loading>()
  readonly #idle: Folder[]
  readonly #folders: readonly Folder[]
  readonly #jobs: Job[] = []
  #closed = false

  constructor(options: MaterialiserOptions) {
    this.#options = options
    const { bytesMax, idleMs, workersMax, memoryMb, timeMs } = options.limits
    this.#cache = new LRUCache({
      maxSize: bytesMax,
      sizeCalculation: (state) => state.bytes + state.updates.length * updateOverheadBytes + overheadBytes,
      ttl: idleMs,
      ttlResolution: 0,
      updateAgeOnGet: true,
      perf: { now: () => options.clock.now() },
    })
    this.#folders = Array.from({ length: workersMax }, () => new Folder({ memoryMb, timeMs }))
    this.#idle = [...this.#folders]
  }

  /** For metrics. */
  get cachedBytes(): number {
    return this.#cache.calculatedSize
  }

  get cachedCount(): number {
    return this.#cache.size
  }

  get queueCount(): number {
    return this.#jobs.length
  }

  /** Lets go of what nobody asked for in a while; about once a second. */
  tick(): void {
    this.#cache.purgeStale()
  }

  /** What is under way is answered as failed. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { done } of this.#jobs.splice(0)) done({ kind: 'failed', why: 'closed' })
    this.#cache.clear()
    await Promise.all(this.#folders.map((folder) => folder.close()))
  }

  materialise(document: DocumentName, done: Answer): void {
    const loading = this.#loading.get(document)
    if (loading !== undefined) loading.next.push(done)
    else void this.#load(document, { asked: [done], next: [] })
  }

  differences(state: Materialised, known: Uint8Array, done: (answer: Worked<readonly Uint8Array[]>) => void): void {
    this.#work(state, { kind: 'differences', known }, asList, done)
  }

  whole(state: Materialised, done: (answer: Worked<Uint8Array>) => void): void {
    const [only] = state.updates
    if (only !== undefined && state.updates.length === 1) setImmediate(() => done({ kind: 'done', value: only }))
    else this.#work(state, { kind: 'whole' }, asBytes, (answer) => done(this.#folded(state, answer)))
  }

  read(state: Materialised, reading: Reading, done: (answer: Worked<string>) => void): void {
    this.#work(state, { kind: 'read', reading }, asText, done)
  }

  translate(engine: EngineName, foreign: Uint8Array, done: (answer: Worked<Uint8Array>) => void): void {
    this.#work({ engine, updates: [foreign], bytes: foreign.length }, { kind: 'translate' }, asBytes, done)
  }

  edit(state: Materialised | EngineName, edit: Edit, author: number, done: (answer: Worked<Uint8Array>) => void): void {
    this.#work(
      typeof state === 'string' ? { engine: state, updates: [], bytes: 0 } : state,
      { kind: 'edit', edit, author },
      asBytes,
      done,
    )
  }

  // From the log.

  async #load(document: DocumentName, loading: Loading): Promise<void> {
    this.#loading.set(document, loading)
    const answer = await this.#loaded(document)
    for (const done of loading.asked) done(answer)
    loading.asked = loading.next
    loading.next = []
    if (loading.asked.length > 0) void this.#load(document, loading)
    else this.#loading.delete(document)
  }

  async #loaded(document: DocumentName): Promise<Materialisation> {
    for (let attempt = 0; attempt < attemptsMax && !this.#closed; attempt++) {
      const answer = await this.#attempt(document)
      if (answer !== 'again') return answer
      this.#cache.delete(document)
    }
    return { kind: 'failed', code: 'LOG_UNAVAILABLE' }
  }

  /** `again`: a trim or a new life passed by between two reads. */
  async #attempt(document: DocumentName): Promise<Materialisation | 'again'> {
    const { log } = this.#options
    const opened = await ask<DocumentInfo>((done) => log.openDocument(document, done))
    if (opened.kind === 'failed') return failed(opened.code)
    const info = opened.value
    const { engine, life } = info
    if (engine === undefined) return { kind: 'absent' }
    if (info.ended) {
      this.#cache.delete(document)
      return { kind: 'ended', life }
    }
    const held = this.#cache.get(document)
    if (held !== undefined && held.life === life && held.position >= info.position) return { kind: 'done', value: held }
    let start: Gathered
    // Behind a snapshot that was cached is what the log would be read for, unless so much that the newer snapshot is cheaper.
    if (held !== undefined && held.life === life && held.position >= (info.snapshot?.position ?? 0)) {
      start = { updates: [...held.updates], version: mutableVersion(held.version), position: held.position }
    } else {
      const read = await ask<Snapshot | undefined>((done) => log.readSnapshot(document, done))
      if (read.kind === 'failed') return failed(read.code)
      const snapshot = read.value
      if (snapshot !== undefined && snapshot.life !== life) return 'again'
      start = {
        updates: snapshot === undefined ? [] : [snapshot.state.bytes],
        version: mutableVersion(snapshot?.version),
        position: snapshot?.position ?? toPosition(0),
      }
    }
    const gathered = await this.#gather(document, life, start)
    if (gathered === 'again') return 'again'
    if ('kind' in gathered) return gathered
    const { updates, version, position } = gathered
    if (updates.length === 0) return 'again'
    const state = materialised({ document, engine, life, updates, version, position })
    const kept = updates.length <= updatesMax ? state : await this.#fold(state)
    this.#cache.set(document, kept)
    return { kind: 'done', value: kept }
  }

  /** What stands behind `start`, to the end of the log. */
  async #gather(document: DocumentName, life: number, start: Gathered): Promise<Gathered | 'again' | FailedLoad> {
    const { updates, version } = start
    let { position } = start
    for (let after = position; ; ) {
      const from = after
      const read = await ask<Read>((done) => this.#options.log.readDocument(document, from, page, done))
      if (read.kind === 'failed') return failed(read.code)
      const { entries, asOf, more, trimmed } = read.value
      if (trimmed > from) return 'again'
      for (const entry of entries) {
        if (entry.kind !== 'update' || entry.life !== life) return 'again'
        updates.push(entry.payload)
        include(version, entry.replica, entry.sequence)
        position = entry.position
      }
      if (!more) return { updates, version, position }
      after = asOf
    }
  }

  /** Many small updates as one. If that fails they are served as they are. */
  async #fold(state: Materialised): Promise<Materialised> {
    const answer = await new Promise<Worked<Uint8Array>>((resolve) => this.whole(state, resolve))
    return answer.kind === 'done' ? materialised({ ...state, updates: [answer.value] }) : state
  }

  /** Keeps a fold that somebody needed, unless the document went on meanwhile. */
  #folded(state: Materialised, answer: Worked<Uint8Array>): Worked<Uint8Array> {
    if (answer.kind === 'done' && this.#cache.peek(state.document) === state)
      this.#cache.set(state.document, materialised({ ...state, updates: [answer.value] }))
    return answer
  }

  // Engine work.

  #work<T>(
    { engine: name, updates, bytes }: Pick<Materialised, 'engine' | 'updates' | 'bytes'>,
    task: EngineTask,
    form: (value: TaskValue) => T,
    done: (answer: Worked<T>) => void,
  ): void {
    const engine = this.#options.engines[name]
    assert(engine !== undefined, 'a document is materialised by an engine that is here')
    const inlineMax = task.kind === 'differences' ? inlineDifferencesMax : inlineBytesMax
    const isInline = !engine.isHeavy || !heavyTasks.has(task.kind)
    if (isInline && bytes <= inlineMax && taskBytes(task) <= inlineMax) {
      setImmediate(() => done(worked(work(engine, updates, task), form)))
      return
    }
    if (this.#closed || this.#jobs.length >= this.#options.limits.queueMax) {
      setImmediate(() => done({ kind: 'failed', why: this.#closed ? 'closed' : 'busy' }))
      return
    }
    this.#jobs.push({ engine: name, updates, task, done: (performed) => done(worked(performed, form)) })
    this.#next()
  }

  #next(): void {
    const folder = this.#jobs.length > 0 && !this.#closed ? this.#idle.pop() : undefined
    const job = folder === undefined ? undefined : this.#jobs.shift()
    if (folder === undefined || job === undefined) return
    void folder.perform(job.engine, job.updates, job.task).then((performed) => {
      this.#idle.push(folder)
      job.done(performed)
      this.#next()
    })
  }
}

interface Gathered {
  readonly updates: Uint8Array[]
  readonly version: MutableVersion
  readonly position: Position
}

type FailedLoad = Extract<Materialisation, { kind: 'failed' }>

const failed = (code: LogErrorCode): FailedLoad => ({ kind: 'failed', code })

const ask = <T>(run: (done: Done<T>) => void): Promise<Outcome<T>> => new Promise((resolve) => run(resolve))

function materialised(state: Omit<Materialised, 'bytes'>): Materialised {
  let bytes = 0
  for (const update of state.updates) bytes += update.length
  return { ...state, bytes }
}

function taskBytes(task: EngineTask): number {
  return task.kind === 'differences' ? task.known.length : 0
}

function worked<T>(performed: Performed | TaskAnswer, form: (value: TaskValue) => T): Worked<T> {
  switch (performed.kind) {
    case 'done':
      return { kind: 'done', value: form(performed.value) }
    case 'refused':
      return performed
    case 'failed': {
      const why = 'why' in performed ? performed.why : 'engine'
      return { kind: 'failed', why: why === 'time' || why === 'memory' || why === 'closed' ? why : 'engine' }
    }
  }
}

function asText(value: TaskValue): string {
  assert(typeof value === 'string', 'a reading is text')
  return value
}

function asBytes(value: TaskValue): Uint8Array {
  assert(value instanceof Uint8Array, 'an update is bytes')
  return value
}

function asList(value: TaskValue): readonly Uint8Array[] {
  assert(Array.isArray(value), 'differences are a list')
  return value as readonly Uint8Array[]
}
