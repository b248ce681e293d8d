/**
 * Holds a trace of a node against LOG1: what tells anybody of an update, the ack to its writer or the update itself to others, is written to a
 * socket only after an fsync of the WAL that began after the last write of the update's commit, and succeeded.
 *
 * An update is known by a mark that its writer typed, a word that stands in its payload wherever that goes.
 */

import { FrameReader } from '@meridian/core/wires/native/frame'
import { decodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { decodeServerFrame } from '@meridian/core/wires/native/server-frames'
import type { Call } from './strace.js'
import { WebSocketStream } from './websocket-stream.js'

export const markOf = (writer: number, index: number): string => `mark-${writer}-${String(index).padStart(5, '0')}-`
const markPattern = /mark-\d+-\d{5}-/g

export interface Verdict {
  /** Commits that hold marks; acks and deliveries of marks that were judged. */
  readonly commits: number
  readonly ackedMarks: number
  readonly deliveredMarks: number
  readonly violations: readonly string[]
}

const limits = { messageBytesMax: 64 * 1024 * 1024, frameBytesMax: 1024 * 1024 * 1024 }
const frameBytes = 4096 + 24
const walHeaderBytes = 32

/** What one client pushed, as its bytes passed on their way to the node: the marks by the counters of their pushes. */
export class PushTap {
  readonly marks = new Map<number, string[]>()
  readonly #stream: WebSocketStream

  constructor() {
    const reader = new FrameReader(limits, (type, body, end) => {
      const frame = decodeClientFrame(type, body, end)
      if (frame?.type === 'push') this.marks.set(frame.counter, marksIn(frame.payload))
    })
    this.#stream = new WebSocketStream((message) => reader.receive(message))
  }

  receive(bytes: Uint8Array): void {
    this.#stream.receive(bytes)
  }
}

interface Durable {
  /** Line at which the fsync had ended; infinite if there was none. */
  readonly line: number
  readonly commit: number
}

/** @param taps by the port of the client's side of its connection to the node */
export function judge(calls: readonly Call[], taps: ReadonlyMap<number, PushTap>): Verdict {
  const durable = durableMarks(calls)
  const violations: string[] = []
  const acked = new Set<string>()
  let deliveredMarks = 0
  const check = (mark: string, line: number, what: string): void => {
    const known = durable.get(mark)
    if (known === undefined) violations.push(`${what} of ${mark} on line ${line + 1}, which was never written to the WAL`)
    else if (known.line >= line) violations.push(`${what} of ${mark} on line ${line + 1}, durable only on line ${known.line + 1}`)
  }
  for (const [port, writes] of bySocket(calls)) {
    const tap = taps.get(port)
    let line = 0
    const reader = new FrameReader(limits, (type, body, end) => {
      const frame = decodeServerFrame(type, body, end)
      if (frame?.type === 'ack') {
        for (const [counter, marks] of tap?.marks ?? []) {
          if (counter > frame.counter) continue
          for (const mark of marks) {
            // Each ack speaks of all earlier ones as well; the first is the one that counts.
            if (acked.has(mark)) continue
            acked.add(mark)
            check(mark, line, 'an ack')
          }
        }
      } else if (frame?.type === 'update' || frame?.type === 'state') {
        for (const mark of marksIn(frame.payload)) {
          deliveredMarks++
          check(mark, line, 'a delivery')
        }
      }
    })
    const starts: { readonly byte: number; readonly line: number }[] = []
    const stream = new WebSocketStream((message, startByte) => {
      // The call that wrote the first byte of the message.
      line = starts.findLast(({ byte }) => byte <= startByte)?.line ?? 0
      reader.receive(message)
    })
    let bytes = 0
    for (const call of writes) {
      if (call.result === undefined) continue
      if (call.result > call.bytes.length) throw new Error('strace cut off a write to a socket; raise its -s')
      starts.push({ byte: bytes, line: call.begin })
      bytes += call.bytes.length
      stream.receive(call.bytes)
    }
  }
  const commits = new Set([...durable.values()].map(({ commit }) => commit)).size
  return { commits, ackedMarks: acked.size, deliveredMarks, violations }
}

/** When each mark became durable: the end of the first good fsync that began after the last write of the commit it came in. */
function durableMarks(calls: readonly Call[]): Map<string, Durable> {
  const wal = calls.filter(({ target }) => target.kind === 'file' && target.path.endsWith('/log.db-wal'))
  const durable = new Map<string, Durable>()
  for (const [index, call] of wal.entries()) {
    if (isSync(call)) continue
    for (const mark of marksIn(call.bytes)) {
      // A page is written again by later commits; the first writing is the one that counts.
      if (durable.has(mark)) continue
      const last = commitEnd(wal, index)
      const sync =
        last === undefined ? undefined : wal.find((other) => isSync(other) && other.begin > last.end && other.result === 0)
      durable.set(mark, { line: sync?.end ?? Number.POSITIVE_INFINITY, commit: last?.begin ?? -1 })
    }
  }
  return durable
}

/**
 * The last write of the commit that a write belongs to: the frame whose header tells the size of the database behind it
 * (https://www.sqlite.org/fileformat2.html#walformat), and what follows it before anything else begins.
 */
function commitEnd(wal: readonly Call[], from: number): Call | undefined {
  // The header of a frame is written before its page, so the frame of the mark may have begun one write earlier.
  for (let index = Math.max(0, from - 1); index < wal.length; index++) {
    const call = wal[index]
    if (call === undefined || !isFrameHeader(call) || call.bytes.readUInt32BE(4) === 0) continue
    if (call.bytes.length >= frameBytes) return call
    return wal.slice(index + 1).find((other) => other.offset === call.offset + 24)
  }
  return undefined
}

const isSync = ({ name }: Call): boolean => name === 'fsync' || name === 'fdatasync'

const isFrameHeader = ({ offset, bytes }: Call): boolean =>
  offset >= walHeaderBytes && (offset - walHeaderBytes) % frameBytes === 0 && bytes.length >= 24

function bySocket(calls: readonly Call[]): Map<number, Call[]> {
  const sockets = new Map<number, Call[]>()
  for (const call of calls) {
    if (call.target.kind !== 'socket') continue
    const held = sockets.get(call.target.peerPort)
    if (held === undefined) sockets.set(call.target.peerPort, [call])
    else held.push(call)
  }
  return sockets
}

const marksIn = (bytes: Uint8Array): string[] =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1').match(markPattern) ?? []
