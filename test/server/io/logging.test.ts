import { systemRandom } from '@meridian/server/io/clock'
import { createLogger } from '@meridian/server/io/logging'
import { describe, expect, it } from 'vitest'
import { configOf } from '../support/running-node.js'

function logged(flags: Record<string, string | boolean>, write: (logger: ReturnType<typeof createLogger>) => void): string {
  let text = ''
  write(createLogger(configOf({ dev: true, ...flags }), { isTTY: false, write: (line) => (text += line) }))
  return text
}

describe('logs', () => {
  it('are one JSON object a line, with time, level and region', () => {
    const text = logged({}, (logger) => {
      logger.info({ sessions: 3 }, 'draining')
      logger.debug('not at this level')
    })
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { level: 'info', time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/), region: 'eu-west', sessions: 3, msg: 'draining' },
    ])
  })

  it('hold no tokens, names or contents, even if somebody hands them over', () => {
    const secret = 'secret-of-somebody'
    const fields = {
      token: secret,
      authorization: secret,
      cookie: secret,
      payload: secret,
      document: secret,
      headers: { authorization: secret, cookie: secret },
    }
    expect(logged({}, (logger) => logger.error(fields, 'trouble'))).not.toContain(secret)
  })

  it('are lines for people if asked for, on one line each, without what would draw on a terminal', () => {
    const text = logged({ 'log.format': 'pretty' }, (logger) =>
      logger.warn({ why: 'a\nb', count: 2 }, '\u001b[31mred\u001b[0m\rmore'),
    )
    expect(text).toMatch(/^\d\d:\d\d:\d\d warn {2}red \| more {2}why=a \| b {2}count=2\n$/)
  })
})

describe('system randomness', () => {
  it('is uniform over 32 bits and does not repeat at a refill', () => {
    const random = systemRandom()
    const values = Array.from({ length: 4096 }, () => random.uint32())
    expect(new Set(values).size).toBeGreaterThan(4090)
    const mean = values.reduce((sum, value) => sum + value / values.length, 0) / 2 ** 32
    // Twelve standard deviations: it fails for a defect and not by chance.
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.06)
    expect(values.filter((value) => !Number.isInteger(value) || value < 0 || value >= 2 ** 32)).toEqual([])
  })
})
