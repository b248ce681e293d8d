/**
 * What inspecting, judging and including an update costs on the hot path: the longest trace typed edit by edit into a Y.Doc, and for
 * comparison the same updates applied by Yjs. Prints the median of `runCount` runs in microseconds an update.
 * Run: npm run build && node test/bench/inspect.mjs
 */
import * as Y from 'yjs'
import { inspectLimits } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { concurrentUpdates, loadTrace, sequentialUpdates, traceNames } from '../dist/traces.js'

const runCount = 7
const clientID = 0xfeed_beef

function median(count, run) {
  const times = []
  for (let index = 0; index < runCount; index++) {
    const start = performance.now()
    run()
    times.push(performance.now() - start)
  }
  times.sort((one, other) => one - other)
  return ((times[runCount >> 1] * 1000) / count).toFixed(2)
}

for (const name of traceNames) {
  const trace = loadTrace(name)
  const updates =
    trace.agentCount === 1 ? sequentialUpdates(trace, clientID) : concurrentUpdates(trace).all.map(({ update }) => update)
  const inspect = median(updates.length, () => {
    for (const update of updates) yjsEngine.inspect(update, inspectLimits)
  })
  const whole = median(updates.length, () => {
    const index = yjsEngine.emptyIndex()
    for (const update of updates) {
      const inspection = yjsEngine.inspect(update, inspectLimits)
      if (yjsEngine.judge(index, inspection) === 'new') yjsEngine.include(index, inspection)
    }
  })
  const apply = median(updates.length, () => {
    const doc = new Y.Doc()
    doc.clientID = 7
    for (const update of updates) Y.applyUpdate(doc, update)
  })
  const snapshot = median(updates.length, () => yjsEngine.snapshot(updates))
  console.log(
    `${name}: ${updates.length} updates; µs an update: inspect ${inspect}, inspect + judge + include ${whole}, snapshot ${snapshot}, Y.applyUpdate ${apply}`,
  )
}
