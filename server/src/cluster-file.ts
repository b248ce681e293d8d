/** A cluster file as a topology; what is wrong with it, each with its line. Pure. */

import { type Finding, formatFinding } from '@meridian/regions/plain'
import { parseTopology, type Topology } from '@meridian/regions/topology'
import { type Issue, readYaml, type YamlFile } from './yaml-file.js'

/** Where in a file a finding is. */
export const whereOf = (yaml: YamlFile, { path, key }: Finding): string =>
  key === undefined ? yaml.where(path) : yaml.whereKey(path.slice(0, -1), key)

/** Undefined if something is wrong, which is added to `issues`. */
export function readCluster(source: { readonly name: string; readonly text: string }, issues: Issue[]): Topology | undefined {
  const before = issues.length
  const yaml = readYaml(source, issues)
  if (issues.length > before) return undefined
  const outcome = parseTopology(yaml.values)
  if (outcome.kind === 'parsed') return outcome.topology
  for (const finding of outcome.findings) issues.push({ where: whereOf(yaml, finding), message: formatFinding(finding) })
  return undefined
}
