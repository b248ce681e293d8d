/**
 * One stream: the log of a group, in its order, to the region at the other end of a link. It keeps a cursor and no queue; a receiver that is slow
 * costs nothing, because the stream reads on from the log when there is credit.
 *
 * ```
 *            start                 sought               same heads
 *   idle ───────────▶ seeking ───────────────▶ waiting ───────────▶ streaming ──┐ read, batch, claim
 *                        ▲   ▲                    ▲                     │   ▲────┘
 *                        │   └──── start ─────────┴──── policy edited ──┤
 *                        └──────── start: a rewind ─────────────────────┘          any ──▶ stopped
 * ```
 *
 * - LINK1 Own entries are payloads, also those of the region's earlier incarnations. Entries of other regions become marks, joined into one, in front
 *   of the next payload and never alone; entries of the regions of `via` are payloads too.
 * - LINK3 A start is a rewind: cursor, marks, credit and claims begin anew, and whatever an earlier run was waiting for is dropped.
 * - LINK5 A claim holds what the cursor has passed, and nothing that was not sent.
 * - LINK8 An entry that the policy refuses, or that breaks off the log's order, stops the group. What stands before it is sent; it is never skipped.
 * - RES3 An entry whose epoch this region has not reached waits, and so does all behind it.
 */

import { assert, unreachable } from '@meridian/core/errors'
import type { GroupId, Position, RegionId, ReplicaId } from '@meridian/core/ids'
import { replicaParts, toPosition } from '@meridian/core/ids'
import type { Entry } from '@meridian/core/entry'
import type { Foreign, Outcome, Read, Sought } from '@meridian/core/log'
import { documentOf } from '@meridian/core/stub'
import type { Chain, MutableVersion, Version } from '@meridian/core/version'
import { includes, merge, mutableVersion } from '@meridian/core/version'
import type { Ack, Claim, Forward, Start } from '@meridian/core/wires/link/frames'
import { costOf } from '@meridian/core/wires/link/frames'
import type { Held } from '@meridian/core/wires/link/held'
import type { Item } from '@meridian/core/wires/link/items'
import type { HeldGroup } from './held-group.js'
import { refusalOf, type StreamPort } from './port.js'

type State = 'idle' | 'seeking' | 'waiting' | 'streaming' | 'stopped'

/** `all`: the cursor is behind the last one. `full`: the rest is for the next batch. `waits`: for credit, or for an epoch. */
type Taken =
  | { readonly kind: 'all' }
  | { readonly kind: 'full' }
  | { readonly kind: 'waits' }
  | { readonly kind: 'refused'; readonly rule: string }

export class Sender {
  readonly group: GroupId
  readonly #held: HeldGroup
  readonly #port: StreamPort
  #state: State = 'idle'
  #start: Start | undefined
  #via: ReadonlySet<RegionId> = new Set()
  /** What the receiver holds, by its start and its acks: it is neither sent nor marked. */
  #known: MutableVersion = mutableVersion()
  #cursor: Position = toPosition(0)
  /** By replica: the last dot that the cursor has passed in this run. */
  readonly #ends = new Map<ReplicaId, number>()
  /** Entries of others that the cursor has passed since the last payload. */
  #marks = new Map<ReplicaId, number>()
  /** Ends that the cursor has passed since the last claim. */
  #passed = new Map<ReplicaId, { readonly sequence: number; readonly chain: Chain }>()
  #sentBytes = 0
  #creditBytes = 0
  #isReading = false
  /** There may be something beyond the cursor. */
  #hasMore = false
  /** Everything that was trimmed up to here is held by the receiver, as the log said when it was asked. */
  #trimmed: Position = toPosition(0)
  #retryAtMs: number | undefined
  /** What is there is read for a batch then, and not before; undefined: at once. */
  #dueAtMs: number | undefined
  /** Without a stream: whether the group has grown since the link last claimed it. */
  #isUnclaimed = false

  constructor(held: HeldGroup, port: StreamPort) {
    this.group = held.group
    this.#held = held
    this.#port = port
  }

  get state(): State {
    return this.#state
  }

  /** Cost that is on its way or waits at the receiver, as far as this side knows. */
  get outstandingBytes(): number {
    return this.#start === undefined ? 0 : this.#sentBytes - (this.#creditBytes - this.#start.windowBytes)
  }

  begin(start: Start): void {
    if (this.#state === 'stopped') return
    this.#start = start
    this.#via = new Set(start.via)
    this.#known = mutableVersion(start.held.version)
    this.#marks.clear()
    this.#ends.clear()
    this.#passed.clear()
    this.#sentBytes = 0
    this.#creditBytes = start.windowBytes
    this.#retryAtMs = undefined
    this.#dueAtMs = undefined
    this.#isUnclaimed = false
    this.#hasMore = true
    this.#trimmed = toPosition(0)
    if (this.#isFork(start.held)) return
    this.#seek(start)
  }

  forward(frame: Forward): void {
    if (frame.run === this.#start?.run) this.#via = new Set(frame.via)
  }

  ack(frame: Ack): void {
    if (this.#state === 'stopped' || frame.run !== this.#start?.run) return
    merge(this.#known, frame.version)
    this.#creditBytes = Math.max(this.#creditBytes, frame.creditBytes)
    this.#port.effects.acked(this.group, this.#known)
    this.pump()
  }

  /** The log has more of the group. */
  grow(): void {
    if (this.#state === 'idle') this.#isUnclaimed = true
    const { batchMs } = this.#port.options
    // What waits already goes when it is due, and what comes meanwhile with it.
    if (batchMs > 0 && !this.#hasMore && !this.#isReading) this.#dueAtMs = this.#port.effects.nowMs() + batchMs
    this.#hasMore = true
    this.pump()
  }

  /** The digests of both ends are equal: the receiver holds all that this region does (LINK5). */
  learn(): void {
    this.#known = mutableVersion(this.#held.version)
    this.#port.effects.acked(this.group, this.#held.version)
  }

  /** What the receiver holds durably, as far as it has said. */
  get known(): Version {
    return this.#known
  }

  /** The policy of the tenant was edited here. */
  review(): void {
    const start = this.#start
    if (start === undefined || this.#state === 'idle' || this.#state === 'seeking' || this.#state === 'stopped') return
    this.#state = this.#hasSameHeads(start) ? 'streaming' : 'waiting'
    this.pump()
  }

  stop(): void {
    this.#state = 'stopped'
    this.#start = undefined
  }

  /** The receiver has no stream any more, and will begin one when it wants to. */
  idle(): void {
    this.#state = 'idle'
    this.#start = undefined
  }

  tick(nowMs: number): void {
    if (this.#dueAtMs !== undefined && nowMs >= this.#dueAtMs) this.pump()
    if (this.#retryAtMs === undefined || nowMs < this.#retryAtMs) return
    this.#retryAtMs = undefined
    if (this.#state === 'seeking' && this.#start !== undefined) this.#seek(this.#start)
    else this.pump()
  }

  /** LINK5: what is to stand in the next heartbeat, if anything. It is taken to be sent. */
  claim(): Claim | undefined {
    switch (this.#state) {
      case 'seeking':
      case 'waiting':
      case 'stopped':
        return undefined
      case 'idle': {
        if (!this.#isUnclaimed) return undefined
        this.#isUnclaimed = false
        return { group: this.group, run: 0, held: this.#held }
      }
      case 'streaming': {
        const version = mutableVersion()
        const chains = new Map<ReplicaId, Chain>()
        for (const [replica, { sequence, chain }] of this.#passed) {
          if (includes(this.#known, replica, sequence)) continue
          version.sequences.set(replica, sequence)
          chains.set(replica, chain)
        }
        this.#passed.clear()
        assert(this.#start !== undefined, 'a stream that runs was started')
        return version.sequences.size === 0 ? undefined : { group: this.group, run: this.#start.run, held: { version, chains } }
      }
      default:
        return unreachable(this.#state)
    }
  }

  /** Reads and sends for as long as there is something, credit, and room in the socket. */
  pump(): void {
    const start = this.#start
    if (this.#state !== 'streaming' || start === undefined || this.#isReading || this.#retryAtMs !== undefined) return
    if (!this.#hasMore || !this.#port.mayBatch() || !this.#hasCredit(1)) return
    if (this.#dueAtMs !== undefined && this.#port.effects.nowMs() < this.#dueAtMs) return
    this.#dueAtMs = undefined
    const { batchBytes, batchEntries } = this.#port.options
    const after = this.#cursor
    this.#isReading = true
    this.#hasMore = false
    this.#port.effects.readGroup(this.group, after, { bytes: batchBytes, entries: batchEntries }, (outcome) => {
      this.#isReading = false
      // A start came meanwhile: what was read is of the run before it (LINK3).
      if (this.#start === start && this.#state === 'streaming') return this.#read(start, outcome)
      this.#hasMore = true
      this.pump()
    })
  }

  #seek(start: Start): void {
    this.#state = 'seeking'
    this.#port.effects.seekGroup(this.group, this.#known, (outcome) => {
      if (this.#start !== start || this.#state !== 'seeking') return
      if (outcome.kind === 'failed') this.#retryAtMs = this.#port.effects.nowMs() + this.#port.options.retryMs
      else this.#sought(start, outcome.value)
    })
  }

  #sought(start: Start, sought: Sought): void {
    for (const [replica, chain] of sought.chains) {
      const theirs = start.held.chains.get(replica)
      if (theirs === undefined || theirs === chain) continue
      // The receiver has acked more since: what it began with is not what was asked for.
      if (start.held.version.sequences.get(replica) !== this.#known.sequences.get(replica)) continue
      this.#port.stop(this.group, 'fork', 'egress', `Two histories of ${replicaParts(replica).region}.`)
      return
    }
    if (sought.behind) {
      this.#port.stop(this.group, 'behind', 'egress', 'The region lacks entries that are trimmed here; it has to join.')
      return
    }
    this.#cursor = sought.position
    this.#state = this.#hasSameHeads(start) ? 'streaming' : 'waiting'
    this.pump()
  }

  #read(start: Start, outcome: Outcome<Read>): void {
    if (outcome.kind === 'failed') {
      this.#hasMore = true
      this.#retryAtMs = this.#port.effects.nowMs() + this.#port.options.retryMs
      return
    }
    const { entries, asOf, more, trimmed } = outcome.value
    if (trimmed > this.#cursor && trimmed > this.#trimmed) {
      // The receiver may hold what is gone from elsewhere, before the cursor came to it: the log says whether it lacks any of it.
      this.#trimmed = trimmed
      this.#hasMore = true
      this.#seek(start)
      return
    }
    const taken: Item[] = []
    const end = this.#take(entries, taken)
    const items = this.#merged(taken)
    if (items.length > 0) this.#port.send({ type: 'batch', handle: start.handle, run: start.run, items })
    switch (end.kind) {
      case 'all':
        this.#cursor = asOf
        this.#hasMore ||= more
        this.pump()
        break
      case 'full':
        this.#hasMore = true
        this.pump()
        break
      case 'waits':
        // An ack or an edited policy goes on.
        this.#hasMore = true
        break
      case 'refused':
        this.#port.stop(this.group, 'residency', 'egress', end.rule)
        break
      default:
        unreachable(end)
    }
  }

  /** LINK7: what follows one another in one document is one update on the way, and an entry of the log at the other end. */
  #merged(items: readonly Item[]): readonly Item[] {
    const { effects } = this.#port
    const merged: Item[] = []
    let run: Foreign[] = []
    const end = (): void => {
      const [first] = run
      const last = run.at(-1)
      if (first === undefined || last === undefined) return
      const { engine } = last
      const payload =
        run.length < 2 || engine === undefined
          ? undefined
          : effects.merge(
              engine,
              run.map((entry) => entry.payload),
            )
      if (payload === undefined) for (const entry of run) merged.push({ kind: 'entry', entry })
      else {
        const entry = { ...last, payload, first: first.first ?? first.sequence }
        for (const one of run) this.#sentBytes -= costOf(one)
        this.#sentBytes += costOf(entry)
        merged.push({ kind: 'entry', entry })
      }
      run = []
    }
    for (const item of items) {
      const last = run.at(-1)
      if (item.kind === 'entry' && last !== undefined && follows(last, item.entry)) run.push(item.entry)
      else {
        end()
        if (item.kind === 'entry') run.push(item.entry)
        else if (item.sequences.size > 0) merged.push(item)
      }
    }
    end()
    return merged
  }

  /** Moves the cursor over entries and puts what is to be sent into `items`, up to the first that cannot go now. */
  #take(entries: readonly Entry[], items: Item[]): Taken {
    const { effects, here, peer } = this.#port
    const { epoch } = effects.policyOf(this.group)
    let batched = 0
    for (const entry of entries) {
      const { replica, sequence, position, ...rest } = entry
      if (!includes(this.#known, replica, sequence)) {
        const { region } = replicaParts(replica)
        if (region === here || this.#via.has(region)) {
          const cost = costOf(entry)
          if (entry.epoch > epoch || !this.#hasCredit(cost)) return { kind: 'waits' }
          if (batched > 0 && batched + cost > this.#port.options.batchBytes) return { kind: 'full' }
          const rule = refusalOf(effects, documentOf(entry), peer)
          if (rule !== undefined) return { kind: 'refused', rule }
          if (this.#marks.size > 0) items.push({ kind: 'mark', sequences: this.#marks })
          this.#marks = new Map()
          // A log that got entries merged has none under the dots before the last.
          const expected = (this.#ends.get(replica) ?? this.#known.sequences.get(replica) ?? 0) + 1
          const sent = { ...rest, replica, sequence }
          items.push({ kind: 'entry', entry: sequence > expected ? { ...sent, first: expected } : sent })
          batched += cost
          this.#sentBytes += cost
        } else {
          this.#marks.set(replica, sequence)
          // What was sent needs no claim: the socket keeps its order.
          this.#passed.set(replica, { sequence, chain: entry.chain })
        }
      } else if (items.at(-1)?.kind === 'entry' && entry.document !== undefined) {
        // An empty mark: the receiver has it, and what stands around it is not merged.
        items.push({ kind: 'mark', sequences: new Map() })
      }
      this.#ends.set(replica, sequence)
      this.#cursor = position
    }
    return { kind: 'all' }
  }

  /** An entry larger than what is left waits, but for one that comes when the receiver has nothing. */
  #hasCredit(cost: number): boolean {
    return this.outstandingBytes === 0 || this.#sentBytes + cost <= this.#creditBytes
  }

  #hasSameHeads(start: Start): boolean {
    return this.#port.effects.policyOf(this.group).heads === start.heads
  }

  #isFork(held: Held): boolean {
    const region = this.#held.forkWith(held)
    if (region !== undefined) this.#port.stop(this.group, 'fork', 'egress', `Two histories of ${region}.`)
    return region !== undefined
  }
}

/** Payloads larger than this travel as they are: merging them costs more than it saves. */
const mergeBytesMax = 4096

/** Whether one goes with the other into one merged entry. */
function follows(before: Foreign, entry: Foreign): boolean {
  return (
    entry.kind === 'update' &&
    before.kind === 'update' &&
    entry.document === before.document &&
    entry.replica === before.replica &&
    entry.life === before.life &&
    entry.epoch === before.epoch &&
    (entry.first ?? entry.sequence) === before.sequence + 1 &&
    before.payload.length <= mergeBytesMax &&
    entry.payload.length <= mergeBytesMax
  )
}
