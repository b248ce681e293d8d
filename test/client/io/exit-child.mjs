// A process with one store, for exit.test.ts: it opens, edits, closes, says `closed`, and has nothing left to do. What it is told: the URL of
// what answers, the file of the store or nothing, when it closes, and where its token comes from.

import { connect } from '@meridian/client'

const [url = '', path = '', when = '', token = ''] = process.argv.slice(2)

const store = connect({
  url,
  tenant: 'dev',
  token:
    token === 'never' ? () => new Promise(() => undefined) : token === 'fails' ? () => Promise.reject(new Error('no token')) : '',
  ...(path === '' ? {} : { storage: { path } }),
})
// What fails stands in a status, and some of it fails on purpose.
const note = store.open('notes/1')
note.ydoc.getText('body').insert(0, 'Hello')
note.ready.catch(() => undefined)
note.saved().catch(() => undefined)
if (when === 'later') await new Promise((resolve) => setTimeout(resolve, 400))
if (when === 'presence') note.presence.set({ name: 'Ann' })
if (when === 'ready') await note.ready.catch(() => undefined)
await store.close()
process.stdout.write('closed\n')
