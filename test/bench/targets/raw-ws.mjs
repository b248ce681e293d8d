// Our plain relay on `ws`: what sockets alone cost.

import { missing, peerScript } from '../lib/peers.mjs'
import { spawnServer } from '../lib/server.mjs'

/** @type {import('../lib/types.mjs').Target} */
export const target = {
  name: 'raw-ws',
  wire: 'raw',
  kind: 'relay',
  persists: false,
  unavailable: () => missing('ws', '8.23.0'),
  start: (dir, { node }) => spawnServer({ node, args: [peerScript('relay-ws.mjs'), dir] }),
}
