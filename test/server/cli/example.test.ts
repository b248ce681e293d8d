/** The example of a node that asks for tokens does what it says. */

import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Cli } from '../support/cli.js'
import { attach, RawClient } from '../support/raw-client.js'
import { temporaryFolder } from '../support/running-node.js'

const example = (name: string): string => fileURLToPath(new URL(`../../../examples/node/${name}`, import.meta.url))
const script = (name: string, ...args: string[]): string =>
  execFileSync(process.execPath, [example(name), ...args], { encoding: 'utf8' }).trimEnd()

it('starts with its file, its secret and its token', async () => {
  const folder = await temporaryFolder()
  const secretFile = join(folder, 'secret')
  await writeFile(secretFile, `${script('make-secret.mjs')}\n`)
  const flags = ['--port', '0', '--data', join(folder, 'data'), '--auth-secret-file', secretFile]
  const cli = new Cli(['node', '--config', example('node.yaml'), ...flags])
  const client = await new RawClient(await cli.url()).greet(script('make-token.mjs', secretFile))
  expect(await client.frame('welcome')).toMatchObject({ region: 'eu-west', subject: 'ada' })
  client.send(attach(1, 'acme/notes/1'), attach(2, 'acme/other/1'))
  expect(await client.frame('attached')).toMatchObject({ channel: 1, access: 'write' })
  expect(await client.frame('denied')).toMatchObject({ channel: 2, code: 'ACCESS_DENIED' })
  const page = new RawClient(await cli.url(), { origin: 'http://localhost:5173' })
  expect((await page.closed).code).toBe(1006)
})
