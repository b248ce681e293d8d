import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryDisk, MemoryStore } from '@meridian/client/io/store-memory'
import { SqliteStore } from '@meridian/client/io/store-sqlite'
import { openSqlite, sqliteDriver } from '@meridian/core/io/sqlite'
import { describe, expect, it } from 'vitest'
import { registerClientStoreTests } from '../../conformance/client-store.js'

registerClientStoreTests('memory', async () => {
  const disk = new MemoryDisk()
  return { open: async () => new MemoryStore(disk), remove: async () => undefined }
})

// The driver that this Node uses; CI runs on one Node with each.
for (const driver of [sqliteDriver()].filter((name) => name !== undefined)) {
  registerClientStoreTests(`SQLite, ${driver}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'meridian-client-'))
    const opened: SqliteStore[] = []
    const open = async (bytesMax?: number): Promise<SqliteStore> => {
      const store = new SqliteStore({ path: join(folder, 'store.db'), driver, bytesMax })
      opened.push(store)
      return store
    }
    return {
      open: () => open(),
      openSmall: () => open(64 * 1024),
      async remove() {
        for (const store of opened) await store.close()
        await rm(folder, { recursive: true })
      },
    }
  })
}

describe('SQLite store', () => {
  it('given a path that cannot be opened, then it is STORE_FAILED and no exception of the constructor', async () => {
    const store = new SqliteStore({ path: join(tmpdir(), 'no', 'such', 'folder', 'store.db') })
    await expect(store.read([])).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await store.close()
  })

  it('given a file that is no database, then it is STORE_FAILED', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'meridian-client-'))
    const path = join(folder, 'store.db')
    const { writeFile } = await import('node:fs/promises')
    await writeFile(path, 'this is a letter and no database, and it is long enough to be looked at as one would look at a header')
    const store = new SqliteStore({ path })
    await expect(store.read([])).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await store.close()
    await rm(folder, { recursive: true })
  })

  it('[CLI1] given a process that is killed, then every write that was answered is there', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'meridian-client-'))
    const path = join(folder, 'store.db')
    const script = `
      import { SqliteStore } from '@meridian/client/io/store-sqlite'
      const store = new SqliteStore({ path: process.argv[1] })
      for (let n = 1; ; n++) {
        await store.write([{ kind: 'put', key: ['log', n], value: new Uint8Array(100) }])
        process.stdout.write(n + '\\n')
      }
    `
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    let answered = 0
    await new Promise<void>((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        answered = Number(text.trim().split('\n').at(-1))
        if (answered >= 50) child.kill('SIGKILL')
      })
      child.on('exit', () => resolve())
    })
    const store = new SqliteStore({ path })
    const records = await store.read(['log'])
    expect(records.length).toBeGreaterThanOrEqual(answered)
    expect(records.map(({ key }) => key[1])).toEqual(records.map((_, index) => index + 1))
    await store.close()
    const database = openSqlite(path)
    expect(database.prepare('PRAGMA integrity_check').get([])).toEqual(['ok'])
    database.close()
    await rm(folder, { recursive: true })
  })
})
