/** `meridian cluster`: three regions on this machine, and the page that shows them. */

import { join } from 'node:path'
import { styleText } from 'node:util'
import type { Command } from 'commander'
import { LocalCluster } from '../console/local-cluster.js'
import { createPage, pageFolder, servePage } from '../console/page.js'
import { pagePort, plannedCollections, plannedRegions } from '../console/plan.js'
import { readAppFiles } from '../http/app-files.js'
import { openBrowser } from './open-browser.js'
import { exitOk, exitOperating, UsageError } from './usage.js'

interface Flags {
  readonly data: string
  readonly delay: string
  readonly open?: true
}

export function addClusterCommand(program: Command): void {
  program
    .command('cluster')
    .description('start three regions on this machine, and a page to look at them')
    .helpGroup('Commands:')
    .option('--data <folder>', 'where the three stores are; made if it is not there', '.meridian')
    .option('--delay <ms>', 'milliseconds that a message takes from one region to another', '40')
    .option('--open', 'show the page in the browser of this machine, if it has one')
    .addHelpText(
      'after',
      `
Development only: no token is asked, and only this machine can connect. The page is at port ${pagePort}; the regions are at the next three ports.

Examples:
  $ meridian cluster --open
  $ meridian cluster --data ./demo --delay 150
`,
    )
    .action((flags: Flags) => run(flags))
}

async function run({ data, delay, open }: Flags): Promise<void> {
  const delayMs = Number(delay)
  if (!/^\d{1,5}$/.test(delay)) throw new UsageError('--delay: expected milliseconds, 0 to 99999')
  const urls = plannedRegions.map(({ port }) => `http://127.0.0.1:${port}`)
  process.stderr.write('\n  Starting three regions …\n')
  const cluster = await LocalCluster.start({ regions: plannedRegions, dataDir: data, delayMs })
  const page = await servePage(createPage(cluster, readAppFiles(pageFolder), urls), pagePort).catch(async (thrown: unknown) => {
    await cluster.close()
    throw thrown
  })
  process.stderr.write(block(page.url, data, delayMs))
  if (open === true) openBrowser(page.url)
  let isStopping = false
  const stop = (): void => {
    if (isStopping) return
    isStopping = true
    process.stderr.write('\n  Stopping the regions …\n')
    page.close()
    cluster.close().then(
      () => process.exit(exitOk),
      () => process.exit(exitOperating),
    )
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}

function block(url: string, data: string, delayMs: number): string {
  const colored = process.stderr.isTTY && !process.env['NO_COLOR']
  const bold = (text: string): string => (colored ? styleText('bold', text) : text)
  const loud = (text: string): string => (colored ? styleText(['yellow', 'bold'], text) : text)
  const width = Math.max(...plannedRegions.map(({ name }) => name.length))
  return `${[
    '',
    `  ${bold('Meridian: three regions on this machine')}`,
    `  ${loud('DEVELOPMENT MODE: no token is asked. Tenant dev, this machine only.')}`,
    '',
    `    Look at  ${bold(url)}`,
    ...plannedRegions.map(
      ({ name, place, port }) => `    ${name.padEnd(width)}  http://127.0.0.1:${port}  ${join(data, name)}  (${place})`,
    ),
    `    ${delayMs} ms from one to another`,
    '',
    '  Collections of the sample policy',
    ...plannedCollections.map(({ name, where }) => `    ${name.padEnd(width)}  ${where}`),
    '',
    '  Ctrl+C stops all of them: clients are told, and nothing that was saved is lost.',
    '',
  ].join('\n')}\n`
}
