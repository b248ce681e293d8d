/** The SQLite log under every driver that there is here: the suite of all logs, and what a disk and a killed process can do to it. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseRegion } from '@meridian/core/ids'
import type { SqliteDriverName } from '@meridian/core/io/sqlite'
import { sqliteDrivers } from '@meridian/core/io/sqlite'
import type { RegionLog } from '@meridian/core/log'
import type { SqliteLog } from '@meridian/server/io/log-sqlite'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'
import { expect, test } from 'vitest'
import type { LogPlace } from '../../conformance/log.js'
import { registerLogTests } from '../../conformance/log.js'

const region = parseRegion('eu-west')
const drivers = sqliteDrivers()
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

test('given this Node, when the drivers are listed, then they are all that work on it, the built-in one first', () => {
  const builtIn = major > 22 || (major === 22 && minor >= 15)
  expect(drivers).toEqual(builtIn ? ['node', 'libsql'] : ['libsql'])
})

async function makePlace(driver: SqliteDriverName): Promise<LogPlace> {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-log-'))
  let log: SqliteLog | undefined
  return {
    async open(): Promise<RegionLog> {
      log = await openSqliteLog({ directory, region, driver })
      return log
    },
    async remove(): Promise<void> {
      await closed(log)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const closed = (log: SqliteLog | undefined): Promise<void> =>
  new Promise((resolve) => (log === undefined ? resolve() : log.close(resolve)))

for (const driver of drivers) registerLogTests(`SQLite by ${driver}`, () => makePlace(driver))
