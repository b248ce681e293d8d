/** What a page pays for the client: bundled and minified as a user's esbuild does it, in gzip, without Yjs. */

import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Metafile } from 'esbuild'
import { expect, test } from 'vitest'

/**
 * Bytes that are loaded before the first document opens, and all together; whoever makes them smaller lowers them. The goal is 14 KB.
 * y-websocket alone is 5.5 KB, Hocuspocus' provider with y-indexeddb 9.9, automerge-repo with its adapters 53.5.
 */
const firstBytesMax = 26_200
const bytesMax = 40_000

test('the client for browsers stays within its size', async () => {
  const { outputFiles, metafile } = await build({
    stdin: { contents: "export * from '@meridian/client'", resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
    bundle: true,
    splitting: true,
    minify: true,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    external: ['yjs'],
    absWorkingDir: '/',
    outdir: '/out',
    write: false,
    logLevel: 'silent',
  })
  const first = loadedFirst(metafile)
  let firstBytes = 0
  let bytes = 0
  for (const { path, contents } of outputFiles) {
    const size = gzipSync(contents, { level: 9 }).length
    bytes += size
    if (first.has(path)) firstBytes += size
  }
  expect(bytes).toBeLessThan(bytesMax)
  expect(firstBytes).toBeLessThan(firstBytesMax)
  // A bundle that holds nothing would pass, too, and so would one that has nothing to load later.
  expect(firstBytes).toBeGreaterThan(5_000)
  expect(bytes).toBeGreaterThan(firstBytes)
})

/** The entry, and what it imports before it runs. */
function loadedFirst({ outputs }: Metafile): Set<string> {
  const found = new Set<string>()
  const add = (name: string): void => {
    found.add(`/${name}`)
    for (const { path, kind } of outputs[name]?.imports ?? [])
      if (kind === 'import-statement' && path in outputs && !found.has(`/${path}`)) add(path)
  }
  for (const [name, { entryPoint }] of Object.entries(outputs)) if (entryPoint === '<stdin>') add(name)
  return found
}
