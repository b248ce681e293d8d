/** `meridian keys`: makes the key pair of a region. The private key goes into a file that only its owner can read; the public one is printed. */

import { writeFileSync } from 'node:fs'
import { regionExpected, regionPattern } from '@meridian/regions/topology'
import type { Command } from 'commander'
import { makeRegionKey } from '../io/region-key.js'
import { exitOperating, UsageError } from './usage.js'

interface Flags {
  readonly region: string
  readonly out?: string
  readonly json?: true
}

export function addKeysCommand(program: Command): void {
  program
    .command('keys')
    .description('make the key pair of a region')
    .requiredOption('--region <name>', 'the region that it is for')
    .option('--out <file>', 'where the private key goes (default: <region>.key.pem)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ meridian keys --region eu-west --out eu-west.key.pem\n')
    .action((flags: Flags) => make(flags))
}

function make({ region, out = `${region}.key.pem`, json }: Flags): void {
  if (!regionPattern.test(region)) throw new UsageError(`--region: expected ${regionExpected}`)
  const { privatePem, publicKey } = makeRegionKey()
  try {
    // Never over another key: the region would not be known by it any more.
    writeFileSync(out, privatePem, { mode: 0o600, flag: 'wx' })
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'it cannot be written'
    process.stderr.write(
      `meridian: ${out} was not written: ${code === 'EEXIST' ? 'it is there already; a key is never written over' : code}\n`,
    )
    process.exitCode = exitOperating
    return
  }
  if (json === true) process.stdout.write(`${JSON.stringify({ region, publicKey, keyFile: out })}\n`)
  else {
    process.stdout.write(
      `The private key is in ${out}. It is the region's proof: keep it on its nodes, and nowhere else.\n\n` +
        `Into the cluster file, under regions, ${region}:\n    publicKey: ${publicKey}\n` +
        `Into the configuration of its node:\n    cluster:\n      file: cluster.yaml\n      keyFile: ${out}\n`,
    )
  }
}
