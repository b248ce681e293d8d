// A module loader: what the compiler made of one source is replaced by that source with a planted bug.

import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import { applied, mutants } from './mutants.mjs'

let target = ''
let source = ''

/** @param {{ name: string }} data */
export async function initialize({ name }) {
  const mutant = mutants().find((one) => one.name === name)
  if (mutant === undefined) throw new Error(`no mutant ${name}`)
  const { code } = await transform(applied(mutant), { loader: 'ts', format: 'esm', target: 'es2022' })
  source = code
  // `core/src/a.ts` is built as `core/dist/a.js`, `test/sim/a.ts` as `test/dist/sim/a.js`.
  const built = mutant.file.startsWith('test/')
    ? mutant.file.replace('test/', 'test/dist/')
    : mutant.file.replace('/src/', '/dist/')
  target = `/${built.replace(/\.ts$/, '.js')}`
}

/**
 * @param {string} url
 * @param {object} context
 * @param {(url: string, context: object) => Promise<object>} next
 */
export async function load(url, context, next) {
  if (!url.startsWith('file:') || !fileURLToPath(url).endsWith(target)) return next(url, context)
  return { format: 'module', source, shortCircuit: true }
}
