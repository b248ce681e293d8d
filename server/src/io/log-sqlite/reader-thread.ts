/** The reader's thread: answers queries, a message's in one transaction, and scrubs when nobody asks. */

import type { MessagePort } from 'node:worker_threads'
import { parentPort, workerData } from 'node:worker_threads'
import { assert, unreachable } from '@meridian/core/errors'
import { parseRegion } from '@meridian/core/ids'
import type { SqliteDatabase } from '@meridian/core/io/sqlite'
import { hashReady } from './hash.js'
import type { CheckpointMessage, QueryResult, ReaderAnswer, ReaderData, ReaderRequest } from './messages.js'
import type { ScrubCursor } from './reader.js'
import { Reader } from './reader.js'
import { openReadOnly, toThreadError } from './store.js'

function start(port: MessagePort, data: ReaderData): void {
  let database: SqliteDatabase | undefined
  let reader: Reader | undefined
  let scrub: Scrub | undefined
  const post = (answer: ReaderAnswer, transfer: readonly ArrayBuffer[] = []): void => port.postMessage(answer, [...transfer])
  data.writer.on('message', (message: CheckpointMessage) => {
    if (message === 'checkpoint') checkpoint(database)
    data.writer.postMessage('checkpointed' satisfies CheckpointMessage, undefined)
  })
  port.on('message', (request: ReaderRequest) => {
    switch (request.kind) {
      case 'open':
        try {
          database = openReadOnly(data)
          reader = new Reader(database, parseRegion(data.region))
          post({ kind: 'opened' })
          if (data.scrubBytesPerSecond > 0) scrub = new Scrub(reader, data, post)
        } catch (thrown) {
          database?.close()
          post({ kind: 'refused', error: toThreadError(thrown) })
        }
        return
      case 'read': {
        assert(reader !== undefined, 'the reader is open')
        const { results, damages } = reader.answer(request.queries)
        post({ kind: 'results', first: request.first, results, damages }, buffersOf(results))
        return
      }
      case 'close':
        scrub?.stop()
        database?.close()
        post({ kind: 'closed' })
        data.writer.close()
        port.close()
        return
      default:
        unreachable(request)
    }
  })
}

/**
 * Reads all that the log holds, a piece at a time and no faster than it was told, so that what rots is found while there are still copies
 * of it elsewhere. It begins at the oldest entry at each opening.
 */
class Scrub {
  private readonly reader: Reader
  private readonly data: ReaderData
  private readonly post: (answer: ReaderAnswer) => void
  private cursor: ScrubCursor = scrubStart
  private total = 0
  private passes = 0
  private told = 0
  private timer: NodeJS.Timeout

  constructor(reader: Reader, data: ReaderData, post: (answer: ReaderAnswer) => void) {
    this.reader = reader
    this.data = data
    this.post = post
    this.timer = setTimeout(() => this.step(), scrubDelayMs)
  }

  stop(): void {
    clearTimeout(this.timer)
  }

  private step(): void {
    const { next, bytes, damages } = this.reader.scrub(this.cursor, pieceBytes)
    if (this.cursor === scrubStart) this.total = this.reader.position
    let delay = (bytes / this.data.scrubBytesPerSecond) * 1000
    if (next === undefined) {
      this.passes++
      this.cursor = scrubStart
      delay = this.data.scrubIntervalMs
    } else this.cursor = next
    const now = performance.now()
    if (next === undefined || damages.length > 0 || now - this.told > tellMs) {
      this.told = now
      const scrubbed = next?.stage === 'entries' ? Math.min(next.key, this.total) : this.total
      this.post({ kind: 'scrubbed', scrub: { scrubbed, total: this.total, passes: this.passes }, damages })
    }
    // A timer beyond 2^31 ms fires at once.
    this.timer = setTimeout(() => this.step(), Math.min(delay, 2 ** 31 - 1))
  }
}

const scrubStart: ScrubCursor = { stage: 'entries', key: 0, second: 0 }
/** A start has better things to do. */
const scrubDelayMs = 1000
const pieceBytes = 256 * 1024
/** Progress is told no more often, for it wakes the node's thread. */
const tellMs = 1000

/** Beside commits: a passive checkpoint takes no lock that a commit needs. It copies only what no read holds back. */
function checkpoint(database: SqliteDatabase | undefined): void {
  try {
    database?.prepare('PRAGMA wal_checkpoint(PASSIVE)').get([])
  } catch {
    // Whatever it is, the writer meets it too, and answers for it.
  }
}

function buffersOf(results: readonly QueryResult[]): ArrayBuffer[] {
  const buffers: ArrayBuffer[] = []
  for (const result of results) {
    if (result.kind === 'entries') buffers.push(result.entries.buffer)
    else if (result.kind === 'snapshot' && result.snapshot !== undefined)
      buffers.push(result.snapshot.state.buffer as ArrayBuffer)
    else if (result.kind === 'state' && result.state !== undefined) {
      buffers.push(result.state.entries.buffer)
      if (result.state.snapshot !== undefined) buffers.push(result.state.snapshot.state.buffer as ArrayBuffer)
    }
  }
  return buffers
}

assert(parentPort !== null, 'the reader runs in a worker')
const port = parentPort
void hashReady.then(() => start(port, workerData as ReaderData))
