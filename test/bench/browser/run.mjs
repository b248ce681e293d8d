// `npm run bench:browser`: what an app feels of the client, in a real Chromium, beside peers. ../README.md says how to read it.

import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Profile } from '../../dist/browser/profile.js'
import { bundlePage, Site } from '../../dist/browser/site.js'
import { installPeers } from '../lib/peers.mjs'
import { report, show } from '../lib/report.mjs'
import { targets } from './targets.mjs'

/**
 * @typedef {object} BrowserRun
 * @property {import('./targets.mjs').BrowserTarget} target
 * @property {any} params
 * @property {number} repeat
 * @property {() => Promise<import('../../dist/browser/profile.js').Tab<any>>} open a tab with the target's page; its node is not there.
 */

/**
 * @typedef {object} BrowserRow
 * @property {string} name
 * @property {string} title
 * @property {(options: { quick: boolean }) => any[]} cases parameters, each with `name`.
 * @property {import('../lib/goals.mjs').Figure[]} figures
 * @property {string[]} [notes]
 * @property {number} [repeats] if not as many as asked for.
 * @property {(target: import('./targets.mjs').BrowserTarget) => boolean} only
 * @property {(run: BrowserRun) => Promise<Record<string, number>>} run
 */

const ROWS = ['size', 'open', 'store', 'tabs']

const { values: given } = parseArgs({
  options: { only: { type: 'string' }, repeats: { type: 'string' }, quick: { type: 'boolean', default: false } },
})
const { quick } = given
const asked = Number(given.repeats ?? (quick ? 1 : 5))
const rowNames = given.only?.split(',') ?? ROWS
if (!Number.isInteger(asked) || asked < 1 || asked > 100 || rowNames.some((name) => !ROWS.includes(name))) {
  console.error(`node test/bench/browser/run.mjs [--only ${ROWS.join(',')}] [--repeats 1 to 100] [--quick]`)
  process.exit(2)
}

/** A port that was free a moment ago: whoever dials it is refused at once. */
async function deadUrl() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
}

installPeers()
const node = await deadUrl()
const profile = await Profile.open()
const version = profile.context.browser()?.version() ?? 'unknown'
/** An origin for each target, so that they share nothing. @type {Map<string, Site>} */
const sites = new Map()

/** @param {import('./targets.mjs').BrowserTarget} target */
async function open(target) {
  let site = sites.get(target.name)
  if (site === undefined) {
    site = await Site.start(await bundlePage(target.page ?? '', { minify: true }))
    sites.set(target.name, site)
  }
  return profile.open(`${site.url}?node=${encodeURIComponent(node)}`)
}

/** @param {BrowserRow} row */
async function runRow(row) {
  const repeats = row.repeats ?? asked
  const cases = []
  for (const params of row.cases({ quick })) {
    const one = {
      params,
      targets: targets.filter(row.only).map((target) => {
        const notRun = target.unavailable()
        return { name: target.name, ...(notRun === undefined ? {} : { notRun }), runs: [], failures: [] }
      }),
    }
    cases.push(one)
    for (let repeat = 0; repeat < repeats; repeat++) {
      // Each repeat starts with another target, so that none always follows the same one.
      for (let turn = 0; turn < one.targets.length; turn++) {
        const entry = one.targets[(turn + repeat) % one.targets.length]
        if (entry.notRun !== undefined) continue
        const target = targets.find(({ name }) => name === entry.name)
        if (target === undefined) continue
        let outcome
        try {
          const run = await row.run({ target, params, repeat, open: () => open(target) })
          entry.runs.push(run)
          outcome = row.figures.map(({ key, label, digits }) => `${label}: ${show(run[key], digits)}`).join(', ')
        } catch (error) {
          entry.failures.push(String(error instanceof Error ? error.message : error))
          outcome = `FAILED: ${entry.failures.at(-1)?.split('\n')[0]}`
        }
        console.log(
          `  ${row.name} · ${params.name} · ${repeat + 1}/${repeats} · ${target.name} · ${outcome} · load ${loadavg()[0]?.toFixed(1)}`,
        )
      }
    }
  }
  return cases
}

const machineLine = `machine: ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), Chromium ${version}${quick ? ', QUICK: harness check, not figures' : ''}`
console.log(machineLine)
const all = []
try {
  for (const name of rowNames) {
    const { row } = await import(`./rows/${name}.mjs`)
    const cases = await runRow(row)
    console.log(`${report(row, cases)}\n`)
    all.push({ row: name, cases })
  }
} finally {
  await profile.close()
  for (const site of sites.values()) await site.dispose()
}
const results = fileURLToPath(new URL('../results/', import.meta.url))
mkdirSync(results, { recursive: true })
const file = `browser-${new Date().toISOString().replaceAll(':', '').slice(0, 17)}.json`
writeFileSync(`${results}${file}`, JSON.stringify({ machine: machineLine, quick, rows: all }, null, 1))
console.log(`${machineLine}\nresults: test/bench/results/${file}`)
if (all.some(({ cases }) => cases.some((one) => one.targets.some(({ failures }) => failures.length > 0)))) process.exitCode = 1
