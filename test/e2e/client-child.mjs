// A client as a process of its own, to be killed by `kill -9`: types unique words into one list and says, a line of JSON each, what it found
// on its device, what its device has stored and what a region has saved. It rests when told to on its standard input.
//
// Arguments: url, file of its store, document, name of this opening.

import { createInterface } from 'node:readline'
import { connect } from '@meridian/client'

const [url = '', path = '', document = '', opening = ''] = process.argv.slice(2)

/** @param {object} line a pipe is written synchronously: what was said is said, whatever comes. */
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const store = connect({ url, storage: { path }, compactCount: 40, onError: (error) => say({ error: error.code }) })
// Whoever waits for the next attempt tries at once: the network is cut all the time here.
store.subscribe(() => {
  if (store.status.connection.kind === 'waiting') setTimeout(() => store.reconnect(), 25).unref()
})
const handle = store.open(document)
const list = handle.ydoc.getArray('list')
// What the device holds is there before anything of a region is.
say({ found: (await handle.ready) === 'device' ? list.toJSON() : [] })

let resting = false
let made = 0
let wake = () => {}
createInterface({ input: process.stdin }).on('line', (line) => {
  resting = line === 'rest'
  wake()
})

for (;;) {
  if (resting) {
    await handle.saved()
    say({ saved: made })
    say({ rested: true })
    await new Promise((resolve) => {
      wake = () => resolve(undefined)
    })
    continue
  }
  const count = 1 + Math.floor(Math.random() * 4)
  for (let index = 0; index < count; index++) list.insert(Math.floor(Math.random() * (list.length + 1)), [`${opening}-${++made}`])
  const upTo = made
  handle.stored().then(
    () => say({ stored: upTo }),
    () => undefined,
  )
  handle.saved().then(
    () => say({ saved: upTo }),
    () => undefined,
  )
  await pause(Math.random() * 100)
}
