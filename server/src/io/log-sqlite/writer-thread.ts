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
import { hashReady } from './hash.js'
import type { CheckpointMessage, LinkWork, WriterAnswer, WriterData, WriterRequest, WriterStatus } from './messages.js'
import type { SnapshotStaging } from './opening.js'
import type { Mail } from './mailbox.js'
import { Mailbox } from './mailbox.js'
import { Opening, walBytesDue, walBytesEnough, walBytesMax } from './opening.js'
import { lockDirectory, toThreadError } from './store.js'

/** How long the thread sleeps beside its mailbox at a time, and stays there at most before its timers and messages have a turn. */
const parkMs = 10
const parkedMsMax = 20

/** No commit for so long is a quiet moment. */
const quietMs = 20
/** Under load every so manieth look at the clock drops something nevertheless. */
const postponedMax = 5

const reconsiderMs = 1000

const reopenMsMin = 20
const reopenMsMax = 10_000
/** Of the delay; one node has one log, so this only keeps it from beating in time with something else. */
const reopenJitter = 0.2

function start(port: MessagePort, data: WriterData): void {
  let opening: Opening
  let lock: ReturnType<typeof lockDirectory> | undefined
  try {
    lock = lockDirectory(data.directory, data.driver)
    opening = new Opening({ ...data, opening: 'first' })
  } catch (thrown) {
    lock?.close()
    port.postMessage({ kind: 'refused', error: toThreadError(thrown) } satisfies WriterAnswer)
    return
  }
  new WriterThread(port, data, lock, opening).announce()
}

interface Staged {
  readonly id: number
  readonly staging: SnapshotStaging
}

class WriterThread {
  private readonly port: MessagePort
  private readonly data: WriterData
  private readonly lock: ReturnType<typeof lockDirectory>
  private opening: Opening | undefined
  private readonly mailbox: Mailbox
  private appends: Mail[] = []
  private includes: Extract<WriterRequest, { kind: 'include' }>[] = []
  private readonly stagings: Staged[] = []
  private failure: { readonly code: LogErrorCode; readonly message: string } = { code: 'LOG_UNAVAILABLE', message: '' }
  private failures = 0
  private after: 'full' | 'failed' = 'full'
  private lastCommit = 0
  private stepping = false
  /** True between two stays, while timers and messages have their turn. */
  private staying = false
  private quiet: NodeJS.Timeout | undefined
  private postponed = 0
  private reopening: NodeJS.Timeout | undefined
  private readonly reconsidering: NodeJS.Timeout
  private copying: 'idle' | 'asked' = 'idle'
  /** Bytes of the WAL when the reader's thread was last asked. */
  private copiedTo = 0
  private closing = false

  constructor(port: MessagePort, data: WriterData, lock: ReturnType<typeof lockDirectory>, opening: Opening) {
    this.port = port
    this.data = data
    this.lock = lock
    this.opening = opening
    this.mailbox = new Mailbox(data.mailbox)
    port.on('message', (request: WriterRequest) => this.receive(request))
    data.reader.on('message', () => this.copied())
    this.reconsidering = setInterval(() => this.reconsider(), reconsiderMs)
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
      this.mailbox.takeMessage()
      // Before each message and not once: nothing is put while a batch is on its way as a message or after a close (log-sqlite.ts), so what
      // is in the mailbox when one of these comes is older.
      this.takeMail()
      switch (request.kind) {
        case 'append':
          this.appends.push(request)
          break
        case 'include':
          this.includes.push(request)
          break
        case 'link':
          this.flush()
          this.link(request.id, request.work)
          break
        case 'retain':
          this.opening?.retain(request.retained)
          break
        case 'mail':
          break
        case 'snapshot':
          this.stage(request.id, request)
          break
        case 'damage':
          this.flush()
          for (const damage of request.damages) this.attempt((opening) => opening.setAside(damage))
          if (this.opening !== undefined) this.post({ kind: 'status', status: this.status(this.opening) })
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
    this.stay()
    this.schedule()
  }

  private takeMail(): void {
    const mail = this.mailbox.take()
    if (mail !== undefined) this.appends.push(mail)
  }

  /** After a commit another one is likely: waits beside the mailbox, where it is handed over for a third of what a message costs. */
  private stay(): void {
    if (this.staying) return
    const until = performance.now() + parkedMsMax
    let came = false
    while (performance.now() < until && this.opening !== undefined && this.stagings.length === 0 && !this.closing) {
      if (this.mailbox.park(parkMs) === 'nothing') break
      came = true
      this.takeMail()
      this.flush()
    }
    if (!came) return
    this.staying = true
    setImmediate(() => {
      this.staying = false
      this.takeMail()
      this.flush()
      this.stay()
      this.schedule()
    })
  }

  private flush(): void {
    const { appends, includes, opening } = this
    if (appends.length === 0 && includes.length === 0) return
    this.appends = []
    this.includes = []
    const ids = appends.map((append) => append.id)
    const foreignIds = includes.map((include) => include.id)
    if (opening === undefined) {
      this.post({ kind: 'failed', ids: [...ids, ...foreignIds], ...this.failure })
      return
    }
    try {
      const { position, sequences, chains, included } = opening.commit(
        appends.map((append) => append.batch),
        includes.map((include) => include.foreign),
      )
      this.failures = 0
      this.lastCommit = performance.now()
      if (ids.length > 0) this.post({ kind: 'appended', ids, position, sequences, chains })
      if (foreignIds.length > 0) this.post({ kind: 'included', ids: foreignIds, included })
      this.attempt((open) => open.settleIfOverdue())
      this.checkpointIfDue()
    } catch (thrown) {
      this.fail(thrown)
      this.post({ kind: 'failed', ids: [...ids, ...foreignIds], ...this.failure })
    }
  }

  private link(id: number, work: LinkWork): void {
    const unmerged = this.attempt((opening) => linkWork(opening, work))
    const { opening } = this
    if (opening === undefined) this.post({ kind: 'failed', ids: [id], ...this.failure })
    else if (unmerged === undefined)
      this.post({ kind: 'failed', ids: [id], code: 'LOG_UNAVAILABLE', message: 'The group is not joining.' })
    else this.post({ kind: 'linked', id, unmerged, position: opening.position })
    this.attempt((open) => open.settleIfOverdue())
    this.checkpointIfDue()
  }

  private stage(id: number, request: Extract<WriterRequest, { kind: 'snapshot' }>): void {
    if (this.opening === undefined) this.post({ kind: 'failed', ids: [id], ...this.failure })
    else this.stagings.push({ id, staging: this.opening.beginSnapshot(request.put) })
  }

  /** Pieces of snapshots go between commits, one a turn; the rest waits until no commit came for a while. */
  private schedule(): void {
    if (this.stagings.length > 0 || this.closing) {
      if (this.stepping) return
      this.stepping = true
      setImmediate(() => this.step())
    } else if (
      this.quiet === undefined &&
      this.opening !== undefined &&
      (this.opening.settleDue || this.opening.garbage || this.opening.pushesDue || this.opening.hasRetained)
    ) {
      this.quiet = setTimeout(() => this.tidy(), quietMs)
    }
  }

  private step(): void {
    this.stepping = false
    const staged = this.stagings[0]
    if (staged !== undefined) this.stepSnapshot(staged)
    else if (this.closing) {
      this.close()
      return
    }
    this.schedule()
  }

  private stepSnapshot(staged: Staged): void {
    const { opening } = this
    if (opening === undefined) return
    try {
      if (!opening.stepSnapshot(staged.staging)) return
    } catch (thrown) {
      // What is no error of the database was found before anything was written: this snapshot is wrong and nothing else.
      if (thrown instanceof SqliteError) this.fail(thrown)
      else {
        this.stagings.shift()
        this.post({ kind: 'failed', ids: [staged.id], code: 'LOG_UNAVAILABLE', message: messageOf(thrown) })
      }
      return
    }
    this.stagings.shift()
    this.post({ kind: 'put', id: staged.id })
    this.post({ kind: 'status', status: this.status(opening) })
  }

  /** Settles and drops in small steps; under a load that never pauses, settling waits for its bound and dropping for its turn. */
  private tidy(): void {
    this.quiet = undefined
    const { opening } = this
    if (opening === undefined || this.closing) return
    const busy = performance.now() - this.lastCommit < quietMs
    this.postponed = busy ? this.postponed + 1 : 0
    if (!busy && opening.hasRetained) this.attempt((open) => open.writeRetainedNow())
    else if (!busy && opening.settleDue) this.attempt((open) => open.settleSome())
    else if ((!busy || this.postponed % postponedMax === 0) && this.stagings.length === 0) {
      this.attempt((open) => {
        if (!open.dropSome()) open.forgetSomePushes()
      })
    }
    this.checkpointIfDue()
    if (this.opening !== undefined && !busy) this.post({ kind: 'status', status: this.status(this.opening) })
    this.schedule()
  }

  /** What waits for a peer goes when it has waited for too long, also if no peer says anything (LOG4). */
  private reconsider(): void {
    this.opening?.reconsider()
    this.schedule()
  }

  /** The reader's thread does the copying, this one what is left of it. */
  private checkpointIfDue(): void {
    const { opening } = this
    if (opening === undefined) return
    if (opening.walBytes >= walBytesMax && opening.walBytes >= this.copiedTo + walBytesDue) this.checkpoint()
    else if (this.copying === 'idle' && opening.walBytes >= this.copiedTo + walBytesDue) {
      this.copying = 'asked'
      this.copiedTo = opening.walBytes
      this.data.reader.postMessage('checkpoint' satisfies CheckpointMessage, undefined)
    }
  }

  private copied(): void {
    this.copying = 'idle'
    const { opening } = this
    if (opening === undefined || opening.walBytes < walBytesEnough) return
    this.checkpoint()
  }

  /** On a full disk the WAL is all that can be written, and is not given up for a copy that can be made later. */
  private checkpoint(): void {
    this.attempt((opening) => {
      try {
        opening.checkpoint()
      } catch (thrown) {
        if (!(thrown instanceof SqliteError) || thrown.reason !== 'full') throw thrown
      }
    })
    // A read that holds the WAL back is over at the next time.
    this.copiedTo = this.opening?.walBytes ?? 0
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
    const message = messageOf(thrown)
    const full =
      (thrown instanceof SqliteError && thrown.reason === 'full') ||
      (thrown instanceof MeridianError && thrown.code === 'LOG_FULL')
    // A failure that is no want of room stays one until an opening has come through.
    if (!full) this.after = 'failed'
    this.failure = { code: full ? 'LOG_FULL' : 'LOG_UNAVAILABLE', message }
    this.opening?.abandon()
    this.opening = undefined
    const ids = this.stagings.splice(0).map((staged) => staged.id)
    if (ids.length > 0) this.post({ kind: 'failed', ids, ...this.failure })
    this.post({ kind: 'stopped', ...this.failure })
    const delay = this.failures === 0 ? 0 : Math.min(reopenMsMax, reopenMsMin * 2 ** this.failures)
    this.failures++
    clearTimeout(this.reopening)
    this.reopening = setTimeout(() => this.reopen(), delay * (1 + reopenJitter * Math.random()))
  }

  private reopen(): void {
    if (this.closing || this.opening !== undefined) return
    try {
      this.opening = new Opening({ ...this.data, opening: this.after })
    } catch (thrown) {
      this.fail(thrown)
      return
    }
    this.after = 'full'
    this.copiedTo = 0
    this.announce()
  }

  private close(): void {
    this.flush()
    this.attempt((opening) => opening.close())
    this.lock.close()
    clearTimeout(this.quiet)
    clearTimeout(this.reopening)
    clearInterval(this.reconsidering)
    this.data.reader.close()
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

/** What a put of states left unmerged, else nothing; undefined if the group is not joining. */
function linkWork(opening: Opening, work: LinkWork): readonly string[] | undefined {
  switch (work.kind) {
    case 'setPeers':
      opening.setPeers(work.group, work.regions)
      return []
    case 'beginJoin':
      opening.beginJoin(work.group)
      return []
    case 'putStates':
      return opening.putStates(work.group, work.states)
    case 'adopt':
      return opening.adopt(work.group, work.adopted) ? [] : undefined
    default:
      return unreachable(work)
  }
}

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

// Last, because a class is nothing before its line was reached.
assert(parentPort !== null, 'the writer runs in a worker')
const port = parentPort
void hashReady.then(() => start(port, workerData as WriterData))
