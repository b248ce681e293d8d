/**
 * Loads the index that judges updates of an open document, from its snapshot and the entries behind it, and keeps it in step with what other
 * regions write. A state machine over the log: one load at a time for a document, who needs it meanwhile waits for it.
 *
 * - SES2 A push that builds on what a link brought is not premature: the index holds that.
 * - LOG3 An index that holds what never became durable is dropped, and loaded anew for the next push.
 */

import type { HubEffects } from './hub-effects.js'
import type { Engine, EngineIndex, EngineName, IndexDecoding, Inspection } from './engine.js'
import { inspectLimits } from './engine.js'
import type { Entry } from './entry.js'
import { assert, MeridianError } from './errors.js'
import { toPosition } from './ids.js'
import type { IndexLoading, IndexState, LiveDocument, LoadedIndex } from './live-document.js'
import type { LogErrorCode } from './log.js'

export interface IndexLoaderEffects extends Pick<HubEffects, 'log' | 'engines' | 'aside' | 'schedule'> {
  /** Asks the log where the document's snapshot is now. */
  refresh(document: LiveDocument, run: (code: LogErrorCode | undefined) => void): void
  /** A load has ended: nothing of it keeps the document any more. */
  loaded(document: LiveDocument): void
}

export class IndexLoader {
  readonly #effects: IndexLoaderEffects
  readonly #inlineBytesMax: number
  #closed = false

  /** @param inlineBytesMax larger updates are looked into beside the loop. */
  constructor(effects: IndexLoaderEffects, inlineBytesMax: number) {
    this.#effects = effects
    this.#inlineBytesMax = inlineBytesMax
  }

  /**
   * What updates to the document are judged by, or why it cannot be loaded now. If it is not loaded yet: undefined, and `run` when the load
   * has ended, well or not.
   *
   * @param engine of the first update, for a document that was never written.
   */
  get(document: LiveDocument, engine: EngineName, run: () => void): LoadedIndex | LogErrorCode | undefined {
    if (document.index.kind === 'loaded' && document.engine === undefined && document.index.engine.name !== engine)
      document.index = { kind: 'absent' }
    if (document.index.kind === 'absent') {
      const loading: IndexLoading = { kind: 'loading', waiting: [], late: [] }
      document.index = loading
      const failed = this.#load(document, this.#effects.engines[document.engine ?? engine], loading)
      if (failed !== undefined) document.index = { kind: 'absent' }
      if (failed !== undefined) return failed
    }
    const state: IndexState = document.index
    if (state.kind === 'loaded') return state
    if (state.kind === 'failed') return state.code
    if (state.kind === 'loading') state.waiting.push(run)
    return undefined
  }

  /** The index takes in what another region's update holds. */
  include(document: LiveDocument, payload: Uint8Array): void {
    const { index } = document
    if (index.kind === 'loading') index.late.push(payload)
    if (index.kind !== 'loaded') return
    if (payload.length > this.#inlineBytesMax) {
      this.#effects.aside.inspect(index.engine.name, payload, storedLimits, (answer) => {
        if (document.index !== index) return
        if (typeof answer === 'string' || !included(index, answer)) this.drop(document)
        else for (const run of [...document.premature]) run()
      })
      return
    }
    const inspection = guarded(() => index.engine.inspect(payload, storedLimits))
    if (inspection === undefined || !included(index, inspection)) this.drop(document)
    else for (const run of [...document.premature]) run()
  }

  /** The index is no longer what it was; who waits for it asks again. */
  drop(document: LiveDocument): void {
    const { index } = document
    document.index = { kind: 'absent' }
    if (index.kind === 'loading') for (const run of index.waiting) run()
  }

  /** Whoever waits for a load is gone, and is not told of its end. */
  close(): void {
    this.#closed = true
  }

  /**
   * Reads snapshot index and tail; starts over if a compaction trimmed what was about to be read.
   *
   * @returns what failed at once.
   */
  #load(document: LiveDocument, engine: Engine | undefined, loading: IndexLoading): LogErrorCode | undefined {
    assert(engine !== undefined, 'an index is loaded for a document whose engine is known here')
    const { snapshot } = document
    const from = snapshot?.position ?? toPosition(0)
    const read = (index: EngineIndex, after: typeof from): void => {
      this.#effects.log.readDocument(document.name, after, indexRead, (outcome) => {
        if (document.index !== loading) return
        if (outcome.kind === 'failed') return this.#end(document, loading, outcome.code)
        if (outcome.value.trimmed > from) {
          return this.#effects.refresh(document, (code) => {
            const failed = code ?? this.#load(document, engine, loading)
            if (failed !== undefined) this.#end(document, loading, failed)
          })
        }
        this.#includeAll(document, { engine, index, loading }, outcome.value.entries, (failed) => {
          if (failed !== undefined) this.#end(document, loading, failed)
          else if (outcome.value.more) read(index, outcome.value.asOf)
          else this.#end(document, loading, { kind: 'loaded', engine, index })
        })
      })
    }
    const decoded = (index: EngineIndex | 'more' | undefined, decoding: IndexDecoding | undefined): void => {
      if (document.index !== loading) return
      const step = (): void => {
        const next = guarded(() => decoding?.step())
        decoded(next, decoding)
      }
      if (index === undefined) this.#end(document, loading, 'DOCUMENT_DAMAGED')
      else if (index === 'more') this.#effects.schedule(step, 'end of turn')
      else if (document.position <= from) this.#end(document, loading, { kind: 'loaded', engine, index })
      else read(index, from)
    }
    const decoding = guarded(() => (snapshot === undefined ? undefined : engine.beginIndex(snapshot.index)))
    const first = snapshot === undefined ? engine.emptyIndex() : guarded(() => decoding?.step())
    if (first === undefined) return 'DOCUMENT_DAMAGED'
    decoded(first, decoding)
    return undefined
  }

  /** Includes what a read brought, in order; large updates are looked into beside the loop. */
  #includeAll(
    document: LiveDocument,
    { engine, index, loading }: { readonly engine: Engine; readonly index: EngineIndex; readonly loading: IndexLoading },
    entries: readonly Entry[],
    done: (failed: LogErrorCode | undefined) => void,
  ): void {
    const include = (from: number): void => {
      for (let at = from; at < entries.length; at++) {
        const entry = entries[at]
        if (entry === undefined || entry.kind !== 'update') continue
        const { payload } = entry
        if (payload.length > this.#inlineBytesMax) {
          this.#effects.aside.inspect(engine.name, payload, storedLimits, (answer) => {
            if (document.index !== loading) return
            if (typeof answer === 'string') return done(answer === 'LOG_UNAVAILABLE' ? answer : 'DOCUMENT_DAMAGED')
            if (!included({ engine, index }, answer)) return done('DOCUMENT_DAMAGED')
            include(at + 1)
          })
          return
        }
        const inspection = guarded(() => engine.inspect(payload, storedLimits))
        if (inspection === undefined || !included({ engine, index }, inspection)) return done('DOCUMENT_DAMAGED')
      }
      done(undefined)
    }
    include(0)
  }

  /** Ends a load, well or with the code of what failed, which those who waited see and nobody after them. */
  #end(document: LiveDocument, loading: IndexLoading, result: LoadedIndex | LogErrorCode): void {
    if (this.#closed || document.index !== loading) return
    document.index = typeof result === 'string' ? { kind: 'failed', code: result } : result
    for (const payload of loading.late) this.include(document, payload)
    const ended = document.index
    for (const run of loading.waiting) run()
    if (document.index === ended && ended.kind === 'failed') document.index = { kind: 'absent' }
    this.#effects.loaded(document)
  }
}

/** Little, because what one read brings is included in one go. */
const indexRead = { bytes: 64 * 1024, entries: 2_048 }
const storedLimits = { ...inspectLimits, updateBytesMax: Number.MAX_SAFE_INTEGER }

/** What stands in the log was inspected when it came; if an engine refuses it now, it is damaged. */
function guarded<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    if (thrown instanceof MeridianError) return undefined
    throw thrown
  }
}

/** False if the update builds on what is not held, which no log of a right region holds. */
function included({ engine, index }: Pick<LoadedIndex, 'engine' | 'index'>, inspection: Inspection): boolean {
  const judgement = engine.judge(index, inspection)
  if (judgement === 'new' || judgement === 'contradiction') engine.include(index, inspection)
  return judgement !== 'premature'
}
