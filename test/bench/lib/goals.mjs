// What a row is, and the goals that its figures are judged by.

/**
 * @typedef {object} Goal
 * @property {string} text
 * @property {(summary: Summary, at: Lookup) => boolean | undefined} met undefined if it cannot be told from this run.
 */

/** @typedef {{ median: number, min: number, max: number, count: number }} Summary of one figure over the repeats. */

/** @typedef {(where: { target?: string, caseName?: string }) => number | undefined} Lookup the same figure's median elsewhere in this run. */

/**
 * @typedef {object} Figure
 * @property {string} key in what `generate` returns; null there prints as a dash.
 * @property {string} label
 * @property {number} digits
 * @property {boolean} [ratio] print it as a multiple of the peers' and the durable relay's.
 * @property {Goal} [goal] for `meridian`.
 * @property {(params: any) => Goal | undefined} [goalFor] the same by case.
 */

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {string} title
 * @property {(options: { quick: boolean }) => any[]} cases parameters, each with `name` and `timeoutMs`.
 * @property {Figure[]} figures
 * @property {string[]} [notes]
 * @property {(target: import('./types.mjs').Target) => boolean} [only]
 * @property {(params: any) => Record<string, unknown>} [prepare] run once before the case, outside any measured process.
 * @property {(bench: import('../generator.mjs').Bench) => Promise<Record<string, any>>} [generate] runs in the generator.
 * @property {(run: any) => Promise<Record<string, any>>} [drive] runs in the runner, instead of `generate`.
 */

const number = (/** @type {number} */ value) => value.toLocaleString('en')

/** @param {number} limit @returns {Goal} */
export const atMost = (limit) => ({ text: `≤ ${number(limit)}`, met: ({ median }) => median <= limit })
/** @param {number} limit @returns {Goal} */
export const atLeast = (limit) => ({ text: `≥ ${number(limit)}`, met: ({ median }) => median >= limit })
/** In every run, not only in the median. @param {number} value @returns {Goal} */
export const exactly = (value) => ({ text: `${value}`, met: ({ min, max }) => min === value && max === value })
/** @param {string} target @param {number} share @returns {Goal} */
export const atLeastShareOf = (target, share) => ({
  text: `≥ ${share} × ${target}`,
  met({ median }, at) {
    const other = at({ target })
    return other === undefined ? undefined : median >= other * share
  },
})
/** @param {string} caseName @param {number} share @returns {Goal} */
export const withinOf = (caseName, share) => ({
  text: `as with ${caseName} ±${share * 100} %`,
  met({ median }, at) {
    const other = at({ caseName })
    return other === undefined ? undefined : Math.abs(median - other) <= other * share
  },
})
