/**
 * What looking into updates costs.
 *
 * - Small ones, on the hot path: the traces typed edit by edit into a Y.Doc. Microseconds an update, mean and p99: inspect; inspect + judge + include;
 *   and for comparison the same updates applied by Yjs. The mean is the median of `runCount` runs; p99 is of single updates, clock included.
 * - Large ones: how long the loop stands still while a lane takes in an update of the worst shapes (test/fuzz/shapes.ts) of 32 KiB, 1 MiB
 *   and 16 MiB: copied, inspected, judged, cut and included as the lane does it, above the bound in the node's own thread; beside it the time of all of it,
 *   and what Y.applyUpdate takes. Standing still is measured as time on a processor, where Linux tells it. The worst of `stallRuns` runs, the first one cold.
 *
 * Run: npm run build && node test/bench/inspect.mjs [--skip-traces] [--mib 0.03125,1,16]
 */
import { existsSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { inspectLimits } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { hubLimits } from '@meridian/core/limits'
import { UpdateThread } from '@meridian/server/io/update-thread'
import * as Y from 'yjs'
import { shapes } from '../dist/fuzz/shapes.js'
import { concurrentUpdates, loadTrace, sequentialUpdates, traceNames } from '../dist/traces.js'

const { values } = parseArgs({
  options: { 'skip-traces': { type: 'boolean', default: false }, mib: { type: 'string', default: '0.03125,1,16' } },
})
const runCount = 7
const stallRuns = 2
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

function p99(updates, one) {
  const times = new Float64Array(updates.length)
  for (let index = 0; index < updates.length; index++) {
    const start = performance.now()
    one(updates[index])
    times[index] = performance.now() - start
  }
  return (times.sort()[Math.floor(times.length * 0.99)] * 1000).toFixed(2)
}

const into = (index) => (update) => {
  const inspection = yjsEngine.inspect(update, inspectLimits)
  if (yjsEngine.judge(index, inspection) === 'new') yjsEngine.include(index, inspection)
}

if (!values['skip-traces'])
  for (const name of traceNames) {
    const trace = loadTrace(name)
    const updates =
      trace.agentCount === 1 ? sequentialUpdates(trace, clientID) : concurrentUpdates(trace).all.map(({ update }) => update)
    const inspect = median(updates.length, () => {
      for (const update of updates) yjsEngine.inspect(update, inspectLimits)
    })
    const whole = median(updates.length, () => updates.forEach(into(yjsEngine.emptyIndex())))
    const apply = median(updates.length, () => {
      const doc = new Y.Doc()
      doc.clientID = 7
      for (const update of updates) Y.applyUpdate(doc, update)
    })
    const snapshot = median(updates.length, () => yjsEngine.snapshot(updates))
    const doc = new Y.Doc()
    doc.clientID = 7
    console.log(
      `${name}: ${updates.length} updates; µs an update, mean and p99: inspect ${inspect}, ${p99(updates, (update) => yjsEngine.inspect(update, inspectLimits))}; ` +
        `inspect + judge + include ${whole}, ${p99(updates, into(yjsEngine.emptyIndex()))}; Y.applyUpdate ${apply}, ${p99(updates, (update) => Y.applyUpdate(doc, update))}; snapshot ${snapshot}`,
    )
  }

/**
 * Milliseconds that this thread was on a processor, where the system tells (Linux): on a machine that does other things too, a clock on the wall shows those.
 * Elsewhere the clock on the wall.
 */
const isLinux = existsSync('/proc/thread-self/schedstat')
const busyMs = () =>
  isLinux ? Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]) / 1e6 : performance.now()

/** The longest that the loop stands still from here to `stop`. */
function watch() {
  let last = busyMs()
  let worst = 0
  const look = () => {
    const now = busyMs()
    worst = Math.max(worst, now - last)
    last = now
  }
  const timer = setInterval(look, 1)
  return {
    stop: async () => {
      await new Promise(setImmediate)
      clearInterval(timer)
      look()
      return worst
    },
  }
}

const thread = new UpdateThread({ yjs: yjsEngine }, { memoryMb: 1024, timeMs: 60_000 })
const ask = (begin) => new Promise(begin)

/** One update as a lane takes it in. */
async function take(index, message) {
  const isLarge = message.length > hubLimits.inlineBytesMax
  const update = new Uint8Array(message)
  let inspection
  if (isLarge) inspection = await ask((done) => thread.inspect('yjs', update, inspectLimits, done))
  else
    try {
      inspection = yjsEngine.inspect(update, inspectLimits)
    } catch {
      inspection = 'UPDATE_INVALID'
    }
  if (typeof inspection === 'string') return inspection
  const judgement = yjsEngine.judge(index, inspection)
  if (judgement !== 'new') return judgement
  const overlap = yjsEngine.overlap(index, inspection)
  if (overlap !== undefined) {
    const rest = isLarge ? await ask((done) => thread.cut('yjs', update, overlap, done)) : yjsEngine.cut(update, overlap)
    if (typeof rest === 'string') return rest
    if (yjsEngine.judge(index, inspection) !== 'new') throw new Error('nothing came between')
  }
  yjsEngine.include(index, inspection)
  // A resend, which comes in a message of its own, and holds up most to find out that nothing is new.
  await new Promise((resolve) => setTimeout(resolve, 3))
  return yjsEngine.judge(index, inspection) === 'nothing' ? 'new' : 'judged wrongly'
}

for (const mib of values.mib.split(',').map(Number)) {
  let worst = { ms: 0, name: '' }
  for (const { name, make, held } of shapes) {
    const message = make(mib * 1024 * 1024)
    let stall = 0
    let whole = 0
    let result
    for (let run = 0; run < stallRuns; run++) {
      const index = yjsEngine.emptyIndex()
      for (const [client, next] of held) index.advance(client, 0, next)
      await new Promise((resolve) => setTimeout(resolve, 20))
      const watched = watch()
      const start = performance.now()
      result = await take(index, message)
      whole = Math.max(whole, performance.now() - start)
      stall = Math.max(stall, await watched.stop())
    }
    if (stall > worst.ms) worst = { ms: stall, name }
    let apply = 'not done'
    if (result === 'new' && mib <= 1) {
      const doc = new Y.Doc({ guid: 'bench' })
      doc.clientID = 0
      const start = busyMs()
      Y.applyUpdate(doc, message)
      apply = `${(busyMs() - start).toFixed(1)} ms`
    }
    console.log(
      `${mib} MiB, ${name} (${message.length} bytes): ${result}; stall ${stall.toFixed(1)} ms, whole ${whole.toFixed(1)} ms; Y.applyUpdate ${apply}`,
    )
  }
  console.log(`${mib} MiB: worst stall ${worst.ms.toFixed(1)} ms (${worst.name})`)
}
await thread.close()
