/** Policies and a cluster for tests, read from the files of examples/policies as a user would have them. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Verb } from '@meridian/core/effects'
import { parseRegion } from '@meridian/core/ids'
import { isJurisdiction } from '@meridian/regions/areas/jurisdiction'
import type { Finding } from '@meridian/regions/plain'
import { formatFinding } from '@meridian/regions/plain'
import { decide, onlyHead, type Ruling } from '@meridian/regions/policy/combine'
import type { PlacedName, Question } from '@meridian/regions/policy/evaluate'
import { parsePolicy } from '@meridian/regions/policy/parse'
import type { Place } from '@meridian/regions/policy/place'
import type { Policy } from '@meridian/regions/policy/schema'
import { parseTopology, type Topology } from '@meridian/regions/topology'
import { readYaml } from '@meridian/server/yaml-file'

const folder = fileURLToPath(new URL('../../examples/policies/', import.meta.url))

/** 1 May 2026. */
export const may = Date.UTC(2026, 4, 1)
export const skewMs = 60_000

export const examplePath = (name: string): string => `${folder}${name}.yaml`

export function exampleValues(name: string): unknown {
  const issues: { where: string; message: string }[] = []
  const { values } = readYaml({ name, text: readFileSync(examplePath(name), 'utf8') }, issues)
  if (issues.length > 0) throw new Error(JSON.stringify(issues))
  return values
}

export function policyOf(value: unknown): Policy {
  const outcome = parsePolicy(value)
  if (outcome.kind === 'invalid') throw new Error(outcome.findings.map(formatFinding).join('\n'))
  return outcome.policy
}

/** What is wrong with a policy, each as `path: message`. */
export function flawsOf(value: unknown): readonly string[] {
  const outcome = parsePolicy(value)
  return outcome.kind === 'invalid' ? outcome.findings.map(formatFinding) : []
}

export function findingsOf(value: unknown): readonly Finding[] {
  const outcome = parsePolicy(value)
  return outcome.kind === 'invalid' ? outcome.findings : outcome.warnings
}

export function topologyOf(value: unknown): Topology {
  const outcome = parseTopology(value)
  if (outcome.kind === 'invalid') throw new Error(outcome.findings.map(formatFinding).join('\n'))
  return outcome.topology
}

/** A cluster of regions by name and country, in this order. */
export function cluster(
  regions: Readonly<Record<string, string | object>>,
  without: readonly (readonly string[])[] = [],
): Topology {
  const entries = Object.entries(regions).map(([name, one], index) => [
    name,
    {
      operator: 'tests',
      client: `wss://${name}.example.com`,
      link: `wss://${name}.example.com/v1/link`,
      publicKey: Buffer.alloc(32, index + 1).toString('base64'),
      ...(typeof one === 'string' ? { jurisdiction: one } : one),
    },
  ])
  return topologyOf({ version: 1, regions: Object.fromEntries(entries), without })
}

export const exampleCluster: Topology = topologyOf(exampleValues('cluster'))

/** `acme/patients/ch/7f#clinical` */
export function nameOf(text: string): PlacedName {
  const [path = '', section] = text.split('#')
  const [tenant = '', collection = '', ...key] = path.split('/')
  return { tenant, collection, key: key.join('/'), section }
}

/** A region by its name, a client's country by its code; `?` is a country that nobody attests. */
export function placeOf(text: string): Place {
  if (text === '?') return { kind: 'client', jurisdiction: undefined }
  return isJurisdiction(text) ? { kind: 'client', jurisdiction: text } : { kind: 'region', region: parseRegion(text) }
}

export const ask = (verb: Verb, name: string, place: string): Question => ({
  verb,
  name: nameOf(name),
  place: placeOf(place),
  form: 'plaintext',
})

export function ruling(
  policies: Policy | readonly Policy[],
  question: Question,
  topology = exampleCluster,
  nowMs = may,
  epoch = 1,
): Ruling {
  const heads = 'tenant' in policies ? [policies] : policies
  const [first] = heads
  if (first === undefined) throw new Error('a policy is wanted')
  return decide({ ...onlyHead(first, epoch), heads }, question, { topology, moment: { nowMs, skewMs } })
}
