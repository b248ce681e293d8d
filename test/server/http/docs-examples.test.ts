/** The examples of docs/http.md, run as they stand there. */

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { startTestNode, temporaryFolder } from '../support/running-node.js'

const page = readFileSync(fileURLToPath(new URL('../../../docs/http.md', import.meta.url)), 'utf8')
const examples = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map((match) => match[1] ?? '')

/** An answer from 400 on ends the example. */
const strictly = 'set -euo pipefail; curl() { command curl --fail-with-body "$@"; echo; };'

it('given the examples of the page, when run one after the other, then each does what it says', async () => {
  const { node } = await startTestNode()
  const cwd = await temporaryFolder()
  const out: string[] = []
  for (const example of examples) {
    const { stdout } = await promisify(execFile)('bash', ['-c', `${strictly}\n${example}`], {
      cwd,
      env: { ...process.env, NODE: node.url },
    })
    out.push(stdout)
  }
  expect(out).toHaveLength(7)
  const [begun, read, edited, pushed, listed, erased, regions] = out
  expect(JSON.parse(begun ?? '')).toMatchObject({ life: 1 })
  expect((read ?? '').trim().split('\n')).toEqual(['{"content":"Hello","meta":{"done":false},"tags":["new"]}', 'Hello'])
  expect((edited ?? '').trim().split('\n')).toHaveLength(2)
  expect(JSON.parse(pushed ?? '')).toMatchObject({ life: 1, entry: {} })
  expect(listed).toContain('{"documents":[{"key":"welcome","engine":"yjs","life":1,"erased":false}]}')
  expect(listed).toMatch(/event: changed\nid: \S+\ndata: \{"key":"welcome"/)
  expect(JSON.parse(erased ?? '')).toMatchObject({ life: 1 })
  expect(JSON.parse(regions ?? '')).toMatchObject({ regions: [{ jurisdiction: null, url: null, state: 'active' }] })
  const welcome = await (await fetch(`${node.url}/v1/documents/dev/notes/welcome`)).json()
  expect(welcome).toEqual({ content: 'Hello, world', tags: ['new', 'greeting'], meta: { done: true, by: 'ann' } })
  expect((await fetch(`${node.url}/v1/documents/dev/notes/copy`)).status).toBe(410)
}, 30_000)
