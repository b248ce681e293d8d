/**
 * Placement in a running node of a cluster: the clock, the policies that are known, the choke point over them, and where edits are kept. Made before
 * the hub, which it is handed in to, and used by every door.
 */

import type { Clock } from '@meridian/core/effects'
import { assert } from '@meridian/core/errors'
import type { Hub } from '@meridian/core/hub'
import type { GroupId, RegionId } from '@meridian/core/ids'
import type { RegionLog } from '@meridian/core/log'
import type { LinkPlacement } from '@meridian/regions/link/placement'
import { placedBy } from '@meridian/regions/link/placed'
import { Policies } from '@meridian/regions/policies'
import { Residency } from '@meridian/regions/residency'
import type { Topology } from '@meridian/regions/topology'
import type { ClusterConfig } from '../config.js'
import { PolicyStore } from '../policy-store.js'
import { KeptClock } from './kept-clock.js'

export interface PlacingOptions {
  readonly cluster: ClusterConfig
  readonly clock: Clock
  readonly region: RegionId
  /** Where the log is, which is there already. */
  readonly directory: string
}

/** How far clocks may be off, in milliseconds: what ends, ends this much sooner. */
const skewMs = 60_000

export class Placing {
  readonly policies: Policies
  readonly residency: Residency
  readonly forLinks: LinkPlacement
  readonly #options: PlacingOptions
  #topology: Topology
  readonly #clock: KeptClock
  #store: PolicyStore | undefined
  /** When time alone changes an answer. */
  #changesAtMs = Infinity

  constructor(options: PlacingOptions) {
    this.#options = options
    this.#topology = options.cluster.topology
    const clock = new KeptClock(options.clock, options.directory)
    this.#clock = clock
    // Edits carry no signatures yet: who may edit is decided by the token at the region where they are handed in, and links are authenticated.
    const policies = new Policies({ clock, topology: this.topology, isAuthentic: () => true, skewMs })
    this.policies = policies
    this.residency = new Residency({
      region: options.region,
      clock,
      topology: this.topology,
      policyOf: (tenant) => policies.policyOf(tenant),
      skewMs,
    })
    this.forLinks = placedBy(policies, this.residency)
    policies.watch(() => {
      this.#changesAtMs = policies.nextChangeMs()
    })
  }

  readonly topology = (): Topology => this.#topology

  /** The cluster file was read again. */
  reload(topology: Topology): void {
    this.#topology = topology
    this.#changesAtMs = this.policies.nextChangeMs()
  }

  get store(): PolicyStore {
    assert(this.#store !== undefined, 'policies are stored through the hub')
    return this.#store
  }

  use({ hub, log }: { readonly hub: Hub; readonly log: RegionLog }): void {
    const { region } = this.#options
    this.#store = new PolicyStore({
      region,
      policies: this.policies,
      topology: this.topology,
      hub,
      log,
      clock: this.#clock,
      skewMs,
    })
  }

  /** @throws MeridianError of the log */
  load(): Promise<void> {
    return this.store.load(this.#options.cluster.policies)
  }

  controlled(group: GroupId, payload: Uint8Array): void {
    this.store.controlled(group, payload)
  }

  /** About once a second. `changed`: an exception or a membership began or ended. */
  tick(): 'changed' | 'same' {
    this.#clock.keep()
    if (this.#clock.now() < this.#changesAtMs) return 'same'
    this.#changesAtMs = this.policies.nextChangeMs()
    return 'changed'
  }

  close(): void {
    this.#clock.keep(true)
  }
}
