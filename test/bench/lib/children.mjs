// Whatever this process starts or makes ends with it: every child, every directory, on every way out.

import { rmSync } from 'node:fs'

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()
/** @type {Set<string>} */
const directories = new Set()

/** @param {import('node:child_process').ChildProcess} child */
export function track(child) {
  children.add(child)
  child.once('exit', () => children.delete(child))
}

/** @param {string} directory removed at the end, if not before. */
export function trackDirectory(directory) {
  directories.add(directory)
}

export function cleanUp() {
  for (const child of children) child.kill('SIGKILL')
  for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
}

process.on('exit', cleanUp)
for (const [signal, code] of /** @type {[NodeJS.Signals, number][]} */ ([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
])) {
  process.on(signal, () => process.exit(code))
}
