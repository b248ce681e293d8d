// The shape of a row. Types only; nothing is exported at run time.

/**
 * One table: `rows/<name>.mjs` exports `row`.
 *
 * @typedef {object} RegionRow
 * @property {string} name
 * @property {string} title
 * @property {boolean} [once] one run a case, however many repeats are asked for: what it counts is the same each time.
 * @property {(how: { quick: boolean, full: boolean }) => (Record<string, any> & { name: string })[]} cases
 * @property {{ key: string, label: string, digits: number, goal?: (params: Record<string, any>) => number | undefined }[]} figures
 * @property {(params: Record<string, any>) => Promise<Record<string, number>>} run
 * @property {string[]} [notes]
 */

export {}
