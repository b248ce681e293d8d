// A Meridian node in development mode with its SQLite log, defaults.

import { fileURLToPath } from 'node:url'
import { spawnServer } from '../lib/server.mjs'

const cli = fileURLToPath(new URL('../../../server/bin/meridian.js', import.meta.url))

/** @type {import('../lib/types.mjs').Target} */
export const target = {
  name: 'meridian',
  wire: 'native',
  kind: 'ours',
  persists: true,
  start: (dir, { node }) =>
    spawnServer({
      node,
      args: [cli, 'node', '--dev', '--region', 'eu-west', '--port', '0', '--data', dir],
      ready: /"url":"http:\/\/127\.0\.0\.1:(\d+)"/,
    }),
}
