/** What the suites of Hocuspocus use of ava, on vitest: an assertion that fails in a callback fails its test, though nobody waits for it. */

import { isDeepStrictEqual } from 'node:util'
import * as vitest from 'vitest'

const register = vitest.test

interface Try {
  readonly passed: boolean
  commit(): void
  discard(): void
}

export class ExecutionContext {
  readonly failures: string[] = []
  readonly undo: (() => unknown)[] = []

  pass(): void {
    // Nothing failed.
  }

  fail(message = 'failed'): void {
    this.failures.push(message)
  }

  is(actual: unknown, expected: unknown): void {
    if (!Object.is(actual, expected)) this.fail(`${String(actual)} is not ${String(expected)}`)
  }

  not(actual: unknown, unexpected: unknown): void {
    if (Object.is(actual, unexpected)) this.fail(`it is ${String(actual)}`)
  }

  true(value: unknown): void {
    this.is(value, true)
  }

  false(value: unknown): void {
    this.is(value, false)
  }

  deepEqual(actual: unknown, expected: unknown): void {
    if (!isDeepStrictEqual(actual, expected)) this.fail(`${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`)
  }

  teardown(run: () => unknown): void {
    this.undo.push(run)
  }

  async try(run: (t: ExecutionContext) => unknown): Promise<Try> {
    const inner = new ExecutionContext()
    await run(inner)
    return {
      passed: inner.failures.length === 0,
      commit: () => void this.failures.push(...inner.failures),
      discard: () => undefined,
    }
  }
}

export default function test(title: string, run: (t: ExecutionContext) => unknown): void {
  register(title, async ({ onTestFinished }) => {
    const t = new ExecutionContext()
    onTestFinished(async () => {
      for (const undo of t.undo.reverse()) await undo()
    })
    await run(t)
    if (t.failures.length > 0) throw new Error(t.failures.join('; '))
  })
}
