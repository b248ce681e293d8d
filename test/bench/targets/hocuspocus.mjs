// Hocuspocus 4.7.0 with its SQLite extension 4.7.0, defaults.

import { missing, peerScript } from '../lib/peers.mjs'
import { spawnServer } from '../lib/server.mjs'

/** @type {import('../lib/types.mjs').Target} */
export const target = {
  name: 'hocuspocus',
  wire: 'hocuspocus',
  kind: 'peer',
  persists: true,
  unavailable: () =>
    missing('@hocuspocus/server', '4.7.0') ??
    missing('@hocuspocus/extension-sqlite', '4.7.0') ??
    missing('better-sqlite3', '13.2.0'),
  start: (dir, { node }) => spawnServer({ node, args: [peerScript('hocuspocus.mjs'), dir] }),
}
