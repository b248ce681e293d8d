/**
 * Rules about who may import whom: arrows between rooms, cycles inside one, and what each room's package.json declares.
 */

import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { isCode, type Source, type Violation } from './source.js'

/** ARCHITECTURE, "Rooms and arrows". A room that is missing here may import none. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  core: [],
  regions: ['core'],
  server: ['core', 'regions'],
  client: ['core'],
  test: ['core', 'regions', 'server', 'client'],
}

/** Published scope of the rooms. */
const scope = '@meridian/'

/** Until it exists, a dependency may be declared ahead of the code that will use it. */
const compositionRoot = 'server/src/node.ts'

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

/** A package that is imported and that the nearest package.json does not declare. Tests may also import what the top one declares. */
export function refuseUndeclared(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  const top = names(manifestOf(files, 'package.json').devDependencies)
  for (const [path, covered] of packages(files)) {
    const manifest = manifestOf(files, path)
    const forTests = path === 'test/package.json' ? [...names(manifest.devDependencies), ...top] : []
    const declared = new Set([...shipped(manifest), ...forTests])
    for (const file of covered) {
      for (const { specifier, line } of file.imports) {
        const name = packageOf(specifier)
        if (name === undefined || declared.has(name)) continue
        found.push({ path: file.path, line, message: `${path} does not declare ${name}` })
      }
    }
  }
  return found
}

/** A package that a room's package.json declares and no file of the room names. */
export function refuseUnused(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  if (!files.some((file) => file.path === compositionRoot)) return found
  for (const [path, covered] of packages(files)) {
    // A folder that installs for itself also declares what its packages want beside them.
    if (path !== `${roomOf(path)}/package.json`) continue
    const manifest = manifestOf(files, path)
    const used = new Set<string | undefined>()
    for (const file of covered) {
      for (const { specifier } of file.imports) used.add(packageOf(specifier))
      // `createRequire` and `import.meta.resolve` name a package in a string that is no import.
      for (const match of file.text.matchAll(/\b(?:require|resolve)\w*\(\s*['"]([^'"]+)['"]/g))
        used.add(packageOf(match[1] ?? ''))
    }
    for (const name of [...shipped(manifest), ...names(manifest.devDependencies)]) {
      // Arrows between rooms are architecture, declared whether or not a file walks them yet; types come with no import.
      if (name.startsWith(scope) || name.startsWith('@types/') || used.has(name)) continue
      found.push({ path, line: 1, message: `no file of this room imports ${name}` })
    }
  }
  return found
}

/** The package.json of each room, and of each folder in a room that installs for itself, with the code files that it speaks for. */
function packages(files: readonly Source[]): Map<string, Source[]> {
  const manifests = new Set([...Object.keys(arrows).map((room) => `${room}/package.json`), ...files.map((file) => file.path)])
  const covered = new Map<string, Source[]>()
  for (const path of manifests) if (path.endsWith('/package.json') && roomOf(path) !== undefined) covered.set(path, [])
  for (const file of files) {
    if (!isCode(file.path)) continue
    let folder = posix.dirname(file.path)
    while (folder !== '.' && !covered.has(`${folder}/package.json`)) folder = posix.dirname(folder)
    covered.get(`${folder}/package.json`)?.push(file)
  }
  return covered
}

interface Manifest {
  readonly dependencies: unknown
  readonly peerDependencies: unknown
  readonly optionalDependencies: unknown
  readonly devDependencies: unknown
}

function manifestOf(files: readonly Source[], path: string): Manifest {
  const text = files.find((file) => file.path === path)?.text ?? '{}'
  const none = { dependencies: {}, peerDependencies: {}, optionalDependencies: {}, devDependencies: {} }
  const parsed: unknown = JSON.parse(text)
  return { ...none, ...(typeof parsed === 'object' ? parsed : {}) }
}

const names = (table: unknown): string[] => (typeof table === 'object' && table !== null ? Object.keys(table) : [])

const shipped = (manifest: Manifest): string[] => [
  ...names(manifest.dependencies),
  ...names(manifest.peerDependencies),
  ...names(manifest.optionalDependencies),
]

/** The package of an import, or undefined for a path, a builtin of Node.js and a package's own `#` imports. */
function packageOf(specifier: string): string | undefined {
  if (/^[./#]|^(?:node|file|data):/.test(specifier)) return undefined
  const parts = specifier.split('/')
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
  return builtinModules.includes(name) ? undefined : name
}

/** TypeScript writes `./x.js` for what is `./x.ts` or `./x.tsx` in the sources. */
function resolve(from: string, specifier: string, paths: ReadonlySet<string>): string | undefined {
  const target = posix.join(posix.dirname(from), specifier)
  const stem = target.replace(/\.m?js$/, '')
  return [target, `${stem}.ts`, `${stem}.tsx`, `${stem}.mts`].find((path) => paths.has(path))
}
