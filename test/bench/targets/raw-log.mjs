// Our durable relay: group commit with fdatasync before anything is forwarded.

import { join } from 'node:path'
import { missing, peerScript } from '../lib/peers.mjs'
import { spawnServer } from '../lib/server.mjs'

/** @type {import('../lib/types.mjs').Target} */
export const target = {
  name: 'raw-log',
  wire: 'raw',
  kind: 'relay',
  persists: true,
  unavailable: () => missing('ws', '8.23.0'),
  start: (dir, { node }) => spawnServer({ node, args: [peerScript('relay-log.mjs'), dir, 'log'] }),
  recover: async (dir) => [join(dir, 'relay.log')],
}
