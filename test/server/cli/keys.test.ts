/** `meridian keys` from outside. */

import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readRegionKey } from '@meridian/server/io/region-key'
import { expect, it } from 'vitest'
import { run } from '../support/cli.js'
import { temporaryFolder } from '../support/running-node.js'

it('given a region, when keys are made, then the private one is in a file of its owner, and the public one is printed and no more', async () => {
  const out = join(await temporaryFolder(), 'eu-west.key.pem')
  const made = await run(['keys', '--region', 'eu-west', '--out', out, '--json'])
  const pem = await readFile(out, 'utf8')
  expect(JSON.parse(made.stdout)).toEqual({ region: 'eu-west', publicKey: readRegionKey(pem).publicKey, keyFile: out })
  expect(made.stdout + made.stderr).not.toContain(pem.split('\n')[1])
  expect((await stat(out)).mode & 0o777).toBe(0o600)
})

it('given a key that is there, when another is to be made in its place, then it is not written over', async () => {
  const out = join(await temporaryFolder(), 'key.pem')
  await writeFile(out, 'kept')
  expect(await run(['keys', '--region', 'eu-west', '--out', out])).toMatchObject({ code: 1 })
  expect(await readFile(out, 'utf8')).toBe('kept')
  expect(await run(['keys', '--region', 'EU'])).toMatchObject({ code: 2 })
})
