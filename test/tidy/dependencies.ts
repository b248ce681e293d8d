/**
 * Rules about packages: what each package.json declares, and whether the lockfile can be installed from.
 */

import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { arrows, roomOf, scope } from './arrows.js'
import { isCode, type Source, type Violation } from './source.js'

/** Until it exists, a dependency may be declared ahead of the code that will use it. */
const compositionRoot = 'server/src/node.ts'

/** A package that is imported and that the nearest package.json does not declare. Tests may also import what the top one declares. */
export function refuseUndeclared(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  const top = names(manifestOf(files, 'package.json')['devDependencies'])
  for (const [path, covered] of packages(files)) {
    const manifest = manifestOf(files, path)
    const forTests = path === 'test/package.json' ? [...names(manifest['devDependencies']), ...top] : []
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
    // A room installs the peers of the rooms that it depends on.
    for (const room of shipped(manifest)) {
      if (room.startsWith(scope))
        for (const peer of names(manifestOf(files, `${room.slice(scope.length)}/package.json`)['peerDependencies']))
          used.add(peer)
    }
    for (const name of [...shipped(manifest), ...names(manifest['devDependencies'])]) {
      // Arrows between rooms are architecture, declared whether or not a file walks them yet; types come with no import.
      if (name.startsWith(scope) || name.startsWith('@types/') || used.has(name)) continue
      found.push({ path, line: 1, message: `no file of this room imports ${name}` })
    }
  }
  return found
}

/**
 * A package that the lockfile says may be wanted on some platform, and does not lock. npm install leaves out in silence what its
 * registry lacks; npm ci, on a machine that has never seen the project, then refuses the whole file.
 */
export function refuseIncompleteLock(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  for (const file of files) {
    if (posix.basename(file.path) !== 'package-lock.json') continue
    const locked = Object.entries(table(table(JSON.parse(file.text))['packages']))
    const known = new Set(locked.map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)))
    for (const [path, entry] of locked) {
      for (const name of Object.keys(table(table(entry)['optionalDependencies']))) {
        if (known.has(name)) continue
        found.push({
          path: file.path,
          line: 1,
          message: `${path} may want ${name}, which is not locked: take a version that exists for every platform`,
        })
      }
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

/** What is in an object of a JSON file; nothing, if it is none. */
const table = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {}

const manifestOf = (files: readonly Source[], path: string): Readonly<Record<string, unknown>> =>
  table(JSON.parse(files.find((file) => file.path === path)?.text ?? '{}'))

const names = (value: unknown): string[] => Object.keys(table(value))

const shipped = (manifest: Readonly<Record<string, unknown>>): string[] =>
  ['dependencies', 'peerDependencies', 'optionalDependencies'].flatMap((kind) => names(manifest[kind]))

/** The package of an import, or undefined for a path, a builtin of Node.js and a package's own `#` imports. */
function packageOf(specifier: string): string | undefined {
  if (/^[./#]|^(?:node|file|data):/.test(specifier)) return undefined
  const parts = specifier.split('/')
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
  return builtinModules.includes(name) ? undefined : name
}
