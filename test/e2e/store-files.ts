/** The files of a stopped node's store, read and harmed from outside. */

import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { openSqlite } from '@meridian/core/io/sqlite'

const walHeaderBytes = 32
const frameHeaderBytes = 24

/** Where the commits of a WAL end, in bytes from its beginning: what recovery would take. https://www.sqlite.org/fileformat2.html#walformat */
export function commitEnds(directory: string): number[] {
  const wal = readFileSync(walOf(directory))
  const frameBytes = frameHeaderBytes + wal.readUInt32BE(8)
  const salts = wal.subarray(16, 24)
  const ends: number[] = []
  for (let at = walHeaderBytes; at + frameBytes <= wal.length; at += frameBytes) {
    if (!wal.subarray(at + 8, at + 16).equals(salts)) break
    if (wal.readUInt32BE(at + 4) > 0) ends.push(at + frameBytes)
  }
  return ends
}

export const walOf = (directory: string): string => join(directory, 'log.db-wal')
export const databaseOf = (directory: string): string => join(directory, 'log.db')

/** Cuts a file off in the midst of whatever is there. */
export function truncate(path: string, bytes: number): void {
  const file = openSync(path, 'r+')
  ftruncateSync(file, bytes)
  closeSync(file)
}

export const bytesOf = (path: string): number => statSync(path).size

export function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+')
  writeSync(file, bytes, 0, bytes.length, offset)
  closeSync(file)
}

/** One bit of each place where the text stands. Says how many there are. */
export function flipBits(path: string, text: string): number {
  const bytes = readFileSync(path)
  let count = 0
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    overwrite(path, at + 1, Uint8Array.of((bytes[at + 1] ?? 0) ^ 1))
    count++
  }
  return count
}

/** Every entry of a store by its dot (group, replica, sequence): its chain value and payload, as hex. */
export function entriesByDot(directory: string): Map<string, string> {
  const database = openSqlite(databaseOf(directory))
  try {
    const rows = database
      .prepare(
        `SELECT groups.name, replicas.name, sequence, hex(chain), hex(payload) FROM entries
         JOIN groups ON groups.ref = group_ref JOIN replicas ON replicas.ref = replica_ref`,
      )
      .all([])
    return new Map(rows.map((row) => [row.slice(0, 3).map(String).join(' '), row.slice(3).map(String).join(' ')]))
  } finally {
    database.close()
  }
}
