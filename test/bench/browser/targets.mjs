// What runs in the browser: ours, and peers that are installed into ../peers.

import { fileURLToPath } from 'node:url'
import { missing } from '../lib/peers.mjs'

const path = (/** @type {string} */ file) => fileURLToPath(new URL(file, import.meta.url))
const peers = path('../peers/')

/**
 * @typedef {object} BrowserTarget
 * @property {string} name
 * @property {string} exports what an app takes from its packages, as a module.
 * @property {string} resolveDir where those packages are found.
 * @property {string[]} [external] the engine, which is not counted.
 * @property {string} [page] the script of a page; a target without one has its size measured only.
 * @property {() => string | undefined} unavailable why it cannot be used.
 */

/** @type {BrowserTarget[]} */
export const targets = [
  {
    name: 'meridian',
    exports: "export * from '@meridian/client'",
    resolveDir: path('./'),
    external: ['yjs'],
    page: path('pages/meridian.mjs'),
    unavailable: () => undefined,
  },
  {
    name: 'y-websocket',
    exports: "export * from 'y-websocket'",
    resolveDir: peers,
    external: ['yjs'],
    page: path('../peers/y-websocket-page.mjs'),
    unavailable: () => missing('y-websocket', '3.1.0') ?? missing('y-indexeddb', '9.0.12'),
  },
  {
    name: 'y-websocket, y-indexeddb',
    exports: "export * from 'y-websocket'; export * from 'y-indexeddb'",
    resolveDir: peers,
    external: ['yjs'],
    unavailable: () => missing('y-websocket', '3.1.0') ?? missing('y-indexeddb', '9.0.12'),
  },
  {
    name: 'hocuspocus, y-indexeddb',
    exports: "export { HocuspocusProvider } from '@hocuspocus/provider'; export * from 'y-indexeddb'",
    resolveDir: peers,
    external: ['yjs'],
    unavailable: () => missing('@hocuspocus/provider', '4.7.0') ?? missing('y-indexeddb', '9.0.12'),
  },
  {
    name: 'automerge-repo, adapters',
    exports:
      "export { Repo } from '@automerge/automerge-repo/slim'; export * from '@automerge/automerge-repo-network-websocket'; " +
      "export * from '@automerge/automerge-repo-storage-indexeddb'",
    resolveDir: peers,
    external: ['@automerge/automerge', '@automerge/automerge/*'],
    unavailable: () =>
      missing('@automerge/automerge-repo', '2.5.6') ??
      missing('@automerge/automerge-repo-network-websocket', '2.5.6') ??
      missing('@automerge/automerge-repo-storage-indexeddb', '2.5.6'),
  },
]
