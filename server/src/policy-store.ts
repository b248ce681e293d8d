/**
 * Policies of tenants as a node keeps them: the files that it was started with, and the edits in control groups, which are entries of its log as all
 * others (RES3). An edit holds when it is durable here, and not before.
 */

import type { Clock } from '@meridian/core/effects'
import { type Control, decodeControl } from '@meridian/core/entry'
import { MeridianError } from '@meridian/core/errors'
import type { Hub } from '@meridian/core/hub'
import {
  controlGroup,
  defaultGroup,
  type DocumentName,
  documentParts,
  type EditId,
  type GroupId,
  groupTenant,
  type Position,
  type RegionId,
  type TenantId,
  toPosition,
} from '@meridian/core/ids'
import type { Done, ListedDocument, Outcome, Read, RegionLog } from '@meridian/core/log'
import { editId, type PolicyEdit } from '@meridian/core/policy-edit'
import type { Finding } from '@meridian/regions/plain'
import { fileEdit, type Policies } from '@meridian/regions/policies'
import { nextEdit, type PolicyHistory } from '@meridian/regions/policy/edits'
import { groupOf } from '@meridian/regions/policy/evaluate'
import { movedCollections } from '@meridian/regions/policy/identity'
import { namedRegions } from '@meridian/regions/policy/named-regions'
import { parsePolicy } from '@meridian/regions/policy/parse'
import type { Policy } from '@meridian/regions/policy/schema'
import { validate } from '@meridian/regions/policy/validate'
import type { Topology } from '@meridian/regions/topology'
import type { TenantPolicy } from './policy-files.js'

export interface PolicyStoreOptions {
  readonly region: RegionId
  readonly policies: Policies
  readonly topology: () => Topology
  readonly hub: Hub
  readonly log: RegionLog
  readonly clock: Clock
  readonly skewMs: number
}

/** What became of an edit. `invalid`: nothing was stored, and why. `elsewhere`: this region is none that it names. */
export type Edited =
  | { readonly kind: 'edited'; readonly id: EditId; readonly history: PolicyHistory; readonly warnings: readonly Finding[] }
  | { readonly kind: 'invalid'; readonly findings: readonly Finding[] }
  | { readonly kind: 'outdated'; readonly history: PolicyHistory | undefined }
  | { readonly kind: 'elsewhere'; readonly regions: readonly RegionId[] }

/** One read of a control group: edits are 256 KiB at most. */
const page = { bytes: 1024 * 1024, entries: 256 }
const listPage = 256

export class PolicyStore {
  readonly #options: PolicyStoreOptions
  /** Edits of one node are made one after another, so that each names the one before. */
  #editing: Promise<unknown> = Promise.resolve()

  constructor(options: PolicyStoreOptions) {
    this.#options = options
  }

  /** What files say, and every edit that the log holds. Nobody is served before. @throws MeridianError of the log */
  async load(files: readonly TenantPolicy[]): Promise<void> {
    const { policies, log } = this.#options
    policies.include(files.map(({ tenant, values }) => fileEdit(tenant, values)))
    const groups = await ask<readonly GroupId[]>((done) => log.listGroups(done))
    for (const group of groups) if (group === controlGroup(groupTenant(group))) await this.#read(group)
  }

  /** A control entry is durable here. */
  controlled(group: GroupId, payload: Uint8Array): void {
    const tenant = groupTenant(group)
    if (group !== controlGroup(tenant)) return
    const control = controlOf(payload)
    if (control === 'unreadable') this.#options.policies.close(tenant)
    else if (control.kind === 'policy') this.#options.policies.include([control])
  }

  validate(value: unknown): { readonly policy: Policy | undefined; readonly findings: readonly Finding[] } {
    const outcome = parsePolicy(value)
    if (outcome.kind === 'invalid') return { policy: undefined, findings: outcome.findings }
    const { clock, skewMs, topology } = this.#options
    const findings = validate(outcome.policy, { nowMs: clock.now(), skewMs }, topology())
    return { policy: outcome.policy, findings: [...outcome.warnings, ...findings] }
  }

  /**
   * An edit that replaces all heads that are known here.
   *
   * @param heads those that its author has seen, as `headsTag` names them; undefined if that does not matter.
   */
  edit(tenant: TenantId, value: unknown, by: { readonly author: string; readonly heads: string | undefined }): Promise<Edited> {
    const run = this.#editing.then(() => this.#edit(tenant, value, by))
    this.#editing = run.catch(() => undefined)
    return run
  }

  async #edit(
    tenant: TenantId,
    value: unknown,
    { author, heads }: { readonly author: string; readonly heads: string | undefined },
  ): Promise<Edited> {
    const { policies, hub } = this.#options
    const history = policies.historyOf(tenant)
    if (heads !== undefined && heads !== headsTag(history)) return { kind: 'outdated', history }
    const { policy, findings } = this.validate(value)
    if (policy === undefined || findings.some(({ level }) => level === 'error')) return { kind: 'invalid', findings }
    if (policy.tenant !== tenant)
      return { kind: 'invalid', findings: [refusal(['tenant'], 'the policy is of another tenant than the path')] }
    const moved = await this.#moved(tenant, history, policy)
    if (moved.length > 0) return { kind: 'invalid', findings: moved }
    const elsewhere = this.#elsewhere(tenant, policy)
    if (elsewhere !== undefined) return { kind: 'elsewhere', regions: elsewhere }
    const edit: PolicyEdit = { ...nextEdit(history ?? nothing(tenant), author, value), signature: new Uint8Array(0) }
    await new Promise<void>((resolve, reject) => {
      hub.control(controlGroup(tenant), edit, {
        saved: () => resolve(),
        failed: (_channel, _counter, _bytes, code) => reject(new MeridianError(code)),
      })
    })
    const now = policies.historyOf(tenant)
    if (now === undefined) throw new MeridianError('INTERNAL')
    return { kind: 'edited', id: editId(edit), history: now, warnings: findings }
  }

  /** RES0, RES4: what would be in another group by this policy; moves are not made yet. */
  async #moved(tenant: TenantId, history: PolicyHistory | undefined, policy: Policy): Promise<readonly Finding[]> {
    if (history !== undefined) {
      const before = history.effective.heads
      return movedCollections(before, policy).map((collection) =>
        refusal(
          ['collections', collection],
          'its documents would be in another group, by another placement, by or keys; moves are not made yet, so leave these as they are',
        ),
      )
    }
    const { log } = this.#options
    const groups = await ask<readonly GroupId[]>((done) => log.listGroups(done))
    if (!groups.includes(defaultGroup(tenant))) return []
    for (let after = ''; ; ) {
      const from = after
      const listed = await ask<readonly ListedDocument[]>((done) => log.listDocuments(`${tenant}/`, from, listPage, done))
      for (const { document } of listed) {
        after = document
        if (groupOf(policy, nameOf(document)) === defaultGroup(tenant)) continue
        return [
          refusal(
            ['placements'],
            'the region holds documents from before there was a policy, in the group default; moves are not made yet, so give their collections the placement default, without by',
          ),
        ]
      }
      if (listed.length < listPage) return []
    }
  }

  /** The regions that an edit is to be handed in at, if this is none of them: a policy is in no region that it does not name. */
  #elsewhere(tenant: TenantId, policy: Policy): readonly RegionId[] | undefined {
    const { policies, region, topology, clock, skewMs } = this.#options
    const named = new Set([
      ...policies.keepersOf(controlGroup(tenant)),
      ...namedRegions(policy, topology(), { nowMs: clock.now(), skewMs }),
    ])
    return named.has(region) ? undefined : [...named]
  }

  async #read(group: GroupId): Promise<void> {
    const { log, policies } = this.#options
    const edits: PolicyEdit[] = []
    for (let after: Position = toPosition(0); ; ) {
      const from = after
      const outcome = await new Promise<Outcome<Read>>((resolve) => log.readGroup(group, from, page, resolve))
      if (outcome.kind === 'failed') {
        if (outcome.code !== 'DOCUMENT_DAMAGED') throw new MeridianError(outcome.code)
        return policies.close(groupTenant(group))
      }
      for (const { kind, payload } of outcome.value.entries) {
        if (kind !== 'control') continue
        const control = controlOf(payload)
        if (control === 'unreadable') policies.close(groupTenant(group))
        else if (control.kind === 'policy') edits.push(control)
      }
      after = outcome.value.asOf
      if (!outcome.value.more) return policies.include(edits)
    }
  }
}

/** Names the heads of a policy for `If-Match`; `none` without any. */
export const headsTag = (history: PolicyHistory | undefined): string =>
  history === undefined || history.heads.length === 0 ? 'none' : history.heads.map(({ id }) => id.slice(0, 16)).join('.')

/** What cannot be read is of a newer version, and may narrow what holds. */
function controlOf(payload: Uint8Array): Control | 'unreadable' {
  try {
    return decodeControl(payload)
  } catch {
    return 'unreadable'
  }
}

const nothing = (tenant: TenantId): PolicyHistory => ({
  tenant,
  edits: new Map(),
  heads: [],
  effective: { tenant, epoch: 0, heads: [], unreadableCount: 0 },
  refused: [],
})

const refusal = (path: Finding['path'], message: string): Finding => ({ level: 'error', code: 'not served', path, message })

const nameOf = (document: DocumentName) => ({ ...documentParts(document), section: undefined })

async function ask<T>(run: (done: Done<T>) => void): Promise<T> {
  const outcome = await new Promise<Outcome<T>>((resolve) => run(resolve))
  if (outcome.kind === 'failed') throw new MeridianError(outcome.code)
  return outcome.value
}
