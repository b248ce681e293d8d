/** Suites of peers that their npm packages export. */

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: { include: ['test/interop/*.suite.ts'], pool: 'forks', maxWorkers: 1, testTimeout: 10_000, hookTimeout: 60_000 },
})
