/**
 * `meridian region status`: asks the nodes of a cluster how they stand with one another. The answer is the exit code too: 0 every region that was
 * asked is in step, 1 not yet, 2 it was asked for wrongly.
 */

import { isPlace } from '@meridian/regions/topology'
import type { Command } from 'commander'
import { regionStatusPath } from '../http/app.js'
import type { RegionStatus } from '../http/region-status.js'
import { readTopology } from '../io/topology-file.js'
import { exitOk, exitOperating, UsageError } from './usage.js'

interface Flags {
  readonly cluster?: string
  readonly url?: readonly string[]
  readonly wait?: string
  readonly json?: true
}

/** Milliseconds that one node has to answer, and between two looks. */
const answerMs = 5_000
const lookMs = 500

type Answer =
  | { readonly kind: 'answered'; readonly url: string; readonly status: RegionStatus }
  | { readonly kind: 'silent'; readonly url: string; readonly reason: string }

export function addRegionCommand(program: Command): void {
  const command = program.command('region').description('look after the regions of a cluster')
  command
    .command('status')
    .description('say whether the regions hold the same, what is joining, and whether one that leaves may be switched off')
    .option('--cluster <file>', 'the cluster file: every region in it is asked at its address for clients')
    .option('--url <url...>', 'addresses of nodes, such as http://127.0.0.1:7101, in place of those of the file')
    .option('--wait <seconds>', 'look again until all are in step, for so long')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ meridian region status --cluster cluster.yaml
  $ meridian region status --url http://127.0.0.1:7101 --wait 600
`,
    )
    .action((flags: Flags) => status(flags))
}

async function status(flags: Flags): Promise<void> {
  const urls = flags.url ?? (flags.cluster === undefined ? [] : addressesOf(flags.cluster))
  if (urls.length === 0) throw new UsageError('say whom to ask: --cluster <file> or --url <url>')
  const waitMs = Number(flags.wait ?? 0) * 1_000
  if (!Number.isFinite(waitMs) || waitMs < 0) throw new UsageError('--wait: expected a number of seconds')
  const untilMs = performance.now() + waitMs
  let answers = await Promise.all(urls.map(ask))
  while (!isDone(answers) && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, lookMs))
    answers = await Promise.all(urls.map(ask))
  }
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ isInStep: isDone(answers), regions: answers })}\n`)
  else process.stdout.write(`${answers.map(lineOf).join('\n')}\n\n${isDone(answers) ? 'All are in step.' : 'Not in step yet.'}\n`)
  process.exitCode = isDone(answers) ? exitOk : exitOperating
}

const isDone = (answers: readonly Answer[]): boolean =>
  answers.every((answer) => answer.kind === 'answered' && answer.status.isInStep)

const addressesOf = (file: string): string[] =>
  [...readTopology(file).regions.values()]
    .filter(isPlace)
    .map(({ clientUrl }) => clientUrl.replace(/^ws/, 'http').replace(/\/$/, ''))

async function ask(url: string): Promise<Answer> {
  try {
    const response = await fetch(`${url}${regionStatusPath}`, { signal: AbortSignal.timeout(answerMs) })
    if (!response.ok) return { kind: 'silent', url, reason: `it answers ${response.status}; is it a node of a cluster?` }
    return { kind: 'answered', url, status: (await response.json()) as RegionStatus }
  } catch (thrown) {
    return { kind: 'silent', url, reason: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}

function lineOf(answer: Answer): string {
  if (answer.kind === 'silent') return `${answer.url}: no answer (${answer.reason})`
  const { region, state, sessions, groups, peers, joining, isInStep, maySwitchOff } = answer.status
  const end = maySwitchOff ? 'may be switched off' : isInStep ? 'in step' : 'not in step'
  const lines = [`${region}: ${state}, ${end}; ${groups} groups, ${sessions} clients`]
  for (const peer of peers) {
    const lag = peer.isOpen ? `lacks ${peer.entries} entries of it, the oldest for ${peer.seconds.toFixed(1)} s` : 'no link'
    const also = [
      peer.stopped > 0 ? `${peer.stopped} groups stand still` : '',
      peer.behind > 0 ? `waits for ${peer.behind} groups` : '',
    ].filter((part) => part !== '')
    lines.push(`  ${peer.region} (${peer.state}): ${peer.isInStep ? 'in step' : [lag, ...also].join(', ')}`)
  }
  for (const join of joining)
    lines.push(
      `  joins group ${join.group}${join.from === undefined ? '' : ` from ${join.from}`}: ${join.phase}, ${join.documents} documents, ${join.bytes} bytes so far`,
    )
  return lines.join('\n')
}
