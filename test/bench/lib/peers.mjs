// Installs what the benchmark compares with, on first use, into a folder that the product does not depend on.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = new URL('../peers/', import.meta.url)

/** @param {string} script @returns {string} the path of a server script in the folder of the peers. */
export const peerScript = (script) => fileURLToPath(new URL(script, folder))

/** @param {string} name @param {string} version @returns {string | undefined} why it cannot be used. */
export function missing(name, version) {
  const manifest = new URL(`node_modules/${name}/package.json`, folder)
  if (!existsSync(manifest)) return `${name} is not installed`
  const found = JSON.parse(readFileSync(manifest, 'utf8')).version
  return found === version ? undefined : `${name} is ${found}, not ${version}`
}

/** Installs once; says why if it fails, and the targets then print `not run`. No install script is run: none is needed. */
export function installPeers() {
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'))
  const lacking = Object.entries(dependencies).filter(([name, version]) => missing(name, String(version)) !== undefined)
  if (lacking.length === 0) return
  console.log(`installing ${lacking.length} peer packages into test/bench/peers …`)
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  const { status, signal, stderr } = spawnSync('npm', args, { cwd: folder, timeout: 300_000, encoding: 'utf8' })
  if (status !== 0) console.log(`peers could not be installed (${signal ?? status}):\n${(stderr ?? '').slice(-2000)}`)
}
