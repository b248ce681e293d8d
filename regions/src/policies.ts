/**
 * RES3: what a region knows of the policies of all tenants: the edits that it has seen, folded, and for each group who keeps it. Edits come from policy
 * files, which are first edits, and out of control groups; in whatever order they come, the same ones come to the same policy.
 *
 * ```
 *   file ───┐
 *   HTTP ───┼─▶ include ─▶ foldEdits ─▶ policyOf (Residency) ─▶ watchers: sessions, links
 *   link ───┘                       └─▶ stateOf, keepersOf (links)
 * ```
 *
 * A policy file is the edit without parents that its text comes to, so that two regions with the same file know the same edit. A file that was changed
 * is one more edit beside what there is: both must say yes.
 */

import type { Clock } from '@meridian/core/effects'
import { controlGroup, groupTenant, type GroupId, type RegionId, type TenantId } from '@meridian/core/ids'
import type { PolicyEdit } from '@meridian/core/policy-edit'
import type { PolicyState } from './link/port.js'
import { type EffectivePolicy, keptIn, nextChangeMs } from './policy/combine.js'
import { controlRegions, foldEdits, type PolicyHistory } from './policy/edits.js'
import type { Topology } from './topology.js'

export interface PoliciesConfig {
  /** One that never runs backwards (`forwardClock`). */
  readonly clock: Clock
  readonly topology: () => Topology
  /** As `foldEdits` has it. */
  readonly isAuthentic: (edit: PolicyEdit) => boolean
  /** How far the clock may be off, in milliseconds. Default 60,000. */
  readonly skewMs?: number
}

interface Known {
  readonly history: PolicyHistory
  readonly heads: bigint
  /** By group. Made anew when the policy, the cluster file or the time changes it. */
  readonly keepers: Map<GroupId, ReadonlySet<RegionId>>
  topology: Topology
  untilMs: number
}

const nobody: ReadonlySet<RegionId> = new Set()

/** Groups of one tenant whose regions are remembered; beyond it they are worked out each time anew. */
const keepersMax = 10_000

/** What stands in edits that are made of files, where others have who signed. */
export const fileAuthor = 'file'

export class Policies {
  readonly #config: PoliciesConfig
  readonly #skewMs: number
  readonly #known = new Map<TenantId, Known>()
  /** Tenants of whose policy something cannot be read. */
  readonly #closed = new Set<TenantId>()
  readonly #watchers = new Set<(tenant: TenantId) => void>()

  constructor(config: PoliciesConfig) {
    this.#config = config
    this.#skewMs = config.skewMs ?? 60_000
  }

  get tenants(): Iterable<TenantId> {
    return this.#known.keys()
  }

  /** What holds for a tenant now; undefined if nothing is known. A change of it is another object. [hot] */
  policyOf(tenant: TenantId): EffectivePolicy | undefined {
    return this.#known.get(tenant)?.history.effective
  }

  historyOf(tenant: TenantId): PolicyHistory | undefined {
    return this.#known.get(tenant)?.history
  }

  /** What a link compares before it streams a group. [hot] */
  stateOf(group: GroupId): PolicyState {
    const tenant = groupTenant(group)
    const known = this.#known.get(tenant)
    const isControl = group === controlGroup(tenant)
    return { epoch: known?.history.effective.epoch ?? 0, heads: isControl ? 0n : (known?.heads ?? 0n) }
  }

  /** The regions that keep a group durably, this one or not. A control group goes where an edit ever named, as who was cut off must hear of it. */
  keepersOf(group: GroupId): ReadonlySet<RegionId> {
    const tenant = groupTenant(group)
    const known = this.#known.get(tenant)
    if (known === undefined) return nobody
    const topology = this.#config.topology()
    const nowMs = this.#config.clock.now()
    if (known.topology !== topology || nowMs >= known.untilMs) {
      known.keepers.clear()
      known.topology = topology
      known.untilMs = nextChangeMs(known.history.effective, { nowMs, skewMs: this.#skewMs })
    }
    const held = known.keepers.get(group)
    if (held !== undefined) return held
    const moment = { nowMs, skewMs: this.#skewMs }
    const made =
      group === controlGroup(tenant)
        ? controlRegions(known.history, topology, moment, new Map())
        : new Set(keptIn(known.history.effective, group, { topology, moment }))
    if (known.keepers.size < keepersMax) known.keepers.set(group, made)
    return made
  }

  /** When an answer may change by the passing of time alone, in milliseconds since 1970; Infinity if none may. */
  nextChangeMs(): number {
    const moment = { nowMs: this.#config.clock.now(), skewMs: this.#skewMs }
    let next = Infinity
    for (const { history } of this.#known.values()) next = Math.min(next, nextChangeMs(history.effective, moment))
    return next
  }

  /** Edits that are durable here. Watchers are told of each tenant of which something new is among them. */
  include(edits: Iterable<PolicyEdit>): void {
    const byTenant = new Map<TenantId, PolicyEdit[]>()
    for (const edit of edits) {
      const list = byTenant.get(edit.tenant)
      if (list === undefined) byTenant.set(edit.tenant, [edit])
      else list.push(edit)
    }
    for (const [tenant, added] of byTenant) this.#fold(tenant, added)
  }

  /** Nothing of a tenant is allowed any more: an edit of its policy is there and cannot be read (RES2). */
  close(tenant: TenantId): void {
    if (this.#closed.has(tenant)) return
    this.#closed.add(tenant)
    this.#adopt(tenant, foldEdits(tenant, this.#editsOf(tenant), this.#config.isAuthentic))
  }

  /** Told after each change of a tenant's policy, when it holds already. @returns what ends it. */
  watch(watcher: (tenant: TenantId) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #fold(tenant: TenantId, added: readonly PolicyEdit[]): void {
    const before = this.#known.get(tenant)?.history
    const history = foldEdits(tenant, [...this.#editsOf(tenant), ...added], this.#config.isAuthentic)
    if (history.edits.size > (before?.edits.size ?? 0)) this.#adopt(tenant, history)
  }

  #editsOf(tenant: TenantId): PolicyEdit[] {
    return [...(this.#known.get(tenant)?.history.edits.values() ?? [])].map(({ edit }) => edit)
  }

  #adopt(tenant: TenantId, folded: PolicyHistory): void {
    const { effective } = folded
    const unreadableCount = effective.unreadableCount + (this.#closed.has(tenant) ? 1 : 0)
    const history = { ...folded, effective: { ...effective, unreadableCount } }
    this.#known.set(tenant, {
      history,
      heads: headsOf(history),
      keepers: new Map(),
      topology: this.#config.topology(),
      untilMs: nextChangeMs(history.effective, { nowMs: this.#config.clock.now(), skewMs: this.#skewMs }),
    })
    for (const watcher of [...this.#watchers]) watcher(tenant)
  }
}

/** The edit that a policy file comes to: the same in every region that has the file. */
export const fileEdit = (tenant: TenantId, policy: unknown): PolicyEdit => ({
  kind: 'policy',
  tenant,
  epoch: 1,
  parents: [],
  author: fileAuthor,
  policy: JSON.stringify(policy),
  signature: new Uint8Array(0),
})

/** Equal only if the heads are, but for chance: made of the first 64 bits of each name, in their order. Never 0. */
function headsOf({ heads }: PolicyHistory): bigint {
  let mixed = 0n
  for (const { id } of heads) mixed = BigInt.asUintN(64, mixed * fnvPrime + BigInt(`0x${id.slice(0, 16)}`))
  return mixed | 1n
}

/** Of FNV-1a with 64 bits: odd, so that nothing is lost by multiplying. */
const fnvPrime = 1_099_511_628_211n
