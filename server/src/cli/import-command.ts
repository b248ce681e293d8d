/** `meridian import`: brings the documents of another store into a region, says how far it is, and reports what came of each. */

import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { documentParts, parseDocument } from '@meridian/core/ids'
import { type Imported, importAll, type Result } from './import/importer.js'
import { openYLevelDb } from './import/y-leveldb.js'
import { exitOk, exitOperating, UsageError } from './usage.js'

interface Options {
  readonly into: string
  readonly url: string
  readonly tokenFile?: string
  readonly json?: boolean
}

const results: readonly Result[] = ['imported', 'merged', 'same', 'newer', 'refused', 'failed']
const progressMs = 1_000

export function addImportCommand(program: Command): void {
  const command = program.command('import').description('bring documents of another store into a region')
  command
    .command('y-leveldb')
    .description("import what y-websocket's server kept (YPERSISTENCE)")
    .argument('<folder>', 'the LevelDB folder; it is only read, and its server has to be stopped')
    .requiredOption('--into <tenant/collection>', 'where the documents go; their names become keys')
    .option('--url <url>', 'a node of the region', 'http://127.0.0.1:7101')
    .option('--token-file <file>', 'file with a token that may write there (or MERIDIAN_TOKEN)')
    .option('--json', 'print the result of every document as one JSON object a line')
    .addHelpText(
      'after',
      `
Each document is compared when it is there. The command can be run again, and goes on where it ended.

Examples:
  $ meridian import y-leveldb ./dbDir --into dev/notes                      into a node in development mode
  $ meridian import y-leveldb ./dbDir --into acme/notes --url https://eu.example --token-file token

Exit codes: 0 all documents are there, 1 some are not, 2 it was asked for wrongly.
`,
    )
    .action((folder: string, options: Options) => run(folder, options))
}

async function run(folder: string, options: Options): Promise<void> {
  const into = collectionOf(options.into)
  const token = tokenOf(options)
  const source = await openYLevelDb(folder)
  const total = source.names.length
  const counts = new Map<Result, number>(results.map((result) => [result, 0]))
  const problems: Imported[] = []
  let bytes = 0
  let toldAt = 0
  try {
    await importAll({
      source,
      into,
      url: options.url,
      token,
      onDocument(imported, index) {
        counts.set(imported.result, (counts.get(imported.result) ?? 0) + 1)
        bytes += imported.bytes
        if (imported.why !== undefined) problems.push(imported)
        if (options.json === true) process.stdout.write(`${JSON.stringify(imported)}\n`)
        const now = performance.now()
        if (now - toldAt < progressMs && index + 1 < total) return
        toldAt = now
        process.stderr.write(`meridian: ${index + 1} of ${total} documents\n`)
      },
    })
  } finally {
    await source.close()
  }
  if (options.json !== true) process.stdout.write(report(total, bytes, counts, problems))
  process.exitCode = problems.length === 0 ? exitOk : exitOperating
}

function report(total: number, bytes: number, counts: ReadonlyMap<Result, number>, problems: readonly Imported[]): string {
  const meaning: Record<Result, string> = {
    imported: 'new, and the same there',
    merged: 'were there and lacked something; have it now',
    same: 'were there already, or are empty',
    newer: 'were there already, with more',
    refused: 'have a name that is not canonical; rename them in the source',
    failed: 'are not there, or not the same',
  }
  const lines = results.map((result) => `${String(counts.get(result) ?? 0).padStart(9)} ${result.padEnd(9)} ${meaning[result]}`)
  const why = problems.map(({ name, result, why: reason }) => `  ${result} ${JSON.stringify(name)}: ${reason ?? ''}`)
  return [`${total} documents, ${bytes} bytes`, ...lines, ...(why.length === 0 ? [] : ['', ...why]), ''].join('\n')
}

function collectionOf(text: string): string {
  try {
    const { tenant, collection } = documentParts(parseDocument(`${text}/x`))
    if (text === `${tenant}/${collection}`) return text
  } catch {
    // Said below.
  }
  throw new UsageError('--into is tenant/collection, each 1 to 63 of a-z, 0-9 and -')
}

/** Never an argument: every user of the machine can read those. */
function tokenOf({ tokenFile }: Options): string {
  if (tokenFile === undefined) return process.env['MERIDIAN_TOKEN'] ?? ''
  try {
    return readFileSync(tokenFile, 'utf8').trim()
  } catch {
    throw new UsageError('--token-file: the file cannot be read')
  }
}
