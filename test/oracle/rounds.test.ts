/** A few dozen rounds of Yjs' own oracle behind real sockets; more of them: `npm run oracle`. */

import { create } from 'lib0/prng'
import { afterEach, expect, test, vi } from 'vitest'
import * as Y from 'yjs'
import { compare } from 'yjs/testHelper'
import { CutProxy } from '../e2e/cut-proxy.js'
import { NodeProcess } from '../e2e/node-process.js'
import { Resources } from '../e2e/resources.js'
import { documentOf, playRounds } from './rounds.js'

const resources = new Resources()
afterEach(() => resources.dispose())

test('[SES1, LOG1] given people who edit, come, go and are cut off, and a node that is killed, when all are online, then Yjs finds no difference', async () => {
  const node = resources.own(await NodeProcess.start({ directory: resources.directory() }))
  const proxy = resources.own(await CutProxy.start({ port: () => node.port }))
  const { rounds, versions, cuts } = await playRounds({ node, proxy, firstSeed: 1, roundCount: 24, stepCount: 80 })
  expect(rounds).toBe(24)
  expect([...versions].toSorted()).toEqual(['1.5', '2.1', '3.1'])
  expect(cuts).toBeGreaterThan(5)
  expect(node.killCount).toBeGreaterThan(1)
}, 240_000)

test('given somebody who missed a deletion, when the oracle is asked, then it finds the difference', () => {
  // It says what differs on the console, too.
  for (const method of ['log', 'error'] as const)
    resources.later(vi.spyOn(console, method).mockImplementation(() => undefined).mockRestore)
  const pair = () => {
    const [one, other] = [documentOf(create(1)), documentOf(create(2))]
    one.getText('text').insert(0, 'abc')
    Y.applyUpdate(other, Y.encodeStateAsUpdate(one))
    return [one, other] as const
  }
  expect(() => compare([...pair()])).not.toThrow()
  const [one, other] = pair()
  one.getText('text').delete(1, 1)
  expect(() => compare([one, other])).toThrow('Test Failed')
})
