/**
 * Includes entries of another region, appends own ones, and puts states into a group that is joining, until it is killed. Says on stdout what is
 * durable: `opened <replica>`, then `included <sequence>`, `appended <sequence>` or `put <number of the last document>`.
 */

import { writeSync } from 'node:fs'
import { emptyVersion } from '@meridian/core/version'
import { openSqliteLog } from '@meridian/server/io/log-sqlite'

const [directory, driver, east, chainFactor] = process.argv.slice(2)
const log = await openSqliteLog({ directory, driver, region: 'eu-west', scrubBytesPerSecond: 0 })
const group = 'acme/default'
const joining = 'acme/joining'
const value = (ask) =>
  new Promise((resolve) =>
    ask((outcome) => {
      if (outcome.kind !== 'done') throw new Error(`${outcome.code} ${outcome.cause}`)
      resolve(outcome.value)
    }),
  )

await value((done) => log.beginJoin(joining, done))
await value((done) => log.setPeers(group, ['us-east'], done))
let sequence = (await value((done) => log.openGroup(group, done))).version.sequences.get(east) ?? 0
const listed = await value((done) => log.listGroup(joining, '', 1e6, done))
let number = listed.length
writeSync(1, `opened ${log.replica}\n`)

const foreign = (at, document, rest = {}) => ({
  ...{ group, document, engine: 'yjs', life: 1, kind: 'update', epoch: 0, time: Date.now() * 1024, replica: east, sequence: at },
  ...{ chain: BigInt(at) * BigInt(chainFactor), payload: new TextEncoder().encode(`${east} ${at}`), ...rest },
})

async function including() {
  for (;;) {
    const count = 1 + (sequence % 50)
    const batch = Array.from({ length: count }, (_, index) => foreign(sequence + index + 1, `acme/notes/${index % 7}`))
    // The batch before comes again, as after a lost ack.
    const again = sequence > 0 ? [foreign(sequence, 'acme/notes/0')] : []
    const included = await value((done) => log.include([...again, ...batch], done))
    if (included.kind !== 'included' || included.entries.length !== count) throw new Error(included.kind)
    sequence += count
    writeSync(1, `included ${sequence}\n`)
  }
}

async function appending() {
  for (let counter = 1; ; counter++) {
    const draft = { ...foreign(0, 'acme/notes/1'), payload: new TextEncoder().encode(`own ${counter}`) }
    delete draft.replica
    const { sequences } = await value((done) => log.append([draft], done))
    writeSync(1, `appended ${sequences.at(-1)}\n`)
  }
}

async function putting() {
  for (;;) {
    const states = Array.from({ length: 20 }, () => {
      number++
      const document = `acme/states/${String(number).padStart(6, '0')}`
      const version = { ...emptyVersion, sequences: new Map([[east, number]]) }
      const snapshot = { version, state: { bytes: new Uint8Array(number % 3000).fill(number), index: new Uint8Array(1) } }
      const entries = [foreign(number, document, { group: joining })]
      return { document, engine: 'yjs', life: 1, ended: false, version, snapshot, entries }
    })
    const { unmerged } = await value((done) => log.putStates(joining, states, done))
    if (unmerged.length > 0) throw new Error('unmerged')
    writeSync(1, `put ${number}\n`)
  }
}

await Promise.all([including(), appending(), putting()])
