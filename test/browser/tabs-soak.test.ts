/** A few cycles of what `npm run soak:browser` does for as long as one likes. */

import { randomInt } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import { Resources } from '../e2e/resources.js'
import { BrowserSoak } from './soak.js'

const cycleCount = 4
const seed = Number(process.env['MERIDIAN_BROWSER_SEED'] ?? randomInt(2 ** 32))

const resources = new Resources()
afterEach(() => resources.dispose())

it('[CLI1] [CLI2] [SES2] given any of these faults, then nothing saved is lost, nothing is doubled, and all end equal', {
  timeout: 600_000,
}, async () => {
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  say(`browser soak: seed ${seed}`)
  const report = await new BrowserSoak({ seed, cycleCount, burstCount: 120, resources, say }).run()
  say(JSON.stringify(report))
  expect(report.cycles).toBe(cycleCount)
  expect(report.edits).toBeGreaterThan(0)
})
