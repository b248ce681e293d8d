/** The command line from outside: what it says, and its exit codes. 0 well, 1 it failed, 2 it was asked for wrongly. */

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Cli, run } from '../support/cli.js'
import { startTestNode, temporaryFolder } from '../support/running-node.js'

describe('meridian', () => {
  it('says its version', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../../server/package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    expect(await run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('explains itself, with examples, without colours', async () => {
    const help = await run(['--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toMatch(/Usage: meridian[^]*node[^]*config[^]*Examples:[^]*meridian node --dev/)
    expect(help.stdout).not.toContain('\u001b')
    const node = await run(['node', '--help'])
    expect(node.stdout).toMatch(/--dev[^]*--limits-documents-max[^]*Examples:/)
    expect(node.stdout).not.toContain('--auth-secret ')
  })

  it.each([
    ['no command', [], 'Usage: meridian'],
    ['a command that is none', ['noed'], "unknown command 'noed'\n(Did you mean node?)"],
    ['a flag that is none', ['node', '--dev', '--prot', '1'], "unknown option '--prot'\n(Did you mean --port?)"],
    ['a flag without its value', ['node', '--port'], "option '--port <number>' argument missing"],
    ['a value that is none', ['node', '--dev', '--port', 'x'], '--port: expected a number'],
    ['too many words', ['node', '--dev', 'eu-west'], 'too many arguments'],
    ['a secret as a flag', ['node', '--auth-secret', 'x'], "unknown option '--auth-secret'"],
    [
      'a file that is not there',
      ['node', '--config', 'missing.yaml'],
      'cannot read the configuration file missing.yaml (ENOENT)',
    ],
    [
      'development mode on all addresses',
      ['node', '--dev', '--listen', '0.0.0.0'],
      '--listen: listen: development mode asks for no token',
    ],
    ['nothing that says who may connect', ['node', '--region', 'a', '--data', 'd'], 'nothing says how tokens are checked'],
  ])('given %s, then it says so and ends with 2', async (_, args, expected) => {
    const ended = await run(args)
    expect(ended.code).toBe(2)
    expect(ended.stderr).toContain(expected)
    expect(ended.stderr).not.toMatch(/^\s+at /m)
  })

  it('given a configuration file with mistakes, then it says where each is', async () => {
    const file = join(await temporaryFolder(), 'node.yaml')
    await writeFile(file, 'region: EU\nlimits:\n  documentMax: 1\n')
    const ended = await run(['config', 'check', '--config', file])
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toContain(`${file}:1:9: region: expected`)
    expect(ended.stderr).toContain(`${file}:3:3: there is no setting limits.documentMax; did you mean limits.documentsMax?`)
  })

  it('prints a configuration that could be used as it is, and keeps secrets', async () => {
    const folder = await temporaryFolder()
    const secret = 'a secret of thirty-two bytes ok!'
    const environment = {
      MERIDIAN_AUTH_SECRET: secret,
      MERIDIAN_REGION: 'eu-west',
      MERIDIAN_ALLOWED_ORIGINS: 'https://a.example,https://b.example',
    }
    const printed = await run(['config', 'print', '--data', folder, '--limits-documents-max', '7'], environment)
    expect(printed).toMatchObject({ code: 0, stderr: '' })
    expect(printed.stdout).not.toContain(secret)
    expect(printed.stdout).toMatch(/documentsMax: 7\n/)
    expect(printed.stdout).toContain('[MERIDIAN_REGION]\nregion: eu-west\n')
    const file = join(folder, 'node.yaml')
    await writeFile(file, printed.stdout)
    expect(await run(['config', 'check'], { MERIDIAN_CONFIG: file, MERIDIAN_AUTH_SECRET: secret })).toMatchObject({
      code: 0,
      stderr: '',
    })
  })

  it('given a data directory that another process has open, then it ends with 1 and says what to do', async () => {
    const { config } = await startTestNode()
    const ended = await run(['node', '--dev', '--port', '0', '--data', config.dataDir])
    expect(ended.code).toBe(1)
    expect(ended.stderr).toContain('[LOG_LOCKED]')
    expect(ended.stderr).toContain('stop it first')
  })
})

describe('meridian node --dev', () => {
  it('says loudly what it is, and how to go on', async () => {
    const cli = new Cli(['node', '--dev', '--port', '0', '--data', await temporaryFolder()])
    const url = await cli.url()
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('meridian_development_mode 1')
    await cli.logged(/development mode: no token is asked/)
    cli.child.kill('SIGTERM')
    const ended = await cli.ended
    expect(ended).toMatchObject({ code: 0, signal: null })
    expect(ended.stderr).toContain('DEVELOPMENT MODE: no token is asked')
    expect(ended.stderr).toContain(url)
    for (const line of ended.stdout.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg')
  })
})
