/** Two states of one document, each of which holds what the other lacks (LINK6). */

import type { Engine, EngineName } from '@meridian/core/engine'
import { MeridianError } from '@meridian/core/errors'
import type { DocumentState } from '@meridian/core/log'
import { merge, mutableVersion } from '@meridian/core/version'

/** All of two states of one document in one, whose version is the join; of two lives the later. */
export function mergeStates(
  engines: Readonly<Partial<Record<EngineName, Engine>>>,
  here: DocumentState,
  there: DocumentState,
): DocumentState | undefined {
  if (here.life !== there.life) return here.life > there.life ? here : there
  const engine = engines[there.engine]
  if (engine === undefined || here.engine !== there.engine) return undefined
  const updates = [here, there].flatMap(({ snapshot, entries }) => [
    ...(snapshot === undefined ? [] : [snapshot.state.bytes]),
    ...entries.filter(({ kind }) => kind === 'update').map(({ payload }) => payload),
  ])
  const version = mutableVersion(here.version)
  merge(version, there.version)
  try {
    return { ...there, version, snapshot: { version, state: engine.snapshot(updates) }, entries: [] }
  } catch (thrown) {
    if (thrown instanceof MeridianError) return undefined
    throw thrown
  }
}
