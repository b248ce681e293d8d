/** What edits of people and programs that know no CRDT share, whatever the engine: pointers (RFC 6901), values, and errors that name what does not fit. */

import type { Edit, PatchOperation } from '../engine.js'
import { MeridianError } from '../errors.js'

/** Says why, for the error that names the operation. */
export class Unfit extends Error {}

/** Runs an edit. @throws MeridianError UPDATE_INVALID that names the operation that was `Unfit` */
export function fitting(
  edit: Edit,
  { operate, merge }: { operate(operation: PatchOperation): void; merge(value: Record<string, unknown>): void },
): void {
  if (edit.kind === 'patch') {
    for (const [index, operation] of edit.operations.entries())
      naming(`Operation ${index} (${operation.op})`, () => operate(operation))
    return
  }
  naming('The patch', () => {
    if (!isObject(edit.value)) throw new Unfit('the document as a whole is an object')
    merge(edit.value)
  })
}

function naming(what: string, run: () => void): void {
  try {
    run()
  } catch (thrown) {
    if (!(thrown instanceof Unfit)) throw thrown
    throw new MeridianError('UPDATE_INVALID', { message: `${what} does not fit: ${thrown.message}.` })
  }
}

/** The parts of a JSON Pointer; none for the whole document. */
export function partsOf(pointer: string): readonly string[] {
  if (pointer === '') return []
  const [before, ...parts] = pointer.split('/')
  if (before !== '') throw new Unfit('a path begins with a slash')
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

export function indexOf(part: string, max: number): number {
  const index = /^(?:0|[1-9][0-9]{0,9})$/.test(part) ? Number(part) : -1
  if (index < 0 || index > max) throw new Unfit('there is no such index')
  return index
}

/** By key, so that equal patches make equal updates. `__proto__` would be no key of a JavaScript object, and engines refuse it. */
export function sorted(value: Record<string, unknown>): [string, unknown][] {
  const entries = Object.entries(value)
  if (entries.some(([key]) => key === '__proto__')) throw new Unfit('__proto__ is no key')
  return entries.sort(([one], [other]) => (one < other ? -1 : 1))
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function equal(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((value, index) => equal(value, other[index]))
  if (isObject(one) && isObject(other)) {
    const keys = Object.keys(one)
    return (
      keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && equal(one[key], other[key]))
    )
  }
  return one === other
}
