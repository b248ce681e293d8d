/**
 * The other end of a stream: what came of a group on one link and is not durable here yet. It begins the stream, holds up what has to wait, hands
 * entries to the log in their order, and says how far the sender may go.
 *
 * ```
 *            begin                       mark not covered            too long
 *   idle ──────────▶ running ─────────────────────────────▶ held up ───────────┐
 *                     ▲  │ ▲────────── version grew ──────────┘                │
 *                     │  └── include, durable, ack                            │
 *                     └───────────── begin again: a rewind (LINK3) ◀──────────┘         refusal, fork ──▶ stopped
 * ```
 *
 * - LINK2 Nothing behind a mark is handed on before this region's own version covers it.
 * - LINK3 A pull drops all that is held and begins a new run at what is durable, with the payloads of the regions that were waited for.
 * - LINK4 What is held already is dropped; at the end of a replica its chain value is compared (LOG2).
 * - LINK8, RES3 Each entry is asked for here, too. One that is refused stops the group behind the entries that stand before it; one of an
 *   epoch that is not reached waits, and so does all behind it.
 * - SES3 It holds at most the window, or one entry that is larger. One commit at a time is under way.
 */

import { decodeControl } from '@meridian/core/entry'
import type { GroupId, RegionId, ReplicaId } from '@meridian/core/ids'
import { documentParts, groupTenant, replicaParts } from '@meridian/core/ids'
import type { Foreign, Included, Outcome } from '@meridian/core/log'
import { documentOf, erasedOf } from '@meridian/core/stub'
import type { Chain, MutableVersion, Version } from '@meridian/core/version'
import { emptyVersion, include, includes, merge, mutableVersion } from '@meridian/core/version'
import type { Ack, Batch, Claim, Start } from '@meridian/core/wires/link/frames'
import { costOf } from '@meridian/core/wires/link/frames'
import type { Held } from '@meridian/core/wires/link/held'
import type { HeldGroup } from './held-group.js'
import { refusalOf, type StreamPort } from './port.js'

type State = 'idle' | 'running' | 'stopped'

/** A claim is a mark that stands alone, with chain values to compare. */
type Waiting =
  | { readonly kind: 'mark'; readonly sequences: ReadonlyMap<ReplicaId, number>; readonly claimed: Held | undefined }
  | { readonly kind: 'entry'; readonly entry: Foreign; readonly cost: number }

export class Receiver {
  readonly group: GroupId
  readonly handle: number
  readonly #held: HeldGroup
  readonly #port: StreamPort
  #state: State = 'idle'
  #run = 0
  #waiting: Waiting[] = []
  #heldBytes = 0
  #freedBytes = 0
  /** The commit that is under way, by a number; 0 if none is. */
  #including = 0
  #includeCount = 0
  /** Held up at the first of what waits: since when, and by which regions. */
  #heldUp: { readonly sinceMs: number; readonly at: Waiting; regions: ReadonlySet<RegionId> } | undefined
  readonly #via = new Set<RegionId>()
  /** By region of `via`: forwarded entries in a row that were here already. */
  readonly #ahead = new Map<RegionId, number>()
  /** What was acked in this run, and up to which cost. */
  #acked: MutableVersion = mutableVersion()
  #ackedBytes = 0
  #retryAtMs: number | undefined
  /** The sender does not have what is lacking here as entries: since when, and when the stream is tried again. */
  #behind: { readonly sinceMs: number; retryAtMs: number } | undefined
  /** Times that a stream claimed what it had not sent. Nothing is lost by it, as the stream begins again; it stays 0 between right peers. */
  gapCount = 0
  pullCount = 0

  constructor(handle: number, held: HeldGroup, port: StreamPort) {
    this.handle = handle
    this.group = held.group
    this.#held = held
    this.#port = port
  }

  get state(): State {
    return this.#state
  }

  /** Cost of what waits here. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  get isHeldUp(): boolean {
    return this.#heldUp !== undefined
  }

  get isBusy(): boolean {
    return this.#waiting.length > 0 || this.#including !== 0 || this.#behind !== undefined
  }

  /** Since when the sender has said at each attempt that this region is behind; undefined once something came of one. */
  get behindSinceMs(): number | undefined {
    return this.#behind?.sinceMs
  }

  /** Regions whose entries this stream forwards. */
  get via(): ReadonlySet<RegionId> {
    return this.#via
  }

  /** Begins the stream, or begins it again at what is durable here. */
  begin(): void {
    if (this.#state === 'stopped') return
    this.#state = 'running'
    this.#run++
    this.#drop()
    this.#ahead.clear()
    this.#retryAtMs = undefined
    const { epoch, heads } = this.#port.effects.policyOf(this.group)
    const start: Start = {
      type: 'start',
      handle: this.handle,
      group: this.group,
      run: this.#run,
      held: this.#held,
      via: [...this.#via],
      windowBytes: this.#port.options.windowBytes,
      epoch,
      heads,
    }
    this.#acked = mutableVersion(this.#held.version)
    this.#port.send(start)
  }

  batch(frame: Batch): void {
    if (this.#state !== 'running' || frame.run !== this.#run) return
    this.#behind = undefined
    const nowMs = this.#port.effects.nowMs()
    for (const item of frame.items) {
      if (item.kind === 'mark') {
        this.#waiting.push({ kind: 'mark', sequences: item.sequences, claimed: undefined })
        continue
      }
      const { entry } = item
      const cost = costOf(entry)
      const isAlone = this.#heldBytes === 0
      this.#heldBytes += cost
      if (this.#heldBytes > this.#port.options.windowBytes && !isAlone) {
        this.#stop('invalid', 'The region sent more than it had credit for.')
        return
      }
      this.#waiting.push({ kind: 'entry', entry, cost })
      if (replicaParts(entry.replica).region === this.#port.peer) this.#held.arrive(entry.replica, entry.sequence, nowMs)
    }
    this.#drain()
  }

  claim(claim: Claim): void {
    if (this.#state === 'stopped' || this.#isFork(claim.held)) return
    const { sequences } = claim.held.version
    this.#held.hear(sequences, this.#port.effects.nowMs())
    if (this.#state === 'idle') {
      if (this.#behind !== undefined) return
      if ([...sequences].some(([replica, sequence]) => !includes(this.#held.version, replica, sequence))) this.begin()
      return
    }
    if (claim.run !== this.#run) return
    this.#behind = undefined
    const last = this.#waiting.at(-1)
    const isBehindClaim = last?.kind === 'mark' && last.claimed !== undefined && last !== this.#heldUp?.at
    // Claims that stand side by side are one: however many come while something is held up, they take no room.
    if (isBehindClaim) this.#waiting.pop()
    const joined = isBehindClaim ? later(last.sequences, sequences) : sequences
    this.#waiting.push({ kind: 'mark', sequences: joined, claimed: claim.held })
    this.#drain()
  }

  /** The group grew here, by this stream or by any other way. */
  grow(): void {
    if (this.#state !== 'running') return
    this.#drain()
  }

  /** The policy of the tenant was edited here: the sender has to know (RES3), and what waited for an epoch may go on. */
  review(): void {
    if (this.#state === 'running') this.begin()
  }

  stop(): void {
    this.#state = 'stopped'
    this.#drop()
  }

  /** The other region does not share the group, or not yet; it claims or begins when it does. */
  idle(): void {
    if (this.#state === 'running') this.#state = 'idle'
    this.#drop()
  }

  /** The sender cannot begin the stream: what is lacking here is no entry there any more (LINK6). It is tried again, as others may bring it. */
  fallBehind(nowMs: number): void {
    if (this.#state === 'stopped') return
    this.idle()
    const sinceMs = this.#behind?.sinceMs ?? nowMs
    this.#behind = { sinceMs, retryAtMs: nowMs + this.#port.options.behindMs }
  }

  tick(nowMs: number): void {
    const behind = this.#behind
    if (behind !== undefined && nowMs >= behind.retryAtMs) {
      // An answer takes no longer than this; a stream that has nothing to say says nothing.
      if (this.#state === 'running') this.#behind = undefined
      else {
        behind.retryAtMs = nowMs + this.#port.options.silenceMs
        this.begin()
      }
    }
    if (this.#state !== 'running') return
    if (this.#retryAtMs !== undefined && nowMs >= this.#retryAtMs) {
      this.begin()
      return
    }
    const heldUp = this.#heldUp
    if (heldUp === undefined || this.#including !== 0 || heldUp.regions.size === 0) return
    const patience = Math.min(...[...heldUp.regions].map((region) => this.#patienceMs(region)))
    if (nowMs - heldUp.sinceMs < patience) return
    this.pullCount++
    for (const region of heldUp.regions) {
      if (region === this.#port.peer || this.#via.has(region)) this.gapCount++
      if (region !== this.#port.peer) this.#via.add(region)
    }
    this.begin()
  }

  /** What the sender is to know now, if anything; it is taken to be sent. */
  ack(): Ack | undefined {
    if (this.#state !== 'running') return undefined
    const version = this.#news()
    const freed = this.#freedBytes
    if (version === undefined && freed === this.#ackedBytes) return undefined
    this.#ackedBytes = freed
    const creditBytes = freed + this.#port.options.windowBytes
    return { type: 'ack', handle: this.handle, run: this.#run, creditBytes, version: version ?? emptyVersion }
  }

  /** Half of the window is free again: the sender should not have to wait for the next ack. */
  get isCreditUrgent(): boolean {
    return this.#freedBytes - this.#ackedBytes >= this.#port.options.windowBytes / 2
  }

  /** What is held here since the last ack of this run. Own entries are left out: the other end has them from here. */
  #news(): Version | undefined {
    const news = mutableVersion()
    for (const [region, floor] of this.#held.version.floors)
      if (this.#acked.floors.get(region)?.counter !== floor.counter) news.floors.set(region, floor)
    for (const [replica, sequence] of this.#held.version.sequences) {
      const isOwn = replicaParts(replica).region === this.#port.here
      if (!isOwn && this.#acked.sequences.get(replica) !== sequence) news.sequences.set(replica, sequence)
    }
    if (news.floors.size === 0 && news.sequences.size === 0) return undefined
    merge(this.#acked, news)
    return news
  }

  #patienceMs(region: RegionId): number {
    const { pullAfterMs, pullAtMostMs } = this.#port.options
    return Math.min(pullAtMostMs, Math.max(pullAfterMs, 2 * this.#held.lagMs(region)))
  }

  #drop(): void {
    this.#waiting = []
    this.#heldBytes = 0
    this.#freedBytes = 0
    this.#ackedBytes = 0
    this.#heldUp = undefined
    this.#including = 0
  }

  /** Hands on what may go, in its order, as one commit. */
  #drain(): void {
    if (this.#state !== 'running' || this.#including !== 0 || this.#retryAtMs !== undefined) return
    const version = mutableVersion(this.#held.version)
    const chains = new Map<ReplicaId, Chain>()
    const entries: Foreign[] = []
    let count = 0
    let freed = 0
    for (const item of this.#waiting) {
      if (item.kind === 'mark') {
        if (!this.#passes(item, version)) break
      } else if (includes(version, item.entry.replica, item.entry.sequence)) {
        if (!this.#duplicate(item.entry, version, chains)) return
        freed += item.cost
      } else {
        const why = this.#mayTake(item.entry, version, entries.length > 0)
        if (why === 'waits') break
        if (why === 'stopped') return
        entries.push(item.entry)
        include(version, item.entry.replica, item.entry.sequence)
        chains.set(item.entry.replica, item.entry.chain)
        this.#ahead.delete(replicaParts(item.entry.replica).region)
        freed += item.cost
      }
      count++
    }
    const [first] = this.#waiting.splice(0, count)
    if (first === this.#heldUp?.at && first !== undefined) this.#heldUp = undefined
    if (entries.length > 0) {
      this.#include(entries, freed)
      return
    }
    this.#free(freed)
    // What is dropped as held already may end a streak, and that is said at once.
    this.#lower()
  }

  #passes(item: Waiting & { readonly kind: 'mark' }, version: MutableVersion): boolean {
    const regions = new Set<RegionId>()
    for (const [replica, sequence] of item.sequences)
      if (!includes(version, replica, sequence)) regions.add(replicaParts(replica).region)
    if (regions.size === 0) return true
    const nowMs = this.#port.effects.nowMs()
    this.#held.hear(item.sequences, nowMs)
    if (this.#heldUp?.at === item) this.#heldUp.regions = regions
    else this.#heldUp = { sinceMs: nowMs, at: item, regions }
    return false
  }

  /** LINK4, LOG2. False if the group was stopped. */
  #duplicate(entry: Foreign, version: MutableVersion, chains: ReadonlyMap<ReplicaId, Chain>): boolean {
    const { region } = replicaParts(entry.replica)
    if (this.#via.has(region)) this.#ahead.set(region, (this.#ahead.get(region) ?? 0) + 1)
    if (version.sequences.get(entry.replica) !== entry.sequence) return true
    const chain = chains.get(entry.replica) ?? this.#held.chains.get(entry.replica)
    if (chain === undefined || chain === entry.chain) return true
    this.#stop('fork', `Two histories of ${region}.`)
    return false
  }

  /** `waits`: nothing of it goes on now; if others go first, it is asked again when they are durable. */
  #mayTake(entry: Foreign, version: MutableVersion, isBehindOthers: boolean): 'taken' | 'waits' | 'stopped' {
    const { effects, here } = this.#port
    if (entry.epoch > effects.policyOf(this.group).epoch) return 'waits'
    const isReadable = canRead(entry)
    const document = isReadable ? documentOf(entry) : undefined
    const rule = refusalOf(effects, document, here)
    const isElsewhere = document !== undefined && documentParts(document).tenant !== groupTenant(this.group)
    const isGap = (entry.first ?? entry.sequence) > (version.sequences.get(entry.replica) ?? 0) + 1
    if (rule === undefined && !isElsewhere && !isGap && isReadable) return 'taken'
    if (isBehindOthers) return 'waits'
    if (rule !== undefined) this.#stop('residency', rule)
    else if (isElsewhere) this.#stop('invalid', 'An entry is of another tenant than its group.')
    else if (isGap) this.#stop('invalid', 'A sequence is missing in the stream.')
    else this.#stop('invalid', `An entry of kind ${entry.kind} cannot be read here; update this region.`)
    return 'stopped'
  }

  #include(entries: readonly Foreign[], freed: number): void {
    const including = ++this.#includeCount
    this.#including = including
    const run = this.#run
    this.#port.effects.include(entries, (outcome: Outcome<Included>) => {
      if (this.#including !== including || this.#run !== run || this.#state !== 'running') return
      this.#including = 0
      if (outcome.kind === 'failed' || outcome.value.kind !== 'included') {
        // Nobody knows what the disk holds: the stream begins again at what the next opening finds (LOG3).
        this.#retryAtMs = this.#port.effects.nowMs() + this.#port.options.retryMs
        return
      }
      this.#free(freed)
      this.#lower()
      this.#drain()
    })
  }

  #free(cost: number): void {
    if (cost === 0) return
    this.#heldBytes -= cost
    this.#freedBytes += cost
  }

  /** LINK3: of a region whose entries were all here before they were forwarded, marks are enough again. */
  #lower(): void {
    const { length } = this.#via.size === 0 ? [] : [...this.#ahead].filter(([region, count]) => this.#isAhead(region, count))
    if (length > 0) this.#port.send({ type: 'forward', handle: this.handle, run: this.#run, via: [...this.#via] })
  }

  #isAhead(region: RegionId, count: number): boolean {
    if (count < this.#port.options.aheadCount) return false
    this.#ahead.delete(region)
    return this.#via.delete(region)
  }

  #isFork(held: Held): boolean {
    const region = this.#held.forkWith(held)
    if (region !== undefined) this.#stop('fork', `Two histories of ${region}.`)
    return region !== undefined
  }

  #stop(reason: 'residency' | 'fork' | 'invalid', detail: string): void {
    this.#port.stop(this.group, reason, 'ingress', detail)
  }
}

function canRead({ kind, payload }: Foreign): boolean {
  try {
    if (kind === 'control') decodeControl(payload)
    else if (kind === 'stub') erasedOf(payload)
    return true
  } catch {
    return false
  }
}

function later(one: ReadonlyMap<ReplicaId, number>, other: ReadonlyMap<ReplicaId, number>): ReadonlyMap<ReplicaId, number> {
  const result = new Map(one)
  for (const [replica, sequence] of other) result.set(replica, Math.max(sequence, result.get(replica) ?? 0))
  return result
}
