/**
 * Builds the app into server/app, from where a node in development mode serves it. Whatever is named by its content stands in `assets/`
 * and may be kept for ever; the rest is asked for anew. The folder is replaced only when all of it is there.
 */

import { createHash } from 'node:crypto'
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const target = fileURLToPath(new URL('../../server/app/', import.meta.url))
const draft = join(target, `../app.${process.pid}.tmp`)

/** @type {import('esbuild').BuildOptions} */
const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"' },
  legalComments: 'none',
  logLevel: 'warning',
}

try {
  await rm(draft, { recursive: true, force: true })
  await mkdir(join(draft, 'assets'), { recursive: true })
  await cp(join(here, 'public'), draft, { recursive: true })

  const { metafile } = await build({
    ...common,
    entryPoints: ['src/main.tsx'],
    outdir: join(draft, 'assets'),
    splitting: true,
    entryNames: '[name]-[hash]',
    metafile: true,
  })
  const built = Object.keys(metafile.outputs).map((path) => basename(path))
  const named = (pattern) => `/assets/${built.find((name) => pattern.test(name))}`
  // What the first script will ask for is asked for with it.
  const preloads = built
    .filter((name) => name.endsWith('.js') && !name.startsWith('main-'))
    .map((name) => `<link rel="modulepreload" href="/assets/${name}" />`)
  const page = await readFile(join(here, 'index.html'), 'utf8')
  await writeFile(
    join(draft, 'index.html'),
    page
      .replace('%STYLE%', named(/\.css$/))
      .replace('%SCRIPT%', named(/^main-.*\.js$/))
      .replace('<!-- preloads -->', preloads.join('\n    ')),
  )

  const files = (await filesOf(draft)).toSorted()
  const hash = createHash('sha256')
  for (const path of files) hash.update(path).update(await readFile(join(draft, path)))
  await build({
    ...common,
    entryPoints: ['src/service-worker.ts'],
    outfile: join(draft, 'service-worker.js'),
    format: 'iife',
    define: {
      version: JSON.stringify(hash.digest('hex').slice(0, 16)),
      precache: JSON.stringify(files.map((path) => (path === 'index.html' ? '/' : `/${path}`))),
    },
  })

  await rm(target, { recursive: true, force: true })
  await rename(draft, target)
} finally {
  await rm(draft, { recursive: true, force: true })
}

/** Paths of all files in a folder, with forward slashes. */
async function filesOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath ?? entry.path, entry.name)
        .slice(folder.length + 1)
        .replaceAll('\\', '/'),
    )
}
