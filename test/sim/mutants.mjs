// Planted bugs: named patches of sources (mutants/*.json), each a mistake that a good engineer could make. `npm run sim -- --mutants` runs each in a
// process of its own until a seed finds it. Production files hold no switch: a patch is applied while the simulator loads the module. A patch that
// does not apply any more, exactly once, fails the run.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = new URL('./mutants/', import.meta.url)
const root = new URL('../../', import.meta.url)

/**
 * @typedef {{ name: string, breaks: string, file: string, find: string[], replace: string[], story: string, from?: number, survives?: string }} Mutant
 * `from`: the seed that finds it, which is tried first. `survives`: why no seed can find it yet.
 */

/** @returns {Mutant[]} */
export function mutants() {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => ({ name: name.slice(0, -5), ...JSON.parse(readFileSync(new URL(name, folder), 'utf8')) }))
}

/**
 * The source with the mistake in it.
 *
 * @param {Mutant} mutant
 */
export function applied({ name, file, find, replace }) {
  const source = readFileSync(new URL(file, root), 'utf8')
  const parts = source.split(find.join('\n'))
  if (parts.length !== 2) throw new Error(`mutant ${name}: its lines stand ${parts.length - 1} times in ${file}, and not once`)
  return parts.join(replace.join('\n'))
}

/**
 * Runs seeds until one fails. @returns what the child said last.
 *
 * @param {Mutant} mutant @param {number} from @param {number} count @param {number} seconds
 * @returns {Promise<{ seed: number | undefined, seeds: number, wrong: string }>}
 */
function run(mutant, from, count, seconds) {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        '--max-semi-space-size=64',
        '--import',
        new URL('./mutant-hook.mjs', import.meta.url).href,
        fileURLToPath(new URL('./mutant-run.mjs', import.meta.url)),
        String(from),
        String(count),
        String(seconds),
      ],
      { env: { ...process.env, MERIDIAN_MUTANT: mutant.name }, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let text = ''
    child.stdout.on('data', (data) => {
      text += data
    })
    child.on('error', reject)
    child.on('close', (code) => {
      const line = text.trimEnd().split('\n').at(-1) ?? ''
      if (code === 0) resolve(JSON.parse(line))
      else reject(new Error(`mutant ${mutant.name}: its process left with ${code}`))
    })
  })
}

/**
 * @param {{ only: string | undefined, seeds: number, minutes: number }} options
 * @returns {Promise<number>} what the process leaves with
 */
export async function hunt({ only, seeds, minutes }) {
  const all = mutants().filter(({ name }) => only === undefined || name === only)
  for (const mutant of all) applied(mutant)
  let dead = 0
  const alive = []
  const secondsEach = (minutes * 60) / Math.max(1, all.length)
  for (const mutant of all) {
    if (mutant.survives !== undefined) {
      alive.push(`${mutant.name}: ${mutant.survives}`)
      continue
    }
    // The seed that is known to find it comes first, and then the first thousand.
    let found = mutant.from === undefined ? undefined : await run(mutant, mutant.from, 1, 600)
    if (found?.seed === undefined) found = await run(mutant, 1, seeds, secondsEach)
    if (found.seed === undefined) alive.push(`${mutant.name}: not found by ${found.seeds} seeds (${mutant.breaks})`)
    else dead++
    process.stdout.write(
      `${found.seed === undefined ? 'alive' : 'dead '} ${mutant.name.padEnd(36)} ${mutant.breaks.padEnd(6)} ${found.seed === undefined ? `${found.seeds} seeds` : `seed ${found.seed}`} ${found.wrong.slice(0, 100)}\n`,
    )
  }
  process.stdout.write(`mutants: ${dead} of ${all.length} die within ${seeds} seeds\n`)
  for (const line of alive) process.stdout.write(`  alive: ${line}\n`)
  return dead / Math.max(1, all.length) >= 0.95 ? 0 : 1
}
