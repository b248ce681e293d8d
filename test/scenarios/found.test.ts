/** What seeds have found once (docs/bugs.md), each as the shortest run that showed it. Every one of them failed before its fix. */

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Drawn } from '../sim/cluster/options.js'
import { run } from '../sim/cluster/run.js'

interface Scenario {
  readonly name: string
  readonly rule: string
  readonly story: string
  readonly drawn: Drawn
}

const folder = new URL('./runs/', import.meta.url)
const scenarios = readdirSync(folder)
  .sort()
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Scenario)

describe('what seeds have found', () => {
  it.each(scenarios)('[$rule] $story', { timeout: 120_000 }, async ({ drawn }) => {
    const { wrong } = await run(drawn)
    expect(wrong).toEqual([])
  })
})
