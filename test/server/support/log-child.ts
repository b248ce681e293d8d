/** Processes that write to a log until they are killed. */

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { SqliteDriverName } from '@meridian/core/io/sqlite'

export interface Child<T = ReportedBatch> {
  /** Resolves with the replica when the child has opened its log. */
  readonly opened: Promise<string>
  /** Resolves when it has reported so many batches. */
  reported(count: number): Promise<void>
  /** `kill -9`; resolves when it is dead and all that it said was read. */
  kill(): Promise<readonly T[]>
}

export interface ReportedBatch {
  readonly position: number
  readonly sequence: number
  readonly count: number
}

/** Begins a process on a directory that appends batches of at most `sizeMax` entries. */
export function startChild(directory: string, driver: SqliteDriverName, sizeMax: number): Child {
  return startScript('log-sqlite-child.mjs', [directory, driver, String(sizeMax)], readBatch)
}

function readBatch(line: string): ReportedBatch {
  const [position = 0, sequence = 0, count = 0] = line.split(' ').map(Number)
  return { position, sequence, count }
}

/** Begins a script of test/server/io, which says `opened <replica>` and then a line for each thing that is durable. */
export function startScript<T>(name: string, parameters: readonly string[], read: (line: string) => T): Child<T> {
  const script = fileURLToPath(new URL(`../io/${name}`, import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [script, ...parameters], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  let dead = false
  let wake = (): void => undefined
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      dead = true
      wake()
      resolve()
    })
  })
  child.stdout?.on('data', (bytes: Buffer) => {
    said += bytes.toString()
    wake()
  })
  const until = async (met: () => boolean): Promise<void> => {
    while (!met()) {
      if (dead) throw new Error('The child ended by itself.')
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  // What stands behind the last line feed is of a write that was cut off.
  const lines = (): string[] => said.split('\n').slice(0, -1)
  return {
    opened: until(() => lines().length > 0).then(() => lines()[0]?.slice('opened '.length) ?? ''),
    reported: (count) => until(() => lines().length > count),
    async kill() {
      child.kill('SIGKILL')
      await ended
      return lines().slice(1).map(read)
    },
  }
}

export async function killedChild(
  directory: string,
  driver: SqliteDriverName,
  options: { readonly afterMs: number; readonly sizeMax: number },
): Promise<{ readonly replica: string; readonly batches: readonly ReportedBatch[] }> {
  const child = startChild(directory, driver, options.sizeMax)
  const replica = await child.opened
  await child.reported(1)
  await new Promise((resolve) => setTimeout(resolve, options.afterMs))
  return { replica, batches: await child.kill() }
}
