// @y/websocket-server 0.1.1 with y-leveldb 0.2.0.

import { missing, peerScript } from '../lib/peers.mjs'
import { spawnServer } from '../lib/server.mjs'

/** @type {import('../lib/types.mjs').Target} */
export const target = {
  name: 'y-websocket',
  wire: 'y-websocket',
  kind: 'peer',
  persists: true,
  unavailable: () => missing('@y/websocket-server', '0.1.1') ?? missing('y-leveldb', '0.2.0'),
  start: (dir, { node }) => spawnServer({ node, args: [peerScript('y-websocket.mjs'), dir] }),
}
