// Loaded into a node by `--import` to show that a test can fail: every database is opened with `synchronous = OFF`, so that nothing is ever
// made durable before it is acked. It goes into the worker threads, too, which inherit the flag.

import { createRequire } from 'node:module'

const require = createRequire(createRequire(import.meta.url).resolve('@meridian/core/package.json'))

/** @param {{ prototype: { exec(sql: string): unknown } } | undefined} constructor */
function weaken(constructor) {
  if (constructor === undefined) return
  const { exec } = constructor.prototype
  constructor.prototype.exec = function (sql) {
    return exec.call(this, sql.replaceAll(/synchronous\s*=\s*\w+/gi, 'synchronous = OFF'))
  }
}

// The one that the node uses: `node:sqlite` where it is, else libsql.
for (const name of ['node:sqlite', 'libsql']) {
  try {
    const module = require(name)
    weaken(name === 'libsql' ? module : module.DatabaseSync)
    break
  } catch {
    // Not on this Node.
  }
}
