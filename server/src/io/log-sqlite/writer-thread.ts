/**
 * The writer's thread. All batches that arrived while a commit ran share the next one (LOG3). What can wait (settling, pieces of large
 * snapshots, dropping, checkpoints) is done a small step at a time between commits. [hot]
 *
 * After a failure the opening is given up and a new one is made (LOG2), at first at once and then with a doubling delay as long as
 * commits go on failing; until then batches are refused and reads go on, which need nothing of this thread.
 */

import type { MessagePort } from 'node:worker_threads'
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { assert, MeridianError, unreachable } from '@meridian/core/errors'
import { SqliteError } from '@meridian/core/io/sqlite'
import type { LogErrorCode } from '@meridian/core/log'
import type { WriterAnswer, WriterData, WriterRequest, WriterStatus } from './messages.js'
import type { SnapshotStaging } from './opening.js'
import { Opening } from './opening.js'
import { lockDirectory, toThreadError } from './store.js'

const reopenMsMin = 20
const reopenMsMax = 10_000
/** Of the delay; one node has one log, so this only keeps it from beating in time with something else. */
const reopenJitter = 0.2

function start(port: MessagePort, data: WriterData): void {
  let opening: Opening
  let lock: ReturnType<typeof lockDirectory> | undefined
  try {
    lock = lockDirectory(data.directory, data.driver)
    opening = new Opening(data)
  } catch (thrown) {
    lock?.close()
    port.postMessage({ kind: 'refused', error: toThreadError(thrown) } satisfies WriterAnswer)
    return
  }
  new WriterThread(port, data, lock, opening).announce()
}

class WriterThread {
  private readonly port: MessagePort
  private readonly data: WriterData
  private readonly lock: ReturnType<typeof lockDirectory>
  private opening: Opening | undefined
  private appends: Extract<WriterRequest, { kind: 'append' }>[] = []
  private readonly stagings: { readonly id: number; readonly staging: SnapshotStaging }[] = []
  private failure: { readonly code: LogErrorCode; readonly message: string } = { code: 'LOG_UNAVAILABLE', message: '' }
  private failures = 0
  private stepping = false
  private closing = false

  constructor(port: MessagePort, data: WriterData, lock: ReturnType<typeof lockDirectory>, opening: Opening) {
    this.port = port
    this.data = data
    this.lock = lock
    this.opening = opening
    port.on('message', (request: WriterRequest) => this.receive(request))
  }

  announce(): void {
    const { opening } = this
    if (opening === undefined) return
    const { replica, position, damages } = opening
    this.post({ kind: 'opened', replica, position, damages, status: this.status(opening) })
    this.schedule()
  }

  private receive(first: WriterRequest): void {
    let request: WriterRequest | undefined = first
    while (request !== undefined) {
      switch (request.kind) {
        case 'append':
          this.appends.push(request)
          break
        case 'snapshot':
          this.stage(request.id, request)
          break
        case 'damage':
          this.flush()
          for (const damage of request.damages) this.attempt((opening) => opening.setAside(damage))
          break
        case 'close':
          this.closing = true
          break
        default:
          unreachable(request)
      }
      request = receiveMessageOnPort(this.port)?.message
    }
    this.flush()
    this.schedule()
  }

  private flush(): void {
    const { appends, opening } = this
    if (appends.length === 0) return
    this.appends = []
    const ids = appends.map((append) => append.id)
    if (opening === undefined) {
      this.post({ kind: 'failed', ids, ...this.failure })
      return
    }
    try {
      const { position, sequences } = opening.commit(appends.map((append) => append.batch))
      this.failures = 0
      this.post({ kind: 'appended', ids, position, sequences })
    } catch (thrown) {
      this.fail(thrown)
      this.post({ kind: 'failed', ids, ...this.failure })
    }
  }

  private stage(id: number, request: Extract<WriterRequest, { kind: 'snapshot' }>): void {
    if (this.opening === undefined) this.post({ kind: 'failed', ids: [id], ...this.failure })
    else this.stagings.push({ id, staging: this.opening.beginSnapshot(request.put) })
  }

  /** One small step of what can wait; commits that arrive go first. */
  private step(): void {
    this.stepping = false
    const { opening } = this
    if (opening !== undefined) {
      const staged = this.stagings[0]
      if (staged !== undefined) {
        if (this.attempt((open) => open.stepSnapshot(staged.staging)) === true) {
          this.stagings.shift()
          this.post({ kind: 'put', id: staged.id })
          this.post({ kind: 'status', status: this.status(opening) })
        }
      } else if (opening.settleDue) {
        this.attempt((open) => open.settleSome())
      } else if (this.attempt((open) => open.dropSome() || open.checkpoint({ idle: true })) !== true) {
        if (this.closing) this.close()
        return
      } else {
        this.post({ kind: 'status', status: this.status(opening) })
      }
    } else if (this.closing) {
      this.close()
      return
    }
    this.schedule()
  }

  private schedule(): void {
    if (this.stepping) return
    this.stepping = true
    setImmediate(() => this.step())
  }

  private attempt<T>(work: (opening: Opening) => T): T | undefined {
    if (this.opening === undefined) return undefined
    try {
      return work(this.opening)
    } catch (thrown) {
      this.fail(thrown)
      return undefined
    }
  }

  /** LOG3: whatever the failure was, what the opening holds in memory is no longer what the disk holds. */
  private fail(thrown: unknown): void {
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    const full =
      (thrown instanceof SqliteError && thrown.reason === 'full') ||
      (thrown instanceof MeridianError && thrown.code === 'LOG_FULL')
    this.failure = { code: full ? 'LOG_FULL' : 'LOG_UNAVAILABLE', message }
    this.opening?.abandon()
    this.opening = undefined
    const ids = this.stagings.splice(0).map((staged) => staged.id)
    if (ids.length > 0) this.post({ kind: 'failed', ids, ...this.failure })
    this.post({ kind: 'stopped', ...this.failure })
    this.failures++
    const delay = Math.min(reopenMsMax, reopenMsMin * 2 ** (this.failures - 1))
    setTimeout(() => this.reopen(), delay * (1 + reopenJitter * Math.random()))
  }

  private reopen(): void {
    if (this.closing || this.opening !== undefined) return
    try {
      this.opening = new Opening(this.data)
    } catch (thrown) {
      this.fail(thrown)
      return
    }
    this.announce()
  }

  private close(): void {
    this.flush()
    this.attempt((opening) => opening.close())
    this.lock.close()
    this.post({ kind: 'closed' })
    this.port.close()
  }

  private status(opening: Opening): WriterStatus {
    return { bytes: opening.bytes, settled: opening.settledPosition, damagedCount: opening.damagedCount }
  }

  private post(answer: WriterAnswer): void {
    this.port.postMessage(answer, undefined)
  }
}

// Last, because a class is nothing before its line was reached.
assert(parentPort !== null, 'the writer runs in a worker')
start(parentPort, workerData as WriterData)
