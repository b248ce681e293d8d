/** Somebody as a coloured circle with initials. The name stands beside it, or in what holds it. */

import { colorOf } from './device.js'

export function Avatar({ name, color }: { readonly name: string; readonly color: number }) {
  return (
    <span className="avatar" style={{ backgroundColor: colorOf({ name, color }) }} aria-hidden="true">
      {initials(name)}
    </span>
  )
}

const initials = (name: string): string =>
  name
    .trim()
    .split(/\s+/)
    .slice(0, 2)
    .map((word) => [...word][0]?.toUpperCase() ?? '')
    .join('')
