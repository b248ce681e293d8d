/**
 * Reads what `strace -f -yy -xx` wrote: calls with the places where they began and ended, what they wrote and where to.
 *
 * strace handles one stop of one thread at a time and writes a line when a call ends, or `<unfinished ...>` when another thread's call came
 * between; so the order of lines is an order of events, and whatever happened because of something else stands behind it.
 */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export type Target =
  /** `path` is whole. */
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'socket'; readonly localPort: number; readonly peerPort: number }
  | { readonly kind: 'other' }

export interface Call {
  readonly thread: number
  readonly name: string
  readonly target: Target
  /** Bytes that were really written; empty for what writes nothing. */
  readonly bytes: Buffer
  /** Of a `pwrite64`: where in the file. */
  readonly offset: number
  /** Numbers of lines: when it began and when it had ended. Infinite if the trace ends before. */
  readonly begin: number
  readonly end: number
  /** What it answered; negative for an error, undefined if it never did. */
  readonly result: number | undefined
  /** Seconds since 1970, at the beginning. */
  readonly seconds: number
}

export const straceFlags = [
  '-f',
  '-yy',
  '-ttt',
  '-xx',
  '--seccomp-bpf',
  // Signals of the test are for the node; the tracer ends after it, with all that it saw.
  '-I',
  '4',
  '-s',
  '16384',
  '-e',
  'trace=fsync,fdatasync,sync_file_range,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg',
]

const linePattern = /^(\d+) +(\d+\.\d+) (.*)$/
const resumedPattern = /^<\.\.\. (\w+) resumed>(.*)$/
const callPattern = /^(\w+)\((.*)$/
const resultPattern = /\) += (-?\d+)[^=]*$/
const unfinished = ' <unfinished ...>'

interface Open {
  readonly thread: number
  readonly name: string
  readonly text: string
  readonly begin: number
  readonly seconds: number
}

export function parseStrace(trace: string): Call[] {
  const calls: Call[] = []
  const open = new Map<number, Open>()
  const lines = trace.split('\n')
  for (const [index, line] of lines.entries()) {
    const match = linePattern.exec(line)
    if (match === null) continue
    const thread = Number(match[1])
    const rest = match[3] ?? ''
    const resumed = resumedPattern.exec(rest)
    if (resumed !== null) {
      const held = open.get(thread)
      if (held === undefined || held.name !== resumed[1])
        throw new Error(`line ${index + 1} of the trace resumes what was not begun`)
      open.delete(thread)
      calls.push(toCall({ ...held, text: held.text + (resumed[2] ?? '') }, index))
      continue
    }
    const call = callPattern.exec(rest)
    // What remains are signals and ends of threads.
    if (call === null) continue
    const [, name = '', text = ''] = call
    const begun: Open = { thread, name, text, begin: index, seconds: Number(match[2]) }
    if (text.endsWith(unfinished)) open.set(thread, { ...begun, text: text.slice(0, -unfinished.length) })
    else calls.push(toCall(begun, index))
  }
  for (const held of open.values()) calls.push(toCall(held, Number.POSITIVE_INFINITY))
  return calls.toSorted((a, b) => a.begin - b.begin)
}

function toCall({ thread, name, text, begin, seconds }: Open, end: number): Call {
  const answered = resultPattern.exec(text)
  const result = answered === null ? undefined : Number(answered[1])
  const writes = !name.startsWith('f') && name !== 'sync_file_range'
  const pieces: Buffer[] = []
  if (writes)
    for (const [, hex = ''] of text.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g))
      pieces.push(Buffer.from(hex.replaceAll('\\x', ''), 'hex'))
  const bytes = Buffer.concat(pieces)
  return {
    thread,
    name,
    target: toTarget(text),
    bytes: result !== undefined && result >= 0 && result < bytes.length ? bytes.subarray(0, result) : bytes,
    offset: name === 'pwrite64' ? Number(/, (\d+)\) += /.exec(text)?.[1] ?? -1) : -1,
    begin,
    end,
    result,
    seconds,
  }
}

function toTarget(text: string): Target {
  const socket = /^\d+<TCP(?:v6)?:\[[^\]]*?:(\d+)->[^\]]*?:(\d+)\]>/.exec(text)
  if (socket !== null) return { kind: 'socket', localPort: Number(socket[1]), peerPort: Number(socket[2]) }
  const file = /^\d+<((?:\\x[0-9a-f]{2})+)>/.exec(text)
  if (file === null) return { kind: 'other' }
  const path = Buffer.from((file[1] ?? '').replaceAll('\\x', ''), 'hex').toString()
  return path.startsWith('/') ? { kind: 'file', path } : { kind: 'other' }
}

const run = promisify(execFile)
const installLimitMs = 120_000

/** Installs strace where that is possible without asking; else says what to do. */
export async function ensureStrace(): Promise<void> {
  if (await works()) return
  if (process.getuid?.() === 0) {
    // What became of it shows below.
    await run('apt-get', ['install', '-y', '--no-install-recommends', 'strace'], { timeout: installLimitMs }).catch(
      () => undefined,
    )
    if (await works()) return
  }
  throw new Error('this test needs strace 5.3 or later, which may trace: apt-get install strace')
}

async function works(): Promise<boolean> {
  try {
    await run('strace', [...straceFlags, '-o', '/dev/null', 'true'])
    return true
  } catch {
    return false
  }
}
