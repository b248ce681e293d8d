// Fills an empty Meridian store: node seed.mjs <dir> <count>. A process of its own, run with the Node version of the server.

import { defaultGroup, parseDocument, parseRegion, parseTenant } from '@meridian/core/ids'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'
import { Author } from './marker.mjs'

const [directory = '', countText = '0'] = process.argv.slice(2)
const count = Number(countText)
const batchEntries = 2_000

const log = await openSqliteLog({ directory, region: parseRegion('eu-west'), scrubBytesPerSecond: 0 })
const group = defaultGroup(parseTenant('dev'))
const payload = new Author(1).type(0).slice()
for (let first = 0; first < count; first += batchEntries) {
  const drafts = Array.from({ length: Math.min(batchEntries, count - first) }, (_, index) => ({
    group,
    document: parseDocument(`dev/bench/seed-${first + index}`),
    engine: /** @type {const} */ ('yjs'),
    life: 1,
    kind: /** @type {const} */ ('update'),
    epoch: 0,
    time: /** @type {any} */ (first + index + 1),
    payload,
  }))
  await new Promise((resolve, reject) => {
    log.append(drafts, (outcome) =>
      outcome.kind === 'done' ? resolve(undefined) : reject(outcome.cause ?? new Error(outcome.code)),
    )
  })
}
await new Promise((resolve) => log.close(() => resolve(undefined)))
