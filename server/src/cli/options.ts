/** Flags for every setting, made from the table of settings, and the configuration that they and the rest come to. */

import { readdirSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { type Command, Option } from 'commander'
import { fileVariable, formatIssue, type LoadedConfig, loadConfig } from '../config.js'
import { type Setting, settings } from '../settings.js'
import { UsageError } from './usage.js'

/** Shown in the help; all others are flags too and are listed by `meridian config print`. */
const shown = new Set([
  'region',
  'listen',
  'port',
  'dataDir',
  'dev',
  'allowedOrigins',
  'auth.secretFile',
  'auth.publicKeyFile',
  'log.level',
])

export type Flags = Readonly<Record<string, unknown>>

export function addConfigOptions(command: Command): Command {
  command.option('-c, --config <file>', `YAML file with settings (or ${fileVariable})`)
  for (const setting of settings) if (!setting.secret) command.addOption(optionOf(setting))
  return command.addHelpText(
    'after',
    '\nEvery setting is a flag, a variable and a line of the file: --limits-documents-max, MERIDIAN_LIMITS_DOCUMENTS_MAX,\n' +
      'limits.documentsMax. Flags win over variables, variables over the file. `meridian config print` lists all of them.\n',
  )
}

function optionOf(setting: Setting): Option {
  const flag = setting.path === 'dataDir' ? '--data, --data-dir' : setting.flag
  const value =
    setting.kind === 'boolean' ? '' : setting.kind === 'number' ? ' <number>' : setting.kind === 'list' ? ' <list>' : ' <text>'
  const option = new Option(`${flag}${value}`, `${setting.description}${standardOf(setting)}`)
  return shown.has(setting.path) ? option : option.hideHelp()
}

function standardOf({ standard }: Setting): string {
  return typeof standard === 'string' || typeof standard === 'number' ? ` (default: ${standard})` : ''
}

/** @throws UsageError with all issues, each with its place */
export function configOf(flags: Flags, environment: NodeJS.ProcessEnv): LoadedConfig {
  const given = new Map<string, string | boolean>()
  for (const setting of settings) {
    const value = setting.secret ? undefined : flags[optionOf(setting).attributeName()]
    if (typeof value === 'string' || typeof value === 'boolean') given.set(setting.path, value)
  }
  const name = typeof flags['config'] === 'string' ? flags['config'] : environment[fileVariable]
  const outcome = loadConfig({
    file: name === undefined || name === '' ? undefined : { name: shortName(name), text: readConfig(name) },
    environment,
    flags: given,
    readText: (path) => readFileSync(path, 'utf8'),
    listFolder: (path) => readdirSync(path),
  })
  if (outcome.kind === 'invalid') {
    throw new UsageError(
      `the configuration is not right:\n${outcome.issues.map((issue) => `  ${formatIssue(issue)}`).join('\n')}`,
    )
  }
  return outcome
}

/** As somebody here would write it. */
function shortName(path: string): string {
  const short = relative(process.cwd(), path)
  return short === '' || short.startsWith('..') ? path : short
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unreadable'
    throw new UsageError(`cannot read the configuration file ${path} (${code})`)
  }
}
