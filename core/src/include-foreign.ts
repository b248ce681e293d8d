/**
 * Entries that a link brought, on their way into the log and out of it to whoever listens here. One that an erase took comes as a stub, and before the
 * erase does: this region ends that life first, by an erase of its own (RES7, ADR 22).
 */

import type { Hub } from './hub.js'
import type { GroupId } from './ids.js'
import type { Done, Foreign, Included, LinkedLog, LogErrorCode } from './log.js'
import type { ErasedLife } from './stub.js'

export interface Inclusion {
  readonly log: LinkedLog
  readonly hub: Hub
  /** RES3: the epoch under which this region ends a life. */
  readonly epochOf: (group: GroupId) => number
}

/** As `LinkedLog.include`, and never `living`. All entries are of one group. */
export function includeForeign(inclusion: Inclusion, entries: readonly Foreign[], done: Done<Included>): void {
  const { log, hub } = inclusion
  log.include(entries, (outcome) => {
    if (outcome.kind === 'failed') hub.includeFailed(entries)
    else if (outcome.value.kind === 'included') hub.included(outcome.value.entries)
    else if (outcome.value.kind === 'living') {
      const group = entries[0]?.group
      if (group !== undefined) return endLives(inclusion, group, outcome.value.lives, (code) => again(code))
    }
    done(outcome)
  })
  const again = (code: LogErrorCode | undefined): void => {
    if (code === undefined) includeForeign(inclusion, entries, done)
    else done({ kind: 'failed', code })
  }
}

function endLives(
  { hub, epochOf }: Inclusion,
  group: GroupId,
  lives: readonly ErasedLife[],
  done: (failed: LogErrorCode | undefined) => void,
): void {
  let left = lives.length
  let failed: LogErrorCode | undefined
  const ended = (code: LogErrorCode | undefined): void => {
    failed ??= code
    if (--left === 0) done(failed)
  }
  for (const life of lives) hub.endLife(group, life, epochOf(group), ended)
}
