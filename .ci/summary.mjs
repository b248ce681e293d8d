/**
 * Sums up the steps of CI: `node summary.mjs NAME=EXIT[=REPORT]…`, where a step with a report of vitest is a run of tests.
 * Its last line is `N passed, N failed`.
 *
 * A file that could not be loaded holds no test that failed, a run that broke leaves no report, and an error outside every test
 * fails none: each counts as one that failed, and so does a step that ended with anything but 0, and a run without a single test.
 */

import { existsSync, readFileSync } from 'node:fs'

let passed = 0
let failed = 0
for (const step of process.argv.slice(2)) {
  const [name, exit, path] = step.split('=')
  const tests = path === undefined ? { passed: 0, failed: 0, note: '' } : readReport(path)
  if (tests.failed === 0 && exit !== '0') tests.failed = 1
  console.log(`${name}: ${path === undefined ? '' : `${tests.passed} passed, ${tests.failed} failed, `}exit ${exit}${tests.note}`)
  passed += tests.passed
  failed += tests.failed
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1

function readReport(path) {
  if (!existsSync(path)) return { passed: 0, failed: 1, note: ', no report: the run did not get as far as its tests' }
  const report = JSON.parse(readFileSync(path, 'utf8'))
  const passed = report.numPassedTests
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((one) => one.status !== 'failed'),
  )
  const failed = report.numFailedTests + broken.length
  const skipped = report.numPendingTests + report.numTodoTests
  const note = skipped > 0 ? `, ${skipped} skipped` : ''
  return { passed, failed: failed === 0 && (!report.success || passed === 0) ? 1 : failed, note }
}
