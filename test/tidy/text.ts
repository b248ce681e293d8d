/**
 * Rules about what stands in a file and what it is called: holes in the types, tests that do not run, names that say nothing,
 * and traces of the machine that a file was written on.
 */

import { roomOf } from './arrows.js'
import { isCode, refuse, type Source, type Violation } from './source.js'

/** `any` where a type stands. */
const anyPattern = /(?::|\b(?:as|satisfies|readonly|keyof|extends)\b|=>|[<|&]|<[^<>()=;]*,)\s*any\b(?!\s*[:(.])/
/** A `!` right behind a value: not null because somebody said so. In the text of a page a `!` is followed by a blank or a tag. */
const nonNullPattern = /(?<=[\w$)\]'"`])!(?=\s*[.,;:)\]}[(\n]|\s+(?:as|in|of|[+\-*/%&|?<>])|$)/
/** Built of parts, so that the file of a rule is not what it refuses. */
const tsDirective = new RegExp(`@ts-(?:${['ignore', 'nocheck'].join('|')})\\b`)

/** The type `any`, in whatever place. */
export function refuseAny(files: readonly Source[]): Violation[] {
  return code(files).flatMap((file) => refuse(file, 'code', anyPattern, 'unknown is the type of what is not known'))
}

/** A non-null assertion, `x!` or `x!: T`. */
export function refuseNonNull(files: readonly Source[]): Violation[] {
  return code(files).flatMap((file) => refuse(file, 'code', nonNullPattern, 'check it or assert() it'))
}

/** A comment that switches the compiler off. */
export function refuseTsDirectives(files: readonly Source[]): Violation[] {
  return code(files).flatMap((file) => refuse(file, 'comments', tsDirective, 'the compiler is switched off'))
}

/** An `await` of a module itself, in product code: Node 24 dies if a thread is terminated while what stands behind one is run. */
export function refuseModuleAwait(files: readonly Source[]): Violation[] {
  const pattern = /^(?:(?:export\s+)?(?:const|let)\s[^=\n]*=\s*|for\s+)?await\b/m
  return code(files)
    .filter((file) => roomOf(file.path) !== 'test')
    .flatMap((file) => refuse(file, 'code', pattern, 'a module that awaits; await in a function'))
}

/** A test that is skipped, the only one to run, expected to fail, or still to be written. */
export function refuseIdleTests(files: readonly Source[]): Violation[] {
  const pattern =
    /(?<![.\w$])(?:(?:it|test|describe|suite)(?:\s*\.\s*\w+)*\s*\.\s*(?:skip|only|todo|fails)\b|x(?:it|test|describe)\s*\()/
  return code(files)
    .filter((file) => roomOf(file.path) === 'test')
    .flatMap((file) => refuse(file, 'code', pattern, 'every test runs'))
}

const kebab = /^[a-z0-9]+(?:-[a-z0-9]+)*$/
const nothing = /^(?:.+-)?(?:utils?|helpers?|misc)$|^common$/

/** A file or folder of a room whose name is not kebab-case, or says nothing about what it holds. */
export function refuseNames(files: readonly Source[]): Violation[] {
  const found: Violation[] = []
  for (const { path } of files) {
    if (roomOf(path) === undefined || !isCode(path)) continue
    for (const part of path.split('/')) {
      // What follows the first dot is a kind (`.test.ts`, `.worker.ts`, `.d.ts`), not a name.
      const name = part.split('.')[0] ?? ''
      if (!kebab.test(name)) found.push({ path, line: 1, message: `not kebab-case: ${part}` })
      if (nothing.test(name)) found.push({ path, line: 1, message: `a file is named for what it holds: ${part}` })
    }
  }
  return found
}

/** Top folders that belong to a machine, not to a project. A path of a URL has a host in front of it and is not meant. */
const machinePattern = new RegExp(`(?<![\\w.*\\-})])/(?:${['work', 'root', 'tmp', 'farm', 'home', 'Users'].join('|')})/`)

/** A path of the machine that a file was written on. */
export function refuseMachinePaths(files: readonly Source[]): Violation[] {
  return files.flatMap((file) => refuse(file, 'text', machinePattern, 'a path of one machine'))
}

/** Host names of registries, and any address where a lockfile says what a package was resolved to. */
const registry = ['regis', 'try'].join('')
const registryPattern = new RegExp(
  `\\b(?:${registry}|npm)\\.(?:npmjs|yarnpkg|npmmirror|pkg\\.github)\\b|\\b${registry}\\s*=\\s*http`,
)
const resolvedPattern = /"resolved":\s*"[^"]*:\/\/[^"]*"/

/** The name of a package registry; where packages come from is for whoever installs them to say. */
export function refuseRegistryHosts(files: readonly Source[]): Violation[] {
  return files.flatMap((file) => [
    ...refuse(file, 'text', registryPattern, 'the host of a registry'),
    ...(file.path.endsWith('package-lock.json') ? refuse(file, 'text', resolvedPattern, 'the host of a registry') : []),
  ])
}

const code = (files: readonly Source[]): Source[] => files.filter((file) => isCode(file.path) && roomOf(file.path) !== undefined)
