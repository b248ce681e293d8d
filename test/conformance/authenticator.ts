/**
 * What every authenticator owes: the principal of a good token, and for all else a typed refusal that holds nothing of the token.
 */

import type { Principal } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import type { Authenticator } from '@meridian/server/auth/authenticator'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'

export interface AuthenticatorCase {
  readonly name: string
  readonly make: () => Promise<Authenticator>
  readonly good: () => Promise<{ readonly token: string; readonly principal: Principal }>
  /** Tokens to refuse; none for an authenticator that takes everything. */
  readonly bad: readonly {
    readonly name: string
    readonly code: 'TOKEN_INVALID' | 'TOKEN_EXPIRED'
    readonly token: () => Promise<string>
  }[]
}

/** What somebody who reads a log would see of an error. */
function shown(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return `${error.message}\n${error.stack ?? ''}\n${JSON.stringify(Object.entries(error))}\n${error.cause === undefined ? '' : shown(error.cause)}`
}

export async function refusal(authenticator: Authenticator, token: string): Promise<MeridianError> {
  const thrown: unknown = await authenticator.authenticate(token).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(thrown).toBeInstanceOf(MeridianError)
  if (!(thrown instanceof MeridianError)) throw new Error('not refused')
  expect(['TOKEN_INVALID', 'TOKEN_EXPIRED']).toContain(thrown.code)
  const text = shown(thrown)
  expect(token.split('.').filter((part) => part.length >= 8 && text.includes(part))).toEqual([])
  return thrown
}

export function describeAuthenticator(subject: AuthenticatorCase): void {
  describe(`authenticator ${subject.name}`, () => {
    let authenticator: Authenticator
    beforeAll(async () => {
      authenticator = await subject.make()
    })

    it('given a good token, then it is the principal that the token names', async () => {
      const { token, principal } = await subject.good()
      expect(await authenticator.authenticate(token)).toEqual(principal)
    })

    it('given many tokens at once, then each gets its own answer', async () => {
      const { token, principal } = await subject.good()
      const answers = await Promise.all(Array.from({ length: 50 }, () => authenticator.authenticate(token)))
      expect(answers).toEqual(Array.from({ length: 50 }, () => principal))
    })

    for (const { name, code, token } of subject.bad) {
      it(`given ${name}, then ${code}, and nothing of the token in the error`, async () => {
        expect((await refusal(authenticator, await token())).code).toBe(code)
      })
    }

    if (subject.bad.length === 0) return

    it('given any text, then it is refused', async () => {
      await fc.assert(
        fc.asyncProperty(fc.oneof(fc.string(), fc.stringMatching(/^[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}$/)), async (text) => {
          await refusal(authenticator, text)
        }),
        { numRuns: 200 },
      )
    })

    it('given a good token with one character changed, then it is refused', async () => {
      const { token } = await subject.good()
      await fc.assert(
        fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(...Array.from('ABCxyz019-_.')), async (at, character) => {
          // The last character of a part may hold bits that mean nothing.
          if (token[at] === character || token[at + 1] === '.' || at === token.length - 1) return
          await refusal(authenticator, token.slice(0, at) + character + token.slice(at + 1))
        }),
        { numRuns: 200 },
      )
    })
  })
}
