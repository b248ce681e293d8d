/**
 * A YAML file as plain values, and for each path in them the line and column where it stands. Pure.
 */

import { isMap, LineCounter, type Document as YamlDocument, parseDocument } from 'yaml'

export interface Issue {
  /** `node.yaml:3:9`, `MERIDIAN_PORT`, `--port`. */
  readonly where: string
  readonly message: string
}

export const formatIssue = (issue: Issue): string => `${issue.where}: ${issue.message}`

export interface YamlFile {
  readonly values: Record<string, unknown>
  has(path: readonly string[]): boolean
  where(path: readonly PropertyKey[]): string
  whereKey(path: readonly PropertyKey[], key: string): string
}

/** The values of no file at all. */
export const noFile: YamlFile = { values: {}, has: () => false, where: () => 'configuration', whereKey: () => 'configuration' }

/** What a file says; what is wrong with it becomes an issue with its place, and then the values are none. */
export function readYaml(source: { readonly name: string; readonly text: string }, issues: Issue[]): YamlFile {
  const lines = new LineCounter()
  const document: YamlDocument = parseDocument(source.text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${source.name}:${Math.max(1, line)}:${Math.max(1, col)}`
  }
  for (const error of document.errors) issues.push({ where: at(error.pos[0]), message: error.message })
  if (issues.length > 0) return noFile
  const { contents } = document
  if (contents !== null && !isMap(contents)) {
    issues.push({ where: at(contents.range?.[0] ?? 0), message: 'expected settings, one `name: value` a line' })
    return noFile
  }
  const whereKey = (path: readonly PropertyKey[], key: string): string => {
    const node = path.length === 0 ? contents : document.getIn(path, true)
    if (isMap(node)) {
      for (const pair of node.items) {
        const name: unknown = pair.key
        if (isScalarNamed(name, key)) return at(name.range?.[0] ?? 0)
      }
    }
    return at(rangeOf(node) ?? 0)
  }
  let values: unknown
  try {
    // Aliases of aliases could make a small file a large one.
    values = document.toJS({ maxAliasCount: 16 })
  } catch (thrown) {
    issues.push({ where: `${source.name}:1:1`, message: thrown instanceof Error ? thrown.message : 'cannot be read' })
    return noFile
  }
  return {
    values: isRecord(values) ? values : {},
    has: (path) => document.hasIn(path),
    where(path) {
      for (let length = path.length; length > 0; length--) {
        const offset = rangeOf(document.getIn(path.slice(0, length), true))
        if (offset !== undefined) return at(offset)
      }
      return `${source.name}:1:1`
    },
    whereKey,
  }
}

interface Ranged {
  readonly range?: readonly [number, number, number] | null
}

const isScalarNamed = (node: unknown, name: string): node is Ranged =>
  typeof node === 'object' && node !== null && 'value' in node && node.value === name

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return undefined
  const start: unknown = node.range[0]
  return typeof start === 'number' ? start : undefined
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
