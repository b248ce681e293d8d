/** The tests of Hocuspocus' provider from a checkout, `HOCUSPOCUS_CHECKOUT`, as they are; what they import is what is installed here, and a node. */

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const installed = (name: string): string => fileURLToPath(import.meta.resolve(name))
const checkout = process.env['HOCUSPOCUS_CHECKOUT'] ?? ''

export default defineConfig({
  root: checkout,
  server: { fs: { strict: false } },
  resolve: {
    alias: [
      { find: /^ava$/, replacement: here('ava.ts') },
      { find: /^\.\.\/utils\/index\.ts$/, replacement: here('hocuspocus-server.ts') },
      { find: /^@hocuspocus\/provider$/, replacement: installed('@hocuspocus/provider') },
      { find: /^yjs$/, replacement: installed('yjs') },
    ],
  },
  test: {
    include: ['tests/provider/*.ts'],
    setupFiles: [here('hocuspocus-setup.ts')],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 10_000,
    hookTimeout: 60_000,
  },
})
