/**
 * Rules about who may import whom: arrows between rooms, and cycles inside one.
 */

import { posix } from 'node:path'
import { isCode, type Source, type Violation } from './source.js'

/** ARCHITECTURE, "Rooms and arrows". A room that is missing here may import none. */
export const arrows: Readonly<Record<string, readonly string[]>> = {
  core: [],
  regions: ['core'],
  server: ['core', 'regions'],
  client: ['core'],
  test: ['core', 'regions', 'server', 'client'],
}

/** Published scope of the rooms. */
export const scope = '@meridian/'

export function roomOf(path: string): string | undefined {
  const room = path.slice(0, Math.max(0, path.indexOf('/')))
  return room in arrows ? room : undefined
}

/** An import of a room that no arrow leads to, of one's own room by name, or past the public door of a package. */
export function refuseArrows(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  for (const file of files) {
    const room = roomOf(file.path)
    if (room === undefined) continue
    for (const { specifier, line } of file.imports) {
      if (!specifier.startsWith(scope)) continue
      const [target = '', ...inside] = specifier.slice(scope.length).split('/')
      if (target === room)
        found.push({ path: file.path, line, message: `a room imports itself by path, not by name: ${specifier}` })
      else if (!(arrows[room] ?? []).includes(target)) {
        found.push({ path: file.path, line, message: `no arrow leads from ${room} to ${target}: ${specifier}` })
      }
      if (inside[0] === 'dist' || inside[0] === 'src') {
        found.push({ path: file.path, line, message: `the door of a package is its exports: ${specifier}` })
      }
    }
  }
  return found
}

/** A relative import that ends outside the room that it stands in. */
export function refuseLeavingRoom(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  for (const file of files) {
    const room = roomOf(file.path)
    if (room === undefined) continue
    for (const { specifier, line } of file.imports) {
      if (/^(?:\/|file:)/.test(specifier))
        found.push({ path: file.path, line, message: `an import by absolute path: ${specifier}` })
      if (!specifier.startsWith('.')) continue
      const target = posix.join(posix.dirname(file.path), specifier)
      if (!target.startsWith(`${room}/`))
        found.push({ path: file.path, line, message: `a relative import leaves ${room}: ${specifier}` })
    }
  }
  return found
}

/** Files of one room that import each other in a ring; imports of types count, because a reader walks them too. */
export function refuseCycles(files: readonly Source[]): Violation[] {
  const graph = new Map<string, { target: string; line: number }[]>()
  const paths = new Set(files.map((file) => file.path))
  for (const file of files) {
    if (!isCode(file.path)) continue
    const edges: { target: string; line: number }[] = []
    for (const { specifier, line } of file.imports) {
      const target = specifier.startsWith('.') ? resolve(file.path, specifier, paths) : undefined
      if (target !== undefined) edges.push({ target, line })
    }
    graph.set(file.path, edges)
  }
  const found: Violation[] = []
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (path: string): void => {
    trail.push(path)
    for (const { target, line } of graph.get(path) ?? []) {
      const start = trail.indexOf(target)
      if (start >= 0) found.push({ path, line, message: `an import cycle: ${[...trail.slice(start), target].join(' → ')}` })
      else if (!done.has(target)) visit(target)
    }
    trail.pop()
    done.add(path)
  }
  for (const path of graph.keys()) if (!done.has(path)) visit(path)
  return found
}

/** TypeScript writes `./x.js` for what is `./x.ts` or `./x.tsx` in the sources. */
function resolve(from: string, specifier: string, paths: ReadonlySet<string>): string | undefined {
  const target = posix.join(posix.dirname(from), specifier)
  const stem = target.replace(/\.m?js$/, '')
  return [target, `${stem}.ts`, `${stem}.tsx`, `${stem}.mts`].find((path) => paths.has(path))
}
