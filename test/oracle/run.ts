/**
 * Rounds of Yjs' own oracle behind real sockets, for as long as one likes: `npm run oracle -- --rounds 500 --seed 7 --minutes 30`. It leaves
 * with 1 at the first difference, and says in which round.
 */

import { parseArgs } from 'node:util'
import { CutProxy } from '../e2e/cut-proxy.js'
import { NodeProcess } from '../e2e/node-process.js'
import { Resources } from '../e2e/resources.js'
import { playRounds } from './rounds.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '120' },
    minutes: { type: 'string', default: '30' },
  },
})

const resources = new Resources()
// Each provider listens for the end of the process.
process.setMaxListeners(64)
const node = resources.own(await NodeProcess.start({ directory: resources.directory() }))
const proxy = resources.own(await CutProxy.start({ port: () => node.port }))
const firstSeed = Number(values.seed)
const began = performance.now()
const isOver = (): boolean => performance.now() - began > Number(values.minutes) * 60_000
try {
  const { versions, ...report } = await playRounds({
    node,
    proxy,
    firstSeed,
    roundCount: Number(values.rounds),
    stepCount: Number(values.steps),
    isOver,
  })
  const seconds = (performance.now() - began) / 1000
  process.stdout.write(
    `oracle: --seed ${firstSeed}, ${JSON.stringify({ ...report, versions: [...versions] })} in ${seconds.toFixed(1)} s\n`,
  )
} catch (thrown) {
  process.exitCode = 1
  process.stderr.write(`oracle: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`)
} finally {
  await resources.dispose()
}
