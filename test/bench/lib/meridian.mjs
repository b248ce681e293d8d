// A Meridian node in development mode with its SQLite log, defaults: what the targets that are one share.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { spawnServer } from './server.mjs'

const seeder = fileURLToPath(new URL('./seed.mjs', import.meta.url))
const cli = fileURLToPath(new URL('../../../server/bin/meridian.js', import.meta.url))

/** @param {string} name @param {string} wire @returns {import('./types.mjs').Target} */
export const meridianBy = (name, wire) => ({
  name,
  wire,
  kind: 'ours',
  persists: true,
  start: (dir, { node }) =>
    spawnServer({
      node,
      args: [cli, 'node', '--dev', '--region', 'eu-west', '--port', '0', '--data', dir],
      ready: /"url":"http:\/\/127\.0\.0\.1:(\d+)"/,
    }),
  seed: async (dir, count, { node }) => {
    await promisify(execFile)(node, [seeder, dir, String(count)])
  },
})
