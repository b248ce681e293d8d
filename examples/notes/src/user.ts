/** What this app says of its user in presence, in the form that y-codemirror.next draws cursors from; and what it believes of others. */

import { colorOf, colors, type Person } from './device.js'

export const userOf = (person: Person) => ({
  name: person.name,
  color: colorOf(person),
  colorLight: `${colorOf(person)}33`,
})

const nameLengthMax = 60

/** Undefined for what no version of this app says: a presence state is whatever its client sends. */
export function readUser(value: unknown): Person | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { name, color }: Partial<Record<string, unknown>> = { ...value }
  if (typeof name !== 'string' || name.trim() === '') return undefined
  const number = colors.findIndex((one) => one.value === color)
  return { name: name.trim().slice(0, nameLengthMax), color: Math.max(0, number) }
}
