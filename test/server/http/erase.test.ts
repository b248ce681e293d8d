/** [RES7] What was erased is in no record of the store any more. */

import { join } from 'node:path'
import { openSqlite, sqliteDriver } from '@meridian/core/io/sqlite'
import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { startTestNode, temporaryFolder } from '../support/running-node.js'

/** Every record of every table that holds `text`, as table and rowid. */
function recordsWith(directory: string, text: string): string[] {
  const driver = sqliteDriver()
  if (driver === undefined) throw new Error('there is no SQLite')
  const database = openSqlite(join(directory, 'log.db'), { driver })
  try {
    const found: string[] = []
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all([])
    for (const [table] of tables) {
      for (const row of database.prepare(`SELECT * FROM ${String(table)}`).all([])) {
        const holds = row.some((value) => (Buffer.isBuffer(value) ? value.includes(text) : String(value).includes(text)))
        if (holds) found.push(String(table))
      }
    }
    return found
  } finally {
    database.close()
  }
}

const secret = 'a very private sentence'

it.each([
  ['fresh entries', 0, {}],
  ['settled entries and a snapshot in one piece', 50, { 'compaction.idleEntries': '30' }],
  ['many entries that no snapshot covers', 1_500, {}],
])(
  '[RES7] given %s, when the document is erased, then no record holds what it said, and others stay',
  async (_name, edits, flags) => {
    const dataDir = await temporaryFolder()
    const { node } = await startTestNode({ dataDir, ...flags })
    const url = (key: string) => `${node.url}/v1/documents/dev/notes/${key}`
    const put = (key: string) =>
      fetch(url(key), {
        method: 'PUT',
        headers: { 'if-none-match': '*', 'content-type': 'application/json' },
        body: JSON.stringify({ text: `${secret} of ${key}` }),
      })
    for (const key of ['kept', 'erased']) expect((await put(key)).status).toBe(201)
    for (let edit = 0; edit < edits; edit += 50) {
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => {
          const doc = new Y.Doc()
          doc.getText('text').insert(0, `${secret} of erased, edit ${edit + index}`)
          const body = Y.encodeStateAsUpdate(doc).slice()
          return fetch(url('erased'), { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body })
        }),
      )
    }
    expect((await fetch(url('erased'), { method: 'DELETE' })).status).toBe(200)
    const deadline = Date.now() + 8_000
    const left = (): string[] => recordsWith(dataDir, `${secret} of erased`)
    // The bytes go between commits; so while the node runs.
    await expect.poll(left, { timeout: deadline - Date.now(), interval: 100 }).toEqual([])
    await node.close()
    expect(left()).toEqual([])
    expect(recordsWith(dataDir, `${secret} of kept`)).not.toEqual([])
    const { node: again } = await startTestNode({ dataDir })
    expect((await fetch(`${again.url}/v1/documents/dev/notes/erased`)).status).toBe(410)
    expect(await (await fetch(`${again.url}/v1/documents/dev/notes/kept`)).json()).toEqual({ text: `${secret} of kept` })
  },
  30_000,
)
