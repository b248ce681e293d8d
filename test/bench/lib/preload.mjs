// Loaded into every server by `--import`: tells the runner, on request, how long the event loop was held up and what memory is in use, and
// ends the server when the runner is gone. The timer of the histogram runs only while it is asked for (5 ms: 200 wake-ups a second, the same for all).

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'

export const RESOLUTION_MS = 5

if (isMainThread && process.send !== undefined && process.env.MERIDIAN_BENCH_SERVER === '1') {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  process.on('message', (/** @type {any} */ message) => {
    if (message?.bench === 'start') {
      histogram.reset()
      histogram.enable()
      process.send?.({ bench: 'started' })
    } else if (message?.bench === 'stop') {
      histogram.disable()
      process.send?.({ bench: 'stopped', maxMs: histogram.max / 1e6, p99Ms: histogram.percentile(99) / 1e6 })
    } else if (message?.bench === 'memory') {
      collect()
      const { rss, heapUsed, external } = process.memoryUsage()
      process.send?.({ bench: 'memory', rss, live: heapUsed + external })
    }
  })
  process.on('disconnect', () => process.exit(1))
  process.channel?.unref()
}

/** Twice, because what a finalizer lets go of is found by the second one. */
function collect() {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  gc()
  gc()
}
