/** `meridian config`: what a node would run with, and whether it would start. */

import type { Command } from 'commander'
import { stringify } from 'yaml'
import { formatIssue, type LoadedConfig } from '../config.js'
import { addConfigOptions, configOf, type Flags } from './options.js'

export function addConfigCommand(program: Command): void {
  const command = program.command('config').description('look at the configuration of a node')
  addConfigOptions(
    command.command('print').description('print every setting with its value and where it came from; secrets are left out'),
  ).action((flags: Flags) => {
    const loaded = configOf(flags, process.env)
    warn(loaded)
    process.stdout.write(printed(loaded))
  })
  addConfigOptions(command.command('check').description('check the configuration and do nothing')).action((flags: Flags) => {
    const loaded = configOf(flags, process.env)
    warn(loaded)
    process.stdout.write('The configuration is right.\n')
  })
}

function warn(loaded: LoadedConfig): void {
  for (const warning of loaded.warnings) process.stderr.write(`meridian: ${formatIssue(warning)}\n`)
}

/** A section that holds nothing would be none. */
const isSet = (loaded: LoadedConfig, section: string): boolean =>
  loaded.effective.some(({ setting, value }) => setting.path.startsWith(`${section}.`) && value !== undefined)

/** A file that could be used as it is: what is not set stands as a comment. */
function printed(loaded: LoadedConfig): string {
  const lines: string[] = []
  let section = ''
  for (const { setting, value, where } of loaded.effective) {
    const dot = setting.path.indexOf('.')
    const parent = dot < 0 ? '' : setting.path.slice(0, dot)
    const indent = parent === '' ? '' : '  '
    if (parent !== section) lines.push(...(parent === '' ? [] : ['', `${isSet(loaded, parent) ? '' : '# '}${parent}:`]))
    section = parent
    const name = setting.path.slice(dot + 1)
    lines.push(`${indent}# ${setting.description} [${where}]`)
    lines.push(
      value === undefined
        ? `${indent}# ${name}:`
        : `${indent}${stringify({ [name]: value }, { flowCollectionPadding: false, collectionStyle: 'flow' })
            .trim()
            .replace(/^\{(.*)\}$/s, '$1')
            .trim()}`,
    )
  }
  return `${lines.join('\n')}\n`
}
