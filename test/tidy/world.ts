/**
 * Rules that keep the world (clock, random, environment, console, timers, network, disk) out of the pure parts, and that keep
 * chance out of Yjs documents. The compiler refuses what it knows by type; these are the names that it cannot tell apart.
 */

import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { roomOf } from './arrows.js'
import { isCode, lineAt, refuse, type Source, type Violation } from './source.js'

/** What may touch the world, by room: folders and files directly under `src`. Test code is no product and not held to it. */
const worldly: Readonly<Record<string, readonly string[]>> = {
  core: ['io'],
  regions: ['io'],
  client: ['io', 'react'],
  server: ['io', 'cli', 'http', 'auth', 'console', 'node.ts'],
}

/** Modules of lib0 that read a clock, a random source or an environment, set timers or touch the browser; the bare name loads them all. */
const lib0World = new Set(
  'lib0 broadcastchannel dom environment eventloop indexeddb indexeddbV2 isomorphic logging performance promise random storage testing time webcrypto websocket'
    .split(' ')
    .map((name) => (name === 'lib0' ? name : `lib0/${name}`)),
)

/** Packages that are nothing but the world; their types are not needed in a pure part either. */
const worldPackages = new Set(['ws', 'libsql', 'pino', '@hono/node-server', 'y-protocols/awareness'])

const worldNames: readonly (readonly [RegExp, string])[] = [
  [/\bDate\s*\.\s*now\b|\bnew\s+Date\b|(?<![.\w$])Date\s*\(/, 'the clock'],
  [/(?<![.\w$])performance\s*\./, 'the clock'],
  [/\bMath\s*\.\s*random\b/, 'chance'],
  [/(?<![.\w$])crypto\s*\./, 'chance'],
  [/(?<![.\w$])process\s*\./, 'the process'],
  [/(?<![.\w$])console\s*\./, 'the console'],
  [/(?<![.\w$])(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/, 'a timer'],
  [/(?<![.\w$])(?:globalThis\b|fetch\s*\(|import\s*\.\s*meta\b)/, 'the world'],
]

export function isPure(path: string): boolean {
  const room = roomOf(path)
  const open = room === undefined ? undefined : worldly[room]
  const [, source, first = ''] = path.split('/')
  return open !== undefined && source === 'src' && isCode(path) && !open.includes(first)
}

/** A clock, random source, timer, process, console or network named in a pure part. */
export function refuseWorldNames(files: readonly Source[]): Violation[] {
  return pure(files).flatMap((file) =>
    worldNames.flatMap(([pattern, what]) => refuse(file, 'code', pattern, `${what} in a pure part`)),
  )
}

/** A module of Node.js, of lib0 or of a package that is the world, imported in a pure part. */
export function refuseWorldModules(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  for (const file of pure(files)) {
    for (const { specifier, line } of file.imports) {
      const name = specifier.replace(/\.js$/, '')
      if (specifier.startsWith('node:') || builtinModules.includes(name) || lib0World.has(name) || worldPackages.has(name)) {
        found.push({ path: file.path, line, message: `the world imported in a pure part: ${specifier}` })
      }
    }
  }
  return found
}

/** A pure file that imports a file of its own room, or a module of another, that touches the world. */
export function refuseWorldFiles(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  for (const file of pure(files)) {
    for (const { specifier, line } of file.imports) {
      const own = specifier.startsWith('.') ? posix.join(posix.dirname(file.path), specifier).replace(/\.js$/, '.ts') : undefined
      const other = /^@meridian\/(\w+)\/(.+)$/.exec(specifier)
      const target = own ?? (other === null ? undefined : `${other[1]}/src/${other[2]}.ts`)
      if (target !== undefined && roomOf(target) !== undefined && !isPure(target)) {
        found.push({ path: file.path, line, message: `a pure file imports one that touches the world: ${specifier}` })
      }
    }
  }
  return found
}

/** How many statements after `new Y.Doc()` may pass before its clientID is set. */
const statementsMax = 2

/** A Yjs document with a client id drawn by chance: two runs differ, and a resent edit would come under a second name. */
export function refuseRandomDocs(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  for (const file of files) {
    if (!/^(core|regions|server|client)\/src\//.test(file.path) || !file.imports.some((one) => one.specifier === 'yjs')) continue
    for (const match of file.code.matchAll(constructorOf(file.text))) {
      const window = statementsFrom(file.code, match.index)
      const target = /([\w$.#]+)\s*(?::[^=\n]*)?=\s*$/.exec(file.code.slice(0, match.index))?.[1]
      const named = target === undefined ? '[\\w$.#)\\]]+' : target.replace(/[.$]/g, '\\$&')
      if (new RegExp(`(?<![\\w$.])${named}\\.clientID\\s*=(?!=)`).test(window)) continue
      if (/Object\.assign\(\s*$/.test(file.code.slice(0, match.index)) && /\bclientID\b/.test(window)) continue
      found.push({
        path: file.path,
        line: lineAt(file.text, match.index),
        message: `a ${match[0]}…) whose clientID is left to chance`,
      })
    }
  }
  return found
}

const pure = (files: readonly Source[]): Source[] => files.filter((file) => isPure(file.path))

/** `new Y.Doc(` and `new Doc(` under the names that this file gives to yjs and to its Doc. */
function constructorOf(text: string): RegExp {
  const constructors: string[] = []
  for (const [, clause = ''] of text.matchAll(/import\s+([^'";]+?)\s+from\s+['"]yjs['"]/g)) {
    const space = /\*\s+as\s+([\w$]+)/.exec(clause)?.[1]
    if (space !== undefined) constructors.push(`${space}\\s*\\.\\s*Doc`)
    const named = /\bDoc\b(?:\s+as\s+([\w$]+))?/.exec(clause)
    if (named !== null) constructors.push(named[1] ?? 'Doc')
  }
  // With no name given to it the class cannot be constructed; a pattern that never matches.
  return new RegExp(constructors.length > 0 ? `\\bnew\\s+(?:${constructors.join('|')})\\s*\\(` : '(?!)', 'g')
}

/** The code from an offset to the end of its statement and of the next ones, or to the end of the block. */
function statementsFrom(code: string, start: number): string {
  let depth = 0
  let statements = 0
  for (let offset = start; offset < code.length; offset++) {
    const character = code[offset] ?? ''
    if ('([{'.includes(character)) depth++
    else if (')]'.includes(character)) depth = Math.max(0, depth - 1)
    else if (character === '}' && --depth < 0) return code.slice(start, offset)
    const ends =
      character === ';' || (character === '\n' && !/^\s*(?:[.?:+\-*/%&|=<>,)\]}\n]|$)/.test(code.slice(offset + 1, offset + 80)))
    if (depth === 0 && ends && ++statements > statementsMax) return code.slice(start, offset)
  }
  return code.slice(start)
}
