/**
 * What a residency decision costs: kept, and made anew, for the nine example policies on their cluster. Prints the median of `runCount` runs in
 * microseconds a decision. Goals: below 5 kept, below 50 made anew.
 * Run: npm run build && node test/bench/policy.mjs
 */
import { readdirSync, readFileSync } from 'node:fs'
import { decide, onlyHead } from '@meridian/regions/policy/combine'
import { parsePolicy } from '@meridian/regions/policy/parse'
import { Residency } from '@meridian/regions/residency'
import { parseTopology } from '@meridian/regions/topology'
import { readYaml } from '@meridian/server/yaml-file'

const runCount = 7
const documentCount = 5_000
const folder = new URL('../../examples/policies/', import.meta.url)
const values = (name) => readYaml({ name, text: readFileSync(new URL(name, folder), 'utf8') }, []).values
const { topology } = parseTopology(values('cluster.yaml'))
const clock = { now: () => Date.now() }

function median(run) {
  const times = []
  for (let index = 0; index < runCount; index++) {
    const start = performance.now()
    run()
    times.push(performance.now() - start)
  }
  times.sort((one, other) => one - other)
  return ((times[runCount >> 1] * 1000) / documentCount).toFixed(2)
}

for (const file of readdirSync(folder).filter((name) => name !== 'cluster.yaml')) {
  const { policy } = parsePolicy(values(file))
  const effective = onlyHead(policy, 1)
  const [collection] = policy.collections.keys()
  const names = Array.from({ length: documentCount }, (_, index) => `acme/${collection}/us/${index}`)
  const section = policy.collections.get(collection).sections.keys().next().value
  const line = [file.padEnd(26)]
  for (const region of ['eu-west', 'us-east']) {
    const place = { kind: 'region', region }
    const around = { topology, moment: { nowMs: Date.now(), skewMs: 60_000 } }
    const questions = names.map((name) => {
      const [tenant, , ...key] = name.split('/')
      return { verb: 'store', name: { tenant, collection, key: key.join('/'), section }, place, form: 'plaintext' }
    })
    const cold = median(() => {
      for (const question of questions) decide(effective, question, around)
    })
    const residency = new Residency({ region, clock, topology: () => topology, policyOf: () => effective })
    const kept = median(() => {
      for (const name of names) residency.admit('store', name)
    })
    line.push(`${region} ${decide(effective, questions[0], around).kind.padEnd(3)} kept ${kept} anew ${cold}`)
  }
  console.log(line.join('   '))
}
