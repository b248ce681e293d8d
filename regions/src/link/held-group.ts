/**
 * What this region holds durably of one group, as all its links see it: version, chain value of each end, seals of floors, and how long each
 * region's entries usually take to get here. One object a group and node; whoever owns the log feeds it with every commit, in the order of the log,
 * and with a fresh opening of the group when the log had to reopen itself (LOG3).
 */

import { decodeControl } from '@meridian/core/entry'
import type { GroupId, RegionId, ReplicaId } from '@meridian/core/ids'
import { replicaParts } from '@meridian/core/ids'
import type { Foreign, GroupInfo } from '@meridian/core/log'
import type { Chain, MutableVersion, Version } from '@meridian/core/version'
import { include, includes, merge, mutableVersion, raiseFloor } from '@meridian/core/version'
import type { Held } from '@meridian/core/wires/link/frames'

const regionOf = (replica: ReplicaId): RegionId => replicaParts(replica).region

export class HeldGroup implements Held {
  readonly group: GroupId
  readonly version: MutableVersion
  readonly chains: Map<ReplicaId, Chain>
  /** Entries that have come since this object was made; grows only. */
  entryCount = 0
  readonly #seals: Map<string, Chain>
  readonly #watchers = new Set<() => void>()
  /** By region: the usual time from hearing of an entry to its arrival on the direct link, in milliseconds. */
  readonly #lagMs = new Map<RegionId, number>()
  /** By replica: a sequence that was heard of and has not come on the direct link yet, and when it was heard of. */
  readonly #heard = new Map<ReplicaId, { readonly sequence: number; readonly atMs: number }>()

  /** @param chains as `seekGroup` of the log answers for `info.version`. */
  constructor(group: GroupId, info: GroupInfo, chains: ReadonlyMap<ReplicaId, Chain>) {
    this.group = group
    this.version = mutableVersion(info.version)
    this.chains = new Map(chains)
    this.#seals = new Map(info.seals)
  }

  /** The log reopened itself, and may hold more than was answered: a commit that failed and is there all the same. Never less. */
  reopen(info: GroupInfo, chains: ReadonlyMap<ReplicaId, Chain>): void {
    merge(this.version, info.version)
    for (const [replica, chain] of chains)
      if (info.version.sequences.get(replica) === this.version.sequences.get(replica)) this.chains.set(replica, chain)
    for (const [name, seal] of info.seals) this.#seals.set(name, seal)
    this.#wake()
  }

  /** These entries became durable here, whoever brought them. */
  include(entries: readonly Foreign[]): void {
    for (const entry of entries) {
      this.#raise(entry.replica, entry.sequence, entry.chain)
      if (entry.kind === 'control') this.#seal(entry)
    }
    this.#wake()
  }

  /** Entries of this region became durable, up to this one. @param chain undefined: not known, and then nobody can compare this end */
  append(replica: ReplicaId, sequence: number, chain: Chain | undefined): void {
    this.#raise(replica, sequence, chain)
    this.#wake()
  }

  #raise(replica: ReplicaId, sequence: number, chain: Chain | undefined): void {
    if (includes(this.version, replica, sequence)) return
    this.entryCount += sequence - (this.version.sequences.get(replica) ?? 0)
    include(this.version, replica, sequence)
    if (chain === undefined) this.chains.delete(replica)
    else this.chains.set(replica, chain)
  }

  /** Entries that are held here and not in `other`. Of incarnations that a floor stands for in one of the two, none are counted. */
  aheadOf(other: Version): number {
    let count = 0
    for (const [replica, sequence] of this.version.sequences)
      if (!includes(other, replica, sequence)) count += sequence - (other.sequences.get(replica) ?? 0)
    return count
  }

  /** Told whenever the group has grown. @returns what ends it. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /**
   * LOG2: a replica of which both hold the same end under two chain values, or a region whose floors of one counter have two seals: two histories
   * of one store. Undefined if nothing that can be compared differs.
   */
  forkWith(other: Held): RegionId | undefined {
    for (const [replica, sequence] of other.version.sequences) {
      if (this.version.sequences.get(replica) !== sequence) continue
      if (differ(this.chains.get(replica), other.chains.get(replica))) return regionOf(replica)
    }
    for (const [region, floor] of other.version.floors)
      if (differ(this.#seals.get(`${region}#${floor.counter}`), floor.seal)) return region
    return undefined
  }

  lagMs(region: RegionId): number {
    return this.#lagMs.get(region) ?? 0
  }

  /** Somebody has told that these dots exist. */
  hear(sequences: ReadonlyMap<ReplicaId, number>, nowMs: number): void {
    for (const [replica, sequence] of sequences)
      if (!includes(this.version, replica, sequence) && !this.#heard.has(replica))
        this.#heard.set(replica, { sequence, atMs: nowMs })
  }

  /** An entry of the region at the other end came on its direct link, be it new or not. */
  arrive(replica: ReplicaId, sequence: number, nowMs: number): void {
    const heard = this.#heard.get(replica)
    if (heard === undefined || sequence < heard.sequence) return
    this.#heard.delete(replica)
    const region = regionOf(replica)
    const before = this.#lagMs.get(region)
    const lag = nowMs - heard.atMs
    this.#lagMs.set(region, before === undefined ? lag : before + (lag - before) / 8)
  }

  /** The direct link to a region ended: what was on its way there says nothing of how long its entries usually take. */
  disconnect(region: RegionId): void {
    this.#lagMs.delete(region)
    for (const replica of this.#heard.keys()) if (regionOf(replica) === region) this.#heard.delete(replica)
  }

  #seal(entry: Foreign): void {
    const control = decodeControl(entry.payload)
    if (control.kind !== 'seal') return
    const [replica] = control.last.keys()
    const region = regionOf(replica ?? entry.replica)
    this.#seals.set(`${region}#${control.counter}`, entry.chain)
    raiseFloor(this.version, region, { counter: control.counter, seal: entry.chain })
    for (const held of this.chains.keys()) if (!this.version.sequences.has(held)) this.chains.delete(held)
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }
}

const differ = (one: Chain | undefined, other: Chain | undefined): boolean =>
  one !== undefined && other !== undefined && one !== other
