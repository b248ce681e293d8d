/** Appends to a log until it is killed, and says on stdout what is durable: `opened <replica>`, then `<position> <first sequence> <count>` a batch. */

import { writeSync } from 'node:fs'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'

const [directory, driver, sizeMax] = process.argv.slice(2)
const log = await openSqliteLog({ directory, driver, region: 'eu-west', scrubBytesPerSecond: 0 })
writeSync(1, `opened ${log.replica}\n`)
let counter = 0

function append() {
  const count = 1 + (counter % Number(sizeMax))
  const drafts = Array.from({ length: count }, () => {
    counter++
    const payload = new TextEncoder().encode(`${log.replica} ${counter}`)
    const push = { device: String(counter % 5).padStart(32, '0'), counter }
    const document = `acme/notes/${counter % 7}`
    return {
      group: 'acme/default',
      document,
      engine: 'yjs',
      life: 1,
      kind: 'update',
      epoch: 0,
      time: Date.now() * 1024,
      payload,
      push,
    }
  })
  log.append(drafts, (outcome) => {
    if (outcome.kind !== 'done') throw new Error(outcome.code)
    // One write of less than a pipe's buffer is whole or not there.
    writeSync(1, `${outcome.value.position} ${outcome.value.sequences[0]} ${count}\n`)
    append()
  })
}

// Two batches under way, so that commits join.
append()
append()
