/** `meridian node`: starts a node, says what it is and how to go on, and stops it in order when told to. */

import { resolve } from 'node:path'
import { styleText } from 'node:util'
import type { Command } from 'commander'
import { formatIssue, type NodeConfig } from '../config.js'
import { createLogger, type Logger } from '../io/logging.js'
import { type MeridianNode, startNode } from '../node.js'
import { openBrowser } from './open-browser.js'
import { addConfigOptions, configOf, type Flags } from './options.js'
import { exitOk, exitOperating } from './usage.js'

export function addNodeCommand(program: Command): void {
  const command = program.command('node').description('start a node of a region').helpGroup('Commands:')
  addConfigOptions(command)
    .option('--open', 'in development mode, show the sample app in the browser of this machine, if it has one')
    .addHelpText(
      'after',
      `
Examples:
  $ meridian node --dev                                            on this machine, no token asked
  $ meridian node --dev --region eu-west --port 7101 --data ./eu   the same, spelled out
  $ meridian node --config node.yaml                               for real: region, dataDir and auth are in the file
`,
    )
    .action((flags: Flags) => run(flags))
}

async function run(flags: Flags): Promise<void> {
  const { config, warnings } = configOf(flags, process.env)
  // A reader of the logs that went away must not stop the node.
  process.stdout.on('error', () => undefined)
  process.stderr.on('error', () => undefined)
  const logger = createLogger(config)
  for (const warning of warnings) logger.warn(formatIssue(warning))
  process.on('uncaughtExceptionMonitor', (error) =>
    logger.fatal({ err: { name: error.name, stack: error.stack } }, 'a defect; the process ends'),
  )
  // From the first moment on: without a listener the signal ends the process.
  let running: MeridianNode | undefined
  if (config.tls !== undefined || config.cluster !== undefined)
    process.on('SIGHUP', () => {
      running?.reloadCertificate()
      running?.reloadCluster()
    })
  const node = await startNode(config, { logger })
  running = node
  announce(node, config, logger)
  if (flags['open'] === true && config.auth.kind === 'development') openBrowser(node.url)
  stopOnSignals(node, logger)
}

function announce(node: MeridianNode, config: NodeConfig, logger: Logger): void {
  const development = config.auth.kind === 'development'
  logger.info({ url: node.url, dataDir: config.dataDir, version: node.version, development }, 'listening')
  if (development) logger.warn('development mode: no token is asked, everybody on this machine may read and write everything')
  if (development || process.stderr.isTTY) process.stderr.write(block(node, config, development))
}

function block(node: MeridianNode, config: NodeConfig, development: boolean): string {
  const colored = process.stderr.isTTY && !process.env['NO_COLOR']
  const loud = (text: string): string => (colored ? styleText(['yellow', 'bold'], text) : text)
  const bold = (text: string): string => (colored ? styleText('bold', text) : text)
  const lines = [
    '',
    `  ${bold(`Meridian ${node.version}`)}`,
    ...(development ? [`  ${loud('DEVELOPMENT MODE: no token is asked. Tenant dev, this machine only.')}`] : []),
    '',
    `    Region   ${node.region}`,
    `    URL      ${bold(node.url)}`,
    `    Data     ${resolve(config.dataDir)}`,
    '',
    '  Try next',
    `    curl ${node.url}/readyz`,
    ...(development
      ? [
          `    open ${node.url} in a browser: the sample app`,
          `    connect({ url: '${node.url}' }) with @meridian/client; see the examples folder`,
        ]
      : []),
    '',
    '  Ctrl+C stops it: clients are told, and nothing that was saved is lost.',
    '',
  ]
  return `${lines.join('\n')}\n`
}

/** Ctrl+C under `npm start` comes twice at once: from the terminal, and handed on by npm. */
const echoMs = 500

/** The first signal drains, another one ends the process at once. */
function stopOnSignals(node: MeridianNode, logger: Logger): void {
  let toldAt: number | undefined
  const stop = (signal: 'SIGTERM' | 'SIGINT'): void => {
    const now = performance.now()
    if (toldAt !== undefined) {
      if (now - toldAt < echoMs) return
      logger.warn({ signal }, 'told twice; ending at once')
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
    toldAt = now
    node.drain().then(
      () => process.exit(exitOk),
      (error: unknown) => {
        logger.fatal({ err: error }, 'stopping failed')
        process.exit(exitOperating)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
