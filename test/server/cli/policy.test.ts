/** `meridian policy` from outside: what it says, and its exit codes. 0 valid or allowed, 1 not, 2 asked for wrongly. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { run } from '../support/cli.js'
import { temporaryFolder } from '../support/running-node.js'

const example = (name: string): string => fileURLToPath(new URL(`../../../examples/policies/${name}.yaml`, import.meta.url))
const cluster = ['--cluster', example('cluster')]
const question = (...args: string[]): string[] => [
  'policy',
  'explain',
  example('gdpr'),
  ...cluster,
  '--document',
  'acme/customers/1',
  ...args,
]

async function fileOf(text: string): Promise<string> {
  const file = join(await temporaryFolder(), 'policy.yaml')
  await writeFile(file, text)
  return file
}

describe('meridian policy validate', () => {
  it('given a policy that is right, then it says so, with a cluster also that it can be met', async () => {
    expect(await run(['policy', 'validate', example('gdpr')])).toMatchObject({ code: 0, stdout: 'The policy is right.\n' })
    const met = await run(['policy', 'validate', example('gdpr'), ...cluster])
    expect(met).toMatchObject({ code: 0, stdout: 'The policy is right, and the cluster can meet it.\n' })
  })

  it('given mistakes, then it says where each stands, what to do, and ends with 1', async () => {
    const file = await fileOf(`version: 1
tenant: acme
placements:
  notes:
    stores: { in: [IE] }
    store: { in: [EEA] }
    access: { in: [anywhere] }
collections:
  notes: { placement: note }
`)
    const ended = await run(['policy', 'validate', file])
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toContain(
      `${file}:5:5: placements.notes.stores: there is no field stores here; there are store, access,`,
    )
    expect(ended.stderr).toContain(`${file}:9:23: collections.notes.placement: there is no such placement`)
    const json = await run(['policy', 'validate', file, '--json'])
    expect(JSON.parse(json.stdout)).toMatchObject({ valid: false, findings: [{ code: 'invalid', where: `${file}:5:5` }, {}, {}] })
    expect(json.code).toBe(1)
  })

  it('given a cluster that cannot meet it, then it ends with 1', async () => {
    const file = await fileOf(`version: 1
tenant: acme
placements:
  notes: { store: { in: [NZ] }, access: { in: [anywhere] } }
collections:
  notes: { placement: notes }
`)
    expect((await run(['policy', 'validate', file])).code).toBe(0)
    const ended = await run(['policy', 'validate', file, ...cluster])
    expect(ended.code).toBe(1)
    expect(ended.stderr).toContain('no region of the cluster may hold it')
  })
})

describe('meridian policy explain', () => {
  it('given a region that may not, then it says why and who may, and ends with 1', async () => {
    expect(await run(question('--verb', 'store', '--region', 'us-east', '--epoch', '41'))).toMatchObject({
      code: 1,
      stderr: '',
      stdout: `DENY store plaintext acme/customers/1 at us-east
  rule   acme.customers  store in [EEA]   (policy epoch 41, EEA@2026-01)
  nearest allowed  eu-west, eu-central, eu-south
  would be allowed by  adding US to store.in and to store.in of acme.class.personal, or an exception (rule is not exceptable)
`,
    })
  })

  it('given a region that may, and a client, then it ends with 0; as JSON too', async () => {
    const allowed = await run(question('--verb', 'store', '--region', 'eu-west'))
    expect([allowed.code, allowed.stdout]).toEqual([
      0,
      expect.stringContaining('ALLOW store plaintext acme/customers/1 at eu-west'),
    ])
    const json = await run(question('--verb', 'access', '--from', 'CH', '--json'))
    expect(json.code).toBe(0)
    expect(JSON.parse(json.stdout)).toMatchObject({
      decision: 'yes',
      rule: 'acme.class.personal',
      group: 'acme/customers',
      epoch: 1,
    })
  })

  it.each([
    ['no place', ['--verb', 'store'], 'say where: --region'],
    ['a country for storing', ['--verb', 'store', '--from', 'CH'], '--from is for --verb access'],
    ['a verb that is none', ['--verb', 'keep', '--region', 'eu-west'], 'Allowed choices are store'],
    ['a country that is none', ['--verb', 'access', '--from', 'XX'], '--from: expected a country code'],
    ['an epoch that is none', ['--verb', 'store', '--region', 'eu-west', '--epoch', '0'], '--epoch: expected a number'],
    ['a name that is none', ['--verb', 'store', '--region', 'eu-west', '--document', 'acme'], '--document: [NAME_INVALID]'],
    [
      'a file that is not there',
      ['--verb', 'store', '--region', 'eu-west', '--cluster', 'missing.yaml'],
      'cannot read the file missing.yaml (ENOENT)',
    ],
    [
      'a policy for a cluster',
      ['--verb', 'store', '--region', 'eu-west', '--cluster', example('gdpr')],
      'the cluster file is not right',
    ],
  ])('given %s, then it says so and ends with 2', async (_, args, expected) => {
    const ended = await run(question(...args))
    expect(ended.code).toBe(2)
    expect(ended.stderr).toContain(expected)
    expect(ended.stderr).not.toMatch(/^\s+at /m)
  })
})
