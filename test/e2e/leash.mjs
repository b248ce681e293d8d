// Loaded into every process that an e2e test starts, by `--import`: descriptor 3 is a pipe that the test holds, and when it closes, for
// whatever reason, a `kill -9` of the test included, the process is gone too. Nothing is read from it and nothing keeps the process alive.

import { Socket } from 'node:net'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const leash = new Socket({ fd: 3, readable: true, writable: false })
  leash.on('close', () => process.kill(process.pid, 'SIGKILL'))
  leash.on('error', () => undefined)
  leash.resume()
  leash.unref()
}
