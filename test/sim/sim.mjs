import { draw } from '../dist/sim/cluster/options.js'
import { run } from '../dist/sim/cluster/run.js'
const [from, count, regions] = process.argv.slice(2).map(Number)
for (let seed = from; seed < from + count; seed++) {
  const drawn = draw(seed)
  if (regions) drawn.options = { ...drawn.options, regionCount: regions }
  const t = performance.now()
  const report = await run(drawn)
  console.log(seed, report.hash, Math.round(performance.now() - t), 'ms', report.simulatedMs, report.steps, report.edits, report.saved, report.entries, report.wrong)
}
