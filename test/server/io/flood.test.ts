/** Ten thousand sockets that never say who they are. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { Cli } from '../support/cli.js'
import { RawClient } from '../support/raw-client.js'
import { temporaryFolder } from '../support/running-node.js'

const generator = fileURLToPath(new URL('../support/silent-sockets.mjs', import.meta.url))
const count = 10_000
const greetingSocketsMax = 1_000

async function metrics(url: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return new Map(
    text.split('\n').map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
}

it('[SES3] given 10,000 sockets that never authenticate, then they cost what greetingSocketsMax of them may, and others are served', {
  timeout: 30_000,
}, async () => {
  const flags = [
    '--dev',
    '--port',
    '0',
    '--data',
    await temporaryFolder(),
    '--limits-greeting-sockets-max',
    String(greetingSocketsMax),
  ]
  const node = new Cli(['node', ...flags])
  const url = await node.url()
  const before = await metrics(url)
  const honest = await new RawClient(url).greet()
  const flood = fork(generator, [new URL(url).port, String(count)], { stdio: 'ignore' })
  onTestFinished(() => void flood.kill('SIGKILL'))
  await once(flood, 'message')

  const late = await new RawClient(url).greet()
  for (const client of [honest, late]) {
    client.send({ type: 'ping', nonce: 1 })
    await client.frame('pong')
  }
  const after = await metrics(url)
  expect(after.get('meridian_unknown_sockets')).toBeLessThanOrEqual(greetingSocketsMax)
  // Where a machine allows fewer open files the generator gets fewer sockets; there are far more than the bound all the same.
  expect(after.get('meridian_evicted_sockets_total')).toBeGreaterThan(0)
  const grownBytes = (after.get('process_resident_memory_bytes') ?? 0) - (before.get('process_resident_memory_bytes') ?? 0)
  // Half a message each is 30 KiB; the rest is what sockets cost, and garbage.
  expect(grownBytes).toBeLessThan(200 * 1024 * 1024)
})
