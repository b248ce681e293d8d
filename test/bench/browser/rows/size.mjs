// What a page pays for the client: bundled and minified as an app's esbuild does it, in gzip, without the engine.

import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { atMost } from '../../lib/goals.mjs'

/** @type {import('../run.mjs').BrowserRow} */
export const row = {
  name: 'size',
  title: 'bundle of the client, without Yjs or Automerge',
  cases: () => [{ name: 'minified' }],
  figures: [{ key: 'kilobytes', label: 'gzip, KB', digits: 1, goal: atMost(14) }],
  notes: ['KB are 1,000 bytes. Every run gives the same figure.'],
  repeats: 1,
  only: () => true,
  async run({ target }) {
    const { outputFiles } = await build({
      stdin: { contents: target.exports, resolveDir: target.resolveDir },
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      ...(target.external === undefined ? {} : { external: target.external }),
      write: false,
      logLevel: 'silent',
    })
    const [file] = outputFiles
    if (file === undefined || file.contents.length < 5_000) throw new Error('the bundle holds nothing')
    return { kilobytes: gzipSync(file.contents, { level: 9 }).length / 1_000 }
  },
}
