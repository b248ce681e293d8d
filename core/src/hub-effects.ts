/** What a hub needs of the world, and what it may be told to do differently. */

import type { CompactionPolicy } from './compaction.js'
import { compactionPolicy } from './compaction.js'
import type { Admit, Clock, Random } from './effects.js'
import type { EngineAside } from './engine-aside.js'
import type { Engine, EngineName } from './engine.js'
import type { Entry } from './entry.js'
import type { DocumentName, GroupId, RegionId, ReplicaId } from './ids.js'
import type { HubLimits } from './limits.js'
import { hubLimits } from './limits.js'
import type { RegionLog } from './log.js'
import type { PresenceLinks } from './presence-board.js'
import type { Chain } from './version.js'

/** What links to other regions hear of this one: all that became durable, in the order of the log. */
export interface HubLinks extends PresenceLinks {
  /** Entries of this region, up to this one. @param chain of it; undefined if the log did not say. */
  appended(group: GroupId, replica: ReplicaId, sequence: number, chain: Chain | undefined): void
  /** Entries that links brought. */
  included(entries: readonly Entry[]): void
  /** The log opened anew, and may hold more than was told. */
  reopened(): void
  /** How many regions hold a group, this one included. */
  regionCount(group: GroupId): number
  /** Whether a region is connected now. */
  isLinked(region: RegionId): boolean
}

export interface HubEffects {
  readonly log: RegionLog
  readonly clock: Clock
  readonly random: Random
  readonly admit: Admit
  readonly engines: Partial<Record<EngineName, Engine>>
  readonly aside: EngineAside
  /** Runs at the end of this turn, when sockets that are readable have been read, or a moment later, so that others can join a commit. */
  schedule(run: () => void, when: 'end of turn' | 'in a moment'): void
  /** Asks for a new snapshot. Answered by `compacted`, whether there is one or not. */
  compact(document: DocumentName): void
  /** Absent for a node that is alone. */
  readonly links?: HubLinks
  /** A control entry became durable here, whoever wrote it; told once, after what stood before it was delivered (RES3). */
  controlled?(group: GroupId, payload: Uint8Array): void
}

export interface HubOptions {
  readonly limits: HubLimits
  readonly compaction: CompactionPolicy
  /** True while this region is the only one of each group, so that it may seal its closed incarnations by itself. */
  readonly aloneInGroups: boolean
}

export const hubOptions: HubOptions = { limits: hubLimits, compaction: compactionPolicy, aloneInGroups: true }
