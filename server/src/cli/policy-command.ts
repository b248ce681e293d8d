/**
 * `meridian policy`: placement policies as files. `validate` says whether one could be applied, `explain` what it decides and why. Both work on files
 * alone, without a node. The answer is the exit code too: 0 valid or allowed, 1 not, 2 it was asked for wrongly.
 */

import { readFileSync } from 'node:fs'
import type { Verb } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import { parseDocument, parseRegion } from '@meridian/core/ids'
import { isJurisdiction } from '@meridian/regions/areas/jurisdiction'
import type { Finding } from '@meridian/regions/plain'
import { formatFinding } from '@meridian/regions/plain'
import { decide, onlyHead } from '@meridian/regions/policy/combine'
import type { PlacedName } from '@meridian/regions/policy/evaluate'
import { explain } from '@meridian/regions/policy/explain'
import { parsePolicy } from '@meridian/regions/policy/parse'
import type { Place } from '@meridian/regions/policy/place'
import type { Policy } from '@meridian/regions/policy/schema'
import { validate } from '@meridian/regions/policy/validate'
import type { Topology } from '@meridian/regions/topology'
import { type Command, Option } from 'commander'
import { readCluster, whereOf } from '../cluster-file.js'
import { systemClock } from '../io/clock.js'
import { formatIssue, type Issue, readYaml, type YamlFile } from '../yaml-file.js'
import { exitOk, exitOperating, UsageError } from './usage.js'

/** As nodes have it by default. */
const skewMs = 60_000

const verbs: readonly Verb[] = ['store', 'process', 'access', 'transit', 'backup', 'key', 'log']

interface ValidateFlags {
  readonly cluster?: string
  readonly json?: true
}

interface ExplainFlags {
  readonly cluster: string
  readonly document: string
  readonly verb: Verb
  readonly region?: string
  readonly from?: string
  readonly epoch: string
  readonly json?: true
}

export function addPolicyCommand(program: Command): void {
  const command = program.command('policy').description('check a placement policy, and ask what it decides')
  command
    .command('validate <file>')
    .description('say whether a policy is right and can be met')
    .option('--cluster <file>', 'the cluster file; with it also whether regions are enough')
    .option('--json', 'print JSON')
    .action((file: string, flags: ValidateFlags) => {
      process.exitCode = validateFile(file, flags)
    })
  command
    .command('explain <file>')
    .description('say what a policy decides about a document in a place, and why')
    .requiredOption('--cluster <file>', 'the cluster file')
    .requiredOption('--document <name>', 'tenant/collection/key, and #section behind it if it has one')
    .addOption(new Option('--verb <verb>', 'what is to be done').choices(verbs).makeOptionMandatory())
    .option('--region <region>', 'in which region')
    .option('--from <country>', 'for access: the country of the client, such as IE')
    .option('--epoch <number>', 'the policy epoch to print', '1')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ meridian policy explain gdpr.yaml --cluster cluster.yaml --document acme/customers/1 --verb store --region us-east\n',
    )
    .action((file: string, flags: ExplainFlags) => {
      process.exitCode = explainFile(file, flags)
    })
}

function validateFile(file: string, flags: ValidateFlags): number {
  const yaml = readFile(file)
  const topology = flags.cluster === undefined ? undefined : clusterOf(flags.cluster)
  const outcome = parsePolicy(yaml.values)
  const findings = [...(outcome.kind === 'invalid' ? outcome.findings : outcome.warnings)]
  if (outcome.kind === 'parsed') findings.push(...validate(outcome.policy, { nowMs: systemClock.now(), skewMs }, topology))
  const isValid = findings.every(({ level }) => level === 'warning')
  if (flags.json === true) {
    const rows = findings.map((finding) => ({ ...finding, where: whereOf(yaml, finding) }))
    process.stdout.write(`${JSON.stringify({ valid: isValid, findings: rows }, undefined, 2)}\n`)
  } else {
    for (const finding of findings) process.stderr.write(`${formatted(yaml, finding)}\n`)
    if (isValid)
      process.stdout.write(
        topology === undefined ? 'The policy is right.\n' : 'The policy is right, and the cluster can meet it.\n',
      )
  }
  return isValid ? exitOk : exitOperating
}

function explainFile(file: string, flags: ExplainFlags): number {
  const policy = policyOf(file)
  const topology = clusterOf(flags.cluster)
  const epoch = /^[1-9][0-9]{0,9}$/.test(flags.epoch) ? Number(flags.epoch) : undefined
  if (epoch === undefined) throw new UsageError('--epoch: expected a number from 1 on')
  const question = { verb: flags.verb, name: nameOf(flags.document), place: placeOf(flags), form: 'plaintext' as const }
  const ruling = decide(onlyHead(policy, epoch), question, { topology, moment: { nowMs: systemClock.now(), skewMs } })
  if (flags.json === true) {
    const { kind, rule } = ruling
    const rest = ruling.kind === 'yes' ? { group: ruling.group } : { nearest: ruling.nearest }
    const printed = { decision: kind, rule, reason: ruling.reason.kind, epoch, ...rest, explanation: explain(question, ruling) }
    process.stdout.write(`${JSON.stringify(printed, undefined, 2)}\n`)
  } else process.stdout.write(`${explain(question, ruling)}\n`)
  return ruling.kind === 'yes' ? exitOk : exitOperating
}

function placeOf({ region, from, verb }: ExplainFlags): Place {
  if ((region === undefined) === (from === undefined))
    throw new UsageError('say where: --region for a region, or --from for a client')
  if (region !== undefined) return { kind: 'region', region: usable('--region', () => parseRegion(region)) }
  if (verb !== 'access') throw new UsageError('--from is for --verb access; the other verbs happen in a region: --region')
  if (from === undefined || !isJurisdiction(from))
    throw new UsageError('--from: expected a country code of ISO 3166-1, such as IE')
  return { kind: 'client', jurisdiction: from }
}

function nameOf(text: string): PlacedName {
  const hash = text.indexOf('#')
  const document = usable('--document', () => parseDocument(hash < 0 ? text : text.slice(0, hash)))
  const [tenant = '', collection = '', ...key] = document.split('/')
  return { tenant, collection, key: key.join('/'), section: hash < 0 ? undefined : text.slice(hash + 1) }
}

function usable<T>(flag: string, parse: () => T): T {
  try {
    return parse()
  } catch (thrown) {
    if (thrown instanceof MeridianError) throw new UsageError(`${flag}: ${thrown.message}`)
    throw thrown
  }
}

function policyOf(file: string): Policy {
  const yaml = readFile(file)
  const outcome = parsePolicy(yaml.values)
  if (outcome.kind === 'parsed') return outcome.policy
  throw notRight('policy', yaml, outcome.findings)
}

function clusterOf(file: string): Topology {
  const issues: Issue[] = []
  const topology = readCluster({ name: file, text: readText(file) }, issues)
  if (topology !== undefined) return topology
  throw new UsageError(`the cluster file is not right:\n${issues.map((issue) => `  ${formatIssue(issue)}`).join('\n')}`)
}

const notRight = (what: string, yaml: YamlFile, findings: readonly Finding[]): UsageError =>
  new UsageError(`the ${what} is not right:\n${findings.map((finding) => `  ${formatted(yaml, finding)}`).join('\n')}`)

const formatted = (yaml: YamlFile, finding: Finding): string =>
  `${whereOf(yaml, finding)}: ${finding.level === 'warning' ? 'warning: ' : ''}${formatFinding(finding)}`

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unreadable'
    throw new UsageError(`cannot read the file ${path} (${code})`)
  }
}

function readFile(path: string): YamlFile {
  const issues: Issue[] = []
  const yaml = readYaml({ name: path, text: readText(path) }, issues)
  if (issues.length > 0)
    throw new UsageError(`the file is not right:\n${issues.map((issue) => `  ${formatIssue(issue)}`).join('\n')}`)
  return yaml
}
