/**
 * Documents as y-leveldb keeps them (the store of y-websocket's server): read with y-leveldb's own code, and never written. Its public methods
 * fold a document when they read it; so its updates are read with the functions beneath.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../usage.js'

export interface SourceDocument {
  readonly name: string
  readonly updates: readonly Uint8Array[]
}

export interface Source {
  readonly names: readonly string[]
  read(name: string): Promise<SourceDocument>
  close(): Promise<void>
}

/** @throws UsageError if there is no such store, y-leveldb is not installed, or another process has it open */
export async function openYLevelDb(directory: string): Promise<Source> {
  // LevelDB would make what is not there.
  if (!existsSync(join(directory, 'CURRENT')))
    throw new UsageError(`${directory} is no LevelDB: give the folder that the server had as its YPERSISTENCE`)
  const { LeveldbPersistence, getAllDocsKeys, getLevelUpdates } = await load()
  const persistence = new LeveldbPersistence(directory)
  const names = await persistence._transact(async (db) => (await getAllDocsKeys(db)).map((key) => String(key[1])))
  if (names === null) {
    await persistence.destroy().catch(() => undefined)
    throw new UsageError(
      `${directory} cannot be opened: stop the server that has it open, or copy the folder and import the copy`,
    )
  }
  return {
    names,
    async read(name) {
      const updates = await persistence._transact((db) => getLevelUpdates(db, name))
      if (updates === null) throw new Error('it cannot be read from LevelDB')
      return { name, updates: updates.map((update) => new Uint8Array(update)) }
    },
    close: () => persistence.destroy(),
  }
}

/** Only who imports needs it. */
async function load(): Promise<typeof import('y-leveldb')> {
  try {
    return await import('y-leveldb')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND')
      throw new UsageError(
        'reading this store needs y-leveldb, which is not installed: npm install y-leveldb, and run this again',
      )
    throw cause
  }
}
