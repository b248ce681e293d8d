/**
 * Sources as text: what stands in a file once comments and the insides of strings are blanked, and what it imports.
 *
 * It is a scanner, not a parser: it knows comments, strings, templates and regular expressions, and that is all that the rules of
 * this folder need. Blanking keeps every offset and every newline, so a position in `code` is a position in `text`.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface Source {
  /** Relative to the top folder, with forward slashes. */
  readonly path: string
  readonly text: string
  /** `text` with comments and the insides of strings, templates and regular expressions replaced by spaces. */
  readonly code: string
  /** `text` with all but the comments replaced by spaces. */
  readonly comments: string
  readonly imports: readonly Import[]
}

export interface Import {
  readonly specifier: string
  readonly line: number
}

export interface Violation {
  readonly path: string
  readonly line: number
  readonly message: string
}

/** One rule: everything in a set of files that it refuses. */
export type Rule = (files: readonly Source[]) => Violation[]

const codePattern = /\.(ts|tsx|mts|mjs|js)$/
const skippedFolders = new Set(['node_modules', 'dist', 'coverage', '.git', '.meridian'])
/** Recorded traces and the like are data that nobody writes by hand; a rule over text has nothing to say there. */
const textBytesMax = 1024 * 1024

export const isCode = (path: string): boolean => codePattern.test(path)

/** The files of a checkout as git sees them, uncommitted ones included; without git, all that no build or install has made. */
export function readTree(root: string): Source[] {
  const sources: Source[] = []
  for (const path of listFiles(root)) {
    const full = join(root, path)
    if (!existsSync(full) || !statSync(full).isFile() || statSync(full).size > textBytesMax) continue
    const text = readFileSync(full, 'utf8')
    if (!text.includes('\u0000')) sources.push(toSource(path, text))
  }
  return sources
}

export function toSource(path: string, text: string): Source {
  if (!isCode(path)) return { path, text, code: '', comments: '', imports: [] }
  const spans = scan(text)
  const code = blank(text, spans)
  const strings = new Map(
    spans.filter((span) => span.kind === 'string').map((span) => [span.start, text.slice(span.start, span.end)]),
  )
  return {
    path,
    text,
    code,
    comments: blank(text, complement(spans, text.length)),
    imports: findImports(code, strings),
  }
}

export function lineAt(text: string, offset: number): number {
  let line = 1
  for (let index = text.indexOf('\n'); index >= 0 && index < offset; index = text.indexOf('\n', index + 1)) line++
  return line
}

/** Every match of a pattern in one of the texts of a source, as violations. */
export function refuse(source: Source, where: 'text' | 'code' | 'comments', pattern: RegExp, message: string): Violation[] {
  const found: Violation[] = []
  for (const match of source[where].matchAll(new RegExp(pattern.source, `${pattern.flags.replace('g', '')}g`))) {
    found.push({
      path: source.path,
      line: lineAt(source.text, match.index),
      message: `${message}: ${match[0].trim().slice(0, 60)}`,
    })
  }
  return found
}

function listFiles(root: string): string[] {
  try {
    const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return [...new Set(listed.toString('utf8').split('\u0000'))].filter((path) => path !== '').toSorted()
  } catch {
    // No git, or a checkout that git does not trust: what it would ignore are the folders that installing, building and running make.
    const paths: string[] = []
    walk(root, '', paths)
    return paths.toSorted()
  }
}

function walk(root: string, folder: string, into: string[]): void {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) {
      if (!skippedFolders.has(entry.name)) walk(root, path, into)
    } else into.push(path)
  }
}

interface Span {
  readonly kind: 'comment' | 'string' | 'template' | 'regex'
  /** The first and the last offset of what is inside the delimiters. */
  readonly start: number
  readonly end: number
}

/** How many characters in front of a slash tell what it is: the longest keyword with some space behind it. */
const lookback = 40
/** A slash after one of these begins a regular expression; after a value it divides. */
const beforeRegex = /(?:^|[(,=:[!&|?{};+\-*%<>~^}]|\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield))\s*$/

function scan(text: string): Span[] {
  const spans: Span[] = []
  /** For each template that is open, how many braces are open inside its current `${`. */
  const templates: number[] = []
  let offset = 0
  /** The code in front of the last comment, and where the code behind it starts: what a slash follows is found across comments. */
  let carried = ''
  let codeStart = 0
  const template = (from: number): number => {
    let end = from
    while (end < text.length && text[end] !== '`' && !text.startsWith('${', end)) end += text[end] === '\\' ? 2 : 1
    spans.push({ kind: 'template', start: from, end: Math.min(end, text.length) })
    if (text[end] === '`') return end + 1
    templates.push(0)
    return end + 2
  }
  const skip = (end: number): void => {
    carried = (carried + text.slice(codeStart, offset)).slice(-lookback)
    offset = end
    codeStart = end
  }
  while (offset < text.length) {
    const character = text[offset]
    const next = text[offset + 1]
    if (character === '/' && next === '/') {
      const end = endOf(text, '\n', offset)
      spans.push({ kind: 'comment', start: offset, end })
      skip(end)
    } else if (character === '/' && next === '*') {
      const end = Math.min(endOf(text, '*/', offset + 2) + 2, text.length)
      spans.push({ kind: 'comment', start: offset, end })
      skip(end)
    } else if (character === "'" || character === '"') {
      const end = endOfQuoted(text, character, offset + 1)
      spans.push({ kind: 'string', start: offset + 1, end })
      offset = end + 1
    } else if (character === '`') {
      offset = template(offset + 1)
    } else if (character === '{' && templates.length > 0) {
      templates.push((templates.pop() ?? 0) + 1)
      offset++
    } else if (character === '}' && templates.length > 0) {
      const depth = templates.pop() ?? 0
      if (depth > 0) templates.push(depth - 1)
      offset = depth > 0 ? offset + 1 : template(offset + 1)
    } else if (
      character === '/' &&
      isRegexStart(carried + text.slice(Math.max(codeStart, offset - lookback), offset), text[offset + 1])
    ) {
      const end = endOfRegex(text, offset + 1)
      if (end > 0) spans.push({ kind: 'regex', start: offset + 1, end })
      offset = end > 0 ? end + 1 : offset + 1
    } else offset++
  }
  return spans
}

function isRegexStart(before: string, next: string | undefined): boolean {
  // `</div>` and `{value} />` are JSX.
  if (before.endsWith('<') || next === '>') return false
  return beforeRegex.test(before)
}

function endOf(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from)
  return end < 0 ? text.length : end
}

/** A quoted string ends at its line at the latest, so that an apostrophe in the text of a page swallows no more than that. */
function endOfQuoted(text: string, quote: string, from: number): number {
  let end = from
  while (end < text.length && text[end] !== quote && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1
  return Math.min(end, text.length)
}

/** @returns the offset of the closing slash, or 0 if the line ends first: then it was a division. */
function endOfRegex(text: string, from: number): number {
  let inClass = false
  for (let end = from; end < text.length && text[end] !== '\n'; end++) {
    if (text[end] === '\\') end++
    else if (text[end] === '[') inClass = true
    else if (text[end] === ']') inClass = false
    else if (text[end] === '/' && !inClass) return end
  }
  return 0
}

function blank(text: string, spans: readonly { start: number; end: number }[]): string {
  let result = ''
  let offset = 0
  for (const span of spans) {
    result += text.slice(offset, span.start) + text.slice(span.start, span.end).replace(/[^\n]/g, ' ')
    offset = span.end
  }
  return result + text.slice(offset)
}

function complement(spans: readonly Span[], length: number): { start: number; end: number }[] {
  const gaps: { start: number; end: number }[] = []
  let offset = 0
  for (const span of spans) {
    if (span.kind !== 'comment') continue
    gaps.push({ start: offset, end: span.start })
    offset = span.end
  }
  gaps.push({ start: offset, end: length })
  return gaps
}

/** `… from 'x'`, `import 'x'`, `import('x')` as a value or as a type, and `require('x')`. */
const importPattern = /(?<![.\w$])(?:from\s*|import\s*\(?\s*|require\s*\(\s*)['"]/g

function findImports(code: string, strings: ReadonlyMap<number, string>): Import[] {
  const imports: Import[] = []
  for (const match of code.matchAll(importPattern)) {
    const specifier = strings.get(match.index + match[0].length)
    if (specifier !== undefined) imports.push({ specifier, line: lineAt(code, match.index) })
  }
  return imports
}
