/** Builds the page into server/page, from where `meridian cluster` serves it. The folder is replaced only when all of it is there. */

import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const target = fileURLToPath(new URL('../../server/page/', import.meta.url))
const draft = join(target, `../page.${process.pid}.tmp`)

try {
  await mkdir(join(draft, 'assets'), { recursive: true })
  await cp(join(here, '../notes/public/icon.svg'), join(draft, 'icon.svg'))
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: ['src/main.tsx'],
    outdir: join(draft, 'assets'),
    entryNames: '[name]-[hash]',
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    legalComments: 'none',
    logLevel: 'warning',
    metafile: true,
  })
  const built = Object.keys(metafile.outputs).map((path) => basename(path))
  const named = (extension) => `/assets/${built.find((name) => name.endsWith(extension))}`
  const page = await readFile(join(here, 'index.html'), 'utf8')
  await writeFile(join(draft, 'index.html'), page.replace('%STYLE%', named('.css')).replace('%SCRIPT%', named('.js')))
  await rm(target, { recursive: true, force: true })
  await rename(draft, target)
} finally {
  await rm(draft, { recursive: true, force: true })
}
