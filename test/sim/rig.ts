/** A node, its log and its peers for one test, at rest between two lines of it. */

import type { Entry } from '@meridian/core/entry'
import { assert } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import { toPosition } from '@meridian/core/ids'
import type { Read, SnapshotInfo } from '@meridian/core/log'
import { include, mutableVersion } from '@meridian/core/version'
import { automergeEngine } from '@meridian/core/engines/automerge'
import { yjsEngine } from '@meridian/core/engines/yjs'
import type { LogOperation, LogStep, LogTiming } from './memory-log.js'
import { MemoryLog, MemoryStore } from './memory-log.js'
import { region, SimNode, type SimNodeOptions } from './node.js'
import { Peer } from './peer.js'
import { SeededRandom } from './random.js'
import { Scheduler } from './scheduler.js'

export interface RigOptions extends Partial<Omit<SimNodeOptions, 'scheduler' | 'random' | 'log'>> {
  readonly seed?: number
  readonly store?: MemoryStore
}

interface PendingStep extends LogStep {
  readonly run: () => void
}

export class Rig {
  readonly scheduler = new Scheduler()
  readonly random: SeededRandom
  readonly durable: Entry[] = []
  store: MemoryStore
  log: MemoryLog
  node: SimNode
  /** Operations of the log that wait for `release`; those not named go at once. */
  readonly held = new Set<LogOperation>()
  pending: PendingStep[] = []
  readonly compactions: DocumentName[] = []
  readonly #options: RigOptions
  #peers = 0

  constructor(options: RigOptions = {}) {
    this.#options = options
    this.random = new SeededRandom(options.seed ?? 1)
    this.store = options.store ?? new MemoryStore(region)
    this.log = this.#openLog()
    this.node = this.#start()
  }

  get hub(): SimNode['hub'] {
    return this.node.hub
  }

  /** A client that has said hello. */
  peer(number = ++this.#peers): Peer {
    const peer = this.connect(number).hello()
    this.settle()
    return peer
  }

  connect(number = ++this.#peers): Peer {
    return new Peer(this.node, number)
  }

  settle(): this {
    this.scheduler.settle()
    return this
  }

  /** Time passes and sessions look at it, once a second. */
  advance(milliseconds: number): this {
    for (let left = milliseconds; left > 0; left -= 1000) {
      this.scheduler.advance(Math.min(1000, left))
      this.node.tick()
      this.settle()
    }
    return this
  }

  hold(...operations: LogOperation[]): this {
    for (const operation of operations) this.held.add(operation)
    return this
  }

  /** Lets the oldest held step of this kind happen. */
  release(operation: LogOperation, phase: LogStep['phase']): this {
    const index = this.pending.findIndex((step) => step.operation === operation && step.phase === phase)
    const [step] = index < 0 ? [] : this.pending.splice(index, 1)
    assert(step !== undefined, `${operation} waits to ${phase}`)
    step.run()
    return this.settle()
  }

  /** Lets all held steps happen, and holds no more. */
  releaseAll(): this {
    this.held.clear()
    while (this.pending.length > 0) {
      this.pending.shift()?.run()
      this.settle()
    }
    return this.settle()
  }

  /** The process dies and a new one starts on what the disk holds, or on an older copy of it. */
  restart(store = this.store): this {
    this.node.crash()
    this.log.crash()
    this.pending = []
    this.store = store
    this.log = this.#openLog()
    this.node = this.#start()
    return this.settle()
  }

  /** What a compactor does, in one go: folds the document into a snapshot, drops what that covers, and says so unless `quiet`. */
  compact(document: DocumentName, tell: 'tell' | 'quiet' = 'tell'): this {
    const info = foldedBy(this.store, document)
    this.log.putSnapshot(info.snapshot, { trim: true }, () => {
      if (tell === 'tell') this.hub.compacted(document, info.info)
    })
    return this.settle()
  }

  entriesOf(document: DocumentName): readonly Entry[] {
    return this.store.documents.get(document)?.entries ?? []
  }

  readonly #timing: LogTiming = (step, run) => {
    if (this.held.has(step.operation)) this.pending.push({ ...step, run })
    else this.scheduler.after(0, run)
  }

  #openLog(): MemoryLog {
    return new MemoryLog(this.store, {
      timing: this.#timing,
      random: this.random.fork(),
      onDurable: (entries) => this.durable.push(...entries),
    })
  }

  #start(): SimNode {
    return new SimNode({
      compact: (document) => this.compactions.push(document),
      ...this.#options,
      scheduler: this.scheduler,
      random: this.random.fork(),
      log: this.log,
    })
  }
}

type Folded = SnapshotInfo & { readonly tailCount: number; readonly tailBytes: number }

/** The snapshot that stands for all that a store holds of a document. */
export function foldedBy(
  store: MemoryStore,
  document: DocumentName,
): { snapshot: Parameters<MemoryLog['putSnapshot']>[0]; info: Folded } {
  const held = store.documents.get(document)
  assert(held !== undefined, 'a document that was written')
  const entries: Read['entries'] = held.entries.filter((entry) => entry.position > (held.snapshot?.position ?? 0))
  const updates = entries.filter((entry) => entry.kind === 'update').map((entry) => entry.payload)
  const engine = held.engine === 'automerge' ? automergeEngine : yjsEngine
  const state = engine.snapshot(held.snapshot === undefined ? updates : [held.snapshot.state.bytes, ...updates])
  const version = mutableVersion(held.snapshot?.version)
  for (const entry of entries) include(version, entry.replica, entry.sequence)
  const position = entries.at(-1)?.position ?? held.snapshot?.position ?? toPosition(0)
  const tailBytes = entries.reduce((sum, entry) => sum + entry.payload.length, 0)
  return {
    snapshot: { document, life: held.life, position, version, state },
    info: { position, version, bytes: state.bytes.length, index: state.index, tailCount: entries.length, tailBytes },
  }
}
