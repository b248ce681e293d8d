// Our relay without a log: one frame an update, one write a socket and tick.

import { missing, peerScript } from '../lib/peers.mjs'
import { spawnServer } from '../lib/server.mjs'

/** @type {import('../lib/types.mjs').Target} */
export const target = {
  name: 'raw-net',
  wire: 'raw',
  kind: 'relay',
  persists: false,
  unavailable: () => missing('ws', '8.23.0'),
  start: (dir, { node }) => spawnServer({ node, args: [peerScript('relay-log.mjs'), dir, 'net'] }),
}
