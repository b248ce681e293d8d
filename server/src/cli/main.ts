/** The command line: `meridian node`, `meridian config`, `meridian keys`, `meridian policy`, `meridian region`, `meridian import`. Errors are sentences, with what to do; stacks are for defects only. */

import { MeridianError } from '@meridian/core/errors'
import { Command, CommanderError } from 'commander'
import { packageVersion } from '../io/version.js'
import { addClusterCommand } from './cluster-command.js'
import { addConfigCommand } from './config-command.js'
import { addImportCommand } from './import-command.js'
import { addKeysCommand } from './keys-command.js'
import { addNodeCommand } from './node-command.js'
import { addPolicyCommand } from './policy-command.js'
import { addRegionCommand } from './region-command.js'
import { exitOk, exitOperating, exitUsage, UsageError } from './usage.js'

export async function main(argv: readonly string[]): Promise<void> {
  const program = createProgram()
  try {
    await program.parseAsync([...argv])
  } catch (thrown) {
    process.exitCode = explain(thrown)
  }
}

function createProgram(): Command {
  const program = new Command('meridian')
  program
    .description('A multi-region store for CRDT documents.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError('(meridian --help says what there is)')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  $ meridian node --dev                   start a node for development, on this machine only
  $ meridian node --config node.yaml      start a node
  $ meridian config check -c node.yaml    look whether it would start
  $ meridian keys --region eu-west        make the key pair that a region is known by
  $ meridian policy validate acme.yaml    look whether a placement policy is right
  $ meridian region status --cluster c.yaml    look whether regions hold the same
  $ meridian node --help                  all about one command

Exit codes: 0 well, 1 it failed, 2 it was asked for wrongly.
`,
    )
  addNodeCommand(program)
  addClusterCommand(program)
  addConfigCommand(program)
  addImportCommand(program)
  addKeysCommand(program)
  addPolicyCommand(program)
  addRegionCommand(program)
  return program
}

/** Says what went wrong, once, and returns the exit code. */
function explain(thrown: unknown): number {
  // Commander has said what there is to say.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitOk : exitUsage
  if (thrown instanceof UsageError) {
    process.stderr.write(`meridian: ${thrown.message}\n`)
    return exitUsage
  }
  if (thrown instanceof MeridianError) {
    process.stderr.write(`meridian: ${thrown.message}\n`)
    return thrown.code === 'CONFIG_INVALID' ? exitUsage : exitOperating
  }
  throw thrown
}
