/**
 * Suites of peers, unmodified, against our node and our stores: `npm run interop`. What npm packages export runs as it is; what needs a checkout
 * is looked for beside this repository, `../hocuspocus`, or where `HOCUSPOCUS_CHECKOUT` says, and without one counts as not passed.
 * It leaves with 1 if a test fails for which suites.mjs has no reason.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suites } from './suites.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'meridian-interop-'))
let unexplained = 0

try {
  for (const [index, suite] of suites.entries()) report(suite, run(suite, join(folder, `${index}.json`)))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = unexplained > 0 ? 1 : 0

/** @returns {{ notRun: string } | { tests: { title: string, passed: boolean, why: string }[] }} */
function run({ config, filters = [], checkout, notRun }, file) {
  if (notRun !== undefined) return { notRun }
  const environment = { ...process.env }
  if (checkout !== undefined) {
    const place = resolve(root, process.env[checkout.variable] ?? join('..', checkout.name))
    if (!existsSync(join(place, checkout.contains))) return { notRun: 'no checkout' }
    environment[checkout.variable] = place
  }
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const flags = ['--config', join('test/interop', config), '--reporter', 'json', '--outputFile', file]
  const { stdout, stderr } = spawnSync(process.execPath, [vitest, 'run', ...flags, ...filters], {
    cwd: root,
    env: environment,
    encoding: 'utf8',
  })
  if (!existsSync(file)) throw new Error(`vitest said nothing of its results:\n${stdout}\n${stderr}`)
  const { testResults } = JSON.parse(readFileSync(file, 'utf8'))
  const tests = testResults.flatMap(({ assertionResults, message, name }) =>
    assertionResults.length === 0
      ? [{ title: name, passed: false, why: message }]
      : assertionResults.map(({ title, status, failureMessages }) => ({
          title,
          passed: status === 'passed',
          why: failureMessages.join(' ').split('\n')[0],
        })),
  )
  return { tests }
}

function report({ name, reasons = {} }, { notRun, tests }) {
  console.log(`\n${name}`)
  if (tests === undefined) {
    console.log(`  not run: ${notRun}`)
    return
  }
  console.log(`  passes ${tests.filter(({ passed }) => passed).length} of ${tests.length}`)
  for (const { title, passed, why } of tests) {
    if (passed) continue
    const [, reason] = Object.entries(reasons).find(([beginning]) => title.startsWith(beginning)) ?? []
    if (reason === undefined) unexplained++
    console.log(`  ✗ ${title}: ${reason ?? why}`)
  }
}
