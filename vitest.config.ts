/**
 * Tests run from their sources; what they import by package name (`@meridian/core/…`) is what `tsc -b` built, through the `exports`
 * of each package: the same files that a user gets.
 */

import { defineConfig } from 'vitest/config'

/** Where CI wants the results as JSON; unset in daily work. */
const report = process.env['MERIDIAN_TEST_REPORT']

const notOurs = ['**/node_modules/**', '**/dist/**']

/** Minutes of real processes, whose version of Node.js says little, so that `.ci/run` runs them once. */
const processes = ['test/e2e/**/*.test.ts', 'test/oracle/**/*.test.ts']

export default defineConfig({
  test: {
    environment: 'node',
    projects: [
      {
        extends: true,
        test: { name: 'node', include: ['test/**/*.test.ts'], exclude: [...notOurs, ...processes, 'test/browser/**'] },
      },
      { extends: true, test: { name: 'e2e', include: processes, exclude: notOurs } },
      {
        extends: true,
        // A browser takes seconds where other work runs beside it; a test that hangs is told by its steps, which have limits of their own.
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          exclude: notOurs,
          globalSetup: ['test/browser/setup.ts'],
          testTimeout: 240_000,
          hookTimeout: 120_000,
        },
      },
    ],
    // A process a file: a test that leaks a handle, a global or a crash harms no other. Two at once, because sim and e2e use whole cores.
    pool: 'forks',
    maxWorkers: 2,
    // Built files are loaded by Node.js itself, at full speed, not transformed once more on the way.
    server: { deps: { external: [/\/dist\//] } },
    // For a machine that does ten things at once: a test that hangs fails all the same, only later.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
})
