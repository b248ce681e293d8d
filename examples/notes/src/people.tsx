/** Who else is in a note: circles with their initials, one for each person, however many tabs they have open. */

import type { Handle } from '@meridian/client'
import { usePresence } from '@meridian/client/react'
import { Avatar } from './avatar.js'
import { readUser } from './user.js'

const shownMax = 4

export function People({ handle }: { readonly handle: Handle }) {
  const peers = usePresence(handle)
  const people = new Map<string, { readonly name: string; readonly color: number }>()
  for (const { subject, state } of peers.values()) {
    const user = readUser(state['user'])
    if (user !== undefined) people.set(`${subject}/${user.name}`, user)
  }
  if (people.size === 0) return null
  const names = [...people.values()].map(({ name }) => name).sort()
  const rest = people.size - shownMax
  return (
    <div className="people" role="img" aria-label={`Also here: ${names.join(', ')}`} title={names.join(', ')}>
      {[...people].slice(0, shownMax).map(([key, user]) => (
        <Avatar key={key} name={user.name} color={user.color} />
      ))}
      {rest > 0 ? <span className="avatar more">+{rest}</span> : null}
    </div>
  )
}
