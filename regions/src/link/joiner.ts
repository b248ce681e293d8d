/**
 * Joins a group (LINK6): finds out which documents another region holds differently, takes their states, and adopts what that region held. It lives in
 * the node and not in a link: when its link ends it waits for the next, and what was put stays.
 *
 * ```
 *   waiting ──link──▶ summing ──▶ asking ──▶ comparing … ──▶ taking … ──▶ adopting ──▶ adopted
 *      ▲                 └───────────┴────────────┴─────────────┴──── link ended, or refused
 *      └──────────────────────────────────────────────────────────────────┘
 * ```
 *
 * - SES3 It holds one window of states, and of a document that is larger than that its bytes.
 * - A document that has something of its own beside what comes is merged by its engine, and put with the join of both versions.
 */

import type { DocumentName, GroupId, RegionId } from '@meridian/core/ids'
import type { DocumentState, LinkedLog, Outcome, StatesPut } from '@meridian/core/log'
import type { MutableVersion, Version } from '@meridian/core/version'
import { mutableVersion } from '@meridian/core/version'
import {
  digestsMax,
  expandMax,
  fanOut,
  type JoinFrame,
  joinKeyBytes,
  levelCount,
  type Offer,
  type WantedLeaf,
} from '@meridian/core/wires/link/join-frames'
import { StateReader } from '@meridian/core/wires/link/states'
import { type Digest, GroupSums, KeyedDigest, scan } from './group-sums.js'

export interface JoinerEffects {
  /** Two histories of one store (LOG2). */
  isFork(held: Offer['held']): boolean
  readonly log: Pick<LinkedLog, 'listGroup' | 'readState' | 'putStates' | 'adopt' | 'retain'>
  readonly digest: Digest
  random(bytes: number): Uint8Array
  /** All of both, in one state; undefined if it cannot be done. */
  mergeStates(here: DocumentState, there: DocumentState): DocumentState | undefined
  /** RES1: the rule by which a document may not be here; undefined if it may. */
  refusalOf(document: DocumentName): string | undefined
  /** LINK8: a refusal, two histories of one region, or what nobody can put. It stands still until somebody acts. */
  failed(reason: 'residency' | 'fork' | 'invalid', detail: string): void
  /** The group holds what was offered. `until`: once it holds that, it may be served. */
  adopted(until: Version): void
}

/** The link that a transfer runs on. */
export interface JoinPort {
  readonly peer: RegionId
  readonly handle: number
  readonly windowBytes: number
  readonly send: (frame: JoinFrame) => void
  /** It is no use any more. */
  readonly leave: () => void
}

export type JoinPhase = 'waiting' | 'summing' | 'asking' | 'comparing' | 'taking' | 'adopting' | 'adopted'

/** Counters, for metrics and for people. */
export interface JoinStats {
  /** Documents that were put. */
  documents: number
  /** Bytes of their states, and of everything that was said about which differ. */
  bytes: number
  comparedBytes: number
  /** Questions that were answered before the first document. */
  roundTrips: number
}

/** States of one commit, at most, and their bytes. */
const putCount = 128
const putBytes = 512 * 1024

export class Joiner {
  readonly group: GroupId
  readonly stats: JoinStats = { documents: 0, bytes: 0, comparedBytes: 0, roundTrips: 0 }
  readonly #effects: JoinerEffects
  #phase: JoinPhase = 'waiting'
  #port: JoinPort | undefined
  /** Of the newest attempt: whatever an older one waits for is dropped. */
  #attempt = 0
  #keyed: KeyedDigest | undefined
  #sums = new GroupSums()
  #offer: Offer | undefined
  #until: MutableVersion = mutableVersion()
  /** Nodes of this level that are asked for, and whose answer is awaited. */
  #level = 0
  #queue: number[] = []
  #asked: number[] = []
  #found: number[] = []
  /** Leaves that differ and are still to be wanted. */
  #leaves: WantedLeaf[] = []
  #reader: StateReader
  #waiting: { readonly state: DocumentState; readonly bytes: number }[] = []
  #isPutting = false
  #isPoured = false
  #takenBytes = 0
  #granted = 0

  constructor(group: GroupId, effects: JoinerEffects) {
    this.group = group
    this.#effects = effects
    this.#reader = new StateReader(group)
  }

  get phase(): JoinPhase {
    return this.#phase
  }

  get peer(): RegionId | undefined {
    return this.#port?.peer
  }

  /** A link to a region that may have the group. Only while waiting. */
  begin(port: JoinPort): void {
    const attempt = ++this.#attempt
    this.#port = port
    this.#phase = 'summing'
    this.#sums = new GroupSums()
    this.#reader = new StateReader(this.group)
    this.#waiting = []
    this.#isPutting = false
    const key = this.#effects.random(joinKeyBytes)
    const keyed = new KeyedDigest(this.#effects.digest, key)
    this.#keyed = keyed
    scan(
      { log: this.#effects.log, group: this.group, isOver: () => attempt !== this.#attempt },
      (page, next) => {
        for (const document of page) this.#sums.add(keyed.leafOf(document.document), keyed.of(document))
        next()
      },
      (outcome) => {
        if (outcome.kind === 'failed') return this.#giveUp()
        this.#phase = 'asking'
        this.#send({ type: 'join', handle: port.handle, group: this.group, key, sum: this.#sums.total })
      },
    )
  }

  /** The link is gone, or the other region does not give. What was put stays, and the next attempt finds it equal. */
  lost(): void {
    if (this.#phase === 'adopting' || this.#phase === 'adopted') return
    this.#attempt++
    this.#port = undefined
    this.#phase = 'waiting'
  }

  receive(frame: JoinFrame): void {
    switch (frame.type) {
      case 'offer':
        if (this.#phase === 'asking') this.#offered(frame)
        break
      case 'sums':
        if (this.#phase === 'comparing') this.#compared(frame.sums)
        break
      case 'pour':
        if (this.#phase === 'taking') this.#take(frame.bytes)
        break
      case 'poured':
        if (this.#phase !== 'taking') break
        this.#until = mutableVersion(frame.version)
        this.#isPoured = true
        this.#put()
        break
      default:
        break
    }
  }

  #offered(offer: Offer): void {
    if (this.#effects.isFork(offer.held)) return this.#effects.failed('fork', 'Two histories of one region.')
    this.#offer = offer
    this.#until = mutableVersion(offer.held.version)
    this.#answered(96 + offer.sums.length * 8)
    if (offer.sums.length === 0) return this.#adopt()
    if (this.#sums.documentCount === 0) return this.#want('all')
    this.#phase = 'comparing'
    this.#level = 1
    this.#found = differing(offer.sums, this.#sums.below(0, 0), 0)
    this.#descend()
  }

  /** Asks for what is below the nodes that differ, and for documents once these are leaves. */
  #descend(): void {
    if (this.#queue.length === 0) {
      this.#queue = this.#found
      this.#found = []
      if (this.#level === levelCount) return this.#list(this.#queue.splice(0))
    }
    this.#asked = this.#queue.splice(0, expandMax)
    if (this.#asked.length === 0) return this.#adopt()
    this.#send({ type: 'expand', handle: this.#port?.handle ?? 0, level: this.#level, nodes: this.#asked })
  }

  #compared(sums: readonly bigint[]): void {
    this.#answered(sums.length * 8 + this.#asked.length)
    for (const [index, node] of this.#asked.entries()) {
      const theirs = sums.slice(index * fanOut, (index + 1) * fanOut)
      for (const child of differing(theirs, this.#sums.below(this.#level, node), node * fanOut)) this.#found.push(child)
    }
    if (this.#queue.length === 0) this.#level++
    this.#descend()
  }

  /** What is held here of the leaves that differ, so that the other region need not send what is equal. */
  #list(leaves: readonly number[]): void {
    const attempt = this.#attempt
    const keyed = this.#keyed
    if (keyed === undefined) return
    const wanted = new Map<number, bigint[]>(leaves.map((leaf) => [leaf, []]))
    scan(
      { log: this.#effects.log, group: this.group, isOver: () => attempt !== this.#attempt },
      (page, next) => {
        for (const document of page) wanted.get(keyed.leafOf(document.document))?.push(keyed.of(document))
        next()
      },
      (outcome) => {
        if (outcome.kind === 'failed') return this.#giveUp()
        this.#leaves = [...wanted].map(([leaf, digests]) => ({ leaf, digests }))
        this.#wantNext()
      },
    )
  }

  #wantNext(): void {
    let count = 0
    let digests = 0
    for (const leaf of this.#leaves) {
      digests += leaf.digests.length
      if (count > 0 && digests > digestsMax) break
      count++
    }
    if (count === 0) this.#adopt()
    else this.#want(this.#leaves.splice(0, count))
  }

  #want(leaves: 'all' | readonly WantedLeaf[]): void {
    const port = this.#port
    if (port === undefined) return
    this.#phase = 'taking'
    this.#isPoured = false
    this.#takenBytes = 0
    this.#granted = port.windowBytes
    if (leaves !== 'all') this.stats.comparedBytes += leaves.reduce((sum, { digests }) => sum + 2 + 8 * digests.length, 0)
    this.#send({ type: 'want', handle: port.handle, windowBytes: port.windowBytes, leaves })
  }

  #take(bytes: Uint8Array): void {
    this.stats.bytes += bytes.length
    for (const taken of this.#reader.receive(bytes)) {
      const rule = this.#effects.refusalOf(taken.state.document)
      if (rule !== undefined) return this.#effects.failed('residency', rule)
      this.#waiting.push(taken)
    }
    this.#grant()
    this.#put()
  }

  /** A document larger than the window needs more, or it would never be whole. */
  #grant(): void {
    const port = this.#port
    if (port === undefined || this.#phase !== 'taking') return
    const granted = this.#takenBytes + this.#reader.heldBytes + port.windowBytes
    if (granted - this.#granted < port.windowBytes / 4) return
    this.#granted = granted
    this.#send({ type: 'credit', handle: port.handle, bytes: granted })
  }

  #put(): void {
    if (this.#isPutting || this.#phase !== 'taking') return
    const states: DocumentState[] = []
    let bytes = 0
    while (states.length < putCount && bytes < putBytes) {
      const next = this.#waiting.shift()
      if (next === undefined) break
      states.push(next.state)
      bytes += next.bytes
    }
    if (states.length === 0) {
      if (!this.#isPoured || this.#reader.heldBytes > 0) return
      this.#wantNext()
      return
    }
    this.#isPutting = true
    this.#puts(states, () => {
      this.#isPutting = false
      this.#takenBytes += bytes
      this.#grant()
      this.#put()
    })
  }

  #puts(states: readonly DocumentState[], done: () => void): void {
    const attempt = this.#attempt
    this.#effects.log.putStates(this.group, states, (outcome: Outcome<StatesPut>) => {
      if (attempt !== this.#attempt) return
      if (outcome.kind === 'failed') return this.#giveUp()
      this.stats.documents += states.length - outcome.value.unmerged.length
      const unmerged = new Set(outcome.value.unmerged)
      this.#merge(
        states.filter(({ document }) => unmerged.has(document)),
        done,
      )
    })
  }

  #merge(states: readonly DocumentState[], done: () => void): void {
    const [there, ...rest] = states
    if (there === undefined) return done()
    const attempt = this.#attempt
    this.#effects.log.readState(there.document, (outcome) => {
      if (attempt !== this.#attempt) return
      if (outcome.kind === 'failed') return this.#giveUp()
      const merged = outcome.value === undefined ? there : this.#effects.mergeStates(outcome.value, there)
      if (merged === undefined) return this.#effects.failed('invalid', 'A document cannot be merged with what is held here.')
      this.#puts([merged], () => this.#merge(rest, done))
    })
  }

  #adopt(): void {
    const { log } = this.#effects
    const offer = this.#offer
    const peer = this.#port?.peer
    if (offer === undefined || peer === undefined) return
    this.#phase = 'adopting'
    const { held, sealed, seals } = offer
    log.retain(this.group, peer, held.version)
    log.adopt(this.group, { ...held, sealed, seals }, (outcome) => {
      const port = this.#port
      if (outcome.kind === 'failed') {
        this.#phase = 'taking'
        return this.#giveUp()
      }
      this.#phase = 'adopted'
      port?.leave()
      this.#effects.adopted(this.#until)
    })
  }

  #answered(bytes: number): void {
    this.stats.roundTrips++
    this.stats.comparedBytes += bytes
  }

  #send(frame: JoinFrame): void {
    this.#port?.send(frame)
  }

  #giveUp(): void {
    const port = this.#port
    this.lost()
    port?.leave()
  }
}

const differing = (theirs: readonly bigint[], ours: readonly bigint[], first: number): number[] =>
  ours.flatMap((sum, index) => (sum === theirs[index] ? [] : [first + index]))
