/** What this device remembers beside documents: who somebody says to be, how the app looks, and the token. Small, and read at once. */

import { useSyncExternalStore } from 'react'

export interface Person {
  readonly name: string
  /** An index of `colors`. */
  readonly color: number
}

export type Theme = 'system' | 'light' | 'dark'

/** Each carries white text with a contrast of 4.5 or more, and is told apart from its neighbours by lightness too. */
export const colors = [
  { name: 'Teal', value: '#0f766e' },
  { name: 'Blue', value: '#1d63c4' },
  { name: 'Violet', value: '#7a3fc9' },
  { name: 'Magenta', value: '#b3227f' },
  { name: 'Red', value: '#bf2b31' },
  { name: 'Amber', value: '#9a5b00' },
  { name: 'Olive', value: '#5a6b12' },
  { name: 'Slate', value: '#4b5a6b' },
] as const

export const colorOf = (person: Person): string => colors[person.color]?.value ?? colors[0].value

interface Slot<Value> {
  read(): Value
  write(value: Value): void
  use(): Value
}

export const person = slot<Person>('person', randomPerson(), (value) => {
  const { name, color }: Partial<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {}
  return typeof name === 'string' && name !== '' && typeof color === 'number' && color in colors ? { name, color } : undefined
})

export const theme = slot<Theme>('theme', 'system', (value) =>
  value === 'light' || value === 'dark' || value === 'system' ? value : undefined,
)

/** Whether the node was one of several regions when it was asked last. */
export const hasRegions = slot<boolean>('has-regions', false, (value) => (typeof value === 'boolean' ? value : undefined))

/** Empty for none, as a node in development mode asks for. */
export const token = slot<string>('token', '', (value) => (typeof value === 'string' ? value : undefined))

function slot<Value>(name: string, standard: Value, parse: (value: unknown) => Value | undefined): Slot<Value> {
  const key = `meridian-notes:${name}`
  const listeners = new Set<() => void>()
  let current = load() ?? standard
  function load(): Value | undefined {
    try {
      return parse(JSON.parse(localStorage.getItem(key) ?? 'null'))
    } catch {
      // Blocked site data: the app works for as long as the page is open.
      return undefined
    }
  }
  const tell = (): void => listeners.forEach((listener) => listener())
  // Another tab of this browser.
  addEventListener('storage', (event) => {
    if (event.key !== key) return
    current = load() ?? standard
    tell()
  })
  return {
    read: () => current,
    write(value) {
      current = value
      try {
        localStorage.setItem(key, JSON.stringify(value))
      } catch {
        // As above.
      }
      tell()
    },
    use: () =>
      useSyncExternalStore(
        (listener) => {
          listeners.add(listener)
          return () => listeners.delete(listener)
        },
        () => current,
      ),
  }
}

function randomPerson(): Person {
  const [first = 0, second = 0, color = 0] = crypto.getRandomValues(new Uint8Array(3))
  const adjectives = ['Calm', 'Bright', 'Quiet', 'Swift', 'Gentle', 'Merry', 'Clever', 'Patient']
  const animals = ['Otter', 'Heron', 'Badger', 'Finch', 'Lynx', 'Marten', 'Plover', 'Hare']
  return {
    name: `${adjectives[first % adjectives.length] ?? ''} ${animals[second % animals.length] ?? ''}`,
    color: color % colors.length,
  }
}
