// y-websocket with y-indexeddb, wired as their manuals do. y-indexeddb says nothing of what is stored; a turn of its own is waited for instead.

import { IndexeddbPersistence } from 'y-indexeddb'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { expose, nodeUrl } from '../browser/pages/page.mjs'

expose((name) => {
  const ydoc = new Y.Doc()
  const persistence = new IndexeddbPersistence(name, ydoc)
  // oxlint-disable-next-line no-new -- a provider lives by itself
  new WebsocketProvider(nodeUrl().replace(/^http/, 'ws'), name, ydoc)
  return { ydoc, ready: persistence.whenSynced, stored: () => new Promise((resolve) => setTimeout(resolve, 500)) }
}, Y.applyUpdate)
