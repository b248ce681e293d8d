/** The reader's thread: answers queries, a message's in one transaction, and scrubs when nobody asks. */

import type { MessagePort } from 'node:worker_threads'
import { parentPort, workerData } from 'node:worker_threads'
import { assert, unreachable } from '@meridian/core/errors'
import { parseRegion } from '@meridian/core/ids'
import type { SqliteDatabase } from '@meridian/core/io/sqlite'
import type { CheckpointMessage, QueryResult, ReaderAnswer, ReaderData, ReaderRequest } from './messages.js'
import { Reader } from './reader.js'
import { openReadOnly, toThreadError } from './store.js'

function start(port: MessagePort, data: ReaderData): void {
  let database: SqliteDatabase | undefined
  let reader: Reader | undefined
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
  }
  return buffers
}

assert(parentPort !== null, 'the reader runs in a worker')
start(parentPort, workerData as ReaderData)
